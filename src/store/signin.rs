//! Sign-ins and their sealed tokens (5.1). The rules of the kit's `Vault` are kept here; its trait is implemented in
//! `vault.rs`.
//!
//! Nothing here deletes a ciphertext that could still be needed: a commit keeps the old refresh token as `previous`, a
//! refused token stays in its row, an unreadable one too.

use ledgerward_contract::{ConnectionName, Secret, Timestamp};
pub use ledgerward_kit::vault::{NewTokens, SignInState, StoredTokens as Tokens};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    db::{Db, from_json, from_us, from_us_opt, to_json, us},
    error::{Kind, Result, StoreError},
};

/// The row's id, which also binds its sealed tokens to it (`decisions` 6).
pub type SignInId = String;

/// Who signed in, without any token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSignIn {
    pub connection: ConnectionName,
    /// The vendor's id of the user or account that consented; with the connection it names the row.
    pub subject: String,
    pub email: Option<String>,
    /// The one company that was consented to, where the vendor's consents are for one company each.
    pub realm: Option<String>,
    pub scopes: Vec<String>,
}

/// One sign-in, for lists and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub id: SignInId,
    pub who: NewSignIn,
    pub state: SignInState,
    pub generation: u64,
    pub last_refreshed: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    /// When a person signed in.
    pub issued_at: Timestamp,
}

/// An authorisation that was begun in a browser and waits for its answer.
#[derive(Clone, Debug)]
pub struct PendingOAuth {
    pub state: String,
    pub connection: ConnectionName,
    pub verifier: Secret,
    /// Whatever else the command needs back (redirect address, scope set).
    pub body: serde_json::Value,
    pub expires: Timestamp,
}

pub(crate) const COLUMNS: &str = "id, connection, subject, email, realm, scopes, state, state_since, attempt, why, generation, \
     access, refresh, previous, access_issued_at, access_expires_at, refresh_expires_at, last_refreshed, issued_at";

/// A row as it stands, sealed.
pub(crate) struct RawRow {
    id: String,
    who: (String, String, Option<String>, Option<String>, String),
    state: (String, i64, u32, Option<String>),
    pub(crate) generation: i64,
    sealed: [Option<Vec<u8>>; 3],
    times: [Option<i64>; 4],
    issued_at: i64,
}

const SECRETS: [&str; 3] = ["access", "refresh", "previous"];

fn raw(r: &Row<'_>) -> rusqlite::Result<RawRow> {
    Ok(RawRow {
        id: r.get(0)?,
        who: (r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?),
        state: (r.get(6)?, r.get(7)?, r.get(8)?, r.get(9)?),
        generation: r.get(10)?,
        sealed: [r.get(11)?, r.get(12)?, r.get(13)?],
        times: [r.get(14)?, r.get(15)?, r.get(16)?, r.get(17)?],
        issued_at: r.get(18)?,
    })
}

impl RawRow {
    fn state(&self) -> Result<SignInState> {
        let (word, since, attempt, why) = &self.state;
        let since = from_us(*since)?;
        match word.as_str() {
            "active" => Ok(SignInState::Active),
            "refreshing" => Ok(SignInState::Refreshing { since, attempt: *attempt }),
            "needs_reauth" => Ok(SignInState::NeedsReauth { since, why: why.clone().unwrap_or_default() }),
            _ => Err(StoreError::damaged("a sign-in is in an unknown state")),
        }
    }

    fn signin(self) -> Result<SignIn> {
        let state = self.state()?;
        let (connection, subject, email, realm, scopes) = self.who;
        let [_, _, refresh_expires, last] = self.times;
        Ok(SignIn {
            id: self.id,
            who: NewSignIn {
                connection: connection.into(),
                subject,
                email,
                realm,
                scopes: from_json(&scopes, "the scopes of a sign-in")?,
            },
            state,
            generation: self.generation.unsigned_abs(),
            last_refreshed: from_us_opt(last)?,
            refresh_expires_at: from_us_opt(refresh_expires)?,
            issued_at: from_us(self.issued_at)?,
        })
    }
}

pub(crate) fn aad(table: &str, id: &str, column: &str, generation: i64) -> String {
    format!("ledgerward|{table}|{id}|{column}|{generation}")
}

fn utf8(bytes: &[u8]) -> Result<Secret> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| StoreError::new(Kind::Secret, "a token in the state is no text"))?;
    Ok(Secret::new(text))
}

impl Db {
    /// Stores a finished authorisation. The same account of the same connection (and company) signs in again into its old
    /// row, as the next generation; so does whoever signs in where it was not said before whose sign-in it is.
    pub fn signin_put(&mut self, who: &NewSignIn, new: &NewTokens, at: Timestamp) -> Result<SignInId> {
        self.tx(|db| {
            let old: Option<(String, i64)> = db
                .conn
                .query_row(
                    "SELECT id, generation FROM signin WHERE connection = ?1 AND subject IN (?2, '') AND realm IS ?3
                     ORDER BY subject DESC LIMIT 1",
                    params![who.connection.as_str(), who.subject, who.realm],
                    |r| Ok((r.get(0)?, r.get(1)?)),
                )
                .optional()?;
            let (id, generation) = match old {
                Some((id, generation)) => {
                    let spooled = db.newest_spooled(&id)?;
                    (id, generation.max(spooled) + 1)
                }
                None => (uuid::Uuid::now_v7().to_string(), 1),
            };
            db.conn.execute(
                "INSERT INTO signin (id, connection, subject, email, realm, scopes, state, state_since, generation, issued_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8, ?7)
                 ON CONFLICT (id) DO UPDATE SET subject = ?3, email = ?4, realm = ?5, scopes = ?6, issued_at = ?7",
                params![id, who.connection.as_str(), who.subject, who.email, who.realm, to_json(&who.scopes)?, us(at), generation],
            )?;
            db.write_tokens(&id, generation, new)?;
            db.audit(at, "signin.authorise", &id, None::<&()>, Some(who), None)?;
            Ok(id)
        })
    }

    /// All of them; while the key is shut, as dead ones.
    pub fn signins(&self) -> Result<Vec<SignIn>> {
        let mut stmt =
            self.conn.prepare(&format!("SELECT {COLUMNS} FROM signin ORDER BY connection, subject, realm"))?;
        let rows = stmt.query_map([], raw)?;
        let mut all: Vec<SignIn> =
            rows.map(|r| r.map_err(StoreError::from).and_then(RawRow::signin)).collect::<Result<_>>()?;
        // None works without the key, whatever its row says. It says so again once the key is back.
        if let Some(problem) = self.keys_problem() {
            for one in &mut all {
                if !matches!(one.state, SignInState::NeedsReauth { .. }) {
                    one.state = SignInState::NeedsReauth { since: one.issued_at, why: problem.message.clone() };
                }
            }
        }
        Ok(all)
    }

    /// Forgets a sign-in and its tokens, because a person disconnected it.
    pub fn signin_forget(&mut self, id: &str, reason: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let row = db.raw_signin(id)?.signin()?;
            db.conn.execute("DELETE FROM signin WHERE id = ?1", [id])?;
            db.audit(at, "signin.forget", id, Some(&row.who), None::<&()>, Some(reason))
        })?;
        self.remove_spooled(id, i64::MAX)
    }

    pub(crate) fn raw_signin(&self, id: &str) -> Result<RawRow> {
        self.conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM signin WHERE id = ?1"))?
            .query_row([id], raw)
            .optional()?
            .ok_or_else(|| {
                StoreError::new(Kind::Missing, format!("there is no sign-in {id}")).next("Run `ledgerward connect`.")
            })
    }

    /// The newest tokens: the row, or the spool if that is newer (T05).
    pub fn tokens(&self, id: &str) -> Result<Tokens> {
        let row = self.raw_signin(id)?;
        let issued_at = from_us(row.issued_at)?;
        if let Some((generation, new, since)) = self.spooled(id)?.filter(|(g, ..)| *g > row.generation) {
            return Ok(Tokens {
                generation: generation.unsigned_abs(),
                access: Some(new.access),
                access_issued_at: Some(new.access_issued_at),
                access_expires_at: Some(new.access_expires_at),
                refresh: new.refresh,
                refresh_expires_at: new.refresh_expires_at,
                previous: new.previous,
                state: SignInState::Degraded { since },
                last_refreshed: Some(new.access_issued_at),
                issued_at,
            });
        }
        let open = |n: usize| -> Result<Option<Secret>> {
            let (Some(name), Some(Some(blob))) = (SECRETS.get(n), row.sealed.get(n)) else { return Ok(None) };
            let plain = self.keys.unseal(&aad("signin", id, name, row.generation), blob)?;
            utf8(&plain).map(Some)
        };
        let [issued, expires, refresh_expires, last] = row.times;
        Ok(Tokens {
            generation: row.generation.unsigned_abs(),
            access: open(0)?,
            access_issued_at: from_us_opt(issued)?,
            access_expires_at: from_us_opt(expires)?,
            refresh: open(1)?,
            refresh_expires_at: from_us_opt(refresh_expires)?,
            previous: open(2)?,
            state: row.state()?,
            last_refreshed: from_us_opt(last)?,
            issued_at,
        })
    }

    /// The write gate before a token call: durable proof that the state takes a write of this size, now. No gate, no call.
    pub fn tokens_intend(&mut self, id: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()> {
        self.absorb_spool(id, at)?;
        self.tx(|db| {
            let row = db.raw_signin(id)?;
            same_generation(&row, generation)?;
            // Opened and sealed anew: a key or a value that no longer works must show before the old token is spent.
            let tokens = db.tokens(id)?;
            for (name, secret) in SECRETS.into_iter().zip([tokens.access, tokens.refresh, tokens.previous]) {
                let blob = db.sealed(id, name, row.generation, secret.as_ref())?;
                db.conn.execute(&format!("UPDATE signin SET {name} = ?2 WHERE id = ?1"), params![id, blob])?;
            }
            db.conn.execute(
                "UPDATE signin SET attempt = ?2, why = NULL,
                 state_since = CASE state WHEN 'refreshing' THEN state_since ELSE ?3 END, state = 'refreshing' WHERE id = ?1",
                params![id, attempt, us(at)],
            )?;
            db.audit(at, "signin.intend", id, None::<&()>, Some(&serde_json::json!({ "attempt": attempt })), None)
        })
    }

    /// Stores new tokens as the next generation. Durable when it returns.
    pub fn tokens_commit(&mut self, id: &str, expected: u64, new: &NewTokens) -> Result<Tokens> {
        let at = new.access_issued_at;
        self.tx(|db| {
            let row = db.raw_signin(id)?;
            same_generation(&row, expected)?;
            db.write_tokens(id, row.generation + 1, new)?;
            let after = serde_json::json!({ "generation": (row.generation + 1).to_string() });
            db.audit(at, "signin.commit", id, None::<&()>, Some(&after), None)
        })?;
        // The row is newer than the files from here on, so one that cannot be removed now does no harm.
        if let Err(e) = self.remove_spooled(id, i64::try_from(expected).unwrap_or(i64::MAX).saturating_add(1)) {
            tracing::warn!(event = "spool.left", error = %e, "a spool file could not be removed");
        }
        self.tokens(id)
    }

    /// Forgets the token before the newest one, once that has worked. No audit row: nothing is decided here.
    pub fn tokens_settle(&mut self, id: &str, generation: u64) -> Result<()> {
        self.tx(|db| {
            let generation = i64::try_from(generation).unwrap_or(i64::MAX);
            db.conn.execute(
                "UPDATE signin SET previous = NULL WHERE id = ?1 AND generation = ?2 AND previous IS NOT NULL",
                params![id, generation],
            )?;
            Ok(())
        })
    }

    /// The vendor refused the refresh token for good. Every secret stays.
    pub fn tokens_need_reauth(&mut self, id: &str, generation: u64, why: &str, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let generation = i64::try_from(generation).unwrap_or(i64::MAX);
            let changed = db.conn.execute(
                "UPDATE signin SET state = 'needs_reauth', state_since = ?3, why = ?4 WHERE id = ?1 AND generation = ?2",
                params![id, generation, us(at), why],
            )?;
            if changed == 0 {
                return Ok(());
            }
            db.audit(at, "signin.needs_reauth", id, None::<&()>, None::<&()>, Some(why))
        })
    }

    fn sealed(&self, id: &str, name: &str, generation: i64, secret: Option<&Secret>) -> Result<Option<Vec<u8>>> {
        secret.map(|s| self.keys.seal(&aad("signin", id, name, generation), s.expose().as_bytes())).transpose()
    }

    /// Inside a transaction: the row takes `new` as `generation`, and the state counts it.
    pub(crate) fn write_tokens(&mut self, id: &str, generation: i64, new: &NewTokens) -> Result<()> {
        let [access, refresh, previous] = [
            self.sealed(id, "access", generation, Some(&new.access))?,
            self.sealed(id, "refresh", generation, new.refresh.as_ref())?,
            self.sealed(id, "previous", generation, new.previous.as_ref())?,
        ];
        self.conn.execute(
            "UPDATE signin SET generation = ?2, access = ?3, refresh = ?4, previous = ?5, access_issued_at = ?6,
             access_expires_at = ?7, refresh_expires_at = ?8, last_refreshed = ?6, state = 'active', state_since = ?6,
             attempt = 0, why = NULL WHERE id = ?1",
            params![
                id,
                generation,
                access,
                refresh,
                previous,
                us(new.access_issued_at),
                us(new.access_expires_at),
                new.refresh_expires_at.map(us)
            ],
        )?;
        let count = self.meta_number("token_generation")? + 1;
        self.set_meta("token_generation", &count.to_string())?;
        self.mark();
        Ok(())
    }

    /// Remembers an authorisation that waits for its answer.
    pub fn oauth_begin(&mut self, pending: &PendingOAuth, at: Timestamp) -> Result<()> {
        let verifier = self
            .keys
            .seal(&aad("pending_oauth", &pending.state, "verifier", 0), pending.verifier.expose().as_bytes())?;
        self.tx(|db| {
            db.conn.execute("DELETE FROM pending_oauth WHERE expires_at <= ?1", [us(at)])?;
            db.conn.execute(
                "INSERT INTO pending_oauth (state, connection, verifier, body, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    pending.state,
                    pending.connection.as_str(),
                    verifier,
                    to_json(&pending.body)?,
                    us(pending.expires)
                ],
            )?;
            db.audit(at, "signin.begin", pending.connection.as_str(), None::<&()>, None::<&()>, None)
        })
    }

    /// Gives a waiting authorisation once. `None`: never begun, used, or too old.
    pub fn oauth_take(&mut self, state: &str, at: Timestamp) -> Result<Option<PendingOAuth>> {
        let row = self.tx(|db| {
            let row = db
                .conn
                .query_row(
                    "DELETE FROM pending_oauth WHERE state = ?1 RETURNING connection, verifier, body, expires_at",
                    [state],
                    |r| {
                        Ok((
                            r.get::<_, String>(0)?,
                            r.get::<_, Vec<u8>>(1)?,
                            r.get::<_, String>(2)?,
                            r.get::<_, i64>(3)?,
                        ))
                    },
                )
                .optional()?;
            Ok(row)
        })?;
        let Some((connection, verifier, body, expires)) = row.filter(|r| r.3 > us(at)) else { return Ok(None) };
        let plain = self.keys.unseal(&aad("pending_oauth", state, "verifier", 0), &verifier)?;
        Ok(Some(PendingOAuth {
            state: state.to_owned(),
            connection: connection.into(),
            verifier: utf8(&plain)?,
            body: from_json(&body, "a begun authorisation")?,
            expires: from_us(expires)?,
        }))
    }
}

fn same_generation(row: &RawRow, expected: u64) -> Result<()> {
    if row.generation.unsigned_abs() == expected {
        return Ok(());
    }
    Err(StoreError::conflict(format!(
        "the sign-in is at generation {}, not {expected}: somebody refreshed it in between",
        row.generation
    ))
    .next("Read it again."))
}

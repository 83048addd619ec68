//! Lanes with their folders, what we granted there, and whom the firm accepted there.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Email, FolderId, FolderKey, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

use super::{
    db::{Db, from_json, from_us, from_us_opt, from_word, to_json, us},
    error::{Result, StoreError},
};
use crate::domain::{
    firm::{AcceptedHolder, TargetName},
    lane::{LaneKey, OwnedGrant},
};

/// One lane as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    pub key: LaneKey,
    /// `None`: the folder is not made yet.
    pub folder: Option<FolderId>,
    /// The folder's name as we last wrote it.
    pub name: String,
    pub parent: Option<FolderId>,
    pub owner: Option<String>,
    /// The marker as last read back.
    pub marker: Option<String>,
    /// The journal row of the create.
    pub created_step: Option<i64>,
    /// Digest of the sharing list as we last left it.
    pub base: Option<String>,
}

/// A grant of ours with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRow {
    pub grant: OwnedGrant,
    pub since: Timestamp,
    /// Invited and not yet accepted, since then (`decisions` 18).
    pub invited_since: Option<Timestamp>,
}

/// A holder the firm accepted on a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub holder: AcceptedHolder,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

/// The columns that make a [`LaneKey`], for joins: three, beginning at `at`.
pub(crate) fn key_from(r: &Row<'_>, at: usize) -> rusqlite::Result<(String, String, String)> {
    Ok((r.get(at)?, r.get(at + 1)?, r.get(at + 2)?))
}

pub(crate) fn key_of((target, client, account): (String, String, String)) -> Result<LaneKey> {
    let client = uuid::Uuid::parse_str(&client)
        .map_err(|e| StoreError::damaged("a lane's client in the state is no id").source(e))?;
    let account = (!account.is_empty()).then(|| account.into());
    Ok(LaneKey { target: TargetName(target), folder: FolderKey { client: ClientId(client), account } })
}

fn parts(key: &LaneKey) -> (&str, String, &str) {
    (&key.target.0, key.folder.client.to_string(), key.folder.account.as_ref().map_or("", |a| a.as_str()))
}

impl Db {
    /// The row of a lane, made if there is none.
    pub(crate) fn lane_id(&self, key: &LaneKey, name: &str) -> Result<i64> {
        let (target, client, account) = parts(key);
        if let Some(id) = self.find_lane_id(key)? {
            return Ok(id);
        }
        self.conn.execute(
            "INSERT INTO lane (target, client, account, name) VALUES (?1, ?2, ?3, ?4)",
            params![target, client, account, name],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Whose row this is.
    pub(crate) fn lane_key(&self, id: i64) -> Result<LaneKey> {
        let mut stmt = self.conn.prepare_cached("SELECT target, client, account FROM lane WHERE id = ?1")?;
        key_of(stmt.query_row([id], |r| key_from(r, 0))?)
    }

    pub(crate) fn find_lane_id(&self, key: &LaneKey) -> Result<Option<i64>> {
        let (target, client, account) = parts(key);
        Ok(self
            .conn
            .prepare_cached("SELECT id FROM lane WHERE target = ?1 AND client = ?2 AND account = ?3")?
            .query_row(params![target, client, account], |r| r.get(0))
            .optional()?)
    }

    pub fn lanes(&self) -> Result<BTreeMap<LaneKey, LaneRow>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT target, client, account, folder, name, parent, owner, marker, created_step, base FROM lane",
        )?;
        let mut rows = stmt.query([])?;
        let mut all = BTreeMap::new();
        while let Some(r) = rows.next()? {
            let key = key_of(key_from(r, 0)?)?;
            let row = LaneRow {
                key: key.clone(),
                folder: r.get::<_, Option<String>>(3)?.map(FolderId),
                name: r.get(4)?,
                parent: r.get::<_, Option<String>>(5)?.map(FolderId),
                owner: r.get(6)?,
                marker: r.get(7)?,
                created_step: r.get(8)?,
                base: r.get(9)?,
            };
            all.insert(key, row);
        }
        Ok(all)
    }

    pub fn lane(&self, key: &LaneKey) -> Result<Option<LaneRow>> {
        Ok(self.lanes()?.remove(key))
    }

    /// Writes what is known of a lane's folder: after an adoption, a stat, a compared sharing list. Makes the lane if there
    /// is none. `Conflict` if another lane of the target has that folder (`decisions` 19).
    pub fn save_lane(&mut self, row: &LaneRow, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let old = db.lane(&row.key)?;
            if old.as_ref() == Some(row) {
                return Ok(());
            }
            let id = db.lane_id(&row.key, &row.name)?;
            db.conn
                .execute(
                    "UPDATE lane SET folder = ?2, name = ?3, parent = ?4, owner = ?5, marker = ?6, created_step = ?7, base = ?8 WHERE id = ?1",
                    params![
                        id,
                        row.folder.as_ref().map(FolderId::as_str),
                        row.name,
                        row.parent.as_ref().map(FolderId::as_str),
                        row.owner,
                        row.marker,
                        row.created_step,
                        row.base
                    ],
                )
                .map_err(|e| folder_taken(e, &row.key))?;
            let was = old.and_then(|o| o.folder);
            if was != row.folder {
                db.audit(at, "lane.bind", &db_name(&row.key), was.as_ref(), row.folder.as_ref(), None)?;
            }
            Ok(())
        })
    }

    /// Where a folder lies and whose it is, as it was first seen, where neither was known yet.
    pub fn lane_place(
        &mut self,
        key: &LaneKey,
        folder: &FolderId,
        parent: Option<&FolderId>,
        owner: Option<&str>,
    ) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(key)? else { return Ok(()) };
            db.conn.execute(
                "UPDATE lane SET parent = coalesce(parent, ?3), owner = coalesce(owner, ?4) WHERE id = ?1 AND folder = ?2",
                params![id, folder.as_str(), parent.map(FolderId::as_str), owner],
            )?;
            Ok(())
        })
    }

    /// Every grant of ours that is in force, by lane.
    pub fn owned(&self) -> Result<BTreeMap<LaneKey, Vec<OwnedRow>>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, o.address, o.folder, o.role, o.permission, o.step, o.since, o.invited_since, o.ends
             FROM owned o JOIN lane l ON l.id = o.lane ORDER BY o.lane, o.who",
        )?;
        let mut rows = stmt.query([])?;
        let mut all: BTreeMap<LaneKey, Vec<OwnedRow>> = BTreeMap::new();
        while let Some(r) = rows.next()? {
            let lane = key_of(key_from(r, 0)?)?;
            let grant = OwnedGrant {
                lane: lane.clone(),
                who: email(&r.get::<_, String>(3)?)?,
                folder: FolderId(r.get(4)?),
                role: from_word(&r.get::<_, String>(5)?, "a role")?,
                permission: r.get::<_, String>(6)?.into(),
                ends: from_us_opt(r.get(10)?)?,
                step: r.get(7)?,
            };
            let row = OwnedRow { grant, since: from_us(r.get(8)?)?, invited_since: from_us_opt(r.get(9)?)? };
            all.entry(lane).or_default().push(row);
        }
        Ok(all)
    }

    /// An invitation was accepted: the grant is an ordinary one from now on.
    pub fn invitation_accepted(&mut self, lane: &LaneKey, who: &Email) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(lane)? else { return Ok(()) };
            db.conn.execute(
                "UPDATE owned SET invited_since = NULL WHERE lane = ?1 AND who = ?2 AND invited_since IS NOT NULL",
                params![id, who.key()],
            )?;
            Ok(())
        })
    }

    /// A grant of ours is gone from the folder without us, and was not seen there since `absent`: it is not ours any more, and
    /// `applied` ends.
    pub fn owned_lost(
        &mut self,
        lane: &LaneKey,
        who: &Email,
        reason: &str,
        absent: Timestamp,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(lane)? else { return Ok(()) };
            db.applied_ends(id, who, absent)?;
            let gone = db.conn.execute("DELETE FROM owned WHERE lane = ?1 AND who = ?2", params![id, who.key()])?;
            if gone == 0 {
                return Ok(());
            }
            db.audit(at, "grant.lost", &format!("{} {who}", db_name(lane)), None::<&()>, None::<&()>, Some(reason))
        })
    }

    /// Somebody took a grant of ours off the list by hand: nobody sees anything by it since then. It stays ours, so that it is
    /// put back only if somebody says so.
    pub fn taken_off(&mut self, lane: &LaneKey, who: &Email, absent: Timestamp, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(lane)? else { return Ok(()) };
            let ended = db.applied_ends(id, who, absent)?;
            // What a person took off is not put back because its time would have been over anyway.
            db.conn.execute("UPDATE owned SET ends = NULL WHERE lane = ?1 AND who = ?2", params![id, who.key()])?;
            if ended == 0 {
                return Ok(());
            }
            let reason = "taken off the folder's list by hand";
            db.audit(at, "grant.off", &format!("{} {who}", db_name(lane)), None::<&()>, None::<&()>, Some(reason))
        })
    }

    /// What was taken off by hand is on the list again, under our own entry.
    pub fn back_on(&mut self, lane: &LaneKey, who: &Email, at: Timestamp) -> Result<()> {
        self.tx(|db| {
            let Some(id) = db.find_lane_id(lane)? else { return Ok(()) };
            let back = db.conn.execute(
                "INSERT INTO applied (lane, who, role, from_at, from_step)
                 SELECT lane, who, role, ?3, step FROM owned o WHERE lane = ?1 AND who = ?2 AND NOT EXISTS
                   (SELECT 1 FROM applied a WHERE a.lane = o.lane AND a.who = o.who AND a.to_at IS NULL)",
                params![id, who.key(), us(at)],
            )?;
            if back == 0 {
                return Ok(());
            }
            let reason = "on the folder's list again";
            db.audit(at, "grant.back", &format!("{} {who}", db_name(lane)), None::<&()>, None::<&()>, Some(reason))
        })
    }

    /// Ends what is applied: when it was gone, or when the target ended it by itself, if that was before.
    fn applied_ends(&self, lane: i64, who: &Email, gone: Timestamp) -> Result<usize> {
        Ok(self.conn.execute(
            "UPDATE applied SET to_at = min(?3, coalesce((SELECT ends FROM owned o WHERE o.lane = ?1 AND o.who = ?2), ?3))
             WHERE lane = ?1 AND who = ?2 AND to_at IS NULL",
            params![lane, who.key(), us(gone)],
        )?)
    }

    /// Grants of ours that somebody took off the list by hand.
    pub fn off_by_hand(&self) -> Result<BTreeMap<LaneKey, BTreeSet<Email>>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, o.address FROM owned o JOIN lane l ON l.id = o.lane WHERE NOT EXISTS
               (SELECT 1 FROM applied a WHERE a.lane = o.lane AND a.who = o.who AND a.to_at IS NULL)",
        )?;
        let mut rows = stmt.query([])?;
        let mut all: BTreeMap<LaneKey, BTreeSet<Email>> = BTreeMap::new();
        while let Some(r) = rows.next()? {
            all.entry(key_of(key_from(r, 0)?)?).or_default().insert(email(&r.get::<_, String>(3)?)?);
        }
        Ok(all)
    }

    pub fn accept_holder(
        &mut self,
        lane: &LaneKey,
        holder: &AcceptedHolder,
        reason: &str,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| {
            let id = db.lane_id(lane, "")?;
            let by = db.actor().name.clone();
            db.conn.execute(
                "INSERT INTO accepted_holder (lane, holder, body, by, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (lane, holder) DO UPDATE SET body = ?3, by = ?4, reason = ?5, at = ?6",
                params![id, to_json(&holder.holder)?, to_json(holder)?, by, reason, us(at)],
            )?;
            db.audit(at, "holder.accept", &db_name(lane), None::<&()>, Some(holder), Some(reason))
        })
    }

    pub fn unaccept_holder(
        &mut self,
        lane: &LaneKey,
        holder: &AcceptedHolder,
        reason: &str,
        at: Timestamp,
    ) -> Result<()> {
        self.tx(|db| {
            let id = db.lane_id(lane, "")?;
            let gone = db.conn.execute(
                "DELETE FROM accepted_holder WHERE lane = ?1 AND holder = ?2",
                params![id, to_json(&holder.holder)?],
            )?;
            if gone == 0 {
                return Err(StoreError::conflict(format!("{} is not accepted there", holder.holder)));
            }
            db.audit(at, "holder.unaccept", &db_name(lane), Some(holder), None::<&()>, Some(reason))
        })
    }

    pub fn accepted(&self) -> Result<BTreeMap<LaneKey, Vec<Accepted>>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT l.target, l.client, l.account, a.body, a.by, a.reason, a.at FROM accepted_holder a JOIN lane l ON l.id = a.lane
             ORDER BY a.lane, a.holder",
        )?;
        let mut rows = stmt.query([])?;
        let mut all: BTreeMap<LaneKey, Vec<Accepted>> = BTreeMap::new();
        while let Some(r) = rows.next()? {
            all.entry(key_of(key_from(r, 0)?)?).or_default().push(Accepted {
                holder: from_json(&r.get::<_, String>(3)?, "an accepted holder")?,
                by: r.get(4)?,
                reason: r.get(5)?,
                at: from_us(r.get(6)?)?,
            });
        }
        Ok(all)
    }
}

/// A lane in the audit trail.
pub(crate) fn db_name(key: &LaneKey) -> String {
    format!("{}:{}", key.target, key.folder)
}

pub(crate) fn email(text: &str) -> Result<Email> {
    Email::parse(text).map_err(|e| StoreError::damaged("an address in the state is none").source(e))
}

pub(crate) fn folder_taken(e: rusqlite::Error, key: &LaneKey) -> StoreError {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            StoreError::conflict(format!("the folder of {} already belongs to another client or account", db_name(key)))
                .next("One folder is one client's. Give this client its own folder.")
                .source(e)
        }
        _ => e.into(),
    }
}

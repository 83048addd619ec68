//! The audit trail: append-only rows in a hash chain, written inside the transaction of what they record (D08, D09).
//!
//! Each row's hash is SHA-256 over the previous hash and the row as canonical JSON (RFC 8785). Editing, removing or
//! reordering rows breaks the chain; a cut tail is seen against the head in the watermark file and in the daily report
//! (`decisions` 35).

use ledgerward_contract::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::{
    Db, Kind, Mark, Restored, Result, StoreError,
    db::{from_json, from_us, to_json, us},
    hex,
};

/// Where the trail ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// 0: nothing was recorded yet.
    pub seq: i64,
    pub hash: String,
}

impl Head {
    /// The head of an empty trail.
    pub fn start() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// One row, as it is exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    /// `noun.verb`: `signin.commit`, `grant.intend`.
    pub act: String,
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub reason: Option<String>,
    pub hash: String,
}

impl Entry {
    /// The hash this row must have after `previous`; `before` and `after` in canonical form. The row's own form is put together in the order of
    /// RFC 8785 (sorted members, no blanks): thousands of rows are written at once when a large firm connects.
    fn hash_with(&self, previous: &str, before: Option<&str>, after: Option<&str>) -> Result<String> {
        let (seq, at) = (self.seq.to_string(), us(self.at).to_string());
        let reason = self.reason.as_deref().map(to_json).transpose()?;
        let text = format!(
            r#"{{"act":{},"actor":{},"after":{},"at":{},"before":{},"reason":{},"seq":{},"subject":{}}}"#,
            to_json(&self.act)?,
            to_json(&self.actor)?,
            after.unwrap_or("null"),
            to_json(&at)?,
            before.unwrap_or("null"),
            reason.as_deref().unwrap_or("null"),
            to_json(&seq)?,
            to_json(&self.subject)?,
        );
        let mut hash = Sha256::new();
        hash.update(previous.as_bytes());
        hash.update(b"\n");
        hash.update(text.as_bytes());
        Ok(hex(&hash.finalize()))
    }
}

/// Rows that the trail had and has not any more, as the watermark said when the state was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The row that says so.
    pub seq: i64,
    pub why: String,
    /// Who took the state as the current one all the same.
    pub confirmed: Option<String>,
}

/// What a check of the whole trail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Whole(Head),
    /// The first row that does not fit, and why.
    Broken {
        seq: i64,
        why: String,
    },
}

impl Db {
    /// Appends one row. Call it inside the transaction of the change, never after it.
    pub fn audit<B: Serialize + ?Sized, A: Serialize + ?Sized>(
        &mut self,
        at: Timestamp,
        act: &str,
        subject: &str,
        before: Option<&B>,
        after: Option<&A>,
        reason: Option<&str>,
    ) -> Result<()> {
        // "Nothing" has one form in a row, the absent one.
        let text = |v: std::result::Result<Value, serde_json::Error>| match v {
            Ok(Value::Null) => Ok(None),
            Ok(v) => canonical(&v).map(Some),
            Err(e) => Err(StoreError::new(Kind::Conflict, "an audit row cannot be stored as JSON").source(e)),
        };
        let before = before.map_or(Ok(None), |b| text(serde_json::to_value(b)))?;
        let after = after.map_or(Ok(None), |a| text(serde_json::to_value(a)))?;
        self.tx_one(|db| {
            let head = db.audit_head()?;
            let mut entry = Entry {
                seq: head.seq + 1,
                at: from_us(us(at))?,
                actor: db.actor().to_string(),
                act: act.to_owned(),
                subject: subject.to_owned(),
                before: None,
                after: None,
                reason: reason.map(str::to_owned),
                hash: String::new(),
            };
            entry.hash = entry.hash_with(&head.hash, before.as_deref(), after.as_deref())?;
            db.conn.prepare_cached(
                "INSERT INTO audit (seq, at, actor, act, subject, before, after, reason, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?.execute(params![
                entry.seq, us(entry.at), entry.actor, entry.act, entry.subject,
                before, after, entry.reason, entry.hash
            ])?;
            db.mark();
            Ok(())
        })
    }

    /// Where the trail ends now.
    pub fn audit_head(&self) -> Result<Head> {
        let row = self
            .conn
            .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
            .query_row([], |r| Ok(Head { seq: r.get(0)?, hash: r.get(1)? }))
            .optional()?;
        Ok(row.unwrap_or_else(Head::start))
    }

    /// Checks every row, and the end against the watermark: the one of now, and what it said each time the state was
    /// opened. What cannot be read is found as well: a byte of the file that was changed may make a row into none.
    pub fn audit_verify(&mut self) -> Result<Verdict> {
        let broken = |(seq, why)| Ok(Verdict::Broken { seq, why });
        let head = match self.audit_walk()? {
            Ok(head) => head,
            Err(fault) => return broken(fault),
        };
        if let Some(mark) = self.watermark.last().cloned()
            && let Some(fault) = self.trail_fault(&mark)?
        {
            return broken(fault);
        }
        match self.losses()?.into_iter().find(|loss| loss.confirmed.is_none()) {
            Some(loss) => broken((loss.seq, loss.why)),
            None => Ok(Verdict::Whole(head)),
        }
    }

    /// What a mark remembers of the trail and the trail does not have.
    pub(crate) fn trail_fault(&self, mark: &Mark) -> Result<Option<Fault>> {
        let head = self.audit_head()?;
        if mark.audit_seq > head.seq {
            let why = format!(
                "the trail ends at row {} but had reached row {}: \
                 its end was cut off, or an older copy was put in place",
                head.seq, mark.audit_seq
            );
            return Ok(Some((head.seq + 1, why)));
        }
        if mark.audit_seq == 0 {
            return Ok(None);
        }
        let hash: Option<String> = self
            .conn
            .prepare_cached("SELECT hash FROM audit WHERE seq = ?1")?
            .query_row([mark.audit_seq], |r| r.get(0))
            .optional()?;
        let why = "the row is not the one that the watermark remembers: the trail was written anew";
        Ok((hash.as_ref() != Some(&mark.audit_hash)).then(|| (mark.audit_seq, why.to_owned())))
    }

    /// What was missing from the trail when the state was opened, oldest first.
    pub fn losses(&self) -> Result<Vec<Loss>> {
        let mut stmt = self.conn.prepare(
            "SELECT seq, act, actor, after FROM audit
             WHERE act IN ('state.restored', 'state.confirm_restored') ORDER BY seq",
        )?;
        let mut rows = stmt.query([])?;
        let mut all: Vec<Loss> = Vec::new();
        while let Some(row) = rows.next()? {
            let (act, actor, after): (String, String, Option<String>) = (row.get(1)?, row.get(2)?, row.get(3)?);
            if act == "state.confirm_restored" {
                all.iter_mut().filter(|l| l.confirmed.is_none()).for_each(|l| l.confirmed = Some(actor.clone()));
                continue;
            }
            let found = after.map(|text| from_json::<Restored>(&text, "a row of the audit trail")).transpose()?;
            if let Some(why) = found.and_then(|r| r.trail) {
                all.push(Loss { seq: row.get(0)?, why, confirmed: None });
            }
        }
        Ok(all)
    }

    /// From the first row to the last, or to the first that does not fit.
    fn audit_walk(&self) -> Result<std::result::Result<Head, Fault>> {
        let mut stmt = self
            .conn
            .prepare("SELECT seq, at, actor, act, subject, before, after, reason, hash FROM audit ORDER BY seq")?;
        let mut head = Head::start();
        let mut rows = stmt.query([])?;
        loop {
            let unreadable = |e: rusqlite::Error| Ok(Err((head.seq + 1, format!("the row cannot be read: {e}"))));
            let row = match rows.next() {
                Ok(None) => return Ok(Ok(head)),
                Ok(Some(row)) => raw(row),
                Err(e) => return unreadable(e),
            };
            let row = match row {
                Ok(row) => row,
                Err(e) => return unreadable(e),
            };
            if let Some(broken) = fault(&row, &head)? {
                return Ok(Err(broken));
            }
            head = Head { seq: row.0, hash: row.8 };
        }
    }

    /// Rows in order: those after row `after`, from `since` on, `limit` at most.
    pub fn audit_page(&self, after: i64, since: Option<Timestamp>, limit: Option<u32>) -> Result<Vec<Entry>> {
        let mut stmt = self.conn.prepare(
            "SELECT seq, at, actor, act, subject, before, after, reason, hash FROM audit
             WHERE seq > ?1 AND at >= ?2 ORDER BY seq LIMIT ?3",
        )?;
        let rows = stmt.query_map(params![after, since.map_or(i64::MIN, us), limit.map_or(-1, i64::from)], raw)?;
        rows.map(|r| r.map_err(StoreError::from).and_then(entry)).collect()
    }

    /// The newest rows, newest first.
    pub fn audit_tail(&self, limit: u32) -> Result<Vec<Entry>> {
        let mut stmt = self.conn.prepare(
            "SELECT seq, at, actor, act, subject, before, after, reason, hash FROM audit ORDER BY seq DESC LIMIT ?1",
        )?;
        let rows = stmt.query_map([limit], raw)?;
        rows.map(|r| r.map_err(StoreError::from).and_then(entry)).collect()
    }
}

/// The row that does not fit, and why.
type Fault = (i64, String);

/// Checks one row as it is stored, so that no two forms of a value pass for one.
fn fault((seq, at, actor, act, subject, before, after, reason, hash): &Raw, head: &Head) -> Result<Option<Fault>> {
    if *seq != head.seq + 1 {
        return Ok(Some((head.seq + 1, format!("row {} is missing", head.seq + 1))));
    }
    let changed = || Some((*seq, "the row, or the one before it, was changed or put in another place".to_owned()));
    let Ok(at) = from_us(*at) else { return Ok(changed()) };
    // "Nothing" is stored as nothing.
    if [before, after].into_iter().any(|v| v.as_deref() == Some("null")) {
        return Ok(changed());
    }
    let row = Entry {
        seq: *seq,
        at,
        actor: actor.clone(),
        act: act.clone(),
        subject: subject.clone(),
        before: None,
        after: None,
        reason: reason.clone(),
        hash: String::new(),
    };
    let expected = row.hash_with(&head.hash, before.as_deref(), after.as_deref())?;
    Ok(if expected == *hash { None } else { changed() })
}

fn canonical(value: &Value) -> Result<String> {
    serde_json_canonicalizer::to_string(value)
        .map_err(|e| StoreError::new(Kind::Conflict, "an audit row has no canonical form").source(e))
}

type Raw = (i64, i64, String, String, String, Option<String>, Option<String>, Option<String>, String);

fn raw(r: &rusqlite::Row<'_>) -> rusqlite::Result<Raw> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?))
}

fn entry((seq, at, actor, act, subject, before, after, reason, hash): Raw) -> Result<Entry> {
    // Values are stored in canonical form. A text in any other form was altered: kept as a text, so that the check names
    // its row.
    let value = |t: Option<String>| {
        t.map(|t| match serde_json::from_str::<Value>(&t) {
            Ok(v) if !v.is_null() && canonical(&v).is_ok_and(|c| c == t) => v,
            _ => Value::String(t),
        })
    };
    Ok(Entry { seq, at: from_us(at)?, actor, act, subject, before: value(before), after: value(after), reason, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form that rows were hashed in from the first version on.
    fn by_the_book(e: &Entry, previous: &str) -> String {
        let body = serde_json::json!({
            "seq": e.seq.to_string(), "at": us(e.at).to_string(), "actor": e.actor, "act": e.act,
            "subject": e.subject, "before": e.before, "after": e.after, "reason": e.reason,
        });
        let mut hash = Sha256::new();
        hash.update(format!("{previous}\n{}", canonical(&body).unwrap()));
        hex(&hash.finalize())
    }

    #[test]
    fn a_row_is_hashed_in_its_canonical_form() {
        let odd = "a \"quoted\" \\ back\u{1} \u{8}\u{c}\n\r\t / \u{7f} \u{2028} \u{20ac} \u{1f600} é";
        let values =
            [None, Some(Value::from(odd)), Some(serde_json::json!({ "b": [1, 2.5, -0.0, 1e21], "a": { odd: true } }))];
        for before in &values {
            for after in &values {
                for reason in [None, Some(odd.to_owned())] {
                    let entry = Entry {
                        seq: 7,
                        at: Timestamp::UNIX_EPOCH,
                        actor: odd.to_owned(),
                        act: "test.row".to_owned(),
                        subject: odd.to_owned(),
                        before: before.clone(),
                        after: after.clone(),
                        reason,
                        hash: String::new(),
                    };
                    let text = |v: &Option<Value>| v.as_ref().map(|v| canonical(v).unwrap());
                    let hash = entry.hash_with("00", text(&entry.before).as_deref(), text(&entry.after).as_deref());
                    assert_eq!(hash.unwrap(), by_the_book(&entry, "00"));
                }
            }
        }
    }
}

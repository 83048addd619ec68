//! The firm as rows, and the log of its changes. A change, its rows and its audit row are one transaction.

use std::collections::BTreeMap;

use ledgerward_contract::{ConnectionName, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    db::{Db, from_json, from_us, from_us_opt, from_word, to_json, us},
    error::{Result, StoreError},
};
use crate::domain::firm::{Firm, PersonId, Selection};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    Staged,
    Published,
    Rejected,
}

/// One line of the firm's own history (`decisions` 28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub id: i64,
    pub op: Value,
    pub author: String,
    /// The person of the firm behind it, where it was one: nobody publishes their own, under whatever name they act.
    pub person: Option<PersonId>,
    pub at: Timestamp,
    pub reason: String,
    pub state: ChangeState,
    /// Who published or rejected it.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
}

impl Change {
    /// As people type it, and as `Cause::Decision` names it: `C-7`.
    pub fn label(&self) -> String {
        format!("C-{}", self.id)
    }
}

type Rows = BTreeMap<(&'static str, String), String>;

/// A selection with its two ids, which the map's key holds in memory.
#[derive(Serialize, Deserialize)]
struct SelectionRow {
    person: PersonId,
    client: ledgerward_contract::ClientId,
    selection: Selection,
}

fn rows(firm: &Firm) -> Result<Rows> {
    // Named field by field, so that a new field of the firm does not compile until it is stored.
    let Firm { name, zone: _, domains, people, clients, selections, guests, pins, policy, roles, groups, offices } =
        firm;
    let mut rows = Rows::new();
    rows.insert(("name", String::new()), to_json(name)?);
    rows.insert(("domains", String::new()), to_json(domains)?);
    rows.insert(("policy", String::new()), to_json(policy)?);
    for (id, person) in people {
        rows.insert(("person", id.0.to_string()), to_json(person)?);
    }
    for (id, client) in clients {
        rows.insert(("client", id.to_string()), to_json(client)?);
    }
    for ((person, client), selection) in selections {
        let row = SelectionRow { person: *person, client: *client, selection: selection.clone() };
        rows.insert(("selection", format!("{}/{client}", person.0)), to_json(&row)?);
    }
    for (n, guest) in guests.iter().enumerate() {
        rows.insert(("guest", format!("{n:06}")), to_json(guest)?);
    }
    for (pin, person) in pins {
        rows.insert(("pin", to_json(pin)?), to_json(&(pin, person))?);
    }
    for (connection, table) in roles {
        rows.insert(("roles", connection.to_string()), to_json(&(connection, table))?);
    }
    for (name, group) in groups {
        rows.insert(("group", name.clone()), to_json(&(name, group))?);
    }
    for (name, office) in offices {
        rows.insert(("office", name.clone()), to_json(&(name, office))?);
    }
    Ok(rows)
}

impl Db {
    /// The firm as published. A state that never had one gives an empty firm.
    pub fn firm(&self) -> Result<Firm> {
        let one = |kind: &str| -> Result<Option<String>> {
            Ok(self.conn.query_row("SELECT body FROM firm_row WHERE kind = ?1", [kind], |r| r.get(0)).optional()?)
        };
        let mut firm = Firm { zone: self.zone.clone(), ..Firm::default() };
        if let Some(text) = one("name")? {
            firm.name = from_json(&text, "the firm's name")?;
        }
        if let Some(text) = one("domains")? {
            firm.domains = from_json(&text, "the firm's domains")?;
        }
        if let Some(text) = one("policy")? {
            firm.policy = from_json(&text, "the firm's policy")?;
        }
        let people: Vec<crate::domain::firm::Person> = self.firm_rows("person")?;
        firm.people = people.into_iter().map(|p| (p.id, p)).collect();
        let clients: Vec<crate::domain::firm::Client> = self.firm_rows("client")?;
        firm.clients = clients.into_iter().map(|c| (c.id, c)).collect();
        let selections: Vec<SelectionRow> = self.firm_rows("selection")?;
        firm.selections = selections.into_iter().map(|s| ((s.person, s.client), s.selection)).collect();
        firm.guests = self.firm_rows("guest")?;
        firm.pins = self.firm_rows("pin")?.into_iter().collect();
        firm.roles = self.firm_rows::<(ConnectionName, _)>("roles")?.into_iter().collect();
        firm.groups = self.firm_rows::<(String, _)>("group")?.into_iter().collect();
        firm.offices = self.firm_rows::<(String, _)>("office")?.into_iter().collect();
        Ok(firm)
    }

    fn firm_rows<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let mut stmt = self.conn.prepare_cached("SELECT body FROM firm_row WHERE kind = ?1 ORDER BY key")?;
        let bodies = stmt.query_map([kind], |r| r.get::<_, String>(0))?;
        bodies.map(|b| from_json(&b?, &format!("a {kind} of the firm"))).collect()
    }

    /// Writes what differs between the two and gives how many rows that were.
    ///
    /// `Conflict` if a row to be changed is no longer as in `before`: somebody else changed it, and nothing is written.
    /// Not for commands: they call [`Db::record_change`]. Pins that a run finds come through here.
    pub fn save_firm_diff(&mut self, before: &Firm, after: &Firm) -> Result<usize> {
        let (old, new) = (rows(before)?, rows(after)?);
        // An empty firm has no rows yet, and its defaults are rows in memory.
        let fresh = |key: &(&str, String)| matches!(key.0, "name" | "domains" | "policy");
        self.tx(|db| {
            let mut changed = 0;
            for key in old.keys().chain(new.keys().filter(|k| !old.contains_key(*k))) {
                let (was, is) = (old.get(key), new.get(key));
                if was == is {
                    continue;
                }
                let (kind, id) = key;
                let stored: Option<String> = db
                    .conn
                    .prepare_cached("SELECT body FROM firm_row WHERE kind = ?1 AND key = ?2")?
                    .query_row(params![kind, id], |r| r.get(0))
                    .optional()?;
                if stored.as_ref() != was && !(stored.is_none() && fresh(key)) {
                    return Err(StoreError::conflict(format!("a {kind} of the firm was changed by somebody else meanwhile"))
                        .next("Look at it again and repeat the command."));
                }
                match is {
                    Some(body) => db.conn.prepare_cached(
                        "INSERT INTO firm_row (kind, key, body) VALUES (?1, ?2, ?3) ON CONFLICT (kind, key) DO UPDATE SET body = ?3",
                    )?.execute(params![kind, id, body])?,
                    None => db
                        .conn
                        .prepare_cached("DELETE FROM firm_row WHERE kind = ?1 AND key = ?2")?
                        .execute(params![kind, id])?,
                };
                changed += 1;
            }
            Ok(changed)
        })
    }

    /// A change that takes effect now: the log, the rows and the audit row, or nothing of it.
    pub fn record_change(
        &mut self,
        op: &Value,
        author: &str,
        reason: &str,
        at: Timestamp,
        before: &Firm,
        after: &Firm,
    ) -> Result<Change> {
        self.tx(|db| {
            let id = db.insert_change(op, author, reason, at, "published", Some(author), Some(at))?;
            db.save_firm_diff(before, after)?;
            let was = difference(before, after)?;
            db.audit(at, "firm.change", &format!("C-{id}"), Some(&was.0), Some(&was.1), Some(reason))?;
            db.change(id)
        })
    }

    /// Many changes that take effect now, as one: a line of the log each, the rows once, one audit row. `person`: who made them,
    /// for whom they are their own.
    #[expect(clippy::too_many_arguments, reason = "one for each column of the row")]
    pub fn record_changes(
        &mut self,
        ops: &[Value],
        author: &str,
        person: Option<PersonId>,
        reason: &str,
        at: Timestamp,
        before: &Firm,
        after: &Firm,
    ) -> Result<Vec<i64>> {
        self.tx(|db| {
            let mut ids = Vec::with_capacity(ops.len());
            for op in ops {
                let id = db.insert_change(op, author, reason, at, "published", Some(author), Some(at))?;
                db.change_of(id, person)?;
                ids.push(id);
            }
            db.save_firm_diff(before, after)?;
            let was = difference(before, after)?;
            let subject = match (ids.first(), ids.last()) {
                (Some(first), Some(last)) if first != last => format!("C-{first}..C-{last}"),
                (Some(first), _) => format!("C-{first}"),
                (None, _) => return Ok(ids),
            };
            db.audit(at, "firm.change", &subject, Some(&was.0), Some(&was.1), Some(reason))?;
            Ok(ids)
        })
    }

    /// A change that waits for somebody to publish it. Nothing but the log is written.
    pub fn stage_change(&mut self, op: &Value, author: &str, reason: &str, at: Timestamp) -> Result<Change> {
        self.stage_change_of(op, author, None, reason, at)
    }

    /// As [`Db::stage_change`], with the person who stages it.
    pub fn stage_change_of(
        &mut self,
        op: &Value,
        author: &str,
        person: Option<PersonId>,
        reason: &str,
        at: Timestamp,
    ) -> Result<Change> {
        self.tx(|db| {
            let id = db.insert_change(op, author, reason, at, "staged", None, None)?;
            db.change_of(id, person)?;
            db.audit(at, "firm.stage", &format!("C-{id}"), None::<&()>, Some(op), Some(reason))?;
            db.change(id)
        })
    }

    fn change_of(&mut self, id: i64, person: Option<PersonId>) -> Result<()> {
        let person = person.map(|p| p.0.to_string());
        self.conn.prepare_cached("UPDATE change SET person = ?2 WHERE id = ?1")?.execute(params![id, person])?;
        Ok(())
    }

    /// Publishes a staged change: the caller has applied its op to `before` again and got `after`.
    pub fn publish_change(&mut self, id: i64, by: &str, at: Timestamp, before: &Firm, after: &Firm) -> Result<Change> {
        self.tx(|db| {
            let change = db.decide_change(id, "published", by, at)?;
            db.take_turn(id)?;
            db.save_firm_diff(before, after)?;
            let was = difference(before, after)?;
            db.audit(at, "firm.publish", &change.label(), Some(&was.0), Some(&was.1), Some(&change.reason))?;
            Ok(change)
        })
    }

    pub fn reject_change(&mut self, id: i64, by: &str, reason: &str, at: Timestamp) -> Result<Change> {
        self.tx(|db| {
            let change = db.decide_change(id, "rejected", by, at)?;
            db.audit(at, "firm.reject", &change.label(), Some(&change.op), None::<&()>, Some(reason))?;
            Ok(change)
        })
    }

    /// A change takes effect, after all others that did.
    fn take_turn(&mut self, id: i64) -> Result<()> {
        let mut stmt = self.conn.prepare_cached(
            "UPDATE change SET turn = 1 + max(coalesce((SELECT max(turn) FROM change), 0), (SELECT max(id) FROM change)) WHERE id = ?1",
        )?;
        stmt.execute([id])?;
        Ok(())
    }

    fn decide_change(&mut self, id: i64, state: &str, by: &str, at: Timestamp) -> Result<Change> {
        let changed = self.conn.execute(
            "UPDATE change SET state = ?2, published_by = ?3, decided_at = ?4 WHERE id = ?1 AND state = 'staged'",
            params![id, state, by, us(at)],
        )?;
        if changed == 0 {
            return Err(
                StoreError::conflict(format!("C-{id} is not a staged change")).next("See `ledgerward changes`.")
            );
        }
        self.change(id)
    }

    #[expect(clippy::too_many_arguments, reason = "one for each column of the row")]
    fn insert_change(
        &mut self,
        op: &Value,
        author: &str,
        reason: &str,
        at: Timestamp,
        state: &str,
        by: Option<&str>,
        decided: Option<Timestamp>,
    ) -> Result<i64> {
        self.conn.execute(
            "INSERT INTO change (op, author, at, reason, state, published_by, decided_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![to_json(op)?, author, us(at), reason, state, by, decided.map(us)],
        )?;
        let id = self.conn.last_insert_rowid();
        if decided.is_some() {
            self.take_turn(id)?;
        }
        Ok(id)
    }

    pub fn change(&self, id: i64) -> Result<Change> {
        self.changes_where("id = ?1", id)?.pop().ok_or_else(|| {
            StoreError::not_found(format!("there is no change C-{id}")).next("See `ledgerward changes`.")
        })
    }

    /// The newest changes first.
    pub fn changes(&self, limit: u32) -> Result<Vec<Change>> {
        self.changes_where("1 ORDER BY id DESC LIMIT ?1", i64::from(limit))
    }

    /// The turn of the change that took effect last; 0 before the first.
    pub fn last_turn(&self) -> Result<i64> {
        Ok(self.conn.query_row("SELECT coalesce(max(turn), 0) FROM change", [], |r| r.get(0))?)
    }

    /// The acts that shut this person or opened them again, in the order in which they took effect, with when.
    pub fn shutting(&self, person: PersonId) -> Result<Vec<(Timestamp, Value)>> {
        let mut stmt = self.conn.prepare_cached(
            "SELECT decided_at, op FROM change WHERE state = 'published' AND json_extract(op, '$.person') = ?1
             AND json_extract(op, '$.op') IN ('set_enabled', 'close_person', 'lift_person') ORDER BY turn",
        )?;
        let mut rows = stmt.query([person.0.to_string()])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push((from_us(r.get(0)?)?, from_json(&r.get::<_, String>(1)?, "a change")?));
        }
        Ok(all)
    }

    /// Changes that took effect after one turn and up to another, in that order: turn, id, act.
    pub fn changes_between(&self, after: i64, to: i64) -> Result<Vec<(i64, i64, Value)>> {
        let mut stmt =
            self.conn.prepare_cached("SELECT turn, id, op FROM change WHERE turn > ?1 AND turn <= ?2 ORDER BY turn")?;
        let mut rows = stmt.query([after, to])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push((r.get(0)?, r.get(1)?, from_json(&r.get::<_, String>(2)?, "a change")?));
        }
        Ok(all)
    }

    pub fn staged_changes(&self) -> Result<Vec<Change>> {
        self.changes_where("state = 'staged' AND id > ?1 ORDER BY id", 0)
    }

    fn changes_where(&self, what: &str, n: i64) -> Result<Vec<Change>> {
        let mut stmt = self.conn.prepare(&format!(
            "SELECT id, op, author, at, reason, state, published_by, decided_at, person FROM change WHERE {what}"
        ))?;
        let mut rows = stmt.query([n])?;
        let mut all = Vec::new();
        while let Some(r) = rows.next()? {
            all.push(Change {
                id: r.get(0)?,
                op: from_json(&r.get::<_, String>(1)?, "a change")?,
                author: r.get(2)?,
                at: from_us(r.get(3)?)?,
                reason: r.get(4)?,
                state: from_word(&r.get::<_, String>(5)?, "a change")?,
                decided_by: r.get(6)?,
                decided_at: from_us_opt(r.get(7)?)?,
                // An id that cannot be read is nobody's, and the name decides.
                person: r.get::<_, Option<String>>(8)?.and_then(|id| id.parse().ok()).map(PersonId),
            });
        }
        Ok(all)
    }
}

/// The rows that differ, before and after, for the audit trail.
fn difference(before: &Firm, after: &Firm) -> Result<(Value, Value)> {
    let (old, new) = (rows(before)?, rows(after)?);
    let only = |a: &Rows, b: &Rows| -> Result<Value> {
        let mut map = serde_json::Map::new();
        for ((kind, id), body) in a.iter().filter(|(k, v)| b.get(*k) != Some(*v)) {
            map.insert(format!("{kind} {id}").trim().to_owned(), from_json(body, "a row of the firm")?);
        }
        Ok(Value::Object(map))
    };
    Ok((only(&old, &new)?, only(&new, &old)?))
}

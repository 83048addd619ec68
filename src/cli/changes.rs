//! `changes`: the firm's own history, and what waits for a second pair of eyes (`product` 5).

use std::{collections::BTreeMap, fmt::Write as _};

use ledgerward_contract::ClientId;
use serde_json::{Value, json};

use super::{
    act,
    args::ChangesAct,
    console::Console,
    cycle::{acting, refused},
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::{App, with_authority},
    domain::{
        change::{self, Actor, By, ChangeOp},
        firm::{Client, Firm, Office, PersonId},
        shift::Shift,
    },
    pack,
    render::{
        plan::{count, time},
        table::table,
    },
    store::{Change, ChangeState, StoreError},
};

pub async fn run(app: &App, console: &mut dyn Console, act: Option<ChangesAct>) -> Result<Report, Failure> {
    match act {
        None => list(app, 20).await,
        Some(ChangesAct::List { limit }) => list(app, limit).await,
        Some(ChangesAct::Show { changes, all }) => show(app, &changes, all).await,
        Some(ChangesAct::Publish { changes, all, digest, yes }) => {
            publish(app, console, &Wish { ids: &changes, all, digest: digest.as_deref(), yes }).await
        }
        Some(ChangesAct::Reject { changes, reason }) => reject(app, changes, reason).await,
    }
}

/// What is to be published, and what of it was shown.
struct Wish<'a> {
    ids: &'a [i64],
    all: bool,
    digest: Option<&'a str>,
    yes: bool,
}

async fn list(app: &App, limit: u32) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let own = act::asking(app, &firm);
    let everything = act::sees_all(app, &firm);
    let (mut rows, staged) = app.store.run(|db| Ok((db.changes(u32::MAX)?, db.staged_changes()?))).await?;
    // Who does not see the firm sees what they did or what is about them, and not even how many others there are.
    let about = |c: &Change, p| c.person == Some(p) || op(c).is_some_and(|op| change::concerns(&op, p));
    let sight = Sight::of(app, &firm);
    let shown = |c: &Change| (everything || own.is_some_and(|p| about(c, p))) && sight.sees(c);
    rows.retain(shown);
    rows.truncate(limit as usize);
    let more: Vec<Change> = staged.iter().filter(|s| shown(s) && !rows.iter().any(|r| r.id == s.id)).cloned().collect();
    rows.extend(more);
    let waiting = staged.iter().filter(|c| sight.sees(c)).count();
    let zone = &app.config.firm.timezone;
    let text = table(
        ["change", "state", "when", "by", "what"],
        rows.iter().map(|c| {
            let what = c.op.get("op").and_then(Value::as_str).unwrap_or("?").replace('_', " ");
            [c.label(), state(c.state).to_owned(), time(c.at, zone), c.author.clone(), what]
        }),
    );
    let values: Vec<Value> = rows
        .iter()
        .map(|c| json!({"id": c.label(), "state": state(c.state), "at": c.at, "author": c.author, "reason": c.reason, "change": c.op}))
        .collect();
    let report = Report::new(Exit::Done, json!({"schema": "ledgerward/changes/1", "changes": values}), text);
    Ok(match waiting {
        n if n > 0 && everything => report.note(format!("{n} wait for an owner: ledgerward changes show --all")),
        _ => report,
    })
}

const fn state(state: ChangeState) -> &'static str {
    match state {
        ChangeState::Staged => "staged",
        ChangeState::Published => "published",
        ChangeState::Rejected => "rejected",
    }
}

/// Who looks at changes: as whom they see, and as whom they publish, which root does for the primary owner.
struct Sight<'f> {
    firm: &'f Firm,
    asking: Option<PersonId>,
    judge: Option<PersonId>,
    name: &'f str,
}

impl<'f> Sight<'f> {
    fn of(app: &'f App, firm: &'f Firm) -> Self {
        let judge = match acting(app, firm) {
            Ok(Actor::Person(id)) => Some(id),
            Ok(Actor::Setup | Actor::Daemon) | Err(_) => None,
        };
        Self { firm, asking: act::asking(app, firm), judge, name: &app.actor.name }
    }

    fn judges(&self, c: &Change) -> bool {
        let other = |op: &ChangeOp| self.judge.is_some_and(|p| change::can_judge(self.firm, op, c.person, p));
        op(c).is_some_and(|op| other(&op))
    }

    /// A private client's changes are its person's alone; what goes beyond it, whoever publishes or published it sees too.
    fn sees(&self, c: &Change) -> bool {
        let text = c.op.to_string();
        let others = |of: &&Client| of.private_to.is_some() && of.private_to != self.asking;
        let hidden = self.firm.clients.values().filter(others).any(|of| text.contains(&of.id.to_string()));
        let decides = c.state == ChangeState::Staged || c.decided_by.as_deref() == Some(self.name);
        !hidden || decides && self.judges(c)
    }

    /// Whose books a client is, where even its name is not for everybody.
    fn client(&self, after: &Firm, id: ClientId) -> String {
        let others = |c: &&Client| c.private_to.is_some() && c.private_to != self.asking;
        match after.clients.get(&id).filter(others) {
            Some(books) => after.open_name(books),
            None => act::slug(after, id),
        }
    }
}

fn op(change: &Change) -> Option<ChangeOp> {
    serde_json::from_value(change.op.clone()).ok()
}

/// Staged changes, what they would do, and the plan of access that follows.
struct Preview {
    /// The firm that it was made for.
    before: Firm,
    changes: Vec<Change>,
    /// What each does, or why it would be refused.
    words: Vec<String>,
    shifts: Vec<Shift>,
    after: Firm,
    /// As whoever looks may name each client of the shifts.
    names: BTreeMap<ClientId, String>,
    /// How many of all are left out, because whoever looks has no say in them.
    left_out: usize,
}

/// `mine`: which of all are looked at. One that somebody named and may not see is not there.
async fn preview(app: &App, ids: &[i64], all: bool, mine: fn(&Sight<'_>, &Change) -> bool) -> Result<Preview, Failure> {
    let ids = ids.to_vec();
    let (before, mut changes) = app
        .store
        .run(move |db| {
            let mut chosen = if all {
                db.staged_changes()?
            } else {
                ids.iter().map(|id| db.change(*id)).collect::<crate::store::Result<Vec<_>>>()?
            };
            chosen.sort_by_key(|c| c.id);
            chosen.dedup_by_key(|c| c.id);
            Ok((db.firm()?, chosen))
        })
        .await?;
    let before = with_authority(before, &app.config.policy.authority);
    let sight = Sight::of(app, &before);
    let waiting = changes.len();
    changes.retain(|c| !all || mine(&sight, c));
    let left_out = waiting - changes.len();
    if let Some(done) = changes.iter().find(|c| c.state != ChangeState::Staged || !sight.sees(c)) {
        return Err(Failure::new(Exit::Failed, format!("{} is not a staged change", done.label()))
            .next("See `ledgerward changes`."));
    }
    // As the widest publisher could do it; who may publish what is asked when it is done.
    let widest = before.people.values().find(|p| p.office == Office::PrimaryOwner).map(|p| p.id);
    let mut after = before.clone();
    let mut words = Vec::new();
    for change in &changes {
        let by = widest.map(|p| By { actor: Actor::Person(p), at: app.now() });
        words.push(match (op(change), by) {
            (Some(op), Some(by)) => match change::foresee(&after, &op, change.person, by) {
                Ok((next, effect)) => {
                    after = next;
                    effect.summary
                }
                Err(r) => format!("would be refused: {r}"),
            },
            _ => "cannot be read by this version".to_owned(),
        });
    }
    let shifts = act::consequences(app, &before, &after).await?;
    let names = shifts.iter().map(|s| s.lane.folder.client).map(|id| (id, sight.client(&after, id))).collect();
    Ok(Preview { before, changes, words, shifts, after, names, left_out })
}

impl Preview {
    /// Of what is published and who gains and loses what by it, the same for whoever looks. To publish approves this, and nothing
    /// that was not shown (`product` 7).
    fn digest(&self) -> Result<String, Failure> {
        let changes: Vec<Value> = self.changes.iter().map(|c| json!({"id": c.label(), "change": c.op})).collect();
        let access: Vec<Value> = self
            .shifts
            .iter()
            .map(|s| json!({"lane": s.lane, "person": s.person, "before": s.before, "after": s.after, "address": s.address}))
            .collect();
        let text = serde_json_canonicalizer::to_string(&json!({"changes": changes, "access": access}));
        let text = text.map_err(|e| Failure::new(Exit::Failed, "a change has no canonical form").cause(&e))?;
        Ok(pack::sha256(text.as_bytes()))
    }

    fn access_json(&self) -> Vec<Value> {
        self.shifts
            .iter()
            .map(|s| {
                let word = |role: Option<ledgerward_contract::FolderRole>| role.map_or(json!("none"), |r| json!(r));
                let mut row = json!({
                    "client": self.client(s), "target": s.lane.target,
                    "account": s.lane.folder.account, "person": self.email(s.person),
                    "before": word(s.before), "after": word(s.after),
                });
                if let (Some(map), Some((goes, comes))) = (row.as_object_mut(), &s.address) {
                    map.insert("address".to_owned(), json!({"before": goes, "after": comes}));
                }
                row
            })
            .collect()
    }

    fn client(&self, s: &Shift) -> String {
        let id = s.lane.folder.client;
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Says how many were left out of all.
    fn note(&self, report: Report, why: &str) -> Report {
        match self.left_out {
            0 => report,
            n => report.note(format!("{} left out: {why}.", count(n, "change"))),
        }
    }

    fn email(&self, id: PersonId) -> String {
        let person = self.after.people.get(&id).or_else(|| self.before.people.get(&id));
        person.map_or_else(|| id.0.to_string(), |p| p.email.to_string())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (change, words) in self.changes.iter().zip(&self.words) {
            let _ = writeln!(text, "{}  {}: {words} ({})", change.label(), change.author, change.reason);
        }
        text + &self.access_text()
    }

    fn access_text(&self) -> String {
        let mut text = String::new();
        for s in &self.shifts {
            let word = if s.gains() {
                "gains"
            } else if s.loses() {
                "loses"
            } else {
                "changes"
            };
            let account = s.lane.folder.account.as_ref().map_or_else(String::new, |a| format!(" (account {a})"));
            let client = self.client(s);
            let target = &s.lane.target;
            let _ = match &s.address {
                Some((goes, comes)) => {
                    writeln!(text, "  {comes} gets in instead of {goes}: {client}{account} on {target}")
                }
                None => writeln!(text, "  {} {word} {client}{account} on {target}", self.email(s.person)),
            };
        }
        if self.shifts.is_empty() {
            text.push_str("  Nobody gains or loses a folder by it.\n");
        }
        text
    }
}

/// Why a change that waits is not among all that are published.
const LEFT_OUT: &str = "your own change another owner publishes, what somebody does within their private books is theirs alone, and break-glass access whose asker is disabled or closed since can only be rejected";

/// And not among all that are shown.
const UNSEEN: &str = "changes of private books are their person's, and those that wait for an owner an owner's";

async fn show(app: &App, ids: &[i64], all: bool) -> Result<Report, Failure> {
    let preview = preview(app, ids, all, |sight, c| sight.sees(c)).await?;
    // Of what this person can publish of it: one of their own is among what is shown, and not among what they publish.
    let judged = if all { Some(self::preview(app, ids, all, |sight, c| sight.judges(c)).await?) } else { None };
    let mine = judged.as_ref().unwrap_or(&preview);
    let digest = mine.digest()?;
    if preview.changes.is_empty() {
        let json = json!({"schema": "ledgerward/changes-show/1", "changes": [], "access": [], "digest": digest});
        return Ok(preview.note(Report::new(Exit::Done, json, "Nothing waits to be published.\n"), UNSEEN));
    }
    let changes: Vec<Value> = preview
        .changes
        .iter()
        .zip(&preview.words)
        .map(|(c, words)| json!({"id": c.label(), "author": c.author, "reason": c.reason, "does": words, "change": c.op}))
        .collect();
    let json = json!({"schema": "ledgerward/changes-show/1", "changes": changes, "access": preview.access_json(), "digest": digest});
    let short: String = digest.chars().take(12).collect();
    let which = if all { "--all".to_owned() } else { labels(&preview) };
    let report = preview
        .note(Report::new(Exit::Done, json, preview.text()), UNSEEN)
        .note("From what the last pull read. All or some: ledgerward changes publish C-…");
    let what = match (mine.changes.len(), preview.changes.len()) {
        (0, _) => return Ok(report),
        (n, all) if n == all => "Just what is shown".to_owned(),
        (n, _) => format!("The {n} of these that you can publish"),
    };
    Ok(report.note(format!("{what}: ledgerward changes publish {which} --digest {short}")))
}

/// Each change is tried again against the firm of now, with the publisher's rights; one that is refused publishes none. The
/// firm must still be the one that the plan of access was shown for.
async fn publish(app: &App, console: &mut dyn Console, wish: &Wish<'_>) -> Result<Report, Failure> {
    let look = || preview(app, wish.ids, wish.all, |sight, c| sight.judges(c));
    let shown = look().await?;
    let digest = shown.digest()?;
    if wish.digest.is_some_and(|d| !digest.starts_with(d)) {
        return Err(another());
    }
    if shown.changes.is_empty() && shown.left_out > 0 {
        let message = format!("of {} that wait you can publish none", count(shown.left_out, "change"));
        return Err(Failure::new(Exit::Failed, message).next(format!("Because {LEFT_OUT}.")));
    }
    if shown.changes.is_empty() {
        let json = json!({"schema": "ledgerward/change/1", "changes": [], "staged": [], "access": []});
        return Ok(Report::new(Exit::Done, json, "Nothing waits to be published.\n"));
    }
    // Nobody publishes all of what they never saw: without a digest it is shown here, before it is done.
    let asks = console.interactive() && !wish.yes;
    if asks || (wish.all && wish.digest.is_none()) {
        console.note(&shown.text());
    }
    if asks {
        let answer = console.ask("Publish this? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            let json = json!({"schema": "ledgerward/change/1", "changes": [], "staged": [], "access": []});
            return Ok(Report::new(Exit::Done, json, "Nothing was published.\n"));
        }
        // Somebody may have thought about it for an hour.
        if look().await?.digest()? != digest {
            return Err(another());
        }
    }
    let (now, name) = (app.now(), app.actor.name.clone());
    let by = By { actor: acting(app, &shown.before)?, at: now };
    let (before, chosen) = (shown.before.clone(), shown.changes.clone());
    // Every way out of privacy is recorded for itself, with whom it opens the books to.
    let mut opened = BTreeMap::new();
    for change in &chosen {
        let ops: Vec<ChangeOp> = op(change).into_iter().collect();
        opened.insert(change.id, act::opened(app, &before, &shown.after, &ops).await?);
    }
    let authority = app.config.policy.authority.clone();
    // To publish approves what somebody was shown, here or under its digest, and nothing else: what is printed while it is
    // done was looked at by nobody.
    let seen = asks || wish.digest.is_some();
    let shifts = if seen { shown.shifts.clone() } else { Vec::new() };
    let effects = app
        .store
        .run(move |db| {
            db.tx(|db| {
                let (mut at, mut effects) = (with_authority(db.firm()?, &authority), Vec::new());
                if at != before {
                    return Err(StoreError::conflict("the firm was changed meanwhile, so this is not what was shown")
                        .next("Look again: ledgerward changes show"));
                }
                for staged in &chosen {
                    let (next, effect) = published(staged, &at, &name, by)?;
                    db.publish_change(staged.id, &name, now, &at, &next)?;
                    db.api_tokens_end(&at, &next, now)?;
                    for (slug, what) in opened.get(&staged.id).into_iter().flatten() {
                        db.audit(now, "private.opened", slug, None::<&()>, Some(what), Some(&staged.reason))?;
                    }
                    at = next;
                    effects.push(effect);
                }
                crate::shown::publish(db, &shifts, &at, now)?;
                Ok(effects)
            })
        })
        .await?;
    let mut report = act::tell(act::Acted { effects, staged: Vec::new(), opened: Vec::new() });
    report.text.push_str(&shown.access_text());
    if let Some(map) = report.json.as_object_mut() {
        map.insert("access".to_owned(), Value::from(shown.access_json()));
    }
    Ok(shown.note(report, LEFT_OUT))
}

fn another() -> Failure {
    Failure::new(
        Exit::Failed,
        "this is not what was shown: the changes that wait, or who would gain and lose by them, are others now",
    )
    .fault(Fault::Conflict)
    .next("Look again: ledgerward changes show")
}

fn labels(preview: &Preview) -> String {
    preview.changes.iter().map(Change::label).collect::<Vec<_>>().join(" ")
}

fn published(staged: &Change, at: &Firm, name: &str, by: By) -> crate::store::Result<(Firm, change::Effect)> {
    let label = staged.label();
    // A change of an older state names its author and not the person.
    if staged.person.is_none() && staged.author == name {
        return Err(StoreError::conflict(format!("{label} is your own change"))
            .next("Four eyes: another owner must publish it."));
    }
    let op = op(staged).ok_or_else(|| StoreError::conflict(format!("{label} cannot be read by this version")))?;
    change::publish(at, &op, staged.person, by).map_err(|r| {
        StoreError::conflict(format!("{label}: {}", r.message)).next(format!("{} Nothing was published.", r.next))
    })
}

/// Rejecting needs who may publish; whoever staged a change may take it back.
async fn reject(app: &App, ids: Vec<i64>, reason: String) -> Result<Report, Failure> {
    let firm = app.store.run(|db| db.firm()).await?;
    let Actor::Person(own) = acting(app, &firm)? else {
        return Err(Failure::new(Exit::Failed, "only a person rejects a change").next("Say who acts: --as EMAIL"));
    };
    let wanted = ids.clone();
    let own_alone = app
        .store
        .run(move |db| Ok(wanted.iter().all(|id| db.change(*id).is_ok_and(|c| c.person == Some(own)))))
        .await?;
    // Nor does anybody learn which changes of others there are.
    if !own_alone {
        change::require(&firm, own, crate::domain::office::Permission::Publish).map_err(refused)?;
    }
    let (now, name) = (app.now(), app.actor.name.clone());
    let labels: Vec<String> = app
        .store
        .run(move |db| {
            db.tx(|db| ids.iter().map(|id| Ok(db.reject_change(*id, &name, &reason, now)?.label())).collect())
        })
        .await?;
    let json = json!({"schema": "ledgerward/rejected/1", "changes": labels});
    Ok(Report::new(Exit::Done, json, format!("Rejected {}.\n", labels.join(", "))))
}

//! `review`: the quarterly sign-off of who sees what (`product` 8). A sheet for each reviewer goes out, decisions come back
//! and become changes of the firm, and what was signed off is sealed as a chain that can be checked offline.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use ledgerward_contract::{ClientId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    access::{self, Filter},
    act,
    args::{ClientArg, ReviewAct},
    audit::verify_pack,
    console::Console,
    file,
    gate::SIGN_OFF,
    leaver::evidence,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp},
        firm::{Firm, Office, PersonId},
        policy::{Answer, Decider},
    },
    memory,
    pack::{self, Link, Pack, Sealed},
    render::plan::{count, time},
    store::{self, Change, ChangeState, Db},
};

mod sheet;

const REVIEWS: &str = "review";
/// The packs of sealed reviews, by name: whoever lost theirs gets the very same bytes.
const PACKS: &str = "review_pack";

/// One review with everything that was decided in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Review {
    name: String,
    started: Timestamp,
    by: String,
    items: Vec<Item>,
    /// Start, imports, seal: each over the one before it.
    links: Vec<Link>,
    seal: Option<String>,
}

/// One person and one client, as it was when the review began.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item {
    row: usize,
    /// The address of whoever signs this line off.
    reviewer: String,
    /// `None`: a grant of ours under an address that is nobody's of the firm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<PersonId>,
    name: String,
    email: String,
    client: ClientId,
    slug: String,
    client_name: String,
    folders: Vec<String>,
    because: String,
    source: String,
    since: Option<Timestamp>,
    decision: Option<Decision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decision {
    keep: bool,
    note: String,
    by: String,
    at: Timestamp,
}

impl Decision {
    const fn word(&self) -> &'static str {
        if self.keep { "keep" } else { "remove" }
    }
}

impl Review {
    fn undecided(&self) -> usize {
        self.items.iter().filter(|i| i.decision.is_none()).count()
    }

    fn link(&mut self, body: Value) -> Result<(), Failure> {
        let start = "0".repeat(64);
        let previous = self.links.last().map_or(start.as_str(), |l| l.hash.as_str());
        let link = Link::after(previous, body)?;
        self.links.push(link);
        Ok(())
    }

    fn head(&self) -> &str {
        self.links.last().map_or("", |l| l.hash.as_str())
    }
}

pub async fn run(app: &App, console: &mut dyn Console, act: Option<ReviewAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if !act::sees_all(app, &firm) {
        return Err(Failure::new(Exit::Failed, "reviews are for those who may see everybody's access")
            .next("Ask an owner or administrator of the firm."));
    }
    match act {
        None | Some(ReviewAct::List) => list(app).await,
        Some(ReviewAct::Start { name, reviewers }) => start(app, &firm, &name, &reviewers).await,
        Some(ReviewAct::Export { name, out }) => export(&load(app, &name).await?, &out).await,
        Some(ReviewAct::Import { name, file }) => {
            let review = load(app, &name).await?;
            import(app, &firm, review, &file::read(&file, console)?).await
        }
        Some(ReviewAct::Seal { name, out }) => seal(app, &firm, load(app, &name).await?, out.as_deref()).await,
        Some(ReviewAct::Pack { name, out }) => pack(app, load(app, &name).await?, &out).await,
        Some(ReviewAct::Verify { dir }) => verify_pack(&dir),
    }
}

async fn load(app: &App, name: &str) -> Result<Review, Failure> {
    let key = name.to_owned();
    let found: Option<Review> = app.store.run(move |db| db.doc_get(REVIEWS, &key)).await?;
    found.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("there is no review \"{name}\""))
            .fault(Fault::Missing)
            .next("See: ledgerward review list")
    })
}

/// The review and a row of the audit trail with the head of its chain, together.
async fn save(app: &App, review: &Review, act: &'static str, told: Value) -> Result<(), Failure> {
    let (now, kept) = (app.now(), review.clone());
    Ok(app.store.run(move |db| db.tx(|db| keep(db, &kept, act, told, now))).await?)
}

/// `told`: what the row says beside the chain.
fn keep(db: &mut Db, review: &Review, act: &str, told: Value, now: Timestamp) -> store::Result<()> {
    let mut row = json!({"chain": review.head(), "undecided": review.undecided().to_string()});
    if let (Some(row), Value::Object(told)) = (row.as_object_mut(), told) {
        row.extend(told);
    }
    db.doc_put(REVIEWS, &review.name, review)?;
    db.audit(now, act, &review.name, None::<&()>, Some(&row), None)
}

async fn start(app: &App, firm: &Firm, name: &str, reviewers: &[String]) -> Result<Report, Failure> {
    let key = name.to_owned();
    if app.store.run(move |db| db.doc_get::<Value>(REVIEWS, &key)).await?.is_some() {
        return Err(Failure::new(Exit::Failed, format!("there is a review \"{name}\" already"))
            .next("Give this one another name."));
    }
    let owner = firm.people.values().find(|p| p.office == Office::PrimaryOwner);
    let owner = owner.map_or_else(|| app.actor.name.clone(), |p| p.email.to_string());
    let (of, behalf) = assigned(app, firm, reviewers)?;
    let matrix = access::now(app, firm, &Filter::new(app, firm, None, None).await?).await?;
    let mut items: BTreeMap<(String, String), Item> = BTreeMap::new();
    for row in matrix.rows {
        let client = firm.clients.values().find(|c| c.slug == row.client.slug && c.private_to.is_none());
        let person = row.person.id.parse().ok().map(PersonId);
        let Some(client) = client else { continue };
        let folder = match &row.account {
            Some(account) => format!("{} ({account}): {}, {}", row.target, row.role, row.state.words()),
            None => format!("{}: {}, {}", row.target, row.role, row.state.words()),
        };
        let item = items.entry((client.slug.clone(), row.person.email.clone())).or_insert_with(|| Item {
            row: 0,
            reviewer: of.get(&client.id).unwrap_or(&owner).clone(),
            person,
            name: row.person.name.clone(),
            email: row.person.email.clone(),
            client: client.id,
            slug: client.slug.clone(),
            client_name: client.name.clone(),
            folders: Vec::new(),
            because: row.because.clone(),
            source: row.source.clone().unwrap_or_default(),
            since: row.since,
            decision: None,
        });
        item.folders.push(folder);
    }
    let mut items: Vec<Item> = items.into_values().collect();
    items.sort_by(|a, b| (&a.reviewer, &a.slug, &a.email).cmp(&(&b.reviewer, &b.slug, &b.email)));
    for (n, item) in (1..).zip(&mut items) {
        item.row = n;
    }
    let head = app.store.run(|db| db.audit_head()).await?;
    let (started, by) = (app.now(), app.actor.name.clone());
    let mut review = Review { name: name.to_owned(), started, by, items, links: Vec::new(), seal: None };
    let body = json!({
        "act": "start", "name": name, "at": started, "by": review.by, "items": review.items,
        "audit": {"seq": head.seq.to_string(), "hash": head.hash},
    });
    review.link(body)?;
    save(app, &review, "review.start", json!({})).await?;
    let sheets: BTreeSet<&String> = review.items.iter().map(|i| &i.reviewer).collect();
    let text = format!("{name}: {} for {}.\n", count(review.items.len(), "line"), count(sheets.len(), "reviewer"));
    let mut report = Report::new(Exit::Done, summary(&review), text);
    for reviewer in behalf {
        report = report.note(format!("{reviewer} cannot import a sheet: an owner brings theirs in."));
    }
    Ok(report.note(format!("Next: ledgerward review export {name} --out DIR")))
}

/// An owner signs off for others; root stands in for the primary owner.
fn decides_for_others(app: &App, firm: &Firm) -> bool {
    app.acting_person(firm).is_none_or(|p| matches!(p.office, Office::PrimaryOwner | Office::Owner))
}

/// `PERSON=CLIENT,CLIENT`: who signs off which client. The rest is the primary owner's. With it, the reviewers whose sheet an
/// owner brings in.
fn assigned(
    app: &App,
    firm: &Firm,
    typed: &[String],
) -> Result<(BTreeMap<ClientId, String>, BTreeSet<String>), Failure> {
    let (mut of, mut behalf) = (BTreeMap::new(), BTreeSet::new());
    for one in typed {
        let Some((person, clients)) = one.split_once('=') else {
            return Err(Failure::new(Exit::Usage, format!("\"{one}\" names no clients"))
                .next("Write it like: --reviewer ana=acme-ltd,birch-llp"));
        };
        let person = act::person(app, firm, person)?;
        let signs = SIGN_OFF.iter().try_for_each(|p| change::require(firm, person.id, *p));
        // Who cannot bring their own sheet in would look at it for nothing, unless an owner does it on their behalf.
        if decides_for_others(app, firm) {
            change::enabled(firm, person.id).map_err(super::cycle::refused)?;
            behalf.extend(signs.is_err().then(|| person.email.to_string()));
        } else {
            signs.map_err(|r| {
                Failure::new(Exit::Failed, format!("{} cannot sign off: {}", person.email, r.message)).next(
                    "Name somebody whose role has read-all and selections for the whole firm. Nothing was started.",
                )
            })?;
        }
        let clients: Vec<ClientArg> = clients.split(',').map(|c| ClientArg(c.trim().to_owned())).collect();
        for client in act::clients(app, firm, &clients)? {
            let email = person.email.to_string();
            if let Some(other) = of.insert(client.id, email.clone()).filter(|other| *other != email) {
                return Err(Failure::new(Exit::Usage, format!("{} is given to {other} and to {email}", client.slug))
                    .next("Each client is signed off by one reviewer: name it once. Nothing was started."));
            }
        }
    }
    Ok((of, behalf))
}

async fn export(review: &Review, out: &Path) -> Result<Report, Failure> {
    let mut files = sheet::sheets(review)?;
    let reviewers: BTreeSet<&String> = review.items.iter().map(|i| &i.reviewer).collect();
    for reviewer in reviewers {
        let bytes = sheet::workbook(review, reviewer)
            .map_err(|e| Failure::new(Exit::Failed, "a sheet could not be made").cause(&e))?;
        files.insert(format!("{reviewer}.xlsx"), bytes);
    }
    let given = file::given(out);
    let mut text = String::new();
    if given {
        let _ = writeln!(text, "{} are in the --json answer.", count(files.len(), "file"));
    } else {
        put(out, &files, &mut text)?;
    }
    let values = pack::told(&files, given);
    let json = json!({"schema": "ledgerward/review-export/1", "review": review.name, "files": values});
    Ok(Report::new(Exit::Done, json, text).note(format!(
        "Reviewers write keep or remove into \"decision\". Then, saved as CSV: ledgerward review import {} FILE",
        review.name
    )))
}

fn put(out: &Path, files: &BTreeMap<String, Vec<u8>>, text: &mut String) -> Result<(), Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Failed, format!("{} cannot be written", out.display())).cause(&e);
    std::fs::create_dir_all(out).map_err(failed)?;
    for (name, bytes) in files {
        let to = out.join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(|e| {
            failed(e).next("Nothing is ever written over: name another directory, or move the old sheets away.")
        })?;
        std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
        let _ = writeln!(text, "{}", to.display());
    }
    Ok(())
}

async fn import(app: &App, firm: &Firm, mut review: Review, bytes: &[u8]) -> Result<Report, Failure> {
    open(&review)?;
    let found = sheet::decisions(&review, bytes)?;
    let on_behalf_of = signer(app, firm, &review, &found)?;
    let staged = staged(app).await?;
    let (now, by) = (app.now(), app.actor.name.clone());
    let reason = reason_of(&review);
    let (mut ops, mut by_hand, mut taken_back, mut fresh) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for item in &mut review.items {
        let Some((keep, note)) = found.get(&item.row) else { continue };
        let removed = if *keep { Ok(Vec::new()) } else { removal(firm, item) };
        if let Err(line) = &removed {
            by_hand.push(line.clone());
        }
        // The same sheet again is no second decision.
        if item.decision.as_ref().is_some_and(|d| d.keep == *keep && d.note == *note) {
            continue;
        }
        fresh += 1;
        if *keep {
            let ours = staged.iter().filter(|(op, waits)| waits.reason == reason && takes(op, item));
            taken_back.extend(ours.map(|(_, waits)| (waits.id, waits.label())));
        }
        item.decision = Some(Decision { keep: *keep, note: note.clone(), by: by.clone(), at: now });
        ops.extend(removed.into_iter().flatten().filter(|op| !staged.iter().any(|(waits, _)| waits == op)));
    }
    let too_late = too_late(app, firm, &review).await?;
    by_hand.extend(too_late.into_iter().filter(|(item, _)| found.contains_key(&item.row)).map(|(_, line)| line));
    if fresh == 0 {
        let text = format!("Nothing new: every decision of this sheet was taken in before.\n{}", lines(&by_hand));
        return Ok(Report::new(partly(&by_hand), told(&review, &[], &by_hand), text));
    }
    let acted = act::act(app, ops, &reason).await?;
    let rows: Vec<Value> = found
        .iter()
        .map(|(row, (keep, note))| {
            json!({"row": row.to_string(), "decision": if *keep { "keep" } else { "remove" }, "note": note})
        })
        .collect();
    review.link(json!({
        "act": "import", "at": now, "by": by, "on_behalf_of": on_behalf_of, "sha256": pack::sha256(bytes), "decisions": rows,
        "staged": acted.staged, "rejected": taken_back.iter().map(|(_, label)| label).collect::<Vec<_>>(),
    }))?;
    let (kept, back, who) = (review.clone(), taken_back.clone(), app.actor.name.clone());
    // What was decided otherwise since waits for nobody any more: the decision and its end are one.
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (change, _) in &back {
                    db.reject_change(*change, &who, &format!("{reason}: decided otherwise"), now)?;
                }
                keep(db, &kept, "review.import", json!({"on_behalf_of": on_behalf_of}), now)
            })
        })
        .await?;
    let removed = found.values().filter(|(keep, _)| !keep).count();
    let text = format!(
        "{}: {} kept, {removed} to be removed, {} not decided yet.\n{}",
        count(found.len(), "decision"),
        found.len() - removed,
        review.undecided(),
        lines(&by_hand)
    );
    let changed = acted.effects.iter().any(|e| e.changed);
    let mut report = Report::new(partly(&by_hand), told(&review, &acted.staged, &by_hand), text);
    if !taken_back.is_empty() {
        let labels: Vec<&str> = taken_back.iter().map(|(_, label)| label.as_str()).collect();
        report = report.note(format!("Decided to be kept after all, and so rejected: {}.", labels.join(", ")));
    }
    Ok(act::with_next(report, changed, &acted.staged))
}

/// Whose lines of a sheet these are, as far as they are not the one's own who brings it: only an owner decides for others.
/// Root stands in for the primary owner, and is no reviewer.
fn signer(
    app: &App,
    firm: &Firm,
    review: &Review,
    found: &BTreeMap<usize, (bool, String)>,
) -> Result<BTreeSet<String>, Failure> {
    let acting = app.acting_person(firm);
    let own = acting.map(|p| p.email.to_string());
    let decided = review.items.iter().filter(|i| found.contains_key(&i.row));
    let others: BTreeSet<String> = decided.map(|i| i.reviewer.clone()).filter(|r| own.as_ref() != Some(r)).collect();
    match (others.first(), own) {
        (Some(reviewer), Some(own)) if !decides_for_others(app, firm) => {
            Err(Failure::new(Exit::Failed, format!("{own} may not sign off for {reviewer}"))
                .fault(Fault::Denied)
                .next("Nothing was changed. A sheet is imported by its own reviewer, or by an owner on their behalf."))
        }
        _ => Ok(others),
    }
}

/// Changes that wait for an owner.
async fn staged(app: &App) -> Result<Vec<(ChangeOp, Change)>, Failure> {
    let changes = app.store.run(|db| db.staged_changes()).await?;
    Ok(changes.into_iter().filter_map(|c| Some((serde_json::from_value(c.op.clone()).ok()?, c))).collect())
}

/// The reason of the changes that a review makes.
fn reason_of(review: &Review) -> String {
    format!("review {}", review.name)
}

/// Whether a change takes away what a line is about.
fn takes(op: &ChangeOp, item: &Item) -> bool {
    match op {
        ChangeOp::Unselect { person, client } | ChangeOp::EndGuest { person, client } => {
            (Some(*person), *client) == (item.person, item.client)
        }
        _ => false,
    }
}

/// Decisions to keep that came too late: this review had taken the access away by then, and it was not given back. A line each,
/// with what gives it back.
async fn too_late<'r>(app: &App, firm: &Firm, review: &'r Review) -> Result<Vec<(&'r Item, String)>, Failure> {
    let reason = reason_of(review);
    let done = app.store.run(|db| db.changes(u32::MAX)).await?;
    let done = done.into_iter().filter(|c| c.state == ChangeState::Published && c.reason == reason);
    let mut ops: Vec<ChangeOp> = Vec::new();
    for op in done.filter_map(|c| serde_json::from_value(c.op).ok()) {
        if !ops.contains(&op) {
            ops.push(op);
        }
    }
    let kept = review.items.iter().filter(|i| i.decision.as_ref().is_some_and(|d| d.keep));
    let line = |item: &Item, op: &ChangeOp| {
        let (row, email, slug) = (item.row, &item.email, &item.slug);
        let again = match op {
            ChangeOp::Unselect { person, client } if !firm.selections.contains_key(&(*person, *client)) => {
                format!("ledgerward select {email} {slug}")
            }
            ChangeOp::EndGuest { person, client }
                if !firm.guests.iter().any(|g| (g.person, g.client) == (*person, *client)) =>
            {
                format!("ledgerward guests add {email} {slug} --until … --reason …")
            }
            _ => return None,
        };
        Some(format!("row {row}: {email} lost {slug} by an earlier decision of this review. To give it back: {again}"))
    };
    let lines = kept.flat_map(|item| {
        ops.iter().filter(|op| takes(op, item)).filter_map(move |op| Some((item, line(item, op)?))).collect::<Vec<_>>()
    });
    Ok(lines.collect())
}

/// Decisions to remove that took nothing away: by the firm of now the person still sees the client. A line each, with why.
async fn undone<'r>(app: &App, firm: &Firm, review: &'r Review) -> Result<Vec<(&'r Item, String)>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let decider = Decider::new(firm, &facts, &[], app.now());
    let staged = staged(app).await?;
    let owned = app.store.run(|db| db.owned()).await?;
    let ours = |item: &Item| {
        let lanes = owned.iter().filter(|(lane, _)| lane.folder.client == item.client);
        lanes.flat_map(|(_, rows)| rows).any(|o| o.grant.who.to_string() == item.email)
    };
    let removed = review.items.iter().filter(|i| i.decision.as_ref().is_some_and(|d| !d.keep));
    let sees = removed.filter(|i| match i.person {
        Some(person) => decider.judge(person, i.client).answer != Answer::No,
        None => ours(i),
    });
    let why = |item: &Item| {
        let ops = removal(firm, item)?;
        let (row, email, slug) = (item.row, &item.email, &item.slug);
        Ok::<_, String>(match staged.iter().find(|(op, _)| ops.contains(op)) {
            Some((_, waits)) => {
                format!("row {row}: {email} {slug} waits for an owner: ledgerward changes publish {}", waits.label())
            }
            None => format!("row {row}: {email} still sees {slug}: ledgerward why {email} {slug}"),
        })
    };
    Ok(sees.map(|i| (i, why(i).unwrap_or_else(|line| line))).collect())
}

fn lines(all: &[String]) -> String {
    all.iter().map(|line| format!("  {line}\n")).collect()
}

const fn partly(by_hand: &[String]) -> Exit {
    if by_hand.is_empty() { Exit::Done } else { Exit::Partly }
}

fn told(review: &Review, staged: &[String], by_hand: &[String]) -> Value {
    let mut json = summary(review);
    if let Some(map) = json.as_object_mut() {
        map.insert("staged".to_owned(), json!(staged));
        map.insert("by_hand".to_owned(), json!(by_hand));
    }
    json
}

/// The acts that take this line's access away, or why no act of a selection can.
fn removal(firm: &Firm, item: &Item) -> Result<Vec<ChangeOp>, String> {
    let client = item.client;
    let Some(person) = item.person else {
        return Err(format!(
            "row {}: {} is nobody of the firm, so no selection takes it away. The next sync does where the client is active; else: \
             ledgerward holders list --client {}",
            item.row, item.email, item.slug
        ));
    };
    let mut ops = Vec::new();
    if firm.selections.contains_key(&(person, client)) {
        ops.push(ChangeOp::Unselect { person, client });
    }
    if firm.guests.iter().any(|g| (g.person, g.client) == (person, client)) {
        ops.push(ChangeOp::EndGuest { person, client });
    }
    let mode = firm.people.get(&person).map(|p| p.mode);
    match mode {
        Some(mode) if !mode.needs_selection() => Err(format!(
            "row {}: mode {} gives {} {}, so no selection takes it away: ledgerward people mode {} ledger+selected",
            item.row,
            mode.slug(),
            item.email,
            item.slug,
            item.email
        )),
        _ => Ok(ops),
    }
}

fn open(review: &Review) -> Result<(), Failure> {
    match &review.seal {
        None => Ok(()),
        Some(seal) => Err(Failure::new(Exit::Failed, format!("{} is sealed: {seal}", review.name))
            .next("Begin another one: ledgerward review start NAME")),
    }
}

async fn seal(app: &App, firm: &Firm, mut review: Review, out: Option<&Path>) -> Result<Report, Failure> {
    open(&review)?;
    if review.undecided() > 0 {
        return Err(Failure::new(Exit::Failed, format!("{} not decided yet", count(review.undecided(), "line")))
            .next(format!("See: ledgerward review list. Then: ledgerward review import {} FILE", review.name)));
    }
    let undone = undone(app, firm, &review).await?;
    let mut files = sheet::sheets(&review)?;
    files.insert("not-removed.csv".to_owned(), sheet::not_so(&undone)?);
    let too_late = too_late(app, firm, &review).await?;
    files.insert("not-kept.csv".to_owned(), sheet::not_so(&too_late)?);
    let mut still_open: Vec<String> = undone.into_iter().map(|(_, line)| line).collect();
    let not_kept: Vec<String> = too_late.into_iter().map(|(_, line)| line).collect();
    let (now, by) = (app.now(), app.actor.name.clone());
    review.link(json!({"act": "seal", "at": now, "by": by, "items": review.items, "not_removed": still_open, "not_kept": not_kept}))?;
    let chain: Vec<String> = review
        .links
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|e| Failure::new(Exit::Failed, "the chain cannot be written down").cause(&e))?;
    files.insert(pack::CHAIN.to_owned(), format!("{}\n", chain.join("\n")).into_bytes());
    let head = app.store.run(|db| db.audit_head()).await?;
    let sealed = pack::seal(Pack {
        kind: "review",
        subject: review.name.clone(),
        made: app.now(),
        by: app.actor.name.clone(),
        head,
        files,
    })?;
    // A directory that cannot be written leaves the review open.
    if let Some(dir) = out.filter(|out| !file::given(out)) {
        evidence::write(dir, sealed.clone()).await?;
    }
    review.seal = Some(sealed.seal.clone());
    let (kept, row, whole) = (sealed.clone(), evidence::seal_row(&sealed), review.clone());
    let open = json!({"not_removed": still_open.len().to_string(), "not_kept": not_kept.len().to_string()});
    // Both or neither: a review that says it is sealed has its pack.
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.doc_put(PACKS, &kept.subject, &kept)?;
                db.audit(now, "pack.seal", &kept.subject, None::<&()>, Some(&row), None)?;
                keep(db, &whole, "review.seal", open, now)
            })
        })
        .await?;
    let at = out.map_or_else(String::new, |out| format!(" in {}", file::shown(out)));
    let mut text = format!("{} is sealed{at}: {}\n", review.name, sealed.seal);
    if !still_open.is_empty() {
        let many = count(still_open.len(), "decision");
        let _ = writeln!(text, "{many} to remove became no change so far, and the access stays:");
        text.push_str(&lines(&still_open));
    }
    if !not_kept.is_empty() {
        let _ = writeln!(text, "{} to keep came when the access was gone already:", count(not_kept.len(), "decision"));
        text.push_str(&lines(&not_kept));
        still_open.extend(not_kept);
    }
    Ok(Report::new(partly(&still_open), told(&review, &[], &still_open), text).note(
        match out.filter(|out| !file::given(out)) {
            Some(dir) => format!("Anybody can check it: ledgerward review verify {}", dir.display()),
            None => format!("To have it: ledgerward review pack {} --out DIR", review.name),
        },
    ))
}

/// A sealed review's pack, again: the very bytes that were sealed.
async fn pack(app: &App, review: Review, out: &Path) -> Result<Report, Failure> {
    let key = review.name.clone();
    let kept: Option<Sealed> = app.store.run(move |db| db.doc_get(PACKS, &key)).await?;
    let sealed = kept.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{} is not sealed", review.name))
            .fault(Fault::Conflict)
            .next(format!("Seal it: ledgerward review seal {}", review.name))
    })?;
    let given = file::given(out);
    if !given {
        evidence::write(out, sealed.clone()).await?;
    }
    let text = format!("{} of {} in {}: {}\n", sealed.kind, sealed.subject, file::shown(out), sealed.seal);
    let json = json!({
        "schema": "ledgerward/sealed/1", "kind": sealed.kind, "subject": sealed.subject, "seal": sealed.seal,
        "files": pack::told(&sealed.files, given),
    });
    Ok(Report::new(Exit::Done, json, text))
}

fn summary(review: &Review) -> Value {
    json!({
        "schema": "ledgerward/review/1", "review": review.name, "started": review.started, "by": review.by,
        "lines": review.items.len().to_string(), "undecided": review.undecided().to_string(),
        "reviewers": review.items.iter().map(|i| &i.reviewer).collect::<BTreeSet<_>>(),
        "chain": review.head(), "seal": review.seal.as_deref().unwrap_or("unknown"),
    })
}

async fn list(app: &App) -> Result<Report, Failure> {
    let all: BTreeMap<String, Review> = app.store.run(|db| db.doc_all(REVIEWS)).await?;
    let mut text = String::new();
    for review in all.values() {
        let state = match (&review.seal, review.undecided()) {
            (Some(seal), _) => format!("sealed {}", seal.get(..12).unwrap_or(seal)),
            (None, 0) => "decided, not sealed".to_owned(),
            (None, n) => format!("{n} of {} not decided", count(review.items.len(), "line")),
        };
        let _ = writeln!(text, "{}  {}  {state}", review.name, time(review.started, &app.config.firm.timezone));
    }
    if all.is_empty() {
        text.push_str("There was no review yet. To begin one: ledgerward review start 2026-Q4\n");
    }
    let json = json!({"schema": "ledgerward/reviews/1", "reviews": all.values().map(summary).collect::<Vec<_>>()});
    Ok(Report::new(Exit::Done, json, text))
}

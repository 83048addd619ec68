//! Lanes side by side: what each folder should be, what it is, and what the store knows about it; the ground of a plan.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use ledgerward_contract::{
    Email, Error, ErrorKind, FolderId, Holder, LinkKind, PermissionId, SeenPermission, SharingSupport, Snapshot, Stat,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    apply::words,
    cli::{console::Console, outcome::Failure},
    config::schema,
    decided::{Decided, with_left},
    deliver,
    domain::{
        finding::{Finding, Severity},
        firm::{AcceptedHolder, AccountRef, Firm, PersonId, TargetName},
        guard::{self, Verdict},
        lane::{LaneKey, OwnedGrant},
        plan::{self, ActualLane, Extra, LaneCx, LanePlan, Listing, Plan, Proposed, Trouble},
        policy::{Decider, DesiredLane, Papers},
    },
    drift::{self, Hint, Seen},
    engine::Ask,
    gather::{self, FolderReading},
    moves::{self, Move},
    store::{LaneRow, OwnedRow},
    world::{Target, World},
};

mod behind;
mod extra;
mod ground;
mod holds;
pub mod invited;
mod naming;
mod place;
mod settled;

pub use self::{extra::keep_extra, ground::guard_ground, settled::settled};
use self::{place::parents, settled::Unsaid};

/// The plan of a target was approved, or it had none to approve.
pub const APPROVED: &str = "target_approved";
/// Lanes that nobody could see when the first plan of their target was approved, and since when: they have a first plan of
/// their own.
const FIRST: &str = "lane_first";
/// Under which settings a lane was last planned and not held.
const POLICY: &str = "lane_policy";
/// The turn of the last change of the firm that a lane's cleared plan took in.
const SEEN_CHANGE: &str = "lane_change";
/// The turn of the last change whose removals were carried out in a lane that holds something else: it waits for a person, and
/// what was decided before is no ground for what a ledger takes away while it does.
const TAKEN: &str = "lane_taken";
/// Who is in a lane's list still though a change took them out, and by which ([`LanePlan::left`]).
const LEFT: &str = "lane_left";
/// Whose entries of a lane rest on extra access alone.
const EXTRA: &str = "lane_extra";
/// Holders that somebody asked to take over.
pub const ADOPT: &str = "adopt";
/// Under which names folders were taken over ([`AdoptedName`]).
pub const ADOPTED_NAME: &str = "adopted_name";

/// A folder that was taken over keeps its name for as long as its client keeps the one it had then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedName {
    pub folder: String,
    pub client: String,
}

/// One lane as it is.
#[derive(Debug, Default)]
pub struct Known {
    pub row: Option<LaneRow>,
    /// Its name on the target now.
    pub now_named: Option<String>,
    pub reading: Option<FolderReading>,
    /// As the folder was when it was last read, where the target's change feed says that nothing happened since. Good for
    /// planning; the fence asks for a list of this run.
    remembered: Option<Seen>,
    pub owned: Vec<OwnedRow>,
    grants: Vec<OwnedGrant>,
    pub accepted: Vec<AcceptedHolder>,
    adopt: Vec<Email>,
    extra: BTreeMap<Email, Extra>,
    adopted_name: Option<AdoptedName>,
    known_ids: BTreeMap<PermissionId, Email>,
    trouble: Vec<Trouble>,
    unreadable: Option<String>,
    /// Whoever may write in it can let others in: a folder that was made by somebody else, and is not closed to that.
    shared_on: bool,
    /// It could not be read because the sign-in is dead.
    signed_out: bool,
    /// Who belongs in it is not known for now: a source of its client gave no answer in this run, or none to rely on yet.
    unsaid: Unsaid,
    /// Nothing of it was ever approved: everything in it is held until somebody does (`decisions` 13).
    first: bool,
    pub name: String,
    policy: String,
    policy_before: Option<String>,
    changes: BTreeMap<PersonId, plan::Published>,
    left: BTreeMap<PersonId, String>,
}

impl Known {
    pub fn folder(&self) -> Option<&FolderId> {
        self.row.as_ref().and_then(|r| r.folder.as_ref())
    }

    /// The list as it was read in this run.
    pub fn list(&self) -> Option<&Snapshot<SeenPermission>> {
        self.reading.as_ref().and_then(|r| r.list.as_ref()).and_then(|l| l.as_ref().ok())
    }

    /// Who is on the folder's list, as read in this run or as remembered.
    pub fn entries(&self) -> Option<&[SeenPermission]> {
        match &self.remembered {
            Some(seen) => seen.list.as_deref(),
            None => self.list().map(Snapshot::items),
        }
    }

    /// The list was not read in this run, because nothing changed.
    pub fn is_remembered(&self) -> bool {
        self.remembered.is_some()
    }

    /// Whether this run saw what the folder should be and what it is. That there is nothing to do says nothing of any other.
    fn in_sight(&self) -> bool {
        self.unsaid == Unsaid::Nothing && self.reached()
    }

    /// Whether all its sources spoke in this run, and the folder could be read.
    fn heard(&self) -> bool {
        self.unsaid < Unsaid::All && self.reached()
    }

    /// Whether this run saw what the folder is.
    fn reached(&self) -> bool {
        let away = |t: &Trouble| matches!(t, Trouble::Gone | Trouble::Trashed | Trouble::NoAccess);
        self.unreadable.is_none() && !self.trouble.iter().any(away)
    }

    /// Ids in the list that are planned people under another address.
    pub fn known_ids(&self) -> &BTreeMap<PermissionId, Email> {
        &self.known_ids
    }
}

/// Everything about all lanes in one run.
#[derive(Default)]
pub struct Book {
    /// A target's sign-in is dead, or there never was one.
    pub needs_sign_in: bool,
    pub lanes: BTreeMap<LaneKey, Known>,
    first: BTreeSet<TargetName>,
    sharing: BTreeMap<TargetName, plan::Sharing>,
    renames: BTreeMap<TargetName, bool>,
    pub troubles: Vec<String>,
    /// Clients that were moved from one target to another, by an act that still holds.
    pub moves: Vec<Move>,
    /// Desired lanes were looked at together with these.
    findings: Vec<Finding>,
    last_change: i64,
    /// Of which account an account's folder has papers, by [`lane_text`].
    papers_of: BTreeMap<String, AccountRef>,
}

impl Book {
    pub fn sharing(&self, target: &TargetName) -> plan::Sharing {
        self.sharing.get(target).copied().unwrap_or(plan::Sharing::Off)
    }
}

/// Targets that are not in the configuration any more, though people have access there by our doing: who lost a client keeps
/// its folder there, and nobody may take that for closed.
pub fn left_behind(owned: &BTreeMap<LaneKey, Vec<OwnedRow>>, configured: impl Fn(&TargetName) -> bool) -> Vec<Finding> {
    let mut left: BTreeMap<&TargetName, (usize, usize)> = BTreeMap::new();
    for (lane, rows) in owned.iter().filter(|(lane, rows)| !rows.is_empty() && !configured(&lane.target)) {
        let (folders, grants) = left.entry(&lane.target).or_default();
        *folders += 1;
        *grants += rows.len();
    }
    let one = |(target, (folders, grants)): (&TargetName, (usize, usize))| {
        Finding::new(
            Severity::Urgent,
            "target.unconfigured",
            target.to_string(),
            format!(
                "{target} is not in the configuration any more, and {} of ours stand in {} there. Nobody is let in or out of them.",
                crate::render::plan::count(grants, "grant"),
                crate::render::plan::count(folders, "folder"),
            ),
            format!(
                "Put [targets.{target}] back. If that storage is gone, or somebody else looks after its lists from now on: \
                 ledgerward holders release {target} --reason TEXT"
            ),
        )
    };
    left.into_iter().map(one).collect()
}

/// Reads the folders of every lane that is, or should be, and lays beside each what the store knows. `turn`: up to which change
/// the firm is the one that is planned for.
pub async fn read(
    app: &App,
    world: &World,
    decider: &Decider<'_>,
    ask: &Ask,
    (now, turn): (Timestamp, i64),
    console: &mut dyn Console,
) -> Result<Book, Failure> {
    struct Stored {
        lanes: BTreeMap<LaneKey, LaneRow>,
        owned: BTreeMap<LaneKey, Vec<OwnedRow>>,
        accepted: BTreeMap<LaneKey, Vec<crate::store::Accepted>>,
        approved: BTreeMap<String, Timestamp>,
        first: BTreeMap<String, Timestamp>,
        policy: BTreeMap<String, String>,
        seen_change: BTreeMap<String, i64>,
        taken: BTreeMap<String, i64>,
        left: BTreeMap<String, BTreeMap<PersonId, String>>,
        extra: BTreeMap<String, BTreeMap<Email, Extra>>,
        adopt: BTreeMap<String, Vec<Email>>,
        adopted_name: BTreeMap<String, AdoptedName>,
        behind: BTreeMap<String, behind::All>,
        papers_of: BTreeMap<String, AccountRef>,
        moves: Vec<Move>,
    }
    let stored = app
        .store
        .run(|db| {
            Ok(Stored {
                lanes: db.lanes()?,
                owned: db.owned()?,
                accepted: db.accepted()?,
                approved: db.doc_all(APPROVED)?,
                first: db.doc_all(FIRST)?,
                policy: db.doc_all(POLICY)?,
                seen_change: db.doc_all(SEEN_CHANGE)?,
                taken: db.doc_all(TAKEN)?,
                left: db.doc_all(LEFT)?,
                extra: db.doc_all(EXTRA)?,
                adopt: db.doc_all(ADOPT)?,
                adopted_name: db.doc_all(ADOPTED_NAME)?,
                behind: db.doc_all(behind::BEHIND)?,
                papers_of: db.doc_all(deliver::ACCOUNT)?,
                moves: moves::all(db)?,
            })
        })
        .await?;
    let mut keys: BTreeSet<LaneKey> = stored.lanes.keys().cloned().collect();
    let mut unsaid = BTreeMap::new();
    for (lane, _) in decider.lanes() {
        unsaid.insert(lane.lane.clone(), settled::unsaid(&lane, ask));
        keys.insert(lane.lane);
    }
    keys.retain(|k| world.targets.contains_key(&k.target) && wanted(ask, k));
    let seen: BTreeMap<LaneKey, Option<i64>> =
        keys.iter().map(|k| (k.clone(), stored.seen_change.get(&lane_text(k)).copied())).collect();
    let turns: BTreeSet<Option<i64>> = seen.values().copied().collect();
    let decided = app.store.run(move |db| Decided::read(db, turns.into_iter(), turn)).await?;

    let holds = |m: &Move| decider.firm().clients.get(&m.client).is_some_and(|c| m.holds(c));
    let mut book = Book {
        last_change: decided.last(),
        papers_of: stored.papers_of,
        moves: stored.moves.into_iter().filter(holds).collect(),
        ..Book::default()
    };
    if ask.clients.is_none() {
        book.findings = left_behind(&stored.owned, |target| world.targets.contains_key(target));
        book.troubles = book.findings.iter().map(|f| f.text.clone()).collect();
    }
    let (mut readings, mut remembered) = (BTreeMap::new(), BTreeMap::new());
    let mut asked = Vec::new();
    for (name, target) in &world.targets {
        let sharing = sharing_of(target);
        book.sharing.insert(name.clone(), sharing);
        book.renames.insert(name.clone(), target.api().is_ok_and(|t| t.limits().folder_ids));
        if !stored.approved.contains_key(&name.0) && target.settings.first_plan == schema::FirstPlan::Approve {
            book.first.insert(name.clone());
        }
        let folders: Vec<_> = keys
            .iter()
            .filter(|k| &k.target == name)
            .filter_map(|k| Some((k.clone(), stored.lanes.get(k)?.folder.clone()?)))
            .collect();
        let lists = sharing != plan::Sharing::Off;
        if let Err(e) = target.reach() {
            book.needs_sign_in |= e.kind == ErrorKind::Unauthenticated;
            book.troubles.push(format!("{name}: {e}"));
            continue;
        }
        // Whoever looks at a part, or must see for himself (`revoke --now`), follows no feed.
        let whole = ask.clients.is_none() && !ask.offline;
        let hint = if whole { drift::hint(app, target, &folders, now).await? } else { Hint::none() };
        let hint = if ask.every_folder { hint.every_folder() } else { hint };
        let mut fresh = Vec::new();
        for (key, folder) in folders {
            match hint.unchanged(&key, &folder) {
                Some(seen) => {
                    remembered.insert(key, seen);
                }
                None => fresh.push((key, folder)),
            }
        }
        if !fresh.is_empty() {
            console.note(&format!("Reading {} on {name} …", crate::render::plan::count(fresh.len(), "folder")));
        }
        asked.push(async move { (name, hint, gather::folders(target, fresh, lists, now).await) });
    }
    // Side by side: a slow target holds up no other.
    for (name, hint, read) in join_all(asked).await {
        drift::keep(app, name, hint, &read, now).await?;
        readings.extend(read);
    }
    let (nothing, mut news) = (behind::All::new(), Vec::new());
    let (lie, mut places) = (parents(stored.lanes.values()), Vec::new());
    for key in keys {
        let asks = world.targets.get(&key.target).is_some_and(|t| t.settings.first_plan == schema::FirstPlan::Approve);
        let first = asks && stored.first.contains_key(&lane_text(&key));
        let row = stored.lanes.get(&key).cloned();
        let owned = stored.owned.get(&key).cloned().unwrap_or_default();
        let mut known = Known {
            now_named: None,
            reading: readings.remove(&key),
            remembered: remembered.remove(&key),
            grants: owned.iter().map(|o| o.grant.clone()).collect(),
            owned,
            accepted: stored.accepted.get(&key).into_iter().flatten().map(|a| a.holder.clone()).collect(),
            adopt: stored.adopt.get(&lane_text(&key)).cloned().unwrap_or_default(),
            extra: stored.extra.get(&lane_text(&key)).cloned().unwrap_or_default(),
            adopted_name: stored.adopted_name.get(&lane_text(&key)).cloned(),
            known_ids: BTreeMap::new(),
            trouble: vec![],
            unreadable: None,
            shared_on: false,
            signed_out: false,
            unsaid: match book.sharing(&key.target) {
                plan::Sharing::Mirror => {
                    unsaid.get(&key).copied().unwrap_or_else(|| settled::unsaid(&decider.lane(&key).0, ask))
                }
                _ => Unsaid::Nothing,
            },
            first: first || book.first.contains(&key.target),
            name: String::new(),
            policy: policy(decider.firm(), world, &app.config.statements.template, &key),
            policy_before: stored.policy.get(&lane_text(&key)).cloned(),
            changes: {
                let taken = stored.taken.get(&lane_text(&key)).copied();
                decided.since((seen.get(&key).copied().flatten(), taken), key.folder.client)
            },
            left: stored.left.get(&lane_text(&key)).cloned().unwrap_or_default(),
            row,
        };
        with_left(&mut known.changes, &known.left);
        inspect(&mut known, &key, world);
        places.extend(known.learn_place(&key, lie.get(&key.target)));
        let before = stored.behind.get(&lane_text(&key)).unwrap_or(&nothing);
        news.extend(known.look_behind(before).map(|(behind, accepted)| (key.clone(), behind, accepted)));
        book.needs_sign_in |= known.signed_out;
        if let Some(why) = &known.unreadable {
            // Whoever has to leave it stays for now, so that a run that did everything else is not a complete one.
            let client = decider.firm().clients.get(&key.folder.client);
            let client = client.map_or_else(|| "a client".to_owned(), |c| decider.firm().open_name(c));
            book.troubles.push(format!("{}: the folder of {client} could not be read: {why}", key.target));
        }
        book.lanes.insert(key, known);
    }
    if !news.is_empty() {
        app.store.run(move |db| behind::keep(db, &news)).await?;
    }
    if !places.is_empty() {
        app.store.run(move |db| place::keep(db, &places)).await?;
    }
    let accounts = naming::account_names(app, &book, decider).await?;
    naming::name_folders(&mut book, decider, &accounts);
    Ok(book)
}

fn wanted(ask: &Ask, key: &LaneKey) -> bool {
    ask.clients.as_ref().is_none_or(|c| c.contains(&key.folder.client))
}

/// What the configuration says, unless the target cannot.
pub fn sharing_of(target: &Target) -> plan::Sharing {
    let off = target.api().map_or(true, |t| t.limits().sharing == SharingSupport::Off);
    match target.settings.sharing {
        schema::Sharing::Off { .. } => plan::Sharing::Off,
        _ if off => plan::Sharing::Off,
        schema::Sharing::Mirror => plan::Sharing::Mirror,
        schema::Sharing::Report => plan::Sharing::Report,
    }
}

/// A lane's name in documents.
pub fn lane_text(key: &LaneKey) -> String {
    format!("{}:{}", key.target, key.folder)
}

/// The wish to take somebody over is fulfilled, and must not take over a later share by hand.
pub fn adopted(db: &mut crate::store::Db, grant: &OwnedGrant) -> crate::store::Result<()> {
    let key = lane_text(&grant.lane);
    let Some(mut wishes) = db.doc_get::<Vec<Email>>(ADOPT, &key)? else { return Ok(()) };
    wishes.retain(|e| *e != grant.who);
    if wishes.is_empty() { db.doc_delete(ADOPT, &key).map(|_| ()) } else { db.doc_put(ADOPT, &key, &wishes) }
}

/// A folder that we did not make is not changed beyond its list unless a person asks: what it lets others do is told.
fn shared_on(plan: &LanePlan) -> Finding {
    let (client, target) = (&plan.client, &plan.lane.target);
    Finding::new(
        Severity::Warning,
        "folder.shared_on",
        format!("{target}/{client}"),
        format!("Whoever may write in the folder of {client} on {target} can let others in."),
        "Turn that off in the folder's sharing settings, for its owner alone may decide who gets in.",
    )
}

/// What the folder itself is, as remembered or as read in this run.
fn stat_of<'k>(
    remembered: Option<&'k Seen>,
    reading: Option<&'k FolderReading>,
) -> Option<Result<&'k Stat, &'k Error>> {
    remembered.map(|seen| Ok(&seen.stat)).or_else(|| reading.map(|r| r.stat.as_ref()))
}

/// What is wrong with the folder itself.
fn inspect(known: &mut Known, key: &LaneKey, world: &World) {
    let Some(row) = known.row.as_ref().filter(|r| r.folder.is_some()) else { return };
    let stat = match stat_of(known.remembered.as_ref(), known.reading.as_ref()) {
        Some(stat) => stat,
        None => {
            let why = world.targets.get(&key.target).and_then(|t| t.reach().err());
            known.signed_out = why.as_ref().is_some_and(|e| e.kind == ErrorKind::Unauthenticated);
            known.unreadable = Some(why.map_or_else(|| "the target cannot be reached".to_owned(), |e| words(&e)));
            return;
        }
    };
    match stat {
        Err(e) => {
            known.unreadable = Some(words(e));
            known.signed_out = e.kind == ErrorKind::Unauthenticated;
        }
        Ok(Stat::Trashed) => known.trouble.push(Trouble::Trashed),
        Ok(Stat::Gone) => known.trouble.push(Trouble::Gone),
        Ok(Stat::NoAccess) => known.trouble.push(Trouble::NoAccess),
        Ok(Stat::Present { name, parent, owner, marker, writers_can_share, .. }) => {
            known.shared_on = *writers_can_share == Some(true);
            known.now_named = Some(name.clone());
            match marker {
                None => known.trouble.push(Trouble::MarkerMissing),
                Some(m) if *m != key.folder.to_string() => {
                    known.trouble.push(Trouble::MarkerForeign { marker: m.clone() })
                }
                Some(_) => {}
            }
            if row.parent.is_some() && *parent != row.parent {
                known.trouble.push(Trouble::Moved { to: parent.clone() });
            }
            if let (Some(was), Some(is)) = (&row.owner, owner)
                && was != is
            {
                known.trouble.push(Trouble::OwnerChanged { owner: is.clone() });
            }
        }
    }
    if let Some(Err(e)) = known.reading.as_ref().and_then(|r| r.list.as_ref()) {
        known.unreadable = Some(words(e));
        known.signed_out |= e.kind == ErrorKind::Unauthenticated;
    }
    let Some(list) = known.entries() else { return };
    let open = |p: &SeenPermission| {
        matches!(p.holder, Holder::Link(LinkKind::Anyone | LinkKind::Organisation) | Holder::Everyone(_))
    };
    let link_on =
        list.iter().any(open) && world.targets.get(&key.target).map(sharing_of) == Some(plan::Sharing::Mirror);
    if link_on {
        known.trouble.push(Trouble::LinkOn);
    }
}

/// The settings that decide what a lane means, as one hash (`decisions` 13). `template`: the firm's.
fn policy(firm: &Firm, world: &World, template: &str, key: &LaneKey) -> String {
    let Some(client) = firm.clients.get(&key.folder.client) else { return String::new() };
    let target = world.targets.get(&key.target);
    let settings = target.map(|t| meaning(t.manifest.name, &t.settings, template)).unwrap_or_default();
    guard::policy_hash(firm, client, &settings)
}

/// What a target's own settings say about where its folders lie, who gets into them, and what their files are called.
fn meaning(connector: &str, target: &schema::Target, template: &str) -> BTreeMap<String, String> {
    let settings = [
        ("connector", connector),
        ("root", target.root.as_deref().unwrap_or_default()),
        ("sharing", target.sharing.slug()),
        ("template", target.template.as_deref().unwrap_or(template)),
    ];
    settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The plan of all lanes, and what was found on the way.
pub fn propose(decider: &Decider<'_>, book: &Book, ask: &Ask) -> (Plan<Proposed>, Vec<Finding>) {
    let mut findings = book.findings.clone();
    let mut plans = Vec::new();
    let mut seen = BTreeSet::new();
    for (desired, found) in decider.lanes() {
        if !wanted(ask, &desired.lane) {
            continue;
        }
        findings.extend(found);
        seen.insert(desired.lane.clone());
        plans.extend(one(decider, book, desired));
    }
    for key in book.lanes.keys().filter(|k| !seen.contains(*k)) {
        let (desired, found) = decider.lane(key);
        findings.extend(found);
        plans.extend(one(decider, book, desired));
    }
    findings.extend(together(plans.iter().flat_map(|p| p.findings.iter().cloned()).collect()));
    let open = |p: &&LanePlan| book.lanes.get(&p.lane).is_some_and(|k| k.shared_on) && p.delivery;
    findings.extend(plans.iter().filter(open).map(shared_on));
    (Plan::proposed(plans), findings)
}

/// So many folders of a target that cannot be read, or take no file, for one reason are the target's trouble, and one finding.
pub const TOGETHER: usize = 5;

fn together(found: Vec<Finding>) -> Vec<Finding> {
    let mut same: BTreeMap<String, BTreeMap<(String, String), Vec<Finding>>> = BTreeMap::new();
    let mut all = Vec::new();
    for finding in found {
        let why = finding.text.split_once(plan::UNREADABLE).map(|(_, why)| why.to_owned());
        match (why, finding.subject.split_once('/')) {
            (Some(why), Some((target, _))) if finding.code == plan::LIST_UNREADABLE => {
                let of = same.entry(target.to_owned()).or_default();
                of.entry((why, finding.next.clone())).or_default().push(finding);
            }
            _ => all.push(finding),
        }
    }
    for (target, reasons) in same {
        let (many, few): (Vec<_>, Vec<_>) = reasons.into_iter().partition(|(_, of)| of.len() >= TOGETHER);
        all.extend(few.into_iter().flat_map(|(_, of)| of));
        let Some(next) = many.first().map(|((_, next), _)| next.clone()) else { continue };
        let told = many.iter().map(|((why, _), of)| {
            format!("{} on {target}{}{why}", crate::render::plan::count(of.len(), "folder"), plan::UNREADABLE)
        });
        let text = told.collect::<Vec<_>>().join("; ");
        all.push(Finding::new(Severity::Warning, plan::LIST_UNREADABLE, target, text, next));
    }
    all
}

fn one(decider: &Decider<'_>, book: &Book, mut desired: DesiredLane<'_>) -> Option<LanePlan> {
    let known = book.lanes.get(&desired.lane)?;
    let moved = book
        .moves
        .iter()
        .find(|m| m.filled.is_some() && m.client == desired.lane.folder.client && m.from == desired.lane.target);
    if moved.is_some() {
        desired.end();
    }
    let disputed = match (desired.papers, book.papers_of.get(&lane_text(&desired.lane))) {
        (Papers::Of(is), Some(was)) if was.clashes(is) => Some((was, is)),
        _ => None,
    };
    if disputed.is_some() {
        desired.dispute();
    }
    let list = match (&known.unreadable, known.folder(), known.entries()) {
        (_, None, _) => Listing::NoFolder,
        (Some(why), ..) => Listing::Unreadable(why),
        (None, Some(_), Some(list)) => Listing::Read(list),
        (None, Some(_), None) => Listing::Read(&[]),
    };
    let actual = ActualLane {
        folder: known.folder(),
        name: known.now_named.as_deref(),
        list,
        owned: &known.grants,
        accepted: &known.accepted,
        adopt: &known.adopt,
        extra: &known.extra,
        known_ids: &known.known_ids,
        trouble: &known.trouble,
        owner: known.row.as_ref().and_then(|r| r.owner.as_deref()),
    };
    let cx = LaneCx {
        sharing: book.sharing(&desired.lane.target),
        name: &known.name,
        renames: book.renames.get(&desired.lane.target).copied().unwrap_or(false),
        first_plan: known.first,
        policy: &known.policy,
        policy_before: known.policy_before.as_deref(),
        changes: &known.changes,
    };
    let mut plan = plan::propose(decider, &desired, &actual, &cx);
    if let Some(moved) = moved {
        plan.decided(&moved.change, &moved.because());
    }
    plan.findings.extend(disputed.map(|(was, is)| disputed_finding(&plan, was, is)));
    Some(plan)
}

pub const OTHER_LEDGER: &str = "account.other_ledger";

/// An account's folder with papers of another ledger's account of the same id.
fn disputed_finding(plan: &LanePlan, was: &AccountRef, is: &AccountRef) -> Finding {
    let (client, target) = (&plan.client, &plan.lane.target);
    Finding::new(
        Severity::Warning,
        OTHER_LEDGER,
        format!("{client}/{}/{target}", was.account),
        format!(
            "{client}: its folder of account {} on {target} has papers of {}:{}, and that account of {}:{} is selected now; nobody new gets it, and no file goes there",
            was.account, was.connection, was.ledger, is.connection, is.ledger
        ),
        format!(
            "delete that folder and have a new one made (ledgerward clients new-folder {client} {target} --reason TEXT), or make the second ledger a client of its own"
        ),
    )
}

/// Keeps the plan and its holds, so that they can be named by their digests. What is held as a part of a hold of more clients
/// is told with the digest of that.
pub async fn remember(app: &App, run: i64, ask: &Ask, verdict: &mut Verdict, now: Timestamp) -> Result<(), Failure> {
    let digest = verdict.cleared.digest();
    let body = to_json(&verdict.cleared)?;
    let found: Vec<_> =
        verdict.held.iter().map(|h| Ok((h.digest.clone(), to_json(h)?))).collect::<Result<Vec<_>, Failure>>()?;
    let (empty, ask) = (verdict.cleared.is_empty(), ask.clone());
    let parts = app
        .store
        .run(move |db| {
            let kept = holds::after(&ask, db.holds()?, found);
            db.put_holds(run, &kept.open, now)?;
            if !empty {
                db.put_plan(&digest, run, &body, now)?;
            }
            Ok(kept.parts)
        })
        .await?;
    for hold in &mut verdict.held {
        if let Some(whole) = parts.get(&hold.digest) {
            hold.digest.clone_from(whole);
            hold.message.push_str(" (a part of a hold of more clients, which is approved as a whole)");
        }
    }
    Ok(())
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value)
        .map_err(|e| Failure::new(crate::cli::outcome::Exit::Failed, format!("a plan cannot be written down: {e}")))
}

/// A short digest of a sharing list, stored with the lane.
pub fn base_digest(list: &Snapshot<SeenPermission>) -> String {
    let mut hasher = Sha256::new();
    for (holder, role) in plan::base(list.items()) {
        hasher.update(holder.as_bytes());
        hasher.update([0]);
        hasher.update(role.as_bytes());
        hasher.update([1]);
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_settings_mean_where_who_and_under_which_names() {
        let of = |lines: &str| {
            let text = format!(
                "version = 1\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\ntimezone = \"UTC\"\n[schedule]\naccess = \"every 5 minutes\"\nstatements = \"30 6 * * *\"\n[targets.files]\nconnector = \"local\"\n{lines}"
            );
            let config = crate::config::parse(&text, &crate::app::manifests()).config.unwrap();
            meaning("local", &config.targets[&TargetName("files".to_owned())], &config.statements.template)
        };
        let (was, off) = ("root = \"/srv\"\n", "sharing = \"off\"\naudience = \"the partners\"\n");
        let before = of(&format!("{was}{off}"));
        assert_eq!(
            before,
            of(&format!("{was}{off}kinds = [\"trial-balance\"]\n")),
            "which statements go there is none of it"
        );
        assert_ne!(before, of(&format!("root = \"/mnt\"\n{off}")));
        assert_ne!(
            before,
            of(&format!("{was}{off}template = \"{{period}} {{kind}}[ {{ledger}}][ {{account}}][ {{n}}].{{ext}}\"\n"))
        );
        assert_ne!(
            before,
            of(&format!(
                "{was}{off}[statements]\ntemplate = \"{{period}} {{kind}}[ {{ledger}}][ {{account}}][ {{n}}].{{ext}}\"\n"
            ))
        );
    }

    #[test]
    fn folders_that_cannot_be_read_for_one_reason_are_one_finding() {
        let finding = |n: usize, why: &str| {
            let text = format!("the sharing list of client-{n} on drive{}{why}", plan::UNREADABLE);
            Finding::new(Severity::Warning, plan::LIST_UNREADABLE, format!("drive/client-{n}"), text, "sign in again")
        };
        let few: Vec<_> = (1..TOGETHER).map(|n| finding(n, "403")).collect();
        assert_eq!(together(few.clone()), few);
        let many = (0..40).map(|n| finding(n, "401")).chain(few.clone()).collect();
        let told = together(many);
        assert_eq!(told.len(), TOGETHER);
        let one = told.iter().find(|f| f.subject == "drive").unwrap();
        assert_eq!(
            (one.text.as_str(), one.next.as_str()),
            ("40 folders on drive could not be read: 401", "sign in again")
        );
    }
}

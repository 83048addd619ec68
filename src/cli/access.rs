//! `access`: who sees what (`product` 8), from what the last pull read and what was applied. It asks no provider.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ledgerward_contract::{ClientId, Email, FolderKey, FolderRole, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::{
    accounts,
    args::{AtArg, ClientArg, ClockArg, PersonArg, TableFormat},
    cycle::refused,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    app::App,
    config::schema::Sharing,
    domain::{
        change,
        explain::because_words,
        firm::{Client, ClientState, Firm, Person, PersonId, TargetName},
        lane::LaneKey,
        office::Permission,
        policy::{Answer, Because, Decider, DesiredLane, LaneState},
    },
    memory,
    render::{access as print, plan::time},
    store::OwnedRow,
};

pub mod past;

/// Whose access somebody may look at (`product` 5). Everybody's for those who manage it, else their own; a role that reads a
/// group's clients adds those, see [`Filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Everything,
    Own(PersonId),
}

impl Sight {
    /// Errors: somebody acts who is no person of the firm.
    pub fn of(app: &App, firm: &Firm) -> Result<Self, Failure> {
        let Some(email) = &app.person else { return Ok(Self::Everything) };
        let Some(person) = app.acting_person(firm) else {
            return Err(Failure::new(Exit::Failed, format!("{email} is no person of the firm"))
                .fault(Fault::Denied)
                .next("See: ledgerward people"));
        };
        Ok(if change::sees_everything(firm, person.id) { Self::Everything } else { Self::Own(person.id) })
    }

    pub fn sees(self, person: PersonId) -> bool {
        match self {
            Self::Everything => true,
            Self::Own(own) => own == person,
        }
    }

    /// Errors: it is somebody else's.
    pub fn check(self, person: PersonId) -> Result<(), Failure> {
        if self.sees(person) { Ok(()) } else { Err(own_only()) }
    }
}

fn own_only() -> Failure {
    Failure::new(Exit::Failed, "you may look at your own access only")
        .fault(Fault::Denied)
        .next("Ask an owner or administrator of the firm.")
}

/// The clients and people that a command is about.
pub struct Filter {
    pub sight: Sight,
    pub person: Option<PersonId>,
    pub client: Option<ClientId>,
    /// Who asks: a private client is there for its own person only.
    asking: Option<PersonId>,
    /// Private clients that were shared with whoever asks.
    shared: BTreeSet<ClientId>,
    /// The clients of the group that a limited `read-all` reaches: everybody's access to them.
    group: BTreeSet<ClientId>,
}

impl Filter {
    /// Errors: nobody and nothing of that name, as far as whoever asks may know; somebody else's access.
    pub async fn new(
        app: &App,
        firm: &Firm,
        person: Option<&PersonArg>,
        client: Option<&ClientArg>,
    ) -> Result<Self, Failure> {
        let sight = Sight::of(app, firm)?;
        let asking = app.acting_person(firm).map(|p| p.id);
        let with = |c: &&Client| asking.is_some_and(|p| shared_with(firm, c, p));
        let shared = firm.clients.values().filter(with).map(|c| c.id).collect();
        let mut filter = Self { sight, person: None, client: None, asking, shared, group: BTreeSet::new() };
        if let Sight::Own(own) = sight {
            let reads = |c: &&Client| c.private_to.is_none() && change::may_touch(firm, own, Permission::ReadAll, c);
            filter.group = firm.clients.values().filter(reads).map(|c| c.id).collect();
        }
        filter.person = person.map(|p| filter.find_person(firm, &p.0)).transpose()?;
        filter.client = match client {
            Some(client) => Some(filter.find_client(app, firm, &client.0).await?),
            None => None,
        };
        Ok(filter)
    }

    /// Who sees only themselves is told the same of all others, whether they work here or not.
    fn find_person(&self, firm: &Firm, typed: &str) -> Result<PersonId, Failure> {
        let found = change::find_person(firm, typed).map(|p| p.id);
        match self.sight {
            Sight::Own(own) if self.group.is_empty() && found.as_ref() != Ok(&own) => Err(own_only()),
            _ => found.map_err(refused),
        }
    }

    /// Who sees only some clients is told the same of all others, whether there are such or not.
    async fn find_client(&self, app: &App, firm: &Firm, typed: &str) -> Result<ClientId, Failure> {
        let found = change::find_client(firm, typed, self.asking);
        let Sight::Own(own) = self.sight else { return found.map(|c| c.id).map_err(refused) };
        if let Ok(client) = &found
            && (self.reads(client) || self.theirs(app, firm, own, client).await?)
        {
            return Ok(client.id);
        }
        Err(none_of_theirs(typed))
    }

    /// Every person's access to this client may be looked at.
    pub fn reads(&self, client: &Client) -> bool {
        self.sight == Sight::Everything || self.group.contains(&client.id)
    }

    /// Nothing but what whoever asks has themselves is shown.
    pub fn own_only(&self) -> bool {
        self.sight != Sight::Everything && self.client.is_none_or(|c| !self.group.contains(&c))
    }

    async fn theirs(&self, app: &App, firm: &Firm, own: PersonId, client: &Client) -> Result<bool, Failure> {
        if chosen(firm, own, client) {
            return Ok(true);
        }
        let facts = memory::recall_all(app, firm).await?;
        let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
        match Decider::new(firm, &facts, &targets, app.now()).judge(own, client.id).answer {
            Answer::Yes => Ok(true),
            Answer::No => Ok(false),
            // Of whom nothing is known nobody has learnt anything of the client, unless they are on its folder.
            Answer::Held => {
                let (id, person) = (client.id, firm.people.get(&own).cloned());
                let on = move |(lane, rows): (&LaneKey, &Vec<OwnedRow>)| {
                    let address = person.as_ref().map(|p| p.address_on(&lane.target));
                    lane.folder.client == id && rows.iter().any(|o| Some(&o.grant.who) == address)
                };
                Ok(app.store.run(|db| db.owned()).await?.iter().any(on))
            }
        }
    }

    pub fn client(&self, client: &Client) -> bool {
        self.client.is_none_or(|c| c == client.id)
            && (client.private_to.is_none() || client.private_to == self.asking || self.shared.contains(&client.id))
    }

    /// Whether this person's access to this client is shown. `None`: an address that belongs to nobody of the firm any more.
    pub fn pair(&self, client: &Client, person: Option<PersonId>) -> bool {
        match person {
            Some(p) => {
                (self.sight.sees(p) || self.group.contains(&client.id)) && self.person.is_none_or(|wanted| wanted == p)
            }
            None => self.reads(client) && self.person.is_none(),
        }
    }
}

/// Whether the firm's own word names the two together: whoever is named knows of the client.
fn chosen(firm: &Firm, person: PersonId, client: &Client) -> bool {
    let pair = (person, client.id);
    client.private_to == Some(person)
        || firm.selections.contains_key(&pair)
        || firm.guests.iter().any(|g| (g.person, g.client) == pair)
}

/// Whether somebody's private books are shared with this person, and kept still.
pub fn shared_with(firm: &Firm, books: &Client, person: PersonId) -> bool {
    firm.shared(books) && firm.selections.contains_key(&(person, books.id))
}

/// What somebody is told of a client that is none of theirs, or of none.
pub fn none_of_theirs(typed: &str) -> Failure {
    Failure::new(Exit::Failed, format!("there is no client \"{}\" that you see", typed.trim()))
        .fault(Fault::Missing)
        .next("Your own: ledgerward clients list")
}

/// How a person's access to one folder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Granted,
    /// The target waits for the person to accept.
    Invited,
    /// Entitled, and not on the list yet by our doing.
    ToGrant,
    /// Entitled, and somebody took them off the list by hand: put back only if somebody says so.
    RemovedByHand,
    /// The evidence is unknown: what is there stays.
    HeldKept,
    /// The evidence is unknown, and nothing is there.
    HeldOut,
    /// On the list by our doing, and not entitled any more.
    ToRevoke,
    /// The client is archived; the list stays as it is.
    Archived,
    /// The target is only watched.
    Reported,
    /// The target has `sharing = "off"`: who can read it is decided elsewhere (`decisions` 17).
    NotManaged,
}

impl State {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Invited => "invited",
            Self::ToGrant => "to be granted",
            Self::RemovedByHand => "removed by hand, held",
            Self::HeldKept => "held, stays",
            Self::HeldOut => "held, nothing there",
            Self::ToRevoke => "to be taken away",
            Self::Archived => "stays (archived)",
            Self::Reported => "reported only",
            Self::NotManaged => "not managed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClientWords {
    pub name: String,
    pub slug: String,
    pub id: String,
}

impl ClientWords {
    pub fn of(client: &Client) -> Self {
        Self { name: client.name.clone(), slug: client.slug.clone(), id: client.id.to_string() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PersonWords {
    pub name: String,
    pub email: String,
    /// `unknown`: the address is nobody's of the firm any more.
    pub id: String,
}

/// One person and one folder.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub client: ClientWords,
    pub person: PersonWords,
    pub target: TargetName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What its ledger calls it, where that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub answer: Answer,
    pub role: FolderRole,
    pub state: State,
    /// The source that decides, where one does: `xero:<ledger>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub because: String,
    /// Since when it is granted, or invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The end of a guest's access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a target does with sharing lists, for the foot of each answer.
#[derive(Clone, Debug, Serialize)]
pub struct TargetWords {
    pub name: TargetName,
    pub sharing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// The whole answer of `access`.
pub struct Matrix {
    pub rows: Vec<Row>,
    /// The one person that was asked about, by name.
    pub asked: Option<String>,
    pub targets: Vec<TargetWords>,
    /// Clients that nobody sees.
    pub nobody: Vec<ClientWords>,
    /// Proposed clients: they give nobody anything.
    pub proposed: usize,
    /// The asking person's own private clients.
    pub private: Vec<ClientWords>,
    /// Active clients that whoever asks does not see.
    pub others: usize,
    /// Only what whoever asks has themselves is shown.
    pub own: bool,
    /// When every ledger was last read whole.
    pub read: Option<Timestamp>,
}

pub async fn run(
    app: &App,
    person: Option<&PersonArg>,
    client: Option<&ClientArg>,
    at: Option<(AtArg, Option<ClockArg>)>,
    format: TableFormat,
) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let filter = Filter::new(app, &firm, person, client).await?;
    if let Some(at) = at {
        return past::run(app, &firm, &filter, at, format).await;
    }
    let matrix = now(app, &firm, &filter).await?;
    let json = json!({
        "schema": "ledgerward/access/1",
        "at": app.now(),
        "last_read": matrix.read.map_or_else(|| "unknown".to_owned(), |t| t.to_string()),
        "rows": matrix.rows, "targets": matrix.targets, "nobody": matrix.nobody,
        "proposed": matrix.proposed, "private": matrix.private, "others": matrix.others,
    });
    let text = match format {
        TableFormat::Text => {
            let mut text = print::matrix(&matrix, &firm.zone);
            let read = matrix.read.map_or_else(|| "never".to_owned(), |t| time(t, &app.config.firm.timezone));
            let _ = writeln!(text, "All ledgers last read whole: {read}.");
            text
        }
        TableFormat::Csv => print::matrix_csv(&matrix)?,
        TableFormat::Json => format!("{json}\n"),
    };
    Ok(Report::new(Exit::Done, json, text).exact(!matches!(format, TableFormat::Text)))
}

/// The matrix as it is, from the store alone.
pub async fn now(app: &App, firm: &Firm, filter: &Filter) -> Result<Matrix, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let (owned, off, read) = app
        .store
        .run(|db| {
            let read = [db.last_whole_cycle()?, db.last_complete("pull")?];
            Ok((db.owned()?, db.off_by_hand()?, read.into_iter().flatten().filter_map(|r| r.ended).max()))
        })
        .await?;
    let targets = app.folder_targets();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let grants = |key: &LaneKey| (owned.get(key).map(Vec::as_slice).unwrap_or_default(), off.get(key));
    let lanes: Vec<_> = decider.lanes().map(|(lane, _)| lane).collect();
    let folders = lanes.iter().map(|l| &l.lane.folder).chain(owned.keys().map(|k| &k.folder));
    let shown = (filter, &accounts::names(app, firm, folders).await?);
    for lane in lanes {
        seen.insert(lane.lane.clone());
        lane_rows(app, shown, &decider, &lane, grants(&lane.lane), &mut rows);
    }
    for key in owned.keys().filter(|k| !seen.contains(*k)) {
        lane_rows(app, shown, &decider, &decider.lane(key).0, grants(key), &mut rows);
    }
    rows.sort_by(|a, b| {
        (&a.client.name, &a.client.slug, &a.person, &a.target, &a.account).cmp(&(
            &b.client.name,
            &b.client.slug,
            &b.person,
            &b.target,
            &b.account,
        ))
    });
    let shown: BTreeSet<&str> = rows.iter().map(|r| r.client.slug.as_str()).collect();
    let all = filter.sight == Sight::Everything;
    let hidden = |c: &&Client| {
        c.state == ClientState::Active && c.private_to.is_none() && !filter.reads(c) && !shown.contains(c.slug.as_str())
    };
    let others = firm.clients.values().filter(|c| !all && filter.client.is_none() && hidden(c)).count();
    let nobody = firm
        .clients
        .values()
        .filter(|c| filter.reads(c) && filter.person.is_none() && filter.client(c))
        .filter(|c| c.state == ClientState::Active && c.private_to.is_none() && !shown.contains(c.slug.as_str()))
        .map(ClientWords::of)
        .collect();
    let proposed = firm
        .clients
        .values()
        .filter(|c| c.state == ClientState::Proposed && filter.reads(c) && filter.client(c))
        .count();
    let private = firm
        .clients
        .values()
        .filter(|c| c.private_to.is_some() && c.private_to == filter.asking && filter.client(c))
        .map(ClientWords::of)
        .collect();
    let asked = filter.person.and_then(|p| firm.people.get(&p)).map(|p| p.full_name());
    Ok(Matrix {
        rows,
        asked,
        targets: target_words(app),
        nobody,
        proposed,
        private,
        others,
        own: filter.own_only(),
        read,
    })
}

pub fn target_words(app: &App) -> Vec<TargetWords> {
    let words = |(name, target): (&TargetName, &crate::config::schema::Target)| TargetWords {
        name: name.clone(),
        sharing: target.sharing.slug(),
        audience: match &target.sharing {
            Sharing::Off { audience } => Some(audience.clone()),
            Sharing::Mirror | Sharing::Report => None,
        },
    };
    app.config.targets.iter().map(words).collect()
}

/// Everybody who is, should be or may have been on one folder.
fn lane_rows(
    app: &App,
    (filter, names): (&Filter, &BTreeMap<FolderKey, String>),
    d: &Decider<'_>,
    lane: &DesiredLane<'_>,
    (owned, off): (&[OwnedRow], Option<&BTreeSet<Email>>),
    rows: &mut Vec<Row>,
) {
    let Some(client) = lane.client.filter(|c| filter.client(c)) else { return };
    let target = &lane.lane.target;
    let sharing = app.config.targets.get(target).map_or("mirror", |t| t.sharing.slug());
    let is_off = |own: &OwnedRow| off.is_some_and(|off| off.contains(&own.grant.who));
    let mut left: BTreeMap<&str, &OwnedRow> = owned.iter().map(|o| (o.grant.who.key(), o)).collect();
    let row = |person: PersonWords, answer, role, state, source, because, since| Row {
        client: ClientWords::of(client),
        person,
        target: target.clone(),
        account: lane.lane.folder.account.as_ref().map(ToString::to_string),
        account_name: names.get(&lane.lane.folder).cloned(),
        answer,
        role,
        state,
        source,
        because,
        since,
        until: None,
    };
    let wants = lane.wants.iter().map(|w| (w.person, Answer::Yes, w.role, w.because));
    let held = lane.held.iter().map(|(p, because)| (*p, Answer::Held, FolderRole::Reader, *because));
    for (ix, answer, role, because) in wants.chain(held) {
        let Some(person) = d.person(ix) else { continue };
        let own = d.address(target, ix).and_then(|a| left.remove(a.key()));
        // What is unknown is no reason to name a client to somebody who never had it.
        let named =
            answer != Answer::Held || own.is_some() || filter.reads(client) || chosen(d.firm(), person.id, client);
        if !named || !filter.pair(client, Some(person.id)) {
            continue;
        }
        let state = match (sharing, answer, own) {
            ("off", ..) => State::NotManaged,
            (_, Answer::Held, Some(own)) if !is_off(own) => State::HeldKept,
            (_, Answer::Held, _) => State::HeldOut,
            (_, _, Some(own)) if is_off(own) => State::RemovedByHand,
            (_, _, Some(own)) if own.invited_since.is_some() => State::Invited,
            (_, _, Some(_)) => State::Granted,
            ("report", ..) => State::Reported,
            _ => State::ToGrant,
        };
        let words =
            PersonWords { name: person.full_name(), email: person.email.to_string(), id: person.id.0.to_string() };
        let since = own.filter(|o| !is_off(o)).map(|o| o.invited_since.unwrap_or(o.since));
        let role = if answer == Answer::Held { own.map_or(role, |o| o.grant.role) } else { role };
        let mut row = row(words, answer, role, state, source_of(d, because), because_words(d, ix, because), since);
        row.until = lane.until.iter().find(|(p, _)| *p == ix).map(|(_, t)| *t);
        rows.push(row);
    }
    for own in left.into_values() {
        let ix = d.holder(target, &own.grant.who);
        let person = ix.and_then(|ix| d.person(ix));
        if !filter.pair(client, person.map(|p| p.id)) {
            continue;
        }
        // An archived client's list stays, but nobody who is shut stays on any.
        let stays = lane.state == LaneState::Kept && !person.is_some_and(Person::shut);
        let state = if stays { State::Archived } else { State::ToRevoke };
        let because = match (ix, person) {
            (Some(ix), Some(p)) => because_words(d, ix, d.judge(p.id, client.id).because),
            _ => "nobody of the firm".to_owned(),
        };
        let words = person.map_or_else(
            || PersonWords {
                name: own.grant.who.to_string(),
                email: own.grant.who.to_string(),
                id: "unknown".to_owned(),
            },
            |p| PersonWords { name: p.full_name(), email: p.email.to_string(), id: p.id.0.to_string() },
        );
        rows.push(row(words, Answer::No, own.grant.role, state, None, because, Some(own.since)));
    }
}

/// The source that an answer rests on.
fn source_of(d: &Decider<'_>, because: Because) -> Option<String> {
    let ix = match because {
        Because::Ledger(s, _)
        | Because::LedgerAndSelected(s, _)
        | Because::Roster(s, _)
        | Because::Guest(s, _)
        | Because::LedgerDenies(s, _)
        | Because::LedgerUnknown(s, _) => s,
        _ => return None,
    };
    d.facts().source(ix).map(|s| format!("{}:{}", s.source.connection, s.source.id))
}

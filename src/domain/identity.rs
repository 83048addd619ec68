//! Joins a provider's users to people (`product` 3, `decisions` 1–4, 9).
//!
//! A user is matched by address once and by the provider's immutable id from then on. Whatever is odd about one user holds
//! that one person and makes a finding; it never becomes a grant and never a denial.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use ledgerward_contract::{
    AccessFact, Email, ErrorKind, Grade, LedgerRole, OwnUser, ProviderUserId, SourceKind, SourceRef, Standing,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    fact::{Fact, Why},
    facts::FactsBuilder,
    finding::{Finding, Severity},
    firm::{Firm, PersonId, Pin},
};

/// What one reading of one source gave.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    pub source: SourceRef,
    /// The source's name for people: the organisation's name.
    pub name: String,
    pub grade: Grade,
    pub at: Timestamp,
    pub outcome: Outcome<'a>,
    /// Who the sign-in itself is, where the provider says. Without it no absence at a grade-A source is a denial.
    pub own: Option<OwnIdentity>,
}

#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// A complete listing: the items of a `Snapshot`.
    Listed(&'a [AccessFact]),
    Unreadable {
        kind: ErrorKind,
        why: String,
        since: Timestamp,
    },
    /// The capability is missing: this source cannot list its users.
    Unlisted {
        reason: String,
    },
    /// The sign-in no longer lists this ledger at all.
    LostSight {
        since: Timestamp,
    },
    /// A client's line names somebody who may be anybody: a team that cannot be opened, a line that was not understood.
    Unclear {
        why: String,
        since: Timestamp,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnIdentity {
    pub email: Option<Email>,
    pub user_id: Option<ProviderUserId>,
}

impl OwnIdentity {
    /// An address that does not parse is none: the user is then known by the id alone.
    pub fn of(who: &OwnUser) -> Self {
        Self {
            email: who.email.as_deref().and_then(|e| Email::parse(e).ok()),
            user_id: Some(who.subject.as_str().into()).filter(|_| !who.subject.is_empty()),
        }
    }
}

/// What the store keeps of a source between two readings, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceMemory {
    /// Everybody a complete list ever had, those who left included.
    pub users: BTreeMap<ProviderUserId, SeenUser>,
    pub ever_listed: bool,
    /// Users in the last complete, non-suspicious list.
    pub last_count: usize,
    pub first_complete_at: Option<Timestamp>,
    pub last_complete_at: Option<Timestamp>,
    /// Since when the source says nothing useful: unreadable, out of sight, suddenly empty.
    pub unknown_since: Option<Timestamp>,
    /// A person confirmed that a source that listed its users no longer can.
    pub loss_confirmed: bool,
    /// Who was in doubt when last read, and since when. A doubt that follows another is the same one: nothing was known between.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub doubts: BTreeMap<PersonId, PersonFact>,
}

impl SourceMemory {
    /// What lies ahead of a reading was written under a wrong clock, and what waits for it would wait as long as that was ahead.
    #[must_use]
    pub fn not_ahead_of(mut self, at: Timestamp) -> Self {
        let own = [&mut self.first_complete_at, &mut self.last_complete_at, &mut self.unknown_since];
        let users = self.users.values_mut().flat_map(|u| {
            u.last_seen = u.last_seen.min(at);
            [&mut u.absent_since, &mut u.gone_at, &mut u.new_since]
        });
        let doubts = self.doubts.values_mut().map(|d| &mut d.since);
        for time in own.into_iter().chain(users).chain(doubts) {
            *time = time.map(|t| t.min(at));
        }
        self
    }
}

/// One user as last listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenUser {
    /// The address under which this id was matched or confirmed last, as a key.
    pub email: Option<String>,
    pub role: String,
    pub standing: Standing,
    pub last_seen: Timestamp,
    /// First complete list without this user.
    pub absent_since: Option<Timestamp>,
    /// When the absence became a denial.
    pub gone_at: Option<Timestamp>,
    /// First list that had this user and lacked somebody known, while no second one agrees ([`Why::NewOnce`]).
    #[serde(default)]
    pub new_since: Option<Timestamp>,
}

impl SeenUser {
    /// In force in the lists that are believed, as far as no two of them say otherwise.
    fn counts(&self) -> bool {
        let gone = self.absent_since.is_some() && self.gone_at.is_some();
        self.standing == Standing::Active && !gone && self.new_since.is_none()
    }
}

/// What one source says about one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonFact {
    pub why: Why,
    /// The vendor's word for the role.
    pub role: String,
    pub user: ProviderUserId,
    /// Last listed (for a denial), or since when the person is unknown, whatever was unknown about them first.
    pub since: Option<Timestamp>,
}

/// The joined facts of one source.
#[derive(Clone, Debug)]
pub struct Joined {
    pub source: SourceRef,
    pub name: String,
    pub grade: Grade,
    pub facts: BTreeMap<PersonId, PersonFact>,
    /// What holds for everybody who is not in `facts`.
    pub rest: Why,
    /// Since when the source as a whole is unknown.
    pub unknown_since: Option<Timestamp>,
    /// The source's state in words, where it is unknown: the error's sentence.
    pub trouble: Option<String>,
    pub memory: SourceMemory,
    pub findings: Vec<Finding>,
    /// Read this source alone again at this time: a second list must confirm (`decisions` 9).
    pub reread_at: Option<Timestamp>,
    pub new_pins: Vec<(Pin, PersonId)>,
}

/// Every address of the firm's people as one connection knows them. Built once per connection and run.
#[derive(Debug)]
pub struct AddressBook<'a> {
    firm: &'a Firm,
    by_email: BTreeMap<&'a str, BTreeSet<PersonId>>,
}

impl<'a> AddressBook<'a> {
    pub fn new(firm: &'a Firm, connection: &ledgerward_contract::ConnectionName) -> Self {
        let mut by_email: BTreeMap<&str, BTreeSet<PersonId>> = BTreeMap::new();
        for person in firm.people.values() {
            let aliases = person.aliases.get(connection).into_iter().flatten();
            for email in std::iter::once(&person.email).chain(aliases) {
                by_email.entry(email.key()).or_default().insert(person.id);
            }
        }
        Self { firm, by_email }
    }

    fn people(&self, email: &str) -> &BTreeSet<PersonId> {
        static NOBODY: BTreeSet<PersonId> = BTreeSet::new();
        self.by_email.get(email).unwrap_or(&NOBODY)
    }
}

/// A person who left and is back within this time is unknown: the provider's lists disagree (P23).
const FLAP_SECONDS: i64 = 600;

/// Joins one observation to the firm's people.
///
/// `memory` is what an earlier call returned for this source; the default for a source that was never read. The new one is
/// to be stored whatever becomes of the run, so that one-shot runs count their second reading too.
pub fn join(book: &AddressBook<'_>, obs: &Observation<'_>, memory: &SourceMemory) -> Joined {
    let memory = &memory.clone().not_ahead_of(obs.at);
    let mut out = Joined {
        source: obs.source.clone(),
        name: obs.name.clone(),
        grade: obs.grade,
        facts: BTreeMap::new(),
        rest: Why::Unreadable,
        unknown_since: None,
        trouble: None,
        memory: memory.clone(),
        findings: vec![],
        reread_at: None,
        new_pins: vec![],
    };
    match &obs.outcome {
        Outcome::Unreadable { kind, why, since } => {
            let next = match kind {
                ErrorKind::Unauthenticated | ErrorKind::Config => {
                    format!("ledgerward connect {}", obs.source.connection)
                }
                ErrorKind::Forbidden | ErrorKind::NotFound => {
                    "ask the client whether the firm's access was taken away; nothing is revoked by this".to_owned()
                }
                _ => "nothing to do now; it is read again in the next run".to_owned(),
            };
            out.blind(obs, Why::Unreadable, *since, "source.unreadable", why.clone(), next);
        }
        Outcome::LostSight { since } => {
            let connection = &obs.source.connection;
            let (text, next) = match obs.source.kind {
                SourceKind::Ledger => {
                    ("the sign-in no longer lists this ledger", format!("ledgerward connect {connection}"))
                }
                SourceKind::PracticeClient | SourceKind::Roster => (
                    "the list no longer has this client",
                    format!(
                        "put it back into the list, or bind the client to another line: ledgerward roster {connection}"
                    ),
                ),
            };
            out.blind(obs, Why::LostSight, *since, "source.lost_sight", text.to_owned(), next);
        }
        Outcome::Unclear { why, since } => {
            let connection = &obs.source.connection;
            let next = match obs.source.kind {
                SourceKind::Roster => format!("put it right in the list; line by line: ledgerward roster {connection}"),
                SourceKind::Ledger | SourceKind::PracticeClient => format!(
                    "put it right on the client in {connection}; until then nobody gains or loses anything by it: ledgerward \
                     roster {connection}"
                ),
            };
            out.blind(obs, Why::Unreadable, *since, "source.unclear", why.clone(), next);
        }
        Outcome::Unlisted { reason } if memory.ever_listed && !memory.loss_confirmed => {
            let (connection, id) = (&obs.source.connection, &obs.source.id);
            // Somebody's private books are named to nobody else.
            let bound = book.firm.clients.values().filter(|c| c.sources.contains(&obs.source));
            let client = bound.min_by_key(|c| c.private_to.is_some()).map_or("CLIENT", |c| c.slug.as_str());
            let text = format!("it listed its users before and says now that it cannot: {reason}");
            let next = format!(
                "give the right back: ledgerward connect {connection}; if it is gone for good: ledgerward clients \
                 confirm-unlisted {client} {connection} {id} --reason TEXT"
            );
            out.blind(obs, Why::OnceListed, obs.at, "source.list_lost", text, next);
        }
        Outcome::Unlisted { .. } => {
            out.rest = Why::Unlisted;
            out.memory.unknown_since = None;
            out.memory.doubts.clear();
        }
        Outcome::Listed(rows) => listed(book, obs, rows, memory, &mut out),
    }
    out
}

impl Joined {
    /// The source as a whole says nothing: everybody it decides about is held.
    fn blind(&mut self, obs: &Observation<'_>, why: Why, since: Timestamp, code: &str, text: String, next: String) {
        let since = self.silent(why, since, text.clone());
        self.find(
            Severity::Warning,
            code,
            subject(obs),
            format!("{} \"{}\": {text}", obs.source.connection, obs.name),
            next,
        );
        if let Some(f) = self.findings.last_mut() {
            f.since = Some(since);
        }
    }

    /// The same without a finding. Whoever was in doubt still is. Since when it is silent.
    pub fn silent(&mut self, why: Why, since: Timestamp, trouble: String) -> Timestamp {
        let since = self.memory.unknown_since.map_or(since, |s| s.min(since));
        self.facts.clone_from(&self.memory.doubts);
        self.rest = why;
        self.unknown_since = Some(since);
        self.memory.unknown_since = Some(since);
        self.trouble = Some(trouble);
        since
    }

    /// Whoever is in doubt now has been since the doubt began, whatever it was about then. `before`: what was known.
    fn date_doubts(&mut self, before: &SourceMemory, at: Timestamp) {
        self.memory.doubts.clear();
        for (person, fact) in self.facts.iter_mut().filter(|(_, f)| f.why.fact() == Fact::Unknown) {
            let earlier = before.doubts.get(person).and_then(|d| d.since).or(before.unknown_since);
            fact.since = Some(earlier.map_or(at, |t| t.min(at)));
            self.memory.doubts.insert(*person, fact.clone());
        }
    }

    /// What two sign-ins say of one ledger, as one source; [`FactsBuilder`] knows what they agree on. `before`: what was known
    /// when both were read.
    #[must_use]
    pub fn agreed(mut self, other: Self, before: &SourceMemory, at: Timestamp) -> Self {
        let mut both = FactsBuilder::new(self.facts.keys().chain(other.facts.keys()).copied());
        both.add(&self);
        both.add(&other);
        let both = both.build();
        if let Some(source) = both.sources().first() {
            self.grade = source.grade;
            self.rest = source.rest;
            self.unknown_since = source.unknown_since;
            self.trouble.clone_from(&source.trouble);
        }
        for (person, fact) in other.facts {
            self.facts.entry(person).or_insert(fact);
        }
        // Whom either names, in order: just these are the people of `both`.
        for (ix, fact) in (0..).zip(self.facts.values_mut()) {
            let (why, _, since) = both.lookup(0, ix);
            (fact.why, fact.since) = (why, since);
        }
        // A complete list that is believed is the better memory, whatever the other sign-in could not read.
        if other.unknown_since.is_none() && other.rest != Why::Unlisted {
            self.memory = other.memory;
        }
        self.memory.unknown_since = self.unknown_since;
        self.date_doubts(before, at);
        self.findings.extend(other.findings);
        self.reread(other.reread_at);
        self.new_pins.extend(other.new_pins);
        self
    }

    fn find(&mut self, severity: Severity, code: &str, subject: String, text: String, next: impl Into<String>) {
        self.findings.push(Finding::new(severity, code, subject, text, next));
    }

    fn reread(&mut self, at: Option<Timestamp>) {
        self.reread_at = match (self.reread_at, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Several users may be one person. A doubtful address outweighs everything; then a grant; an id that was this person
    /// and is denied outweighs a new id that only claims the address.
    fn say(&mut self, person: PersonId, fact: PersonFact) {
        let rank = |w: Why| match w {
            Why::TwoUsersOneAddress => 0,
            Why::Writer => 1,
            Why::Reader => 2,
            Why::EmailChanged => 3,
            Why::KnownAddressNewId => 6,
            Why::Removed | Why::Disabled | Why::Gone | Why::RoleNothing | Why::Pending | Why::NeverListed => 5,
            _ => 4,
        };
        match self.facts.get(&person) {
            Some(old) if rank(old.why) <= rank(fact.why) => {}
            _ => {
                self.facts.insert(person, fact);
            }
        }
    }
}

fn subject(obs: &Observation<'_>) -> String {
    format!("{}/{}", obs.source.connection, obs.source.id)
}

/// One row with what it could mean.
struct Candidate<'r> {
    row: &'r AccessFact,
    email: Option<Email>,
    /// The row has an address that does not parse.
    bad: Option<String>,
    pinned: Option<PersonId>,
}

fn listed(book: &AddressBook<'_>, obs: &Observation<'_>, rows: &[AccessFact], memory: &SourceMemory, out: &mut Joined) {
    if let Some(wrong) = rows.iter().find(|r| r.ledger.as_str() != obs.source.id) {
        let text = format!("the answer is about another ledger ({}); nothing of it is used", wrong.ledger);
        out.blind(
            obs,
            Why::Unreadable,
            obs.at,
            "source.wrong_ledger",
            text,
            "check which organisation the sign-in reaches".into(),
        );
        return;
    }
    let confirm_after = SignedDuration::from_secs(i64::from(book.firm.policy.confirm_after_seconds));
    if obs.grade == Grade::A && rows.is_empty() && memory.last_count > 0 {
        let last = memory.last_complete_at.map_or_else(String::new, |t| format!(" at {t}"));
        let text = format!("returned 0 users at {}; last good count {}{last}", obs.at, memory.last_count);
        out.blind(
            obs,
            Why::SuddenlyEmpty,
            obs.at,
            "source.empty",
            text,
            "look at the ledger; nothing is revoked by this".into(),
        );
        out.reread(obs.at.checked_add(confirm_after).ok());
        return;
    }
    let pins: BTreeMap<&ProviderUserId, PersonId> = pins_of(book.firm, &obs.source);
    let candidates: Vec<Candidate<'_>> = rows
        .iter()
        .map(|row| {
            let pinned = pins.get(&row.user).copied().filter(|p| book.firm.people.contains_key(p));
            // Empty is how some vendors spell "none": of a user whom the firm bound by hand it says nothing. Where there was an
            // address before, it became empty.
            let had = memory.users.get(&row.user).is_some_and(|seen| seen.email.is_some());
            let none = |e: &str| e.trim().is_empty() && pinned.is_some() && !had;
            let parsed = row.email.as_deref().filter(|e| !none(e)).map(Email::parse);
            let bad = parsed.as_ref().and_then(|p| p.as_ref().err()).map(ToString::to_string);
            Candidate { row, email: parsed.and_then(Result::ok), bad, pinned }
        })
        .collect();
    if let Some((text, next)) = contradiction(book, obs, memory, &pins, &candidates) {
        out.blind(obs, Why::Unreadable, obs.at, "source.contradiction", text, next);
        return;
    }
    let own_present = obs.grade != Grade::A || obs.own.as_ref().is_some_and(|own| contains(own, &candidates));
    if !own_present {
        let (text, next) = if obs.own.is_some() {
            (
                "the list does not contain our own user",
                "add the connection's own user to the ledger, or choose how clients without a list are handled",
            )
        } else {
            (
                "nothing says which user of the list is our own",
                "enter the user as own_user where the connector has that setting; elsewhere end people's access so that \
                 the list still shows them, as disabled or without a role",
            )
        };
        out.find(
            Severity::Notice,
            "source.own_missing",
            subject(obs),
            format!("{} \"{}\": {text}, so absence there proves nothing", obs.source.connection, obs.name),
            next,
        );
    }
    let reading = Reading::new(book, obs, memory, pins, &candidates, own_present, confirm_after);
    reading.rows(out);
    reading.absences(out);
    out.date_doubts(memory, obs.at);
    let first = memory.first_complete_at;
    out.rest = match first {
        _ if !own_present => Why::OwnMissing,
        Some(first) if obs.at.duration_since(first) >= confirm_after => Why::NeverListed,
        _ => Why::FirstReading,
    };
    out.memory.first_complete_at = first.or(own_present.then_some(obs.at));
    out.memory.last_complete_at = Some(obs.at);
    out.memory.last_count = rows.len();
    out.memory.ever_listed = true;
    out.memory.loss_confirmed = false;
    out.memory.unknown_since = None;
}

fn pins_of<'f>(firm: &'f Firm, source: &SourceRef) -> BTreeMap<&'f ProviderUserId, PersonId> {
    let from = Pin { source: source.clone(), user: ProviderUserId(String::new()) };
    firm.pins.range(from..).take_while(|(pin, _)| pin.source == *source).map(|(pin, p)| (&pin.user, *p)).collect()
}

fn contains(own: &OwnIdentity, rows: &[Candidate<'_>]) -> bool {
    rows.iter().any(|c| is_own(own, c))
}

fn is_own(own: &OwnIdentity, c: &Candidate<'_>) -> bool {
    own.user_id.as_ref() == Some(&c.row.user) || (own.email.is_some() && own.email == c.email)
}

/// Denied explicitly when last listed.
fn ended(seen: &SeenUser) -> bool {
    matches!(seen.standing, Standing::Removed | Standing::Disabled)
}

/// A ledger's list that cannot be this ledger's own, by what it says of the one user of whom we know better: the vendor has
/// answered with another ledger's. What it says, and what to do.
fn contradiction(
    book: &AddressBook<'_>,
    obs: &Observation<'_>,
    memory: &SourceMemory,
    pins: &BTreeMap<&ProviderUserId, PersonId>,
    candidates: &[Candidate<'_>],
) -> Option<(String, String)> {
    let own = obs.own.as_ref().filter(|_| obs.source.kind == SourceKind::Ledger)?;
    let ours: Vec<&Candidate<'_>> = candidates.iter().filter(|c| is_own(own, c)).collect();
    let first = ours.first()?;
    let who = first.email.as_ref().map_or_else(|| format!("user {}", first.row.user), ToString::to_string);
    let connection = &obs.source.connection;
    if ours.iter().all(|c| matches!(c.row.standing, Standing::Disabled | Standing::Removed)) {
        let text = format!(
            "the list that our own user {who} has just read says that {who} is no user in force; nothing of it is used"
        );
        let next = format!(
            "look at {who} in the ledger, and which organisation the sign-in reaches: ledgerward connect {connection}"
        );
        return Some((text, next));
    }
    let key = own.email.as_ref().map(Email::key);
    let people = key.map(|k| book.people(k));
    let seen = memory.users.iter().filter(|(id, seen)| {
        let same = own.user_id.as_ref() == Some(*id) || (key.is_some() && seen.email.as_deref() == key);
        same && seen.new_since.is_none()
    });
    let bound = pins.iter().filter(|(_, person)| people.is_some_and(|p| p.contains(*person)));
    let mut known = seen.map(|(id, _)| id).chain(bound.map(|(id, _)| *id)).peekable();
    // Whatever id the sign-in itself has is ours as well.
    known.peek()?;
    let listed = |id: &ProviderUserId| candidates.iter().any(|c| c.row.user == *id);
    if known.chain(&own.user_id).any(listed) {
        return None;
    }
    let text = format!("the list has our own user {who} under another id than before; nothing of it is used");
    let add = if people.is_some_and(|p| !p.is_empty()) { "" } else { "add the person, then: " };
    let next = format!(
        "look at the ledger's users; if {who} was invited anew: {add}ledgerward people confirm-pin {who} {connection} {} {}",
        obs.source.id, first.row.user
    );
    Some((text, next))
}

struct Reading<'a, 'r> {
    book: &'a AddressBook<'a>,
    obs: &'a Observation<'a>,
    memory: &'a SourceMemory,
    pins: BTreeMap<&'a ProviderUserId, PersonId>,
    candidates: &'a [Candidate<'r>],
    listed: BTreeSet<&'a ProviderUserId>,
    /// Users in force by address: more than one is a shared address.
    by_email: BTreeMap<&'a str, Vec<&'a Candidate<'r>>>,
    /// Users of earlier lists by the address they had.
    remembered: BTreeMap<&'a str, Vec<&'a ProviderUserId>>,
    own_present: bool,
    confirm_after: SignedDuration,
    /// A ledger's list lacks somebody known, and no second one says so yet. A list that is another ledger's looks like that.
    lacks: bool,
}

impl<'a, 'r> Reading<'a, 'r> {
    fn new(
        book: &'a AddressBook<'a>,
        obs: &'a Observation<'a>,
        memory: &'a SourceMemory,
        pins: BTreeMap<&'a ProviderUserId, PersonId>,
        candidates: &'a [Candidate<'r>],
        own_present: bool,
        confirm_after: SignedDuration,
    ) -> Self {
        let mut by_email: BTreeMap<&str, Vec<&Candidate<'r>>> = BTreeMap::new();
        for c in candidates.iter().filter(|c| !matches!(c.row.standing, Standing::Removed | Standing::Disabled)) {
            if let Some(email) = &c.email {
                by_email.entry(email.key()).or_default().push(c);
            }
        }
        let mut remembered: BTreeMap<&str, Vec<&ProviderUserId>> = BTreeMap::new();
        for (user, seen) in memory.users.iter().filter(|(_, seen)| seen.new_since.is_none()) {
            if let Some(email) = &seen.email {
                remembered.entry(email).or_default().push(user);
            }
        }
        let listed: BTreeSet<&ProviderUserId> = candidates.iter().map(|c| &c.row.user).collect();
        let twice = |seen: &SeenUser| seen.absent_since.is_some_and(|t| obs.at.duration_since(t) >= confirm_after);
        let missing = |(user, seen): (&ProviderUserId, &SeenUser)| {
            seen.counts() && !listed.contains(user) && !(own_present && twice(seen))
        };
        let lacks = obs.source.kind == SourceKind::Ledger && memory.users.iter().any(missing);
        Self { book, obs, memory, pins, candidates, listed, by_email, remembered, own_present, confirm_after, lacks }
    }

    fn rows(&self, out: &mut Joined) {
        for c in self.candidates {
            if let Some(why) = self.unidentified(c) {
                self.somebody(c, why, out);
                self.remember(c, out);
                continue;
            }
            if let Some(bad) = &c.bad {
                out.find(
                    Severity::Warning,
                    "user.bad_address",
                    format!("{}/{}", self.obs.source.connection, c.row.user),
                    format!(
                        "{} lists user {} with an address that cannot be used: {bad}",
                        self.obs.source.connection, c.row.user
                    ),
                    "correct the address at the provider, or bind the user to a person by hand",
                );
            }
            let people = c.email.as_ref().map(|e| self.book.people(e.key()).clone()).unwrap_or_default();
            match (c.pinned, people.len()) {
                (Some(person), _) => self.pinned(c, person, &people, out),
                (None, 0) => self.unmatched(c, out),
                (None, 1) => people.iter().for_each(|p| self.by_address(c, *p, out)),
                (None, _) => {
                    for person in &people {
                        self.hold(
                            c,
                            *person,
                            Why::TwoUsersOneAddress,
                            "several people of the firm have this address",
                            out,
                        );
                    }
                }
            }
            self.remember(c, out);
        }
    }

    /// Somebody on a client's line of whom the vendor says an id and no more. Why.
    fn unidentified<'c>(&self, c: &'c Candidate<'_>) -> Option<&'c str> {
        match &c.row.standing {
            Standing::Unknown(why) if self.obs.source.kind != SourceKind::Ledger && c.row.email.is_none() => Some(why),
            _ => None,
        }
    }

    /// The id is one person's. Where it was somebody of the firm, that one is held; of everybody else it says nothing.
    fn somebody(&self, c: &Candidate<'_>, why: &str, out: &mut Joined) {
        let before = self.memory.users.get(&c.row.user).and_then(|seen| seen.email.as_deref());
        let known = || before.map(|email| self.book.people(email)).filter(|p| p.len() == 1)?.first().copied();
        let person = c.pinned.or_else(known).and_then(|p| self.book.firm.people.get(&p));
        let connection = &self.obs.source.connection;
        let id = &c.row.user;
        let who = match (person, c.row.name.trim()) {
            (Some(person), _) => person.email.to_string(),
            (None, "") => format!("user {id}"),
            (None, name) => format!("{name} (user {id})"),
        };
        let (severity, what) = match person {
            Some(_) => (Severity::Warning, "they keep what is there and gain nothing"),
            None => (Severity::Notice, "who that is is not known here, so it decides nothing"),
        };
        out.find(
            severity,
            "source.unidentified",
            format!("{}/{id}", subject(self.obs)),
            format!(
                "{connection} \"{}\" names {who} as {}, without an address: {why}; {what}",
                self.obs.name, c.row.role
            ),
            format!("take {who} off this client in {connection}, or make them a user with an address there"),
        );
        if let Some(person) = person {
            let (role, user) = (c.row.role.clone(), id.clone());
            out.say(person.id, PersonFact { why: Why::StandingUnknown, role, user, since: Some(self.obs.at) });
        }
    }

    fn pinned(&self, c: &Candidate<'_>, person: PersonId, people: &BTreeSet<PersonId>, out: &mut Joined) {
        // An explicit end is about the id, and the id is this person's whatever its address says.
        if matches!(c.row.standing, Standing::Disabled | Standing::Removed) {
            return self.state(c, person, out);
        }
        let remembered = self.memory.users.get(&c.row.user).and_then(|s| s.email.as_deref());
        let same = match &c.email {
            None => c.bad.is_none(),
            Some(e) => people.contains(&person) || (people.is_empty() && remembered == Some(e.key())),
        };
        if !same {
            let text = "the provider's user was bound to this person and now has another address";
            return self.hold(c, person, Why::EmailChanged, text, out);
        }
        if self.shared_address(c) {
            return self.hold(c, person, Why::TwoUsersOneAddress, "two users of this ledger have one address", out);
        }
        self.state(c, person, out);
    }

    fn by_address(&self, c: &Candidate<'_>, person: PersonId, out: &mut Joined) {
        if c.row.standing == Standing::Removed {
            return self.state(c, person, out);
        }
        if self.shared_address(c) {
            return self.hold(c, person, Why::TwoUsersOneAddress, "two users of this ledger have one address", out);
        }
        let other = |user: &ProviderUserId| *user != c.row.user;
        let earlier = c.email.as_ref().and_then(|e| self.remembered.get(e.key())).into_iter().flatten();
        let under_another_id =
            earlier.copied().any(|user| other(user) && (self.pins.contains_key(user) || !self.listed.contains(user)))
                || self.pins.iter().any(|(user, p)| *p == person && other(user) && !self.listed.contains(*user));
        if under_another_id && c.row.standing == Standing::Disabled {
            // Nobody in force has the address: what the known id says, or its absence, is all there is.
            return;
        }
        if under_another_id {
            let text = "the address is known in this ledger under another user id; it may belong to somebody else now";
            return self.hold(c, person, Why::KnownAddressNewId, text, out);
        }
        if self.new_since(c).is_none() {
            out.new_pins.push((Pin { source: self.obs.source.clone(), user: c.row.user.clone() }, person));
        }
        self.state(c, person, out);
    }

    /// Since when a user is new, or has a role that gives more, in lists that lack somebody known. Whoever goes with another
    /// who comes is an ordinary day's work; all of them at once is another ledger's list, and nobody may gain by one of those.
    fn new_since(&self, c: &Candidate<'_>) -> Option<Timestamp> {
        let since = match self.memory.users.get(&c.row.user) {
            Some(SeenUser { new_since: Some(since), .. }) => *since,
            Some(seen) if seen.counts() && (self.gives(&seen.role) || !self.gives(&c.row.role)) => return None,
            _ if self.lacks => self.obs.at,
            _ => return None,
        };
        (self.obs.at.duration_since(since) < self.confirm_after).then_some(since)
    }

    /// Two users in force with one address: never one person by guess. Both bound by id: the firm has said so.
    fn shared_address(&self, c: &Candidate<'_>) -> bool {
        let Some(email) = &c.email else { return false };
        self.by_email
            .get(email.key())
            .into_iter()
            .flatten()
            .any(|o| o.row.user != c.row.user && (o.pinned.is_none() || c.pinned.is_none()))
    }

    fn hold(&self, c: &Candidate<'_>, person: PersonId, why: Why, text: &str, out: &mut Joined) {
        let code = match why {
            Why::EmailChanged => "user.address_changed",
            Why::KnownAddressNewId => "user.new_id",
            _ => "user.shared_address",
        };
        let who = self.book.firm.people.get(&person).map_or_else(|| person.0.to_string(), |p| p.email.to_string());
        // One finding per person, not per ledger (`decisions` 3).
        out.find(
            Severity::Warning,
            code,
            format!("{}/{who}", self.obs.source.connection),
            format!("{}: {text}; {who} keeps what is there and gains nothing", self.obs.source.connection),
            format!(
                "look at the user in {}, then bind it to a person or add the address as an alias",
                self.obs.source.connection
            ),
        );
        out.say(person, PersonFact { why, role: c.row.role.clone(), user: c.row.user.clone(), since: None });
    }

    fn unmatched(&self, c: &Candidate<'_>, out: &mut Joined) {
        if c.bad.is_some() || matches!(c.row.standing, Standing::Removed | Standing::Disabled) {
            return;
        }
        let (who, ours) = match &c.email {
            Some(e) => (e.to_string(), self.book.firm.domains.contains(e.domain())),
            None => (format!("user {}", c.row.user), false),
        };
        // A client's own staff are users of their ledger too: worth a list, not an alarm.
        let severity = if ours { Severity::Warning } else { Severity::Notice };
        out.find(
            severity,
            "user.unmatched",
            format!("{}/{who}", self.obs.source.connection),
            format!("{} lists {who}, who is nobody of the firm; nothing is granted", self.obs.source.connection),
            "add the person, or the address as an alias of one, if they work for the firm",
        );
    }

    /// What the row says about its person, now that we know who that is.
    fn state(&self, c: &Candidate<'_>, person: PersonId, out: &mut Joined) {
        let flapped = self.memory.users.get(&c.row.user).and_then(|s| s.gone_at);
        let mut since = None;
        let why = match &c.row.standing {
            Standing::Pending => Why::Pending,
            Standing::Disabled => Why::Disabled,
            Standing::Removed => Why::Removed,
            Standing::Unknown(word) => {
                out.find(
                    Severity::Warning,
                    "status.unknown",
                    format!("{}/{word}", self.obs.source.connection),
                    format!("{} gives users the status \"{word}\", which we do not know; they keep what is there and gain nothing", self.obs.source.connection),
                    "look at the user at the provider, and report the new status to the connector's authors",
                );
                Why::StandingUnknown
            }
            Standing::Active if flapped.is_some_and(|g| self.obs.at.duration_since(g).as_secs() < FLAP_SECONDS) => {
                out.reread(flapped.and_then(|g| g.checked_add(SignedDuration::from_secs(FLAP_SECONDS)).ok()));
                Why::Flapping
            }
            Standing::Active => match (self.role(c, out), self.new_since(c)) {
                (would, Some(from)) if would.role().is_some() => {
                    out.reread(from.checked_add(self.confirm_after).ok());
                    Why::NewOnce
                }
                (why, _) => why,
            },
        };
        if why.role().is_none() {
            since = Some(self.obs.at);
        }
        out.say(person, PersonFact { why, role: c.row.role.clone(), user: c.row.user.clone(), since });
    }

    fn given(&self, role: &str) -> LedgerRole {
        let table = self.book.firm.roles.get(&self.obs.source.connection);
        // A roster or an assignment names people; only a ledger has roles that need a table.
        if self.obs.grade != Grade::A && table.is_none_or(|t| t.0.is_empty()) {
            return LedgerRole::Reader;
        }
        table.map_or_else(|| LedgerRole::Unmapped(role.to_owned()), |t| t.resolve(role))
    }

    fn gives(&self, role: &str) -> bool {
        matches!(self.given(role), LedgerRole::Reader | LedgerRole::Writer)
    }

    fn role(&self, c: &Candidate<'_>, out: &mut Joined) -> Why {
        match self.given(&c.row.role) {
            LedgerRole::Reader => Why::Reader,
            LedgerRole::Writer => Why::Writer,
            LedgerRole::Nothing => Why::RoleNothing,
            LedgerRole::Unmapped(word) => {
                out.find(
                    Severity::Warning,
                    "role.unmapped",
                    format!("{}/{word}", self.obs.source.connection),
                    format!("{} has the role \"{word}\", which the role table does not know; who has it keeps what is there and gains nothing", self.obs.source.connection),
                    format!("ledgerward roles table: say what \"{word}\" gives"),
                );
                Why::RoleUnmapped
            }
        }
    }

    fn remember(&self, c: &Candidate<'_>, out: &mut Joined) {
        let old = self.memory.users.get(&c.row.user);
        let doubtful = c
            .pinned
            .is_some_and(|p| out.facts.get(&p).is_some_and(|f| f.why == Why::EmailChanged && f.user == c.row.user));
        let email = match (&c.email, doubtful) {
            (Some(e), false) => Some(e.key().to_owned()),
            _ => old.and_then(|o| o.email.clone()),
        };
        let flap = SignedDuration::from_secs(FLAP_SECONDS);
        let gone_at = old.and_then(|o| o.gone_at).filter(|g| self.obs.at.duration_since(*g) < flap);
        let seen = SeenUser {
            email,
            role: c.row.role.clone(),
            standing: c.row.standing.clone(),
            last_seen: self.obs.at,
            absent_since: None,
            gone_at,
            new_since: self.new_since(c),
        };
        out.memory.users.insert(c.row.user.clone(), seen);
    }

    /// Users whom an earlier list had, or a pin names, and this one does not.
    fn absences(&self, out: &mut Joined) {
        let known = self.memory.users.keys().chain(self.pins.keys().copied()).collect::<BTreeSet<_>>();
        for user in known.difference(&self.listed) {
            let mut seen = self.memory.users.get(*user);
            if seen.is_some_and(|s| s.new_since.is_some()) {
                // Only one list had them, and it was doubtful: they were never there.
                out.memory.users.remove(*user);
                if !self.pins.contains_key(*user) {
                    continue;
                }
                seen = None;
            }
            let person = self.pins.get(*user).copied().or_else(|| {
                let people = self.book.people(seen?.email.as_deref()?);
                people.first().copied().filter(|_| people.len() == 1)
            });
            let held = |p: &PersonId| out.facts.get(p).is_some_and(|f| f.why == Why::KnownAddressNewId);
            if !seen.is_some_and(ended) && person.as_ref().is_some_and(held) {
                // The person's address is in this very list, under another id. Whether that is still the person is for a human
                // to say, so the known id's absence proves nothing; it counts from the first list that lacks both.
                if let Some(entry) = out.memory.users.get_mut(*user).filter(|s| s.gone_at.is_none()) {
                    entry.absent_since = None;
                }
                continue;
            }
            let (why, since) = self.absence(user, seen, out);
            if let Some(person) = person.filter(|p| self.book.firm.people.contains_key(p)) {
                let role = seen.map_or_else(String::new, |s| s.role.clone());
                let again = since.and_then(|s| s.checked_add(self.confirm_after).ok());
                let since = if why == Why::Gone { seen.map(|s| s.last_seen) } else { since };
                out.say(person, PersonFact { why, role, user: (*user).clone(), since });
                // Whoever is there under another id of theirs is not missing.
                if out.facts.get(&person).is_some_and(|f| f.why == Why::AbsentOnce) {
                    out.reread(again);
                }
            }
        }
    }

    /// Counts the absence in the memory; gives the reason and since when.
    fn absence(&self, user: &ProviderUserId, seen: Option<&SeenUser>, out: &mut Joined) -> (Why, Option<Timestamp>) {
        let before = seen.and_then(|s| s.absent_since);
        if !self.own_present {
            return (Why::OwnMissing, None);
        }
        let since = before.unwrap_or(self.obs.at);
        // Already denied explicitly: being dropped from the list adds nothing to confirm.
        let gone =
            seen.is_some_and(ended) || (before.is_some() && self.obs.at.duration_since(since) >= self.confirm_after);
        let entry = out.memory.users.entry(user.clone()).or_insert_with(|| SeenUser {
            email: None,
            role: String::new(),
            standing: Standing::Active,
            last_seen: since,
            absent_since: None,
            gone_at: None,
            new_since: None,
        });
        entry.absent_since = Some(since);
        if gone {
            entry.gone_at = entry.gone_at.or(Some(self.obs.at));
            return (Why::Gone, Some(since));
        }
        (Why::AbsentOnce, Some(since))
    }
}

#[cfg(test)]
mod tests;

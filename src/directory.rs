//! Practice managers and rosters: whether a list is believed, and which of its lines may be which client.
//!
//! A list that is suddenly much shorter is more often half an export than half a firm, and one in which nobody is responsible
//! in some way any more is more often an empty answer: it is held until a person says that it is right (`roster accept`). A line becomes a client's source only by `clients bind`; here it is only proposed.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientRow, ConnectionName, SourceKind, Standing, Timestamp};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::{Finding, Severity},
        firm::{Client, ClientState, Firm},
    },
    gather::{ConnectionReading, Directory},
};

const MEMORY: &str = "directory";

/// The last list that was believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Believed {
    /// Pairs of a client and a person, as [`pairs`] counts them.
    pub pairs: usize,
    pub clients: usize,
    pub at: Option<Timestamp>,
    /// Pairs of a shorter list that a person said is right. It is believed down to this.
    pub accepted: Option<usize>,
    /// When that list was made, where it is a copy: whoever accepted it did not mean an older one.
    #[serde(default)]
    pub accepted_issued: Option<Timestamp>,
    /// The practice manager's own groups of clients: the lines in each, by the group's name.
    #[serde(default)]
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Of a practice manager, how many are responsible in each way. Each may be a list of its own (jobs, those assigned), so
    /// that one can be empty while the others are not.
    #[serde(default)]
    pub roles: BTreeMap<String, usize>,
    /// When the list was made, where it is a copy.
    #[serde(default)]
    pub issued: Option<Timestamp>,
}

/// How many pairs of a client and a person a list has. A member of whom the vendor does not say who or what they are may be
/// anybody, or nobody, or several: they are in no count, so that a list is not measured by what it lost.
pub fn pairs(rows: &BTreeMap<String, ClientRow>) -> usize {
    rows.values().flat_map(|r| &r.people).filter(|p| !matches!(p.standing, Standing::Unknown(_))).count()
}

/// What is believed after a list that is. One with members of unknown standing is half an answer: it never lowers what the next
/// one is measured by. Where a firm has such a member for good, a list with more known people still raises it.
fn after(old: &Believed, list: &Directory, now: Timestamp) -> Believed {
    let (rows, issued) = (&list.rows, list.issued);
    let (count, groups) = (pairs(rows), groups(rows));
    let whole = rows.values().map(|r| r.people.len()).sum::<usize>() == count;
    if !whole && count <= old.pairs {
        // What a person accepted counts until a list is believed without it: a later half export is another matter.
        let asked = doubt(&Believed { accepted: None, ..old.clone() }, list).is_some();
        let accepted = old.accepted.filter(|_| asked);
        let accepted_issued = old.accepted_issued.filter(|_| asked);
        return Believed { groups, issued, accepted, accepted_issued, ..old.clone() };
    }
    let roles = roles(list);
    Believed {
        pairs: count,
        clients: rows.len(),
        at: Some(now),
        accepted: None,
        accepted_issued: None,
        groups,
        roles,
        issued,
    }
}

/// Whoever it is who is responsible in that way: a colleague who cannot be named leaves no list empty. The words of a file are
/// no lists.
fn roles(list: &Directory) -> BTreeMap<String, usize> {
    let mut roles = BTreeMap::new();
    if list.kind == SourceKind::PracticeClient {
        for one in list.rows.values().flat_map(|r| &r.people) {
            *roles.entry(one.role.clone()).or_default() += 1;
        }
    }
    roles
}

fn groups(rows: &BTreeMap<String, ClientRow>) -> BTreeMap<String, BTreeSet<String>> {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows.values().filter(|r| r.active) {
        for group in &row.groups {
            groups.entry(group.clone()).or_default().insert(row.id.clone());
        }
    }
    groups
}

/// A practice manager's group, with the firm's clients that are bound to its lines. Private books are in none.
pub struct Offered<'f> {
    pub connection: ConnectionName,
    pub name: String,
    pub lines: usize,
    pub clients: Vec<&'f Client>,
}

/// The groups of every practice manager as last read. They decide nothing: the firm may make groups of its own from them.
pub async fn offered<'f>(app: &App, firm: &'f Firm) -> Result<Vec<Offered<'f>>, Failure> {
    let kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let links = Links::new(firm);
    let mut offered = Vec::new();
    for (connection, believed) in kept {
        let connection = ConnectionName(connection);
        for (name, lines) in believed.groups {
            let bound = lines.iter().filter_map(|l| links.bound.get(&(&connection, l.as_str()))).flatten().copied();
            let mut clients: Vec<&Client> =
                bound.filter(|c| c.private_to.is_none() && c.state != ClientState::Closed).collect();
            clients.sort_by(|a, b| a.slug.cmp(&b.slug));
            clients.dedup_by_key(|c| c.id);
            offered.push(Offered { connection: connection.clone(), name, lines: lines.len(), clients });
        }
    }
    Ok(offered)
}

/// Why a connection's list is not believed, by connection. The lists that are believed are remembered.
pub async fn doubts(
    app: &App,
    readings: &BTreeMap<ConnectionName, ConnectionReading>,
    now: Timestamp,
) -> Result<BTreeMap<ConnectionName, String>, Failure> {
    let lists: Vec<_> = readings.iter().filter_map(|(name, r)| r.directory.as_ref().map(|d| (name, d))).collect();
    if lists.is_empty() {
        return Ok(BTreeMap::new());
    }
    let kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    let (mut doubts, mut fresh) = (BTreeMap::new(), Vec::new());
    for (name, list) in lists {
        let old = kept.get(name.as_str()).cloned().unwrap_or_default();
        if let Some(why) = doubt(&old, list) {
            doubts.insert(name.clone(), why);
            continue;
        }
        let new = after(&old, list, now);
        // The time alone is not worth a write in each of a day's runs.
        if (Believed { at: old.at, ..new.clone() }) != old {
            fresh.push((name.as_str().to_owned(), new));
        }
    }
    if !fresh.is_empty() {
        app.store.run(move |db| fresh.iter().try_for_each(|(name, b)| db.doc_put(MEMORY, name, b))).await?;
    }
    Ok(doubts)
}

/// Why a list is not believed after the one that was believed before.
pub fn doubt(old: &Believed, list: &Directory) -> Option<String> {
    let count = pairs(&list.rows);
    if old.accepted.is_some_and(|a| count >= a) && list.issued >= old.accepted_issued {
        return None;
    }
    let when = old.at.map_or_else(String::new, |t| format!(" at {t}"));
    if let (Some(issued), Some(last)) = (list.issued, old.issued)
        && issued < last
    {
        return Some(format!("its list was made at {issued}, before the one of {last} that is believed"));
    }
    if shrunk(old.pairs, count) {
        return Some(format!(
            "its list names {count} people of {} clients, and named {} of {}{when}; a third less is not believed by itself",
            list.rows.len(),
            old.pairs,
            old.clients
        ));
    }
    let now = roles(list);
    let (role, before) = old.roles.iter().find(|(role, _)| !now.contains_key(*role))?;
    Some(format!(
        "its list names nobody as {role} any more, and named {before}{when}; one that becomes empty is not believed by itself"
    ))
}

/// Shorter by a third or more. Small lists change by more than that on any day.
fn shrunk(before: usize, now: usize) -> bool {
    before >= 6 && now * 3 <= before * 2
}

/// What is believed of a connection's list, for `roster`.
pub async fn believed(app: &App, connection: &ConnectionName) -> Result<Option<Believed>, Failure> {
    let name = connection.as_str().to_owned();
    let mut kept: BTreeMap<String, Believed> = app.store.run(|db| db.doc_all(MEMORY)).await?;
    Ok(kept.remove(&name))
}

/// A person looked at a shorter list of `count` pairs and says that it is right.
pub async fn accept(
    app: &App,
    connection: &ConnectionName,
    (count, issued): (usize, Option<Timestamp>),
    reason: &str,
) -> Result<(), Failure> {
    let mut new = believed(app, connection).await?.unwrap_or_default();
    let before = new.clone();
    (new.accepted, new.accepted_issued) = (Some(count), issued);
    let (name, reason, now) = (connection.as_str().to_owned(), reason.to_owned(), app.now());
    app.store
        .run(move |db| {
            db.tx(|db| {
                db.doc_put(MEMORY, &name, &new)?;
                db.audit(now, "directory.accept", &name, Some(&before), Some(&new), Some(&reason))
            })
        })
        .await?;
    Ok(())
}

/// Which client a line of a list is, or may be.
#[derive(Clone, Debug)]
pub enum Link<'f> {
    Bound(Vec<&'f Client>),
    /// Never more than a proposal, with its reason: an id that the practice manager itself holds is a good one, an equal
    /// name is one to look at.
    Proposed(&'f Client, &'static str),
    Nobody,
}

/// The firm's clients by what a line can be known by. Private books are in no proposal.
pub struct Links<'f> {
    bound: BTreeMap<(&'f ConnectionName, &'f str), Vec<&'f Client>>,
    by_ledger: BTreeMap<&'f str, &'f Client>,
    by_name: BTreeMap<String, Vec<&'f Client>>,
}

impl<'f> Links<'f> {
    pub fn new(firm: &'f Firm) -> Self {
        let mut links = Self { bound: BTreeMap::new(), by_ledger: BTreeMap::new(), by_name: BTreeMap::new() };
        for client in firm.clients.values() {
            let live = client.state != ClientState::Closed && client.private_to.is_none();
            for source in &client.sources {
                links.bound.entry((&source.connection, source.id.as_str())).or_default().push(client);
                if live {
                    links.by_ledger.insert(source.id.as_str(), client);
                }
            }
            if live {
                links.by_name.entry(name_key(&client.name)).or_default().push(client);
            }
        }
        links
    }

    pub fn of(&self, connection: &ConnectionName, row: &ClientRow) -> Link<'f> {
        if let Some(clients) = self.bound.get(&(connection, row.id.as_str())) {
            return Link::Bound(clients.clone());
        }
        if let Some(client) = row.ledgers.iter().find_map(|id| self.by_ledger.get(id.as_str())) {
            return Link::Proposed(client, "names the id of a ledger of");
        }
        match self.by_name.get(&name_key(&row.name)).map(Vec::as_slice) {
            Some([one]) => Link::Proposed(one, "has the same name as"),
            _ => Link::Nobody,
        }
    }
}

/// A name as it is compared: without regard to case, and to whether an accent stands apart from its letter.
fn name_key(name: &str) -> String {
    name.nfc().collect::<String>().trim().to_lowercase()
}

/// What `clients bind` calls the lines of a list.
pub fn kind_word(kind: SourceKind) -> &'static str {
    if kind == SourceKind::Roster { "roster" } else { "practice-client" }
}

/// Lines that nobody is bound to, with the client each may be.
pub fn links(firm: &Firm, readings: &BTreeMap<ConnectionName, ConnectionReading>) -> Vec<Finding> {
    let known = Links::new(firm);
    let mut found = Vec::new();
    for (connection, reading) in readings {
        let Some(Directory { kind, rows, issued: _ }) = &reading.directory else { continue };
        let mut unlinked = 0;
        for row in rows.values().filter(|r| r.active) {
            let (client, why) = match known.of(connection, row) {
                Link::Proposed(client, why) => (client, why),
                Link::Bound(_) => continue,
                Link::Nobody => {
                    unlinked += 1;
                    continue;
                }
            };
            found.push(Finding::new(
                Severity::Notice,
                "directory.link",
                format!("{connection}/{}", row.id),
                format!("{} in {connection} {why} {}; it is bound to no client yet.", row.name, client.slug),
                bind_line(client, connection, row, *kind),
            ));
        }
        if unlinked > 0 {
            found.push(Finding::new(
                Severity::Notice,
                "directory.unlinked",
                connection.as_str().to_owned(),
                format!("{unlinked} clients of {connection} are linked to no client here; they decide nothing."),
                format!("ledgerward roster {connection}"),
            ));
        }
    }
    found
}

/// The command that makes a proposal true, as a shell takes it.
pub fn bind_line(client: &Client, connection: &ConnectionName, row: &ClientRow, kind: SourceKind) -> String {
    let plain = row.id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !row.id.is_empty();
    let id = if plain { row.id.clone() } else { format!("'{}'", row.id.replace('\'', "'\\''")) };
    format!("ledgerward clients bind {} {connection} {id} --kind {}", client.slug, kind_word(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_with_its_accents_apart() {
        assert_eq!(name_key("Cafe\u{301} NOËL "), name_key("caf\u{e9} noe\u{308}l"));
        assert_ne!(name_key("Café"), name_key("Cafe"));
    }

    #[test]
    fn a_third_less_is_held_and_small_lists_are_not() {
        assert!(shrunk(300, 200) && shrunk(6, 4) && shrunk(6, 0));
        assert!(!shrunk(300, 201) && !shrunk(300, 300) && !shrunk(0, 0) && !shrunk(5, 1));
    }

    /// Two clients, each with one person in each of these ways.
    fn roles_of(kind: SourceKind, roles: &[&str], issued: Option<&str>) -> Directory {
        let mut list = list((0..2).flat_map(|client| roles.iter().map(move |_| (client, Standing::Active))));
        for row in list.rows.values_mut() {
            row.people.iter_mut().zip(roles).for_each(|(one, role)| (*role).clone_into(&mut one.role));
        }
        Directory { kind, issued: issued.map(|t| t.parse().unwrap()), ..list }
    }

    #[test]
    fn g2_a_practice_managers_list_that_becomes_empty_is_held_until_it_is_accepted() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |roles: &[&str]| roles_of(SourceKind::PracticeClient, roles, None);
        let believed =
            after(&Believed::default(), &of(&["account_manager", "job_manager", "partner", "assigned"]), now);
        // A fourth of eight: less than a third, and no jobs at all.
        let without = of(&["account_manager", "job_manager", "partner"]);
        let why = doubt(&believed, &without).unwrap();
        assert!(why.contains("nobody as assigned any more, and named 2"), "{why}");
        let accepted = Believed { accepted: Some(pairs(&without.rows)), ..believed.clone() };
        assert_eq!(doubt(&accepted, &without), None);
        assert_eq!(doubt(&after(&accepted, &without, now), &without), None, "and it is the measure from now on");
        // A colleague of whom nothing is known is somebody.
        let mut odd = of(&["account_manager", "job_manager", "partner", "assigned"]);
        odd.rows.values_mut().for_each(|r| r.people[3].standing = Standing::Unknown(String::new()));
        assert_eq!(doubt(&believed, &odd), None);
        // The words of one file are no lists.
        let roster = |roles: &[&str]| roles_of(SourceKind::Roster, roles, None);
        let believed = after(&Believed::default(), &roster(&["Partner", "Manager", "Payroll", "Tax"]), now);
        assert_eq!(doubt(&believed, &roster(&["Partner", "Manager", "Payroll"])), None);
    }

    #[test]
    fn an_older_export_replaces_no_newer_one() {
        let of = |day: &str| roles_of(SourceKind::Roster, &["Partner"], Some(day));
        let (old, new) = (of("2026-11-01T00:00:00Z"), of("2026-11-20T00:00:00Z"));
        let believed = after(&Believed::default(), &new, Timestamp::UNIX_EPOCH);
        assert!(doubt(&believed, &old).unwrap().contains("made at 2026-11-01T00:00:00Z, before the one of 2026-11-20"));
        assert_eq!(doubt(&believed, &new), None);
        assert_eq!(doubt(&believed, &of("2026-11-21T00:00:00Z")), None);
        let accepted = |issued| Believed { accepted: Some(1), accepted_issued: issued, ..believed.clone() };
        assert_eq!(doubt(&accepted(old.issued), &old), None, "a person says that it is right");
        assert!(doubt(&accepted(new.issued), &old).is_some(), "and of an older one nobody does");
    }

    fn list(people: impl IntoIterator<Item = (usize, Standing)>) -> Directory {
        let mut rows: BTreeMap<String, ClientRow> = BTreeMap::new();
        for (n, (client, standing)) in people.into_iter().enumerate() {
            let id = format!("c{client}");
            let row = rows.entry(id.clone()).or_insert_with(|| ClientRow {
                id,
                name: format!("Client {client}"),
                number: None,
                active: true,
                people: vec![],
                ledgers: vec![],
                groups: vec!["Farms".to_owned()],
            });
            row.people.push(ledgerward_contract::Assignment {
                user: format!("u{n}").as_str().into(),
                email: (standing == Standing::Active).then(|| format!("p{n}@harbour.example")),
                name: String::new(),
                role: "assigned".to_owned(),
                standing,
                opaque: false,
            });
        }
        Directory { kind: SourceKind::PracticeClient, rows, issued: None }
    }

    #[test]
    fn what_was_accepted_ends_with_a_list_that_is_believed_without_it() {
        let now = Timestamp::UNIX_EPOCH;
        // One colleague of whom nothing is known, for good: no such list is a measure.
        let of = |known: usize| {
            let stranger =
                |n| if n < known { Standing::Active } else { Standing::Unknown("not among the users".to_owned()) };
            list((0..=known).map(|n| (n % 7, stranger(n))))
        };
        let believed = after(&Believed::default(), &of(95), now);
        assert_eq!(believed.pairs, 95);
        assert!(doubt(&believed, &of(62)).is_some());
        let accepted = Believed { accepted: Some(60), ..believed };
        let short = after(&accepted, &of(62), now);
        assert_eq!(doubt(&short, &of(61)), None, "as long as the firm is that small");
        let grown = after(&short, &of(95), now);
        assert!(doubt(&grown, &of(62)).is_some(), "months later, half an export");
        // A way of being responsible that ended is no shorter list, and stays accepted.
        let ways = |roles: &[&str]| {
            let mut list = roles_of(SourceKind::PracticeClient, roles, None);
            list.rows.values_mut().for_each(|r| r.people[0].standing = Standing::Unknown(String::new()));
            list
        };
        let without = ways(&["x", "a", "b", "c"]);
        let believed = after(&Believed::default(), &ways(&["x", "a", "b", "c", "d"]), now);
        let accepted = Believed { accepted: Some(pairs(&without.rows)), ..believed };
        assert_eq!(doubt(&after(&accepted, &without, now), &without), None);
    }

    #[test]
    fn a_list_of_strangers_is_no_measure_for_the_true_one() {
        let (now, stranger) = (Timestamp::UNIX_EPOCH, || Standing::Unknown("not among the users".to_owned()));
        let good = list((0..28).map(|n| (n % 7, Standing::Active)));
        let believed = after(&Believed::default(), &good, now);
        assert_eq!((believed.pairs, believed.clients, doubt(&Believed::default(), &good)), (28, 7, None));
        // The vendor's answer about its users was empty: each id is somebody else's, and counts as several.
        let poisoned = list((0..49).map(|n| (n % 7, stranger())));
        assert_eq!(pairs(&poisoned.rows), 0);
        assert!(doubt(&believed, &poisoned).is_some());
        // Too few of them to be doubted, and still no measure.
        let partly = list((0..49).map(|n| (n % 7, if n < 20 { Standing::Active } else { stranger() })));
        assert_eq!(doubt(&believed, &partly), None);
        for bad in [&poisoned, &partly] {
            let kept = after(&believed, bad, now);
            assert_eq!(kept, believed, "what is believed stays");
            assert_eq!(doubt(&kept, &good), None, "the vendor is well: its list is believed at once");
        }
        assert_eq!(doubt(&after(&Believed::default(), &poisoned, now), &good), None, "even after a bad first one");
        // One colleague who left for good must not end the measuring.
        let grown = list((0..61).map(|n| (n % 7, if n < 60 { Standing::Active } else { stranger() })));
        assert_eq!(after(&believed, &grown, now).pairs, 60);
    }
}

//! What the guard counts with (`decisions` 11).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, Email, FolderRole, SourceKind, SourceRef, Timestamp};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        firm::{Authority, Client, ClientState, Firm, Mode, Person, TargetName, Unlisted},
        guard::{Approval, CauseKey, History, Past},
        lane::{Cause, Op, RENEWAL},
    },
    store::{AccessChange, AppliedRow, Upheld},
};

/// What the guard counts with: the last 24 hours, the freeze switch, and the approvals that are still good.
pub async fn guard_ground(app: &App, firm: &Firm, now: Timestamp) -> Result<(History, bool, Vec<Approval>), Failure> {
    let day_ago = now.saturating_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
    let (changes, then, upheld, freeze, approvals, restored) = app
        .store
        .run(move |db| {
            Ok((
                db.access_changes_since(day_ago)?,
                db.managed_pairs_at(day_ago)?,
                db.upheld_at(day_ago)?,
                db.freeze()?,
                db.approvals_valid(now)?,
                db.restored()?,
            ))
        })
        .await?;
    let mut history = recent(&changes, firm);
    count_pairs(&mut history, &then, &upheld, firm);
    let approvals = approvals
        .into_iter()
        .map(|a| Approval { digest: a.digest, by: a.by, reason: a.reason, at: a.at, expires: a.expires })
        .collect();
    Ok((history, freeze.is_some() || restored.is_some(), approvals))
}

/// What was done within the last day, whom it is counted under, and of how many clients.
fn recent(changes: &[AccessChange], firm: &Firm) -> History {
    let active = |c: &&Client| c.state == ClientState::Active && c.private_to.is_none();
    let clients = firm.clients.values().filter(active).count() as u64;
    let mut history = History { clients, addresses: addresses(firm), ..History::default() };
    history.recent = changes.iter().filter_map(|c| past(&history, c)).collect();
    history
}

/// A step of the last 24 hours that the gates count.
fn past(history: &History, c: &AccessChange) -> Option<Past> {
    let removed = match c.op {
        Op::Revoke { .. } => true,
        Op::Grant { .. } | Op::SetRole { to: FolderRole::Writer, .. } => false,
        _ => return None,
    };
    let cause = c.cause.as_ref().filter(|cause| !matches!(cause, Cause::Decision { change } if change == RENEWAL))?;
    Some(Past {
        removed,
        who: history.whose(&c.lane.target, &Email::parse(&c.holder).ok()?).clone(),
        client: c.lane.folder.client,
        cause: CauseKey::of(cause),
    })
}

/// Whose an address on a target is, where that person's address in the firm is another one.
fn addresses(firm: &Firm) -> BTreeMap<TargetName, BTreeMap<Email, Email>> {
    let targets: BTreeSet<&TargetName> = firm.people.values().flat_map(|p| p.target_addresses.keys()).collect();
    let of = |target: &TargetName| {
        // An address that two have on a target is the first one's.
        let all: BTreeMap<&Email, &Email> =
            firm.people.values().rev().map(|p| (p.address_on(target), &p.email)).collect();
        all.into_iter()
            .filter(|(there, here)| there != here)
            .map(|(there, here)| (there.clone(), here.clone()))
            .collect()
    };
    targets.into_iter().map(|target| (target.clone(), of(target))).collect()
}

/// The managed pairs of 24 hours ago, each under the cause that a removal would have: whatever can take it away.
fn count_pairs(history: &mut History, then: &[AppliedRow], upheld: &Upheld, firm: &Firm) {
    let targets: BTreeSet<&TargetName> = then.iter().map(|row| &row.lane.target).collect();
    // An address that two have on a target is the first one's.
    let people: BTreeMap<(&TargetName, &Email), &Person> =
        targets.into_iter().flat_map(|t| firm.people.values().rev().map(move |p| ((t, p.address_on(t)), p))).collect();
    let mut pairs: BTreeMap<(&Email, ClientId), CauseKey> = BTreeMap::new();
    for row in then {
        let person = people.get(&(&row.lane.target, &row.who));
        // Somebody with two addresses is one person.
        let who = person.map_or(&row.who, |p| &p.email);
        pairs.entry((who, row.lane.folder.client)).or_insert_with(|| {
            let pair = person.zip(firm.clients.get(&row.lane.folder.client));
            let rests = pair.and_then(|(person, client)| rests(firm, person, client, upheld));
            // Of whom neither the firm nor a source says anything: as they were let in.
            rests.unwrap_or_else(|| row.cause.as_ref().map_or(CauseKey::Decision, CauseKey::of))
        });
    }
    let mut by_cause: BTreeMap<CauseKey, BTreeSet<&Email>> = BTreeMap::new();
    for ((who, client), cause) in pairs {
        *history.clients_of.entry(who.clone()).or_default() += 1;
        *history.people_of.entry(client).or_default() += 1;
        *history.pairs_by_cause.entry(cause.clone()).or_default() += 1;
        by_cause.entry(cause).or_default().insert(who);
    }
    history.people_by_cause = by_cause.into_iter().map(|(cause, who)| (cause, who.len() as u64)).collect();
}

/// What a person's access to a client rests on: the connection that upheld it, or the firm's own word. The journal row of the
/// grant does not say it: whoever the firm has just added is let in by that decision, and it is their ledger that takes them
/// out.
fn rests(firm: &Firm, person: &Person, client: &Client, upheld: &Upheld) -> Option<CauseKey> {
    let wish = firm.selections.get(&(person.id, client.id)).is_some_and(|s| s.when_granted);
    let own_word = person.mode == Mode::All || (person.mode == Mode::Selected && !wish) || client.private_to.is_some();
    if own_word {
        return Some(CauseKey::Decision);
    }
    let decides = |s: &&SourceRef| match &client.authority {
        Authority::Named(named) => *s == named,
        Authority::All | Authority::Any => s.kind == SourceKind::Ledger,
    };
    // Where no ledger lists its users.
    let roster = client.unlisted.unwrap_or(firm.policy.unlisted) == Unlisted::Roster;
    let stands_in = |s: &&SourceRef| roster && s.kind == SourceKind::Roster;
    let subject = person.id.0.to_string();
    let mut asked = client.sources.iter().filter(decides).chain(client.sources.iter().filter(stands_in));
    let by = asked.find(|s| upheld.get(*s).is_some_and(|who| who.contains(&subject)))?;
    Some(CauseKey::Connection(by.connection.to_string()))
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{FolderKey, Holder};

    use super::*;
    use crate::domain::{
        firm::{Office, PersonId, Selection, SelectionScope},
        guard::Guards,
        lane::LaneKey,
    };

    const DRIVE: &str = "drive";

    fn person(n: u128, mode: Mode) -> Person {
        Person {
            id: PersonId(uuid::Uuid::from_u128(n)),
            first: "Pat".into(),
            last: n.to_string(),
            email: Email::parse(&format!("pat{n}@harbour.example")).unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        }
    }

    fn source(connection: &str, kind: SourceKind, n: u128) -> SourceRef {
        SourceRef { connection: connection.into(), kind, id: n.to_string() }
    }

    /// A client whose practice manager's name sorts before its ledger's.
    fn client(n: u128) -> Client {
        Client {
            id: ClientId(uuid::Uuid::from_u128(n)),
            slug: n.to_string(),
            name: n.to_string(),
            state: ClientState::Active,
            private_to: None,
            sources: [source("karbon", SourceKind::PracticeClient, n), source("xero", SourceKind::Ledger, n)].into(),
            authority: Authority::All,
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: None,
            statements_since: None,
        }
    }

    fn row(person: &Person, client: u128, cause: Cause) -> AppliedRow {
        let folder = FolderKey { client: ClientId(uuid::Uuid::from_u128(client)), account: None };
        AppliedRow {
            lane: LaneKey { target: TargetName(DRIVE.into()), folder },
            who: person.address_on(&TargetName(DRIVE.into())).clone(),
            role: FolderRole::Reader,
            from: Timestamp::UNIX_EPOCH,
            to: None,
            invited: None,
            step: 1,
            cause: Some(cause),
        }
    }

    fn xero() -> CauseKey {
        CauseKey::Connection("xero".into())
    }

    fn added() -> Cause {
        Cause::Decision { change: "C-1".into() }
    }

    /// Twelve people of mode all and one by ledger, on five clients; Xero lists everybody. All came by acts of the firm.
    fn firm() -> (Firm, Vec<AppliedRow>, Upheld) {
        let mode = |n| if n == 13 { Mode::Ledger } else { Mode::All };
        let firm = Firm {
            people: (1..=13).map(|n| person(n, mode(n))).map(|p| (p.id, p)).collect(),
            clients: (1..=5).map(client).map(|c| (c.id, c)).collect(),
            ..Firm::default()
        };
        let ids = || firm.people.keys().map(|p| p.0.to_string()).collect::<BTreeSet<_>>();
        let upheld = firm.clients.values().flat_map(|c| &c.sources).map(|s| (s.clone(), ids())).collect();
        let rows = firm.people.values().flat_map(|p| (1..=5).map(|c| row(p, c, added()))).collect();
        (firm, rows, upheld)
    }

    fn count(firm: &Firm, rows: &[AppliedRow], upheld: &Upheld) -> History {
        let mut history = History::default();
        count_pairs(&mut history, rows, upheld, firm);
        history
    }

    #[test]
    fn a_connections_pairs_are_those_that_it_can_take_away() {
        let (firm, rows, upheld) = firm();
        let history = count(&firm, &rows, &upheld);
        assert_eq!(history.pairs_by_cause, [(xero(), 5), (CauseKey::Decision, 60)].into());
        assert_eq!(history.people_by_cause, [(xero(), 1), (CauseKey::Decision, 12)].into());
        assert!(Guards::default().removed.trips(4, history.pairs_by_cause[&xero()]), "4 of 5 are held");
    }

    #[test]
    fn another_end_of_the_same_access_is_counted_neither_as_gone_nor_as_new() {
        let who = person(1, Mode::Ledger);
        let row = row(&who, 1, added());
        let role = FolderRole::Reader;
        let grant = Op::Grant { who: who.email.clone(), role };
        let revoke = Op::Revoke { who: Holder::Person(who.email.clone()), permission: "p".into(), role };
        let change = |op: &Op, cause: Cause| AccessChange {
            at: Timestamp::UNIX_EPOCH,
            run: 1,
            lane: row.lane.clone(),
            op: op.clone(),
            holder: who.email.key().to_owned(),
            cause: Some(cause),
        };
        let renewal = || Cause::Decision { change: RENEWAL.to_owned() };
        let past = |change: &AccessChange| past(&History::default(), change);
        assert!(past(&change(&grant, renewal())).is_none() && past(&change(&revoke, renewal())).is_none());
        assert!(past(&change(&grant, added())).is_some_and(|p| !p.removed));
        assert!(past(&change(&revoke, added())).is_some_and(|p| p.removed));
    }

    #[test]
    fn somebody_of_another_mode_rests_on_another_word() {
        let (mut firm, rows, upheld) = firm();
        let id = |n: u128| PersonId(uuid::Uuid::from_u128(n));
        let client = |n: u128| ClientId(uuid::Uuid::from_u128(n));
        let wish = |when_granted| Selection { scope: SelectionScope::Whole, when_granted };
        let modes =
            [(1, Mode::Ledger), (2, Mode::LedgerSelected), (3, Mode::Selected), (4, Mode::Selected), (13, Mode::All)];
        for (n, mode) in modes {
            firm.people.get_mut(&id(n)).unwrap().mode = mode;
        }
        firm.selections.insert((id(3), client(1)), wish(false));
        firm.selections.insert((id(4), client(1)), wish(true));
        let history = count(&firm, &rows, &upheld);
        assert_eq!(history.pairs_by_cause, [(xero(), 5 + 5 + 1), (CauseKey::Decision, 65 - 11)].into());
    }

    #[test]
    fn the_source_that_decides_is_the_one_that_counts() {
        let (mut firm, _, mut upheld) = firm();
        let who = firm.people.values().find(|p| p.mode == Mode::Ledger).unwrap().clone();
        let rows: Vec<_> = (1..=5).map(|c| row(&who, c, added())).collect();
        let roster = |n| source("list", SourceKind::Roster, n);
        let client = |n: u128| ClientId(uuid::Uuid::from_u128(n));
        for (n, c) in (1..).zip(firm.clients.values_mut()) {
            c.sources.insert(roster(n));
            upheld.insert(roster(n), [who.id.0.to_string()].into());
        }
        // One line of the practice manager decides alone; one ledger lists nobody, and a roster stands in for it.
        firm.clients.get_mut(&client(1)).unwrap().authority =
            Authority::Named(source("karbon", SourceKind::PracticeClient, 1));
        for n in [2, 3] {
            upheld.remove(&source("xero", SourceKind::Ledger, n));
        }
        firm.clients.get_mut(&client(2)).unwrap().unlisted = Some(Unlisted::Roster);
        firm.clients.get_mut(&client(3)).unwrap().unlisted = Some(Unlisted::Manual);
        let by = |name: &str| CauseKey::Connection(name.into());
        let pairs = count(&firm, &rows, &upheld).pairs_by_cause;
        assert_eq!(pairs, [(by("karbon"), 1), (by("list"), 1), (CauseKey::Decision, 1), (xero(), 2)].into());
    }

    #[test]
    fn only_clients_that_somebody_can_gain_are_counted() {
        let (mut firm, ..) = firm();
        let mut all: Vec<&mut Client> = firm.clients.values_mut().collect();
        all[0].state = ClientState::Proposed;
        all[1].state = ClientState::Closed;
        all[2].private_to = Some(PersonId(uuid::Uuid::from_u128(1)));
        assert_eq!(recent(&[], &firm).clients, 2);
    }

    fn done(person: &Person, target: &TargetName, op: Op) -> AccessChange {
        let folder = FolderKey { client: ClientId(uuid::Uuid::from_u128(1)), account: None };
        AccessChange {
            lane: LaneKey { target: target.clone(), folder },
            at: Timestamp::UNIX_EPOCH,
            run: 1,
            op,
            holder: person.address_on(target).key().to_owned(),
            cause: Some(Cause::Policy),
        }
    }

    /// Somebody with another address on the second target.
    fn two_addresses(firm: &mut Firm) -> (Person, TargetName) {
        let vault = TargetName("vault".into());
        let who = firm.people.values_mut().find(|p| p.mode == Mode::Ledger).unwrap();
        who.target_addresses.insert(vault.clone(), Email::parse("pat@freemail.example").unwrap());
        (who.clone(), vault)
    }

    #[test]
    fn somebody_with_two_addresses_is_one_person() {
        let (mut firm, _, upheld) = firm();
        let (who, vault) = two_addresses(&mut firm);
        let here = row(&who, 1, added());
        let there = AppliedRow {
            lane: LaneKey { target: vault.clone(), ..here.lane.clone() },
            who: who.address_on(&vault).clone(),
            ..here.clone()
        };
        let history = count(&firm, &[here, there], &upheld);
        assert_eq!(history.clients_of, [(who.email.clone(), 1)].into());
        assert_eq!(history.people_of.values().copied().collect::<Vec<_>>(), [1]);
        assert_eq!((history.pairs_by_cause, history.people_by_cause), ([(xero(), 1)].into(), [(xero(), 1)].into()));

        let grant = |target: &TargetName| {
            done(&who, target, Op::Grant { who: who.address_on(target).clone(), role: FolderRole::Reader })
        };
        let history = recent(&[grant(&vault), grant(&TargetName(DRIVE.into()))], &firm);
        assert_eq!(history.recent.iter().map(|p| &p.who).collect::<Vec<_>>(), [&who.email; 2]);
        // An address that is nobody's there is counted by itself.
        let nobody = Email::parse("nobody@freemail.example").unwrap();
        assert_eq!(history.whose(&vault, &nobody), &nobody);
        // One that two have is the first one's, as it is for a plan.
        let first = firm.people.values().next().unwrap().email.clone();
        let last = firm.people.values_mut().next_back().unwrap();
        last.target_addresses.insert(vault.clone(), first.clone());
        assert_eq!(recent(&[], &firm).whose(&vault, &first), &first);
    }

    #[test]
    fn a_reader_who_became_a_writer_was_added() {
        let (firm, ..) = firm();
        let (who, drive) = (person(1, Mode::All), TargetName(DRIVE.into()));
        let role = |from, to| {
            let op = Op::SetRole { who: who.email.clone(), permission: "p".into(), from, to };
            done(&who, &drive, op)
        };
        let steps = [role(FolderRole::Reader, FolderRole::Writer), role(FolderRole::Writer, FolderRole::Reader)];
        let added = recent(&steps, &firm).recent;
        assert_eq!(added.iter().map(|p| (p.removed, &p.who)).collect::<Vec<_>>(), [(false, &who.email)]);
    }

    #[test]
    fn whom_nobody_speaks_of_counts_as_they_were_let_in() {
        let (mut firm, _, _) = firm();
        let who = firm.people.values().find(|p| p.mode == Mode::Ledger).unwrap().clone();
        let gone = person(99, Mode::Ledger);
        firm.people.remove(&who.id);
        let said = |connection: &str| Cause::Source { connection: connection.into(), source: "1".into() };
        let rows = [row(&who, 1, said("xero")), row(&gone, 2, said("myob")), row(&gone, 99, Cause::Policy)];
        let pairs = count(&firm, &rows, &Upheld::new()).pairs_by_cause;
        assert_eq!(pairs, [(xero(), 1), (CauseKey::Connection("myob".into()), 1), (CauseKey::Policy, 1)].into());
    }
}

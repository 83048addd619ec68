//! Ledgers that two sign-ins reach, and what is said of them without a provider.

use std::sync::Arc;

use jiff::SignedDuration;
use ledgerward_contract::{AccessFact, Email, Error, LedgerRole, RoleTable};
use uuid::Uuid;

use super::*;
use crate::{
    app::{self, Place},
    config,
    domain::{
        facts::Facts,
        firm::{Mode, Office, Person},
        identity::OwnIdentity,
        policy::{Because, Decider},
    },
    gather::Reading,
    process::Process,
    store::{Actor, Options, Store},
};

const START: Timestamp = Timestamp::constant(1_790_000_000, 0);

fn at(hours: i64) -> Timestamp {
    START + SignedDuration::from_hours(hours)
}

fn ann() -> PersonId {
    PersonId(Uuid::from_u128(1))
}

fn ledger() -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: "org".to_owned() }
}

fn row(user: &str, email: &str, role: &str) -> AccessFact {
    AccessFact {
        ledger: "org".into(),
        user: user.into(),
        email: Some(email.to_owned()),
        name: user.to_owned(),
        role: role.to_owned(),
        standing: Standing::Active,
    }
}

/// A list with our own user and Ann, who has this role.
fn list(role: &str) -> ReadOutcome {
    ReadOutcome::Assigned(vec![
        row("own", "office@harbour.example", "STANDARD"),
        row("u1", "ann@harbour.example", role),
    ])
}

fn down() -> ReadOutcome {
    ReadOutcome::Failed(Error::new(ErrorKind::Forbidden, "access.list", "no access"))
}

struct World {
    app: App,
    firm: Firm,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "version = 1\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\n\
                      timezone = \"Pacific/Auckland\"\n[connections.xero]\nconnector = \"xero\"\nclient_id = \"abc\"\n";
        let parsed = config::parse(config, &app::manifests());
        let config = Arc::new(parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.problems)));
        let options = Options::new(dir.path().join("state"), START).create();
        let mut firm = Firm::default();
        let ann = Person {
            id: ann(),
            first: "Ann".to_owned(),
            last: "Example".to_owned(),
            email: Email::parse("ann@harbour.example").unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode: Mode::Ledger,
            office: Office::Employee,
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        firm.people.insert(ann.id, ann);
        let roles = [("STANDARD", LedgerRole::Reader), ("INVOICEONLY", LedgerRole::Nothing)];
        let roles = RoleTable(roles.map(|(word, gives)| (word.to_owned(), gives)).into());
        firm.roles.insert("xero".into(), roles);
        let mut db = Db::open(options).unwrap();
        db.save_firm_diff(&Firm::default(), &firm).unwrap();
        let app = App {
            place: Place {
                config: dir.path().join("config.toml"),
                state: dir.path().join("state"),
                runtime: None,
                acting: None,
                json: false,
                quiet: true,
            },
            config,
            store: Store::here(db),
            actor: Actor::daemon(),
            person: None,
            clock: Arc::new(ledgerward_kit::clock::SystemClock),
            process: Arc::new(Process::default()),
        };
        Self { app, firm, _dir: dir }
    }

    /// What each sign-in gave of the one ledger. Says what the run and, after it, the memory say of Ann.
    async fn run(&mut self, hours: i64, outcomes: Vec<ReadOutcome>) -> (Why, Option<Timestamp>) {
        let now = at(hours);
        let one = |outcome| Reading {
            source: ledger(),
            name: "Org".to_owned(),
            grade: Grade::A,
            at: now,
            own: OwnIdentity { email: None, user_id: Some("own".into()) },
            outcome,
            seats: None,
        };
        let reading =
            ConnectionReading { readings: outcomes.into_iter().map(one).collect(), ..ConnectionReading::default() };
        let readings = BTreeMap::from([("xero".into(), reading)]);
        self.join(now, &readings).await
    }

    async fn join(
        &mut self,
        now: Timestamp,
        readings: &BTreeMap<ConnectionName, ConnectionReading>,
    ) -> (Why, Option<Timestamp>) {
        let run = self.app.store.run(move |db| db.run_start("sync", now)).await.unwrap();
        let joined = join(&self.app, &mut self.firm, run, readings, now).await.unwrap();
        let mut builder = FactsBuilder::new(self.firm.people.keys().copied());
        joined.sources.iter().for_each(|one| builder.add(one));
        let said = self.of_ann(&builder.build(), now);
        let recalled = recall_all(&self.app, &self.firm).await.unwrap();
        assert_eq!(self.of_ann(&recalled, now), said, "without a provider it is the same as in the run");
        said
    }

    /// What is said of Ann, and since when it is unknown, as a lane counts it.
    fn of_ann(&self, facts: &Facts, now: Timestamp) -> (Why, Option<Timestamp>) {
        let (source, person) = (facts.source_ix(&ledger()).unwrap(), facts.person_ix(ann()).unwrap());
        let why = facts.lookup(source, person).0;
        (why, Decider::new(&self.firm, facts, &[], now).since(person, Because::LedgerUnknown(source, why)))
    }
}

/// Decision 28: since when it is so, and since when we know it, are two times.
#[tokio::test]
async fn whoever_two_lists_lack_was_gone_at_the_first_of_them() {
    let mut w = World::new();
    w.run(0, vec![list("STANDARD")]).await;
    let without = || ReadOutcome::Assigned(vec![row("own", "office@harbour.example", "STANDARD")]);
    assert_eq!(w.run(10, vec![without()]).await.0, Why::AbsentOnce);
    assert_eq!(w.run(20, vec![without()]).await.0, Why::Gone);
    assert_eq!(w.run(30, vec![without()]).await.0, Why::Gone);
    let says = async |of: i64, known: i64| {
        let rows = w.app.store.run(move |db| db.facts_at(at(of), at(known))).await.unwrap();
        rows.into_iter().find(|f| f.fact.subject == ann().0.to_string()).map(|f| f.fact.value)
    };
    assert_eq!(says(5, 30).await, Some(FactValue::Granted));
    assert_eq!(says(15, 15).await, Some(FactValue::Unknown), "what we knew then");
    assert_eq!(says(15, 30).await, Some(FactValue::Denied), "what we know now of that time");
}

#[tokio::test]
async fn sign_ins_that_disagree_are_unknown_in_a_run_and_after_it() {
    for turned in [false, true] {
        let mut w = World::new();
        assert_eq!(w.run(0, vec![list("STANDARD"), list("STANDARD")]).await.0, Why::Reader);
        for hours in [1, 2, 30] {
            let mut lists = vec![list("STANDARD"), list("INVOICEONLY")];
            if turned {
                lists.reverse();
            }
            assert_eq!(w.run(hours, lists).await, (Why::StandingUnknown, Some(at(1))), "{hours}");
        }
        assert_eq!(w.run(31, vec![list("INVOICEONLY"), list("INVOICEONLY")]).await.0, Why::RoleNothing);
    }
}

#[tokio::test]
async fn a_ledger_that_a_second_sign_in_cannot_read_is_unknown_since_it_cannot() {
    for turned in [false, true] {
        let mut w = World::new();
        w.run(0, vec![list("STANDARD")]).await;
        for hours in [1, 2, 30] {
            let mut lists = vec![list("STANDARD"), down()];
            if turned {
                lists.reverse();
            }
            assert_eq!(w.run(hours, lists).await, (Why::Unreadable, Some(at(1))), "{hours}");
        }
        // The one that could read goes as well: it has been unknown all the while.
        assert_eq!(w.run(31, vec![down(), down()]).await, (Why::Unreadable, Some(at(1))));
        assert_eq!(w.run(32, vec![list("STANDARD"), list("STANDARD")]).await, (Why::Reader, None));
        assert_eq!(w.run(33, vec![list("STANDARD"), down()]).await, (Why::Unreadable, Some(at(33))));
    }
}

#[tokio::test]
async fn a_connection_out_of_the_configuration_is_unknown_since_it_is() {
    let mut w = World::new();
    w.run(0, vec![list("STANDARD")]).await;
    let config = Arc::clone(&w.app.config);
    let mut without = (*config).clone();
    without.connections.clear();
    w.app.config = Arc::new(without);
    for hours in [1, 2, 30] {
        assert_eq!(w.join(at(hours), &BTreeMap::new()).await, (Why::Unreadable, Some(at(1))));
    }
    w.app.config = config;
    assert_eq!(w.run(31, vec![list("STANDARD")]).await, (Why::Reader, None));
}

#[tokio::test]
async fn a_new_ledger_is_proposed_as_the_firm_decides_and_what_a_run_finds_is_in_the_trail() {
    let mut w = World::new();
    w.firm.policy.authority = Authority::Any;
    let row = LedgerRow { id: "org".into(), name: "Org".to_owned(), kind: "ORGANISATION".to_owned(), is_ledger: true };
    let mut reading = ConnectionReading { ledgers: [(row.id.clone(), row)].into(), ..ConnectionReading::default() };
    reading.readings.push(Reading {
        source: ledger(),
        name: "Org".to_owned(),
        grade: Grade::A,
        at: at(0),
        own: OwnIdentity { email: None, user_id: Some("own".into()) },
        outcome: list("STANDARD"),
        seats: None,
    });
    w.join(at(0), &BTreeMap::from([("xero".into(), reading)])).await;
    let stored = w.app.store.run(|db| db.firm()).await.unwrap();
    let client = stored.clients.values().next().unwrap();
    assert_eq!((client.state, &client.authority), (ClientState::Proposed, &Authority::Any));
    let rows = w.app.store.run(|db| db.audit_page(0, None, None)).await.unwrap();
    let found: Vec<_> = rows.iter().filter(|r| r.act == "firm.found").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject, "xero/ledger/org");
    let after = found[0].after.as_ref().unwrap().to_string();
    assert!(after.contains(&client.id.to_string()) && after.contains(&ann().0.to_string()), "{after}");
}

/// A list that is believed speaks of everybody, also of whom it named before and does not name now.
#[tokio::test]
async fn whoever_a_believed_list_named_before_and_names_no_more_is_not_granted_for_ever() {
    let mut w = World::new();
    w.run(0, vec![list("STANDARD")]).await;
    let ben = Person { id: PersonId(Uuid::from_u128(2)), first: "Ben".to_owned(), ..w.firm.people[&ann()].clone() };
    let ben = Person { email: Email::parse("ben@harbour.example").unwrap(), ..ben };
    let before = w.app.store.run(|db| db.firm()).await.unwrap();
    let mut after = before.clone();
    after.pins.values_mut().filter(|p| **p == ann()).for_each(|p| *p = ben.id);
    after.people.insert(ben.id, ben);
    assert_ne!(before.pins, after.pins, "the user was Ann");
    w.firm = after.clone();
    w.app.store.run(move |db| db.save_firm_diff(&before, &after)).await.unwrap();
    let says = async |w: &World, of: i64| {
        let rows = w.app.store.run(move |db| db.facts_at(at(of), at(of))).await.unwrap();
        rows.into_iter().find(|f| f.fact.subject == ann().0.to_string()).map(|f| f.fact.value)
    };
    let upheld = async |w: &World, of: i64| {
        let rows = w.app.store.run(move |db| db.upheld_at(at(of))).await.unwrap();
        rows.get(&ledger()).is_some_and(|people| people.contains(&ann().0.to_string()))
    };
    w.run(10, vec![down()]).await;
    assert_eq!(says(&w, 10).await, Some(FactValue::Granted), "what could not be read says nothing new");
    let bens = || {
        ReadOutcome::Assigned(vec![
            row("own", "office@harbour.example", "STANDARD"),
            row("u1", "ben@harbour.example", "STANDARD"),
        ])
    };
    w.run(20, vec![bens()]).await;
    assert_eq!(says(&w, 20).await, Some(FactValue::Denied));
    assert!(upheld(&w, 10).await && !upheld(&w, 20).await);
    w.run(30, vec![list("STANDARD")]).await;
    w.run(40, vec![list("STANDARD")]).await;
    assert_ne!(says(&w, 40).await, Some(FactValue::Granted), "the address alone makes nobody that user again");
}

fn no_list() -> ReadOutcome {
    ReadOutcome::Failed(Error::new(ErrorKind::Unsupported, "access.list", "the right was withdrawn"))
}

#[tokio::test]
async fn the_loss_of_a_list_is_confirmed_by_a_person_until_it_is_there_again() {
    let mut w = World::new();
    let confirm = async |w: &World| confirm_unlisted(&w.app, &ledger(), "withdrawn").await.unwrap();
    assert_eq!(confirm(&w).await, LossSaid::NotLost, "nobody has read it");
    w.run(0, vec![list("STANDARD")]).await;
    assert_eq!(confirm(&w).await, LossSaid::NotLost, "it lists them");
    assert_eq!(w.run(1, vec![no_list()]).await.0, Why::OnceListed);
    assert_eq!(confirm(&w).await, LossSaid::Confirmed);
    assert_eq!(confirm(&w).await, LossSaid::Already);
    for hours in [2, 3] {
        assert_eq!(w.run(hours, vec![no_list()]).await.0, Why::Unlisted);
    }
    // An hour that it cannot be read at all ends no confirmation.
    assert_eq!(w.run(4, vec![down()]).await.0, Why::Unreadable);
    assert_eq!(w.run(5, vec![no_list()]).await.0, Why::Unlisted);
    assert_eq!(w.run(6, vec![list("STANDARD")]).await.0, Why::Reader);
    assert_eq!(w.run(7, vec![no_list()]).await.0, Why::OnceListed, "it listed them once more");
    let rows = w.app.store.run(|db| db.audit_page(0, None, None)).await.unwrap();
    let said: Vec<_> = rows.iter().filter(|r| r.act == "source.confirm_unlisted").collect();
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].subject.as_str(), said[0].reason.as_deref()), ("xero/ledger/org", Some("withdrawn")));
    let of = |v: &Option<Value>| v.as_ref().and_then(|v| v["loss_confirmed"].as_bool());
    assert_eq!((of(&said[0].before), of(&said[0].after)), (Some(false), Some(true)));
}

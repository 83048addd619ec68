//! A source that lists nobody, asked as seldom as it may be.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, Connector, Cursor, LedgerProfile, Manifest, Page, ReadCx, Request, Response, Result as Read, RoleTable,
    Scope, Transport,
};

use super::*;
use crate::{
    app::{self, Place},
    config,
    domain::identity::OwnIdentity,
    process::Process,
    registry,
    store::{Actor, Db, Options, Store},
};

const START: Timestamp = Timestamp::constant(1_790_000_000, 0);
const DAY: i64 = 24 * 60;

fn at(minutes: i64) -> Timestamp {
    START + jiff::SignedDuration::from_mins(minutes)
}

/// What the vendor says, and how often it was asked.
#[derive(Default)]
struct Vendor {
    asked: AtomicU32,
    /// Companies whose sign-in is refused, and those that do not give their number of users any more.
    closed: Mutex<Vec<&'static str>>,
    unseated: Mutex<Vec<&'static str>>,
    users: Mutex<u32>,
}

struct Companies(Arc<Vendor>);

impl Connector for Companies {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        Some(self)
    }
}

fn closed(list: &Mutex<Vec<&'static str>>, cx: &ReadCx) -> Read<()> {
    match list.lock().unwrap().iter().any(|one| cx.realm() == Some(one)) {
        true => Err(Error::new(ErrorKind::Forbidden, "company.get", "not connected any more")),
        false => Ok(()),
    }
}

#[async_trait]
impl LedgerSource for Companies {
    async fn ledgers(&self, cx: &ReadCx, _: Cursor) -> Read<Page<LedgerRow>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        closed(&self.0.closed, cx)?;
        let id = cx.realm().unwrap();
        let name = format!("Company {id}");
        Ok(Page::only(vec![LedgerRow { id: id.into(), name, kind: "COMPANY".to_owned(), is_ledger: true }]))
    }
    async fn access(&self, _: &ReadCx, _: Scope<'_>, _: Cursor) -> Read<Page<AccessFact>> {
        Err(Error::new(ErrorKind::Unsupported, "users.list", "it lists nobody"))
    }
    async fn seats(&self, cx: &ReadCx, _: &LedgerId) -> Read<Option<Seats>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        closed(&self.0.unseated, cx)?;
        Ok(Some(Seats { users: *self.0.users.lock().unwrap(), accountants: None }))
    }
    fn stands(&self) -> Option<Duration> {
        Some(Duration::from_secs(24 * 3600))
    }
    async fn profile(&self, _: &ReadCx, _: &LedgerId) -> Read<LedgerProfile> {
        Ok(LedgerProfile::default())
    }
}

struct NoWire;

#[async_trait]
impl Transport for NoWire {
    async fn send(&self, request: Request) -> Read<Response> {
        panic!("{}", request.url)
    }
}

struct House {
    app: App,
    vendor: Arc<Vendor>,
    source: Source,
    _dir: tempfile::TempDir,
}

fn manifest(connector: &str) -> &'static Manifest {
    registry::entry(connector).unwrap().factory.manifest()
}

fn reach(sign_in: &str, realm: &str) -> Reach {
    let mut reach = Reach::without_sign_in(Arc::new(NoWire));
    sign_in.clone_into(&mut reach.sign_in);
    reach.own = OwnIdentity { email: None, user_id: Some("u".into()) };
    (reach.realm, reach.given) = (Some(realm.to_owned()), Some(START));
    reach
}

impl House {
    /// Two companies, each with a sign-in of its own.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "version = 1\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\n\
                      timezone = \"Pacific/Auckland\"\n";
        let parsed = config::parse(config, &app::manifests());
        let config = Arc::new(parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.problems)));
        let state = dir.path().join("state");
        let app = App {
            store: Store::here(Db::open(Options::new(&state, START).create()).unwrap()),
            place: Place {
                config: dir.path().join("config.toml"),
                state,
                runtime: None,
                acting: None,
                json: false,
                quiet: true,
            },
            config,
            actor: Actor::daemon(),
            person: None,
            clock: Arc::new(ledgerward_kit::clock::SystemClock),
            process: Arc::new(Process::default()),
        };
        let vendor = Arc::new(Vendor::default());
        let source = Source {
            name: "quickbooks".into(),
            manifest: manifest("quickbooks"),
            connector: Box::new(Companies(Arc::clone(&vendor))),
            configured: "as it was".to_owned(),
            reaches: vec![reach("s1", "71"), reach("s2", "72")],
            roles: RoleTable::default(),
        };
        Self { app, vendor, source, _dir: dir }
    }

    /// Reads. What is said of each company, and how many questions it took.
    async fn read(&self, minutes: i64, fresh: bool) -> (Vec<String>, u32) {
        let before = self.vendor.asked.load(Ordering::SeqCst);
        let known =
            Known { ledgers: [("71".into(), String::new()), ("72".into(), String::new())].into(), ..Known::default() };
        let read = source(&self.app, &self.source, known, &Wanted::All, fresh, at(minutes)).await.unwrap();
        let said = read.readings.iter().map(|r| match (&r.outcome, r.seats) {
            (ReadOutcome::Failed(e), Some(seats)) if e.kind == ErrorKind::Unsupported => {
                format!("{} {}: {}", r.name, e.message, seats.users)
            }
            (ReadOutcome::Failed(e), _) => format!("{:?}", e.kind),
            other => format!("{other:?}"),
        });
        (said.collect(), self.vendor.asked.load(Ordering::SeqCst) - before)
    }

    async fn asked(&self, minutes: i64, fresh: bool) -> u32 {
        self.read(minutes, fresh).await.1
    }
}

const BOTH: u32 = 4;

#[tokio::test]
async fn a_whole_answer_stands_for_a_day() {
    let house = House::new();
    let first = house.read(0, false).await;
    assert_eq!(
        first,
        (vec!["Company 71 it lists nobody: 0".to_owned(), "Company 72 it lists nobody: 0".to_owned()], BOTH)
    );
    *house.vendor.users.lock().unwrap() = 5;
    for minutes in [5, 60, DAY - 1] {
        assert_eq!(house.read(minutes, false).await, (first.0.clone(), 0), "{minutes}");
    }
    let (said, asked) = house.read(DAY, false).await;
    assert_eq!((said[0].as_str(), asked), ("Company 71 it lists nobody: 5", BOTH));
}

#[tokio::test]
async fn whoever_asks_is_told_what_is_true_now() {
    let house = House::new();
    house.read(0, false).await;
    house.vendor.closed.lock().unwrap().push("71");
    let (said, _) = house.read(5, true).await;
    assert_eq!(said, ["Forbidden", "Company 72 it lists nobody: 0"]);
    // What was heard then goes on: the one is asked in each run until it answers, the other is not.
    assert_eq!(house.read(10, false).await, (said, 1));
    house.vendor.closed.lock().unwrap().clear();
    assert_eq!((house.asked(15, false).await, house.asked(20, false).await), (2, 0));
}

#[tokio::test]
async fn a_company_that_is_closed_meanwhile_is_open_for_no_more_than_the_day() {
    let house = House::new();
    house.read(0, false).await;
    house.vendor.unseated.lock().unwrap().push("71");
    assert_eq!(house.asked(DAY - 1, false).await, 0);
    assert_eq!(house.read(DAY, false).await.0[0], "Forbidden");
    assert_eq!(
        house.read(DAY + 5, false).await,
        (vec!["Forbidden".to_owned(), "Company 72 it lists nobody: 0".to_owned()], 2)
    );
}

#[tokio::test]
async fn a_new_sign_in_another_configuration_and_a_clock_set_back_are_asked_at_once() {
    let mut house = House::new();
    house.read(0, false).await;
    house.source.reaches[0].given = Some(at(3));
    assert_eq!((house.asked(5, false).await, house.asked(6, false).await), (2, 0));
    house.source.configured = "as it is".to_owned();
    assert_eq!((house.asked(10, false).await, house.asked(11, false).await), (BOTH, 0));
    assert_eq!(house.asked(-60, false).await, BOTH);
    // A sign-in that died is dead, whatever it said before.
    house.source.reaches[1].dead = Some("refused".to_owned());
    assert_eq!(
        house.read(-59, false).await,
        (vec!["Company 71 it lists nobody: 0".to_owned(), "Unauthenticated".to_owned()], 0)
    );
}

#[tokio::test]
async fn a_source_that_lists_users_is_asked_in_each_run_whatever_it_says_of_itself() {
    let mut house = House::new();
    house.source.manifest = manifest("xero");
    assert_eq!((house.asked(0, false).await, house.asked(5, false).await), (BOTH, BOTH));
}

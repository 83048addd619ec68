use ledgerward_contract::{AccountId, LedgerId, LedgerRole, ProviderUserId, SourceKind};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::*;

pub(crate) fn pid(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

pub(crate) fn cid(n: u128) -> ClientId {
    ClientId(Uuid::from_u128(1000 + n))
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

pub(crate) fn by(n: u128) -> By {
    By { actor: Actor::Person(pid(n)), at: now() }
}

fn ledger(id: &str) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: id.to_owned() }
}

fn account(ledger: &str, account: &str) -> AccountRef {
    AccountRef { connection: "xero".into(), ledger: LedgerId::from(ledger), account: AccountId::from(account) }
}

fn add(n: u128, first: &str, office: Office) -> ChangeOp {
    let email = email(&format!("{}@harbour.example", first.to_lowercase()));
    ChangeOp::AddPerson {
        id: pid(n),
        first: first.into(),
        last: "Test".into(),
        email,
        office,
        mode: Mode::LedgerSelected,
    }
}

const PRIMARY: u128 = 1;
const OWNER: u128 = 2;
const ADMIN: u128 = 3;
const EMPLOYEE: u128 = 4;
const VIEWER: u128 = 5;

/// Ana is primary owner, Oli owner, Ada admin, Emma employee, Vic viewer; Acme has the ledger L1, Birch has none.
pub(crate) fn firm() -> Firm {
    let mut firm = Firm { name: "Harbour".into(), domains: ["harbour.example".to_owned()].into(), ..Firm::default() };
    let setup = By { actor: Actor::Setup, at: now() };
    change(&mut firm, &add(PRIMARY, "Ana", Office::PrimaryOwner), setup).unwrap();
    for op in [
        add(OWNER, "Oli", Office::Owner),
        add(ADMIN, "Ada", Office::Admin),
        add(EMPLOYEE, "Emma", Office::Employee),
        add(VIEWER, "Vic", Office::Viewer),
        ChangeOp::AddClient { id: cid(1), name: "Acme Ltd".into(), slug: None },
        ChangeOp::BindSource { client: cid(1), source: ledger("L1") },
        ChangeOp::AddClient { id: cid(2), name: "Birch & Sons LLP".into(), slug: None },
    ] {
        change(&mut firm, &op, by(PRIMARY)).unwrap();
    }
    assert_eq!(violations(&firm), Vec::<String>::new());
    firm
}

fn refused(firm: &Firm, op: &ChangeOp, who: u128, part: &str) {
    let mut copy = firm.clone();
    let refusal = change(&mut copy, op, by(who)).expect_err(&format!("{op:?}"));
    assert!(refusal.message.contains(part), "{refusal:?} does not say {part}");
    assert!(!refusal.next.is_empty());
    assert_eq!(&copy, firm, "a refused change changes nothing");
}

fn after(firm: &Firm, op: ChangeOp, who: u128) -> Firm {
    let (next, effect) = apply(firm, &op, by(who)).unwrap();
    assert!(effect.changed && !effect.summary.is_empty(), "{op:?}");
    assert_eq!(violations(&next), Vec::<String>::new());
    let (again, effect) = apply(&next, &op, by(who)).map_or_else(|_| (next.clone(), None), |(f, e)| (f, Some(e)));
    assert!(again == next || effect.is_some_and(|e| e.changed), "a repeat changes nothing: {op:?}");
    next
}

#[test]
fn setup_makes_one_primary_owner_once() {
    let setup = By { actor: Actor::Setup, at: now() };
    let empty = Firm::default();
    assert!(apply(&empty, &add(9, "Eve", Office::Owner), setup).is_err());
    let (firm, _) = apply(&empty, &add(9, "Eve", Office::PrimaryOwner), setup).unwrap();
    assert!(apply(&firm, &add(8, "Ivo", Office::PrimaryOwner), setup).is_err());
}

#[test]
fn the_primary_owner_is_one_and_stays() {
    let f = firm();
    let me = pid(PRIMARY);
    refused(&f, &ChangeOp::SetEnabled { person: me, enabled: false }, OWNER, "wider role");
    refused(&f, &ChangeOp::SetEnabled { person: me, enabled: false }, PRIMARY, "nobody disables");
    refused(&f, &ChangeOp::ClosePerson { person: me, reason: "x".into() }, PRIMARY, "nobody disables or closes");
    let demote = ChangeOp::SetOffice { person: me, office: Office::Viewer, mode: Mode::All };
    refused(&f, &demote, PRIMARY, "nobody changes their own role");
    refused(&f, &demote, OWNER, "wider role");
    let crown = ChangeOp::SetOffice { person: pid(OWNER), office: Office::PrimaryOwner, mode: Mode::All };
    refused(&f, &crown, PRIMARY, "exactly one primary owner");
    refused(&f, &add(9, "Eve", Office::PrimaryOwner), PRIMARY, "exactly one primary owner");
    refused(&f, &ChangeOp::HandOver { to: pid(OWNER) }, OWNER, "permission");
    refused(&f, &ChangeOp::HandOver { to: pid(ADMIN) }, PRIMARY, "not an enabled owner");
    let disabled = after(&f, ChangeOp::SetEnabled { person: pid(OWNER), enabled: false }, PRIMARY);
    refused(&disabled, &ChangeOp::HandOver { to: pid(OWNER) }, PRIMARY, "not an enabled owner");
    let handed = after(&f, ChangeOp::HandOver { to: pid(OWNER) }, PRIMARY);
    assert_eq!(handed.people[&pid(OWNER)].office, Office::PrimaryOwner);
    assert_eq!(handed.people[&me].office, Office::Owner);
}

#[test]
fn nobody_gives_or_touches_more_than_their_own_office() {
    let f = firm();
    refused(&f, &add(9, "Eve", Office::Owner), ADMIN, "wider than their own");
    let up = ChangeOp::SetOffice { person: pid(EMPLOYEE), office: Office::Owner, mode: Mode::All };
    refused(&f, &up, ADMIN, "wider than their own");
    refused(&f, &ChangeOp::SetEnabled { person: pid(OWNER), enabled: false }, ADMIN, "wider role");
    refused(&f, &ChangeOp::SetMode { person: pid(ADMIN), mode: Mode::All }, EMPLOYEE, "permission");
    let other = ChangeOp::EditPerson { person: pid(ADMIN), first: Some("X".into()), last: None, email: None };
    refused(&f, &other, EMPLOYEE, "permission \"people\" is missing");
    let own = ChangeOp::EditPerson { person: pid(EMPLOYEE), first: Some("Emmy".into()), last: None, email: None };
    assert_eq!(after(&f, own, EMPLOYEE).people[&pid(EMPLOYEE)].first, "Emmy");
    let address = Some(email("x@evil.example"));
    let own = ChangeOp::EditPerson { person: pid(EMPLOYEE), first: None, last: None, email: address };
    refused(&f, &own, EMPLOYEE, "cannot change it yourself");
    let name = ChangeOp::EditPerson { person: pid(VIEWER), first: Some("V".into()), last: None, email: None };
    refused(&f, &name, VIEWER, "permission");
    let disabled = after(&f, ChangeOp::SetEnabled { person: pid(ADMIN), enabled: false }, OWNER);
    refused(&disabled, &add(9, "Eve", Office::Viewer), ADMIN, "disabled or closed");
}

#[test]
fn an_address_is_one_person() {
    let f = firm();
    refused(&f, &add(9, "Ana", Office::Viewer), PRIMARY, "already one of Ana Test's");
    let alias =
        |person, text: &str| ChangeOp::AddAlias { person: pid(person), connection: "xero".into(), email: email(text) };
    refused(&f, &alias(EMPLOYEE, "ADA@harbour.example"), PRIMARY, "already one of Ada");
    let f = after(&f, alias(EMPLOYEE, "emma@old.example"), PRIMARY);
    refused(&f, &alias(ADMIN, "emma@old.example"), PRIMARY, "already one of Emma");
    let target = |person, text: &str| ChangeOp::SetTargetAddress {
        person: pid(person),
        target: TargetName("drive".into()),
        email: Some(email(text)),
    };
    refused(&f, &target(ADMIN, "emma@old.example"), PRIMARY, "already one of Emma");
    let f = after(&f, target(ADMIN, "ada@drive.example"), PRIMARY);
    let edit =
        ChangeOp::EditPerson { person: pid(OWNER), first: None, last: None, email: Some(email("ada@drive.example")) };
    refused(&f, &edit, PRIMARY, "already one of Ada");
}

#[test]
fn a_new_address_in_another_domain_is_held_again() {
    let f = after(&firm(), ChangeOp::AcceptDomain { person: pid(EMPLOYEE) }, ADMIN);
    let edit =
        |text: &str| ChangeOp::EditPerson { person: pid(EMPLOYEE), first: None, last: None, email: Some(email(text)) };
    assert!(after(&f, edit("emmy@harbour.example"), ADMIN).people[&pid(EMPLOYEE)].domain_accepted);
    assert!(!after(&f, edit("emma@gmail.example"), ADMIN).people[&pid(EMPLOYEE)].domain_accepted);
}

#[test]
fn closed_stays_closed_until_lifted() {
    let f = firm();
    let close = ChangeOp::ClosePerson { person: pid(EMPLOYEE), reason: "left today".into() };
    let f = after(&f, close, ADMIN);
    let closed = f.people[&pid(EMPLOYEE)].closed.clone().unwrap();
    assert_eq!((closed.by.as_str(), closed.since), ("ada@harbour.example", now()));
    let f = after(&f, ChangeOp::SetEnabled { person: pid(EMPLOYEE), enabled: false }, ADMIN);
    let f = after(&f, ChangeOp::SetEnabled { person: pid(EMPLOYEE), enabled: true }, ADMIN);
    assert!(f.people[&pid(EMPLOYEE)].shut(), "enabling does not lift");
    assert!(!after(&f, ChangeOp::LiftPerson { person: pid(EMPLOYEE) }, ADMIN).people[&pid(EMPLOYEE)].shut());
}

#[test]
fn slugs_are_unique_and_survive_a_rename() {
    let f = after(&firm(), ChangeOp::AddClient { id: cid(3), name: "ACME, Ltd.".into(), slug: None }, ADMIN);
    let f = after(&f, ChangeOp::AddClient { id: cid(4), name: "株式会社".into(), slug: None }, ADMIN);
    let slugs: Vec<&str> = f.clients.values().map(|c| c.slug.as_str()).collect();
    assert_eq!(slugs, ["acme-ltd", "birch-sons-llp", "acme-ltd-2", "client-000003ec"]);
    let f = after(&f, ChangeOp::RenameClient { client: cid(1), name: "Apex Ltd".into() }, ADMIN);
    assert_eq!(f.clients[&cid(1)].slug, "acme-ltd");
}

#[test]
fn slugs_keep_what_can_be_typed_of_a_letter() {
    let slug = |name: &str| slug_for(&Firm::default(), name, cid(1001));
    for (name, wanted) in [
        ("Søns & Døtre A/S", "sons-dotre-a-s"),
        ("Łódź Spółka", "lodz-spolka"),
        ("Weiß Straße GmbH", "weiss-strasse-gmbh"),
        ("ÆRØ Đorđević", "aero-dordevic"),
        ("Þór Ísland ehf.", "thor-island-ehf"),
        ("Cafe\u{301} Zoë", "cafe-zoe"),
        ("İstanbul Kırtasiye", "istanbul-kirtasiye"),
        ("O’Neill ﬁrst №5", "oneill-first-no5"),
        ("ＡＣＭＥ", "acme"),
        ("Acme 株式会社", "acme"),
        ("2024", "2024"),
    ] {
        assert_eq!(slug(name), wanted, "{name}");
    }
    // A number alone is no name for a firm whose letters nobody can type here.
    for name in ["株式会社 2", "Ромашка", "Αθήνα 7", "!!!"] {
        assert_eq!(slug(name), "client-000007d1", "{name}");
    }
    let f = after(&firm(), ChangeOp::AddClient { id: cid(3), name: "Søns".into(), slug: None }, ADMIN);
    let f = after(&f, ChangeOp::AddClient { id: cid(4), name: "Sons".into(), slug: None }, ADMIN);
    assert_eq!((f.clients[&cid(3)].slug.as_str(), f.clients[&cid(4)].slug.as_str()), ("sons", "sons-2"));
}

#[test]
fn an_employees_client_is_theirs_and_bound_to_nothing() {
    let f = after(&firm(), ChangeOp::AddClient { id: cid(3), name: "Cedar".into(), slug: None }, EMPLOYEE);
    let cedar = &f.clients[&cid(3)];
    assert_eq!((cedar.sources.len(), cedar.targets.clone()), (0, Some(BTreeSet::new())));
    assert!(f.selections.contains_key(&(pid(EMPLOYEE), cid(3))));
    refused(&f, &ChangeOp::BindSource { client: cid(3), source: ledger("L9") }, EMPLOYEE, "permission");
    refused(&f, &ChangeOp::SetTargets { client: cid(3), targets: None }, EMPLOYEE, "permission");
    assert_eq!(after(&f, ChangeOp::SetTargets { client: cid(3), targets: None }, ADMIN).clients[&cid(3)].targets, None);
}

fn select(person: u128, client: u128, scope: SelectionScope) -> ChangeOp {
    ChangeOp::Select { person: pid(person), client: cid(client), scope, when_granted: false }
}

#[test]
fn an_empty_account_list_is_refused_everywhere_and_never_becomes_all() {
    let f = firm();
    refused(&f, &select(EMPLOYEE, 1, SelectionScope::Accounts(BTreeSet::new())), ADMIN, "empty list of accounts");
    refused(&f, &ChangeOp::SetAccounts { client: cid(1), accounts: Some(BTreeSet::new()) }, ADMIN, "empty list");
    let foreign = SelectionScope::Accounts([account("L2", "A")].into());
    refused(&f, &select(EMPLOYEE, 1, foreign), ADMIN, "not bound to xero L2");
    let f = after(&f, ChangeOp::BindSource { client: cid(1), source: ledger("L2") }, ADMIN);
    let f = after(&f, select(EMPLOYEE, 1, SelectionScope::Accounts([account("L1", "A")].into())), ADMIN);
    let f = after(&f, ChangeOp::SetAccounts { client: cid(1), accounts: Some([account("L1", "A")].into()) }, ADMIN);
    let unbind = ChangeOp::UnbindSource { client: cid(1), source: ledger("L1") };
    refused(&f, &unbind, ADMIN, "are all of this ledger");
    let f = after(&f, ChangeOp::SetAccounts { client: cid(1), accounts: None }, ADMIN);
    let f = after(&f, unbind, ADMIN);
    assert!(f.selections.is_empty(), "nothing is left of the selection, so it ends");
}

#[test]
fn accounts_of_two_ledgers_with_one_id_are_never_selected_together() {
    let accounts = |all: &[(&str, &str)]| SelectionScope::Accounts(all.iter().map(|(l, a)| account(l, a)).collect());
    let f = after(&firm(), ChangeOp::BindSource { client: cid(1), source: ledger("L2") }, ADMIN);
    let both = accounts(&[("L1", "35"), ("L2", "35")]);
    refused(&f, &select(EMPLOYEE, 1, both), ADMIN, "account 35 of xero:L1 is selected, and that of xero:L2 would");
    let f = after(&f, select(EMPLOYEE, 1, accounts(&[("L1", "35"), ("L2", "36")])), ADMIN);
    let other = select(VIEWER, 1, accounts(&[("L2", "35")]));
    refused(&f, &other, ADMIN, "account 35 of xero:L1 is selected for emma@harbour.example, and that of xero:L2");
    let away = after(&f, ChangeOp::SetEnabled { person: pid(EMPLOYEE), enabled: false }, ADMIN);
    refused(&away, &other, ADMIN, "would have the same folder of acme-ltd");
    let f = after(&f, select(VIEWER, 1, accounts(&[("L1", "35")])), ADMIN);
    let f = after(&f, ChangeOp::Unselect { person: pid(VIEWER), client: cid(1) }, ADMIN);
    // Whoever alone has it may turn to the other ledger's.
    after(&f, select(EMPLOYEE, 1, accounts(&[("L2", "35")])), ADMIN);
}

#[test]
fn a_named_authority_is_one_of_the_clients_sources() {
    let f = firm();
    let named = |s| ChangeOp::SetAuthority { client: cid(1), authority: Authority::Named(ledger(s)) };
    refused(&f, &named("L9"), ADMIN, "not bound");
    let f = after(&f, named("L1"), ADMIN);
    refused(&f, &ChangeOp::UnbindSource { client: cid(1), source: ledger("L1") }, ADMIN, "alone decides");
}

#[test]
fn a_proposed_client_gives_nothing_until_accepted() {
    let daemon = By { actor: Actor::Daemon, at: now() };
    let propose = ChangeOp::ProposeClient { id: cid(3), name: "New Org".into(), source: ledger("L3") };
    refused(&firm(), &propose, PRIMARY, "only the daemon");
    let (f, effect) = apply(&firm(), &propose, daemon).unwrap();
    assert!(effect.changed && !apply(&f, &propose, daemon).unwrap().1.changed);
    refused(&f, &select(EMPLOYEE, 3, SelectionScope::Whole), ADMIN, "not accepted yet");
    let accepted = after(&f, ChangeOp::SetClientState { client: cid(3), state: ClientState::Active }, ADMIN);
    after(&accepted, select(EMPLOYEE, 3, SelectionScope::Whole), ADMIN);
    let bound = after(&f, ChangeOp::BindSource { client: cid(2), source: ledger("L3") }, ADMIN);
    assert_eq!(bound.clients[&cid(3)].state, ClientState::Closed, "the proposal is answered");
    assert!(apply(&f, &ChangeOp::SetEnabled { person: pid(ADMIN), enabled: false }, daemon).is_err());
}

#[test]
fn private_books_are_for_nobody_else() {
    let f = firm();
    refused(&f, &ChangeOp::AddPrivate { id: cid(7), name: "Own".into() }, EMPLOYEE, "permission");
    let f = after(&f, ChangeOp::AddPrivate { id: cid(7), name: "Ada's own".into() }, ADMIN);
    assert_eq!(f.clients[&cid(7)].targets, Some(BTreeSet::new()), "pushed nowhere");
    for who in [PRIMARY, OWNER] {
        refused(&f, &select(who, 7, SelectionScope::Whole), who, "there is no client");
        refused(&f, &ChangeOp::ConvertPrivate { client: cid(7) }, who, "there is no client");
        assert!(find_client(&f, "Ada's own", Some(pid(who))).is_err(), "not even its name");
    }
    assert!(find_client(&f, "Ada's own", Some(pid(ADMIN))).is_ok());
    refused(&f, &select(ADMIN, 7, SelectionScope::Whole), ADMIN, "is private");
    refused(&f, &ChangeOp::SetTargets { client: cid(7), targets: None }, ADMIN, "pushed nowhere");
    refused(&f, &ChangeOp::BindSource { client: cid(7), source: ledger("L1") }, ADMIN, "in use elsewhere");
    let bound = after(&f, ChangeOp::BindSource { client: cid(7), source: ledger("LP") }, ADMIN);
    refused(&bound, &ChangeOp::BindSource { client: cid(2), source: ledger("LP") }, PRIMARY, "in use elsewhere");
    let drive = TargetName("drive".into());
    let share = |people: &[u128]| ChangeOp::SharePrivate {
        client: cid(7),
        target: drive.clone(),
        people: people.iter().map(|n| pid(*n)).collect(),
    };
    refused(&f, &share(&[]), ADMIN, "nobody is named");
    let shared = after(&f, share(&[OWNER]), ADMIN);
    assert_eq!(shared.clients[&cid(7)].targets, Some([drive.clone()].into()));
    assert_eq!(shared.clients[&cid(7)].private_to, Some(pid(ADMIN)), "still private");
    // Nobody gets a target that was not named for them.
    let disk = |people: &[u128]| ChangeOp::SharePrivate {
        client: cid(7),
        target: TargetName("disk".into()),
        people: people.iter().map(|n| pid(*n)).collect(),
    };
    refused(&shared, &disk(&[EMPLOYEE]), ADMIN, "as a whole");
    let both = after(&shared, disk(&[OWNER]), ADMIN);
    refused(&both, &share(&[EMPLOYEE]), ADMIN, "as a whole");
    assert!(after(&shared, share(&[EMPLOYEE]), ADMIN).selections.contains_key(&(pid(EMPLOYEE), cid(7))));
    let nobody = after(&shared, ChangeOp::Unselect { person: pid(OWNER), client: cid(7) }, ADMIN);
    let elsewhere = after(&nobody, disk(&[EMPLOYEE]), ADMIN);
    assert_eq!(elsewhere.clients[&cid(7)].targets, Some([TargetName("disk".into())].into()), "and not on drive");
    let converted = after(&f, ChangeOp::ConvertPrivate { client: cid(7) }, ADMIN);
    after(&converted, select(EMPLOYEE, 7, SelectionScope::Whole), OWNER);
}

/// Ada's own books (7), and a ledger LP that is proposed as Kelp Capital (8).
fn with_private() -> Firm {
    let f = after(&firm(), ChangeOp::AddPrivate { id: cid(7), name: "Ada's own".into() }, ADMIN);
    let propose = ChangeOp::ProposeClient { id: cid(8), name: "Kelp Capital".into(), source: ledger("LP") };
    apply(&f, &propose, By { actor: Actor::Daemon, at: now() }).unwrap().0
}

fn share(people: &[u128]) -> ChangeOp {
    let people = people.iter().map(|n| pid(*n)).collect();
    ChangeOp::SharePrivate { client: cid(7), target: TargetName("drive".into()), people }
}

#[test]
fn what_goes_beyond_private_books_takes_two_people() {
    let f = with_private();
    let waits = |op: &ChangeOp| waits(&f, pid(ADMIN), std::slice::from_ref(op), None);
    let bind = ChangeOp::BindSource { client: cid(7), source: ledger("LP") };
    let convert = ChangeOp::ConvertPrivate { client: cid(7) };
    let unseen = ChangeOp::BindSource { client: cid(7), source: ledger("one that comes tomorrow") };
    assert!(waits(&bind) && waits(&convert) && waits(&unseen));
    assert!(!super::waits(&f, pid(OWNER), std::slice::from_ref(&bind), None), "an owner may publish");
    let (client, source) = (cid(7), ledger("LP"));
    for op in [
        share(&[EMPLOYEE]),
        ChangeOp::Unselect { person: pid(EMPLOYEE), client },
        ChangeOp::RenameClient { client, name: "Boat".into() },
        ChangeOp::SetClientState { client, state: ClientState::Closed },
        ChangeOp::UnbindSource { client, source: source.clone() },
        ChangeOp::SetAuthority { client, authority: Authority::Any },
        ChangeOp::SetUnlisted { client, unlisted: Some(Unlisted::Deny) },
        ChangeOp::SetAccounts { client, accounts: None },
        ChangeOp::SetYearEnd { client, year_end: Some((3, 31)) },
        ChangeOp::SetStatementsSince { client, since: None },
    ] {
        assert!(!waits(&op), "{op:?}");
        let firms = match op.clone() {
            ChangeOp::RenameClient { name, .. } => ChangeOp::RenameClient { client: cid(1), name },
            _ => continue,
        };
        assert!(waits(&firms), "of the firm's own clients it does");
    }

    let (bound, effect) = publish(&f, &bind, Some(pid(ADMIN)), by(OWNER)).unwrap();
    let told = "private books of ada@harbour.example take the ledger Kelp Capital (LP) of xero; the proposed client \
                kelp-capital is closed";
    assert_eq!(effect.summary, told, "and not what they are called");
    assert_eq!(bound.clients[&cid(8)].state, ClientState::Closed);
    assert!(bound.clients[&cid(7)].sources.contains(&source) && violations(&bound).is_empty());
    let (open, effect) = publish(&bound, &convert, Some(pid(ADMIN)), by(OWNER)).unwrap();
    assert_eq!(open.clients[&cid(7)].private_to, None);
    assert!(effect.summary.contains("private books of ada@harbour.example"), "{}", effect.summary);

    // Neither of the two is left out.
    let said = |f: &Firm, op: &ChangeOp, author: Option<u128>, who: u128| {
        publish(f, op, author.map(pid), by(who)).expect_err("one alone").message
    };
    assert!(said(&f, &bind, Some(ADMIN), ADMIN).contains("publish"));
    assert!(said(&f, &bind, Some(ADMIN), EMPLOYEE).contains("publish"));
    for author in [None, Some(EMPLOYEE), Some(PRIMARY)] {
        assert!(said(&f, &bind, author, OWNER).contains("there is no client"), "{author:?}");
    }
    let shut = after(&f, ChangeOp::SetEnabled { person: pid(ADMIN), enabled: false }, OWNER);
    assert!(said(&shut, &bind, Some(ADMIN), OWNER).contains("disabled"));
    let rename = ChangeOp::RenameClient { client, name: "Boat".into() };
    assert!(said(&f, &rename, Some(ADMIN), OWNER).contains("there is no client"), "nobody else looks at that");
    let judges = |op: &ChangeOp, author, who| can_judge(&f, op, Some(pid(author)), pid(who));
    assert!(judges(&bind, ADMIN, OWNER) && judges(&convert, ADMIN, OWNER));
    assert!(!judges(&bind, ADMIN, ADMIN) && !judges(&rename, ADMIN, OWNER) && !judges(&bind, OWNER, OWNER));
}

#[test]
fn private_books_that_nobody_keeps_give_nothing_and_their_person_may_always_give_less() {
    let f = after(&with_private(), ChangeOp::BindSource { client: cid(7), source: ledger("LP") }, ADMIN);
    let f = after(&f, share(&[EMPLOYEE]), ADMIN);
    let facts = crate::domain::facts::FactsBuilder::new(f.people.keys().copied()).build();
    let targets = [TargetName("drive".into())];
    let sees = |f: &Firm| {
        let d = crate::domain::policy::Decider::new(f, &facts, &targets, now());
        let judged = d.judge(pid(EMPLOYEE), cid(7)).answer == crate::domain::policy::Answer::Yes;
        let lane = d.lanes().any(|(lane, _)| lane.lane.folder.client == cid(7));
        let found = find_client(f, "Ada's own", Some(pid(EMPLOYEE))).is_ok();
        assert!(judged == lane && judged == found, "{judged} {lane} {found}");
        judged
    };
    assert!(sees(&f));
    let disable = |enabled| ChangeOp::SetEnabled { person: pid(ADMIN), enabled };
    let disabled = after(&f, disable(false), OWNER);
    let closed = after(&f, ChangeOp::ClosePerson { person: pid(ADMIN), reason: "left".into() }, OWNER);
    let office = |office| ChangeOp::SetOffice { person: pid(ADMIN), office, mode: Mode::LedgerSelected };
    let demoted = after(&f, office(Office::Employee), OWNER);
    assert!(!sees(&disabled) && !sees(&closed) && !sees(&demoted));
    assert!(sees(&after(&disabled, disable(true), OWNER)), "and again once they keep them again");
    let desk = CustomOffice { permissions: [Permission::Private].into(), group: None };
    let f2 = after(&demoted, ChangeOp::DefineOffice { name: "desk".into(), office: desk }, OWNER);
    assert!(sees(&after(&f2, office(Office::Custom("desk".into())), OWNER)), "it is the permission that counts");

    let end = ChangeOp::Unselect { person: pid(EMPLOYEE), client: cid(7) };
    let less = [
        end.clone(),
        ChangeOp::RenameClient { client: cid(7), name: "Boat".into() },
        ChangeOp::UnbindSource { client: cid(7), source: ledger("LP") },
        ChangeOp::SetClientState { client: cid(7), state: ClientState::Closed },
    ];
    for op in less {
        assert!(!waits(&demoted, pid(ADMIN), std::slice::from_ref(&op), None), "{op:?}");
        after(&demoted, op.clone(), ADMIN);
        refused(&demoted, &op, OWNER, "there is no client");
        refused(&disabled, &op, ADMIN, "disabled");
    }
    refused(&demoted, &share(&[VIEWER]), ADMIN, "permission \"private\" is missing");
    let firms = ChangeOp::Unselect { person: pid(EMPLOYEE), client: cid(1) };
    refused(&demoted, &firms, ADMIN, "permission \"selections\" is missing");

    let books = books_of(&disabled, pid(ADMIN));
    assert_eq!(books.len(), 1);
    assert_eq!((books[0].client.id, books[0].with[0].id), (cid(7), pid(EMPLOYEE)));
    assert!(books_of(&after(&f, end, ADMIN), pid(ADMIN))[0].with.is_empty());
    assert!(books_of(&f, pid(OWNER)).is_empty());
}

#[test]
fn a_ledger_comes_back_from_the_private_books_of_whoever_left() {
    let f = after(&with_private(), ChangeOp::BindSource { client: cid(7), source: ledger("LP") }, ADMIN);
    let f = after(&f, ChangeOp::SetAuthority { client: cid(7), authority: Authority::Named(ledger("LP")) }, ADMIN);
    let chosen = Some([account("LP", "bank")].into());
    let f = after(&f, ChangeOp::SetAccounts { client: cid(7), accounts: chosen }, ADMIN);
    let bind = ChangeOp::BindSource { client: cid(2), source: ledger("LP") };
    refused(&f, &bind, PRIMARY, "in use elsewhere");
    let left = after(&f, ChangeOp::SetEnabled { person: pid(ADMIN), enabled: false }, OWNER);
    let (back, effect) = apply(&left, &bind, by(PRIMARY)).unwrap();
    assert!(effect.summary.contains("taken from private books of ada@harbour.example"), "{}", effect.summary);
    assert!(!effect.summary.contains("Ada's own"), "{}", effect.summary);
    let books = &back.clients[&cid(7)];
    assert!(back.clients[&cid(2)].sources.contains(&ledger("LP")));
    assert!(books.sources.is_empty() && books.authority == Authority::All && books.accounts.is_none());
    assert_eq!((books.private_to, violations(&back)), (Some(pid(ADMIN)), vec![]));
}

#[test]
fn break_glass_lies_beside_a_guests_access_and_both_end_together() {
    let guest = |hours: i64, break_glass| ChangeOp::AddGuest {
        guest: Guest {
            person: pid(EMPLOYEE),
            client: cid(1),
            until: now() + jiff::SignedDuration::from_hours(hours),
            reason: "audit".into(),
            break_glass,
        },
        second: break_glass.then(|| pid(PRIMARY)),
        extends: false,
    };
    let f = after(&firm(), guest(300, false), OWNER);
    let both = after(&f, guest(8, true), OWNER);
    assert_eq!(both.guests.len(), 2, "the one goes on when the other's day is over");
    assert_eq!(after(&both, guest(9, true), OWNER).guests.len(), 2, "each kind once");
    let longer = after(&both, guest(400, false), OWNER);
    assert_eq!(longer.guests.iter().filter(|g| g.break_glass).count(), 1);
    let end = ChangeOp::EndGuest { person: pid(EMPLOYEE), client: cid(1) };
    let (none, effect) = apply(&both, &end, by(OWNER)).unwrap();
    assert!(none.guests.is_empty());
    let ChangeOp::AddGuest { guest: longer, second, .. } = guest(400, false) else { panic!("it is a guest") };
    let extends = ChangeOp::AddGuest { guest: longer, second, extends: true };
    refused(&none, &extends, OWNER, "is no guest of acme-ltd any more");
    assert_eq!(after(&f, extends, OWNER).guests.len(), 1);
    let told = "guest and BREAK-GLASS access of emma@harbour.example to acme-ltd ended";
    assert_eq!(effect.summary, told);
    assert!(apply(&f, &end, by(OWNER)).unwrap().1.summary.starts_with("guest access"));
}

#[test]
fn break_glass_needs_two_people_and_a_day_at_most() {
    let f = firm();
    let guest = |hours: i64, break_glass| Guest {
        person: pid(EMPLOYEE),
        client: cid(1),
        until: now() + jiff::SignedDuration::from_hours(hours),
        reason: "audit".into(),
        break_glass,
    };
    let op = |guest, second: Option<u128>| ChangeOp::AddGuest { guest, second: second.map(pid), extends: false };
    refused(&f, &op(guest(2, true), None), OWNER, "second person");
    refused(&f, &op(guest(2, true), Some(OWNER)), OWNER, "second person");
    refused(&f, &op(guest(2, true), Some(EMPLOYEE)), OWNER, "second person");
    refused(&f, &op(guest(25, true), Some(PRIMARY)), OWNER, "24 hours");
    refused(&f, &op(guest(-1, false), None), OWNER, "not in the past");
    let f = after(&f, op(guest(24, true), Some(PRIMARY)), OWNER);
    assert_eq!(f.guests.len(), 1);
}

#[test]
fn who_is_meant_is_found_or_asked_never_guessed() {
    let f = after(
        &firm(),
        ChangeOp::AddPerson {
            id: pid(9),
            first: "Ana".into(),
            last: "Test".into(),
            email: email("ana2@harbour.example"),
            office: Office::Viewer,
            mode: Mode::Selected,
        },
        PRIMARY,
    );
    for typed in ["emma@harbour.example", "EMMA", "emma test", "00000000-0000-0000-0000-000000000004"] {
        assert_eq!(find_person(&f, typed).unwrap().id, pid(EMPLOYEE), "{typed}");
    }
    assert!(find_person(&f, "ana test").unwrap_err().message.contains("could be ana@harbour.example or ana2@"));
    assert!(find_person(&f, "00000000").is_err(), "all of them");
    assert!(find_person(&f, "zoe").unwrap_err().message.contains("there is no person"));
    assert_eq!(find_client(&f, "ACME LTD", None).unwrap().id, cid(1));
    assert_eq!(find_client(&f, "acme-ltd", None).unwrap().id, cid(1));
}

#[test]
fn four_eyes_is_on_once_there_are_two_owners() {
    let f = firm();
    assert!(needs_publishing(&f, pid(ADMIN), None) && !needs_publishing(&f, pid(OWNER), None));
    assert!(!needs_publishing(&f, pid(ADMIN), Some(false)));
    let one = after(&f, ChangeOp::SetEnabled { person: pid(OWNER), enabled: false }, PRIMARY);
    assert!(!needs_publishing(&one, pid(ADMIN), None) && needs_publishing(&one, pid(ADMIN), Some(true)));
}

#[test]
fn many_changes_are_all_or_none() {
    let ops = [select(EMPLOYEE, 1, SelectionScope::Whole), select(EMPLOYEE, 99, SelectionScope::Whole)];
    let (at, refusal) = apply_all(&firm(), &ops, by(ADMIN)).unwrap_err();
    assert!(at == 1 && refusal.message.contains("no client"));
}

fn office() -> impl Strategy<Value = Office> {
    prop_oneof![
        Just(Office::PrimaryOwner),
        Just(Office::Owner),
        Just(Office::Admin),
        Just(Office::Employee),
        Just(Office::Viewer),
        Just(Office::Custom("bookkeeping".into())),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = ChangeOp> {
    // Few ids, so that changes meet; some of nobody.
    let p = || (0u128..9).prop_map(pid);
    let c = || (0u128..6).prop_map(cid);
    let addr = || (0u8..12).prop_map(|n| email(&format!("p{n}@harbour.example")));
    let src = || (0u8..4).prop_map(|n| ledger(&format!("L{n}")));
    let acc = || {
        proptest::collection::btree_set(
            (0u8..4, 0u8..2).prop_map(|(l, a)| account(&format!("L{l}"), &a.to_string())),
            0..3,
        )
    };
    let mode = || prop::sample::select(Mode::ALL.to_vec());
    let state = prop_oneof![
        Just(ClientState::Proposed),
        Just(ClientState::Active),
        Just(ClientState::Archived),
        Just(ClientState::Closed)
    ];
    let scope = prop_oneof![Just(SelectionScope::Whole), acc().prop_map(SelectionScope::Accounts)];
    let target = || Just(TargetName("drive".into()));
    let authority = prop_oneof![Just(Authority::All), Just(Authority::Any), src().prop_map(Authority::Named)];
    let people = prop_oneof![
        (p(), addr(), office(), mode()).prop_map(|(id, email, office, mode)| ChangeOp::AddPerson {
            id,
            first: "P".into(),
            last: "Q".into(),
            email,
            office,
            mode
        }),
        (p(), addr()).prop_map(|(person, e)| ChangeOp::EditPerson { person, first: None, last: None, email: Some(e) }),
        (p(), any::<bool>()).prop_map(|(person, enabled)| ChangeOp::SetEnabled { person, enabled }),
        (p(), office(), mode()).prop_map(|(person, office, mode)| ChangeOp::SetOffice { person, office, mode }),
        p().prop_map(|to| ChangeOp::HandOver { to }),
        (p(), addr()).prop_map(|(person, email)| ChangeOp::AddAlias { person, connection: "xero".into(), email }),
        (p(), addr()).prop_map(|(person, email)| ChangeOp::RemoveAlias { person, connection: "xero".into(), email }),
        (p(), target(), prop::option::of(addr())).prop_map(|(person, target, email)| ChangeOp::SetTargetAddress {
            person,
            target,
            email
        }),
        p().prop_map(|person| ChangeOp::ClosePerson { person, reason: "left".into() }),
        p().prop_map(|person| ChangeOp::LiftPerson { person }),
        (p(), src(), 0u8..3).prop_map(|(person, source, n)| ChangeOp::ConfirmPin {
            pin: Pin { source, user: ProviderUserId(n.to_string()) },
            person
        }),
    ];
    let clients = prop_oneof![
        (c(), "[AB ]{0,3}").prop_map(|(id, name)| ChangeOp::AddClient { id, name, slug: None }),
        (c(), "[AB]{1,2}", src()).prop_map(|(id, name, source)| ChangeOp::ProposeClient { id, name, source }),
        (c(), state).prop_map(|(client, state)| ChangeOp::SetClientState { client, state }),
        (c(), src()).prop_map(|(client, source)| ChangeOp::BindSource { client, source }),
        (c(), src()).prop_map(|(client, source)| ChangeOp::UnbindSource { client, source }),
        (c(), authority).prop_map(|(client, authority)| ChangeOp::SetAuthority { client, authority }),
        (c(), prop::option::of(acc())).prop_map(|(client, accounts)| ChangeOp::SetAccounts { client, accounts }),
        (c(), "[AB]{1,2}").prop_map(|(id, name)| ChangeOp::AddPrivate { id, name }),
        c().prop_map(|client| ChangeOp::ConvertPrivate { client }),
        (c(), target(), proptest::collection::btree_set(p(), 0..3))
            .prop_map(|(client, target, people)| ChangeOp::SharePrivate { client, target, people }),
    ];
    let selections = prop_oneof![
        (p(), c(), scope, any::<bool>()).prop_map(|(person, client, scope, when_granted)| ChangeOp::Select {
            person,
            client,
            scope,
            when_granted
        }),
        (p(), c()).prop_map(|(person, client)| ChangeOp::Unselect { person, client }),
        (p(), c(), -5i64..40, any::<bool>(), prop::option::of(p())).prop_map(
            |(person, client, h, break_glass, second)| {
                let until = now() + jiff::SignedDuration::from_hours(h);
                ChangeOp::AddGuest {
                    guest: Guest { person, client, until, reason: "r".into(), break_glass },
                    second,
                    extends: false,
                }
            }
        ),
    ];
    prop_oneof![people, clients, selections]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_changes_breaks_a_rule(ops in vec((op(), 0u128..7, prop::bool::weighted(0.1)), 1..80)) {
        let mut f = firm();
        for (op, who, daemon) in ops {
            let actor = if daemon { Actor::Daemon } else { Actor::Person(pid(who)) };
            let before = f.clone();
            let outcome = change(&mut f, &op, By { actor, at: now() });
            prop_assert_eq!(violations(&f), Vec::<String>::new(), "{:?} by {:?}", op, actor);
            match outcome {
                Err(_) => prop_assert_eq!(&f, &before, "refused and yet changed: {:?}", op),
                Ok(effect) if !effect.changed => prop_assert_eq!(&f, &before, "said it changed nothing: {:?}", op),
                Ok(_) => {}
            }
            // A private client is never given away by anybody but its owner.
            for (person, client) in f.selections.keys() {
                let private = f.clients[client].private_to;
                let new = !before.selections.contains_key(&(*person, *client));
                prop_assert!(!new || private.is_none() || actor == Actor::Person(private.unwrap()));
            }
        }
    }

    #[test]
    fn a_change_survives_its_log(op in op()) {
        let text = serde_json::to_string(&op).unwrap();
        prop_assert_eq!(serde_json::from_str::<ChangeOp>(&text).unwrap(), op);
    }

    #[test]
    fn slugs_are_safe_for_any_name(name in "\\PC{0,60}") {
        let slug = slug_for(&Firm::default(), &name, cid(1));
        prop_assert!(!slug.is_empty() && slug.len() <= 40 && !slug.starts_with('-') && !slug.ends_with('-'));
        prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }
}

#[test]
fn a_role_table_is_set_and_taken_back() {
    let table = RoleTable([("ADMIN".to_owned(), LedgerRole::Reader)].into());
    let set = |table| ChangeOp::SetRoles { connection: "xero".into(), table };
    let f = after(&firm(), set(Some(table)), ADMIN);
    assert!(after(&f, set(None), OWNER).roles.is_empty());
}

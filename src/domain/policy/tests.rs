use ledgerward_contract::{FolderKey, SourceKind, SourceRef};

use super::*;
use crate::domain::{
    facts::FactsBuilder,
    finding::Finding,
    firm::{AccountRef, Authority, ClientState, Office},
};

fn person(n: u128, shared: &TargetName) -> Person {
    Person {
        id: PersonId(uuid::Uuid::from_u128(n)),
        first: "Pat".into(),
        last: n.to_string(),
        email: Email::parse(&format!("pat{n}@harbour.example")).unwrap(),
        aliases: BTreeMap::new(),
        target_addresses: [(shared.clone(), Email::parse("Desk@harbour.example").unwrap())].into(),
        mode: Mode::Selected,
        office: Office::Employee,
        enabled: true,
        closed: None,
        domain_accepted: false,
    }
}

#[test]
fn an_address_that_two_people_have_on_a_target_is_the_firsts() {
    let targets = [TargetName("drive".into()), TargetName("disk".into())];
    let mut firm = Firm::default();
    firm.domains.insert("harbour.example".into());
    firm.people = [1, 2].map(|n| person(n, &targets[0])).into_iter().map(|p| (p.id, p)).collect();
    let facts = FactsBuilder::new(firm.people.keys().copied()).build();
    let d = Decider::new(&firm, &facts, &targets, Timestamp::UNIX_EPOCH);
    let desk = Email::parse("desk@harbour.example").unwrap();
    assert_eq!(d.holder(&targets[0], &desk), Some(0));
    let book = d.target(&targets[0]).unwrap();
    assert!(book.is(0, &desk) && !book.is(1, &desk), "trying the second first must not give it to them");
    assert_eq!(d.address(&targets[0], 1), Some(&desk));
    let second = Email::parse("PAT2@harbour.example").unwrap();
    assert_eq!(d.holder(&targets[1], &second), Some(1));
    assert_eq!(d.holder(&targets[1], &desk), None);
}

const ACME: ClientId = ClientId(uuid::Uuid::from_u128(1000));

fn account(ledger: &str, id: &str) -> AccountRef {
    AccountRef { connection: "qbo".into(), ledger: ledger.into(), account: id.into() }
}

/// Two people, each selected for one account of a client with the QuickBooks companies 121 and 122.
fn with_accounts(first: AccountRef, second: AccountRef) -> Firm {
    let drive = TargetName("drive".into());
    let company = |id: &str| SourceRef { connection: "qbo".into(), kind: SourceKind::Ledger, id: id.into() };
    let acme = Client {
        id: ACME,
        slug: "acme-ltd".into(),
        name: "Acme Ltd".into(),
        state: ClientState::Active,
        private_to: None,
        sources: ["121", "122"].map(company).into(),
        authority: Authority::All,
        unlisted: None,
        targets: None,
        accounts: None,
        year_end: None,
        statements_since: None,
    };
    let mut firm = Firm { domains: ["harbour.example".into()].into(), ..Firm::default() };
    firm.people = [1, 2, 3].map(|n| person(n, &drive)).into_iter().map(|p| (p.id, p)).collect();
    for (n, person) in (0..).zip(firm.people.values_mut()) {
        person.target_addresses.clear();
        person.mode = if n == 2 { Mode::All } else { Mode::Selected };
    }
    let own = |a| Selection { scope: SelectionScope::Accounts([a].into()), when_granted: false };
    let pair = |n| (PersonId(uuid::Uuid::from_u128(n)), ACME);
    firm.selections = [(pair(1), own(first)), (pair(2), own(second))].into();
    firm.clients.insert(ACME, acme);
    firm
}

/// The client's lanes by account, and what was found.
fn decide<R>(
    firm: &Firm,
    look: impl Fn(&Decider<'_>, BTreeMap<Option<AccountId>, DesiredLane<'_>>, Vec<Finding>) -> R,
) -> R {
    let (targets, facts) = ([TargetName("drive".into())], FactsBuilder::new(firm.people.keys().copied()).build());
    let d = Decider::new(firm, &facts, &targets, Timestamp::UNIX_EPOCH);
    let (lanes, found): (Vec<_>, Vec<_>) = d.lanes().unzip();
    look(&d, lanes.into_iter().map(|l| (l.lane.folder.account.clone(), l)).collect(), found.concat())
}

fn people(lane: &DesiredLane<'_>) -> Vec<PersonIx> {
    lane.wants.iter().map(|w| w.person).collect()
}

#[test]
fn an_accounts_folder_is_of_one_ledger() {
    let firm = with_accounts(account("121", "35"), account("122", "36"));
    decide(&firm, |d, lanes, found| {
        assert!(found.is_empty(), "{found:?}");
        let lane = &lanes[&Some("35".into())];
        assert_eq!((people(lane), lane.delivery, lane.create), (vec![0, 2], true, true));
        assert_eq!(people(&lanes[&None]), [2]);
        let papers = d.papers(&lane.lane.folder);
        let (qbo, id) = (ConnectionName::from("qbo"), AccountId::from("35"));
        assert!(papers.take(&qbo, &"121".into(), Some(&id)));
        assert!(!papers.take(&qbo, &"122".into(), Some(&id)), "another company's account of the same id");
        assert!(!papers.take(&"other".into(), &"121".into(), Some(&id)));
        assert!(!papers.take(&qbo, &"121".into(), None) && Papers::All.take(&qbo, &"121".into(), None));
        let nobodys = d.papers(&FolderKey { client: ACME, account: Some("37".into()) });
        assert!(nobodys == Papers::Nobodys && !nobodys.take(&qbo, &"121".into(), Some(&"37".into())));
    });
}

#[test]
fn a_folder_that_two_ledgers_accounts_would_share_gets_nobody_and_no_file() {
    let mut firm = with_accounts(account("121", "35"), account("122", "35"));
    let check = |firm: &Firm, held: &[PersonIx]| {
        decide(firm, |d, lanes, found| {
            assert_eq!(found.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["account.ambiguous"]);
            assert!(found[0].text.contains("qbo:121 and that of qbo:122"), "{}", found[0].text);
            let by_key = d
                .lane(&LaneKey {
                    target: TargetName("drive".into()),
                    folder: lanes[&Some("35".into())].lane.folder.clone(),
                })
                .0;
            for lane in [&lanes[&Some("35".into())], &by_key] {
                assert_eq!((people(lane), lane.delivery, lane.create), (vec![], false, false));
                assert_eq!(lane.held, held.iter().map(|p| (*p, Because::TwoLedgers)).collect::<Vec<_>>());
            }
            assert!(!d.papers(&by_key.lane.folder).take(&"qbo".into(), &"121".into(), Some(&"35".into())));
            let whole = &lanes[&None];
            assert_eq!((people(whole), whole.delivery, whole.create), (vec![2], true, true), "the rest goes on");
        });
    };
    check(&firm, &[0, 1, 2]);
    // Somebody who is away may come back: the folder does not become the other ledger's in the meantime.
    firm.people.values_mut().nth(1).unwrap().enabled = false;
    check(&firm, &[0, 2]);
}

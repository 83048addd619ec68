use super::*;
use crate::domain::{facts::FactsBuilder, firm::Office};

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

use ledgerward_contract::ClientId;
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    config::render_all,
    domain::{
        change::{
            self, Actor, By, ChangeOp, apply_all,
            tests::{by, cid, firm, now, op, pid},
        },
        firm::{Firm, PersonId},
        office::Permission,
    },
};

fn names() -> Names {
    Names { connections: ["xero".into()].into(), targets: [TargetName("drive".into())].into() }
}

fn ids() -> impl FnMut() -> Uuid {
    let mut n = 5000u128;
    move || {
        n += 1;
        Uuid::from_u128(n)
    }
}

fn read(text: &str, firm: &Firm) -> FirmFile {
    parse(text, firm, &names()).unwrap_or_else(|p| panic!("{}", render_all(&p, "firm.toml", text)))
}

fn applied(text: &str, firm: &Firm, prune: bool) -> Firm {
    let ops = diff(&read(text, firm), firm, prune, ids());
    apply_all(firm, &ops, by(1)).unwrap_or_else(|(i, r)| panic!("{:?}: {r}", ops[i])).0
}

fn problems(text: &str) -> Vec<String> {
    let text = format!("version = 1\n{text}");
    let found = parse(&text, &firm(), &names()).expect_err(&text);
    found.iter().map(|p| format!("{}: {} {}", p.line, p.message, p.help)).collect()
}

const FILE: &str = r#"version = 1
[[person]]
email = "bob@harbour.example"
first = "Bob"
last = "Brown"
office = "employee"
mode = "selected"
aliases.xero = ["bob@old.example"]
addresses.drive = "bob@drive.example"

[[person]]
email = "emma@harbour.example"
enabled = false

[[client]]
slug = "cedar"
name = "Cedar \"Quote\" Ltd"
sources = [{ connection = "xero", id = "L7" }, { connection = "xero", kind = "practice-client", id = "P7" }]
authority = { connection = "xero", kind = "practice-client", id = "P7" }
unlisted = "deny"
targets = ["drive"]
accounts = [{ connection = "xero", ledger = "L7", account = "A" }]
year_end = "03-31"
since = "2024-04-01"

[[selection]]
person = "BOB@harbour.example"
client = "acme-ltd"
when_granted = true

[[selection]]
person = "bob@harbour.example"
client = "cedar"
accounts = [{ connection = "xero", ledger = "L7", account = "A" }]
"#;

#[test]
fn a_file_adds_and_changes_and_leaves_the_rest() {
    let before = firm();
    let after = applied(FILE, &before, false);
    assert_eq!(change::violations(&after), Vec::<String>::new());
    assert_eq!((after.people.len(), after.clients.len(), after.selections.len()), (6, 3, 2));
    assert!(!after.people[&pid(4)].enabled && after.people[&pid(5)].enabled);
    assert_eq!(after.clients[&cid(1)], before.clients[&cid(1)]);
    let cedar = after.clients.values().find(|c| c.slug == "cedar").unwrap();
    assert_eq!((cedar.name.as_str(), cedar.sources.len(), cedar.year_end), ("Cedar \"Quote\" Ltd", 2, Some((3, 31))));
    assert!(diff(&read(FILE, &after), &after, false, ids()).is_empty(), "the second time there is nothing to do");
}

#[test]
fn prune_ends_what_the_file_leaves_out() {
    let select = ChangeOp::Select {
        person: pid(3),
        client: cid(2),
        scope: crate::domain::firm::SelectionScope::Whole,
        when_granted: false,
    };
    let private = ChangeOp::AddPrivate { id: ClientId(Uuid::from_u128(77)), name: "Own".into() };
    let (before, _) = apply_all(&firm(), &[select, private], by(1)).unwrap();
    let after = applied(FILE, &before, true);
    let enabled: Vec<&str> = after.people.values().filter(|p| p.enabled).map(|p| p.first.as_str()).collect();
    assert_eq!(enabled, ["Ana", "Bob"], "the primary owner is never pruned");
    assert_eq!(after.clients[&cid(2)].state, ClientState::Archived, "archived, so its list stays");
    assert_eq!(after.selections.len(), 2);
    assert_eq!(after.clients[&ClientId(Uuid::from_u128(77))].state, ClientState::Active, "private books are not in it");
}

#[test]
fn every_problem_is_told_at_its_line_and_the_file_is_refused_whole() {
    let found = problems(
        "[[person]]\nemail = \"bob\"\n[[person]]\nemail = \"new@harbour.example\"\nofice = \"admin\"\n[[client]]\nslug = \
         \"Acme Ltd\"\n[[selection]]\nperson = \"ema@harbour.example\"\nclient = \"acme-ldt\"\n[[selection]]\nperson = \
         \"emma@harbour.example\"\nclient = \"acme-ltd\"\naccounts = []\n",
    );
    let expected = [
        (3, "exactly one @"),
        (4, "\"first\" is missing"),
        (4, "\"last\" is missing"),
        (6, "Did you mean \"office\"?"),
        (8, "no slug"),
        (10, "nobody has the address ema@harbour.example Did you mean \"emma@harbour.example\"?"),
        (11, "there is no client \"acme-ldt\" Did you mean \"acme-ltd\"?"),
        (15, "an empty list of accounts"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, part), problem) in expected.iter().zip(&found) {
        assert!(problem.starts_with(&format!("{line}: ")) && problem.contains(part), "{part}: {problem}");
    }
}

#[test]
fn each_wrong_line_is_one_problem() {
    let emma = "[[person]]\nemail = \"emma@harbour.example\"\n";
    let acme = "[[client]]\nslug = \"acme-ltd\"\n";
    let pick = "[[selection]]\nperson = \"emma@harbour.example\"\nclient = \"acme-ltd\"\n";
    for (text, part) in [
        (format!("{emma}{emma}"), "in the file twice"),
        (format!("{acme}{acme}"), "in the file twice"),
        (format!("{pick}{pick}"), "selected for emma@harbour.example twice"),
        (format!("{emma}aliases.zero = [\"x@y.example\"]"), "Did you mean \"xero\"?"),
        (format!("{emma}addresses.drvie = \"x@y.example\""), "Did you mean \"drive\"?"),
        (format!("{emma}mode = \"everything\""), "not known here"),
        (format!("{emma}office = \"boss\""), "no such office"),
        (format!("{acme}state = \"proposed\""), "not known here"),
        (format!("{acme}targets = \"some\""), "Use one of: all."),
        (format!("{acme}year_end = \"02-30\""), "no such day"),
        (format!("{acme}since = \"yesterday\""), "Write a day"),
        (format!("{acme}sources = [{{ connection = \"xero\" }}]"), "\"id\" is missing"),
        ("[[person]]\nemail = \"ana@harbour.example\"\noffice = \"owner\"".to_owned(), "only goes to another owner"),
        ("[[people]]\nemail = \"ana@harbour.example\"".to_owned(), "the key \"people\" is not known"),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:#?}");
    }
}

#[test]
fn the_primary_owners_office_goes_over_in_a_file() {
    let text = "version = 1\n[[person]]\nemail = \"ada@harbour.example\"\noffice = \"primary-owner\"\n\
                [[person]]\nemail = \"ana@harbour.example\"\noffice = \"owner\"\n";
    let after = applied(text, &firm(), false);
    assert_eq!(
        (after.people[&pid(3)].office.clone(), after.people[&pid(1)].office.clone()),
        (Office::PrimaryOwner, Office::Owner)
    );
}

#[test]
fn private_books_and_proposals_are_in_no_file() {
    let ops = [ChangeOp::AddPrivate { id: ClientId(Uuid::from_u128(77)), name: "Secret Cove".into() }];
    let (f, _) = apply_all(&firm(), &ops, by(3)).unwrap();
    let (f, _) = change::apply(
        &f,
        &ChangeOp::ProposeClient {
            id: ClientId(Uuid::from_u128(78)),
            name: "Proposed Co".into(),
            source: SourceRef {
                connection: "xero".into(),
                kind: ledgerward_contract::SourceKind::Ledger,
                id: "L8".into(),
            },
        },
        By { actor: Actor::Daemon, at: now() },
    )
    .unwrap();
    let text = export(&f);
    assert!(!text.to_lowercase().contains("secret") && !text.contains("Proposed Co"));
    let file = |slug: &str| {
        let text = format!("version = 1\n[[client]]\nslug = \"{slug}\"\nname = \"X\"\n");
        parse(&text, &f, &names()).map(|_| ()).map_err(|problems| problems[0].message.clone())
    };
    assert_eq!(file("secret-cove"), Ok(()), "its name is free for everybody");
    assert_eq!(file("secret-cove-004d"), Err("\"secret-cove-004d\" cannot be used".to_owned()), "nor whose it is");
}

/// The firm that the file alone gives to a new installation: only what the file says is compared.
fn rebuilt(text: &str, old: &Firm) -> Firm {
    let primary = old.people.values().find(|p| p.office == Office::PrimaryOwner).unwrap();
    let add = ChangeOp::AddPerson {
        id: PersonId(Uuid::from_u128(1)),
        first: primary.first.clone(),
        last: primary.last.clone(),
        email: primary.email.clone(),
        office: Office::PrimaryOwner,
        mode: primary.mode,
    };
    let (new, _) = change::apply(&Firm::default(), &add, By { actor: Actor::Setup, at: now() }).unwrap();
    let ops = diff(&read(text, &new), &new, false, ids());
    apply_all(&new, &ops, by(1)).unwrap_or_else(|(i, r)| panic!("{:?}: {r}\n{text}", ops[i])).0
}

const ROLES: &str = r#"version = 1
[[person]]
email = "pat@harbour.example"
first = "Pat"
last = "Payne"
office = "custom:payroll"

[[client]]
slug = "cedar"
name = "Cedar Bakery"

[[office]]
name = "payroll"
may = ["selections", "guests"]
group = "north"

[[group]]
name = "north"
clients = ["acme-ltd", "cedar"]
connections = ["xero"]
"#;

#[test]
fn groups_and_roles_are_in_the_file_wherever_they_stand_in_it() {
    let after = applied(ROLES, &firm(), false);
    assert_eq!(change::violations(&after), Vec::<String>::new());
    let pat = after.people.values().find(|p| p.first == "Pat").unwrap();
    assert_eq!(pat.office, Office::Custom("payroll".into()));
    assert_eq!(after.offices["payroll"].group.as_deref(), Some("north"));
    assert_eq!(after.groups["north"].clients.len(), 2);
    let text = export(&after);
    assert!(text.contains("[[group]]") && text.contains("may = [\"selections\", \"guests\"]"), "{text}");
    assert_eq!(diff(&read(ROLES, &after), &after, false, ids()), Vec::new(), "the second time there is nothing to do");

    // A list's item that is left out stays, and with prune it ends; a role is what its lines say.
    let less = "version = 1\n[[group]]\nname = \"north\"\nclients = [\"cedar\"]\n[[office]]\nname = \"payroll\"\nmay = \
                [\"guests\"]\ngroup = \"north\"\n";
    let kept = applied(less, &after, false);
    assert_eq!((kept.groups["north"].clients.len(), kept.offices["payroll"].permissions.len()), (2, 1));
    let pruned = applied(less, &after, true);
    assert_eq!((pruned.groups["north"].clients.len(), pruned.groups["north"].connections.len()), (1, 0));

    // With prune a role that nobody has ends before its group; one that somebody has refuses the file.
    let nothing = "version = 1\n[[person]]\nemail = \"pat@harbour.example\"\noffice = \"employee\"\n";
    let ended = applied(nothing, &after, true);
    assert!(ended.offices.is_empty() && ended.groups.is_empty());
    let has = "version = 1\n[[person]]\nemail = \"pat@harbour.example\"\n";
    let refused = apply_all(&after, &diff(&read(has, &after), &after, true, ids()), by(1)).unwrap_err().1;
    assert!(refused.message.contains("pat@harbour.example has the role custom:payroll"), "{refused}");
}

#[test]
fn nobody_gives_more_than_they_have_in_a_file_either() {
    let wide = "version = 1\n[[office]]\nname = \"boss\"\nmay = [\"publish\", \"people\"]\n";
    let ops = diff(&read(wide, &firm()), &firm(), false, ids());
    let refused = apply_all(&firm(), &ops, by(3)).unwrap_err().1;
    assert!(refused.message.contains("publish"), "an admin cannot publish: {refused}");
    assert!(apply_all(&firm(), &ops, by(2)).is_ok(), "an owner can");
}

#[test]
fn a_wrong_group_or_role_is_one_problem_at_its_line() {
    let north = "[[group]]\nname = \"north\"\n";
    let role = "[[office]]\nname = \"desk\"\nmay = ";
    for (text, line, part) in [
        (format!("{north}clients = [\"acme-ldt\"]"), 4, "Did you mean \"acme-ltd\"?"),
        (format!("{north}clients = [\"acme-ltd\", \"acme-ltd\"]"), 4, "in the list twice"),
        (format!("{north}connections = [\"zero\"]"), 4, "Did you mean \"xero\"?"),
        (format!("{north}{north}"), 4, "the group north is in the file twice"),
        ("[[group]]\nname = \"North Side\"".to_owned(), 3, "cannot be a name"),
        ("[[group]]\nclients = [\"acme-ltd\"]".to_owned(), 2, "\"name\" is missing"),
        ("[[office]]\nname = \"desk\"".to_owned(), 2, "\"may\" is missing"),
        (format!("{role}[\"selektions\"]"), 4, "Did you mean \"selections\"?"),
        (format!("{role}[\"hand-over\"]"), 4, "only the primary owner"),
        (format!("{role}[\"guests\"]\ngroup = \"nort\"\n{north}"), 5, "Did you mean \"north\"?"),
        (format!("{role}[\"people\"]\ngroup = \"north\"\n{north}"), 4, "cannot have the permission \"people\""),
        ("[[person]]\nemail = \"emma@harbour.example\"\noffice = \"custom:desk\"".to_owned(), 4, "no role custom:desk"),
    ] {
        let found = problems(&text);
        let at = format!("{line}: ");
        assert!(found.len() == 1 && found[0].starts_with(&at) && found[0].contains(part), "{text}: {found:#?}");
    }
    let limited = applied(ROLES, &firm(), false);
    let silent = "version = 1\n[[office]]\nname = \"payroll\"\nmay = [\"guests\"]\n";
    let found = parse(silent, &limited, &names()).expect_err("a limit does not go by being left out");
    assert!(found.len() == 1 && found[0].message.contains("limited to the group north"), "{found:?}");
}

/// Acts on groups and roles, between the others.
fn grouped() -> impl Strategy<Value = ChangeOp> {
    let group = || prop::sample::select(vec!["north", "south"]).prop_map(str::to_owned);
    let clients = || proptest::collection::btree_set((0u128..6).prop_map(cid), 0..3);
    let connections = || proptest::collection::btree_set(Just("xero".into()), 0..2);
    let may = proptest::collection::btree_set(prop::sample::select(Permission::ALL.to_vec()), 0..3);
    prop_oneof![
        6 => op(),
        2 => (group(), clients(), connections())
            .prop_map(|(group, clients, connections)| ChangeOp::AddToGroup { group, clients, connections }),
        1 => (group(), clients(), connections())
            .prop_map(|(group, clients, connections)| ChangeOp::TakeFromGroup { group, clients, connections }),
        2 => (may, prop::option::of(group())).prop_map(|(permissions, group)| ChangeOp::DefineOffice {
            name: "desk".into(),
            office: CustomOffice { permissions, group }
        }),
        1 => (2u128..6).prop_map(|n| ChangeOp::SetOffice {
            person: pid(n),
            office: Office::Custom("desk".into()),
            mode: Mode::LedgerSelected
        }),
    ]
}

proptest! {
    #[test]
    fn an_exported_firm_is_itself_and_can_be_rebuilt(ops in vec((grouped(), 0u128..7, prop::bool::weighted(0.1)), 0..80)) {
        let mut f = firm();
        for (op, who, daemon) in ops {
            let actor = if daemon { Actor::Daemon } else { Actor::Person(pid(who)) };
            let _ = change::change(&mut f, &op, By { actor, at: now() });
        }
        let text = export(&f);
        let file = read(&text, &f);
        prop_assert_eq!(diff(&file, &f, false, ids()), Vec::new());
        prop_assert_eq!(diff(&file, &f, true, ids()), Vec::new(), "pruning by its own file ends nothing");
        // An employee's own client has an empty list of targets, which no file may ask for.
        if f.clients.values().all(|c| c.private_to.is_some() || c.targets.as_ref().is_none_or(|t| !t.is_empty())) {
            prop_assert_eq!(export(&rebuilt(&text, &f)), text);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(at in 0usize..1300, cut in 0usize..40, junk in "[\\[\\]{}=\"'.#,\\n a0-9é]{0,12}") {
        let mut text: Vec<char> = FILE.chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, junk.chars());
        let text: String = text.into_iter().collect();
        match parse(&text, &firm(), &names()) {
            Ok(file) => drop(diff(&file, &firm(), true, ids())),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

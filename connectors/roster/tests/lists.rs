//! What is made of lists: good ones, odd ones, and those that must not be believed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use ledgerward_contract::{Build, Endpoints, ErrorKind, Factory as _, Standing, Timestamp};
use ledgerward_roster::{FACTORY, Note, NoteKind, Report, examine};
use proptest::prelude::*;
use rust_xlsxwriter::{Format, Formula, Workbook};
use serde_json::{Value, json};

const NOW: &str = "2026-11-22T09:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

struct Lists {
    dir: tempfile::TempDir,
}

impl Lists {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Written a minute before the tests' time.
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        self.age(&path, Duration::from_secs(60));
        path
    }

    fn age(&self, path: &Path, age: Duration) {
        let then = std::time::SystemTime::from(now()) - age;
        fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    fn read(&self, path: &Path, more: Value) -> Report {
        let mut settings = json!({"file": path});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        examine(&settings, now()).unwrap()
    }

    fn csv(&self, bytes: impl AsRef<[u8]>, more: Value) -> Report {
        let path = self.put("list.csv", bytes);
        self.read(&path, more)
    }

    fn book(&self, book: &mut Workbook, more: Value) -> Report {
        let path = self.put("list.xlsx", book.save_to_buffer().unwrap());
        self.read(&path, more)
    }
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/roster").join(name)).unwrap()
}

/// `client: person role standing` of each pair.
fn pairs(report: &Report) -> Vec<String> {
    let one = |c: &ledgerward_contract::ClientRow| {
        let id = c.id.clone();
        c.people.iter().map(move |p| format!("{id}: {} {} {:?}", p.user, p.role, p.standing)).collect::<Vec<_>>()
    };
    report.clients.iter().flat_map(one).collect()
}

#[track_caller]
fn good(report: &Report) {
    assert!(report.fault.is_none(), "{report:?}");
}

#[track_caller]
fn refused(report: &Report, kind: ErrorKind, part: &str) {
    let e = report.fault.as_ref().unwrap_or_else(|| panic!("believed: {report:?}"));
    assert!(e.kind == kind && e.message.contains(part), "{e:?}");
}

fn of_kind<'r>(report: &'r Report, kind: &NoteKind) -> Vec<&'r Note> {
    report.notes.iter().filter(|n| n.kind == *kind).collect()
}

const TWO: &str = "Client,Email\nAcme Ltd,ana@harbour.example\nBirch LLP,ann@harbour.example\n";

#[test]
fn one_clients_manage_users_list_is_read_with_its_words() {
    let lists = Lists::new();
    let report = lists.csv(
        fixture("manage-users.csv"),
        json!({"client": "Acme  Ltd", "issued": {"cell": "B2"}, "stale_after_days": 10}),
    );
    good(&report);
    assert_eq!(
        pairs(&report),
        [
            "acme ltd: ana@harbour.example Primary admin Active",
            "acme ltd: ann@harbour.example Standard all access Active",
            "acme ltd: ben@harbour.example Time tracking only Active",
            "acme ltd: cy@harbour.example Standard all access Pending",
            "acme ltd: dee@harbour.example Standard all access Disabled",
        ]
    );
    assert_eq!(report.clients[0].name, "Acme Ltd");
    assert_eq!(report.clients[0].people[1].name, "Okafor, Ann");
    assert_eq!(report.issued, Some("2026-11-20T00:00:00Z".parse().unwrap()));
    assert_eq!((report.lines, report.understood), (6, 5));
    assert_eq!(report.notes, [Note { line: 10, kind: NoteKind::Passed, text: "a total".into() }]);
}

#[test]
fn a_list_of_people_and_clients_needs_no_settings() {
    let report = Lists::new().csv(fixture("staff-and-clients.csv"), json!({"columns": {"role": "Responsibility"}}));
    good(&report);
    assert_eq!(report.read_as, "text in UTF-8, separated by \";\"");
    assert_eq!(
        pairs(&report),
        [
            "acme ltd: ana@harbour.example Partner Active",
            "acme ltd: ann@harbour.example Assigned Active",
            "birch llp: ann@harbour.example Assigned Active",
            "birch llp: ben@harbour.example Assigned Active",
        ]
    );
    let cedar = report.clients.iter().find(|c| c.id == "cedar bakery").unwrap();
    assert!(cedar.people.is_empty(), "nobody is a word for nobody");
}

#[test]
fn encodings_are_found_or_refused_and_never_guessed() {
    let lists = Lists::new();
    let clients = |r: &Report| r.clients.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let names = ["Müller & Co", "Éclair SARL"];
    let report = lists.csv(fixture("utf-16.csv"), json!({}));
    good(&report);
    assert_eq!(
        (clients(&report), report.read_as.as_str()),
        (names.map(String::from).to_vec(), "text in UTF-16LE, separated by tab")
    );
    refused(&lists.csv(fixture("windows-1252.csv"), json!({})), ErrorKind::Contract, "not text in UTF-8");
    let report = lists.csv(fixture("windows-1252.csv"), json!({"encoding": "windows-1252"}));
    good(&report);
    assert_eq!(clients(&report), names);
    good(&lists.csv(format!("\u{feff}{TWO}"), json!({})));
    let bare: Vec<u8> = TWO.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&lists.csv(bare, json!({})), ErrorKind::Contract, "not text in UTF-8");
}

#[test]
fn delimiters_line_ends_and_excels_own_ways_are_understood() {
    let lists = Lists::new();
    for by in [",", ";", "\t", "|"] {
        let text = TWO.replace(',', by).replace('\n', "\r\n");
        let report = lists.csv(format!("\r\n{text}\r\n\r\n"), json!({}));
        good(&report);
        assert_eq!((report.lines, report.clients.len()), (2, 2), "{by}");
    }
    let report = lists.csv("sep=;\r\nClient;Email\r\n=\"0012\";ana@harbour.example\r\n", json!({}));
    good(&report);
    assert_eq!((report.clients[0].id.as_str(), report.clients[0].people.len()), ("0012", 1));
    let many = "Client,Email\n\"Acme, Ltd\",\"Ana <ana@harbour.example>; ann@harbour.example\"\n";
    assert_eq!(pairs(&lists.csv(many, json!({}))).len(), 2);
    let spaced = "Client,Email\nAcme\u{a0} Ltd\u{200b},ana@harbour.example\nACME ltd ,ann@harbour.example\n";
    let report = lists.csv(spaced, json!({}));
    assert_eq!((report.clients.len(), report.clients[0].people.len()), (1, 2), "{report:?}");
}

#[test]
fn a_name_on_two_lines_is_one_name_and_a_swallowed_line_is_none() {
    let lists = Lists::new();
    let report = lists
        .csv("Client,Email\n\"Acme\r\n (Holdings) Ltd\",ana@harbour.example\nBirch,ben@harbour.example\n", json!({}));
    good(&report);
    assert_eq!(report.clients.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["acme (holdings) ltd", "birch"]);
    for swallowed in [
        "Client,Email\n\"Acme,ana@harbour.example\nBirch\",ben@harbour.example\nCedar,cleo@harbour.example\n",
        "Client,Role,Email\n\"Acme,Partner,Ana\nBirch\",Partner,ben@harbour.example\n",
    ] {
        refused(&lists.csv(swallowed, json!({})), ErrorKind::Contract, "the first is line 2");
    }
}

/// Whoever stands on a swallowed line would be missing from the list, and taken out by it.
#[test]
fn a_quotation_mark_too_many_swallows_nobody_in_whichever_column() {
    let lists = Lists::new();
    let staff =
        json!({"people": {"Ann": "ann@harbour.example", "Bob": "bob@harbour.example", "Cy": "cy@harbour.example"}});
    let one_client = json!({"client": "Acme", "columns": {"person": "Email"}});
    for (list, more) in [
        (
            "client,email,notes\nAcme,bob@harbour.example,\"VIP\nAcme,ann@harbour.example,\nAcme,cy@harbour.example,\"VIP\n",
            json!({}),
        ),
        ("client,email,notes\nAcme,bob@harbour.example,\"\nAcme,ann@harbour.example,\"\n", json!({})),
        ("client,notes,email\nAcme,\"VIP,bob@harbour.example\nAcme,\"VIP,ann@harbour.example\n", json!({})),
        ("client,email\nAcme,\"bob@harbour.example\nAcme,ann@harbour.example\nAcme,\"cy@harbour.example\n", json!({})),
        ("client,email\nAcme,\"bob@harbour.example\nAcme,\"ann@harbour.example\n", json!({})),
        ("email,notes\nbob@harbour.example,\"VIP\nann@harbour.example,\"VIP\n", one_client),
        ("client,person,notes\nAcme,Bob,\"VIP\nAcme,Ann,\nAcme,Cy,\"VIP\n", staff.clone()),
        ("client,notes,person\nAcme,\"VIP,Bob\nAcme,\"VIP,Ann\n", staff),
        ("client;email;notes\r\nAcme;bob@harbour.example;\"VIP\r\nAcme;ann@harbour.example;\"VIP\r\n", json!({})),
    ] {
        let report = lists.csv(list, more.clone());
        refused(&report, ErrorKind::Contract, "the first is line 2");
        let note = of_kind(&report, &NoteKind::NoClient)[0];
        assert!(note.text.contains("quotation mark too many"), "{list}: {note:?}");
        let mut more = more;
        more["skip_unreadable"] = json!(true);
        refused(&lists.csv(list, more), ErrorKind::Contract, "the first is line 2");
    }
    for end in ["\n", "\r\n", "\r"] {
        let list = ["Client,Email", "Acme,ana@harbour.example", "", "Acme,nobody at all", "Birch,ben@harbour.example"];
        let report = lists.csv(list.join(end), json!({}));
        assert_eq!(report.notes.iter().map(|n| n.line).collect::<Vec<_>>(), [4], "{end:?}");
    }
    // What people write on several lines is no list.
    let report = lists.csv(
        "client,email,notes\nAcme,\"ana@harbour.example\nann@harbour.example\",\"VIP, really, call jo@client.example\n\n12 High St, Flat 3, London\n\"\n\"Birch \n\",ben@harbour.example,\"\n\"\n",
        json!({}),
    );
    good(&report);
    let two = lists.csv("client,email\nAcme,\"ana@harbour.example,\nann@harbour.example\n\"\n", json!({}));
    good(&two);
    assert_eq!(two.clients[0].people.len(), 2);
    assert_eq!(
        pairs(&report),
        [
            "acme: ana@harbour.example listed Active",
            "acme: ann@harbour.example listed Active",
            "birch: ben@harbour.example listed Active",
        ]
    );
}

#[test]
fn a_line_without_a_person_makes_its_client_unknown_and_no_other() {
    let report = Lists::new().csv(fixture("one-line-wrong.csv"), json!({}));
    // A comma too many: whatever that line is, the columns have slipped.
    refused(&report, ErrorKind::Contract, "line 3");
    let text = String::from_utf8(fixture("one-line-wrong.csv")).unwrap().replace("harbour,example", "harbour");
    let report = Lists::new().csv(text, json!({}));
    good(&report);
    let unknown = NoteKind::ClientUnknown { client: "Acme Ltd".into() };
    assert_eq!(of_kind(&report, &unknown).iter().map(|n| n.line).collect::<Vec<_>>(), [3]);
    let doubt = |id: &str| {
        let row = report.clients.iter().find(|c| c.id == id).unwrap();
        row.people.iter().any(|p| p.email.is_none() && matches!(p.standing, Standing::Unknown(_)))
    };
    assert!(doubt("acme ltd") && !doubt("birch llp"));
}

#[test]
fn a_line_without_a_client_refuses_the_list_unless_the_firm_says_otherwise() {
    let lists = Lists::new();
    let text = format!("{TWO},ben@harbour.example\n");
    refused(&lists.csv(&text, json!({})), ErrorKind::Contract, "the first is line 4");
    let report = lists.csv(&text, json!({"skip_unreadable": true}));
    good(&report);
    assert_eq!((of_kind(&report, &NoteKind::NoClient).len(), report.clients.len()), (1, 2));
    let report = lists.csv(&text, json!({"fill_down": true}));
    good(&report);
    assert_eq!(pairs(&report)[2], "birch llp: ben@harbour.example listed Active");
}

#[test]
fn words_that_nobody_explained_hold_the_person() {
    let lists = Lists::new();
    let text = "Client,Email,Status,Access\nAcme,a@x.example,Sleeping,Admin\nAcme,b@x.example,,\nAcme,c@x.example,ACTIVE,Admin\n";
    let report = lists.csv(text, json!({}));
    good(&report);
    assert_eq!(
        pairs(&report),
        [
            "acme: a@x.example Admin Unknown(\"Sleeping\")",
            "acme: b@x.example (empty) Unknown(\"(empty)\")",
            "acme: c@x.example Admin Active",
        ]
    );
    assert_eq!(of_kind(&report, &NoteKind::Look).len(), 2);
    let report = lists.csv(text, json!({"statuses": {"disabled": ["sleeping"], "active": ["active"]}}));
    assert!(pairs(&report)[0].ends_with("Disabled"));
    let twice = "Client,Email,Status\nAcme,a@x.example,Active\nAcme,A@x.example,Disabled\n";
    let report = lists.csv(twice, json!({}));
    assert_eq!(pairs(&report), ["acme: a@x.example listed Unknown(\"lines disagree\")"]);
}

#[test]
fn names_stand_for_addresses_where_the_firm_says_so() {
    let lists = Lists::new();
    let text = "Client,Person\nAcme,\"Ruiz, Ana\"\nBirch,Ben Lo\n";
    let report = lists.csv(text, json!({"people": {"ruiz,  ana": "ana@harbour.example"}}));
    good(&report);
    assert_eq!(pairs(&report)[0], "acme: ana@harbour.example listed Active");
    assert_eq!(of_kind(&report, &NoteKind::ClientUnknown { client: "Birch".into() }).len(), 1);
}

#[test]
fn columns_are_where_the_settings_say_or_nowhere() {
    let lists = Lists::new();
    refused(
        &lists.csv("Who,What\na@x.example,Acme\n", json!({})),
        ErrorKind::Contract,
        "no column for: client, person",
    );
    let by_name = json!({"columns": {"person": "who", "client": "WHAT"}});
    good(&lists.csv("Who,What\na@x.example,Acme\n", by_name.clone()));
    refused(&lists.csv(TWO, by_name.clone()), ErrorKind::Contract, "no column for");
    refused(&lists.csv("Who,What,Who\na@x.example,Acme,b\n", by_name), ErrorKind::Contract, "more than once");
    refused(
        &lists.csv("Client,Email,User email\nAcme,a@x.example,b@x.example\n", json!({})),
        ErrorKind::Config,
        "several columns",
    );
    let report = lists.csv("Acme,a@x.example\n", json!({"columns": {"client": 1, "person": 2}}));
    good(&report);
    let number = json!({"columns": {"client_id": "No"}});
    let report = lists.csv("No,Client,Email\n7,Acme,a@x.example\n7,Acme Limited,b@x.example\n", number.clone());
    good(&report);
    assert_eq!((report.clients.len(), report.clients[0].id.as_str(), report.notes.len()), (1, "7", 1));
    refused(
        &lists.csv("No,Client,Email\n7,Acme,a@x.example\n,Birch,b@x.example\n", number),
        ErrorKind::Contract,
        "line 3",
    );
    let twice = "Client,Email\nAcme,a@x.example\nClient,Email\nBirch,b@x.example\n";
    assert_eq!(of_kind(&lists.csv(twice, json!({})), &NoteKind::Passed).len(), 1);
}

#[test]
fn a_client_called_total_is_a_client() {
    let text = "Client,Email\nTotal Fitness Ltd,\nTotal,a@x.example\nAcme,b@x.example\nTotal: 3,\n";
    let report = Lists::new().csv(text, json!({}));
    good(&report);
    assert_eq!(of_kind(&report, &NoteKind::Passed).iter().map(|n| n.line).collect::<Vec<_>>(), [5]);
    assert_eq!(
        report.clients.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        ["acme", "total", "total fitness ltd"]
    );
}

#[test]
fn what_is_not_a_whole_list_is_an_error_and_never_an_empty_one() {
    let lists = Lists::new();
    refused(&lists.read(&lists.dir.path().join("gone.csv"), json!({})), ErrorKind::Unavailable, "not there");
    refused(&lists.csv("", json!({})), ErrorKind::Contract, "empty file");
    refused(&lists.csv("Client,Email\n", json!({})), ErrorKind::Contract, "names nobody");
    refused(&lists.csv("Client,Email\nAcme,oops\n", json!({})), ErrorKind::Contract, "names nobody");
    refused(&lists.csv("<!DOCTYPE html><p>Sign in", json!({})), ErrorKind::Contract, "a web page");
    refused(&lists.csv("PK\u{3}\u{4}…", json!({})), ErrorKind::Contract, "a workbook");
    refused(&lists.csv(format!("{TWO}\"Cedar,ben@harbour.example\n"), json!({})), ErrorKind::Contract, "never closed");
    let swallowed = format!("{TWO}\"Cedar,b@x.example\nDune,c@x.example\nElm\",d@x.example\n");
    refused(&lists.csv(swallowed, json!({})), ErrorKind::Contract, "line 4");
    let path = lists.put("list.csv", TWO);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&lists.read(&path, json!({})), ErrorKind::Config, "everybody");
    fs::create_dir(lists.dir.path().join("folder.csv")).unwrap();
    refused(&lists.read(&lists.dir.path().join("folder.csv"), json!({})), ErrorKind::Config, "not a file");
}

#[test]
fn a_file_that_is_being_written_is_read_later() {
    let lists = Lists::new();
    let path = lists.put("list.csv", TWO);
    lists.age(&path, Duration::from_secs(1));
    refused(&lists.read(&path, json!({})), ErrorKind::Unavailable, "only just now");
    lists.age(&path, Duration::from_secs(30));
    good(&lists.read(&path, json!({})));
    // Somebody appends all the time, and sets the time back: the reading sees one of the two states or refuses.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut file = fs::File::options().append(true).open(&path).unwrap();
                writeln!(file, "Client {n},ana@harbour.example").unwrap();
                file.set_modified(std::time::SystemTime::from(now()) - Duration::from_secs(60 + n)).unwrap();
                n += 1;
            }
        });
        let mut changed = 0;
        for _ in 0..300 {
            match lists.read(&path, json!({})).fault {
                None => {}
                Some(e) if e.message.contains("changed") || e.message.contains("just now") => changed += 1,
                Some(e) => panic!("{e:?}"),
            }
            if changed > 3 {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(changed > 0, "no reading ever met a writer");
    });
}

#[test]
fn an_old_list_is_not_believed() {
    let lists = Lists::new();
    let path = lists.put("list.csv", TWO);
    let day = 24 * 3600;
    lists.age(&path, Duration::from_secs(34 * day));
    good(&lists.read(&path, json!({})));
    lists.age(&path, Duration::from_secs(36 * day));
    refused(&lists.read(&path, json!({})), ErrorKind::Unavailable, "not believed after 35 days");
    good(&lists.read(&path, json!({"stale_after_days": 40})));
    let dated = |day: &str| format!("Client,Email,Exported\nAcme,a@x.example,{day}\nAcme,b@x.example,2026-01-01\n");
    let column = json!({"issued": {"column": "Exported"}});
    good(&lists.csv(dated("2026-11-20"), column.clone()));
    refused(&lists.csv(dated("2026-09-20"), column.clone()), ErrorKind::Unavailable, "2026-09-20");
    refused(&lists.csv(dated("2027-11-20"), column.clone()), ErrorKind::Contract, "future");
    refused(&lists.csv("Client,Email,Exported\nAcme,a@x.example,soon\n", column), ErrorKind::Contract, "date of issue");
    let british = json!({"issued": {"column": "Exported"}, "date_format": "%d/%m/%Y"});
    good(&lists.csv("Client,Email,Exported\nAcme,a@x.example,20/11/2026\n", british));
    refused(&lists.csv(TWO, json!({"issued": {"cell": "C1"}})), ErrorKind::Contract, "date of issue");
}

fn sheet(rows: &[[&str; 2]]) -> Workbook {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (n, row) in (0..).zip(rows) {
        for (c, text) in (0..).zip(row) {
            sheet.write(n, c, *text).unwrap();
        }
    }
    book
}

#[test]
fn workbooks_are_read_with_merged_cells_dates_and_numbers() {
    let mut book = Workbook::new();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let sheet = book.add_worksheet().set_name("Staff").unwrap();
    sheet.merge_range(0, 0, 0, 2, "Who looks after whom", &Format::new()).unwrap();
    sheet.write(1, 0, "Exported").unwrap();
    sheet.write_with_format(1, 1, 46346, &date).unwrap();
    for (c, text) in (0..).zip(["Client", "Email", "No"]) {
        sheet.write(3, c, text).unwrap();
    }
    sheet.merge_range(4, 0, 6, 0, "Acme Ltd", &Format::new()).unwrap();
    for (n, who) in (4..).zip(["ana", "ann", "ben", "cy"]) {
        sheet.write(n, 1, format!("{who}@harbour.example")).unwrap();
        sheet.write(n, 2, 12).unwrap();
    }
    sheet.write(7, 0, "Birch LLP").unwrap();
    sheet.write(7, 5, "a remark of nobody's").unwrap();
    let report = Lists::new().book(&mut book, json!({"issued": {"cell": "B2"}, "stale_after_days": 3}));
    good(&report);
    assert_eq!(report.read_as, "workbook, sheet \"Staff\"");
    assert_eq!(report.issued, Some("2026-11-20T00:00:00Z".parse().unwrap()));
    let people: Vec<_> = report.clients.iter().map(|c| (c.id.as_str(), c.people.len())).collect();
    assert_eq!(people, [("acme ltd", 3), ("birch llp", 1)]);
    let report = Lists::new().book(&mut book, json!({"columns": {"client_id": "No", "client": "Client"}}));
    assert_eq!(report.clients.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["12"], "{report:?}");
}

#[test]
fn formulas_count_by_their_value_and_errors_by_nothing() {
    let lists = Lists::new();
    let mut book = sheet(&[["Client", "Email"], ["Acme", ""], ["Birch", ""], ["Cedar", "c@x.example"]]);
    let sheet = book.worksheet_from_index(0).unwrap();
    sheet.write_formula(1, 1, Formula::new("=\"ana\"&\"@x.example\"").set_result("ana@x.example")).unwrap();
    sheet.write_formula(2, 1, Formula::new("=VLOOKUP(A3,Z:Z,2,0)").set_result("#N/A")).unwrap();
    let report = lists.book(&mut book, json!({}));
    good(&report);
    assert_eq!(pairs(&report)[0], "acme: ana@x.example listed Active");
    assert_eq!(of_kind(&report, &NoteKind::ClientUnknown { client: "Birch".into() }).len(), 1, "{report:?}");
    let report = lists.csv("Client,Email\nAcme,=A1\nBirch,b@x.example\n", json!({}));
    assert_eq!(of_kind(&report, &NoteKind::ClientUnknown { client: "Acme".into() }).len(), 1);
}

#[test]
fn several_sheets_need_a_name() {
    let lists = Lists::new();
    let mut book = sheet(&[["Client", "Email"], ["Acme", "a@x.example"]]);
    book.add_worksheet().set_name("Old").unwrap().set_hidden(true);
    good(&lists.book(&mut book, json!({})));
    book.add_worksheet().set_name("Notes").unwrap();
    refused(&lists.book(&mut book, json!({})), ErrorKind::Config, "several sheets");
    good(&lists.book(&mut book, json!({"sheet": "Sheet1"})));
    refused(&lists.book(&mut book, json!({"sheet": "Gone"})), ErrorKind::Config, "no sheet");
}

#[test]
fn a_workbook_that_is_cut_is_refused() {
    let lists = Lists::new();
    let whole = sheet(&[["Client", "Email"], ["Acme", "a@x.example"]]).save_to_buffer().unwrap();
    for end in (5..whole.len()).step_by(97) {
        let path = lists.put("cut.xlsx", &whole[..end]);
        refused(&lists.read(&path, json!({})), ErrorKind::Contract, "");
    }
    refused(&lists.read(&lists.put("text.xlsx", TWO), json!({})), ErrorKind::Contract, "no workbook");
    let old = [0xd0, 0xcf, 0x11, 0xe0, 1, 2, 3];
    refused(&lists.read(&lists.put("old.xlsx", old), json!({})), ErrorKind::Contract, "password");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute or two without optimisation: run with --release")]
fn a_workbook_that_is_blown_up_is_refused() {
    let lists = Lists::new();
    let mut bomb = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    bomb.start_file("xl/worksheets/sheet1.xml", options).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..600 {
        bomb.write_all(&zeros).unwrap();
    }
    let bytes = bomb.finish().unwrap().into_inner();
    assert!(bytes.len() < 2 << 20);
    refused(&lists.read(&lists.put("bomb.xlsx", bytes), json!({})), ErrorKind::Contract, "unpacks to far more");
    // A cell far away from the others must not cost the space between them.
    let mut far = sheet(&[["Client", "Email"], ["Acme", "a@x.example"]]);
    far.worksheet_from_index(0).unwrap().write(900_000, 16_000, "here").unwrap();
    good(&lists.book(&mut far, json!({})));
    far.worksheet_from_index(0).unwrap().write(1_048_575, 0, "here").unwrap();
    refused(&lists.book(&mut far, json!({})), ErrorKind::Contract, "more than");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute or two without optimisation: run with --release")]
fn a_million_lines_are_a_list_and_one_more_is_none() {
    let lists = Lists::new();
    let mut text = "Client,Email\n".to_owned();
    for n in 0..999_999 {
        text += &format!("C{},p{}@x.example\n", n % 5_000, n % 300);
    }
    let report = lists.csv(&text, json!({}));
    good(&report);
    assert_eq!((report.lines, report.clients.len()), (999_999, 5_000));
    text += "D,d@x.example\n";
    refused(&lists.csv(&text, json!({})), ErrorKind::Contract, "more than");
}

#[test]
fn wrong_settings_name_themselves() {
    for (settings, part) in [
        (json!({}), "file"),
        (json!({"file": "list.csv"}), "absolute"),
        (json!({"file": "/l.xls"}), ".xls"),
        (json!({"file": "/l"}), "name of the file"),
        (json!({"file": "/l.csv", "colour": 1}), "colour"),
        (json!({"file": "/l.csv", "columns": {"persons": "x"}}), "columns"),
        (json!({"file": "/l.csv", "columns": {"person": 0}}), "position 0"),
        (json!({"file": "/l.csv", "client": " "}), "client"),
        (json!({"file": "/l.csv", "client": "A", "columns": {"client": "B"}}), "one client"),
        (json!({"file": "/l.csv", "encoding": "klingon"}), "klingon"),
        (json!({"file": "/l.csv", "delimiter": "ab"}), "delimiter"),
        (json!({"file": "/l.csv", "stale_after_days": 0}), "stale_after_days"),
        (json!({"file": "/l.csv", "issued": {"cell": "7"}}), "no cell"),
        (json!({"file": "/l.csv", "statuses": {"active": ["Yes"], "disabled": ["yes"]}}), "two meanings"),
        (json!({"file": "/l.csv", "people": {"Ana": "nobody"}}), "people"),
    ] {
        let built = FACTORY.build(Build { settings: settings.clone(), endpoints: Endpoints::default() });
        let e = built.err().unwrap_or_else(|| panic!("taken: {settings}"));
        assert!(e.kind == ErrorKind::Config && e.message.contains(part) && e.next.is_some(), "{settings}: {e:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in a file: no panic, and a list that is believed names somebody.
    #[test]
    fn no_bytes_are_an_empty_list(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "(Client,Email\n)?([a-c\",;@.\n=]{0,60})") {
        let lists = Lists::new();
        for (name, bytes) in [("a.csv", bytes.as_slice()), ("a.xlsx", &bytes), ("b.csv", text.as_bytes())] {
            let report = lists.read(&lists.put(name, bytes), json!({}));
            prop_assert!(report.fault.is_some() || report.understood > 0);
        }
    }

    /// A list cut anywhere either is refused, or lost nobody whom one of its lines still names in full.
    #[test]
    fn quotes_survive_any_content(name in "[a-zA-Z\", ;'\n]{1,20}") {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let report = Lists::new().csv(format!("Client,Email\n{quoted},ana@x.example\nBirch,ben@x.example\n"), json!({}));
        let clients = report.clients.len();
        prop_assert!(report.fault.is_some() || clients == 2 || name.trim().eq_ignore_ascii_case("birch"), "{:?}", report);
    }
}

/// A Mac writes an accent apart from its letter (NFD), Excel writes both as one (NFC).
#[test]
fn a_name_is_the_same_name_in_either_normal_form() {
    let lists = Lists::new();
    let text = "Client,Person\nCaf\u{e9} No\u{eb}l,Ren\u{e9}\nCafe\u{301} Noe\u{308}l,Zoe\u{308}\n";
    let people = json!({"people": {"Rene\u{301}": "rene@harbour.example", "Zo\u{eb}": "zoe@harbour.example"}});
    let report = lists.csv(text, people);
    good(&report);
    assert_eq!(report.notes, []);
    assert_eq!(
        pairs(&report),
        [
            "caf\u{e9} no\u{eb}l: rene@harbour.example listed Active",
            "caf\u{e9} no\u{eb}l: zoe@harbour.example listed Active",
        ]
    );
    // The setting that names the one client of a list is the same name, too.
    let one = lists.csv("Email\nana@harbour.example\n", json!({"client": "Cafe\u{301} Noe\u{308}l"}));
    assert_eq!(one.clients[0].id, report.clients[0].id);
}

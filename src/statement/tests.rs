use std::io::Read;

use ledgerward_contract::{Basis, Cell, Decimal, Document, Register, StatementData, StatementRequest};
use proptest::prelude::*;

use super::*;

fn make(statement: &Statement, format: Format) -> Rendered {
    render(statement, format, &Look::default()).unwrap()
}

fn text(rendered: &Rendered) -> String {
    String::from_utf8(rendered.bytes.to_vec()).unwrap()
}

fn register_of(statement: &mut Statement) -> &mut Register {
    match &mut statement.body {
        Body::Register(register) => register,
        Body::Table(_) => panic!(),
    }
}

fn restated() -> Statement {
    let mut statement = samples::profit_and_loss();
    statement.head.version = 2;
    statement.head.change = Some("2 lines changed: Sales 48,000.00 → 48,210.50; Rent 6,400.00 → 6,500.00".to_owned());
    statement
}

/// Names that are too long for everything, letters that the font lacks, twelve columns of large amounts.
fn awkward() -> Statement {
    let mut statement = samples::balance_sheet();
    let months: Vec<String> = (1..=12).map(|m| format!("31 Month {m} 2026")).collect();
    let columns: Vec<&str> = std::iter::once("").chain(months.iter().map(String::as_str)).collect();
    let row = |name: &str| format!("l1 {name}{}", "|-123456789.01".repeat(12));
    let rows = [
        "h0 Assets".to_owned(),
        row("Main"),
        row("東京三菱 שלום"),
        row(&"Donaudampfschifffahrtsgesellschaft".repeat(6)),
        row(&"many words ".repeat(60)),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    statement.body = Body::Table(samples::table("", &columns, &rows));
    statement.head.organisation = "The Honourable Company of Very Long Names and Sons (Holdings) ".repeat(4);
    statement.head.firm =
        "Harbour, Mole, Quay, Pier, Jetty, Wharf, Dock and Partners Chartered Accountants Limited".to_owned();
    statement.head.notes = vec!["A note that goes on. ".repeat(60)];
    statement
}

/// Every sample in every format it can have. To look at them: `LEDGERWARD_SAMPLES=dir cargo test samples_render`.
#[test]
fn samples_render_the_same_twice() {
    let all = [
        ("profit-and-loss", samples::profit_and_loss(), 0),
        ("restated", restated(), 0),
        ("balance-sheet", samples::balance_sheet(), 0),
        ("trial-balance", samples::trial_balance(), 0),
        ("bank-summary", samples::bank_summary(), 0),
        ("register", samples::register(90, false), 0),
        ("empty-register", samples::register(0, false), 0),
        ("bank-statement", samples::register(40, true), 0),
        ("awkward", awkward(), 2),
    ];
    let out = std::env::var_os("LEDGERWARD_SAMPLES").map(std::path::PathBuf::from);
    for (name, statement, pdf_findings) in all {
        for format in Format::of(statement.head.kind) {
            let first = make(&statement, format);
            assert!(first == make(&statement, format), "{name} {format:?} is not the same twice");
            let findings = if format == Format::Pdf { pdf_findings } else { 0 };
            assert_eq!(first.findings.len(), findings, "{name} {format:?}: {:?}", first.findings);
            if let Some(out) = &out {
                std::fs::write(out.join(format!("{name}.{}", first.ext)), &first.bytes).unwrap();
            }
        }
    }
}

#[test]
fn a_letter_that_no_font_has_is_a_finding_and_a_box() {
    let mut statement = samples::profit_and_loss();
    statement.head.client = "東".to_owned();
    let findings = make(&statement, Format::Pdf).findings;
    assert_eq!(findings, BTreeSet::from([Finding::MissingGlyphs("東 (U+6771)".to_owned())]));
    // A font that cannot be read is left out and named.
    let look = Look { fonts: vec![Bytes::from_static(b"no font")], ..Look::default() };
    assert!(render(&statement, Format::Pdf, &look).unwrap().findings.contains(&Finding::BadFont));
}

#[test]
fn formats_fit_kinds() {
    let of = |kind| Format::of(kind).map(Format::slug).collect::<Vec<_>>().join(" ");
    assert_eq!(of(StatementKind::BankStatement), "pdf xlsx csv json ofx");
    assert_eq!(of(StatementKind::BankRegister), "pdf xlsx csv json");
    assert_eq!(of(StatementKind::Files), "");
    let error = render(&samples::register(3, false), Format::Ofx, &Look::default()).unwrap_err();
    assert_eq!(error.to_string(), "bank-register cannot be written as ofx; possible are pdf, xlsx, csv, json");
    for format in Format::ALL {
        assert_eq!(Format::parse(format.slug()), Some(format));
    }
}

#[test]
fn ofx_needs_a_closing_balance_and_the_banks_own_lines() {
    let why = |change: fn(&mut Statement)| {
        let mut statement = samples::register(3, true);
        change(&mut statement);
        render(&statement, Format::Ofx, &Look::default()).unwrap_err().to_string()
    };
    assert!(why(|s| register_of(s).closing = None).contains("no closing balance"));
    assert!(why(|s| register_of(s).source = ledgerward_contract::RegisterSource::Books).contains("books' own"));
    assert!(
        why(|s| {
            s.head.currency = None;
            register_of(s).currency = None;
        })
        .contains("no currency")
    );
}

#[test]
fn ofx_ids_are_unique_and_stable_and_texts_are_escaped() {
    let mut statement = samples::register(4, true);
    let register = register_of(&mut statement);
    for line in &mut register.lines {
        line.id = String::new();
        (line.payee, line.description, line.reference) =
            ("A&B <Ltd>\u{1}\u{ffff}".to_owned(), String::new(), String::new());
        (line.amount, line.date) = (Decimal::ONE, jiff::civil::date(2026, 10, 1));
    }
    register.account_number = None;
    let rendered = make(&statement, Format::Ofx);
    let ofx = text(&rendered);
    let ids: BTreeSet<&str> = ofx.lines().filter(|l| l.contains("<FITID>")).collect();
    assert_eq!(ids.len(), 4);
    assert!(ofx.contains("<NAME>A&amp;B &lt;Ltd&gt;</NAME>"), "{ofx}");
    assert!(
        ofx.contains("<ACCTID>0000800000000000000101</ACCTID>")
            || rendered.findings.contains(&Finding::NoAccountNumber)
    );
    assert!(rendered.findings.contains(&Finding::MadeIds(4)));
    assert!(ofx.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n<?OFX OFXHEADER=\"200\" VERSION=\"220\""
    ));
}

#[test]
fn json_is_the_published_shape() {
    let mut statement = samples::register(2, true);
    statement.head.change = Some("1 line added".to_owned());
    let value: serde_json::Value = serde_json::from_str(&text(&make(&statement, Format::Json))).unwrap();
    insta::assert_json_snapshot!("register", value);
    let mut statement = samples::trial_balance();
    let Body::Table(table) = &mut statement.body else { panic!() };
    table.rows.truncate(2);
    let value: serde_json::Value = serde_json::from_str(&text(&make(&statement, Format::Json))).unwrap();
    insta::assert_json_snapshot!("table", value);
}

#[test]
fn csv_numbers_stay_numbers_and_lines_are_rectangular() {
    let csv = text(&make(&samples::profit_and_loss(), Format::Csv));
    assert!(csv.starts_with("\u{feff}Row,Level,Line,Oct 2026,Sep 2026,Account id,Statement,"));
    assert!(csv.contains("\r\nline,1,Repairs,-120.00,,Repairs,Profit and loss,"), "{csv}");
    let mut reader = ::csv::Reader::from_reader(csv.trim_start_matches('\u{feff}').as_bytes());
    assert_eq!(reader.records().map(Result::unwrap).count(), 21);
}

/// One part of an XLSX file, as text.
fn part(rendered: &Rendered, name: &str) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(rendered.bytes.clone())).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn n12_xlsx_text_is_text_and_numbers_are_numbers() {
    let mut statement = samples::register(1, false);
    let line = &mut register_of(&mut statement).lines[0];
    line.payee = "=HYPERLINK(\"http://evil.example\")".to_owned();
    line.reference = "https://evil.example/".to_owned();
    line.description = "-2+3".to_owned();
    line.amount = "-100.00".parse().unwrap();
    let rendered = make(&statement, Format::Xlsx);
    let sheet = part(&rendered, "xl/worksheets/sheet1.xml");
    assert!(!sheet.contains("<f>") && !sheet.contains("hyperlink"), "{sheet}");
    assert!(sheet.contains("<v>-100</v>"), "{sheet}");
    let strings = part(&rendered, "xl/sharedStrings.xml");
    assert!(strings.contains("=HYPERLINK(") && strings.contains("<t>-2+3</t>"), "{strings}");
    // As in the row of the columns' names, so the amounts below are in view with them.
    assert!(sheet.contains("state=\"frozen\""));
}

#[test]
fn an_amount_that_a_spreadsheet_would_round_is_text() {
    let mut statement = samples::profit_and_loss();
    let Body::Table(table) = &mut statement.body else { panic!() };
    table.rows[1].cells[1] = Cell::Money("12345678901234567.89".parse().unwrap());
    let rendered = make(&statement, Format::Xlsx);
    assert_eq!(rendered.findings, BTreeSet::from([Finding::LongAmounts(1)]));
    assert!(part(&rendered, "xl/sharedStrings.xml").contains("<t>12345678901234567.89</t>"));
}

fn request(statement: &Statement) -> StatementRequest {
    let Head { kind, basis, period, .. } = statement.head;
    StatementRequest { kind, basis, period, account: None }
}

#[test]
fn the_hash_is_of_the_content_alone() {
    let statement = samples::profit_and_loss();
    let request = request(&statement);
    let Body::Table(table) = statement.body else { panic!() };
    let hash = |table: &ledgerward_contract::ReportTable| {
        content_hash(&request, &StatementData::Table(table.clone())).unwrap().to_string()
    };
    let base = hash(&table);
    // Stored rows carry it: it may change with its version word only.
    assert_eq!(base, "f968818c1304713b420021f30039f5b28592f0e9ce6becc1901961d7846d4e88");

    let mut same = table.clone();
    same.organisation = Some("Harbour Cafe Limited".to_owned());
    same.rows[1].cells[1] = Cell::Money("48210.5000".parse().unwrap());
    assert_eq!(hash(&same), base, "a new name of the organisation, or zeros at the end");

    let mut other = table.clone();
    other.rows[1].cells[1] = Cell::Money("48210.51".parse().unwrap());
    assert_ne!(hash(&other), base);
    let cash = StatementRequest { basis: Basis::Cash, ..request.clone() };
    assert_ne!(content_hash(&cash, &StatementData::Table(table)).unwrap().to_string(), base);
}

#[test]
fn a_registers_hash_does_not_depend_on_the_order_of_arrival() {
    let statement = samples::register(30, true);
    let request = request(&statement);
    let Body::Register(register) = statement.body else { panic!() };
    let hash = |register: Register| content_hash(&request, &StatementData::Register(register)).unwrap();
    let mut turned = register.clone();
    turned.lines.reverse();
    let mut other = register.clone();
    other.lines[4].payee.push('!');
    assert_eq!(hash(turned), hash(register.clone()));
    assert_ne!(hash(other), hash(register));
    let document = |bytes: &'static [u8], name: &str| {
        let document = Document { name: name.to_owned(), mime: String::new(), bytes: bytes.into() };
        content_hash(&request, &StatementData::Document(document)).unwrap()
    };
    assert_eq!(document(b"a", "x"), document(b"a", "y"));
    assert_ne!(document(b"a", "x"), document(b"b", "x"));
}

#[test]
fn a_closing_balance_of_an_earlier_day_says_so_and_is_the_same_content_where_a_note_names_the_day() {
    let mut statement = samples::register(3, true);
    let request = request(&statement);
    let hash = |s: &mut Statement| content_hash(&request, &StatementData::Register(register_of(s).clone())).unwrap();
    let as_of = |s: &Statement| {
        let text = String::from_utf8(make(s, Format::Ofx).bytes.to_vec()).unwrap();
        text.split("<DTASOF>").nth(1).unwrap()[..8].to_owned()
    };
    let base = hash(&mut statement);
    assert_eq!(as_of(&statement), "20261031");
    register_of(&mut statement).closing_on = Some(request.period.end);
    assert_eq!(hash(&mut statement), base);
    let day = jiff::civil::date(2026, 10, 28);
    register_of(&mut statement).closing_on = Some(day);
    assert_eq!(as_of(&statement), "20261028");
    assert_ne!(hash(&mut statement), base);
    let note = |s: &mut Statement| register_of(s).notes = vec![format!("The closing balance is that of {day}.")];
    note(&mut statement);
    let named = hash(&mut statement);
    register_of(&mut statement).closing_on = None;
    assert_eq!(hash(&mut statement), named, "what was stored before the day had a place of its own");
    let old: Register = serde_json::from_str(&serde_json::to_string(register_of(&mut statement)).unwrap()).unwrap();
    assert_eq!(&old, register_of(&mut statement));
    assert!(!serde_json::to_string(&old).unwrap().contains("closing_on"));
}

#[test]
fn a_banner_says_whose_record_it_is() {
    assert_eq!(
        samples::register(1, false).banner().unwrap(),
        "Register of the books of Harbour Cafe Ltd. This is not the bank's statement."
    );
    assert!(samples::register(1, true).banner().unwrap().contains("(feed)"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a vendor or a client writes, each format gives a file.
    #[test]
    fn n06_any_text_renders(words in proptest::collection::vec(any::<String>(), 6), long in 0usize..400) {
        let mut statement = samples::register(3, true);
        statement.head.organisation = words[0].repeat(1 + long / 40);
        statement.head.client.clone_from(&words[1]);
        statement.head.account = Some(words[2].clone());
        statement.head.notes = vec![words[3].repeat(long)];
        statement.head.letterhead = vec![words[4].clone(); 6];
        let register = register_of(&mut statement);
        register.lines[0].payee = words[5].repeat(long);
        register.lines[1].description.clone_from(&words[0]);
        register.lines[2].id.clone_from(&words[1]);
        register.account_number = Some(words[2].clone());
        for format in Format::ALL {
            prop_assert!(render(&statement, format, &Look::default()).is_ok(), "{:?}", format);
        }
    }
}

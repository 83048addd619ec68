//! Papers of single bank accounts: which there are, in whose folder, and under which name.

use std::fs;

use ledgerward::statement::StatementKey;
use ledgerward_contract::{AccountId, Basis};
use serde_json::json;

use crate::common::Firm;

const ACME: &str = "c4d9a7f2-0000-4000-8000-000000000001";

/// A firm at rest that wants registers and attachments from now on.
fn firm() -> Firm {
    let firm = Firm::at_rest();
    configure(&firm, r#"kinds = ["profit-and-loss", "balance-sheet"]"#, r#"kinds = ["bank-register", "attachments"]"#);
    firm.must(&["clients", "since", "acme-ltd", &past_month().to_string()]);
    firm
}

fn configure(firm: &Firm, from: &str, to: &str) {
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    assert!(config.contains(from), "{config}");
    fs::write(firm.path("config.toml"), config.replace(from, to)).unwrap();
}

/// A month whose papers are due on any day that this runs.
fn past_month() -> jiff::civil::Date {
    jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(2))
}

/// Something paid from an account in that month, with a receipt.
fn pay(firm: &Firm, code: &str, receipt: &str) {
    let transaction = json!({
        "date": past_month().to_string(), "type": "SPEND", "bank": code, "account": "404", "amount": "12.50",
        "contact": "Bank", "attachments": [{"name": receipt, "content": "%PDF-1.4 of ours"}],
    });
    firm.at("xero", "post_transaction", json!({"tenant": ACME, "transaction": transaction}));
}

fn account(firm: &Firm, code: &str) -> AccountId {
    firm.state(|db| {
        let all = db.accounts(&"xero".into(), &ACME.into())?.unwrap();
        Ok(all.into_iter().find(|a| a.code.as_deref() == Some(code)).unwrap().id)
    })
}

/// What lies on the disk in folders that begin so, of that month, that has this in its name.
fn files(firm: &Firm, folder: &str, part: &str) -> Vec<String> {
    let month = past_month().strftime("%Y-%m").to_string();
    let of = |path: &String| path.starts_with(folder) && path.contains(part) && path.contains(&month);
    firm.disk().into_keys().filter(of).collect()
}

/// The accounts are listed again in the next run, as they are a day after the last list.
fn a_day_later(firm: &Firm) {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(25);
    firm.state(|db| db.doc_put("accounts_read", &format!("xero/ledger/{ACME}"), &then));
}

fn delivers(firm: &Firm) {
    let told = firm.sync();
    assert!([0, 5].contains(&told.exit), "{told:?}");
}

#[test]
fn an_accounts_folder_has_that_accounts_papers_though_the_firm_pushes_others() {
    let firm = firm();
    firm.must(&["people", "mode", "bob", "ledger+selected"]);
    firm.must(&["select", "bob", "acme-ltd", "--account", "091"]);
    firm.must(&["clients", "accounts", "acme-ltd", "090"]);
    pay(&firm, "090", "desk.pdf");
    pay(&firm, "091", "fees.pdf");
    delivers(&firm);
    let own = "Acme Ltd – ";
    assert_eq!(files(&firm, own, "register Savings").len(), 2, "csv and json: {:?}", firm.disk());
    assert_eq!(files(&firm, own, "fees.pdf").len(), 1);
    assert_eq!(
        (files(&firm, own, "desk.pdf"), files(&firm, own, "Main cheque")),
        (vec![], vec![]),
        "another account's"
    );
    let whole = "Acme Ltd/";
    assert_eq!((files(&firm, whole, "fees.pdf").len(), files(&firm, whole, "desk.pdf").len()), (1, 1));
    assert!(files(&firm, whole, "Main cheque").len() == 2 && files(&firm, whole, "Savings").is_empty());

    // Whose folder it is has it in the list, and nothing else.
    let json = firm.must(&["statements", "--as", "bob@harbour.example", "--client", "acme-ltd", "--json"]).json();
    let rows = json["statements"].as_array().unwrap();
    assert!(rows.iter().any(|r| r["kind"] == "attachments") && rows.iter().all(|r| r["state"] != "due"), "{json}");
    assert!(!json.to_string().contains("desk.pdf") && !json.to_string().contains("Main cheque"), "{json}");
    // What comes later comes there, too; nothing is sent twice.
    let before = firm.disk();
    delivers(&firm);
    assert_eq!(firm.disk(), before);
}

#[test]
fn a_closed_account_has_its_last_month_and_one_that_is_chosen_by_name_every_one() {
    let firm = firm();
    let registers = |name: &str| files(&firm, "Acme Ltd/", name).len();
    firm.must(&["clients", "accounts", "acme-ltd", "090"]);
    delivers(&firm);
    assert_eq!((registers("Main cheque"), registers("Savings")), (2, 0));
    // It is closed before anything was made of it.
    firm.must(&["clients", "accounts", "acme-ltd", "--all"]);
    a_day_later(&firm);
    firm.at("xero", "set_account", json!({"tenant": ACME, "code": "091", "status": "ARCHIVED"}));
    delivers(&firm);
    assert_eq!(registers("Savings"), 2, "{:?}", firm.disk());
    let told = firm.must(&["findings", "--json"]).out;
    assert!(told.contains("account.closed") && told.contains("Savings"), "{told}");

    // Closed before anybody looked: only who chooses it by name has it.
    let firm = self::firm();
    let registers = |name: &str| files(&firm, "Acme Ltd/", name).len();
    firm.at("xero", "set_account", json!({"tenant": ACME, "code": "091", "status": "ARCHIVED"}));
    delivers(&firm);
    assert_eq!((registers("Main cheque"), registers("Savings")), (2, 0));
    firm.must(&["clients", "accounts", "acme-ltd", "091"]);
    delivers(&firm);
    assert_eq!(registers("Savings"), 2);
    assert!(!firm.must(&["findings", "--json"]).out.contains("account.closed"));
    // What was delivered once is sent again when it is lost, though nothing new of it is due any more.
    firm.must(&["clients", "accounts", "acme-ltd", "--all"]);
    let lost = files(&firm, "Acme Ltd/", "Savings").remove(0);
    fs::remove_file(firm.path("folders").join(&lost)).unwrap();
    firm.must(&["statements", "push", "--client", "acme-ltd"]);
    assert_eq!(registers("Savings"), 2);
}

#[test]
fn a_register_is_the_same_on_each_basis_and_goes_out_once() {
    let firm = firm();
    pay(&firm, "090", "desk.pdf");
    // One that was delivered while the basis was still part of its key.
    configure(&firm, "after_days = 1", "after_days = 1\nbasis = \"cash\"");
    firm.must(&["clients", "accounts", "acme-ltd", "090"]);
    delivers(&firm);
    let before = firm.disk();
    let keys = || firm.state(|db| Ok(db.statements()?.into_iter().filter_map(|(key, ..)| StatementKey::parse(&key))));
    let papers = |k: &StatementKey| k.request.kind.per_account() || k.request.kind.is_document();
    assert!(keys().filter(papers).count() > 1 && keys().filter(papers).all(|k| k.request.basis == Basis::Accrual));
    let csv = files(&firm, "Acme Ltd/", "Main cheque").into_iter().find(|p| p.ends_with(".json")).unwrap();
    let text = fs::read_to_string(firm.path("folders").join(csv)).unwrap();
    assert!(text.contains("\"basis\": \"accrual\""), "{text}");
    configure(&firm, "basis = \"cash\"", "basis = \"accrual\"");
    delivers(&firm);
    assert_eq!(firm.disk(), before);

    let own = account(&firm, "091");
    let one = keys().find(|k| k.request.kind.per_account()).unwrap();
    let mut savings = StatementKey { request: one.request.clone(), ..one };
    savings.request.account = Some(own);
    let former = savings.former().unwrap();
    let register = json!({"register": {
        "account": savings.request.account, "account_name": "Savings", "account_number": null, "organisation": null,
        "currency": "NZD", "source": "books", "opening": null, "closing": null, "lines": [], "notes": [],
    }});
    let (text, body) = (former.text(), register.to_string());
    firm.state(|db| db.statement_version(&text, "hash", &body, jiff::Timestamp::now()));
    firm.state(|db| db.doc_put("statement_read", &text, &jiff::Timestamp::now()));
    firm.must(&["clients", "accounts", "acme-ltd", "--all"]);
    delivers(&firm);
    assert!(keys().any(|k| k == former) && keys().all(|k| k != savings), "it keeps the key that it has");
    let due = firm.must(&["statements", "--client", "acme-ltd", "--json"]).json();
    assert!(due["statements"].as_array().unwrap().iter().all(|r| r["state"] != "due"), "{due}");
}

#[test]
fn two_accounts_of_one_name_are_two_local_files_as_in_their_folder() {
    let firm = firm();
    for code in ["090", "091"] {
        firm.at("xero", "set_account", json!({"tenant": ACME, "code": code, "name": "Checking"}));
    }
    delivers(&firm);
    let delivered = files(&firm, "Acme Ltd/", "Checking");
    assert_eq!(delivered.len(), 4, "{delivered:?}");
    let out = firm.path("out");
    for _ in 0..2 {
        firm.must(&[
            "statements",
            "render",
            "--client",
            "acme-ltd",
            "--kind",
            "bank-register",
            "--out",
            out.to_str().unwrap(),
        ]);
    }
    for path in delivered {
        let here = out.join("acme-ltd").join(path.strip_prefix("Acme Ltd/").unwrap());
        assert_eq!(fs::read(&here).ok(), fs::read(firm.path("folders").join(&path)).ok(), "{}", here.display());
    }
}

#[test]
fn a_template_that_would_fail_at_the_first_file_is_no_configuration() {
    let firm = firm();
    let own = |template: &str| format!("after_days = 1\ntemplate = \"{template}\"");
    for (template, at) in [
        ("{year}/{period} {kind} {ledger} {account} (v{n}).{ext}", 24),
        ("{year}/{period}: {kind}[ {ledger}][ {account}][ (v{n})].{ext}", 16),
        ("{year}/{period} {kind}[ {ledger}{account}][ (v{n})].{ext}", 33),
        ("{period}/{kind}[ {ledger} {account}][ (v{n})].{ext}", 27),
        ("{period} {kind}[ {ledger}][ {account}]/{year}/[v{n}].{ext}", 47),
    ] {
        configure(&firm, "after_days = 1", &own(template));
        let told = firm.ask(&["status"]);
        assert!(told.exit == 78 && told.err.contains(&format!("character {at}: ")), "{template}: {told:?}");
        configure(&firm, &own(template), "after_days = 1");
    }
}

#[test]
fn pdfs_look_as_the_firm_says() {
    let firm = Firm::at_rest();
    let drawn = |to: &str| {
        let out = firm.path(to);
        let format =
            ["statements", "render", "--client", "acme-ltd", "--format", "pdf", "--out", out.to_str().unwrap()];
        firm.must(&[&format[..], &["--kind", "balance-sheet"]].concat());
        let first = |folder: std::path::PathBuf| fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        fs::read(first(first(out.join("acme-ltd")))).unwrap()
    };
    let plain = drawn("plain");
    assert_eq!(drawn("again"), plain);
    fs::write(firm.path("own.ttf"), notosans::BOLD_TTF).unwrap();
    configure(&firm, "name = \"Harbour\"", "name = \"Harbour \u{6771}\"");
    let missing = drawn("missing");
    configure(
        &firm,
        "after_days = 1",
        "after_days = 1\nfonts = [\"own.ttf\"]\npaper = \"letter\"\naccent = \"#8a1538\"",
    );
    assert_ne!(drawn("own"), missing);
}

//! Which statements are due, read again and sent again as time goes by, and what is told of their content.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

mod common;

use std::{collections::BTreeSet, fs};

use common::{
    Firm, Told,
    proxy::{Fault, Rule},
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use ledgerward_contract::LedgerId;
use serde_json::{Value, json};

/// When each statement was last compared with its source, by its key.
const READ: &str = "statement_read";

fn today() -> Date {
    let zone = jiff::tz::TimeZone::get("Pacific/Auckland").unwrap();
    Timestamp::now().to_zoned(zone).date()
}

/// The last month that is over: its first day.
fn last_month() -> Date {
    jiff::Zoned::now().date().first_of_month().saturating_sub(Span::new().months(1))
}

fn label(month: Date) -> String {
    month.strftime("%Y-%m").to_string()
}

/// Acme spends something in the last month.
fn spend(firm: &Firm, amount: &str) {
    let what = json!({"date": last_month(), "type": "SPEND", "bank": "090", "account": "404", "amount": amount});
    firm.at("xero", "post_transaction", json!({"tenant": "Acme Ltd", "transaction": what}));
}

/// As if everything had been read this long ago.
fn read_ago(firm: &Firm, ago: SignedDuration) {
    let then = Timestamp::now() - ago;
    firm.state(|db| db.doc_all::<Timestamp>(READ)?.keys().try_for_each(|key| db.doc_put(READ, key, &then)));
}

/// Last month's books of Acme change, and every statement is due to be read again.
fn restated(firm: &Firm, amount: &str) {
    spend(firm, amount);
    read_ago(firm, SignedDuration::from_hours(24 * 8));
}

/// The next run asks every ledger about itself.
fn forget_profiles(firm: &Firm) {
    firm.state(|db| {
        let all: Vec<String> = db.doc_all::<Value>("profile")?.into_keys().collect();
        all.iter().try_for_each(|key| db.doc_delete("profile", key).map(drop))
    });
}

fn edit_config(firm: &Firm, from: &str, to: &str) {
    let text = fs::read_to_string(firm.path("config.toml")).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(firm.path("config.toml"), text.replace(from, to)).unwrap();
}

fn rule(path: &'static str, fault: Fault) -> Rule {
    Rule { method: "GET", path, skip: 0, times: usize::MAX, fault }
}

/// Acme's files on the disk whose names have all of these parts.
fn acme(firm: &Firm, parts: &[&str]) -> BTreeSet<String> {
    let all = firm.disk().into_keys().filter(|p| p.starts_with("Acme Ltd/"));
    all.filter(|p| parts.iter().all(|part| p.contains(part))).collect()
}

fn push(firm: &Firm) -> Told {
    firm.ask(&["statements", "push", "--client", "acme-ltd", "--json", "--quiet"])
}

/// The subjects and texts of the open findings of a code.
fn open(firm: &Firm, code: &str) -> Vec<(String, String)> {
    let told = firm.must(&["findings", "--json", "--quiet"]).json();
    let rows = told["findings"].as_array().unwrap().iter().filter(|f| f["code"] == code);
    let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_owned();
    rows.map(|f| (text(f, "subject"), text(f, "text"))).collect()
}

#[test]
fn the_day_of_the_first_delivery_is_kept_and_nothing_is_due_no_more_as_time_goes_by() {
    let firm = Firm::at_rest();
    let days = |firm: &Firm| firm.state(|db| db.doc_all::<Date>("first_delivery"));
    assert_eq!(days(&firm).into_values().collect::<Vec<_>>(), [today(); 3], "of each ledger");
    firm.must(&["clients", "since", "acme-ltd", "default"]);
    // As if more than a year had gone by since: the financial year of then is not the one of today.
    let then = today().saturating_sub(Span::new().months(13));
    firm.state(|db| {
        db.doc_all::<Date>("first_delivery")?.keys().try_for_each(|k| db.doc_put("first_delivery", k, &then))
    });
    let month = label(then.saturating_sub(Span::new().months(3)));
    let listed = |firm: &Firm| {
        let told = firm.must(&["statements", "list", "--client", "acme-ltd", "--json", "--quiet"]).json();
        told["statements"].as_array().unwrap().iter().any(|s| s["period"] == month.as_str())
    };
    assert!(listed(&firm), "{month} is due");
    firm.must(&["statements", "push", "--client", "acme-ltd", "--period", &month]);
    assert!(!acme(&firm, &[&month]).is_empty(), "{month} is delivered");
    assert_eq!(days(&firm).into_values().collect::<Vec<_>>(), [then; 3], "and the day stays");
}

#[test]
fn from_the_beginning_is_further_back_than_the_default() {
    let firm = Firm::at_rest();
    let since = |firm: &Firm| {
        let told = firm.must(&["clients", "list", "--json", "--quiet"]).json();
        let all = told["clients"].as_array().unwrap();
        all.iter().find(|c| c["slug"] == "acme-ltd").unwrap()["since"].as_str().unwrap().to_owned()
    };
    let oldest = |firm: &Firm| {
        let told = firm.must(&["statements", "list", "--client", "acme-ltd", "--json", "--quiet"]).json();
        told["statements"].as_array().unwrap().iter().map(|s| s["period"].as_str().unwrap().to_owned()).min().unwrap()
    };
    firm.must(&["clients", "since", "acme-ltd", "beginning"]);
    assert_eq!(since(&firm), "beginning");
    let years = |n: i64| label(today().saturating_sub(Span::new().years(n)));
    assert!(oldest(&firm) < years(9) && oldest(&firm) > years(12), "{}", oldest(&firm));
    let exported = firm.must(&["firm", "export"]).out;
    assert!(exported.contains("since = \"beginning\""), "{exported}");
    fs::write(firm.path("as-it-is.toml"), &exported).unwrap();
    firm.must(&["firm", "apply", &firm.path("as-it-is.toml").display().to_string(), "--yes"]);
    assert_eq!(since(&firm), "beginning");
    firm.must(&["clients", "since", "acme-ltd", "default"]);
    assert_eq!(since(&firm), "default");
    assert!(oldest(&firm) > years(3), "{}", oldest(&firm));
}

#[test]
fn what_was_read_once_is_read_again_though_the_client_begins_later_now() {
    let firm = Firm::at_rest();
    firm.must(&["clients", "since", "acme-ltd", &today().to_string()]);
    restated(&firm, "12.50");
    assert_eq!(firm.sync().exit, 0);
    assert!(!acme(&firm, &["(v2)"]).is_empty(), "{:?}", acme(&firm, &[]));
}

#[test]
fn a_lost_file_is_sent_again_from_the_store_whatever_is_due_now() {
    let firm = Firm::at_rest();
    let whole = acme(&firm, &["Acme Ltd/2"]);
    let lose = || {
        let lost = whole.iter().find(|p| p.contains("rofit") && p.ends_with(".csv")).unwrap();
        fs::remove_file(firm.path("folders").join(lost)).unwrap();
        lost.clone()
    };
    firm.must(&["clients", "since", "acme-ltd", &today().to_string()]);
    edit_config(&firm, "after_days = 1", "after_days = 1\nbasis = \"cash\"");
    let lost = lose();
    let told = push(&firm);
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(acme(&firm, &["Acme Ltd/2"]), whole, "{lost}");

    // Its ledger has nothing to do with that.
    let lost = lose();
    firm.proxies["xero"].spoil(Some(rule("/Reports/", Fault::Status(503, None))));
    push(&firm);
    assert_eq!(acme(&firm, &["Acme Ltd/2"]), whole, "{lost}");
    firm.proxies["xero"].spoil(None);

    // What the settings do not ask for any more is not said to be the source's fault.
    edit_config(&firm, "formats = [\"csv\", \"json\"]", "formats = [\"json\"]");
    let lost = lose();
    let told = push(&firm);
    assert_eq!(told.exit, 5, "{told:?}");
    assert!(told.out.contains(&lost[9..]) && told.out.contains("the settings ask for no such file"), "{told:?}");
}

#[test]
fn a_push_that_matches_nothing_says_so() {
    let firm = Firm::at_rest();
    let ask = |more: &[&str]| firm.ask(&[&["statements", "push", "--client", "acme-ltd"], more].concat());
    for more in [&["--period", "FY2020"][..], &["--kind", "trial-balance"]] {
        let told = ask(more);
        assert_eq!(told.exit, 1, "{told:?}");
        assert!(told.err.contains("no statement"), "{told:?}");
    }
    let month = label(last_month());
    let told = ask(&["--period", &month]);
    assert_eq!(told.exit, 0, "what is there already is no trouble: {told:?}");
    firm.must(&["clients", "since", "acme-ltd", &today().to_string()]);
    assert_eq!(ask(&["--period", &month]).exit, 0);
}

#[test]
fn a_push_that_finds_a_restatement_sends_the_lost_first_version_again_as_well() {
    let firm = Firm::at_rest();
    let before = acme(&firm, &["Acme Ltd/2"]);
    let lost = before.iter().find(|p| p.contains("rofit") && p.ends_with(".csv")).unwrap();
    fs::remove_file(firm.path("folders").join(lost)).unwrap();
    restated(&firm, "12.50");
    let told = push(&firm);
    assert_eq!(told.exit, 0, "{told:?}");
    let now = acme(&firm, &[]);
    assert!(now.contains(lost) && now.iter().any(|p| p.contains("(v2)") && p.contains("rofit")), "{now:?}");
}

#[test]
fn what_was_changed_and_then_locked_is_read_once_more() {
    let firm = Firm::at_rest();
    let day = SignedDuration::from_hours(24);
    let lock = last_month().last_of_month();
    spend(&firm, "12.50");
    firm.at("xero", "set_lock_date", json!({"tenant": "Acme Ltd", "date": lock}));
    read_ago(&firm, day * 2);
    forget_profiles(&firm);
    assert_eq!(firm.sync().exit, 0);
    let files = acme(&firm, &["(v2)"]);
    assert!(!files.is_empty(), "{:?}", acme(&firm, &[]));

    // And no more, until it is unlocked and locked again.
    restated(&firm, "2.50");
    // The lock was seen before that reading, too.
    firm.state(|db| {
        let then = Timestamp::now() - day * 9;
        let locks = db.doc_all::<Vec<(Date, Timestamp)>>("profile_locks")?;
        locks.iter().try_for_each(|(key, locks)| {
            let older: Vec<_> = locks.iter().map(|(to, _)| (*to, then)).collect();
            db.doc_put("profile_locks", key, &older)
        })
    });
    assert_eq!(firm.sync().exit, 0);
    assert_eq!(acme(&firm, &["(v3)"]), BTreeSet::new());
    for date in [Value::Null, json!(lock)] {
        firm.at("xero", "set_lock_date", json!({"tenant": "Acme Ltd", "date": date}));
        read_ago(&firm, day * 2);
        forget_profiles(&firm);
        assert_eq!(firm.sync().exit, 0);
    }
    assert!(!acme(&firm, &["(v3)"]).is_empty(), "{:?}", acme(&firm, &[]));
}

#[test]
fn an_account_without_a_statement_keeps_no_other_account_from_its_own() {
    let firm = Firm::at_rest();
    edit_config(&firm, "\"balance-sheet\"]", "\"balance-sheet\", \"bank-statement\"]");
    edit_config(&firm, "scopes = \"granular-finance\"", "scopes = \"granular-finance\"\nstatement_lines = true");
    let source =
        firm.state(|db| Ok(db.firm()?.clients.values().find(|c| c.slug == "acme-ltd").unwrap().sources.clone()));
    let ledger = LedgerId(source.first().unwrap().id.clone());
    // The first one of the list is refused before anything of it was read.
    firm.proxies["xero"].spoil(Some(rule("/BankStatementsPlus", Fault::Status(403, None))));
    firm.sync();
    assert!(acme(&firm, &["ank statement"]).is_empty());
    let accounts = firm.state(|db| db.accounts(&"xero".into(), &ledger)).unwrap();
    let (first, other) = (&accounts[0], &accounts[1]);
    let path: &'static str = Box::leak(format!("BankAccountID={}", first.id).into_boxed_str());
    firm.proxies["xero"].spoil(Some(rule(path, Fault::Status(403, None))));
    let told = firm.sync();
    assert!(firm.proxies["xero"].hits() > 0, "{told:?}");
    assert!(!acme(&firm, &["ank statement", &other.name]).is_empty(), "{told:?} {:?}", acme(&firm, &[]));
    let found = open(&firm, "statement.not_available");
    assert!(found.iter().any(|(s, text)| s.ends_with(first.id.as_str()) && text.contains(&first.name)), "{found:?}");
    assert!(!found.iter().any(|(s, _)| s.contains("birch") || s.contains("cedar")), "{found:?}");
}

#[test]
fn a_kind_that_is_forbidden_keeps_no_other_kind_from_coming() {
    let firm = Firm::at_rest();
    restated(&firm, "12.50");
    firm.proxies["xero"].spoil(Some(rule("/Reports/ProfitAndLoss", Fault::Status(403, None))));
    let told = firm.sync();
    assert_eq!(told.exit, 5, "{told:?}");
    assert!(!acme(&firm, &["(v2)", "sheet"]).is_empty(), "{told:?} {:?}", acme(&firm, &[]));
    // One that refuses the whole ledger is asked for nothing more.
    firm.proxies["xero"].spoil(None);
    restated(&firm, "2.50");
    firm.at("xero", "set_outage", json!({"kind": 403, "path": "/api.xro/2.0/Reports"}));
    let asked = |firm: &Firm| {
        let stats = firm.at("xero", "stats", json!({}));
        let all = stats["requests"].as_object().unwrap().iter().filter(|(what, _)| what.contains("/Reports/"));
        all.filter_map(|(_, n)| n.as_u64()).sum::<u64>()
    };
    let before = asked(&firm);
    firm.sync();
    assert_eq!(asked(&firm) - before, 3, "once for each ledger");
}

#[test]
fn what_is_told_of_a_content_lasts_as_long_as_the_content() {
    let firm = Firm::at_rest();
    let wrong = &[
        ("\"Total Income\"},{\"Value\":\"", "\"Total Income\"},{\"Value\":\"9"),
        ("\"Total Operating Expenses\"},{\"Value\":\"", "\"Total Operating Expenses\"},{\"Value\":\"9"),
    ];
    restated(&firm, "12.50");
    firm.proxies["xero"].spoil(Some(rule("/Reports/ProfitAndLoss", Fault::Replace(wrong))));
    assert_eq!(push(&firm).exit, 0);
    firm.proxies["xero"].spoil(None);
    let found = open(&firm, "statement.totals_differ");
    assert!(found.len() > 1, "each of them, after a push as well: {found:?}");
    let month = label(last_month());
    assert!(found.iter().all(|(s, _)| s.starts_with("acme-ltd/") && s.contains(&month)), "{found:?}");
    assert!(found.iter().any(|(s, _)| s.contains("Total Income")), "{found:?}");
    for _ in 0..2 {
        assert_eq!(firm.sync().exit, 0);
        assert_eq!(open(&firm, "statement.totals_differ"), found, "nothing was read again");
    }
    read_ago(&firm, SignedDuration::from_hours(24 * 8));
    assert_eq!(push(&firm).exit, 0);
    assert_eq!(open(&firm, "statement.totals_differ"), []);
}

#[test]
fn what_is_told_of_a_rendering_lasts_as_long_as_the_rendering() {
    let firm = Firm::at_rest();
    edit_config(
        &firm,
        "[statements]\nkinds = [\"profit-and-loss\", \"balance-sheet\"]\nformats = [\"csv\", \"json\"]",
        "[statements]\nkinds = [\"profit-and-loss\", \"balance-sheet\"]\nformats = [\"csv\", \"json\", \"pdf\"]",
    );
    let odd = &[("\"Bank Fees\"", "\"Bank Fees \u{6f22}\"")];
    restated(&firm, "12.50");
    firm.proxies["xero"].spoil(Some(rule("/Reports/ProfitAndLoss", Fault::Replace(odd))));
    assert_eq!(push(&firm).exit, 0);
    firm.proxies["xero"].spoil(None);
    let found = open(&firm, "statement.rendering");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains(&label(last_month())), "{found:?}");
    for _ in 0..2 {
        assert_eq!(firm.sync().exit, 0);
        assert_eq!(open(&firm, "statement.rendering"), found, "nothing was rendered again");
    }
    // The second version's note says what it changed, and so has the letter as well.
    for amount in ["1.50", "2.50"] {
        restated(&firm, amount);
        assert_eq!(push(&firm).exit, 0);
    }
    assert_eq!(open(&firm, "statement.rendering"), []);
    // Nor does anything outlive what it was about: the format that was asked for, and the client's delivery.
    let again = |amount: &str| {
        restated(&firm, amount);
        firm.proxies["xero"].spoil(Some(rule("/Reports/ProfitAndLoss", Fault::Replace(odd))));
        assert_eq!(push(&firm).exit, 0);
        firm.proxies["xero"].spoil(None);
        assert_eq!(open(&firm, "statement.rendering").len(), 1);
    };
    again("3.50");
    edit_config(&firm, ", \"pdf\"]", "]");
    firm.sync();
    assert_eq!(open(&firm, "statement.rendering"), []);
    edit_config(&firm, "formats = [\"csv\", \"json\"]", "formats = [\"csv\", \"json\", \"pdf\"]");
    again("4.50");
    firm.must(&["clients", "archive", "acme-ltd"]);
    firm.sync();
    assert_eq!(open(&firm, "statement.rendering"), []);
}

/// As if a ledger had had this name when it was last asked.
fn had_the_name(firm: &Firm, now: &str, then: &str) {
    firm.state(|db| {
        let all = db.doc_all::<Value>("profile")?;
        let of = all.into_iter().filter(|(_, profile)| profile[1]["name"] == now);
        of.into_iter().try_for_each(|(key, mut profile)| {
            profile[1]["name"] = json!(then);
            db.doc_put("profile", &key, &profile)
        })
    });
}

#[test]
fn a_ledger_that_was_renamed_is_asked_for_its_name_at_once() {
    let firm = Firm::at_rest();
    had_the_name(&firm, "Acme Ltd", "Acme Trading");
    restated(&firm, "12.50");
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(!acme(&firm, &["(v2)"]).is_empty(), "{:?}", acme(&firm, &[]));
}

#[test]
fn n14_reports_of_another_ledger_are_refused_though_their_ledger_has_that_name() {
    let firm = Firm::at_rest();
    edit_config(
        &firm,
        "scopes = \"granular-finance\"",
        "scopes = \"granular-finance\"\ntenant_is_organisation = false",
    );
    let before = acme(&firm, &[]);
    restated(&firm, "12.50");
    firm.at("xero", "swap_tenants", json!({"a": "Acme Ltd", "b": "Birch LLP"}));
    for _ in 0..2 {
        let told = push(&firm);
        assert_eq!(told.exit, 5, "{told:?}");
        assert!(told.out.contains("names"), "{told:?}");
        assert_eq!(acme(&firm, &[]), before);
    }
}

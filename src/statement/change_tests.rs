use super::*;
use crate::statement::{
    Body,
    samples::{self, table},
};

fn data(rows: &[&str]) -> StatementData {
    StatementData::Table(table("", &["", "Oct"], rows))
}

#[test]
fn changed_lines_are_spelled_and_totals_only_counted() {
    let old = data(&["h0 Income", "l1 Sales|1000.00", "l1 Tips|5.00", "s0 Total Income|1005.00"]);
    let new = data(&["h0 Income", "l1 Sales|1200.00", "l1 Gifts|7.00", "s0 Total Income|1207.00"]);
    assert_eq!(
        summary(&old, &new),
        "1 line changed: Sales 1,000.00 → 1,200.00. 1 line added: Gifts 7.00. 1 line gone: Tips 5.00. 1 total changed"
    );
    assert_eq!(summary(&old, &old), "only headings or notes changed");
}

#[test]
fn a_total_that_moves_alone_is_named() {
    let old = data(&["l0 Sales|1.00", "t0 Net Profit|1.00"]);
    let new = data(&["l0 Sales|1.0", "t0 Net Profit|2.00"]);
    assert_eq!(summary(&old, &new), "1 total changed: Net Profit 1.00 → 2.00");
}

#[test]
fn a_renamed_account_is_one_line_and_two_columns_are_named() {
    let mut old = table("", &["", "Debit", "Credit"], &["l0 Sales|1.00|2.00"]);
    let mut new = table("", &["", "Debit", "Credit"], &["l0 Turnover||3.00"]);
    for table in [&mut old, &mut new] {
        table.rows[0].account = Some("acc-1".into());
    }
    assert_eq!(
        summary(&StatementData::Table(old), &StatementData::Table(new)),
        "1 line changed: Turnover name Sales → Turnover, Debit 1.00 → nothing, Credit 2.00 → 3.00"
    );
}

#[test]
fn register_lines_are_matched_by_id() {
    let Body::Register(old) = samples::register(12, false).body else { panic!() };
    let mut new = old.clone();
    new.lines[0].amount = "-400.00".parse().unwrap();
    new.lines.remove(3);
    new.lines.reverse();
    assert_eq!(
        summary(&StatementData::Register(old), &StatementData::Register(new)),
        "1 line changed: 2026-10-01 Kauri Roasters Ltd amount -412.50 → -400.00. \
         1 line gone: 2026-10-01 Ångström & Søn ApS -1,250.00"
    );
}

#[test]
fn many_changes_are_counted() {
    let rows = |amount: &str| -> Vec<String> { (0..9).map(|n| format!("l0 Line {n}|{amount}")).collect() };
    let (old, new) = (rows("1.00"), rows("2.00"));
    let as_data = |rows: &[String]| data(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let text = summary(&as_data(&old), &as_data(&new));
    assert!(text.starts_with("9 lines changed: Line 0 1.00 → 2.00; ") && text.ends_with(" and 4 more"), "{text}");
}

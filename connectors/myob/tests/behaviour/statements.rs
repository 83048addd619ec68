use ledgerward_contract::{
    Basis, Cell, Cursor, Decimal, ErrorKind, RegisterSource, RowKind, StatementData, StatementKind, StatementRequest,
};
use ledgerward_kit::testing::october;
use serde_json::json;

use crate::common::{LARK, SCOPES, account, lark, world};

fn money(cell: &Cell) -> Decimal {
    match cell {
        Cell::Money(m) => *m,
        Cell::Empty => Decimal::ZERO,
        Cell::Text(t) => panic!("{t}"),
    }
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn reports_are_what_myob_gave_and_nothing_more() {
    let w = lark();
    let StatementData::Table(pl) = w.fetched(LARK, &october(StatementKind::ProfitAndLoss)).await.unwrap() else {
        panic!()
    };
    assert!(pl.derived.is_none() && pl.rows.iter().all(|r| r.kind == RowKind::Line && r.account.is_some()));
    let line = |name: &str| pl.rows.iter().find(|r| r.cells[1] == Cell::Text(name.to_owned()));
    assert_eq!(line("Rent").unwrap().cells[2], Cell::Money(dec("1800.00")));
    assert_eq!(line("Bank fees").unwrap().cells[2], Cell::Money(dec("12.5")));
    let StatementData::Table(bs) = w.fetched(LARK, &october(StatementKind::BalanceSheet)).await.unwrap() else {
        panic!()
    };
    assert!(bs.rows.iter().any(|r| r.cells[0] == Cell::Text("3-9000".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn cash_and_accrual_are_asked_for_by_name() {
    let w = lark();
    let september = |basis| {
        let mut what = StatementRequest { basis, ..october(StatementKind::ProfitAndLoss) };
        (what.period.start, what.period.end) = ("2026-09-01".parse().unwrap(), "2026-09-30".parse().unwrap());
        what
    };
    let mut sales = Vec::new();
    for basis in [Basis::Accrual, Basis::Cash] {
        let StatementData::Table(t) = w.fetched(LARK, &september(basis)).await.unwrap() else { panic!() };
        let row = t.rows.iter().find(|r| r.cells[0] == Cell::Text("4-1000".to_owned())).unwrap();
        sales.push(money(&row.cells[2]));
    }
    assert_eq!(sales[0] - sales[1], dec("2300"));
}

#[tokio::test(start_paused = true)]
async fn the_trial_balance_is_labelled_as_derived_and_balances() {
    let w = lark();
    let what = october(StatementKind::TrialBalance);
    let StatementData::Table(tb) = w.fetched(LARK, &what).await.unwrap() else { panic!() };
    let label = tb.derived.clone().unwrap();
    assert!(label.starts_with("Derived, not a report of MYOB") && label.contains("2026-10-31"), "{label}");
    let lines: Vec<_> = tb.rows.iter().filter(|r| r.kind == RowKind::Line).collect();
    let sum = |column: usize| lines.iter().map(|r| money(&r.cells[column])).sum::<Decimal>();
    assert_eq!(sum(2), sum(3));
    let total = tb.rows.last().unwrap();
    assert_eq!((money(&total.cells[2]), money(&total.cells[3])), (sum(2), sum(3)));
    // The period's result is the one of the profit and loss, worked out by hand from its lines.
    let StatementData::Table(pl) = w.fetched(LARK, &october(StatementKind::ProfitAndLoss)).await.unwrap() else {
        panic!()
    };
    let sign = |r: &ledgerward_contract::Row| match &r.cells[0] {
        Cell::Text(n) if n.starts_with('4') || n.starts_with('8') => Decimal::ONE,
        _ => Decimal::NEGATIVE_ONE,
    };
    let result: Decimal = pl.rows.iter().map(|r| sign(r) * money(&r.cells[2])).sum();
    let line = lines.iter().find(|r| r.account.is_none()).unwrap();
    assert_eq!(money(&line.cells[2]) - money(&line.cells[3]), result);
    // A header holds no postings and would count everything twice.
    assert!(!lines.iter().any(|r| r.cells[0] == Cell::Text("1-0000".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_trial_balance_that_does_not_balance_is_not_given_out() {
    use ledgerward_contract::{LedgerId, Period};
    use ledgerward_myob::map::{self, Report, Span};
    let ledger = LedgerId::from(LARK);
    let period: Period = october(StatementKind::TrialBalance).period;
    let (a, b) = ("7d0a0000-0000-4000-8000-000000000001", "7d0a0000-0000-4000-8000-000000000002");
    let chart: Vec<map::Account> = [(a, "Asset"), (b, "Equity")]
        .map(|(id, c)| serde_json::from_value(json!({"UID": id, "Name": c, "Classification": c})).unwrap())
        .into();
    let row =
        |id: &str, total: f64| json!({"AccountTotal": total, "Account": {"UID": id, "Name": "n", "DisplayID": "1"}});
    let read = |rows: Vec<serde_json::Value>| {
        let body = json!({"AsOfDate": "2026-10-31T00:00:00", "YearEndAdjust": false, "AccountsBreakdown": rows});
        Report::read(&ledger, Span::AsAt(period), Basis::Accrual, body.to_string().as_bytes()).unwrap()
    };
    let none = json!({"StartDate": "2026-10-01T00:00:00", "EndDate": "2026-10-31T00:00:00.000", "YearEndAdjust": false,
        "ReportingBasis": "Accrual", "AccountsBreakdown": []});
    let none = Report::read(&ledger, Span::Over(period), Basis::Accrual, none.to_string().as_bytes()).unwrap();
    let derive = |rows| map::trial_balance(&read(rows), &none, &map::accounts(&chart), &period);
    assert!(derive(vec![row(a, 10.5), row(b, 10.5)]).is_ok());
    // As a file would look whose liabilities and equity came with the sign of a credit.
    assert_eq!(derive(vec![row(a, 10.5), row(b, -10.5)]).unwrap_err().kind, ErrorKind::Contract);
    let stranger = "7d0a0000-0000-4000-8000-000000000009";
    assert_eq!(derive(vec![row(stranger, 0.0)]).unwrap_err().kind, ErrorKind::Contract);
    assert_eq!(derive(vec![]).unwrap().rows.len(), 1);
}

/// P07: an amount that no books hold is an answer that we do not know, and no end of the program.
#[tokio::test(start_paused = true)]
async fn an_amount_beyond_all_sums_is_no_answer() {
    use ledgerward_contract::{LedgerId, Period};
    use ledgerward_myob::map::{self, Report, Span};
    let ledger = LedgerId::from(LARK);
    let period: Period = october(StatementKind::TrialBalance).period;
    let ids = ["7d0a0000-0000-4000-8000-000000000001", "7d0a0000-0000-4000-8000-000000000002"];
    let chart: Vec<map::Account> = ids
        .map(|id| serde_json::from_value(json!({"UID": id, "Name": "n", "Classification": "Asset"})).unwrap())
        .into();
    let read = |totals: &[&str], span: Span| {
        let row = |(id, total)| json!({"AccountTotal": total, "Account": {"UID": id, "Name": "n", "DisplayID": "1"}});
        let rows: Vec<_> = ids.iter().zip(totals).map(row).collect();
        let body = json!({"AsOfDate": "2026-10-31T00:00:00", "StartDate": "2026-10-01T00:00:00",
            "EndDate": "2026-10-31T00:00:00", "ReportingBasis": "Accrual", "YearEndAdjust": false, "AccountsBreakdown": rows});
        Report::read(&ledger, span, Basis::Accrual, body.to_string().as_bytes())
    };
    let none = read(&[], Span::Over(period)).unwrap();
    let derived = |totals: &[&str]| {
        read(totals, Span::AsAt(period)).and_then(|r| map::trial_balance(&r, &none, &map::accounts(&chart), &period))
    };
    for total in ["79228162514264337593543950335", "7e28", "-79228162514264337593543950335"] {
        assert_eq!(derived(&[total, total]).unwrap_err().kind, ErrorKind::Contract, "{total}");
    }
    assert!(derived(&["1000000000000.00", "-1000000000000.00"]).is_ok());
}

#[tokio::test(start_paused = true)]
async fn bank_feed_lines_are_a_bank_statement_without_a_single_invented_balance() {
    let w = lark();
    let account = Some(account(&w, "1-1110").await);
    let what = StatementRequest { account, ..october(StatementKind::BankStatement) };
    let StatementData::Register(r) = w.fetched(LARK, &what).await.unwrap() else { panic!() };
    assert_eq!(r.source, RegisterSource::Bank { imported: "feed".to_owned() });
    assert_eq!((r.opening, r.closing), (None, None));
    assert!(r.lines.iter().all(|l| l.balance.is_none()));
    assert_eq!(r.account_number.as_deref(), Some("063-000 1011110"));
    assert_eq!(r.lines.len(), 8);
    let rent = r.lines.iter().find(|l| l.description.contains("RENT")).unwrap();
    assert_eq!((rent.amount, rent.kind.as_str()), (dec("-1800.00"), "Withdrawal"));
    assert!(r.lines.iter().find(|l| l.description == "CARD TAKINGS").unwrap().amount > Decimal::ZERO);
    assert_eq!(r.lines.iter().filter(|l| l.kind.ends_with("(hidden)")).count(), 1);
    assert!(r.notes.iter().any(|n| n.contains("1 of the lines are hidden")));
    // Three to a page, the same lines.
    w.control("set_app", json!({"page_max": 3}));
    assert_eq!(w.fetched(LARK, &what).await.unwrap(), StatementData::Register(r));
}

#[tokio::test(start_paused = true)]
async fn the_preflight_says_what_the_user_may_not_read_before_anything_is_read() {
    let w = lark();
    let denied = json!({"file": LARK, "user": "ana@harbour.example", "set": {"no_access": ["Banking/Statement"]}});
    let account = Some(account(&w, "1-1110").await);
    w.control("set_user", denied);
    let what = StatementRequest { account, ..october(StatementKind::BankStatement) };
    let e = w.fetched(LARK, &what).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Unsupported, Some(LARK)));
    assert!(e.message.contains("Banking/Statement"), "{e}");
    assert_eq!(w.asked("{id}/Banking/Statement"), 0);
    assert!(w.fetched(LARK, &october(StatementKind::ProfitAndLoss)).await.is_ok());
    let e = w.fetched(LARK, &october(StatementKind::BankRegister)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_times_out_at_myob_is_tried_again_later_and_says_so() {
    let w = world(json!({}), LARK, SCOPES);
    w.control("set_outage", json!({"kind": 504, "path": "/Report/"}));
    let what = october(StatementKind::ProfitAndLoss);
    let source = w.connector.statements().unwrap();
    let list = source.statements(&w.read(), &LARK.into(), &what, Cursor::Start).await.unwrap();
    let e = source.fetch(&w.read(), &list.items[0]).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable);
    let sent = w.wire.inner.requests();
    assert!(sent.iter().all(|r| r.header("x-myobapi-version") == Some("v2")));
}

#[test]
fn n14_a_line_that_was_not_asked_for_or_contradicts_itself_spoils_the_statement() {
    use ledgerward_contract::LedgerId;
    use ledgerward_myob::map::{self, Line};
    let (ledger, period) = (LedgerId::from(LARK), october(StatementKind::BankStatement).period);
    let (ours, other) = ("7d0a0000-0000-4000-8000-000000000001", "7d0a0000-0000-4000-8000-000000000002");
    let account = json!({"UID": ours, "Name": "Cheque", "Classification": "Asset",
        "BankingDetails": {"BSBNumber": "063-000", "BankAccountNumber": 10111101}});
    let account = serde_json::from_value(account).unwrap();
    let row = |patch: serde_json::Value| {
        let mut row = json!({"UID": other, "Date": "2026-10-31 13:33:02", "StatementDate": "2026-11-02T00:00:00",
            "Amount": "12.30", "IsCredit": true, "Account": {"UID": ours, "Name": "Cheque", "DisplayID": "1-1110"}});
        row.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        serde_json::from_value::<Line>(row)
    };
    let read = |patch| map::register(&ledger, &account, &period, &[row(patch).unwrap()]);
    let fine = read(json!({})).unwrap();
    assert_eq!((fine.lines[0].amount, fine.account_number.as_deref()), (dec("12.30"), Some("063-000 10111101")));
    // A withdrawal is money out, with whichever sign it comes.
    assert_eq!(read(json!({"IsCredit": false})).unwrap().lines[0].amount, dec("-12.30"));
    assert_eq!(read(json!({"IsCredit": false, "Amount": -12.3})).unwrap().lines[0].amount, dec("-12.3"));
    for wrong in [
        json!({"Amount": -12.3}),
        json!({"Date": "2026-11-01T00:00:00"}),
        json!({"Account": {"UID": other, "Name": "Savings", "DisplayID": "1-1120"}}),
        json!({"Account": {"UID": ours, "Name": "Cheque", "DisplayID": "1-1110",
            "URI": format!("https://api.myob.com/accountright/{other}/GeneralLedger/Account/{ours}")}}),
    ] {
        assert_eq!(read(wrong.clone()).unwrap_err().kind, ErrorKind::Contract, "{wrong}");
    }
    for unreadable in [json!({"Date": "2026-10-31T00:00:00Z"}), json!({"Amount": null}), json!({"IsCredit": null})] {
        assert!(row(unreadable.clone()).is_err(), "{unreadable}");
    }
}

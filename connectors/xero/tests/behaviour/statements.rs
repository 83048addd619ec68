//! Reports, registers and documents, over the fake's books.

use ledgerward_contract::{
    AccountId, AccountKind, Basis, Cell, Cursor, Decimal, ErrorKind, LedgerId, Register, RegisterSource, ReportTable,
    RowKind, StatementData, StatementKind, StatementRequest,
};
use ledgerward_kit::testing::{World, month, october};
use ledgerward_xero::fake::Fake;
use serde_json::{Value, json};

use crate::common::{ACME, BIRCH, SCOPES, sample, world};

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

async fn table(w: &World, ledger: &str, what: &StatementRequest) -> ReportTable {
    match w.fetched(ledger, what).await.unwrap() {
        StatementData::Table(t) => t,
        other => panic!("{other:?}"),
    }
}

/// The figure in a column of the row that begins with this label.
fn figure(t: &ReportTable, label: &str, column: usize) -> Decimal {
    let row = t.rows.iter().find(|r| r.cells[0] == Cell::Text(label.to_owned()));
    match row.unwrap_or_else(|| panic!("no row {label} in {t:#?}")).cells[column] {
        Cell::Money(d) => d,
        Cell::Empty => Decimal::ZERO,
        Cell::Text(_) => panic!("{label} is text"),
    }
}

/// Every subtotal is the sum of the lines since its heading.
fn sums_hold(t: &ReportTable) {
    for column in (1..t.columns.len()).filter(|c| t.columns[*c].money) {
        let (mut sum, mut checked) = (Decimal::ZERO, 0);
        for row in &t.rows {
            let value = match row.cells[column] {
                Cell::Money(d) => d,
                _ => Decimal::ZERO,
            };
            match row.kind {
                RowKind::Heading => sum = Decimal::ZERO,
                RowKind::Line => sum += value,
                RowKind::Subtotal => {
                    assert_eq!(value, sum, "{:?} in {}", row.cells[0], t.title);
                    (sum, checked) = (Decimal::ZERO, checked + 1);
                }
                RowKind::Total => {}
            }
        }
        assert!(checked > 0 || t.title == "Trial Balance");
    }
}

async fn bank(w: &World, ledger: &str, code: &str) -> AccountId {
    let page = w.connector.statements().unwrap().accounts(&w.read(), &ledger.into(), Cursor::Start).await.unwrap();
    page.items.into_iter().find(|a| a.code.as_deref() == Some(code)).unwrap().id
}

async fn register(w: &World, kind: StatementKind, code: &str) -> Register {
    let account = Some(bank(w, ACME, code).await);
    match w.fetched(ACME, &StatementRequest { account, ..october(kind) }).await.unwrap() {
        StatementData::Register(r) => r,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_reports_agree_with_each_other() {
    let w = sample(json!({}));
    for ledger in [ACME, BIRCH] {
        for basis in [Basis::Accrual, Basis::Cash] {
            let ask = |kind| StatementRequest { basis, ..october(kind) };
            let profit = table(&w, ledger, &ask(StatementKind::ProfitAndLoss)).await;
            let sheet = table(&w, ledger, &ask(StatementKind::BalanceSheet)).await;
            let trial = table(&w, ledger, &ask(StatementKind::TrialBalance)).await;
            let summary = table(&w, ledger, &ask(StatementKind::BankSummary)).await;
            [&profit, &sheet, &trial, &summary].into_iter().for_each(sums_hold);
            let net = figure(&profit, "Net Profit", 1);
            let costs = figure(&profit, "Total Operating Expenses", 1);
            assert_eq!(net, figure(&profit, "Gross Profit", 1) - costs);
            for column in [1, 2] {
                let net_assets = figure(&sheet, "Net Assets", column);
                assert_eq!(net_assets, figure(&sheet, "Total Equity", column));
            }
            assert_eq!(figure(&trial, "Total", 1), figure(&trial, "Total", 2));
            assert_eq!(figure(&trial, "Total", 3), figure(&trial, "Total", 4));
            assert_eq!(figure(&summary, "Total", 4), figure(&sheet, "Total Bank", 1));
            assert_eq!(profit.rows.iter().filter(|r| r.kind == RowKind::Total).count(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_says_whose_it_is_and_cash_differs_from_accrual() {
    let w = sample(json!({}));
    let ask = |basis| StatementRequest {
        basis,
        period: month("2026-04-01", "2026-12-31"),
        ..october(StatementKind::ProfitAndLoss)
    };
    let accrual = table(&w, ACME, &ask(Basis::Accrual)).await;
    let cash = table(&w, ACME, &ask(Basis::Cash)).await;
    assert_eq!(accrual.organisation.as_deref(), Some("Acme Ltd"));
    // The bill that nobody paid.
    let differ = figure(&cash, "Net Profit", 1) - figure(&accrual, "Net Profit", 1);
    assert_eq!(differ, dec("150.00"));
    assert!(!accrual.columns[0].money && accrual.columns[1].money);
}

#[tokio::test(start_paused = true)]
async fn a_year_is_the_longest_profit_and_loss() {
    let w = sample(json!({}));
    let ask = |a, b| StatementRequest { period: month(a, b), ..october(StatementKind::ProfitAndLoss) };
    assert!(w.fetched(ACME, &ask("2027-03-01", "2028-02-29")).await.is_ok());
    let e = w.fetched(ACME, &ask("2025-04-01", "2026-10-31")).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn bank_accounts_are_the_banks_only() {
    let w = sample(json!({}));
    let source = w.connector.statements().unwrap();
    let page = source.accounts(&w.read(), &ACME.into(), Cursor::Start).await.unwrap();
    let seen: Vec<_> = page.items.iter().map(|a| (a.name.as_str(), a.kind, a.active)).collect();
    assert_eq!(
        seen,
        [
            ("Main cheque", AccountKind::Bank, true),
            ("Savings", AccountKind::Bank, true),
            ("Company card", AccountKind::CreditCard, true),
            ("Old cheque", AccountKind::Bank, false),
        ]
    );
    assert_eq!(page.items[0].number.as_deref(), Some("12-3141-0590592-00"));
}

/// A firm whose vendor gives pages of three.
fn paged() -> World {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    seed["app"]["page_max"] = json!(3);
    world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES)
}

#[tokio::test(start_paused = true)]
async fn a_register_is_complete_over_pages_and_says_what_it_is_not() {
    let (w, whole) = (paged(), sample(json!({})));
    let r = register(&w, StatementKind::BankRegister, "090").await;
    assert_eq!(r, register(&whole, StatementKind::BankRegister, "090").await);
    assert!(w.wire.inner.requests().iter().any(|q| q.query("page") == Some("3")));
    assert_eq!(r.source, RegisterSource::Books);
    assert_eq!((r.opening, r.closing), (None, None));
    assert!(r.notes[0].contains("Payments") && r.notes[0].contains("transfers"));
    assert!(r.lines.is_sorted_by_key(|l| l.date));
    let has = |payee: &str| r.lines.iter().find(|l| l.payee == payee);
    assert_eq!(has("Desk Makers").unwrap().amount, dec("-1249.99"));
    assert!(has("Desk Makers").unwrap().has_documents);
    assert_eq!(has("=cmd()").unwrap().amount, dec("300.20"));
    assert_eq!(has("=cmd()").unwrap().reconciled, Some(false));
    assert!(has("Typo").is_none(), "a deleted transaction counts");
    assert_eq!(r.lines.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn p12_without_counts_only_an_empty_page_ends_a_register() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    seed["app"]["page_max"] = json!(3);
    seed["app"]["pagination"] = json!(false);
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    let r = register(&w, StatementKind::BankRegister, "090").await;
    assert_eq!(r.lines.len(), 8);
    // A server that overlooks the page number is not asked a thousand times.
    w.control("set_outage", json!({"kind": "repeat_page", "path": "/api.xro/2.0/BankTransactions"}));
    let before = w.wire.inner.requests().len();
    let account = Some(r.account);
    let e = w.fetched(ACME, &StatementRequest { account, ..october(StatementKind::BankRegister) }).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    assert!(w.wire.inner.requests().len() - before <= 3);
}

#[tokio::test(start_paused = true)]
async fn p03_a_register_whose_second_page_fails_is_no_register() {
    for kind in [json!(500), json!("cut"), json!("empty"), json!("html"), json!("empty_list"), json!("repeat_page")] {
        let w = paged();
        let account = Some(bank(&w, ACME, "090").await);
        w.control("set_outage", json!({"kind": kind, "path": "/api.xro/2.0/BankTransactions", "skip": 1}));
        let what = StatementRequest { account, ..october(StatementKind::BankRegister) };
        let e = w.fetched(ACME, &what).await.unwrap_err();
        assert!(matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable), "{kind}: {e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p13_a_transaction_posted_between_pages_discards_the_register() {
    let w = paged();
    let account = Some(bank(&w, ACME, "090").await);
    let what = StatementRequest { account, ..october(StatementKind::BankRegister) };
    // The page count of the first page is not that of the second: the vendor moved the list under us.
    w.control("set_outage", json!({"kind": "slow", "seconds": 60, "path": "/api.xro/2.0/BankTransactions"}));
    let post = async {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        w.control(
            "post_transaction",
            json!({"tenant": ACME, "transaction": {"date": "2026-10-22", "type": "SPEND",
            "bank": "090", "account": "429", "amount": "9.99", "contact": "Late"}}),
        );
    };
    let (read, ()) = tokio::join!(w.fetched(ACME, &what), post);
    assert_eq!(read.unwrap_err().kind, ErrorKind::Contract);
    w.control("clear_outages", json!({}));
    assert!(w.fetched(ACME, &what).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn statement_lines_are_never_silently_replaced() {
    let w = sample(json!({}));
    let account = Some(bank(&w, ACME, "090").await);
    let what = StatementRequest { account, ..october(StatementKind::BankStatement) };
    let e = w.listed(ACME, &what).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    assert!(e.message.contains("Finance API scope") && e.next.is_some());
    // Configured, but not granted.
    let scopes = SCOPES.replace("finance.bankstatementsplus.read", "");
    let w = world(Fake::sample().unwrap(), json!({"statement_lines": true}), &scopes);
    let e = w.fetched(ACME, &what).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    // A tenant that is not connected is about the tenant.
    w.control("disconnect_tenant", json!({"tenant": ACME}));
    let e = w.fetched(ACME, &what).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(ACME)));
}

#[tokio::test(start_paused = true)]
async fn a_bank_statement_has_the_banks_lines_and_only_supplied_balances() {
    let w = sample(json!({"statement_lines": true}));
    let r = register(&w, StatementKind::BankStatement, "090").await;
    assert_eq!(r.source, RegisterSource::Bank { imported: "ANZFEED".to_owned() });
    // Payments and transfers touch the bank too; the duplicate and the deleted line do not count.
    assert_eq!(r.lines.len(), 10);
    assert!(r.notes.iter().any(|n| n.contains("2 lines")));
    let moved: Decimal = r.lines.iter().map(|l| l.amount).sum();
    assert_eq!(r.closing.unwrap(), r.opening.unwrap() + moved);
    let summary = table(&w, ACME, &october(StatementKind::BankSummary)).await;
    assert_eq!(r.closing.unwrap(), figure(&summary, "Main cheque", 4));
    assert_eq!(r.account_number.as_deref(), Some("12-3141-0590592-00"));

    // Uploaded by hand: the bank supplied no balance, and 0 is not one.
    let r = register(&w, StatementKind::BankStatement, "091").await;
    assert_eq!((r.opening, r.closing), (None, None));
    assert_eq!(r.lines.iter().map(|l| l.amount).sum::<Decimal>(), dec("500.10"));
    assert!(r.notes.iter().any(|n| n.contains("no closing balance")));
    // No feed at all.
    assert_eq!(register(&w, StatementKind::BankStatement, "092").await.lines, []);
}

#[tokio::test(start_paused = true)]
async fn attachments_of_the_period_come_byte_for_byte() {
    let w = sample(json!({}));
    let list = w.listed(ACME, &october(StatementKind::Attachments)).await.unwrap();
    let mut names: Vec<_> = list.iter().map(|r| r.item.as_ref().unwrap().name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["../../etc/receipt 2201.pdf", "invoice 4471.pdf", "photo \u{2615}.jpg"]);
    for r in &list {
        let item = r.item.as_ref().unwrap();
        assert!(item.account.is_some());
        let data = w.connector.statements().unwrap().fetch(&w.read(), r).await.unwrap();
        let StatementData::Document(d) = data else { panic!("{data:?}") };
        assert_eq!((Some(d.bytes.len() as u64), &d.name), (item.size, &item.name));
        assert!(item.name.ends_with("jpg") || d.bytes.starts_with(b"%PDF-"));
    }
    let november =
        StatementRequest { period: month("2026-11-01", "2026-11-30"), ..october(StatementKind::Attachments) };
    assert_eq!(w.listed(ACME, &november).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn n13_a_document_of_another_length_is_refused() {
    for kind in ["cut", "blank", "html"] {
        let w = sample(json!({}));
        let list = w.listed(ACME, &october(StatementKind::Attachments)).await.unwrap();
        w.control("set_outage", json!({"kind": kind, "path": "/api.xro/2.0/BankTransactions/"}));
        let e = w.connector.statements().unwrap().fetch(&w.read(), &list[0]).await.unwrap_err();
        assert!(matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable), "{e:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_of_the_period_over_pages() {
    let mut seed: Value = serde_json::from_str(include_str!("../../../../fixtures/xero/firm.json")).unwrap();
    let files = (0..230).map(|n| {
        json!({"name": format!("scan {n}.pdf"), "size": 1 + n,
        "created": format!("2026-{:02}-{:02}T10:00:00Z", 9 + n % 2, 1 + n % 28)})
    });
    seed["organisations"][0]["files"] = files.collect();
    let w = world(Fake::from_seed(&seed).unwrap(), json!({}), SCOPES);
    let list = w.listed(ACME, &october(StatementKind::Files)).await.unwrap();
    assert_eq!(list.len(), 115);
    let data = w.connector.statements().unwrap().fetch(&w.read(), &list[7]).await.unwrap();
    let StatementData::Document(d) = data else { panic!("{data:?}") };
    assert_eq!(Some(d.bytes.len() as u64), list[7].item.as_ref().unwrap().size);
    // P03, P12: a later page that fails, is empty or comes again is no list.
    for kind in [json!(500), json!("empty_list"), json!("repeat_page"), json!("cut")] {
        w.control("clear_outages", json!({}));
        w.control("set_outage", json!({"kind": kind, "path": "/files.xro/", "skip": 1}));
        let before = w.wire.inner.requests().len();
        assert!(w.listed(ACME, &october(StatementKind::Files)).await.is_err(), "{kind}");
        assert_eq!(w.wire.inner.requests().len() - before, 2, "{kind}: the first bad page ends it");
    }
}

#[tokio::test(start_paused = true)]
async fn n14_a_swapped_answer_is_seen() {
    let w = sample(json!({}));
    let account = bank(&w, ACME, "090").await;
    w.control("swap_tenants", json!({"a": ACME, "b": BIRCH}));
    let ledger = LedgerId::from(ACME);
    let profile = w.connector.ledgers().unwrap().profile(&w.read(), &ledger).await;
    assert_eq!(profile.unwrap_err().kind, ErrorKind::Contract);
    let report = table(&w, ACME, &october(StatementKind::ProfitAndLoss)).await;
    assert_eq!(report.organisation.as_deref(), Some("Birch LLP"), "the caller compares it with the ledger's name");
    let what = StatementRequest { account: Some(account), ..october(StatementKind::BankRegister) };
    assert!(w.fetched(ACME, &what).await.is_err());
}

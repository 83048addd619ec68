//! Reports, registers and documents.

use ledgerward_contract::{
    AccountKind, Basis, Cell, Decimal, ErrorKind, Register, ReportTable, Row, RowKind, StatementData, StatementKind,
    StatementRequest,
};
use ledgerward_kit::testing::{month, october};
use ledgerward_quickbooks::fake::Fake;
use serde_json::{Value, json};

use crate::common::{ACME, BIRCH, QUIET, fetched, listed, register, sample, world};

fn table(data: StatementData) -> ReportTable {
    let StatementData::Table(table) = data else { panic!("no table") };
    table
}

fn book(data: StatementData) -> Register {
    let StatementData::Register(register) = data else { panic!("no register") };
    register
}

fn money(row: &Row, column: usize) -> Decimal {
    match &row.cells[column] {
        Cell::Money(m) => *m,
        Cell::Empty => Decimal::ZERO,
        Cell::Text(t) => panic!("{t}"),
    }
}

fn total(table: &ReportTable, label: &str) -> Decimal {
    let row = table.rows.iter().rev().find(|r| r.cells[0] == Cell::Text(label.to_owned())).unwrap();
    money(row, 1)
}

#[tokio::test(start_paused = true)]
async fn reports_agree_with_each_other_on_both_bases() {
    let w = sample(ACME, json!({}));
    for basis in [Basis::Accrual, Basis::Cash] {
        let ask = |kind| StatementRequest { basis, ..october(kind) };
        let pl = table(fetched(&w, &ask(StatementKind::ProfitAndLoss)).await.unwrap());
        // By hand: two takings, the sales receipt, the interest; the October bill counts on accrual alone, the payment of
        // September's invoice on cash alone.
        let income = Decimal::from(8400) + "337.60".parse::<Decimal>().unwrap();
        let costs = "6089.39".parse::<Decimal>().unwrap();
        let (income, costs) = match basis {
            Basis::Accrual => (income, costs + Decimal::from(150)),
            Basis::Cash => (income + Decimal::from(2300), costs),
        };
        assert_eq!(total(&pl, "Total Income"), income);
        assert_eq!(total(&pl, "Net Income"), income - costs);
        assert_eq!((pl.title.as_str(), pl.currency.as_deref()), ("Profit and loss", Some("USD")));
        assert_eq!((pl.columns.len(), pl.columns[0].money, pl.columns[1].money), (2, false, true));
        let sheet = table(fetched(&w, &ask(StatementKind::BalanceSheet)).await.unwrap());
        assert_eq!(total(&sheet, "TOTAL ASSETS"), total(&sheet, "TOTAL LIABILITIES AND EQUITY"));
        let trial = table(fetched(&w, &ask(StatementKind::TrialBalance)).await.unwrap());
        let last = trial.rows.last().unwrap();
        assert_eq!(last.kind, RowKind::Total);
        assert_eq!(money(last, 1), money(last, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_company_without_books_has_an_empty_report() {
    let w = sample(QUIET, json!({}));
    let pl = table(fetched(&w, &october(StatementKind::ProfitAndLoss)).await.unwrap());
    assert!(pl.rows.iter().all(|r| money(r, 1).is_zero()));
    let empty = book(fetched(&w, &register("35")).await.unwrap());
    assert_eq!((empty.opening, empty.closing, empty.lines.len()), (None, None, 0));
    assert!(listed(&w, &october(StatementKind::Attachments)).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn bank_accounts_are_those_that_hold_money_open_or_closed() {
    let w = sample(ACME, json!({}));
    let list = w.accounts(ACME).await.unwrap();
    let shown: Vec<_> = list.iter().map(|a| (a.id.as_str(), a.name.as_str(), a.kind, a.active)).collect();
    assert_eq!(
        shown,
        [
            ("35", "Checking", AccountKind::Bank, true),
            ("36", "Checking:Savings", AccountKind::Bank, true),
            ("37", "Old Checking", AccountKind::Bank, false),
            ("41", "Mastercard", AccountKind::CreditCard, true),
        ]
    );
    assert_eq!((list[0].code.as_deref(), list[0].currency.as_deref()), (Some("1000"), Some("USD")));
}

#[tokio::test(start_paused = true)]
async fn a_register_leads_from_balance_to_balance() {
    let w = sample(ACME, json!({}));
    let checking = book(fetched(&w, &register("35")).await.unwrap());
    let moved: Decimal = checking.lines.iter().map(|l| l.amount).sum();
    assert_eq!(checking.opening.unwrap() + moved, checking.closing.unwrap());
    assert_eq!(checking.lines.len(), 9);
    let desk = checking.lines.iter().find(|l| l.payee == "Desk Makers").unwrap();
    assert_eq!((desk.amount.to_string().as_str(), desk.reference.as_str()), ("-1249.99", "4471"));
    assert_eq!((desk.kind.as_str(), desk.description.as_str()), ("Expense", "Standing desk"));
    let transfer = checking.lines.iter().find(|l| l.kind == "Transfer").unwrap();
    assert_eq!((transfer.amount, transfer.description.as_str()), (Decimal::from(-500), "Savings"));
    assert!(checking.notes[0].contains("not the bank's statement"));
    // A sub-account stands below a parent without id.
    let savings = book(fetched(&w, &register("36")).await.unwrap());
    assert_eq!((savings.account_name.as_str(), savings.lines.len()), ("Checking:Savings", 2));
    // A charge is money out, and the balance is what is owed.
    let card = book(fetched(&w, &register("41")).await.unwrap());
    assert_eq!(card.lines[0].amount.to_string(), "-86.90");
    assert_eq!(card.closing.unwrap().to_string(), "-86.90");
    assert!(fetched(&w, &register("1")).await.is_err(), "an income account is no bank account");
}

/// Such a company leaves the usual columns out.
#[tokio::test(start_paused = true)]
async fn a_company_with_several_currencies_has_registers_of_its_own_currency() {
    let sale = json!({"date": "2026-10-02", "type": "Deposit", "debit": "35", "credit": "1", "amount": "610.00"});
    let account = |id: &str, kind: &str, more: Value| {
        let mut account = json!({"id": id, "name": format!("Account {id}"), "type": kind});
        account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        account
    };
    let accounts = json!([
        account("35", "Bank", json!({})),
        account("37", "Bank", json!({"currency": "EUR"})),
        account("1", "Income", json!({}))
    ]);
    let company = |currencies: bool| json!({"realm": ACME, "name": "Acme Ltd", "currencies": currencies, "accounts": accounts, "transactions": [sale]});
    for currencies in [false, true] {
        let seed = json!({"app": {"client_id": "a", "client_secret": "b"}, "companies": [company(currencies)]});
        let w = world(Fake::from_seed(&seed).unwrap(), ACME, json!({}));
        let own = book(fetched(&w, &register("35")).await.unwrap());
        assert_eq!((own.lines.len(), own.currency.as_deref()), (1, Some("USD")), "{currencies}");
        assert_eq!(own.closing.unwrap().to_string(), "610.00");
        let other = fetched(&w, &register("37")).await;
        assert_eq!(other.err().map(|e| e.kind), currencies.then_some(ErrorKind::Unsupported));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_register_is_read_in_parts_of_six_months_and_joins() {
    let w = sample(BIRCH, json!({}));
    let long = StatementRequest { period: month("2025-04-15", "2026-10-31"), ..register("35") };
    let one = book(fetched(&w, &long).await.unwrap());
    let spans: Vec<_> = w
        .wire
        .inner
        .requests()
        .iter()
        .filter(|r| r.path.ends_with("GeneralLedger"))
        .map(|r| format!("{} {}", r.query("start_date").unwrap(), r.query("end_date").unwrap()))
        .collect();
    let expected = ["2025-04-15 2025-10-14", "2025-10-15 2026-04-14", "2026-04-15 2026-10-14", "2026-10-15 2026-10-31"];
    assert_eq!(spans, expected);
    let moved: Decimal = one.lines.iter().map(|l| l.amount).sum();
    assert_eq!(one.opening.unwrap() + moved, one.closing.unwrap());
    let mut ids: Vec<_> = one.lines.iter().map(|l| &l.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), one.lines.len());
    assert!(one.lines.is_sorted_by_key(|l| l.date));
    // The register of the whole is that of its months.
    let month = book(fetched(&w, &register("35")).await.unwrap());
    assert_eq!(&one.lines[one.lines.len() - month.lines.len()..], month.lines);
}

#[tokio::test(start_paused = true)]
async fn p13_books_that_change_between_two_parts_are_no_register() {
    let w = sample(BIRCH, json!({}));
    let long = StatementRequest { period: month("2025-04-01", "2026-03-31"), ..register("35") };
    let list = listed(&w, &long).await.unwrap();
    let change = async {
        // Between the answers for the first and the second half.
        tokio::time::sleep(std::time::Duration::from_millis(220)).await;
        let t = json!({"date": "2025-05-05", "type": "Expense", "debit": "15", "credit": "35", "amount": "1.00"});
        w.control("post_transaction", json!({"company": BIRCH, "transaction": t}));
    };
    let (outcome, ()) = tokio::join!(w.fetch(&list[0]), change);
    let e = outcome.unwrap_err();
    assert!(e.kind == ErrorKind::Contract && e.message.contains("changed while"), "{e}");
    assert!(w.fetch(&list[0]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn documents_go_by_the_day_of_what_they_belong_to() {
    let w = sample(ACME, json!({}));
    let names = async |kind| -> Vec<String> {
        let list = listed(&w, &october(kind)).await.unwrap();
        list.into_iter().map(|r| r.item.unwrap().name).collect()
    };
    let attached = names(StatementKind::Attachments).await;
    assert_eq!(attached, ["../../etc/receipt 2201.pdf", "photo ☕.jpg", "invoice 4471.pdf"], "notes have no bytes");
    // 05:30 UTC on 1 November is still October where the company is; a vendor's form belongs to no transaction.
    assert_eq!(names(StatementKind::Files).await, ["2026-10 bank statement.pdf", "vendor form.pdf"]);
    let list = listed(&w, &october(StatementKind::Attachments)).await.unwrap();
    let StatementData::Document(photo) = w.fetch(&list[1]).await.unwrap() else { panic!("no document") };
    assert_eq!((photo.mime.as_str(), &photo.bytes[..]), ("image/jpeg", &b"not really a photograph"[..]));
    let last = w.wire.inner.requests().pop().unwrap();
    assert!(last.path.contains("/attachments/") && last.header("authorization").is_none());
}

#[tokio::test(start_paused = true)]
async fn x03_a_short_lived_address_is_asked_for_anew_and_never_shown() {
    let w = sample(ACME, json!({}));
    let list = listed(&w, &october(StatementKind::Attachments)).await.unwrap();
    // Long after the list was read, and its addresses have ended.
    tokio::time::sleep(std::time::Duration::from_secs(3000)).await;
    assert!(w.fetch(&list[0]).await.is_ok());
    w.control("set_outage", json!({"kind": 403, "path": "/attachments/", "count": 1}));
    let e = w.fetch(&list[0]).await.unwrap_err();
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Unavailable, Some(ACME)), "says nothing about the company");
    assert!(!format!("{e:?}").contains("X-Amz"), "{e:?}");
    assert!(w.fetch(&list[0]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p12_a_thousand_and_more_documents_come_in_overlapping_pages() {
    let files: Vec<_> = (0..2_100)
        .map(|n| json!({"name": format!("{n}.pdf"), "content": "x", "created": "2026-10-10T12:00:00Z"}))
        .collect();
    let seed = json!({"app": {"client_id": "a", "client_secret": "b", "latency_ms": 150},
        "companies": [{"realm": QUIET, "name": "Quiet", "files": files}]});
    let w = world(ledgerward_quickbooks::fake::Fake::from_seed(&seed).unwrap(), QUIET, json!({}));
    assert_eq!(listed(&w, &october(StatementKind::Files)).await.unwrap().len(), 2_100);
    assert_eq!(w.wire.inner.requests().len(), 3);
    // A server that forgets the rest of the list.
    w.control("set_outage", json!({"kind": "empty_query", "skip": 1, "count": 1}));
    let e = listed(&w, &october(StatementKind::Files)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract, "{e}");
}

#[tokio::test(start_paused = true)]
async fn p09_documents_of_another_company_are_refused() {
    let w = sample(QUIET, json!({}));
    w.control("swap_companies", json!({"a": QUIET, "b": ACME}));
    for kind in [StatementKind::Files, StatementKind::Attachments] {
        let e = listed(&w, &october(kind)).await.unwrap_err();
        assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Contract, Some(QUIET)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_quickbooks_has_not_is_said() {
    let w = sample(ACME, json!({}));
    for kind in [StatementKind::BankStatement, StatementKind::BankSummary] {
        assert_eq!(listed(&w, &october(kind)).await.unwrap_err().kind, ErrorKind::Unsupported);
    }
}

//! Invented statements for the tests.

use ledgerward_contract::{
    AccountKind, Basis, Cell, Column, Register, RegisterLine, RegisterSource, ReportTable, Row, RowKind, StatementKind,
};

use super::{Body, Head, Statement, YearEnd};

pub fn head(kind: StatementKind) -> Head {
    let year_end = YearEnd::new(3, 31).unwrap();
    Head {
        firm: "Harbour & Co".to_owned(),
        letterhead: ["Chartered accountants", "12 Quay Street, Auckland 1010", "office@harbour.example"]
            .map(ToOwned::to_owned)
            .to_vec(),
        client: "Harbour Cafe".to_owned(),
        organisation: "Harbour Cafe Ltd".to_owned(),
        source: "Xero".to_owned(),
        kind,
        account: None,
        account_kind: None,
        period: year_end.parse("2026-10").unwrap(),
        period_label: "2026-10".to_owned(),
        basis: Basis::Accrual,
        currency: Some("NZD".to_owned()),
        first_read: "2026-11-05T18:30:12.345Z".parse().unwrap(),
        version: 1,
        change: None,
        notes: Vec::new(),
    }
}

pub fn cell(text: &str) -> Cell {
    match text {
        "" => Cell::Empty,
        text => text.parse().map_or_else(|_| Cell::Text(text.to_owned()), Cell::Money),
    }
}

/// `h0 Income`, `l1 Sales|100.00`, `s0 Total Income|100.00`, `t0 Net Profit|100.00`: kind, depth, cells.
pub fn table(title: &str, columns: &[&str], rows: &[&str]) -> ReportTable {
    let columns =
        columns.iter().enumerate().map(|(n, label)| Column { label: (*label).to_owned(), money: n > 0 }).collect();
    let rows = rows
        .iter()
        .map(|row| {
            let (code, cells) = row.split_once(' ').unwrap();
            let kind = match &code[..1] {
                "h" => RowKind::Heading,
                "l" => RowKind::Line,
                "s" => RowKind::Subtotal,
                "t" => RowKind::Total,
                other => panic!("{other}"),
            };
            let depth = code[1..].parse().unwrap();
            let mut given = cells.split('|');
            let label = given.next().unwrap();
            let account = (kind == RowKind::Line).then(|| label.into());
            let first = if label.is_empty() { Cell::Empty } else { Cell::Text(label.to_owned()) };
            Row { kind, depth, account, cells: std::iter::once(first).chain(given.map(cell)).collect() }
        })
        .collect();
    ReportTable {
        title: title.to_owned(),
        organisation: None,
        currency: None,
        derived: None,
        rounded: false,
        columns,
        rows,
    }
}

pub fn profit_and_loss() -> Statement {
    let body = table(
        "Profit and Loss",
        &["", "Oct 2026", "Sep 2026"],
        &[
            "h0 Trading Income",
            "l1 Sales|48210.50|45002.10",
            "l1 Catering|6120.00|7300.00",
            "s0 Total Trading Income|54330.50|52302.10",
            "h0 Cost of Sales",
            "l1 Food and drink|17004.12|16220.40",
            "l1 Packaging|912.30|870.00",
            "s0 Total Cost of Sales|17916.42|17090.40",
            "t0 Gross Profit|36414.08|35211.70",
            "h0 Other Income",
            "l1 Interest|12.40|11.90",
            "s0 Total Other Income|12.40|11.90",
            "h0 Operating Expenses",
            "l1 Advertising|450.00|450.00",
            "l1 Bank fees|38.75|41.20",
            "l1 Depreciation of furniture, fittings and the coffee machines bought under the 2025 finance lease|1210.00|1210.00",
            "l1 Rent|6500.00|6500.00",
            "l1 Repairs|-120.00|",
            "l1 Wages and salaries|21340.08|20988.60",
            "s0 Total Operating Expenses|29418.83|29189.80",
            "t0 Net Profit|7007.65|6033.80",
        ],
    );
    Statement { head: head(StatementKind::ProfitAndLoss), body: Body::Table(body) }
}

pub fn balance_sheet() -> Statement {
    let body = table(
        "Balance Sheet",
        &["", "31 Oct 2026", "30 Sep 2026", "31 Aug 2026"],
        &[
            "h0 Assets",
            "h1 Bank",
            "l2 Main cheque|18204.11|15220.90|14008.00",
            "l2 Savings|40000.00|40000.00|38000.00",
            "s1 Total Bank|58204.11|55220.90|52008.00",
            "h1 Fixed Assets",
            "l2 Coffee machines|22500.00|22900.00|23300.00",
            "l2 Less accumulated depreciation|-6300.00|-5900.00|-5500.00",
            "s1 Total Fixed Assets|16200.00|17000.00|17800.00",
            "t0 Total Assets|74404.11|72220.90|69808.00",
            "h0 Liabilities",
            "h1 Current Liabilities",
            "l2 Accounts payable|5120.40|6010.00|6820.10",
            "l2 GST|2208.31|1870.20|1903.00",
            "s1 Total Current Liabilities|7328.71|7880.20|8723.10",
            "t0 Total Liabilities|7328.71|7880.20|8723.10",
            "t0 Net Assets|67075.40|64340.70|61084.90",
            "h0 Equity",
            "l1 Current year earnings|27075.40|24340.70|21084.90",
            "l1 Owner funds introduced|40000.00|40000.00|40000.00",
            "s0 Total Equity|67075.40|64340.70|61084.90",
        ],
    );
    Statement { head: head(StatementKind::BalanceSheet), body: Body::Table(body) }
}

pub fn trial_balance() -> Statement {
    let body = table(
        "Trial Balance",
        &["Account", "Debit", "Credit", "YTD Debit", "YTD Credit"],
        &[
            "h0 Revenue",
            "l1 Sales (200)||48210.50||310220.10",
            "h0 Expenses",
            "l1 Rent (469)|6500.00||45500.00|",
            "l1 Wages (477)|21340.08||150200.00|",
            "h0 Assets",
            "l1 Main cheque (090)|20370.42||114520.10|",
            "t0 Total|48210.50|48210.50|310220.10|310220.10",
        ],
    );
    Statement { head: head(StatementKind::TrialBalance), body: Body::Table(body) }
}

pub fn bank_summary() -> Statement {
    let body = table(
        "Bank Summary",
        &["Bank Accounts", "Opening Balance", "Cash Received", "Cash Spent", "Closing Balance"],
        &[
            "l0 Main cheque|15220.90|56120.21|53137.00|18204.11",
            "l0 Savings|40000.00|0.00|0.00|40000.00",
            "t0 Total|55220.90|56120.21|53137.00|58204.11",
        ],
    );
    Statement { head: head(StatementKind::BankSummary), body: Body::Table(body) }
}

pub fn line(n: usize, amount: &str, payee: &str, description: &str) -> RegisterLine {
    RegisterLine {
        id: format!("line-{n:04}"),
        date: jiff::civil::date(2026, 10, i8::try_from(1 + n % 31).unwrap()),
        kind: if amount.starts_with('-') { "SPEND" } else { "RECEIVE" }.to_owned(),
        payee: payee.to_owned(),
        reference: format!("INV-{:05}", 4711 + n),
        description: description.to_owned(),
        amount: amount.parse().unwrap(),
        balance: None,
        reconciled: Some(!n.is_multiple_of(3)),
        has_documents: n.is_multiple_of(4),
    }
}

pub fn register(lines: usize, bank: bool) -> Statement {
    let payees = [
        ("Kauri Roasters Ltd", "Coffee beans"),
        (
            "Ōtara Fresh Produce",
            "Vegetables, week 41, delivered in two parts because of the public holiday; credit note to follow",
        ),
        ("Eftpos settlement", ""),
        ("Ångström & Søn ApS", "Ørsted café grinder, spare parts"),
        ("Καφές Αθήνα", "Доставка"),
        ("", "Interest"),
    ];
    let amounts = ["-412.50", "-88.10", "2310.75", "-1250.00", "-19.99", "3.40"];
    let mut balance: rust_decimal::Decimal = "15220.90".parse().unwrap();
    let opening = balance;
    let lines: Vec<RegisterLine> = (0..lines)
        .map(|n| {
            let (payee, description) = payees[n % payees.len()];
            let mut line = line(n, amounts[n % amounts.len()], payee, description);
            balance += line.amount;
            line.balance = bank.then_some(balance);
            line.date = jiff::civil::date(2026, 10, i8::try_from(1 + n * 30 / 200 % 31).unwrap());
            line
        })
        .collect();
    let kind = if bank { StatementKind::BankStatement } else { StatementKind::BankRegister };
    let body = Register {
        account: "a3d1c0de-0000-4000-8000-000000000101".into(),
        account_name: "Main cheque".to_owned(),
        account_number: Some("12-3456-0123456-00".to_owned()),
        organisation: None,
        currency: Some("NZD".to_owned()),
        source: if bank { RegisterSource::Bank { imported: "feed".to_owned() } } else { RegisterSource::Books },
        opening: bank.then_some(opening),
        closing: bank.then_some(balance),
        closing_on: None,
        lines,
        notes: if bank {
            Vec::new()
        } else {
            vec!["Payments of invoices and transfers between accounts are not included.".to_owned()]
        },
    };
    let mut head = head(kind);
    head.account = Some("Main cheque".to_owned());
    head.account_kind = Some(AccountKind::Bank);
    Statement { head, body: Body::Register(body) }
}

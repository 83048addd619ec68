//! The bank register: the general ledger of one account.

use std::collections::BTreeMap;

use ledgerward_contract::{
    AccountKind, Date, Decimal, Error, LedgerAccount, Register, RegisterLine, RegisterSource, Result,
};

use super::{
    money,
    report::{Columns, Report, Rows, VendorCell, VendorRow, read},
};

const OP: &str = "register.get";

/// The movements of one range of days.
#[derive(Debug)]
pub struct Part {
    pub opening: Option<Decimal>,
    pub lines: Vec<RegisterLine>,
    pub currency: Option<String>,
}

impl Part {
    fn closing(&self) -> Option<Decimal> {
        self.lines.last().map_or(self.opening, |l| l.balance)
    }
}

/// Where each column stands.
struct Places(BTreeMap<String, usize>);

impl Places {
    fn new(columns: &Columns) -> Result<Self> {
        let places = columns.column.iter().enumerate().filter_map(|(i, c)| Some((c.key()?.to_owned(), i)));
        let places = Self(places.collect());
        let needed = ["tx_date", "txn_type", "subt_nat_amount", "rbal_nat_amount"];
        if needed.iter().all(|key| places.0.contains_key(*key)) {
            return Ok(places);
        }
        Err(Error::contract(OP, "the general ledger lacks a column that was asked for"))
    }

    fn cell<'a>(&self, cells: &'a [VendorCell], key: &str) -> Option<&'a VendorCell> {
        cells.get(*self.0.get(key)?)
    }

    fn text(&self, cells: &[VendorCell], key: &str) -> String {
        self.cell(cells, key).map(|c| c.value.clone()).unwrap_or_default()
    }

    fn amount(&self, cells: &[VendorCell], key: &str) -> Result<Option<Decimal>> {
        let text = self.text(cells, key);
        if text.is_empty() {
            return Ok(None);
        }
        money(&text).map(Some).ok_or_else(|| Error::contract(OP, "an amount of the general ledger is not a number"))
    }
}

/// `GET reports/GeneralLedger` of one account and range. Complete, or an error: the lines must lead from balance to balance
/// and add up to the sum that QuickBooks states.
pub fn part(account: &LedgerAccount, from: Date, to: Date, body: &[u8]) -> Result<Part> {
    let report: Report = read(OP, body, "GeneralLedger", Some(from), to)?;
    let (empty, currency) = (report.header.no_data(), report.header.currency.filter(|c| !c.is_empty()));
    let places = Places::new(&report.columns)?;
    let Some(section) = find(report.rows, account.id.as_str()) else {
        if empty {
            return Ok(Part { opening: None, lines: Vec::new(), currency });
        }
        return Err(Error::contract(OP, "the general ledger does not hold the account that was asked for"));
    };
    let rows = section.rows.unwrap_or_default().row;
    let nested = rows.iter().any(|r| r.cells.is_none());
    // What a card's holder owes is positive in the books; in a register money in is.
    let sign = if account.kind == AccountKind::CreditCard { Decimal::NEGATIVE_ONE } else { Decimal::ONE };
    let mut part = Part { opening: None, lines: Vec::new(), currency };
    let mut seen = BTreeMap::new();
    for (place, cells) in rows.into_iter().filter_map(|r| r.cells).enumerate() {
        let amount = places.amount(&cells, "subt_nat_amount")?.map(|a| a * sign);
        let balance = places.amount(&cells, "rbal_nat_amount")?.map(|b| b * sign);
        let date = places.text(&cells, "tx_date");
        match (date.parse::<Date>(), amount) {
            // Localised, so it is known by its place and by what it lacks.
            (Err(_), None) if place == 0 => part.opening = balance,
            (Ok(date), Some(amount)) if (from..=to).contains(&date) => {
                let before = part.closing();
                if before.zip(balance).is_some_and(|(before, after)| before + amount != after) {
                    return Err(Error::contract(
                        OP,
                        "a balance of the general ledger does not follow from the one before",
                    ));
                }
                part.lines.push(line(&places, &cells, date, amount, balance, &mut seen));
            }
            _ => return Err(Error::contract(OP, "a row of the general ledger is no movement of the period")),
        }
    }
    let sum = section.summary.map(|s| places.amount(&s.cells, "subt_nat_amount")).transpose()?.flatten();
    let lines: Decimal = part.lines.iter().map(|l| l.amount).sum();
    // With sub-accounts inside, the sum is that of all of them.
    if !nested && sum.is_some_and(|s| s * sign != lines) {
        return Err(Error::contract(OP, "the movements of the general ledger do not add up to its sum"));
    }
    Ok(part)
}

/// The section of an account, however deep it stands below its parents.
fn find(rows: Rows, account: &str) -> Option<VendorRow> {
    for mut row in rows.row {
        let id = row.header.as_ref().and_then(|h| h.cells.first()).and_then(VendorCell::id);
        if id == Some(account) {
            return Some(row);
        }
        let inner = row.rows.take().filter(|_| row.cells.is_none());
        if let Some(found) = inner.and_then(|rows| find(rows, account)) {
            return Some(found);
        }
    }
    None
}

fn line(
    places: &Places,
    cells: &[VendorCell],
    date: Date,
    amount: Decimal,
    balance: Option<Decimal>,
    seen: &mut BTreeMap<String, u32>,
) -> RegisterLine {
    let kind = places.cell(cells, "txn_type");
    let id = kind.and_then(VendorCell::id).unwrap_or("none").to_owned();
    // A transaction may touch the account several times.
    let times = seen.entry(format!("{date}-{id}")).or_default();
    *times += 1;
    let (memo, other) = (places.text(cells, "memo"), places.text(cells, "split_acc"));
    RegisterLine {
        id: if *times == 1 { format!("{date}-{id}") } else { format!("{date}-{id}-{times}") },
        date,
        kind: kind.map(|c| c.value.clone()).unwrap_or_default(),
        payee: places.text(cells, "name"),
        reference: places.text(cells, "doc_num"),
        description: if memo.is_empty() { other } else { memo },
        amount,
        balance,
        reconciled: None,
        has_documents: false,
    }
}

/// The parts of a period, in order, as one register.
pub fn register(account: LedgerAccount, parts: Vec<Part>) -> Result<Register> {
    let mut lines: Vec<RegisterLine> = Vec::new();
    let (mut opening, mut closing, mut currency) = (None, None, account.currency);
    for part in parts {
        if closing.zip(part.opening).is_some_and(|(a, b)| a != b) {
            return Err(Error::contract(OP, "the books changed while they were read: two parts do not join"));
        }
        // The opening balance of the period is known only from its first movement's part.
        if lines.is_empty() {
            opening = opening.or(part.opening);
        }
        closing = part.closing().or(closing);
        currency = currency.or(part.currency);
        lines.extend(part.lines);
    }
    Ok(Register {
        account: account.id,
        account_name: account.name,
        account_number: None,
        organisation: None,
        currency,
        source: RegisterSource::Books,
        opening,
        closing,
        lines,
        notes: vec![
            "This is QuickBooks' general ledger of the account, on the accrual basis, and not the bank's statement."
                .to_owned(),
            "Lines that the bank sent and nobody has accepted yet are not included.".to_owned(),
        ],
    })
}

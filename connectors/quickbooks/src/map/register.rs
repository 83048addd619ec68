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
    // A section inside that names no account might be this account's own: to leave it out could shorten the register.
    if nested && rows.iter().all(|r| r.cells.is_none()) && rows.iter().any(|r| named(r).is_none()) {
        return Err(Error::contract(OP, "the general ledger does not tell the account from its sub-accounts"));
    }
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
            (Ok(date), amount) if (from..=to).contains(&date) => {
                let before = part.closing();
                // A voided transaction may come with a blank for nothing; a blank that moves the balance is none.
                let amount = amount.or_else(|| (balance.is_some() && before == balance).then_some(Decimal::ZERO));
                let amount = amount.ok_or_else(|| Error::contract(OP, "a movement has no amount"))?;
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
    // Without a row for it, the first movement tells what was there before.
    part.opening = part.opening.or_else(|| part.lines.first().and_then(|l| Some(l.balance? - l.amount)));
    let sum = section.summary.map(|s| places.amount(&s.cells, "subt_nat_amount")).transpose()?.flatten();
    let lines: Decimal = part.lines.iter().map(|l| l.amount).sum();
    // With sub-accounts inside, the sum is that of all of them.
    if !nested && sum.is_some_and(|s| s * sign != lines) {
        return Err(Error::contract(OP, "the movements of the general ledger do not add up to its sum"));
    }
    Ok(part)
}

/// The account that a section is headed by.
fn named(row: &VendorRow) -> Option<&str> {
    row.header.as_ref()?.cells.first()?.id()
}

/// The section of an account, however deep it stands below its parents.
fn find(rows: Rows, account: &str) -> Option<VendorRow> {
    for mut row in rows.row {
        // An account with sub-accounts may have its own movements in a section of the same name inside.
        let doubled = |rows: &Rows| rows.row.iter().any(|r| named(r) == Some(account));
        if named(&row) == Some(account) && !row.rows.as_ref().is_some_and(doubled) {
            return Some(row);
        }
        if let Some(found) = row.rows.take().and_then(|rows| find(rows, account)) {
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

#[cfg(test)]
mod tests {
    use ledgerward_contract::AccountId;

    use super::*;

    const FROM: Date = Date::constant(2026, 10, 1);
    const TO: Date = Date::constant(2026, 10, 31);

    fn account() -> LedgerAccount {
        LedgerAccount {
            id: AccountId::from("35"),
            name: "Checking".to_owned(),
            code: None,
            kind: AccountKind::Bank,
            currency: None,
            number: None,
            active: true,
        }
    }

    fn read_rows(rows: &str) -> Result<Part> {
        let column = |key: &str| {
            format!(r#"{{"ColTitle":"x","ColType":"String","MetaData":[{{"Name":"ColKey","Value":"{key}"}}]}}"#)
        };
        let columns = ["tx_date", "txn_type", "subt_nat_amount", "rbal_nat_amount"].map(column).join(",");
        let body = format!(
            r#"{{"Header":{{"ReportName":"GeneralLedger","StartPeriod":"2026-10-01","EndPeriod":"2026-10-31"}},
            "Columns":{{"Column":[{columns}]}},"Rows":{{"Row":[{rows}]}}}}"#
        );
        part(&account(), FROM, TO, body.as_bytes())
    }

    fn data(date: &str, amount: &str, balance: &str) -> String {
        format!(
            r#"{{"ColData":[{{"value":"{date}"}},{{"value":"Check","id":"7"}},{{"value":"{amount}"}},{{"value":"{balance}"}}],"type":"Data"}}"#
        )
    }

    fn section(id: &str, rows: &[String], sum: &str) -> String {
        format!(
            r#"{{"Header":{{"ColData":[{{"value":"n","id":"{id}"}}]}},"Rows":{{"Row":[{}]}},
            "Summary":{{"ColData":[{{"value":"s"}},{{"value":""}},{{"value":"{sum}"}},{{"value":""}}]}},"type":"Section"}}"#,
            rows.join(",")
        )
    }

    #[test]
    fn a_part_is_whole_or_no_part() {
        let start = data("Beginning Balance", "", "100.00");
        let (one, two) = (data("2026-10-02", "-30.00", "70.00"), data("2026-10-02", "5.00", "75.00"));
        let good = read_rows(&section("35", &[start.clone(), one.clone(), two.clone()], "-25.00")).unwrap();
        assert_eq!((good.opening, good.closing(), good.lines.len()), (money("100.00"), money("75.00"), 2));
        assert_eq!((good.lines[0].id.as_str(), good.lines[1].id.as_str()), ("2026-10-02-7", "2026-10-02-7-2"));
        let unsaid = read_rows(&section("35", &[one.clone(), two.clone()], "")).unwrap();
        assert_eq!(unsaid.opening, money("100.00"), "before the first movement");
        let void = read_rows(&section("35", &[start.clone(), data("2026-10-02", "", "100.00")], "")).unwrap();
        assert_eq!(void.lines[0].amount, Decimal::ZERO);
        for wrong in [
            section("35", &[start.clone(), two.clone()], ""),
            section("35", &[start.clone(), one.clone()], "-25.00"),
            section("35", &[start.clone(), data("2026-11-02", "-30.00", "70.00")], ""),
            section("35", &[start.clone(), data("2026-10-02", "", "70.00")], ""),
            section("35", &[one.clone(), start.clone()], ""),
            section("35", &[start.clone(), data("2026-10-02", "many", "70.00")], ""),
            section("36", &[start.clone(), one.clone()], ""),
        ] {
            assert_eq!(read_rows(&wrong).unwrap_err().kind, ledgerward_contract::ErrorKind::Contract, "{wrong}");
        }
    }

    #[test]
    fn an_account_is_told_from_its_sub_accounts_or_refused() {
        let row = data("2026-10-02", "-30.00", "70.00");
        let (own, sub) = (section("35", std::slice::from_ref(&row), ""), section("36", std::slice::from_ref(&row), ""));
        let lines = |rows: &str| read_rows(rows).map(|p| p.lines.len());
        assert_eq!(lines(&section("35", &[row.clone(), sub.clone()], "-60.00")).unwrap(), 1, "beside its sub-account");
        assert_eq!(lines(&section("35", &[own, sub.clone()], "")).unwrap(), 1, "in a section of the same name");
        assert_eq!(lines(&section("35", std::slice::from_ref(&sub), "")).unwrap(), 0, "a parent without movements");
        assert!(lines(&section("35", &[section("", std::slice::from_ref(&row), "")], "")).is_err(), "whose are they?");
        assert_eq!(lines(&section("", &[section("35", &[row], "")], "")).unwrap(), 1, "below a parent without id");
    }
}

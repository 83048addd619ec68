//! The bank register: the general ledger of one account.

use std::collections::BTreeMap;

use ledgerward_contract::{
    AccountKind, Date, Decimal, Error, ErrorKind, LedgerAccount, Register, RegisterLine, RegisterSource, Result,
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
struct Places {
    all: BTreeMap<String, usize>,
    amount: &'static str,
    balance: &'static str,
    /// The amounts are in the company's own currency, whatever the account's is.
    home: bool,
}

impl Places {
    fn new(columns: &Columns) -> Result<Self> {
        let all = columns.column.iter().enumerate().filter_map(|(i, c)| Some((c.key()?.to_owned(), i)));
        let all: BTreeMap<String, usize> = all.collect();
        let has = |keys: &[&str]| keys.iter().all(|key| all.contains_key(*key));
        // Of one pair both: an amount and a balance in two currencies would not follow from each other.
        let pairs =
            [("subt_nat_amount", "rbal_nat_amount", false), ("subt_nat_home_amount", "rbal_nat_home_amount", true)];
        match pairs.into_iter().find(|(amount, balance, _)| has(&["tx_date", "txn_type", amount, balance])) {
            Some((amount, balance, home)) => Ok(Self { all, amount, balance, home }),
            None => Err(Error::contract(OP, "the general ledger lacks a column that was asked for")),
        }
    }

    fn cell<'a>(&self, cells: &'a [VendorCell], key: &str) -> Option<&'a VendorCell> {
        cells.get(*self.all.get(key)?)
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
    if places.home {
        in_its_own_currency(account, currency.as_deref())?;
    }
    let (section, unnamed) = match find(&report.rows, account.id.as_str()) {
        Some(section) => (Some(section), false),
        None => (called(&report.rows, &account.name), true),
    };
    let Some(section) = section else {
        if empty {
            return Ok(Part { opening: None, lines: Vec::new(), currency });
        }
        return Err(Error::contract(OP, "the general ledger does not hold the account that was asked for"));
    };
    let rows = section.rows.as_ref().map_or(&[][..], |rows| &rows.row);
    let nested = rows.iter().any(|r| r.cells.is_none());
    // A section inside that names no account might be this account's own: to leave it out could shorten the register.
    if nested && rows.iter().all(|r| r.cells.is_none()) && rows.iter().any(|r| named(r).is_none()) {
        return Err(Error::contract(OP, "the general ledger does not tell the account from its sub-accounts"));
    }
    // What a card's holder owes is positive in the books; in a register money in is.
    let sign = if account.kind == AccountKind::CreditCard { Decimal::NEGATIVE_ONE } else { Decimal::ONE };
    let mut part = Part { opening: None, lines: Vec::new(), currency };
    let mut seen = BTreeMap::new();
    for (place, cells) in rows.iter().filter_map(|r| r.cells.as_ref()).enumerate() {
        let amount = places.amount(cells, places.amount)?.map(|a| a * sign);
        let balance = places.amount(cells, places.balance)?.map(|b| b * sign);
        let date = places.text(cells, "tx_date");
        match (date.parse::<Date>(), amount) {
            // Localised, so it is known by its place and by what it lacks.
            (Err(_), None) if place == 0 => part.opening = balance,
            (Ok(date), amount) if (from..=to).contains(&date) => {
                let before = part.closing();
                // A voided transaction may come with a blank for nothing; a blank that moves the balance is none.
                let amount = amount.or_else(|| (balance.is_some() && before == balance).then_some(Decimal::ZERO));
                let amount = amount.ok_or_else(|| Error::contract(OP, "a movement has no amount"))?;
                if before.zip(balance).is_some_and(|(before, after)| before.checked_add(amount) != Some(after)) {
                    return Err(Error::contract(
                        OP,
                        "a balance of the general ledger does not follow from the one before",
                    ));
                }
                part.lines.push(line(&places, cells, date, amount, balance, &mut seen));
            }
            _ => return Err(Error::contract(OP, "a row of the general ledger is no movement of the period")),
        }
    }
    // Without a row for it, the first movement tells what was there before.
    part.opening = part.opening.or_else(|| part.lines.first().and_then(|l| l.balance?.checked_sub(l.amount)));
    let sum = section.summary.as_ref().map(|s| places.amount(&s.cells, places.amount)).transpose()?.flatten();
    let lines = part.lines.iter().try_fold(Decimal::ZERO, |sum, l| sum.checked_add(l.amount));
    // With sub-accounts inside, the sum is that of all of them.
    if !nested && (sum.is_some_and(|s| Some(s * sign) != lines) || lines.is_none()) {
        return Err(Error::contract(OP, "the movements of the general ledger do not add up to its sum"));
    }
    // Known by its text alone, it has to show that nothing of it is missing.
    if unnamed && sum.is_none() {
        return Err(Error::contract(OP, "the general ledger does not say whose movements it holds, nor their sum"));
    }
    Ok(part)
}

/// Errors: `Unsupported` where the ledger's amounts, which are in the company's own currency, are not the account's.
fn in_its_own_currency(account: &LedgerAccount, home: Option<&str>) -> Result<()> {
    let own = account.currency.as_deref();
    if own.is_none() || own == home {
        return Ok(());
    }
    let (own, home) = (own.unwrap_or_default(), home.unwrap_or("the company's own currency"));
    let text = format!("the account is kept in {own}, and QuickBooks gives its general ledger in {home} only");
    Err(Error::new(ErrorKind::Unsupported, OP, text).next(
        "Take this account's statements from the bank, or from QuickBooks itself; its other statements come as ever.",
    ))
}

/// The account that a section is headed by.
fn named(row: &VendorRow) -> Option<&str> {
    row.header.as_ref()?.cells.first()?.id()
}

/// The section of an account, however deep it stands below its parents.
fn find<'r>(rows: &'r Rows, account: &str) -> Option<&'r VendorRow> {
    for row in &rows.row {
        // An account with sub-accounts may have its own movements in a section of the same name inside.
        let doubled = |rows: &Rows| rows.row.iter().any(|r| named(r) == Some(account));
        if named(row) == Some(account) && !row.rows.as_ref().is_some_and(doubled) {
            return Some(row);
        }
        if let Some(found) = row.rows.as_ref().and_then(|rows| find(rows, account)) {
            return Some(found);
        }
    }
    None
}

/// The only section of movements in a ledger that was asked for one account, where it names no account and is called as
/// this one is, by its whole name or the last part of it: the header of a sub-account may have no id.
fn called<'r>(rows: &'r Rows, name: &str) -> Option<&'r VendorRow> {
    fn movements<'r>(rows: &'r Rows, out: &mut Vec<&'r VendorRow>) {
        for row in &rows.row {
            let Some(inside) = &row.rows else { continue };
            if inside.row.iter().any(|r| r.cells.is_some()) {
                out.push(row);
            }
            movements(inside, out);
        }
    }
    let mut all = Vec::new();
    movements(rows, &mut all);
    let [row] = all[..] else { return None };
    let leaf = row.rows.as_ref().is_some_and(|rows| rows.row.iter().all(|r| r.cells.is_some()));
    let text = row.header.as_ref()?.cells.first()?.value.as_str();
    let short = name.rsplit(':').next().unwrap_or(name);
    (leaf && named(row).is_none() && (text == name || text == short)).then_some(row)
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
        closing_on: None,
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
        read_as(&account(), None, ["subt_nat_amount", "rbal_nat_amount"], rows)
    }

    fn read_as(account: &LedgerAccount, currency: Option<&str>, money: [&str; 2], rows: &str) -> Result<Part> {
        let column = |key: &str| {
            format!(r#"{{"ColTitle":"x","ColType":"String","MetaData":[{{"Name":"ColKey","Value":"{key}"}}]}}"#)
        };
        let columns = ["tx_date", "txn_type", money[0], money[1]].map(column).join(",");
        let currency = currency.map(|c| format!(r#","Currency":"{c}""#)).unwrap_or_default();
        let body = format!(
            r#"{{"Header":{{"ReportName":"GeneralLedger","StartPeriod":"2026-10-01","EndPeriod":"2026-10-31"{currency}}},
            "Columns":{{"Column":[{columns}]}},"Rows":{{"Row":[{rows}]}}}}"#
        );
        part(account, FROM, TO, body.as_bytes())
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

    /// P07: an amount that no books hold is an answer that we do not know, and no end of the program.
    #[test]
    fn amounts_beyond_all_sums_are_refused() {
        let (most, least) = (Decimal::MAX.to_string(), Decimal::MIN.to_string());
        let one = data("2026-10-02", &most, "");
        for wrong in [
            section("35", &[one.clone(), one.clone()], ""),
            section("35", &[data("Beginning Balance", "", &most), data("2026-10-02", &most, &most)], ""),
            section("35", &[data("2026-10-02", "5.00", &most), data("2026-10-03", &most, "1.00")], ""),
        ] {
            assert_eq!(read_rows(&wrong).unwrap_err().kind, ErrorKind::Contract, "{wrong}");
        }
        let before = read_rows(&section("35", &[data("2026-10-02", &most, &least)], "")).unwrap();
        assert_eq!(before.opening, None, "what was there before is more than a number can say");
    }

    #[test]
    fn a_company_with_several_currencies_has_a_register_in_its_own() {
        let rows =
            section("35", &[data("Beginning Balance", "", "100.00"), data("2026-10-02", "-30.00", "70.00")], "-30.00");
        let home = ["subt_nat_home_amount", "rbal_nat_home_amount"];
        let kept_in = |own: Option<&str>| LedgerAccount { currency: own.map(str::to_owned), ..account() };
        for own in [None, Some("USD")] {
            let part = read_as(&kept_in(own), Some("USD"), home, &rows).unwrap();
            assert_eq!((part.lines.len(), part.currency.as_deref()), (1, Some("USD")));
        }
        let e = read_as(&kept_in(Some("EUR")), Some("USD"), home, &rows).unwrap_err();
        assert_eq!(e.kind, ErrorKind::Unsupported);
        assert!(e.message.contains("kept in EUR") && e.message.contains("in USD only"), "{e}");
        assert!(read_as(&kept_in(Some("EUR")), None, home, &rows).is_err(), "in which currency?");
        let e = read_as(&account(), Some("USD"), ["subt_nat_amount", "rbal_nat_home_amount"], &rows).unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract, "half of each pair");
    }

    #[test]
    fn a_section_without_an_id_is_an_account_by_its_name_or_nobodys() {
        let row = data("2026-10-02", "-30.00", "70.00");
        let called = |name: &str, sum: &str| {
            section("", std::slice::from_ref(&row), sum).replace(r#""value":"n""#, &format!(r#""value":"{name}""#))
        };
        let of = LedgerAccount { name: "Bank:Checking".to_owned(), ..account() };
        let plain = ["subt_nat_amount", "rbal_nat_amount"];
        let lines = |rows: &str| read_as(&of, None, plain, rows).map(|p| p.lines.len());
        for name in ["Checking", "Bank:Checking"] {
            assert_eq!(lines(&section("34", &[called(name, "-30.00")], "")).unwrap(), 1, "{name}");
        }
        assert!(lines(&called("Savings", "-30.00")).is_err(), "another account");
        assert!(lines(&called("Checking", "")).is_err(), "nothing shows that it is whole");
        assert!(lines(&called("Checking", "-31.00")).is_err());
        let two = [called("Checking", "-30.00"), called("Savings", "-30.00")].join(",");
        assert!(lines(&two).is_err(), "more than was asked for");
        let other =
            section("36", std::slice::from_ref(&row), "-30.00").replace(r#""value":"n""#, r#""value":"Checking""#);
        assert!(lines(&other).is_err(), "it names another account");
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

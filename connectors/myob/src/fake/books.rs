//! Double-entry books, and the reports that follow from them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Account, File, id_of};

/// Money as a JSON number.
pub fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.round_dp(2).to_string()).unwrap_or(Value::Null)
}

/// As a company file writes a day: no zone.
pub fn local(day: Date) -> String {
    format!("{day}T00:00:00")
}

pub fn reference(base: &str, file: &File, account: &Account) -> Value {
    json!({"UID": account.id, "Name": account.name, "DisplayID": account.number,
        "URI": format!("{base}/accountright/{}/GeneralLedger/Account/{}", file.id, account.id)})
}

/// Whether a total of this class is a debit where it is positive.
fn natural_debit(classification: &str) -> bool {
    matches!(classification, "Asset" | "CostOfSales" | "Expense" | "OtherExpense")
}

fn of_result(account: &Account) -> bool {
    !matches!(account.classification.as_str(), "Asset" | "Liability" | "Equity")
}

/// The first day of the financial year that a day is in.
fn year_start(year_end: (i8, i8), day: Date) -> Date {
    let end = |year: i16| {
        let month = Date::new(year, year_end.0, 1).unwrap_or(Date::constant(year, 12, 1));
        month.with().day(year_end.1.min(month.days_in_month())).build().unwrap_or(month)
    };
    let this = end(day.year());
    let last = if this < day { this } else { end(day.year() - 1) };
    last.tomorrow().unwrap_or(last)
}

impl File {
    /// Per account, debit less credit over a range of days.
    fn sums(&self, from: Option<Date>, to: Date, cash: bool) -> BTreeMap<&str, Decimal> {
        let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
        let within = |d: Date| d <= to && from.is_none_or(|f| f <= d);
        for entry in self.entries.iter().filter(|e| within(e.date) && !(cash && e.accrual)) {
            *sums.entry(&entry.debit).or_default() += entry.amount;
            *sums.entry(&entry.credit).or_default() -= entry.amount;
        }
        sums
    }

    /// What income and expenses come to, positive for a profit.
    fn profit(&self, from: Option<Date>, to: Date, cash: bool) -> Decimal {
        let sums = self.sums(from, to, cash);
        let of = |a: &Account| sums.get(a.number.as_str()).copied().unwrap_or_default();
        -self.accounts.iter().filter(|a| of_result(a)).map(of).sum::<Decimal>()
    }

    fn breakdown(&self, base: &str, pass: impl Fn(&Account) -> bool, total: impl Fn(&Account) -> Decimal) -> Value {
        let row = |a: &Account| {
            let natural = if natural_debit(&a.classification) { total(a) } else { -total(a) };
            json!({"AccountTotal": number(natural), "Account": reference(base, self, a)})
        };
        self.accounts.iter().filter(|a| !a.header && pass(a)).map(row).collect()
    }

    pub fn profit_and_loss(&self, base: &str, from: Date, to: Date, basis: &str) -> Value {
        let sums = self.sums(Some(from), to, basis == "Cash");
        let of = |a: &Account| sums.get(a.number.as_str()).copied().unwrap_or_default();
        json!({"StartDate": local(from), "EndDate": local(to), "ReportingBasis": basis, "YearEndAdjust": false,
            "AccountsBreakdown": self.breakdown(base, |a| of_result(a) && !of(a).is_zero(), of), "URI": null})
    }

    /// Earnings of this year and of those before stand on accounts of their own.
    pub fn balance_sheet(&self, base: &str, day: Date, cash: bool) -> Value {
        let sums = self.sums(None, day, cash);
        let current = self.profit(Some(year_start(self.year_end, day)), day, cash);
        let earlier = self.profit(None, day, cash) - current;
        let of = |a: &Account| {
            let own = sums.get(a.number.as_str()).copied().unwrap_or_default();
            own - match a.number.as_str() {
                "3-9000" => current,
                "3-8000" => earlier,
                _ => Decimal::ZERO,
            }
        };
        json!({"AsOfDate": local(day), "YearEndAdjust": false,
            "AccountsBreakdown": self.breakdown(base, |a| !of_result(a), of), "URI": null})
    }

    /// Everything the banks sent: day, id, account, amount (positive is money in), text, reference, status.
    pub fn feed(&self) -> Vec<(Date, Uuid, &Account, Decimal, String, String, &str)> {
        let by_number: BTreeMap<&str, &Account> = self.accounts.iter().map(|a| (a.number.as_str(), a)).collect();
        let fed = |number: &str| by_number.get(number).copied().filter(|a| a.bank.as_ref().is_some_and(|b| b.feed));
        let mut all = Vec::new();
        for e in &self.entries {
            for (side, amount) in [(&e.debit, e.amount), (&e.credit, -e.amount)] {
                if let Some(account) = fed(side) {
                    let id = id_of(&["line", &e.id.to_string(), side]);
                    all.push((e.date, id, account, amount, e.text.clone(), String::new(), "Coded"));
                }
            }
        }
        for l in &self.lines {
            if let Some(account) = by_number.get(l.account.as_str()) {
                all.push((l.date, l.id, *account, l.amount, l.text.clone(), l.reference.clone(), l.status.as_str()));
            }
        }
        all.sort_by_key(|(date, id, ..)| (*date, *id));
        all
    }
}

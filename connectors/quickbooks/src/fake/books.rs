//! One company: its chart, its double-entry books, its documents. Everything balances because every entry does.

use jiff::{Timestamp, civil::Date};
use ledgerward_kit::fake::as_base64;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub id: String,
    pub name: String,
    /// `Bank`, `Credit Card`, `Accounts Receivable`, `Income`, …
    pub r#type: String,
    #[serde(default)]
    pub number: String,
    /// The id of the account above.
    pub parent: Option<String>,
    #[serde(default = "yes")]
    pub active: bool,
    /// Where it is not the company's.
    pub currency: Option<String>,
}

fn yes() -> bool {
    true
}

impl Account {
    pub fn classification(&self) -> &'static str {
        match self.r#type.as_str() {
            "Income" | "Other Income" => "Revenue",
            "Cost of Goods Sold" | "Expense" | "Other Expense" => "Expense",
            "Credit Card" | "Accounts Payable" | "Other Current Liability" | "Long Term Liability" => "Liability",
            "Equity" => "Equity",
            _ => "Asset",
        }
    }

    /// What makes the account grow is positive: a debit for what one has and spends, a credit for the rest.
    pub fn natural(&self) -> Decimal {
        if matches!(self.classification(), "Asset" | "Expense") { Decimal::ONE } else { Decimal::NEGATIVE_ONE }
    }

    pub fn of_result(&self) -> bool {
        matches!(self.classification(), "Revenue" | "Expense")
    }
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Entry {
    pub id: String,
    /// The entity of the interface: `Purchase`, `JournalEntry`.
    pub entity: String,
    /// The word of the reports: `Expense`, `Journal Entry`.
    pub word: String,
    pub date: Date,
    pub doc: String,
    pub name: String,
    pub memo: String,
    /// Ids of accounts.
    pub debit: String,
    pub credit: String,
    pub amount: Decimal,
    /// An open invoice or bill: not there on the cash basis.
    pub accrual: bool,
    /// A payment of one: which account it counts for on the cash basis.
    pub cash_as: Option<String>,
}

impl Entry {
    /// Debit and credit as the basis has them; `None` where the entry does not count.
    fn sides(&self, cash: bool, bank: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
        let (debit, credit) = (self.debit.as_str(), self.credit.as_str());
        match (cash, &self.cash_as) {
            (true, _) if self.accrual => None,
            (true, Some(instead)) if bank(debit) => Some((debit, instead)),
            (true, Some(instead)) => Some((instead, credit)),
            _ => Some((debit, credit)),
        }
    }
}

/// A document, or a note without one.
#[derive(Clone, Deserialize, Serialize)]
pub struct Paper {
    pub id: String,
    pub name: Option<String>,
    pub mime: String,
    pub note: String,
    #[serde(with = "as_base64")]
    pub bytes: Vec<u8>,
    pub created: Timestamp,
    /// What it belongs to: entity and id.
    pub of: Vec<(String, String)>,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Company {
    pub realm: String,
    pub name: String,
    pub country: String,
    pub currency: String,
    /// Whether it keeps accounts in several.
    #[serde(default)]
    pub currencies: bool,
    pub fiscal_start: String,
    pub users: u32,
    pub accountants: u32,
    pub accounts: Vec<Account>,
    pub entries: Vec<Entry>,
    pub papers: Vec<Paper>,
    /// False once somebody disconnected the app in QuickBooks.
    pub connected: bool,
    pub suspended: bool,
}

impl Company {
    pub fn info(&self) -> Value {
        json!({
            "CompanyName": self.name, "LegalName": self.name, "Country": self.country,
            "CompanyAddr": {"Id": "1", "Line1": "1 Main Street", "City": "Springfield"},
            "CustomerCommunicationAddr": {"Id": "1"}, "LegalAddr": {"Id": "1"},
            "Email": {"Address": "books@client.example"}, "WebAddr": {}, "SupportedLanguages": "en",
            "FiscalYearStartMonth": self.fiscal_start, "DefaultTimeZone": "America/Los_Angeles",
            "NameValue": [{"Name": "SubscriptionStatus", "Value": "PAID"}, {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"}],
            // Real companies answer with 1 here, not with their realm.
            "Id": "1", "domain": "QBO", "sparse": false, "SyncToken": "4",
            "MetaData": {"CreateTime": "2024-01-05T09:00:00-08:00", "LastUpdatedTime": "2026-06-01T10:11:12-07:00"},
        })
    }

    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.id == id)
    }

    pub fn account_row(&self, a: &Account) -> Value {
        let parent = a.parent.as_deref().and_then(|p| self.account(p));
        let full = parent.map_or_else(|| a.name.clone(), |p| format!("{}:{}", p.name, a.name));
        let sum = self.sum(&a.id, None, Date::MAX, false) * a.natural();
        let mut row = json!({
            "Name": a.name, "SubAccount": parent.is_some(), "FullyQualifiedName": full, "Active": a.active,
            "Classification": a.classification(), "AccountType": a.r#type, "AccountSubType": "Checking",
            "AcctNum": a.number, "CurrencyRef": {"value": a.currency.as_ref().unwrap_or(&self.currency), "name": "Money"},
            "CurrentBalance": number(sum), "CurrentBalanceWithSubAccounts": number(sum),
            "domain": "QBO", "sparse": false, "Id": a.id, "SyncToken": "0",
            "MetaData": {"CreateTime": "2024-01-05T09:00:00-08:00", "LastUpdatedTime": "2026-06-01T10:11:12-07:00"},
        });
        if let (Some(parent), Some(map)) = (parent, row.as_object_mut()) {
            map.insert("ParentRef".to_owned(), json!({"value": parent.id}));
        }
        row
    }

    fn is_bank(&self, id: &str) -> bool {
        self.account(id).is_some_and(|a| matches!(a.r#type.as_str(), "Bank" | "Credit Card"))
    }

    /// Debit less credit of an account over a range of days.
    pub fn sum(&self, id: &str, from: Option<Date>, to: Date, cash: bool) -> Decimal {
        let within = self.entries.iter().filter(|e| e.date <= to && from.is_none_or(|f| f <= e.date));
        let part = |e: &Entry| {
            let Some((debit, credit)) = e.sides(cash, |id| self.is_bank(id)) else { return Decimal::ZERO };
            let mut sum = Decimal::ZERO;
            if debit == id {
                sum += e.amount;
            }
            if credit == id {
                sum -= e.amount;
            }
            sum
        };
        within.map(part).sum()
    }

    /// The movements of one account in order: date, debit less credit, entry.
    pub fn movements(&self, id: &str, from: Date, to: Date) -> Vec<(&Entry, Decimal)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter(|e| (from..=to).contains(&e.date))
            .filter_map(|e| match () {
                () if e.debit == id => Some((e, e.amount)),
                () if e.credit == id => Some((e, -e.amount)),
                () => None,
            })
            .collect();
        all.sort_by_key(|(e, _)| (e.date, e.id.parse::<u64>().unwrap_or_default()));
        all
    }
}

/// Money as a JSON number.
pub fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.normalize().to_string()).unwrap_or(Value::Null)
}

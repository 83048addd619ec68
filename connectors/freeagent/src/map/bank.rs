//! Bank accounts and their lines.

use jiff::civil::Date;
use ledgerward_contract::{
    AccountId, AccountKind, Error, LedgerAccount, LedgerProfile, Listed, Period, Register, RegisterLine,
    RegisterSource, Result,
};
use ledgerward_kit::{filled, from_json};
use serde::Deserialize;
use serde_json::Value;

use super::Money;
use crate::api::Api;

#[derive(Deserialize)]
struct Accounts {
    bank_accounts: Vec<Account>,
}

#[derive(Deserialize)]
struct OneAccount {
    bank_account: Account,
}

#[derive(Deserialize)]
struct Account {
    url: String,
    name: String,
    r#type: String,
    status: Option<String>,
    currency: Option<String>,
    account_number: Option<String>,
}

impl Account {
    fn read(self, api: &Api, op: &'static str) -> Result<LedgerAccount> {
        Ok(LedgerAccount {
            id: AccountId(api.id_of(op, "bank_accounts", &self.url)?),
            name: self.name,
            code: None,
            kind: match self.r#type.as_str() {
                "StandardBankAccount" => AccountKind::Bank,
                "CreditCardAccount" => AccountKind::CreditCard,
                // PaypalAccount, and kinds that are added now and then.
                _ => AccountKind::Other,
            },
            currency: filled(self.currency),
            number: filled(self.account_number),
            active: self.status.is_none_or(|s| s == "active"),
        })
    }
}

/// `GET /bank_accounts`.
pub fn bank_accounts(api: &Api, body: &[u8]) -> Result<Vec<LedgerAccount>> {
    const OP: &str = "bank_accounts.list";
    let list: Accounts = from_json(OP, body)?;
    list.bank_accounts.into_iter().map(|a| a.read(api, OP)).collect()
}

/// `GET /bank_accounts/{id}`: the one that was asked for.
pub fn bank_account(api: &Api, id: &AccountId, body: &[u8]) -> Result<LedgerAccount> {
    const OP: &str = "bank_account.get";
    let account = from_json::<OneAccount>(OP, body)?.bank_account.read(api, OP)?;
    if account.id == *id {
        return Ok(account);
    }
    Err(Error::contract(OP, "FreeAgent answered with another account than the one asked for"))
}

/// A line of a bank account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(pub RegisterLine);

impl Listed for Line {
    type Key = String;
    fn key(&self) -> String {
        self.0.id.clone()
    }
}

#[derive(Deserialize)]
struct Transactions {
    bank_transactions: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    url: String,
    amount: Money,
    bank_account: String,
    dated_on: Date,
    description: Option<String>,
    full_description: Option<String>,
    unexplained_amount: Option<Money>,
    is_manual: bool,
    #[serde(default)]
    bank_transaction_explanations: Vec<Explanation>,
}

#[derive(Deserialize)]
struct Explanation {
    attachment: Option<Value>,
}

/// `GET /bank_transactions`: lines of this account and this period, and nothing else.
pub fn transactions(api: &Api, account: &AccountId, period: &Period, imported: bool, body: &[u8]) -> Result<Vec<Line>> {
    const OP: &str = "bank_transactions.list";
    let list: Transactions = from_json(OP, body)?;
    let line = |t: Transaction| {
        if api.id_of(OP, "bank_accounts", &t.bank_account)? != account.as_str() {
            return Err(Error::contract(OP, "a line belongs to another account than the one asked for"));
        }
        if !(period.start..=period.end).contains(&t.dated_on) {
            return Err(Error::contract(OP, "a line lies outside the period asked for"));
        }
        if imported && t.is_manual {
            return Err(Error::contract(OP, "a line that was entered by hand is among those of the bank"));
        }
        Ok(Line(RegisterLine {
            id: api.id_of(OP, "bank_transactions", &t.url)?,
            date: t.dated_on,
            kind: if t.is_manual { "manual" } else { "imported" }.to_owned(),
            payee: String::new(),
            reference: String::new(),
            description: filled(t.full_description).or(t.description).unwrap_or_default(),
            amount: t.amount.0,
            balance: None,
            // FreeAgent's word is "explained": the line stands for something in the books, in full.
            reconciled: t.unexplained_amount.map(|m| m.0.is_zero()),
            has_documents: t
                .bank_transaction_explanations
                .iter()
                .any(|e| e.attachment.as_ref().is_some_and(|a| !a.is_null())),
        }))
    };
    list.bank_transactions.into_iter().map(line).collect()
}

/// The lines as a register, in the order of their days.
pub fn register(account: LedgerAccount, company: &LedgerProfile, imported: bool, lines: &[Line]) -> Register {
    let mut lines: Vec<_> = lines.iter().map(|l| l.0.clone()).collect();
    // Ids are numbers of different lengths, in the order in which the lines were entered.
    lines.sort_by(|a, b| (a.date, a.id.len(), &a.id).cmp(&(b.date, b.id.len(), &b.id)));
    let by_hand = lines.iter().filter(|l| l.kind == "manual").count();
    let unexplained = lines.iter().filter(|l| l.reconciled == Some(false)).count();
    let note = |n: usize, what: &str| (n > 0).then(|| format!("{n} of {} lines {what}.", lines.len()));
    let notes = [note(by_hand, "were entered by hand"), note(unexplained, "are not explained in the books yet")];
    Register {
        account: account.id,
        account_name: account.name,
        account_number: account.number,
        organisation: Some(company.name.clone()),
        currency: account.currency,
        source: match imported {
            true => RegisterSource::Bank { imported: "imported".to_owned() },
            false => RegisterSource::Books,
        },
        // FreeAgent states the balance of today alone.
        opening: None,
        closing: None,
        closing_on: None,
        notes: notes.into_iter().flatten().collect(),
        lines,
    }
}

//! From what somebody typed for bank accounts to accounts of a client's ledgers.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccountId, ConnectionName, FolderKey, LedgerAccount, LedgerId, SourceKind, SourceRef};

use super::{
    act,
    outcome::{Exit, Failure},
};
use crate::{
    app::App,
    deliver,
    domain::{
        change::ChangeOp,
        firm::{AccountRef, Client, Firm, SelectionScope},
    },
};

pub struct Chosen {
    pub accounts: BTreeSet<AccountRef>,
    pub notes: Vec<String>,
}

type Ledger = (ConnectionName, LedgerId, Option<Vec<LedgerAccount>>);

/// Each of `typed` is `CONNECTION:LEDGER:ACCOUNT`, or the account alone where the client has one ledger. An account is its
/// id, code or name. Where the ledger's accounts were read before, one that is not among them is refused.
pub async fn chosen(app: &App, client: &Client, typed: &[String]) -> Result<Chosen, Failure> {
    let ledgers: Vec<(ConnectionName, LedgerId)> = client
        .sources
        .iter()
        .filter(|s| s.kind == SourceKind::Ledger)
        .map(|s| (s.connection.clone(), LedgerId(s.id.clone())))
        .collect();
    let mut ledgers: Vec<Ledger> = app
        .store
        .run(move |db| {
            ledgers
                .into_iter()
                .map(|(connection, ledger)| {
                    let accounts = db.accounts(&connection, &ledger)?;
                    Ok((connection, ledger, accounts))
                })
                .collect()
        })
        .await?;
    let mut out = Chosen { accounts: BTreeSet::new(), notes: Vec::new() };
    for text in typed {
        let (ledger, account) = apart(client, &mut ledgers, text.trim())?;
        if ledger.2.is_none() {
            out.notes.extend(read(app, ledger, account).await?);
        }
        out.accounts.insert(known(ledger, account)?);
    }
    if out.accounts.is_empty() {
        return Err(Failure::new(Exit::Usage, "an empty list of accounts")
            .next("Name at least one account, or choose the whole client."));
    }
    Ok(out)
}

/// What the ledgers call the accounts that have folders of their own, as far as they were read. An id that two ledgers of a client
/// have in common is no account's name.
pub async fn names(
    app: &App,
    firm: &Firm,
    folders: impl IntoIterator<Item = &FolderKey>,
) -> Result<BTreeMap<FolderKey, String>, Failure> {
    let folders: BTreeSet<FolderKey> = folders.into_iter().filter(|f| f.account.is_some()).cloned().collect();
    let of = |f: FolderKey| {
        let sources = firm.clients.get(&f.client).map(|c| c.sources.clone()).unwrap_or_default();
        (f, sources.into_iter().filter(|s| s.kind == SourceKind::Ledger).collect::<Vec<_>>())
    };
    let wanted: Vec<_> = folders.into_iter().map(of).collect();
    Ok(app
        .store
        .run(move |db| {
            let mut names = BTreeMap::new();
            for (folder, ledgers) in wanted {
                let mut found = Vec::new();
                for s in ledgers {
                    let list = db.accounts(&s.connection, &LedgerId(s.id))?.unwrap_or_default();
                    found.extend(list.into_iter().find(|a| Some(&a.id) == folder.account.as_ref()).map(|a| a.name));
                }
                if let [name] = found.as_slice() {
                    names.insert(folder, String::clone(name));
                }
            }
            Ok(names)
        })
        .await?)
}

/// What a file of the firm chooses, by id. An account that its ledger is known not to have is refused; notes name the ledgers
/// whose accounts are not known yet.
pub async fn of_file(app: &App, ops: &[ChangeOp]) -> Result<Vec<String>, Failure> {
    let chosen: BTreeSet<AccountRef> = ops
        .iter()
        .filter_map(|op| match op {
            ChangeOp::SetAccounts { accounts: Some(accounts), .. }
            | ChangeOp::Select { scope: SelectionScope::Accounts(accounts), .. } => Some(accounts),
            _ => None,
        })
        .flatten()
        .cloned()
        .collect();
    let of = chosen.clone();
    let known: Vec<Option<Vec<LedgerAccount>>> =
        app.store.run(move |db| of.iter().map(|a| db.accounts(&a.connection, &a.ledger)).collect()).await?;
    let mut unread = BTreeSet::new();
    for (account, list) in chosen.iter().zip(known) {
        let AccountRef { connection, ledger, account } = account;
        match list {
            None => {
                unread.insert(format!("{connection}:{ledger}"));
            }
            Some(list) if list.iter().any(|l| l.id == *account) => {}
            Some(list) => {
                let has: Vec<&str> = list.iter().map(|l| l.id.as_str()).collect();
                return Err(Failure::new(Exit::Failed, format!("{connection}:{ledger} has no account \"{account}\""))
                    .next(format!("It has: {}. Nothing was changed.", has.join(", "))));
            }
        }
    }
    let note = |ledger| {
        format!("The accounts of {ledger} have not been read yet; those of the file are checked when they are.")
    };
    Ok(unread.into_iter().map(note).collect())
}

/// Asks the provider for accounts that were never read. Where that cannot be done now, what was typed is kept as the
/// account's id and the note says so.
async fn read(app: &App, ledger: &mut Ledger, account: &str) -> Result<Option<String>, Failure> {
    let (connection, id, known) = ledger;
    let reference = SourceRef { connection: connection.clone(), kind: SourceKind::Ledger, id: id.0.clone() };
    match deliver::accounts_now(app, &reference).await? {
        Ok(list) => {
            *known = Some(list);
            Ok(None)
        }
        Err(e) => Ok(Some(format!(
            "The accounts of {connection}:{id} could not be read ({e}), so \"{account}\" is taken for the account's id. It is checked when they are read."
        ))),
    }
}

fn known((connection, id, list): &Ledger, account: &str) -> Result<AccountRef, Failure> {
    let account = match list {
        None => AccountId(account.to_owned()),
        Some(list) => listed(list, account, connection, id)?,
    };
    Ok(AccountRef { connection: connection.clone(), ledger: id.clone(), account })
}

/// Which of the client's ledgers somebody typed, and the account as typed.
fn apart<'l, 't>(
    client: &Client,
    ledgers: &'l mut [Ledger],
    text: &'t str,
) -> Result<(&'l mut Ledger, &'t str), Failure> {
    if text.is_empty() {
        return Err(Failure::new(Exit::Usage, "an account with no name in it")
            .next("Name at least one account, or choose the whole client."));
    }
    let which = match (text.split(':').collect::<Vec<_>>().as_slice(), ledgers) {
        ([connection, ledger, account], ledgers) => {
            let has: Vec<String> = ledgers.iter().map(|(c, l, _)| format!("{c}:{l}")).collect();
            let missing = || {
                Failure::new(Exit::Failed, format!("{} is not bound to {connection}:{ledger}", client.slug)).next(
                    format!("It is bound to: {}", if has.is_empty() { "nothing".to_owned() } else { has.join(", ") }),
                )
            };
            let found = ledgers.iter_mut().find(|(c, l, _)| c.as_str() == *connection && l.as_str() == *ledger);
            (found.ok_or_else(missing)?, *account)
        }
        ([account], [only]) => (only, *account),
        ([_], []) => {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} is bound to no ledger, so it has no accounts", client.slug),
            )
            .next("Bind it first: ledgerward clients bind CLIENT CONNECTION ID"));
        }
        ([account], several) => {
            let forms: Vec<String> = several.iter().map(|(c, l, _)| format!("{c}:{l}:{account}")).collect();
            return Err(Failure::new(
                Exit::Failed,
                format!("{} has several ledgers, and {account} could be of any", client.slug),
            )
            .next(format!("Write one of: {}", forms.join(", "))));
        }
        _ => {
            return Err(Failure::new(Exit::Usage, format!("\"{text}\" is no account"))
                .next("Write CONNECTION:LEDGER:ACCOUNT, or the account alone where the client has one ledger."));
        }
    };
    Ok(which)
}

fn listed(
    list: &[LedgerAccount],
    typed: &str,
    connection: &ConnectionName,
    ledger: &LedgerId,
) -> Result<AccountId, Failure> {
    let lower = typed.to_lowercase();
    if let Some(exact) = list.iter().find(|a| a.id.as_str() == typed) {
        return Ok(exact.id.clone());
    }
    let same = |a: &&LedgerAccount| {
        a.name.to_lowercase() == lower || a.code.as_ref().is_some_and(|c| c.to_lowercase() == lower)
    };
    let found: Vec<&LedgerAccount> = list.iter().filter(same).collect();
    match found.as_slice() {
        [single] => Ok(single.id.clone()),
        [] => {
            let names: Vec<String> = list
                .iter()
                .flat_map(|a| [a.name.clone(), a.code.clone().unwrap_or_default()])
                .filter(|n| !n.is_empty())
                .collect();
            let failure = Failure::new(Exit::Failed, format!("{connection}:{ledger} has no account \"{typed}\""))
                .next(format!("It has: {}", names.join(", ")));
            Err(act::suggest(failure, typed, &names))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|a| a.id.as_str()).collect();
            Err(Failure::new(Exit::Failed, format!("\"{typed}\" could be {}", ids.join(" or ")))
                .next("Write one of these."))
        }
    }
}

//! What each folder should be called.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccountId, ClientId, LedgerId, SourceKind};

use super::Book;
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{firm::TargetName, lane::LaneKey, names, policy::Decider},
    store::Db,
};

/// What ledgers call the accounts that have a folder of their own, as far as they were read. Two of one name in a client are
/// told apart by their ids.
pub(super) async fn account_names(
    app: &App,
    book: &Book,
    decider: &Decider<'_>,
) -> Result<BTreeMap<(ClientId, AccountId), String>, Failure> {
    let with_own = book.lanes.keys().filter(|k| k.folder.account.is_some()).map(|k| k.folder.client);
    let clients: BTreeSet<ClientId> = with_own.collect();
    let sources = clients.iter().filter_map(|c| decider.firm().clients.get(c)).flat_map(|c| {
        let ledgers = c.sources.iter().filter(|s| s.kind == SourceKind::Ledger);
        ledgers.map(|s| (c.id, s.connection.clone(), LedgerId(s.id.clone())))
    });
    let sources: Vec<_> = sources.collect();
    let read = move |db: &mut Db| {
        let mut all = Vec::new();
        for (client, connection, ledger) in sources {
            all.extend(db.accounts(&connection, &ledger)?.into_iter().flatten().map(|a| (client, a.id, a.name)));
        }
        Ok(all)
    };
    let all = app.store.run(read).await?;
    let twins = |client: ClientId, name: &str| all.iter().filter(|(c, _, n)| *c == client && n == name).count() > 1;
    let named = all.iter().filter(|(.., name)| !name.trim().is_empty()).map(|(client, id, name)| {
        let name = if twins(*client, name) { format!("{name} {id}") } else { name.clone() };
        ((*client, id.clone()), name)
    });
    Ok(named.collect())
}

/// The name each folder should have: the client's, or with a suffix where two would be one. A folder that exists and is
/// still named after its client keeps its name, whoever came later.
pub(super) fn name_folders(book: &mut Book, decider: &Decider<'_>, accounts: &BTreeMap<(ClientId, AccountId), String>) {
    let mut taken: BTreeMap<TargetName, BTreeSet<String>> = BTreeMap::new();
    let plain = |key: &LaneKey| -> Option<String> {
        let client = decider.firm().clients.get(&key.folder.client)?;
        Some(match &key.folder.account {
            None => client.name.clone(),
            Some(account) => {
                let name = accounts.get(&(client.id, account.clone())).map_or(account.as_str(), String::as_str);
                format!("{} – {name}", client.name)
            }
        })
    };
    for named in [true, false] {
        for (key, known) in &mut book.lanes {
            let exists = known.folder().is_some();
            if exists != named {
                continue;
            }
            let id = key.folder.client.0;
            let renames = book.renames.get(&key.target).copied().unwrap_or(false);
            let taken = taken.entry(key.target.clone()).or_default();
            let stored = known.row.as_ref().map(|r| r.name.clone()).unwrap_or_default();
            let Some(wanted) = plain(key) else {
                known.name = stored;
                continue;
            };
            let component = names::component(&wanted, &id);
            let still = exists && (stored == component || stored == names::suffixed(&component, &names::id8(&id)));
            let was = known.adopted_name.as_ref().is_some_and(|n| n.folder == stored && n.client == wanted);
            known.name = if still || (exists && was) { stored.clone() } else { names::assign(taken, &wanted, &id) };
            taken.insert(names::unique_key(&known.name));
            // Where a folder is its name it keeps that, whatever its client is called now.
            if exists && !renames {
                taken.insert(names::unique_key(&stored));
            }
        }
    }
}

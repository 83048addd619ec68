//! Of which ledger's account an account's folder is. Its key does not say, and the files in it stay when selections change:
//! once it has papers of one ledger's account it never takes those of another's.

use std::collections::BTreeMap;

use super::Job;
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{firm::AccountRef, policy::Papers},
    lanes::lane_text,
};

/// By [`lane_text`], from before the first file on. A new folder of the lane ([`super::forget`]) may be another one's.
pub const ACCOUNT: &str = "folder_account";

pub(super) async fn accounts(app: &App) -> Result<BTreeMap<String, AccountRef>, Failure> {
    Ok(app.store.run(|db| db.doc_all(ACCOUNT)).await?)
}

/// Why this folder takes nothing of what is selected now.
pub(super) fn another(papers: Papers<'_>, was: Option<&AccountRef>, client: &str, target: &str) -> Option<String> {
    let (Papers::Of(is), Some(was)) = (papers, was) else { return None };
    was.clashes(is).then(|| {
        format!(
            "it has papers of account {} of {}:{}, and that of {}:{} is selected now; delete that folder and have a new one made (ledgerward clients new-folder {client} {target} --reason TEXT), or make the second ledger a client of its own",
            was.account, was.connection, was.ledger, is.connection, is.ledger
        )
    })
}

impl Job<'_> {
    /// The folder is this account's from now on.
    pub(super) async fn claim(&mut self, at: usize) -> Result<(), Failure> {
        let Some(door) = self.doors.get_mut(at).filter(|d| !d.claimed) else { return Ok(()) };
        door.claimed = true;
        let Papers::Of(account) = door.papers else { return Ok(()) };
        let (lane, account) = (lane_text(&door.lane), account.clone());
        Ok(self.app.store.run_grouped(move |db| db.doc_put(ACCOUNT, &lane, &account)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_papers_of_one_ledger_takes_none_of_another() {
        let account =
            |ledger: &str| AccountRef { connection: "qbo".into(), ledger: ledger.into(), account: "35".into() };
        let (a, b) = (account("121"), account("122"));
        let why = another(Papers::Of(&b), Some(&a), "acme-ltd", "drive").unwrap();
        assert!(
            why.starts_with("it has papers of account 35 of qbo:121, and that of qbo:122 is selected now"),
            "{why}"
        );
        assert!(why.contains("clients new-folder acme-ltd drive"), "{why}");
        for (papers, was) in [(Papers::Of(&a), Some(&a)), (Papers::Of(&a), None), (Papers::All, None)] {
            assert_eq!(another(papers, was, "acme-ltd", "drive"), None);
        }
    }
}

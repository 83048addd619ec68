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

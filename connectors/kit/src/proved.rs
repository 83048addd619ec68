//! Whether a list is its ledger's own, where the vendor's answer does not say whose it is (P09).

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
};

use ledgerward_contract::{LedgerId, Result};

/// The lists that were proved. It saves requests and decides nothing: what is forgotten is proved again.
#[derive(Debug, Default)]
pub struct Proved {
    hashing: RandomState,
    /// By ledger and page: a hash of the last list.
    last: Mutex<HashMap<(LedgerId, u32), u64>>,
}

impl Proved {
    /// Asks `whose`, a call in which the same ledger names itself, unless `list` is what was proved last; so a list that stays as
    /// it was costs no second request. `list` is what was read and not the body, in which a vendor may write the time.
    ///
    /// Errors: those of `whose`, and then the list must not be used.
    pub async fn check<W>(
        &self,
        ledger: &LedgerId,
        page: u32,
        list: &[impl Debug + Sync],
        whose: impl Future<Output = Result<W>> + Send,
    ) -> Result<()> {
        let (at, hash) = ((ledger.clone(), page), self.hashing.hash_one(format!("{list:?}")));
        if self.last().get(&at) != Some(&hash) {
            whose.await?;
            self.last().insert(at, hash);
        }
        Ok(())
    }

    fn last(&self) -> std::sync::MutexGuard<'_, HashMap<(LedgerId, u32), u64>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

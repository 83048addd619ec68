//! The kit's [`Vault`] and [`DayCounter`] over the store. The rules are in `signin.rs`, `spool.rs` and `runs.rs`; here they
//! only cross to the store's thread and its errors to the kit's kinds.

use async_trait::async_trait;
use ledgerward_contract::{Date, Error, ErrorKind, Result, Timestamp};
use ledgerward_kit::{
    DayCounter,
    vault::{Durable, NewTokens, StoredTokens, Vault},
};

use super::{Kind, Store, StoreError};

fn kit_error(op: &'static str) -> impl FnOnce(StoreError) -> Error {
    move |e| {
        let kind = match e.kind {
            Kind::Missing | Kind::NotFound => ErrorKind::NotFound,
            Kind::Secret | Kind::Refused | Kind::Newer => ErrorKind::Config,
            // The kit takes a conflict for "somebody stored a newer token" and lets its own go. A row that the file itself
            // refuses (a constraint, a trigger) is no such thing: the token must be tried again.
            Kind::Conflict if e.source.is_none() => ErrorKind::Conflict,
            Kind::Conflict => ErrorKind::Unavailable,
            Kind::Closed => ErrorKind::Cancelled,
            Kind::Locked | Kind::Damaged | Kind::Full | Kind::Io => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, op, e.message.clone());
        let error = match &e.next {
            Some(next) => error.next(next.clone()),
            None => error,
        };
        error.source(e)
    }
}

#[async_trait]
impl Vault for Store {
    async fn load(&self, sign_in: &str) -> Result<Durable<StoredTokens>> {
        let id = sign_in.to_owned();
        self.run(move |db| db.tokens(&id)).await.map(Durable::committed).map_err(kit_error("vault.load"))
    }

    async fn intend(&self, sign_in: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()> {
        let id = sign_in.to_owned();
        self.run(move |db| db.tokens_intend(&id, generation, attempt, at)).await.map_err(kit_error("vault.intend"))
    }

    async fn commit(&self, sign_in: &str, expected_generation: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        let (id, new) = (sign_in.to_owned(), new.clone());
        self.run(move |db| db.tokens_commit(&id, expected_generation, &new))
            .await
            .map(Durable::committed)
            .map_err(kit_error("vault.commit"))
    }

    async fn spool(&self, sign_in: &str, expected_generation: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        let (id, new) = (sign_in.to_owned(), new.clone());
        self.run(move |db| db.tokens_spool(&id, expected_generation, &new))
            .await
            .map(Durable::committed)
            .map_err(kit_error("vault.spool"))
    }

    async fn settle_previous(&self, sign_in: &str, generation: u64) -> Result<()> {
        let id = sign_in.to_owned();
        self.run(move |db| db.tokens_settle(&id, generation)).await.map_err(kit_error("vault.settle_previous"))
    }

    async fn needs_reauth(&self, sign_in: &str, generation: u64, why: &str, at: Timestamp) -> Result<()> {
        let (id, why) = (sign_in.to_owned(), why.to_owned());
        self.run(move |db| db.tokens_need_reauth(&id, generation, &why, at))
            .await
            .map_err(kit_error("vault.needs_reauth"))
    }
}

#[async_trait]
impl DayCounter for Store {
    async fn get(&self, key: &str, day: Date) -> Result<u32> {
        let key = key.to_owned();
        self.run(move |db| db.day_count(&key, day)).await.map_err(kit_error("quota.get"))
    }

    async fn add(&self, key: &str, day: Date, n: u32) -> Result<u32> {
        let key = key.to_owned();
        self.run_grouped(move |db| db.day_add(&key, day, n)).await.map_err(kit_error("quota.add"))
    }

    async fn at_least(&self, key: &str, day: Date, used: u32) -> Result<()> {
        let key = key.to_owned();
        self.run_grouped(move |db| db.day_at_least(&key, day, used).map(|_| ()))
            .await
            .map_err(kit_error("quota.at_least"))
    }
}

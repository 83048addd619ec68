//! Where tokens live. The store implements [`Vault`] over SQLite; the protocol in [`crate::tokens`] uses it.

use async_trait::async_trait;
use ledgerward_contract::{Result, Secret, Timestamp};

/// Something that is on the disk and will be there after a power cut.
///
/// Made by a vault after its commit returned, and by sources whose tokens can always be made anew. The auth layer accepts
/// nothing else, so that a token which could still be lost cannot be used (I8).
#[derive(Clone, Debug)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// For vaults alone: states that `value` is durable, or that losing it loses nothing.
    pub const fn committed(value: T) -> Self {
        Self(value)
    }

    pub const fn get(&self) -> &T {
        &self.0
    }

    pub fn into_inner(self) -> T {
        self.0
    }

    /// A part of something durable is durable.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(f(self.0))
    }
}

/// What a sign-in is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInState {
    Active,
    /// A refresh was begun at `since` and its outcome is not stored yet. Found after a start, it means that we died in
    /// between: the same refresh token is sent again (T02, T03).
    Refreshing {
        since: Timestamp,
        attempt: u32,
    },
    /// The vendor refused the refresh token for good. A person signs in again; the old ciphertext stays.
    NeedsReauth {
        since: Timestamp,
        why: String,
    },
    /// New tokens exist that are in the spool file only, because the database could not be written (T05).
    Degraded {
        since: Timestamp,
    },
}

/// One sign-in's row.
#[derive(Clone, Debug)]
pub struct StoredTokens {
    /// Counts every commit. Two rows of one generation hold the same tokens.
    pub generation: u64,
    pub access: Option<Secret>,
    /// When `access` was given out, by our clock.
    pub access_issued_at: Option<Timestamp>,
    pub access_expires_at: Option<Timestamp>,
    pub refresh: Option<Secret>,
    /// When the vendor says the refresh token ends, whatever we do (QuickBooks).
    pub refresh_expires_at: Option<Timestamp>,
    /// The refresh token before this one, kept until the new one has worked.
    pub previous: Option<Secret>,
    pub state: SignInState,
    pub last_refreshed: Option<Timestamp>,
    /// When a person signed in.
    pub issued_at: Timestamp,
}

/// What a token endpoint gave, ready to be stored. Secrets are absent only where the vendor gives none.
#[derive(Clone, Debug)]
pub struct NewTokens {
    pub access: Secret,
    pub access_issued_at: Timestamp,
    pub access_expires_at: Timestamp,
    /// Already the old one where the answer named none (T08).
    pub refresh: Option<Secret>,
    pub refresh_expires_at: Option<Timestamp>,
    /// The token that was sent, if it differs from `refresh`.
    pub previous: Option<Secret>,
}

/// Durable storage for tokens, one row a sign-in. `sign_in` is the id of the row.
///
/// Secrets are sealed at rest with the sign-in's id as associated data (`decisions` 6). Nothing here ever deletes a
/// ciphertext; a row that cannot be opened is an error of kind `Config` and stays as it is (T15).
#[async_trait]
pub trait Vault: Send + Sync {
    /// The newest durable tokens. A spool file of a higher generation than the row is brought into the row first, and
    /// removed; where the database still cannot be written, the spool's content is given, with state `Degraded`.
    ///
    /// Errors: `NotFound` for an unknown sign-in, `Config` for one that cannot be opened, `Unavailable` for the rest.
    async fn load(&self, sign_in: &str) -> Result<Durable<StoredTokens>>;

    /// The write gate before a token call: sets `Refreshing { since: at, attempt }` and writes the same ciphertext again,
    /// in one transaction that is synced before this returns. A `Refreshing` row keeps its `since`.
    ///
    /// Errors: `Conflict` if the row is of another generation (read again); anything else means the disk cannot be trusted
    /// to take the new token, and no call is made (T05).
    async fn intend(&self, sign_in: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()>;

    /// Stores the new tokens as `expected_generation + 1`, state `Active`, `last_refreshed = new.access_issued_at`, and
    /// gives the row back. Removes a spool file of this or an older generation. Synced before it returns.
    ///
    /// Errors: `Conflict` if the row's generation is not the expected one; then nothing was written.
    async fn commit(&self, sign_in: &str, expected_generation: u64, new: &NewTokens) -> Result<Durable<StoredTokens>>;

    /// The place of last resort when `commit` failed after the vendor had answered: writes the sealed tokens to a file of
    /// their own (O_EXCL, synced with its directory), as generation `expected_generation + 1`, state `Degraded`.
    async fn spool(&self, sign_in: &str, expected_generation: u64, new: &NewTokens) -> Result<Durable<StoredTokens>>;

    /// Forgets `previous`, if the row still has this generation. Not an error if it has not.
    async fn settle_previous(&self, sign_in: &str, generation: u64) -> Result<()>;

    /// The refresh token was refused for good. Sets the state if the row still has this generation, keeps every secret.
    async fn needs_reauth(&self, sign_in: &str, generation: u64, why: &str, at: Timestamp) -> Result<()>;
}

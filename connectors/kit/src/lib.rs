//! What a connector stands on.
//!
//! * [`stack`]: the layers between a connector and the wire, in their order. [`transport`] is the wire, [`hosts`] says
//!   where it may lead.
//! * [`answer`]: what all vendors share about statuses, waiting times and JSON. A connector's `classify` begins there.
//! * [`tokens`]: the token protocol, over a [`vault::Vault`] that the store implements. [`oauth`] is the vendor's token
//!   endpoint, [`signin`] how a person signs in, [`service_account`] and [`app_only`] how a machine does.
//! * [`settings`]: a connector's own part of the configuration.
//! * [`wait`]: how a connector waits within a call, and for how long at most.
//! * [`fake`]: vendors as pure functions, for tests and the sandbox. `testing` (a feature) is what tests of connectors share.
//! * [`neighbours`]: a root folder's listing, kept for one cycle, for targets that can only search by listing.
//! * [`fake`]: vendors as pure functions, for tests and the sandbox.

pub mod answer;
pub mod app_only;
pub mod clock;
pub mod cursor;
pub mod fake;
pub mod hosts;
pub mod keepalive;
pub mod layers;
mod minted;
pub mod neighbours;
pub mod oauth;
pub mod proved;
pub mod service_account;
pub mod settings;
pub mod signin;
pub mod stack;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
pub mod transport;
pub mod vault;
pub mod wait;

pub use answer::{
    about, classify_common, decode, filled, from_json, is_html, present, request_id, retry_after, safe_word,
    says_error, whole,
};
pub use app_only::AppOnly;
pub use clock::{Clock, SystemClock, TokioClock};
pub use cursor::{cursor, state};
pub use hosts::Hosts;
pub use keepalive::{Expiry, expiry, next_refresh_due};
pub use layers::{
    Verdict,
    auth::{Bearer, Fixed, TokenSource},
    deadline::Deadlines,
    no_verdict,
    quota::{DayCounter, MemoryDays, Quotas},
};
pub use neighbours::{Neighbours, RootMemory, Spot};
pub use oauth::OAuthClient;
pub use proved::Proved;
pub use service_account::ServiceAccount;
pub use signin::{Callback, Claims, SignInFlow, SignedIn};
pub use stack::{Stack, StackConfig};
pub use tokens::OAuthTokens;
pub use transport::{HttpOptions, HttpTransport};
pub use vault::{Durable, NewTokens, SignInState, StoredTokens, Vault};
pub use wait::{pause, within};

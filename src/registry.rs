//! The connectors of this build. The only file that names them.

use std::{fmt::Write as _, net::SocketAddr};

use ledgerward_contract::{Factory, Manifest};
use ledgerward_kit::{
    fake::Fake,
    layers::{Verdict, no_verdict},
};
use serde_json::Value;

/// A kind of connector and what the program needs to know to run it.
pub struct Entry {
    pub factory: &'static dyn Factory,
    /// Limits that the vendor states by something else than 429.
    pub verdict: Verdict,
    /// The vendor's fake for the sandbox, from a seed and the address it will be reached under.
    pub fake: Option<fn(&Value, SocketAddr) -> Result<Box<dyn Fake>, String>>,
}

/// In the order in which they are listed for people.
pub static CONNECTORS: &[Entry] = &[
    #[cfg(feature = "xero")]
    Entry { factory: &ledgerward_xero::FACTORY, verdict: no_verdict, fake: Some(fakes::xero) },
    #[cfg(feature = "google-drive")]
    Entry {
        factory: &ledgerward_google_drive::FACTORY,
        verdict: ledgerward_google_drive::retry_hint,
        fake: Some(fakes::google_drive),
    },
    #[cfg(feature = "local")]
    Entry { factory: &ledgerward_local::FACTORY, verdict: no_verdict, fake: None },
];

mod fakes {
    use super::{Fake, SocketAddr, Value};

    #[cfg(feature = "xero")]
    pub fn xero(seed: &Value, _: SocketAddr) -> Result<Box<dyn Fake>, String> {
        Ok(Box::new(ledgerward_xero::fake::Fake::from_seed(seed)?))
    }

    #[cfg(feature = "google-drive")]
    pub fn google_drive(seed: &Value, at: SocketAddr) -> Result<Box<dyn Fake>, String> {
        let mut seed = seed.clone();
        if let Some(map) = seed.as_object_mut() {
            map.insert("base".into(), Value::String(format!("http://{at}")));
        }
        Ok(Box::new(ledgerward_google_drive::fake::Fake::from_seed(&seed)?))
    }
}

pub fn entry(connector: &str) -> Option<&'static Entry> {
    CONNECTORS.iter().find(|e| e.factory.manifest().name == connector)
}

pub fn manifests() -> impl Iterator<Item = &'static Manifest> {
    CONNECTORS.iter().map(|e| e.factory.manifest())
}

/// The names that `connector = "…"` may have, for a message.
pub fn names() -> String {
    let mut text = String::new();
    for m in manifests() {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { ", " }, m.name);
    }
    text
}

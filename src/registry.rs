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
    /// The set of scopes that the settings need, where it is not the manifest's first.
    pub scope_set: fn(&Value) -> Option<&'static str>,
    /// The vendor's stand-in for the sandbox.
    pub fake: Option<FakeMaker>,
}

/// A stand-in, or why there is none.
type Made = Result<Box<dyn Fake>, String>;

/// Makes a stand-in, for the address it will be reached under.
pub struct FakeMaker {
    pub from_seed: fn(&Value, SocketAddr) -> Made,
    /// From what [`Fake::save`] gave.
    pub restore: fn(&Value, SocketAddr) -> Made,
    /// A vendor with so many ledgers, for measuring.
    pub many: Option<fn(usize) -> Made>,
    /// The demo's firm at this vendor.
    pub sample: &'static str,
}

fn first_set(_: &Value) -> Option<&'static str> {
    None
}

/// In the order in which they are listed for people.
pub static CONNECTORS: &[Entry] = &[
    #[cfg(feature = "xero")]
    Entry {
        factory: &ledgerward_xero::FACTORY,
        verdict: no_verdict,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: fakes::xero,
            restore: fakes::xero_again,
            many: Some(|count| Ok(Box::new(ledgerward_xero::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/xero.json"),
        }),
    },
    #[cfg(feature = "google-drive")]
    Entry {
        factory: &ledgerward_google_drive::FACTORY,
        verdict: ledgerward_google_drive::retry_hint,
        scope_set: |settings| ledgerward_google_drive::Settings::parse(settings).ok().map(|s| s.scope_set()),
        fake: Some(FakeMaker {
            from_seed: fakes::google_drive,
            restore: fakes::google_drive_again,
            many: None,
            sample: include_str!("../fixtures/firm/google-drive.json"),
        }),
    },
    #[cfg(feature = "local")]
    Entry { factory: &ledgerward_local::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "process")]
    Entry { factory: &ledgerward_process::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "roster")]
    Entry { factory: &ledgerward_roster::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
];

mod fakes {
    use super::{Made, SocketAddr, Value};

    #[cfg(feature = "xero")]
    pub fn xero(seed: &Value, _: SocketAddr) -> Made {
        Ok(Box::new(ledgerward_xero::fake::Fake::from_seed(seed)?))
    }

    #[cfg(feature = "xero")]
    pub fn xero_again(saved: &Value, _: SocketAddr) -> Made {
        Ok(Box::new(ledgerward_xero::fake::Fake::restore(saved)?))
    }

    #[cfg(feature = "google-drive")]
    pub fn google_drive_again(saved: &Value, at: SocketAddr) -> Made {
        Ok(Box::new(ledgerward_google_drive::fake::DriveFake::restore(saved, &format!("http://{at}"))?))
    }

    #[cfg(feature = "google-drive")]
    pub fn google_drive(seed: &Value, at: SocketAddr) -> Made {
        let mut seed = seed.clone();
        if let Some(map) = seed.as_object_mut() {
            map.insert("base".into(), Value::String(format!("http://{at}")));
        }
        Ok(Box::new(ledgerward_google_drive::fake::DriveFake::from_seed(&seed)?))
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

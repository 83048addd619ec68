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
            from_seed: |seed, _| Ok(Box::new(ledgerward_xero::fake::Fake::from_seed(seed)?)),
            restore: |saved, _| Ok(Box::new(ledgerward_xero::fake::Fake::restore(saved)?)),
            many: Some(|count| Ok(Box::new(ledgerward_xero::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/xero.json"),
        }),
    },
    #[cfg(feature = "zoho-books")]
    Entry {
        factory: &ledgerward_zoho_books::FACTORY,
        verdict: ledgerward_zoho_books::retry_hint,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, _| Ok(Box::new(ledgerward_zoho_books::fake::Fake::from_seed(seed)?)),
            restore: |saved, _| Ok(Box::new(ledgerward_zoho_books::fake::Fake::restore(saved)?)),
            many: Some(|count| Ok(Box::new(ledgerward_zoho_books::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/zoho-books.json"),
        }),
    },
    #[cfg(feature = "quickbooks")]
    Entry {
        factory: &ledgerward_quickbooks::FACTORY,
        verdict: ledgerward_quickbooks::retry_hint,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_quickbooks::fake::Fake::from_seed(&based(seed, at))?)),
            restore: |saved, at| Ok(Box::new(ledgerward_quickbooks::fake::Fake::restore(saved, &base(at))?)),
            many: Some(|count| Ok(Box::new(ledgerward_quickbooks::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/quickbooks.json"),
        }),
    },
    #[cfg(feature = "myob")]
    Entry {
        factory: &ledgerward_myob::FACTORY,
        verdict: ledgerward_myob::retry_hint,
        scope_set: ledgerward_myob::scope_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_myob::fake::Fake::from_seed(&based(seed, at))?)),
            restore: |saved, at| Ok(Box::new(ledgerward_myob::fake::Fake::restore(saved, &base(at))?)),
            many: None,
            sample: include_str!("../fixtures/firm/myob.json"),
        }),
    },
    #[cfg(feature = "freeagent")]
    Entry {
        factory: &ledgerward_freeagent::FACTORY,
        verdict: no_verdict,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| {
                Ok(Box::new(ledgerward_freeagent::fake::Fake::from_seed(seed)?.at(&format!("{}/v2", base(at)))))
            },
            restore: |saved, at| {
                Ok(Box::new(ledgerward_freeagent::fake::Fake::restore(saved)?.at(&format!("{}/v2", base(at)))))
            },
            many: Some(|count| Ok(Box::new(ledgerward_freeagent::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/freeagent.json"),
        }),
    },
    #[cfg(feature = "business-central")]
    Entry {
        factory: &ledgerward_business_central::FACTORY,
        verdict: no_verdict,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_business_central::fake::Fake::from_seed(seed)?.at(&base(at)))),
            restore: |saved, at| Ok(Box::new(ledgerward_business_central::fake::Fake::restore(saved)?.at(&base(at)))),
            many: None,
            sample: include_str!("../fixtures/firm/business-central.json"),
        }),
    },
    #[cfg(feature = "xpm")]
    Entry {
        factory: &ledgerward_xpm::FACTORY,
        verdict: no_verdict,
        scope_set: ledgerward_xpm::scope_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_xpm::fake::Fake::from_seed(seed)?.at(&base(at)))),
            restore: |saved, at| Ok(Box::new(ledgerward_xpm::fake::Fake::restore(saved)?.at(&base(at)))),
            many: Some(|count| Ok(Box::new(ledgerward_xpm::fake::Fake::many(count)?))),
            sample: include_str!("../fixtures/firm/xpm.json"),
        }),
    },
    #[cfg(feature = "karbon")]
    Entry {
        factory: &ledgerward_karbon::FACTORY,
        verdict: no_verdict,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_karbon::fake::Fake::from_seed(&based(seed, at))?)),
            restore: |saved, at| Ok(Box::new(ledgerward_karbon::fake::Fake::restore(saved, &base(at))?)),
            many: None,
            sample: include_str!("../fixtures/firm/karbon.json"),
        }),
    },
    #[cfg(feature = "google-drive")]
    Entry {
        factory: &ledgerward_google_drive::FACTORY,
        verdict: ledgerward_google_drive::retry_hint,
        scope_set: |settings| ledgerward_google_drive::Settings::parse(settings).ok().map(|s| s.scope_set()),
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_google_drive::fake::DriveFake::from_seed(&based(seed, at))?)),
            restore: |saved, at| Ok(Box::new(ledgerward_google_drive::fake::DriveFake::restore(saved, &base(at))?)),
            many: None,
            sample: include_str!("../fixtures/firm/google-drive.json"),
        }),
    },
    #[cfg(feature = "microsoft-graph")]
    Entry {
        factory: &ledgerward_microsoft_graph::FACTORY,
        verdict: ledgerward_microsoft_graph::retry_hint,
        scope_set: |settings| ledgerward_microsoft_graph::Settings::parse(settings).ok().map(|s| s.scope_set()),
        fake: Some(FakeMaker {
            from_seed: |seed, at| {
                Ok(Box::new(ledgerward_microsoft_graph::fake::GraphFake::from_seed(&based(seed, at))?))
            },
            restore: |saved, at| Ok(Box::new(ledgerward_microsoft_graph::fake::GraphFake::restore(saved, &base(at))?)),
            many: None,
            sample: include_str!("../fixtures/firm/microsoft-graph.json"),
        }),
    },
    #[cfg(feature = "dropbox")]
    Entry {
        factory: &ledgerward_dropbox::FACTORY,
        verdict: ledgerward_dropbox::retry_hint,
        scope_set: |settings| ledgerward_dropbox::Settings::parse(settings).ok().map(|s| s.scope_set()),
        fake: Some(FakeMaker {
            from_seed: |seed, _| Ok(Box::new(ledgerward_dropbox::fake::DropboxFake::from_seed(seed)?)),
            restore: |saved, _| Ok(Box::new(ledgerward_dropbox::fake::DropboxFake::restore(saved)?)),
            many: None,
            sample: include_str!("../fixtures/firm/dropbox.json"),
        }),
    },
    #[cfg(feature = "box")]
    Entry {
        factory: &ledgerward_box::FACTORY,
        verdict: ledgerward_box::retry_hint,
        scope_set: first_set,
        fake: Some(FakeMaker {
            from_seed: |seed, at| Ok(Box::new(ledgerward_box::fake::BoxFake::from_seed(&based(seed, at))?)),
            restore: |saved, at| Ok(Box::new(ledgerward_box::fake::BoxFake::restore(saved, &base(at))?)),
            many: None,
            sample: include_str!("../fixtures/firm/box.json"),
        }),
    },
    #[cfg(feature = "stores")]
    Entry { factory: &ledgerward_stores::S3, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "stores")]
    Entry { factory: &ledgerward_stores::WEBDAV, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "stores")]
    Entry { factory: &ledgerward_stores::SFTP, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "stores")]
    Entry { factory: &ledgerward_stores::AZURE_BLOB, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "local")]
    Entry { factory: &ledgerward_local::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "process")]
    Entry { factory: &ledgerward_process::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
    #[cfg(feature = "roster")]
    Entry { factory: &ledgerward_roster::FACTORY, verdict: no_verdict, scope_set: first_set, fake: None },
];

/// The address that a stand-in names in its answers.
fn base(at: SocketAddr) -> String {
    format!("http://{at}")
}

/// A seed with that address in it.
fn based(seed: &Value, at: SocketAddr) -> Value {
    let mut seed = seed.clone();
    if let Some(map) = seed.as_object_mut() {
        map.insert("base".into(), Value::String(base(at)));
    }
    seed
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

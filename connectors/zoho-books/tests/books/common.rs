//! The connector over its fake, signed in.

use ledgerward_kit::testing::{Vendor, World};
use ledgerward_zoho_books::{FACTORY, fake::Fake, retry_hint};
use serde_json::{Value, json};

pub const SCOPE: &str = "ZohoBooks.settings.READ";
pub const CEDAR: &str = "810000001";
pub const FJORD: &str = "810000002";
pub const KELP: &str = "810000003";
/// Where the one who signs in is no admin.
pub const LARCH: &str = "810000005";

pub const VENDOR: Vendor = Vendor { app: Some("sandbox-app"), verdict: retry_hint, ..Vendor::of(&FACTORY) };

/// The sample firm. A paused clock is wanted: the vendor's limits count by it.
pub fn sample(settings: Value) -> World {
    world(Fake::sample().unwrap(), settings, SCOPE)
}

pub fn world(fake: Fake, settings: Value, scopes: &str) -> World {
    VENDOR.signed_in(fake, settings, &json!({"scopes": scopes}))
}

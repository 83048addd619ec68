//! The connector over its fake, signed in.

use ledgerward_kit::testing::{Vendor, World};
use ledgerward_xero::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPES: &str = "openid profile email offline_access accounting.settings.read \
     accounting.reports.profitandloss.read accounting.reports.balancesheet.read accounting.reports.trialbalance.read \
     accounting.reports.banksummary.read accounting.banktransactions.read accounting.attachments.read files.read \
     finance.bankstatementsplus.read";

pub const ACME: &str = "c4d9a7f2-0000-4000-8000-000000000001";
pub const BIRCH: &str = "c4d9a7f2-0000-4000-8000-000000000002";

pub const VENDOR: Vendor = Vendor::of(&FACTORY);

/// The sample firm. A paused clock is wanted: the vendor's limits count by it.
pub fn sample(settings: Value) -> World {
    world(Fake::sample().unwrap(), settings, SCOPES)
}

pub fn world(fake: Fake, settings: Value, scopes: &str) -> World {
    VENDOR.signed_in(fake, settings, &json!({"scopes": scopes}))
}

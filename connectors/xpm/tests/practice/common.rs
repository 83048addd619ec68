//! The connector over its fake, signed in.

use ledgerward_kit::testing::{Vendor, World};
use ledgerward_xpm::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPES: &str = "openid profile email offline_access practicemanager.client.read practicemanager.staff.read \
     practicemanager.job.read";
pub const PRACTICE: &str = "c4d9a7f2-0000-4000-8000-000000000091";

/// No status is out of bounds: a test has the vendor answer 599.
pub const VENDOR: Vendor = Vendor { never: &[], ..Vendor::of(&FACTORY) };

/// The sample practice. A paused clock is wanted: the vendor's limits count by it.
pub fn sample(settings: Value) -> World {
    world(Fake::sample().unwrap(), settings, SCOPES)
}

pub fn world(fake: Fake, settings: Value, scopes: &str) -> World {
    VENDOR.signed_in(fake, settings, &json!({"scopes": scopes}))
}

/// Who is responsible for the client of this name, as `role name`.
pub async fn people(w: &World, client: &str) -> Vec<String> {
    let all = w.clients().await.unwrap();
    let row = all.iter().find(|r| r.name == client).unwrap_or_else(|| panic!("{client} is not listed"));
    row.people.iter().map(|p| format!("{} {}", p.role, p.name)).collect()
}

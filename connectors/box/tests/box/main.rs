//! The connector against its fake, without a network.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests; the lint knows only the tests themselves"
)]

mod app_only;
mod common;
mod conformance;
mod files;
mod folders;
mod people;
mod saved;
mod tokens;
mod vendor;

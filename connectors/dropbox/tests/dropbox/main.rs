//! The connector against its fake, without a network.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; the lint knows only the tests themselves"
)]

mod common;
mod conformance;
mod files;
mod folders;
mod members;
mod signin;

//! The connector against its fake, without a network.

#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: a surprise here is a failed test"
)]
mod common;
mod files;
mod folders;
mod signin;

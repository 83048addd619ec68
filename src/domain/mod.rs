//! The pure core: what the firm is, who should hold which folder, and whether a change may happen.
//!
//! No async, no IO, no clock, no `HashMap` (`tests/tidy.rs` checks it). Time comes in as a parameter; a problem in the data
//! comes out as a [`finding::Finding`] beside the value, never as an error.

pub mod change;
pub mod finding;
pub mod firm;
pub mod lane;

//! Printing: pure functions of values. `--json` is the same value serialised.

pub mod access;
pub mod connectors;
pub mod plan;
pub mod table;

pub use connectors::connectors_markdown;

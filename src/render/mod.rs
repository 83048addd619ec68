//! Printing: pure functions of values. `--json` is the same value serialised.

pub mod plan;
pub mod table;

//! What a connector stands on.

pub mod fake;

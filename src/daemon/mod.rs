//! The daemon's parts.

pub mod schedule;

//! Code map follows with the modules.

pub mod audit;
pub mod domain;
pub mod store;

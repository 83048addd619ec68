//! Code map follows with the modules.

pub mod domain;
pub mod sandbox;

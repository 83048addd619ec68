//! Code map follows with the modules.

pub mod domain;

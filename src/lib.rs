//! Code map follows with the modules.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod sandbox;
pub mod audit;
pub mod domain;
pub mod store;
pub mod domain;
pub mod statement;

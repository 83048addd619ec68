//! Code map follows with the modules.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod firm_file;

//! Code map follows with the modules.

pub mod app;
pub mod apply;
pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod domain;
pub mod engine;
pub mod gather;
pub mod lanes;
pub mod memory;
pub mod process;
pub mod registry;
pub mod render;
pub mod sandbox;
pub mod statement;
pub mod store;
pub mod world;
pub mod firm_file;

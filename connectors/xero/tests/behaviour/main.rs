//! What the connector makes of what its fake, and Xero's own specification, say.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod limits;
mod oauth;
mod reference;
mod statements;

//! What the connector makes of what its fake, and Karbon's own specification, say.

#[cfg(test)]
mod clients;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod requests;

//! What the connector makes of what its fake, and Xero's own specification, say.

#[cfg(test)]
mod access;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod saved;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod statements;

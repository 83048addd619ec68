//! What the connector makes of what its fake says, and what the fake makes of a client.

#[cfg(test)]
mod access;
#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod signin;
#[cfg(test)]
mod statements;

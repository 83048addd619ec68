//! What the connector promises beyond the suite, over the strict fake.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;

#[cfg(test)]
mod access;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod statements;

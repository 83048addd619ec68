//! What the conformance suite does not ask: the partial list, the vendor's own refusals, statements to the penny.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;

#[cfg(test)]
mod access;
#[cfg(test)]
mod paging;
#[cfg(test)]
mod partial;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod statements;

//! What the conformance suite does not ask: permission sets, companies by name, groups, environments, sign-in.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;

#[cfg(test)]
mod access;
#[cfg(test)]
mod app_only;
#[cfg(test)]
mod sign_in;

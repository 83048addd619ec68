//! What the connector makes of what its fake says.

#[cfg(test)]
mod access;
#[cfg(test)]
mod common;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod saved;
#[cfg(test)]
mod stack;

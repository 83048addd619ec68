//! What the connector makes of what its fake, and recorded traffic of Practice Manager, say.

#[cfg(test)]
mod common;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod saved;
#[cfg(test)]
mod stack;

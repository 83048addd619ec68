//! What must hold of the core for every firm, every list and every folder; and the faults of the catalogue that are decisions.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers outside #[test] functions")]

#[path = "laws/authority.rs"]
mod authority;
#[path = "laws/faults.rs"]
mod faults;
#[path = "laws/guards.rs"]
mod guards;
#[path = "laws/lists.rs"]
mod lists;
#[path = "laws/properties.rs"]
mod properties;
#[path = "laws/seats.rs"]
mod seats;
#[path = "laws/world.rs"]
mod world;

//! The pure core: what the firm is, who should hold which folder, and whether a change may happen.
//!
//! No async, no IO, no clock, no `HashMap` (`tests/tidy.rs` checks it). Time comes in as a parameter; a problem in the data
//! comes out as a [`finding::Finding`] beside the value, never as an error.
//!
//! In the order of a cycle: [`identity`] joins users to people, [`facts`] packs what all sources say, [`policy`] decides
//! lane by lane, [`plan`] compares with what is there ([`order`] sorts the steps), [`guard`] clears or holds, [`explain`]
//! answers questions about any of it, and [`effects`] says what a change would do. [`adoption`] pairs clients with folders
//! that were there before, [`gaps`] says where ledger and folder disagree, [`seats`] when a roster is out of date.

pub mod adoption;
pub mod change;
pub mod closings;
pub mod effects;
pub mod explain;
pub mod fact;
pub mod facts;
pub mod finding;
pub mod firm;
pub mod forecast;
pub mod gaps;
pub mod guard;
pub mod guests;
pub mod identity;
mod index;
pub mod lane;
pub mod names;
pub mod office;
pub mod order;
pub mod plan;
pub mod policy;
pub mod seats;
pub mod shift;

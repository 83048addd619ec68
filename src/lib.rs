//! ledgerward, from the inside. Read in this order: README, this page, [`engine`], `connectors/contract/src/traits.rs`,
//! `connectors/local`.
//!
//! # One direction
//!
//! ```text
//! config -> registry -> world -> gather -> memory -> domain (decide, propose, check) -> apply -> deliver
//!                                  reads      joins     pure                              writes    writes
//! ```
//!
//! # Where things are
//!
//! | Module | Its one job |
//! |---|---|
//! | [`engine`] | the cycle, top to bottom, on one screen |
//! | [`gather`] | reads sources and folders, complete or not at all |
//! | [`memory`] | joins what was read to people, and keeps what must be known in the next run |
//! | [`told`] | what a source that lists nobody said last, and how long it stands |
//! | [`directory`] | practice managers and rosters: whether a list is believed, and what its lines may be |
//! | [`lanes`] | each folder: what it should be, what it is, what the store knows |
//! | [`decided`] | which published changes a folder's plan has not taken in yet |
//! | [`drift`] | which folders need no reading, because their target's change feed is silent |
//! | [`domain`] | the pure core: who should hold what, which steps that takes, which of them may happen |
//! | [`apply`] | carries cleared plans out; the only place that may write to targets |
//! | [`moves`] | clients on their way from one target to another |
//! | [`churn`] | a connection whose list of clients is suddenly a different one |
//! | [`approvals`] | what is left of an approved hold that failed half-way |
//! | [`leavers`], [`pack`] | who left and which ledgers still let them in; evidence that can be checked offline |
//! | [`forecast`] | how full each target's limits are, and when they fill |
//! | [`guests`], [`exposure`] | extra access that ends by itself; how long somebody kept a folder |
//! | [`deliver`] | which statement goes where, and the fence before it |
//! | [`statement`] | statements as values, and their renderers |
//! | [`store`], [`audit`] | the state: one file, one thread, one lock; the trail that shows any tampering |
//! | [`world`], [`registry`] | the configuration's connections and targets, alive; the only list of connectors |
//! | [`config`], [`firm_file`] | the two files a person writes |
//! | [`cli`], [`render`] | one file a command; printing as pure functions of values |
//! | [`api`] | the commands as versioned JSON for other programs, and access checks from memory |
//! | [`daemon`] | the schedule, the socket, health |
//! | [`sandbox`] | the providers' stand-ins over real HTTP |
//! | [`app`] | what every command stands on: configuration, state, who is acting, the time |
//!
//! Every vendor is a crate of its own below `connectors/`, which knows the contract and the kit and nothing of this one.
//!
//! # What never happens, and where that is made sure
//!
//! * The core does no IO, reads no clock and cannot fail: it gives values and findings (`tests/tidy.rs`).
//! * Nothing is written without a journal row, a permit and a write context: `Permit::issue` stands in [`apply`] once.
//! * No file goes into a folder that was not fenced in this run: `put` takes nothing but a `Fenced` folder.
//! * No list is short: a `Snapshot` is built after the last page or not at all.
//! * No plan is applied that the guard did not clear or a person approve: [`apply`] takes only `Plan<Cleared>`.
//! * No token is used that is not durable: the auth layer takes only `Durable`.

pub mod api;
pub mod app;
pub mod apply;
pub mod approvals;
pub mod audit;
pub mod churn;
pub mod cli;
pub mod closings;
pub mod config;
pub mod daemon;
pub mod decided;
pub mod deliver;
pub mod directory;
pub mod domain;
pub mod drift;
pub mod engine;
pub mod exposure;
pub mod firm_file;
pub mod forecast;
pub mod gather;
pub mod guests;
pub mod lanes;
pub mod leavers;
pub mod memory;
pub mod moves;
pub mod pack;
pub mod process;
pub mod registry;
pub mod render;
pub mod sandbox;
pub mod shown;
pub mod statement;
pub mod store;
pub mod told;
pub mod world;

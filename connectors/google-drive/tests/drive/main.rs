//! The connector against its fake, without a network.

mod common;
mod files;
mod folders;
mod signin;

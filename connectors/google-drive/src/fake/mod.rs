//! A Drive to test against.

pub mod domain;
pub mod statement;

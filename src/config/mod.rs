//! The configuration: TOML version 1 (`design` 14).
//!
//! [`parse`] reads nothing but its text; [`load`] also opens the file and looks at the secrets it names. Both give every
//! problem at once, each with its line. A refused configuration is exit code 78.

pub mod read;
mod remote;
pub mod schema;
pub mod secret;
mod template;
mod validate;

use std::path::Path;

use ledgerward_contract::Manifest;

pub use self::{
    read::{ConfigProblem, render_all},
    schema::Config,
    secret::{SecretError, SecretPlaces, SecretRef},
    template::template,
    validate::{Parsed, parse, policy_relevant},
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the configuration {file} cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    /// Already rendered: each problem with its line, and the count.
    #[error("{0}")]
    Refused(String),
}

/// Reads, checks and looks at every secret file. `manifests` are the connectors of this program.
pub fn load(file: &Path, manifests: &[&'static Manifest]) -> Result<Config, LoadError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|e| LoadError::Unreadable { file: name.clone(), reason: e.to_string() })?;
    let Parsed { config, mut problems, secrets } = parse(&text, manifests);
    let places = SecretPlaces::of_process(file);
    for (path, span, secret) in secrets {
        if let Err(e) = secret.check(&places) {
            problems.push(ConfigProblem::at(&text, span, path, e.message, e.next));
        }
    }
    problems.sort_by_key(|p| (p.line, p.column));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(LoadError::Refused(render_all(&problems, &name, &text))),
    }
}

//! The configuration: TOML version 1 (`design` 14).
//!
//! [`parse`] reads nothing but its text; [`load`] also opens the file and looks at the secrets it names. Both give every
//! problem at once, each with its line. A refused configuration is exit code 78.

mod meaning;
pub mod read;
mod remote;
pub mod schema;
pub mod secret;
mod statements;
mod template;
mod validate;

use std::{io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use ledgerward_contract::Manifest;

pub use self::{
    meaning::policy_relevant,
    read::{ConfigProblem, render_all},
    schema::Config,
    secret::{SecretError, SecretPlaces, SecretRef},
    template::template,
    validate::{Parsed, parse},
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the configuration {file} {reason}")]
    Unreadable { file: String, reason: String, next: String },
    /// Already rendered: each problem with its line, and the count.
    #[error("{0}")]
    Refused(String),
}

/// Reads, checks and looks at every secret file. `manifests` are the connectors of this program.
pub fn load(file: &Path, manifests: &[&'static Manifest]) -> Result<Config, LoadError> {
    let name = file.display().to_string();
    let text = text_of(file, &name)?;
    let Parsed { config, mut problems, secrets, fonts } = parse(&text, manifests);
    let places = SecretPlaces::of_process(file);
    for (path, span, secret) in secrets {
        let checked = if path == STATE_KEY { secret.check_key(&places) } else { secret.check(&places) };
        if let Err(e) = checked {
            problems.push(ConfigProblem::at(&text, span, path, e.message, e.next));
        }
    }
    let mut faces = Vec::new();
    for (path, span, font) in fonts {
        match statements::font(&places.base.join(font)) {
            Ok(face) => faces.push(face),
            Err(e) => problems.push(ConfigProblem::at(&text, span, path, e, FONT_HELP)),
        }
    }
    problems.sort_by_key(|p| (p.line, p.column));
    match config {
        Some(mut config) if problems.is_empty() => {
            config.statements.look.fonts = faces;
            Ok(config)
        }
        _ => Err(LoadError::Refused(render_all(&problems, &name, &text))),
    }
}

const FONT_HELP: &str = "Name a whole font file (.ttf, .otf or .ttc) that ledgerward's user may read; a relative path is meant from this \
                         file's folder.";

/// The one secret that is bytes and not text.
const STATE_KEY: &str = "state.key";

fn text_of(file: &Path, name: &str) -> Result<String, LoadError> {
    let refused = |reason: String, next: String| LoadError::Unreadable { file: name.to_owned(), reason, next };
    let failed = |e: std::io::Error| {
        let next = match e.kind() {
            std::io::ErrorKind::NotFound => {
                "Write one with `ledgerward init --owner EMAIL --name NAME`, or name yours with --config FILE."
            }
            std::io::ErrorKind::PermissionDenied => "Let this user read it, or run the command as one who may.",
            _ => "Look at the file and its disk, or name another one with --config FILE.",
        };
        refused(format!("cannot be read: {e}"), next.to_owned())
    };
    let mut open = std::fs::File::open(file).map_err(failed)?;
    let meta = open.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(refused(
            "is a folder".to_owned(),
            format!("Name the file in it: --config {}", file.join("config.toml").display()),
        ));
    }
    // Whoever may write here says who sees whom.
    if meta.mode() & 0o002 != 0 {
        return Err(refused(
            format!("may be written by everybody (its mode is {:04o})", meta.mode() & 0o7777),
            format!("Look through it, then: chmod o-w {name}"),
        ));
    }
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().get(..at).unwrap_or_default().iter().filter(|b| **b == b'\n').count() + 1;
        refused(
            format!("is not UTF-8 text: line {line} holds something else"),
            "Save it as UTF-8 in your editor.".to_owned(),
        )
    })
}

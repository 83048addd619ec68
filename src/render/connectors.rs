//! The capability table, made from the manifests: for `ledgerward connectors` and for the README.

use std::fmt::Write as _;

use ledgerward_contract::{AuthScheme, Listing, Manifest, Quota, QuotaScope, QuotaWindow, Rotation};

use crate::registry;

/// The table between the markers `<!-- connectors -->` and `<!-- /connectors -->` of the README. Ends with a line break.
pub fn connectors_markdown() -> String {
    let mut out = "| Connector | Is | Sign-in | Lists who has access | Grade | Statements | Limits kept |\n\
                   |---|---|---|---|---|---|---|\n"
        .to_owned();
    for m in registry::manifests() {
        let cells = [
            format!("**{}** (`{}`)", m.title, m.name),
            kind(m).to_owned(),
            auth(m),
            access(m).to_owned(),
            m.grade.map_or_else(|| "–".to_owned(), |g| format!("{g:?}")),
            or_dash(statements(m)),
            or_dash(m.quotas.iter().map(limit).collect()),
        ];
        let _ = writeln!(out, "| {} |", cells.map(|c| c.replace('|', "\\|")).join(" | "));
    }
    out
}

/// The same for a terminal, with settings and what could not be verified.
pub fn text() -> String {
    let mut out = String::new();
    for m in registry::manifests() {
        let _ = writeln!(out, "{} ({}): {}", m.title, m.name, kind(m));
        let mut line = |word: &str, text: &str| {
            let _ = writeln!(out, "  {word:<11} {text}");
        };
        line("sign-in", &auth(m));
        if m.access.is_some() {
            line(
                "access",
                &format!("{}, grade {}", access(m), m.grade.map_or_else(|| "unknown".to_owned(), |g| format!("{g:?}"))),
            );
        }
        if !m.statements.is_empty() {
            line("statements", &statements(m).join(", "));
        }
        for quota in m.quotas {
            line("limit", &limit(quota));
        }
        for (role, gives) in m.roles {
            line("role", &format!("{role}: {}", format!("{gives:?}").to_lowercase()));
        }
        for (key, help) in m.settings {
            line("setting", &format!("{key}: {help}"));
        }
        for fact in m.unverified {
            line("unverified", fact);
        }
        out.push('\n');
    }
    out
}

/// What lists nobody and has no statements is there to hold folders.
pub fn kind(m: &Manifest) -> &'static str {
    let source = m.access.is_some() || m.grade.is_some() || !m.statements.is_empty();
    if source { "source" } else { "target" }
}

pub fn auth(m: &Manifest) -> String {
    let spec = match m.auth {
        AuthScheme::None => return "none".to_owned(),
        AuthScheme::StaticKey(keys) | AuthScheme::OwnKeys(keys) => {
            return if keys.len() == 1 { "a fixed key".to_owned() } else { "fixed keys".to_owned() };
        }
        AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec) => spec,
    };
    let mut text = "OAuth 2".to_owned();
    if matches!(m.auth, AuthScheme::OAuthOrServiceAccount(_)) {
        text.push_str(" or service account");
    }
    if spec.app_only.is_some() {
        text.push_str(" or the app itself");
    }
    if matches!(spec.rotation, Rotation::SingleUse { .. }) {
        text.push_str(", single-use refresh tokens");
    }
    if let Some(idle) = spec.idle_lifetime {
        let _ = write!(text, ", ends after {} idle days", idle.as_secs() / 86_400);
    }
    text
}

pub const fn access(m: &Manifest) -> &'static str {
    match m.access {
        None => "–",
        Some(Listing::All) => "of all ledgers at once",
        Some(Listing::PerLedger) => "ledger by ledger",
    }
}

pub fn statements(m: &Manifest) -> Vec<String> {
    m.statements.iter().map(|k| k.slug().to_owned()).collect()
}

pub fn limit(quota: &Quota) -> String {
    let of = match quota.scope {
        QuotaScope::Connection => "",
        QuotaScope::Tenant => " a ledger",
    };
    match quota.window {
        QuotaWindow::Concurrent(n) => format!("{n} at once{of}"),
        QuotaWindow::PerMinute(n) => format!("{n} a minute{of}"),
        QuotaWindow::PerDay(n) => format!("{n} a day{of}"),
        QuotaWindow::PerMonth(n) => format!("{n} a month{of}"),
    }
}

fn or_dash(words: Vec<String>) -> String {
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_exactly_this_table() {
        let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let text = std::fs::read_to_string(&readme).unwrap_or_default();
        let between =
            text.split_once("<!-- connectors -->\n").and_then(|(_, rest)| rest.split_once("<!-- /connectors -->"));
        let Some((table, _)) = between else {
            println!("skipped: README.md has no <!-- connectors --> markers");
            return;
        };
        let (ours, again) =
            (connectors_markdown(), "copy the table anew: ledgerward connectors --json, field markdown");
        if cfg!(feature = "stores") {
            assert_eq!(table.trim(), ours.trim(), "{again}");
        } else {
            // The README shows the full build.
            let missing: Vec<_> = ours.lines().filter(|line| !table.contains(line)).collect();
            assert!(missing.is_empty(), "{again}: {missing:#?}");
        }
    }

    #[test]
    fn every_connector_is_in_the_table_and_keeps_its_columns() {
        let table = connectors_markdown();
        assert_eq!(table.lines().count(), registry::manifests().count() + 2);
        for line in table.lines() {
            assert_eq!(line.matches('|').count() - line.matches("\\|").count(), 8, "{line}");
        }
    }
}

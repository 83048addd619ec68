//! `sandbox`: the providers' stand-ins over real HTTP, until somebody stops it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{
    registry,
    sandbox::{self, Mounted},
};

/// Serves every provider that has a stand-in: the first on `listen`, each further one on the next port.
pub async fn run(
    console: &mut dyn Console,
    listen: SocketAddr,
    organisations: Option<usize>,
) -> Result<Report, Failure> {
    let mut mounted = Vec::new();
    let mut at = listen;
    for entry in registry::CONNECTORS {
        let Some(maker) = &entry.fake else { continue };
        let name = entry.factory.manifest().name;
        let failed = |e: String| Failure::new(Exit::Failed, format!("{name}: {e}"));
        let fake = match (organisations, maker.many) {
            (Some(count), Some(many)) => many(count).map_err(failed)?,
            _ => {
                let seed: Value = serde_json::from_str(maker.sample).map_err(|e| failed(e.to_string()))?;
                (maker.from_seed)(&seed, at).map_err(failed)?
            }
        };
        let one = sandbox::mount(name, Arc::new(Mutex::new(fake)), at).await.map_err(|e| {
            Failure::new(Exit::Failed, format!("{at}: {e}")).next("Choose another port: --listen 127.0.0.1:PORT")
        })?;
        mounted.push(one);
        at.set_port(at.port().saturating_add(1));
    }
    console.note(&words(&mounted));
    console.note("Stop it with Ctrl-C. Nothing is kept.");
    tokio::signal::ctrl_c().await.map_err(|e| Failure::new(Exit::Failed, "cannot wait for Ctrl-C").cause(&e))?;
    let json = json!({"schema": "ledgerward/sandbox/1", "stopped": true});
    Ok(Report::new(Exit::Done, json, ""))
}

/// What to put into a configuration.
fn words(mounted: &[Mounted]) -> String {
    let mut text = String::from("The providers' stand-ins listen here:\n");
    for one in mounted {
        let Some(entry) = registry::entry(&one.name) else { continue };
        let names: Vec<_> = entry
            .factory
            .manifest()
            .endpoints
            .iter()
            .map(|e| {
                // The vendor's host is replaced, its path stays.
                let path =
                    e.url.parse::<url::Url>().map(|u| u.path().trim_end_matches('/').to_owned()).unwrap_or_default();
                format!("{} = \"{}{path}\"", e.name, one.url())
            })
            .collect();
        let _ = writeln!(text, "  {:<14} {}", one.name, one.url());
        let _ = writeln!(text, "  {:<14} endpoints = {{ {} }}", "", names.join(", "));
        if let Some(clients) = entry.fake.as_ref().map(|f| f.sample).and_then(registered) {
            let _ = writeln!(text, "  {:<14} {clients}", "");
        }
    }
    text
}

/// The app registrations that a sample firm knows.
fn registered(sample: &str) -> Option<String> {
    let seed: Value = serde_json::from_str(sample).ok()?;
    let app = seed.get("app").or_else(|| seed.get("clients")?.get(0))?;
    let word = |keys: [&str; 2]| keys.iter().find_map(|k| app.get(k)).and_then(Value::as_str).map(str::to_owned);
    let id = word(["client_id", "id"])?;
    Some(match word(["client_secret", "secret"]) {
        Some(secret) => format!("client_id = \"{id}\", the secret is: {secret}"),
        None => format!("client_id = \"{id}\", without a secret"),
    })
}

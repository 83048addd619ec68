//! The part of a section that connections and targets share: which connector, as whom, and over which hosts.

use std::{collections::BTreeMap, ops::Range, path::PathBuf};

use ledgerward_contract::{AuthScheme, Email, Key, Manifest};
use serde_json::{Map, Value as Json};
use url::Url;

use super::{
    read::{Table, Value, choose},
    schema::{Remote, Scopes, is_literal_loopback},
    secret::SecretRef,
    template::PLACEHOLDER,
};

/// What reading finds beside the configuration itself.
#[derive(Default)]
pub(super) struct Gathered {
    pub secrets: Vec<(String, Range<usize>, SecretRef)>,
    pub fonts: Vec<(String, Range<usize>, PathBuf)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Source,
    Target,
}

pub(super) fn endpoint_names(manifests: &[&'static Manifest], connector: &str) -> Vec<&'static str> {
    let manifest = manifests.iter().find(|m| m.name == connector);
    manifest.map(|m| m.endpoints.iter().map(|e| e.name).collect()).unwrap_or_default()
}

/// Names are typed on command lines and stand in addresses and metrics.
pub(super) fn check_name(value: &Value<'_, '_>, name: &str) {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || name.starts_with('-') || !name.chars().all(ok) {
        value.problem(
            format!("\"{name}\" cannot be a name here"),
            "Use at most 40 small letters, digits and hyphens: [connections.xero-uk].",
        );
    }
}

/// Reads the shared keys and the connector's own, and refuses every other key of the table.
pub(super) fn read(
    t: Table<'_, '_>,
    manifests: &[&'static Manifest],
    purpose: Purpose,
    gathered: &mut Gathered,
) -> Option<Remote> {
    let manifest = read_connector(&t, manifests);
    let client_id = t.get("client_id").and_then(|v| {
        let id = v.text()?;
        if id == PLACEHOLDER {
            v.problem(
                "this is still what `init` wrote",
                "Write the client id of the app you registered with the vendor.",
            );
        }
        Some(id)
    });
    let mut take = |key: &str| t.get(key).and_then(|v| secret(&v, gathered));
    let (client_secret, service_account) = (take("client_secret"), take("service_account"));
    let mut keys = BTreeMap::new();
    for key in manifest.map(fixed_keys).unwrap_or_default() {
        keys.extend(take(key.name).map(|secret| (key.name.to_owned(), secret)));
    }
    let impersonate =
        t.get("impersonate").and_then(|v| v.parse(Email::parse, "The address the service account acts for."));
    let scopes = t.get("scopes").and_then(|v| read_scopes(&v, manifest, purpose)).unwrap_or_default();
    let endpoints =
        t.get("endpoints").and_then(|v| v.table()).map(|e| read_endpoints(&e, manifest)).unwrap_or_default();
    let redirect_port =
        t.get("redirect_port").and_then(|v| v.integer(1024..=65535)).and_then(|p| u16::try_from(p).ok());
    let help = "The address that is registered with the vendor, beginning with https://.";
    let redirect_url = t.get("redirect_url").and_then(|v| v.parse(endpoint, help));
    let allow_private_network = t.get("allow_private_network").and_then(|v| v.boolean()).unwrap_or(false);
    let ca_file = t.get("ca_file").and_then(|v| v.text()).map(PathBuf::from);
    let proxy = t.get("proxy").and_then(|v| v.parse(proxy, "Write http://host:port, without a password in it."));
    let Some(manifest) = manifest else {
        // Its own keys cannot be told from mistakes while the connector is not known.
        return None;
    };
    let has = Has { client_id: client_id.is_some(), service_account: t.get("service_account").is_some() };
    check_sign_in(&t, manifest, &has);
    let mut settings = Map::new();
    for (key, _) in manifest.settings {
        if let Some(value) = t.get(key).and_then(|v| v.json()) {
            settings.insert((*key).to_owned(), value);
        }
    }
    if purpose == Purpose::Source && !is_source(manifest) {
        t.problem(
            format!("{} is no source of access or statements", manifest.title),
            "Configure it under [targets.…].",
        );
    }
    t.finish(&[]);
    Some(Remote {
        connector: manifest.name.to_owned(),
        client_id,
        client_secret,
        keys,
        service_account,
        impersonate,
        scopes,
        endpoints,
        redirect_port,
        redirect_url,
        allow_private_network,
        ca_file,
        proxy,
        settings: Json::Object(settings),
    })
}

/// The secrets that a connector is opened with, where it has no sign-in.
fn fixed_keys(manifest: &'static Manifest) -> &'static [Key] {
    match manifest.auth {
        AuthScheme::StaticKey(keys) | AuthScheme::OwnKeys(keys) => keys,
        AuthScheme::None | AuthScheme::OAuth(_) | AuthScheme::OAuthOrServiceAccount(_) => &[],
    }
}

fn is_source(manifest: &Manifest) -> bool {
    manifest.access.is_some() || manifest.grade.is_some() || !manifest.statements.is_empty()
}

fn read_connector(t: &Table<'_, '_>, manifests: &[&'static Manifest]) -> Option<&'static Manifest> {
    let value = t.need("connector", "`ledgerward connectors` lists them: connector = \"xero\".")?;
    let name = value.text()?;
    let found = manifests.iter().find(|m| m.name == name).copied();
    if found.is_none() {
        let names: Vec<&str> = manifests.iter().map(|m| m.name).collect();
        value.problem(format!("this program has no connector \"{name}\""), choose(&name, &names));
    }
    found
}

struct Has {
    client_id: bool,
    service_account: bool,
}

/// That what the connector needs to sign in is there, and nothing it cannot use.
fn check_sign_in(t: &Table<'_, '_>, manifest: &Manifest, has: &Has) {
    let needs_id = |t: &Table<'_, '_>, help: &str| drop(t.need("client_id", help));
    let id_help = "The client id of the app you registered with the vendor.";
    let refuse = |keys: &[&str], why: &str| {
        for value in keys.iter().filter_map(|k| t.get(k)) {
            value.problem(format!("{} {why}", manifest.title), "Leave it out.");
        }
    };
    match manifest.auth {
        AuthScheme::None => {
            refuse(&["client_id", "client_secret", "service_account", "impersonate", "scopes"], "needs no sign-in");
        }
        AuthScheme::OAuth(_) => {
            needs_id(t, id_help);
            refuse(&["service_account", "impersonate"], "is signed in to by a person, with client_id");
        }
        AuthScheme::OAuthOrServiceAccount(_) => match (has.client_id, has.service_account) {
            (false, false) => {
                needs_id(t, "Give client_id for a person's sign-in, or service_account = { file = \"…\" }.");
            }
            (true, true) => refuse(&["service_account"], "takes a person's sign-in or a service account, not both"),
            (true, false) => refuse(&["impersonate"], "acts for somebody else only as a service account"),
            (false, true) => {}
        },
        AuthScheme::StaticKey(keys) | AuthScheme::OwnKeys(keys) => {
            let other = ["client_id", "client_secret", "service_account", "impersonate", "scopes"];
            refuse(&other, "is opened by keys, not by a sign-in");
            for key in keys.iter().filter(|k| k.needed) {
                t.need(key.name, &format!("{} Write it into a file: {} = {{ file = \"…\" }}.", key.help, key.name));
            }
        }
    }
}

/// `{ file = "…" }` or `{ credential = "…" }`. A secret in the file itself is refused, and not repeated in the message.
pub(super) fn secret(value: &Value<'_, '_>, gathered: &mut Gathered) -> Option<SecretRef> {
    let help = "Write { file = \"/path\" }, or { credential = \"name\" } for one of systemd's.";
    if value.is_text() {
        value.problem("a secret cannot stand in this file", help);
        return None;
    }
    let t = value.table()?;
    let file = t.get("file").and_then(|v| v.text());
    let credential = t.get("credential").and_then(|v| {
        let name = v.text()?;
        let ok = !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !ok {
            v.problem(
                "this is no name of a credential",
                "Letters, digits, dots, hyphens: as in LoadCredential=NAME:….",
            );
        }
        ok.then_some(name)
    });
    let both_or_none = t.get("file").is_some() == t.get("credential").is_some();
    // What else stands here is not named: somebody may have put the secret itself there.
    if both_or_none || !t.rest().is_empty() {
        value.problem("a secret is in one place", help);
    }
    let found = match (file, credential) {
        (Some(file), None) => SecretRef::File(file.into()),
        (None, Some(name)) => SecretRef::Credential(name),
        _ => return None,
    };
    gathered.secrets.push((value.path.clone(), value.span.clone(), found.clone()));
    Some(found)
}

fn read_scopes(v: &Value<'_, '_>, manifest: Option<&'static Manifest>, purpose: Purpose) -> Option<Scopes> {
    let sets = match manifest.map(|m| m.auth) {
        Some(AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec)) => spec.scopes,
        Some(AuthScheme::None | AuthScheme::StaticKey(_) | AuthScheme::OwnKeys(_)) | None => &[],
    };
    if !v.is_text() {
        let list = v.set(|s| {
            let text = s.text()?;
            let ok = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            if !ok {
                s.problem("a scope is one word", "Write each scope as its own item of the list.");
            }
            // A ledger is only ever read, and a sign-in that cannot write cannot be misused to (T18).
            let known = sets.iter().any(|set| set.scopes.contains(&text.as_str()));
            if ok && purpose == Purpose::Source && !known && !text.to_ascii_lowercase().ends_with(".read") {
                let of: Vec<&str> = sets.iter().map(|set| set.name).collect();
                s.problem(
                    "this scope is none that only reads, and ledgerward changes nothing in a ledger",
                    format!("Leave it out, or use a set of the connector's own: {}.", of.join(", ")),
                );
            }
            ok.then_some(text)
        })?;
        if list.is_empty() {
            v.problem("without a scope a sign-in may do nothing", "Leave the line out for the connector's own scopes.");
        }
        return Some(Scopes::List(list.into_iter().collect()));
    }
    manifest?;
    let choices: Vec<(&str, Scopes)> = sets.iter().map(|s| (s.name, Scopes::Set(s.name.to_owned()))).collect();
    v.one_of(&choices)
}

fn read_endpoints(t: &Table<'_, '_>, manifest: Option<&'static Manifest>) -> BTreeMap<String, Url> {
    let mut endpoints = BTreeMap::new();
    for (name, value) in t.rest() {
        if let Some(manifest) = manifest
            && !manifest.endpoints.iter().any(|e| e.name == name)
        {
            let known: Vec<&str> = manifest.endpoints.iter().map(|e| e.name).collect();
            value.problem(format!("{} has no endpoint \"{name}\"", manifest.title), choose(&name, &known));
        }
        let help = "https://host, or http:// to a literal loopback address such as 127.0.0.1 for a sandbox.";
        endpoints.extend(value.parse(endpoint, help).map(|url| (name, url)));
    }
    endpoints
}

/// An endpoint gets tokens: never in clear text over a network, and never with a password of its own.
fn endpoint(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "this is no address")?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("an endpoint has no user, password, query or fragment");
    }
    match url.scheme() {
        "https" if url.host_str().is_some() => Ok(url),
        "http" if is_literal_loopback(&url) => Ok(url),
        "http" => {
            Err("plain http is only for literal loopback addresses: tokens would cross the network in clear text")
        }
        _ => Err("an endpoint begins with https://"),
    }
}

fn proxy(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "this is no address")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a proxy's password cannot stand in this file");
    }
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => Ok(url),
        _ => Err("a proxy begins with http:// or https://"),
    }
}

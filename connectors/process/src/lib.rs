//! A connector in another language: a program that speaks JSON lines, while the host does the HTTP. See README.md.

pub mod api;
pub mod map;
mod shape;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    AccessFact, AuthScheme, Build, ClientDirectory, ClientRow, Connector, Cursor, Endpoint, Error, ErrorKind, Factory,
    Grade, Key, LedgerId, LedgerProfile, LedgerRoleDefault, LedgerRow, LedgerSource, Listing, Manifest, OwnUser, Page,
    Quota, QuotaWindow, ReadCx, Result, Scope,
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::api::{Call, Program};

/// Named in the program's registry.
pub static FACTORY: Process = Process;

/// The kind of connector.
pub struct Process;

/// Stands in the manifest until the firm says where the vendor is.
const NOWHERE: &str = "https://not-configured.invalid";

static MANIFEST: Manifest = Manifest {
    name: "process",
    title: "A program of your own",
    auth: AuthScheme::StaticKey(&[
        Key {
            name: "bearer",
            help: "What goes after \"Bearer \" in the Authorization header of every request.",
            needed: false,
            header: ("authorization", "Bearer "),
        },
        Key {
            name: "basic",
            help: "What goes after \"Basic \": the base64 of user:password.",
            needed: false,
            header: ("authorization", "Basic "),
        },
        Key {
            name: "x_api_key",
            help: "The x-api-key header of every request.",
            needed: false,
            header: ("x-api-key", ""),
        },
    ]),
    endpoints: &[Endpoint { name: "api", url: NOWHERE }],
    quotas: &[
        Quota::connection("concurrent", QuotaWindow::Concurrent(4)),
        Quota::connection("minute", QuotaWindow::PerMinute(60)),
    ],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[],
    // The vendor's own words need lines in the connection's role table; these are for programs that choose their own.
    roles: &[
        ("reader", LedgerRoleDefault::Reader),
        ("writer", LedgerRoleDefault::Writer),
        ("none", LedgerRoleDefault::Nothing),
    ],
    settings: &[
        ("program", "the program's absolute path; it is started without a shell"),
        ("args", "a list of arguments (default none)"),
        ("provides", "what the program answers: [\"ledgers\"], [\"clients\"] or both"),
        (
            "own_user",
            "the id or address under which the vendor's lists have the user that the keys belong to; without it a list that \
             lacks somebody proves nothing, and nobody is taken out by their absence (default none)",
        ),
        ("options", "a table that the program gets with every call (default empty)"),
        ("silence_seconds", "how long the program may think between two lines, 1 to 600 (default 30)"),
    ],
    unverified: &["What the program says is what its vendor said: `ledgerward connector check` tries it."],
};

/// The connector's own part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    program: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    provides: Vec<Provides>,
    own_user: Option<String>,
    #[serde(default)]
    options: serde_json::Map<String, Value>,
    #[serde(default = "half_a_minute")]
    silence_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Provides {
    Ledgers,
    Clients,
}

fn half_a_minute() -> u64 {
    30
}

fn wrong(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "settings.read", text)
}

impl Factory for Process {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings: Settings = serde_json::from_value(from.settings).map_err(|e| wrong(e.to_string()))?;
        if !settings.program.is_absolute() {
            return Err(wrong("program is not an absolute path").next("Write the whole path, beginning with /."));
        }
        if settings.provides.is_empty() {
            return Err(wrong("provides is empty").next("Write provides = [\"ledgers\"], [\"clients\"] or both."));
        }
        if !(1..=600).contains(&settings.silence_seconds) {
            return Err(wrong("silence_seconds must be from 1 to 600"));
        }
        if from.endpoints.url("api", "/")?.as_str().starts_with(NOWHERE) {
            return Err(wrong("nobody said where the vendor is").next("Add: endpoints = { api = \"https://…\" }"));
        }
        let program = Program {
            path: settings.program,
            args: settings.args,
            options: Value::Object(settings.options),
            silence_max: Duration::from_secs(settings.silence_seconds),
            endpoints: from.endpoints,
        };
        let own_user = settings.own_user.filter(|u| !u.trim().is_empty());
        Ok(Box::new(ProcessConnector { program, provides: settings.provides, own_user }))
    }
}

struct ProcessConnector {
    program: Program,
    provides: Vec<Provides>,
    own_user: Option<String>,
}

impl Connector for ProcessConnector {
    fn ledgers(&self) -> Option<&dyn LedgerSource> {
        self.provides.contains(&Provides::Ledgers).then_some(self as _)
    }
    fn directory(&self) -> Option<&dyn ClientDirectory> {
        self.provides.contains(&Provides::Clients).then_some(self as _)
    }
}

impl ProcessConnector {
    async fn ask(&self, cx: &ReadCx, op: &'static str, call: &'static str, about: Value) -> Result<Value> {
        self.program.ask(cx, Call { op, call, about }).await
    }
}

fn cursor(at: &Cursor) -> Value {
    at.text().map_or(Value::Null, Value::from)
}

#[async_trait]
impl LedgerSource for ProcessConnector {
    async fn ledgers(&self, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
        map::ledgers(&self.ask(cx, "ledgers.list", "ledgers", json!({"cursor": cursor(&at)})).await?)
    }

    async fn access(&self, cx: &ReadCx, scope: Scope<'_>, at: Cursor) -> Result<Page<AccessFact>> {
        const OP: &str = "users.list";
        let ledger = scope.one(OP)?;
        let about = json!({"ledger": ledger.as_str(), "cursor": cursor(&at)});
        let named = |e: Error| e.with("ledger", ledger.as_str());
        map::access(ledger, &self.ask(cx, OP, "access", about).await.map_err(named)?).map_err(named)
    }

    /// By the firm's word: keys are nobody's by themselves.
    async fn own_user(&self, _cx: &ReadCx) -> Result<Option<OwnUser>> {
        let own = |subject: &String| {
            let email = subject.contains('@').then(|| subject.clone());
            OwnUser { subject: subject.clone(), email }
        };
        Ok(self.own_user.as_ref().map(own))
    }

    async fn profile(&self, cx: &ReadCx, ledger: &LedgerId) -> Result<LedgerProfile> {
        let named = |e: Error| e.with("ledger", ledger.as_str());
        let answer = self.ask(cx, "profile.get", "profile", json!({"ledger": ledger.as_str()})).await;
        map::profile(&answer.map_err(named)?).map_err(named)
    }
}

#[async_trait]
impl ClientDirectory for ProcessConnector {
    async fn clients(&self, cx: &ReadCx, at: Cursor) -> Result<Page<ClientRow>> {
        map::clients(&self.ask(cx, "clients.list", "clients", json!({"cursor": cursor(&at)})).await?)
    }
}

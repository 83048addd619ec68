//! A small firm for tests that break things: three organisations, four people, Google Drive and a disk, with a [`Proxy`]
//! before each provider. It is set up once in a process; every [`Firm`] is a copy of it with providers of its own.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's helpers fail the test")]
#![expect(dead_code, reason = "each test uses a part of it")]

pub mod proxy;
#[path = "../shape/mod.rs"]
mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, LazyLock, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ledgerward::{
    registry,
    sandbox::{self, Mounted},
    store::{Db, NewTokens, Options},
};
use ledgerward_contract::Timestamp;
use proxy::Proxy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const PROVIDERS: [(&str, &str); 2] = [("xero", "xero"), ("drive", "google-drive")];
pub const CLIENTS: [&str; 3] = ["Acme Ltd", "Birch LLP", "Cedar Bakery"];
const OWNER: &str = "ana@harbour.example";

pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Who is on each client's folder, by the folder's name, without its owner.
pub type Lists = BTreeMap<String, BTreeSet<String>>;

/// A firm at one moment, on the disk.
struct Template {
    dir: TempDir,
    ports: BTreeMap<String, u16>,
    saved: BTreeMap<String, Value>,
}

struct Templates {
    first_day: Template,
    at_rest: Template,
}

static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let firm = Firm::bare();
    firm.first_day();
    let first_day = firm.template();
    firm.come_to_rest();
    Templates { first_day, at_rest: firm.template() }
});

pub struct Firm {
    dir: TempDir,
    pub proxies: BTreeMap<String, Proxy>,
    providers: BTreeMap<String, Mounted>,
    /// Where the program finds others, if not as these tests do.
    path: Option<std::ffi::OsString>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Told {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Told {
    pub fn json(&self) -> Value {
        let value = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        shape::check(&value);
        value
    }
}

fn users(org: usize) -> Value {
    let user = |name: &str, role: &str| json!({"email": format!("{}@harbour.example", name.to_lowercase()), "first": name, "last": "Harbour", "role": role});
    let mut all = vec![user("Ana", "FINANCIALADVISER"), user("Bob", "READONLY"), user("Cleo", "FINANCIALADVISER")];
    // Dev is at Acme only; later tests let him in elsewhere.
    if org == 0 {
        all.push(user("Dev", "STANDARD"));
    }
    json!(all)
}

fn seed(name: &str) -> Value {
    if name == "drive" {
        let people = ["ledgers", "ana", "bob", "cleo", "dev"];
        let accounts: Vec<Value> =
            people.iter().map(|p| json!({"email": format!("{p}@harbour.example"), "name": p})).collect();
        return json!({
            "base": "http://drive.example", "token_uri": "https://oauth2.googleapis.com/token",
            "clients": [{"id": "test-drive", "secret": "test-drive-word"}], "consent": "ledgers@harbour.example",
            "accounts": accounts, "policies": {"harbour.example": {}},
        });
    }
    let sale = json!({"type": "RECEIVE", "bank": "090", "account": "200", "amount": "610.00", "contact": "Takings"});
    let orgs: Vec<Value> = CLIENTS
        .iter()
        .enumerate()
        .map(|(n, name)| {
            json!({
                "tenant_id": format!("c4d9a7f2-0000-4000-8000-00000000000{}", n + 1), "name": name, "users": users(n),
                "recurring": [{"from": "2025-04-01", "to": "2035-03-31", "day": 3, "transaction": sale, "vary": 12}],
            })
        })
        .collect();
    json!({
        "app": {"client_id": "test-app", "client_secret": "test-secret", "scopes": "granular", "finance": true},
        "users": [{"email": OWNER, "first": "Ana", "last": "Ruiz"}], "organisations": orgs,
    })
}

impl Firm {
    /// A copy of the firm at rest: everybody who should be is on every list, every due statement is delivered.
    pub fn at_rest() -> Self {
        Self::from(&TEMPLATES.at_rest)
    }

    /// A copy of the firm on its first day: the first plan is approved, and nothing is there yet.
    pub fn on_first_day() -> Self {
        Self::from(&TEMPLATES.first_day)
    }

    fn from(template: &Template) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(template.dir.path(), dir.path());
        let firm = Self::serve(dir, |name, at| {
            let text = template.saved[name].to_string();
            let old = format!("127.0.0.1:{}", template.ports[name]);
            let saved = serde_json::from_str(&text.replace(&old, &at.to_string())).unwrap();
            let maker = maker(name);
            (maker.restore)(&saved, at).unwrap()
        });
        firm.configure();
        firm
    }

    fn bare() -> Self {
        let firm =
            Self::serve(tempfile::tempdir().unwrap(), |name, at| (maker(name).from_seed)(&seed(name), at).unwrap());
        fs::create_dir(firm.path("folders")).unwrap();
        for (file, word) in [("xero-secret", "test-secret"), ("drive-secret", "test-drive-word")] {
            firm.secret(file, word);
        }
        firm
    }

    fn serve(dir: TempDir, fake: impl Fn(&str, SocketAddr) -> Box<dyn ledgerward_kit::fake::Fake>) -> Self {
        let (mut proxies, mut providers) = (BTreeMap::new(), BTreeMap::new());
        for (name, _) in PROVIDERS {
            let proxy = RUNTIME.block_on(Proxy::open());
            // The provider is known under the proxy's address, so that uploads go that way too.
            let fake = Arc::new(Mutex::new(fake(name, proxy.address)));
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let mounted = RUNTIME.block_on(sandbox::mount(name, fake, any)).unwrap();
            proxy.forward_to(mounted.address);
            proxies.insert(name.to_owned(), proxy);
            providers.insert(name.to_owned(), mounted);
        }
        Self { dir, proxies, providers, path: None }
    }

    fn configure(&self) {
        let url = |name: &str| format!("http://{}", self.proxies[name].address);
        let text = include_str!("firm.toml")
            .replace("{xero}", &url("xero"))
            .replace("{drive}", &url("drive"))
            .replace("{disk}", &self.path("folders").display().to_string());
        fs::write(self.path("config.toml"), text).unwrap();
    }

    fn first_day(&self) {
        self.must(&["init", "--owner", OWNER, "--name", "Harbour", "--first", "Ana", "--last", "Ruiz"]);
        self.configure();
        self.connect("xero");
        self.connect("drive");
        let mut people = "version = 1\n".to_owned();
        for (name, mode) in [("Bob", "ledger"), ("Cleo", "ledger+selected"), ("Dev", "ledger")] {
            let email = name.to_lowercase();
            people += &format!(
                "\n[[person]]\nemail = \"{email}@harbour.example\"\nfirst = \"{name}\"\nlast = \"Harbour\"\nmode = \"{mode}\"\n"
            );
        }
        fs::write(self.path("people.toml"), people).unwrap();
        self.must(&["firm", "apply", &self.path("people.toml").display().to_string(), "--yes"]);
        self.ask(&["pull"]);
        self.must(&["clients", "accept", "--all"]);
        let since = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1)).to_string();
        for slug in ["acme-ltd", "birch-llp", "cedar-bakery"] {
            self.must(&["clients", "since", slug, &since]);
        }
        self.must(&["select", "cleo", "acme-ltd", "birch-llp"]);
        self.ask(&["plan"]);
        self.approve_all();
    }

    fn come_to_rest(&self) {
        let first = self.sync();
        assert!([0, 5].contains(&first.exit), "{first:?}");
        let rest = self.sync();
        assert_eq!(rest.exit, 0, "the firm does not come to rest: {rest:?}");
        let lists = self.lists();
        assert_eq!(lists.len(), 3, "{lists:?}");
        assert!(!self.disk().is_empty() && !self.drive_files().is_empty());
    }

    fn template(&self) -> Template {
        let ports = self.proxies.iter().map(|(name, p)| (name.clone(), p.address.port())).collect();
        let saved = self.providers.iter().map(|(name, p)| (name.clone(), p.save())).collect();
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        Template { dir, ports, saved }
    }

    /// The owner approves everything that is held.
    pub fn approve_all(&self) {
        let held = self.must(&["hold", "--json", "--quiet"]).json();
        for hold in held["holds"].as_array().unwrap() {
            self.must(&["approve", hold["digest"].as_str().unwrap(), "--reason", "looked at"]);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerward"));
        command.arg("--config").arg(self.path("config.toml")).arg("--state").arg(self.path("state")).args(args);
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command.envs(self.path.iter().map(|path| ("PATH", path)));
        command
    }

    /// The program finds other programs here first.
    pub fn first_on_path(&mut self, dir: &Path) {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&rest));
        self.path = Some(std::env::join_paths(all).unwrap());
    }

    pub fn ask(&self, args: &[&str]) -> Told {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        Told {
            exit: status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    pub fn must(&self, args: &[&str]) -> Told {
        let told = self.ask(args);
        assert_eq!(told.exit, 0, "{args:?}: {told:?}");
        told
    }

    pub fn sync(&self) -> Told {
        self.ask(&["sync", "--yes", "--json", "--quiet"])
    }

    pub fn start_sync(&self) -> Child {
        self.command(&["sync", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What a person does at a provider's own pages.
    pub fn at(&self, provider: &str, verb: &str, args: Value) -> Value {
        self.providers[provider].control(verb, args).unwrap()
    }

    /// One more target in the configuration, with its provider behind a proxy; signed in.
    pub fn add_target(&mut self, name: &str, connector: &str, seed: &Value, section: &str) {
        self.add("targets", name, connector, seed, section);
        self.connect(name);
    }

    /// One more section of the configuration, with its provider behind a proxy. `{url}` in it becomes the provider's.
    pub fn add(&mut self, table: &str, name: &str, connector: &str, seed: &Value, section: &str) {
        let proxy = RUNTIME.block_on(Proxy::open());
        let maker = registry::entry(connector).unwrap().fake.as_ref().unwrap();
        let fake = Arc::new(Mutex::new((maker.from_seed)(seed, proxy.address).unwrap()));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mounted = RUNTIME.block_on(sandbox::mount(name, fake, any)).unwrap();
        proxy.forward_to(mounted.address);
        let url = format!("http://{}", proxy.address);
        let mut config = fs::OpenOptions::new().append(true).open(self.path("config.toml")).unwrap();
        write!(config, "\n[{table}.{name}]\nconnector = \"{connector}\"\n{}", section.replace("{url}", &url)).unwrap();
        self.proxies.insert(name.to_owned(), proxy);
        self.providers.insert(name.to_owned(), mounted);
    }

    /// A file that only its owner may read, beside the configuration.
    pub fn secret(&self, name: &str, word: &str) {
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o400).open(self.path(name));
        file.unwrap().write_all(word.as_bytes()).unwrap();
    }

    pub fn connect(&self, name: &str) {
        let mut child = self
            .command(&["connect", name, "--no-browser"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.by_ref().map(|l| l.trim().to_owned()).find(|l| l.starts_with("http://")).unwrap();
        let url: url::Url = url.parse().unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut socket = TcpStream::connect(&host).unwrap();
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).unwrap();
        let to = page.lines().find_map(|l| l.split_once(": ").filter(|(k, _)| k.eq_ignore_ascii_case("location")));
        writeln!(child.stdin.take().unwrap(), "{}", to.unwrap().1.trim()).unwrap();
        let rest: Vec<String> = lines.collect();
        assert!(child.wait().unwrap().success(), "{rest:?}");
    }

    /// The client folders on Drive as Drive itself shows them: id, name, who is on the list.
    pub fn folders(&self) -> Vec<(String, String, BTreeSet<String>)> {
        let dump = self.at("drive", "dump", json!({}));
        let all = dump["files"].as_array().unwrap().iter();
        all.filter(|f| f["trashed"] != true && f["private"].to_string().contains("client-folder"))
            .map(|f| {
                let who = f["permissions"].as_array().unwrap().iter().filter(|p| p["role"] != "owner");
                let who = who.map(|p| p["who"].as_str().filter(|w| !w.is_empty()).unwrap_or("anyone").to_owned());
                (f["id"].as_str().unwrap().to_owned(), f["name"].as_str().unwrap().to_owned(), who.collect())
            })
            .collect()
    }

    /// Two folders for one client fail the test.
    pub fn lists(&self) -> Lists {
        let folders = self.folders();
        let lists: Lists = folders.iter().map(|(_, name, who)| (name.clone(), who.clone())).collect();
        assert_eq!(lists.len(), folders.len(), "a client's folder is there twice: {folders:?}");
        lists
    }

    /// What ledgerward computed for Drive, from its state alone.
    pub fn access(&self) -> Lists {
        let told = self.must(&["access", "--format", "json", "--json", "--quiet"]).json();
        let mut lists = Lists::new();
        for row in told["rows"].as_array().unwrap().iter().filter(|r| r["target"] == "drive" && r["answer"] == "yes") {
            let name = row["client"]["name"].as_str().unwrap().to_owned();
            lists.entry(name).or_default().insert(row["person"]["email"].as_str().unwrap().to_owned());
        }
        lists
    }

    /// The files on Drive by their mark: name, size and SHA-256 of each.
    pub fn drive_files(&self) -> Vec<(String, String, usize, String)> {
        let saved = self.providers["drive"].save();
        let mut found = Vec::new();
        walk(&saved, &mut |node| {
            let mark = node.get("private")?.as_object()?.values().find_map(|app| app.get("lw_file"))?.as_str()?;
            let bytes = STANDARD.decode(node.get("content")?.as_str()?).ok()?;
            if node["trashed"] != true {
                found.push((mark.to_owned(), node["name"].as_str()?.to_owned(), bytes.len(), sha(&bytes)));
            }
            Some(())
        });
        found.sort();
        found
    }

    /// Everything below the disk target's root: path and SHA-256.
    pub fn disk(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let root = self.path("folders");
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    found.insert(name, sha(&fs::read(&path).unwrap()));
                }
            }
        }
        found
    }

    /// Requests that change something, as the providers counted them.
    pub fn writes(&self) -> u64 {
        let stats = self.at("drive", "stats", json!({}));
        let all = stats["requests"].as_object().unwrap().iter();
        all.filter(|(what, _)| !what.starts_with("GET ") && !what.contains("/token"))
            .filter_map(|(_, n)| n.as_u64())
            .sum()
    }

    /// The state, while no command runs.
    pub fn state<R>(&self, act: impl FnOnce(&mut Db) -> ledgerward::store::Result<R>) -> R {
        let mut db = Db::open(Options::new(self.path("state"), Timestamp::now())).unwrap();
        act(&mut db).unwrap()
    }

    /// The next use of any sign-in has to renew its token first.
    pub fn age_tokens(&self) {
        self.state(|db| {
            for row in db.signins()? {
                let now = db.tokens(&row.id)?;
                let then = Timestamp::now() - jiff::SignedDuration::from_hours(2);
                let new = NewTokens {
                    access: now.access.unwrap(),
                    access_issued_at: then,
                    access_expires_at: then,
                    refresh: now.refresh,
                    refresh_expires_at: now.refresh_expires_at,
                    previous: now.previous,
                };
                db.tokens_commit(&row.id, now.generation, &new)?;
            }
            Ok(())
        });
    }

    /// No folder, file, grant or row is missing, doubled or half there. The firm must be at rest.
    pub fn check_whole(&self, what: &str) {
        let (delivered, owned, rows) = self.state(|db| Ok((db.delivered()?, db.owned()?, db.unsettled()?)));
        assert!(rows.is_empty(), "{what}: steps without an end: {rows:?}");
        let hashes = |target: &str| {
            let of = delivered.iter().filter(|(lane, _)| lane.target.0 == target).flat_map(|(_, files)| files);
            let mut all: Vec<String> = of.map(|f| f.delivered.content_hash.clone()).collect();
            all.sort();
            all
        };
        let files = self.drive_files();
        let mut there: Vec<String> = files.iter().map(|(_, _, _, sha)| sha.clone()).collect();
        there.sort();
        assert_eq!(there, hashes("drive"), "{what}: Drive's files are not the ones that were delivered: {files:?}");
        let marks: BTreeSet<&String> = files.iter().map(|(mark, ..)| mark).collect();
        assert_eq!(marks.len(), files.len(), "{what}: a file is on Drive twice: {files:?}");
        assert!(files.iter().all(|f| f.2 > 0), "{what}: an empty file: {files:?}");

        let disk = self.disk();
        let stray: Vec<&String> =
            disk.keys().filter(|p| p.contains(".part") || p.contains(".tmp") || p.ends_with('~')).collect();
        assert!(stray.is_empty(), "{what}: left behind on the disk: {stray:?}");
        let mut there: Vec<String> = disk
            .iter()
            .filter(|(p, _)| !p.split('/').any(|n| n.starts_with('.')))
            .map(|(_, sha)| sha.clone())
            .collect();
        there.sort();
        assert_eq!(there, hashes("disk"), "{what}: the disk's files are not the ones that were delivered: {disk:?}");

        let mut lists = self.lists();
        lists.retain(|_, people| !people.is_empty());
        assert_eq!(lists, self.access(), "{what}: Drive's lists are not the access that was computed");
        let ours: usize = owned.values().map(Vec::len).sum();
        assert_eq!(ours, lists.values().map(BTreeSet::len).sum::<usize>(), "{what}: {owned:?}");
        self.state(move |db| {
            for row in owned.values().flatten() {
                let step = db.journal_row(ledgerward_contract::Journalled::committed(row.grant.step))?;
                assert_eq!(step.state, ledgerward::store::JournalState::Done, "{row:?}");
            }
            Ok(())
        });
        self.must(&["audit", "verify"]);
    }
}

fn maker(name: &str) -> &'static registry::FakeMaker {
    let (_, connector) = PROVIDERS.iter().find(|(n, _)| *n == name).unwrap();
    registry::entry(connector).unwrap().fake.as_ref().unwrap()
}

/// Every object in a value.
fn walk(value: &Value, see: &mut impl FnMut(&Value) -> Option<()>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| walk(v, see)),
        Value::Object(map) => {
            let _other = see(value);
            map.values().for_each(|v| walk(v, see));
        }
        _ => {}
    }
}

pub fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// With modes and times as they are; sockets and locks are made anew by whoever needs them.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(format!("{}/.", from.display())).arg(to).status().unwrap();
    assert!(done.success());
}

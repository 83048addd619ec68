//! `demo`: a whole firm in a sandbox. The real program, as its user would call it, against the providers' stand-ins over
//! loopback HTTP with the real sign-in; and what it does when things go wrong. Every claim that is printed is checked
//! against the stand-ins themselves; one that does not hold ends the demo with exit code 1.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{
    registry,
    sandbox::{self, Mounted, Resumed},
};

const OWNER: &str = "ana@harbour.example";

pub async fn run(console: &mut dyn Console, dir: Option<&Path>) -> Result<Report, Failure> {
    let dir = match dir {
        Some(dir) => dir.to_path_buf(),
        None => PathBuf::from("ledgerward-demo"),
    };
    if dir.exists() {
        return Err(Failure::new(Exit::Failed, format!("{} is there already", dir.display()))
            .next("Remove it, or name another folder: ledgerward demo --dir DIR"));
    }
    let stage = Stage::set(dir).await?;
    // The steps wait for child processes; the stand-ins answer from the other tasks meanwhile.
    let told = tokio::task::block_in_place(|| play(&stage, console));
    stage.sandbox.save().map_err(|e| Failure::new(Exit::Failed, "the sandbox cannot be saved").cause(&e))?;
    let checks = told?;
    let shown = stage.dir.display();
    let text = format!(
        "\n{checks} claims were checked against the providers' stand-ins; all hold.\n\nLook around:\n  \
         {shown}/folders                    the clients' folders on the disk\n  \
         ledgerward --config {shown}/config.toml --state {shown}/state access\n  \
         ledgerward --config {shown}/config.toml --state {shown}/state sync        (changes nothing)\n",
    );
    Ok(Report::new(Exit::Done, json!({"schema": "ledgerward/demo/1", "dir": stage.dir, "checks": checks}), text))
}

/// The firm's folder and its providers.
struct Stage {
    dir: PathBuf,
    exe: PathBuf,
    sandbox: Resumed,
}

/// What a command gave.
struct Told {
    exit: i32,
    out: String,
    err: String,
}

impl Stage {
    async fn set(dir: PathBuf) -> Result<Self, Failure> {
        let failed = |what: &str, e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{what}: {e}"));
        std::fs::create_dir_all(dir.join("folders")).map_err(|e| failed("the demo's folder", &e))?;
        let dir = dir.canonicalize().map_err(|e| failed("the demo's folder", &e))?;
        let exe = std::env::current_exe().map_err(|e| failed("this program", &e))?;
        let mut mounted = Vec::new();
        for (name, connector) in [("xero", "xero"), ("drive", "google-drive")] {
            mounted.push(provider(name, connector).await?);
        }
        let url = |name: &str| mounted.iter().find(|m| m.name == name).map(Mounted::url).unwrap_or_default();
        let config = include_str!("../../fixtures/firm/config.toml")
            .replace("{xero}", &url("xero"))
            .replace("{drive}", &url("drive"))
            .replace("{disk}", &dir.join("folders").display().to_string());
        for (file, text) in [("xero-secret", "sandbox-secret"), ("drive-secret", "sandbox-drive-client-word")] {
            secret(&dir.join(file), text).map_err(|e| failed(file, &e))?;
        }
        std::fs::write(dir.join("firm.toml"), include_str!("../../fixtures/firm/firm.toml"))
            .map_err(|e| failed("firm.toml", &e))?;
        let stage = Self { exe, sandbox: Resumed::new(dir.join("sandbox"), mounted), dir };
        stage.must(&["init", "--owner", OWNER, "--name", "Harbour & Co", "--first", "Ana", "--last", "Ruiz"])?;
        std::fs::write(stage.dir.join("config.toml"), config).map_err(|e| failed("config.toml", &e))?;
        Ok(stage)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command.arg("--config").arg(self.dir.join("config.toml")).arg("--state").arg(self.dir.join("state"));
        command.args(args).env("NO_COLOR", "1");
        command
    }

    fn ask(&self, args: &[&str]) -> Result<Told, Failure> {
        let output = self.command(args).stdin(Stdio::null()).output();
        let output = output.map_err(|e| Failure::new(Exit::Failed, "the program cannot be started").cause(&e))?;
        Ok(Told {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn must(&self, args: &[&str]) -> Result<Told, Failure> {
        let told = self.ask(args)?;
        if told.exit != 0 {
            return Err(unexpected(args, &told));
        }
        Ok(told)
    }

    /// A command that ends with this code, as JSON.
    fn json(&self, args: &[&str], exits: &[i32]) -> Result<Value, Failure> {
        let told = self.ask(&[args, &["--json", "--quiet"]].concat())?;
        if !exits.contains(&told.exit) {
            return Err(unexpected(args, &told));
        }
        serde_json::from_str(&told.out).map_err(|_| unexpected(args, &told))
    }

    /// What a person does at a provider's own pages.
    fn at(&self, provider: &str, verb: &str, args: Value) -> Result<Value, Failure> {
        let one = self.sandbox.provider(provider);
        let one = one.ok_or_else(|| Failure::new(Exit::Failed, format!("the sandbox has no {provider}")))?;
        one.control(verb, args).map_err(|e| Failure::new(Exit::Failed, format!("{provider} {verb}: {e}")))
    }

    /// The real sign-in; this process stands in for the person's browser.
    fn connect(&self, name: &str) -> Result<(), Failure> {
        let broken = |what: &str| Failure::new(Exit::Failed, format!("connect {name}: {what}"));
        let mut child = self
            .command(&["connect", name, "--no-browser"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| broken("the program cannot be started").cause(&e))?;
        let mut lines = BufReader::new(child.stderr.take().ok_or_else(|| broken("no messages"))?).lines();
        let url = lines.by_ref().map_while(Result::ok).map(|l| l.trim().to_owned()).find(|l| l.starts_with("http://"));
        let answer =
            url.as_deref().and_then(consent).ok_or_else(|| broken("the provider's page did not send us back"))?;
        let mut stdin = child.stdin.take().ok_or_else(|| broken("nobody reads the answer"))?;
        writeln!(stdin, "{answer}").map_err(|e| broken("nobody reads the answer").cause(&e))?;
        drop(stdin);
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let status = child.wait().map_err(|e| broken("it did not end").cause(&e))?;
        if status.success() { Ok(()) } else { Err(broken(&rest.join(" "))) }
    }
}

fn unexpected(args: &[&str], told: &Told) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("`ledgerward {}` ended with {}:\n{}{}", args.join(" "), told.exit, told.out, told.err),
    )
}

async fn provider(name: &str, connector: &str) -> Result<Mounted, Failure> {
    let failed = |e: String| Failure::new(Exit::Failed, format!("{name}: {e}"));
    let maker = registry::entry(connector).and_then(|e| e.fake.as_ref());
    let maker = maker.ok_or_else(|| failed(format!("this program was built without the connector {connector}")))?;
    let seed: Value = serde_json::from_str(maker.sample).map_err(|e| failed(e.to_string()))?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().map_err(|e| failed(e.to_string()))?));
    let fake = (maker.from_seed)(&seed, at).map_err(failed)?;
    sandbox::mount(name, Arc::new(Mutex::new(fake)), at).await.map_err(|e| failed(e.to_string()))
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn secret(file: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(file)?.write_all(text.as_bytes())
}

/// The stand-in's consent page agrees at once: where it sends the browser is the answer.
fn consent(url: &str) -> Option<String> {
    let url: url::Url = url.parse().ok()?;
    let (host, port) = (url.host_str()?, url.port()?);
    let mut socket = TcpStream::connect((host, port)).ok()?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let location = text.lines().find_map(|l| l.split_once(':').filter(|(k, _)| k.eq_ignore_ascii_case("location")));
    location.map(|(_, v)| v.trim().to_owned())
}

/// Counts the claims that were checked, and stops at one that does not hold.
struct Teller<'a> {
    console: &'a mut dyn Console,
    checks: usize,
}

impl Teller<'_> {
    fn act(&mut self, title: &str) {
        self.console.note("");
        self.console.note(title);
    }

    fn say(&mut self, line: &str) {
        self.console.note(&format!("   {line}"));
    }

    fn check(&mut self, claim: bool, line: &str) -> Result<(), Failure> {
        if !claim {
            return Err(Failure::new(Exit::Failed, format!("this does not hold: {line}"))
                .next("This is a defect. Please report it with the output above."));
        }
        self.checks += 1;
        self.console.note(&format!(" ✓ {line}"));
        Ok(())
    }
}

fn play(stage: &Stage, console: &mut dyn Console) -> Result<usize, Failure> {
    let mut tell = Teller { console, checks: 0 };
    first_day(stage, &mut tell)?;
    leaver(stage, &mut tell)?;
    widened(stage, &mut tell)?;
    bad_hour(stage, &mut tell)?;
    tell.act("At rest");
    let before = writes(stage)?;
    let told = stage.ask(&["sync", "--yes"])?;
    tell.check(told.exit == 5 || told.exit == 0, "another sync ends well")?;
    tell.check(writes(stage)? == before, "it wrote nothing anywhere: every folder is as it should be")?;
    Ok(tell.checks)
}

fn first_day(stage: &Stage, tell: &mut Teller<'_>) -> Result<(), Failure> {
    tell.act("1  The firm: 6 people, 12 clients in Xero, folders on Google Drive and on a disk");
    stage.connect("xero")?;
    stage.connect("drive")?;
    tell.say("signed in to Xero and Google Drive (authorisation code with PKCE, tokens sealed on this disk)");
    stage.must(&["firm", "apply", &stage.dir.join("firm.toml").display().to_string(), "--yes"])?;
    stage.json(&["pull"], &[0, 5])?;
    stage.must(&["clients", "accept", "--all"])?;
    let since = jiff::Zoned::now().date().first_of_month().saturating_sub(jiff::Span::new().months(1)).to_string();
    let clients = stage.json(&["clients", "list"], &[0])?;
    let slugs: Vec<String> = list(&clients, "clients").iter().filter_map(|c| text(c, "slug")).collect();
    for slug in &slugs {
        stage.must(&["clients", "since", slug, &since])?;
    }
    stage.must(&["--as", OWNER, "private", "add", "Ana's own books"])?;
    stage.json(&["select", "bob", "--all-granted"], &[0, 5])?;
    stage.must(&["select", "cleo", "birch-llp", "dune-dental"])?;
    let greyed = stage.ask(&["select", "cleo", "cedar-bakery"])?;
    tell.check(greyed.exit != 0, "Cleo cannot be given Cedar Bakery: its ledger has to grant it first")?;
    tell.check(slugs.len() == 12, "12 organisations became clients; Ana's private one is nobody else's")?;

    tell.act("2  First plan, approval, apply");
    let plan = stage.json(&["plan"], &[2, 3])?;
    let holds = list(&plan, "held");
    tell.check(!holds.is_empty(), "nothing was done by itself: the first plan of a target waits for an owner")?;
    tell.check(permissions(stage)?.is_empty(), "no folder exists yet, nobody was let in anywhere")?;
    for hold in holds {
        let digest = text(hold, "digest").unwrap_or_default();
        stage.must(&["approve", &digest, "--reason", "looked at it with Ben"])?;
    }
    let done = stage.json(&["sync", "--yes"], &[0, 3, 5])?;
    let files = done.get("delivery").map(|d| list(d, "files").len()).unwrap_or_default();
    tell.say(&format!("{files} statements and documents went out, as PDF, XLSX, CSV, JSON and OFX"));
    let access = expected(stage)?;
    let drive = folders(stage)?;
    tell.check(drive.len() == 12, "each client has a folder of its own on Drive, the two Acmes too")?;
    let seen: Lists =
        drive.iter().filter(|(_, _, who)| !who.is_empty()).map(|(id, _, who)| (id.clone(), who.clone())).collect();
    tell.check(
        !access.is_empty() && seen == access,
        "every sharing list on Drive equals the access that was computed, person by person",
    )?;
    tell.check(files > 0 && on_disk(&stage.dir.join("folders")) > 0, "the statements are in the folders, whole")?;
    let lists = permissions(stage)?;
    tell.check(
        !holders_like(&lists, "Cedar").contains("dev@harbour.example"),
        "Dev, invoice-only at Cedar Bakery, does not get its papers",
    )?;
    tell.check(!lists.keys().any(|name| name.contains("Ana")), "the private client is on no target")?;
    Ok(())
}

fn leaver(stage: &Stage, tell: &mut Teller<'_>) -> Result<(), Failure> {
    tell.act("3  Dev loses Juniper in Xero; Bob vanishes from the list of Elm Street Garage");
    stage.at(
        "xero",
        "remove_user",
        json!({"tenant": "c4d9a7f2-0000-4000-8000-000000000010", "user": "dev@harbour.example"}),
    )?;
    stage.at("xero", "drop_user", json!({"tenant": "Elm Street Garage", "user": "bob@harbour.example"}))?;
    stage.json(&["sync", "--yes"], &[0, 5])?;
    let now = permissions(stage)?;
    tell.check(
        !holders_like(&now, "Juniper").contains("dev@harbour.example"),
        "Xero says \"removed\": Dev is out of the folder in the same run",
    )?;
    tell.check(
        holders_like(&now, "Elm").contains("bob@harbour.example"),
        "Bob is only missing: one list is no proof, he stays",
    )?;
    stage.json(&["sync", "--yes", "--wait"], &[0, 3, 5])?;
    let now = permissions(stage)?;
    tell.check(
        !holders_like(&now, "Elm").contains("bob@harbour.example"),
        "a second complete list, a little later, agrees: Bob is out",
    )?;
    Ok(())
}

fn widened(stage: &Stage, tell: &mut Teller<'_>) -> Result<(), Failure> {
    tell.act("4  Somebody opens two folders by hand: a public link, and an outsider");
    stage.at("drive", "link_on", json!({"file": "Gable Architects"}))?;
    stage.at(
        "drive",
        "share",
        json!({"file": "Birch LLP", "type": "user", "email": "visitor@elsewhere.example", "role": "reader"}),
    )?;
    let done = stage.json(&["sync", "--yes"], &[3, 5])?;
    let waiting = done.get("delivery").map(|d| list(d, "waiting").to_vec()).unwrap_or_default();
    let waits = |slug: &str| waiting.iter().any(|w| text(w, "client").as_deref() == Some(slug));
    tell.check(
        waits("gable-architects") && waits("birch-llp"),
        "no statement goes into either folder while it is open",
    )?;
    tell.check(
        holders_like(&permissions(stage)?, "Birch").contains("visitor@elsewhere.example"),
        "the outsider is shown, not thrown out: somebody may have meant it",
    )?;
    stage.at("drive", "link_off", json!({"file": "Gable Architects"}))?;
    stage.at("drive", "unshare", json!({"file": "Birch LLP", "email": "visitor@elsewhere.example"}))?;
    let done = stage.json(&["sync", "--yes"], &[0, 3, 5])?;
    let waiting = done.get("delivery").map(|d| list(d, "waiting").len()).unwrap_or_default();
    tell.check(waiting == 0, "the folders are closed again, and deliveries go on by themselves")?;
    Ok(())
}

fn bad_hour(stage: &Stage, tell: &mut Teller<'_>) -> Result<(), Failure> {
    tell.act("5  Xero has a bad hour: empty lists, an error page, a lost organisation");
    let before = permissions(stage)?;
    stage.at("xero", "empty_users", json!({"tenant": "Acme Ltd"}))?;
    stage.at(
        "xero",
        "set_outage",
        json!({"kind": "html", "path": "/api.xro/2.0/Users", "tenant": "c4d9a7f2-0000-4000-8000-000000000002"}),
    )?;
    stage.at("xero", "disconnect_tenant", json!({"tenant": "Kelp Capital"}))?;
    let told = stage.json(&["sync", "--yes"], &[3, 5])?;
    tell.say(&format!(
        "sync ended with \"not everything is known\" and {} waiting second readings",
        number(&told, "unconfirmed")
    ));
    tell.check(permissions(stage)? == before, "nobody lost a folder because of it, and nobody gained one")?;
    stage.at("xero", "empty_users", json!({"tenant": "Acme Ltd", "on": false}))?;
    stage.at("xero", "clear_outages", json!({}))?;
    let done = stage.json(&["sync", "--yes"], &[0, 3, 5])?;
    tell.check(list(&done, "lanes").is_empty(), "the hour is over; there was nothing to repair")?;
    let findings = stage.json(&["findings"], &[0])?;
    let lost = list(&findings, "findings").iter().any(|f| f.to_string().contains("Kelp Capital"));
    tell.check(lost, "Kelp Capital's lost connection stays a finding until somebody deals with it")?;
    Ok(())
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

type Lists = BTreeMap<String, BTreeSet<String>>;

/// What Drive itself says: each client folder by name, with everybody on its list but the account that owns it.
fn permissions(stage: &Stage) -> Result<Lists, Failure> {
    Ok(folders(stage)?.into_iter().map(|(_, name, holders)| (name, holders)).collect())
}

/// The client's id on the folder's mark, the folder's name, and who is on its list.
fn folders(stage: &Stage) -> Result<Vec<(String, String, BTreeSet<String>)>, Failure> {
    let dump = stage.at("drive", "dump", json!({}))?;
    let mut found = Vec::new();
    for file in list(&dump, "files") {
        let marks = file.get("private").map(ToString::to_string).unwrap_or_default();
        if !marks.contains("client-folder") {
            continue;
        }
        let client =
            marks.split("lw_client").nth(1).map(|rest| rest.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-'));
        let client: String = client.into_iter().flatten().take(36).collect();
        let holders = list(file, "permissions")
            .iter()
            .filter(|p| text(p, "role").as_deref() != Some("owner"))
            .map(|p| text(p, "who").filter(|w| !w.is_empty()).unwrap_or_else(|| text(p, "type").unwrap_or_default()))
            .collect();
        found.push((client, text(file, "name").unwrap_or_default(), holders));
    }
    Ok(found)
}

/// What ledgerward computed: client by client, who is to have the folder on Drive.
fn expected(stage: &Stage) -> Result<Lists, Failure> {
    let access = stage.json(&["access", "--format", "json"], &[0])?;
    let mut lists = Lists::new();
    for row in list(&access, "rows").iter().filter(|r| text(r, "target").as_deref() == Some("drive")) {
        if text(row, "answer").as_deref() == Some("yes") {
            let word = |of: &str, key: &str| row.get(of).and_then(|v| text(v, key)).unwrap_or_default();
            lists.entry(word("client", "id")).or_default().insert(word("person", "email"));
        }
    }
    Ok(lists)
}

fn holders_like(lists: &Lists, name: &str) -> BTreeSet<String> {
    lists.iter().filter(|(n, _)| n.contains(name)).flat_map(|(_, people)| people.clone()).collect()
}

/// Every write that a provider saw so far.
fn writes(stage: &Stage) -> Result<u64, Failure> {
    let stats = stage.at("drive", "stats", json!({}))?;
    let requests = stats.get("requests").and_then(Value::as_object);
    let writing = |what: &str| !what.starts_with("GET ") && !what.contains("/token");
    Ok(requests.into_iter().flatten().filter(|(what, _)| writing(what)).filter_map(|(_, n)| n.as_u64()).sum())
}

fn on_disk(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .map(|p| if p.is_dir() { on_disk(&p) } else { usize::from(p.extension().is_some_and(|e| e == "pdf")) })
        .sum()
}

//! The real program as a daemon: a temporary state, a folder on this disk, nobody's network.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test")]

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ledgerward::{
    domain::firm::{Closed, Mode, Office, Person, PersonId},
    store::{Options, Store},
};
use ledgerward_contract::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(20);

struct Firm {
    dir: TempDir,
    metrics: u16,
}

impl Firm {
    /// A state with a firm of nobody, and with what `prepare` puts into it.
    fn new(prepare: impl FnOnce(&mut ledgerward::store::Db) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::DirBuilder::new().mode(0o700).create(dir.path().join("state")).unwrap();
        std::fs::create_dir(dir.path().join("folders")).unwrap();
        let firm = Self { dir, metrics };
        firm.configure("every 1 minutes");
        let store = Store::open(Options::new(firm.path("state"), Timestamp::now()).create()).unwrap();
        store
            .run_blocking(move |db| {
                prepare(db);
                Ok(())
            })
            .unwrap();
        drop(store);
        // The store's thread gives the lock back a moment after its last handle.
        let again = Instant::now();
        while again.elapsed() < WAIT
            && Store::open(Options::new(firm.path("state"), Timestamp::now())).map(drop).is_err()
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(50));
        firm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, access: &str) {
        let text = format!(
            "version = 1\n\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\ntimezone = \"UTC\"\n\n[schedule]\n\
             access = \"{access}\"\nstatements = \"30 6 * * *\"\n\n[targets.disk]\nconnector = \"local\"\nroot = \"{}\"\n\
             sharing = \"off\"\naudience = \"whoever has the disk\"\n\n[metrics]\nmetrics_listen = \"127.0.0.1:{}\"\n",
            self.path("folders").display(),
            self.metrics,
        );
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerward"));
        command.arg("--config").arg(self.path("config.toml")).arg("--state").arg(self.path("state"));
        command.args(args).env_remove("NOTIFY_SOCKET").env_remove("RUNTIME_DIRECTORY").stdin(Stdio::null());
        command
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn start(&self) -> Running<'_> {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = self.command(&["run"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let running = Running { firm: self, child };
        running.until("daemon.ready");
        running
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.path("state/ledgerward.sock")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

struct Running<'f> {
    firm: &'f Firm,
    child: Child,
}

impl Running<'_> {
    fn until(&self, word: &str) {
        let begun = Instant::now();
        while !self.firm.log().contains(word) {
            assert!(begun.elapsed() < WAIT, "no {word} in the log:\n{}", self.firm.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(name).arg(self.child.id().to_string()).status().unwrap().success());
    }

    fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < WAIT, "it does not stop:\n{}", self.firm.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_go_through_the_daemon_and_look_the_same() {
    let firm = Firm::new(|_| ());
    let lines: [&[&str]; 4] =
        [&["freeze", "status", "--json"], &["hold"], &["hold", "show", "7f3c91aa"], &["connect", "nobody"]];
    let without: Vec<Output> = lines.iter().map(|l| firm.ask(l)).collect();
    let mut daemon = firm.start();
    daemon.until("kind=\"statements\" exit");
    for (line, alone) in lines.iter().zip(without) {
        let through = firm.ask(line);
        assert_eq!(text(&through.stdout), text(&alone.stdout), "{line:?}");
        assert_eq!(text(&through.stderr), text(&alone.stderr), "{line:?}");
        assert_eq!(through.status.code(), alone.status.code(), "{line:?}");
    }
    let frozen = firm.ask(&["freeze", "on", "--reason", "audit"]);
    assert_eq!(frozen.status.code(), Some(0), "{}", text(&frozen.stderr));
    assert!(firm.get("/v1/health").contains("\"schema\":\"ledgerward/health/1\""));
    assert!(firm.get("/v1/status").contains("\"schema\":\"ledgerward/"));
    assert_eq!(daemon.stop(), Some(0), "{}", firm.log());
    let kept = firm.ask(&["freeze", "status"]);
    assert!(text(&kept.stdout).contains("audit"), "what a forwarded command did is in the state");
}

#[test]
fn d04_a_second_daemon_ends_with_75_at_once() {
    let firm = Firm::new(|_| ());
    let mut daemon = firm.start();
    let begun = Instant::now();
    let second = firm.ask(&["run"]);
    assert_eq!(second.status.code(), Some(75));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(text(&second.stderr).contains(&daemon.child.id().to_string()), "{}", text(&second.stderr));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn d04_a_lock_without_a_daemon_is_told_at_once() {
    let firm = Firm::new(|_| ());
    let store = Store::open(Options::new(firm.path("state"), Timestamp::now())).unwrap();
    let begun = Instant::now();
    let refused = firm.ask(&["hold"]);
    assert_eq!(refused.status.code(), Some(75), "{}", text(&refused.stderr));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(text(&refused.stderr).contains("next:"));
    drop(store);
}

#[test]
fn x09_the_socket_is_closed_to_others_and_goes_away() {
    let firm = Firm::new(|_| ());
    let socket = firm.path("state/ledgerward.sock");
    let mut daemon = firm.start();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    // Killed: the socket stays behind, and the next daemon takes its place.
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(socket.exists());
    let mut next = firm.start();
    assert!(firm.get("/v1/health").contains("health"));
    assert_eq!(next.stop(), Some(0));
    assert!(!socket.exists());
}

/// Another local user: the tests must run as root for that.
const OTHER: u32 = 54_321;

#[test]
fn an_operator_of_another_uid_reaches_the_daemon_and_not_the_state() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can ask as another user");
        return;
    }
    let firm = Firm::new(|db| {
        let mut firm = ledgerward::domain::firm::Firm::default();
        let none = firm.clone();
        let ana = Person {
            id: PersonId(uuid::Uuid::from_u128(1)),
            first: "Ana".into(),
            last: "Ruiz".into(),
            email: ledgerward_contract::Email::parse("ana@harbour.example").unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode: Mode::Ledger,
            office: Office::PrimaryOwner,
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        firm.people.insert(ana.id, ana);
        db.save_firm_diff(&none, &firm).unwrap();
    });
    // The program itself, where anybody may run it.
    std::fs::set_permissions(firm.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = firm.path("ledgerward");
    std::fs::copy(env!("CARGO_BIN_EXE_ledgerward"), &program).unwrap();
    let run = firm.path("run");
    std::fs::DirBuilder::new().mode(0o750).create(&run).unwrap();
    // As systemd would with Group=: the socket and its directory belong to the service's group.
    std::os::unix::fs::chown(&run, None, Some(OTHER)).unwrap();
    let ask = |gid: u32, args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--config").arg(firm.path("config.toml")).arg("--state").arg(firm.path("state")).args(args);
        command.env("RUNTIME_DIRECTORY", &run).stdin(Stdio::null()).uid(OTHER).gid(gid).output().unwrap()
    };
    let start = || {
        let log = std::fs::File::create(firm.path("log")).unwrap();
        let mut command = firm.command(&["run"]);
        command.env("RUNTIME_DIRECTORY", &run).gid(OTHER).stderr(log).stdout(Stdio::null());
        let running = Running { firm: &firm, child: command.spawn().unwrap() };
        running.until("daemon.ready");
        running
    };
    let mut daemon = start();
    let socket = run.join("ledgerward.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(!firm.path("state/ledgerward.sock").exists(), "one socket is enough");
    let stranger = ask(OTHER, &["hold"]);
    assert_eq!(stranger.status.code(), Some(1), "in the group, and nobody's person");
    assert!(text(&stranger.stderr).contains("[operators]"), "{}", text(&stranger.stderr));
    assert_eq!(daemon.stop(), Some(0));

    let config = std::fs::read_to_string(firm.path("config.toml")).unwrap();
    let config = format!("{config}\n[operators]\n{OTHER} = \"ana@harbour.example\"\n");
    std::fs::write(firm.path("config.toml"), config).unwrap();
    let mut daemon = start();
    let told = ask(OTHER, &["freeze", "on", "--reason", "audit"]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let trail = firm.command(&["audit", "export"]).env("RUNTIME_DIRECTORY", &run).output().unwrap();
    assert!(text(&trail.stdout).contains("ana@harbour.example"), "{}{}", text(&trail.stdout), text(&trail.stderr));
    let outside = ask(OTHER + 1, &["hold"]);
    assert_eq!(outside.status.code(), Some(1));
    assert!(text(&outside.stderr).contains("you may not use"), "{}", text(&outside.stderr));
    assert_eq!(daemon.stop(), Some(0));
    assert!(!socket.exists());
    // A directory where somebody else could put a socket of his own is no place for ours.
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o777)).unwrap();
    let open = firm.command(&["run"]).env("RUNTIME_DIRECTORY", &run).output().unwrap();
    assert_eq!(open.status.code(), Some(78), "{}", text(&open.stderr));
}

#[test]
fn a_missed_night_is_caught_up_once() {
    let long_ago: Timestamp = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 9);
    let firm = Firm::new(move |db| {
        for name in ["access", "statements", "daily", "keep-alive"] {
            db.schedule_started(name, long_ago).unwrap();
        }
    });
    let mut daemon = firm.start();
    daemon.until("kind=\"daily\" exit");
    let log = firm.log();
    assert_eq!(log.matches("kind=\"statements\" exit").count(), 1, "{log}");
    assert_eq!(log.matches("kind=\"access\" exit").count(), 0, "the statements cycle did that too\n{log}");
    assert_eq!(std::fs::read_dir(firm.path("state/backups")).unwrap().count(), 1);
    assert_eq!(daemon.stop(), Some(0));
    let store = Store::open(Options::new(firm.path("state"), Timestamp::now())).unwrap();
    let (last, runs) = store.run_blocking(|db| Ok((db.schedule_last()?, db.runs(10)?))).unwrap();
    assert!(last.values().all(|at| *at > long_ago));
    assert!(runs.iter().all(|r| r.ended.is_some()), "{runs:?}");
}

#[test]
fn the_daily_report_names_who_is_still_closed() {
    let long_ago: Timestamp = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 9);
    let firm = Firm::new(move |db| {
        db.schedule_started("daily", long_ago).unwrap();
        let none = db.firm().unwrap();
        let mut firm = none.clone();
        let bob = Person {
            id: PersonId(uuid::Uuid::from_u128(2)),
            first: "Bob".into(),
            last: "Brown".into(),
            email: ledgerward_contract::Email::parse("bob@harbour.example").unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode: Mode::LedgerSelected,
            office: Office::Employee,
            enabled: true,
            closed: Some(Closed { since: long_ago, by: "ana@harbour.example".into(), reason: "lost laptop".into() }),
            domain_accepted: false,
        };
        firm.people.insert(bob.id, bob);
        db.save_firm_diff(&none, &firm).unwrap();
    });
    let mut daemon = firm.start();
    daemon.until("kind=\"daily\" exit");
    let log = firm.log();
    assert_eq!(log.matches("person.closed").count(), 1, "{log}");
    assert!(log.contains("Bob Brown (bob@harbour.example) has been closed for 9 days"), "{log}");
    let found = String::from_utf8(firm.ask(&["findings"]).stdout).unwrap();
    assert!(found.contains("person.closed") && found.contains("ledgerward people lift bob@harbour.example"), "{found}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn systemd_is_told_when_it_is_ready_alive_and_stopping() {
    let firm = Firm::new(|_| ());
    let path = firm.path("notify");
    let systemd = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(WAIT)).unwrap();
    let log = std::fs::File::create(firm.path("log")).unwrap();
    let mut command = firm.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "60000000").stderr(log).stdout(Stdio::null());
    let mut daemon = Running { firm: &firm, child: command.spawn().unwrap() };
    let mut told = String::new();
    let mut until = |word: &str| {
        let mut buffer = [0; 512];
        while !told.contains(word) {
            let n = systemd.recv(&mut buffer).unwrap_or_else(|e| unreachable!("no {word}: {e}; told: {told}"));
            told.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            told.push('\n');
        }
        told.clone()
    };
    assert!(!until("READY=1").contains("WATCHDOG=1"), "nothing is alive before it is ready");
    until("WATCHDOG=1");
    daemon.until("kind=\"statements\" exit");
    assert!(!until("STATUS=").contains("STOPPING=1"));
    assert_eq!(daemon.stop(), Some(0));
    assert!(until("STOPPING=1").contains("STATUS=Stopping"));
}

#[test]
fn x10_metrics_are_prometheus_text_without_names() {
    let firm = Firm::new(|_| ());
    let mut daemon = firm.start();
    daemon.until("kind=\"statements\" exit");
    let mut stream = TcpStream::connect(("127.0.0.1", firm.metrics)).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let mut numbers = 0;
    for line in body.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("ledgerward_"), "{line}");
        value.parse::<f64>().unwrap();
        numbers += 1;
    }
    assert!(numbers > 5, "{body}");
    assert!(body.contains("ledgerward_last_success_timestamp_seconds{kind=\"statements\"}"), "{body}");
    assert!(!body.contains("arbour"), "no names");
    assert!(firm.get("/metrics").contains("ledgerward_resident_memory_bytes"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_refused_configuration_keeps_the_old_one() {
    let firm = Firm::new(|_| ());
    let mut daemon = firm.start();
    daemon.until("kind=\"statements\" exit");
    firm.configure("every now and then");
    daemon.signal("-HUP");
    daemon.until("config.refused");
    assert_eq!(firm.ask(&["hold"]).status.code(), Some(0), "it still works");
    firm.configure("every 2 hours");
    daemon.signal("-HUP");
    daemon.until("config.loaded");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_the_socket_is_not_for_is_refused() {
    let firm = Firm::new(|_| ());
    let mut daemon = firm.start();
    let post = |body: &str| {
        let mut stream = UnixStream::connect(firm.path("state/ledgerward.sock")).unwrap();
        write!(
            stream,
            "POST /v1/command HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    for args in [r#"["run"]"#, r#"["restore","x.db"]"#, r#"["frobnicate"]"#] {
        let last: Value = serde_json::from_str(post(&format!("{{\"args\":{args}}}")).lines().last().unwrap()).unwrap();
        assert_eq!(last["failure"]["exit"], 64, "{args}: {last}");
    }
    let acting: Value =
        serde_json::from_str(post(r#"{"args":["hold"],"acting":"nobody"}"#).lines().last().unwrap()).unwrap();
    assert_eq!(acting["failure"]["exit"], 64, "{acting}");
    assert_eq!(daemon.stop(), Some(0));
}

//! A firm without providers behind the real daemon, and a client of its API.

use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    os::unix::{fs::DirBuilderExt as _, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ledgerward::{
    domain::firm::{Client, ClientState, Firm, Mode, Office, Person, PersonId, Selection, SelectionScope},
    store::{Options, Store},
};
use ledgerward_contract::{ClientId, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

const WAIT: Duration = Duration::from_secs(30);

pub struct Daemon {
    pub dir: TempDir,
    pub tcp: u16,
    child: Child,
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub json: Value,
}

/// Invented people and clients; the first five have an office each, everybody has every seventh client selected.
pub fn firm(people: u128, clients: u128) -> Firm {
    let names = ["ana", "olga", "adam", "emma", "vera"];
    let offices = [Office::PrimaryOwner, Office::Owner, Office::Admin, Office::Employee, Office::Viewer];
    let mut firm = Firm::default();
    for n in 0..people {
        let place = usize::try_from(n).unwrap();
        let name = names.get(place).map_or_else(|| format!("p{n}"), |n| (*n).to_owned());
        let id = PersonId(Uuid::from_u128((1 << 100) + n));
        let person = Person {
            id,
            first: name.clone(),
            last: "Harbour".into(),
            email: ledgerward_contract::Email::parse(&format!("{name}@harbour.example")).unwrap(),
            aliases: BTreeMap::new(),
            target_addresses: BTreeMap::new(),
            mode: Mode::Selected,
            office: offices.get(place).cloned().unwrap_or(Office::Employee),
            enabled: true,
            closed: None,
            domain_accepted: false,
        };
        firm.people.insert(id, person);
    }
    for n in 0..clients {
        let id = ClientId(Uuid::from_u128((1 << 101) + n));
        let client = Client {
            id,
            slug: format!("client-{n}"),
            name: format!("Client {n}"),
            state: ClientState::Active,
            private_to: None,
            sources: Default::default(),
            authority: Default::default(),
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: None,
            statements_since: None,
        };
        firm.clients.insert(id, client);
        for (p, person) in firm.people.keys().enumerate() {
            if (p as u128 + n).is_multiple_of(7) {
                let selection = Selection { scope: SelectionScope::Whole, when_granted: false };
                firm.selections.insert((*person, id), selection);
            }
        }
    }
    firm
}

impl Daemon {
    pub fn start(firm: Firm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let state = dir.path().join("state");
        std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
        std::fs::create_dir(dir.path().join("folders")).unwrap();
        let config = format!(
            "version = 1\n\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\ntimezone = \"UTC\"\n\n[schedule]\n\
             access = \"every 12 hours\"\nstatements = \"30 6 * * *\"\n\n[targets.disk]\nconnector = \"local\"\nroot = \"{}\"\n\
             sharing = \"off\"\naudience = \"whoever has the disk\"\n\n[api]\nlisten = \"127.0.0.1:{tcp}\"\n",
            dir.path().join("folders").display(),
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let store = Store::open(Options::new(&state, Timestamp::now()).create()).unwrap();
        store.run_blocking(move |db| db.save_firm_diff(&Firm::default(), &firm)).unwrap();
        drop(store);
        // The store's thread gives the lock back a moment after its last handle.
        let begun = Instant::now();
        while begun.elapsed() < WAIT && Store::open(Options::new(&state, Timestamp::now())).map(drop).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command(&dir, &["run"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let daemon = Self { dir, tcp, child };
        let begun = Instant::now();
        while !daemon.log().contains("daemon.ready") {
            assert!(begun.elapsed() < WAIT, "it does not start:\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("state/ledgerward.sock")
    }

    /// The process, for whoever measures it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn cli(&self, args: &[&str]) -> Output {
        command(&self.dir, args).output().unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&self.dir, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Over the socket, as somebody; `raw`: a body as it is, with its content type.
    pub fn send(&self, acting: &str, method: &str, path: &str, raw: Option<(&str, &[u8])>) -> Got {
        let acting = if acting.is_empty() { String::new() } else { format!("Ledgerward-As: {acting}\r\n") };
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        talk(stream, method, path, &format!("Host: ledgerward\r\n{acting}"), raw)
    }

    pub fn tcp(&self, headers: &str, method: &str, path: &str, raw: Option<(&str, &[u8])>) -> Got {
        let stream = TcpStream::connect(("127.0.0.1", self.tcp)).unwrap();
        talk(stream, method, path, headers, raw)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn command(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerward"));
    command.arg("--config").arg(dir.path().join("config.toml")).arg("--state").arg(dir.path().join("state"));
    command.args(args).env_remove("NOTIFY_SOCKET").env_remove("RUNTIME_DIRECTORY").stdin(Stdio::null());
    command
}

fn talk<S: std::io::Read + std::io::Write>(
    mut stream: S,
    method: &str,
    path: &str,
    headers: &str,
    raw: Option<(&str, &[u8])>,
) -> Got {
    let body =
        raw.map_or_else(String::new, |(media, b)| format!("Content-Type: {media}\r\nContent-Length: {}\r\n", b.len()));
    let mut request = format!("{method} {path} HTTP/1.1\r\n{headers}{body}Connection: close\r\n\r\n").into_bytes();
    request.extend_from_slice(raw.map_or(&[], |(_, b)| b));
    // It may answer before it has read everything.
    let _answered_early = stream.write_all(&request);
    let mut bytes = Vec::new();
    let _reset_after_the_answer = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head.lines().skip(1).filter_map(|l| l.split_once(": "));
    let headers = headers.map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    let json = serde_json::from_str(body).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}"));
    Got { status, headers, json }
}

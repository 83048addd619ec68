//! The commands that manage a firm, as a person types them: the real program, its exit codes and what it says. No network:
//! the configuration's endpoints are loopback addresses that nobody listens on.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod shape;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ledgerward::{
    domain::{
        change::{self, Actor, By, ChangeOp},
        firm::Firm,
    },
    store::{Db, Options},
};
use ledgerward_contract::{AccountKind, ClientId, LedgerAccount, LedgerRow, SourceKind, SourceRef, Timestamp};
use serde_json::{Value, json};

struct Place {
    dir: tempfile::TempDir,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, part: &str) -> Self {
        assert!(self.out.contains(part), "\"{part}\" is not on stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn warns(self, part: &str) -> Self {
        assert!(self.err.contains(part), "\"{part}\" is not on stderr: {}\nstdout: {}", self.err, self.out);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        let value = serde_json::from_str(&self.out).unwrap();
        shape::check(&value);
        value
    }
}

impl Place {
    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A firm with its owner Ana and two employees.
    fn firm() -> Self {
        let place = Self::empty();
        place.run("init --owner ana@harbour.example --name Harbour --first Ana --last Reed").ok();
        place.secrets();
        let config = std::fs::read_to_string(place.config()).unwrap();
        let xero = "endpoints = { login = \"http://127.0.0.1:1\", identity = \"http://127.0.0.1:1\", api = \"http://127.0.0.1:1\" }";
        let config = config.replace("connector = \"xero\"", &format!("connector = \"xero\"\n{xero}"));
        std::fs::write(place.config(), config).unwrap();
        place.run("people add bob@harbour.example --first Bob --last Brown").ok();
        place.run("people add cleo@harbour.example --first Cleo --last Chan --mode all").ok();
        place
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("etc/config.toml")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// What a person fills in after `init`.
    fn secrets(&self) {
        let config = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), config.replace("YOUR-CLIENT-ID", "an-app")).unwrap();
        for name in ["xero-secret", "drive-secret"] {
            let file = self.dir.path().join("etc").join(name);
            std::fs::write(&file, "not-a-secret").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        }
    }

    fn run(&self, line: &str) -> Said {
        self.args(&line.split_whitespace().collect::<Vec<_>>())
    }

    fn args(&self, args: &[&str]) -> Said {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .arg("--config")
            .arg(self.config())
            .arg("--state")
            .arg(self.state())
            .args(args)
            .env("NO_COLOR", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    /// What a pull would have left: a ledger that is proposed as a client, and what it says about people.
    fn pulled(&self, name: &str, says: &[(&str, &str)]) {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let mut db = Db::open(Options::new(self.state(), now)).unwrap();
        let before: Firm = db.firm().unwrap();
        let source = SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: format!("id-{name}") };
        let op =
            ChangeOp::ProposeClient { id: ClientId(uuid::Uuid::now_v7()), name: name.into(), source: source.clone() };
        let (after, _) = change::apply(&before, &op, By { actor: Actor::Daemon, at: now }).unwrap();
        db.save_firm_diff(&before, &after).unwrap();
        let facts: Vec<Value> = says
            .iter()
            .map(|(email, why)| {
                let person = after.people.values().find(|p| p.email.key() == *email).unwrap();
                json!([person.id, {"why": why, "role": "STANDARD", "user": email, "since": null}])
            })
            .collect();
        let kept = json!({
            "source": source, "name": name, "grade": "A",
            "memory": {"users": {"u1": {"email": null, "role": "STANDARD", "standing": "active", "last_seen": now, "absent_since": null, "gone_at": null},
                                 "u2": {"email": null, "role": "BRAND_NEW", "standing": "active", "last_seen": now, "absent_since": null, "gone_at": null}}},
            "last": {"facts": facts, "rest": "never_listed", "unknown_since": null, "trouble": null},
        });
        db.doc_put("source", &format!("xero/ledger/id-{name}"), &kept).unwrap();
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn init_makes_a_firm_once_and_never_writes_over_anything() {
    let place = Place::empty();
    place.run("init --owner nobody --name X").exits(64);
    let said =
        place.args(&["init", "--owner", "ana.reed@harbour.example", "--name", "Harbour & \"Co\"", "--json"]).ok();
    let json = said.json();
    assert_eq!((&json["schema"], &json["owner"]["first"]), (&json!("ledgerward/init/1"), &json!("Ana")));
    let before = std::fs::read_to_string(place.config()).unwrap();
    assert!(
        before.contains(r#"name = 'Harbour & "Co"'"#) || before.contains(r#"name = "Harbour & \"Co\"""#),
        "{before}"
    );
    assert_eq!(files(&place.dir.path().join("etc")), ["config.toml"], "no draft is left");

    place.run("init --owner eve@harbour.example --name Other").exits(78).warns("exists already").warns("next:");
    assert_eq!(std::fs::read_to_string(place.config()).unwrap(), before);
    // The secrets are not there yet, and each is told at its line.
    place.run("people").exits(78).warns("xero-secret").warns("drive-secret");
    place.secrets();
    place.run("people").ok().says("ana.reed@harbour.example").says("primary-owner");
}

/// What was cut is no answer: a script that keeps it must hear of it.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let place = Place::firm();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for line in ["firm export", "audit export", "access --format csv", "status --json", "man", "--help"] {
        let done = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
            .args(["--config".into(), place.config(), "--state".into(), place.state()])
            .args(line.split(' '))
            .stdout(full())
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{line}: {said}");
        assert!(line == "--help" || said.contains("could not be written"), "{line}: {said}");
    }
}

#[test]
fn init_leaves_nothing_half_made() {
    let place = Place::empty();
    // A state folder that others may read is refused after the draft was written.
    std::fs::create_dir(place.state()).unwrap();
    std::fs::set_permissions(place.state(), std::fs::Permissions::from_mode(0o755)).unwrap();
    place.run("init --owner ana@harbour.example --name Harbour").exits(78).warns("open to other users");
    assert!(!place.dir.path().join("etc").exists());
    assert_eq!(files(&place.state()), Vec::<String>::new());
}

#[test]
fn init_keeps_a_configuration_that_is_there_already() {
    let first = Place::firm();
    let text = std::fs::read_to_string(first.config()).unwrap();
    let place = Place::empty();
    std::fs::create_dir(place.dir.path().join("etc")).unwrap();
    std::fs::write(place.config(), &text).unwrap();
    place.secrets();
    let key = place.dir.path().join("the-key");
    let with_key = format!("{text}\n[state]\nkey = {{ file = \"{}\" }}\n", key.display());
    if !text.contains("\n[state]") {
        std::fs::write(place.config(), &with_key).unwrap();
        std::fs::write(&key, [7; 32]).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    place.run("init --owner ana@harbour.example --name Harbour").ok().says("Kept").warns("the-key, somewhere else");
    std::fs::write(place.config(), &text).unwrap();
    assert_eq!(std::fs::read_to_string(place.config()).unwrap(), text);
    place.run("people").ok().says("ana@harbour.example");
}

#[test]
fn people_are_added_changed_and_listed() {
    let place = Place::firm();
    place.run("people add nonsense --first A --last B").exits(64);
    place.run("people add bob@harbour.example --first Bob --last Two").exits(1).warns("already one of Bob Brown's");
    place.run("people add x@other.example --first Xi --last Lo").ok().warns("accept-domain x@other.example");
    place.run("people").ok().says("domain not accepted");
    place.run("people accept-domain x@other.example").ok();
    place.run("people mode bob selected").ok().says("was ledger+selected");
    place.run("people office bob admin --mode ledger").ok().says("is admin");
    place.run("people alias bob xero robert@old.example").ok();
    place
        .run("people alias bob zero robert@old.example")
        .exits(1)
        .warns("no connection \"zero\"")
        .warns("It has: xero");
    place.run("people address bob drive bob@drive.example").ok();
    place.run("people edit bob --last Browne").ok().says("Bob Browne");
    place.run("people disable cleo").ok().says("disabled");
    place.run("people").ok().warns("1 disabled not shown");
    let json = place.run("people list --all --json").ok().json();
    let rows = json["people"].as_array().unwrap();
    let bob = rows.iter().find(|p| p["email"] == "bob@harbour.example").unwrap();
    assert_eq!((&bob["office"], &bob["mode"]), (&json!("admin"), &json!("ledger")));
    assert_eq!(bob["aliases"]["xero"], json!(["robert@old.example"]));
    assert_eq!(bob["addresses"]["drive"], json!("bob@drive.example"));
    assert!(rows.iter().any(|p| p["enabled"] == json!(false)));
    place.run("people disable ana").exits(1);
    place.run("people hand-over bob").exits(1).warns("not an enabled owner");
}

#[test]
fn a_mistyped_name_is_answered_with_what_was_probably_meant() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok().says("acme-ltd");
    place
        .run("people mode bov all")
        .exits(1)
        .warns("there is no person \"bov\"")
        .warns("Did you mean bob@harbour.example");
    place.run("select bob acme-ldt").exits(1).warns("there is no client").warns("Did you mean acme-ltd");
    place.run("select bob zzzzzzzz").exits(1).warns("ledgerward clients list --all");
    let json = place.run("select bob acme-ldt --json").exits(1).json();
    assert_eq!(json["schema"], json!("ledgerward/error/1"));
}

#[test]
fn who_may_not_manage_is_refused_and_sees_only_their_own() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    let bob = "--as bob@harbour.example";
    place
        .run(&format!("{bob} people add y@harbour.example --first Y --last Z"))
        .exits(1)
        .warns("permission \"people\" is missing");
    place.run(&format!("{bob} select bob acme-ltd")).exits(1);
    let people = place.run(&format!("{bob} people")).ok().warns("2 more whom you do not see");
    assert!(!people.out.contains("cleo@"));
    let clients = place.run(&format!("{bob} clients")).ok().warns("1 more that you do not see");
    assert!(!clients.out.contains("acme"), "{}", clients.out);
    place.run(&format!("{bob} firm export")).exits(1);
    place.run("--as stranger@harbour.example people disable bob").exits(1).warns("no person of the firm");
}

#[test]
fn accepting_says_who_gains_what() {
    let place = Place::firm();
    place.pulled("Acme Ltd", &[("bob@harbour.example", "reader")]);
    place.pulled("Birch LLP", &[]);
    place.run("clients").ok().says("proposed").warns("clients accept");
    place.run("select bob acme-ltd").exits(1).says("proposed");
    place.run("clients accept acme-ltd").ok().says("1 person gains it: Cleo Chan");
    place.run("clients accept acme-ltd").ok().says("accepted already");
    let json = place.run("clients accept --all --json").ok().json();
    assert_eq!(json["clients"][0]["client"], json!("birch-llp"));
    assert_eq!(json["clients"][0]["gain"], json!(["cleo@harbour.example"]));
    place.run("clients accept --all").ok().says("No client is proposed");
    place.run("roles table").ok().says("STANDARD").says("BRAND_NEW").says("not in the table").warns("BRAND_NEW");
}

#[test]
fn a_client_that_the_ledger_does_not_grant_is_greyed() {
    let place = Place::firm();
    place.pulled("Acme Ltd", &[("bob@harbour.example", "reader")]);
    place.pulled("Birch LLP", &[("bob@harbour.example", "gone")]);
    place.run("clients accept --all").ok();
    // All or nothing: acme would pass, and is not written.
    place
        .run("select bob acme-ltd birch-llp")
        .exits(1)
        .says("birch-llp  needs Xero access first: xero \"Birch LLP\"")
        .says("acme-ltd   not done")
        .warns("Nothing was changed");
    let none = place.run("people --json").ok().json();
    assert!(none["people"].as_array().unwrap().iter().all(|p| p["selected"] == json!(0)));

    place.run("select bob acme-ltd").ok().says("acme-ltd  granted");
    place.run("select bob acme-ltd").ok().says("already has access");
    place.run("select bob birch-llp --when-granted").ok().says("pending: until xero \"Birch LLP\" grants it");
    place.run("select bob birch-llp").exits(1).says("a wish for it is kept already");
    // A file says what commands say, and gets the same answer.
    let text = place.run("firm export").ok().out;
    let wish = "\n[[selection]]\nperson = \"ana@harbour.example\"\nclient = \"birch-llp\"\n";
    place.run("people mode ana ledger+selected").ok();
    place.pulled("Cove", &[("ana@harbour.example", "gone")]);
    place.run("clients accept cove").ok();
    let text = text + &wish.replace("birch-llp", "cove");
    let file = place.write("greyed.toml", &text);
    for line in ["--dry-run", "--yes"] {
        place
            .run(&format!("firm apply {file} {line}"))
            .exits(1)
            .warns("ana@harbour.example needs access to cove in xero \"Cove\" first")
            .warns("when_granted = true");
    }
    let file = place.write("wish.toml", &format!("{text}when_granted = true\n"));
    place.run(&format!("firm apply {file} --yes")).ok();
    // Taking away also ends the wish.
    place.run("select bob birch-llp --remove").ok().says("removed");
    place.run("select bob birch-llp --remove").ok().says("no matching access");
    let json = place.run("select bob acme-ltd --json").ok().json();
    assert_eq!(json["clients"][0]["answer"], json!("already_has_access"));
}

#[test]
fn all_granted_takes_what_the_ledgers_grant_and_nothing_else() {
    let place = Place::firm();
    place.pulled("Acme Ltd", &[("bob@harbour.example", "reader")]);
    place.pulled("Birch LLP", &[("bob@harbour.example", "gone")]);
    place.pulled("Cove Inc", &[("bob@harbour.example", "role_unmapped")]);
    place.args(&["clients", "add", "No Ledger"]).ok();
    place.run("clients accept --all").ok();
    let said =
        place.run("select bob --all-granted").exits(5).says("acme-ltd  granted").warns("1 client could not be judged");
    assert!(
        !said.out.contains("birch") && !said.out.contains("cove") && !said.out.contains("no-ledger"),
        "{}",
        said.out
    );
    place.run("select bob --all-granted").exits(5);
}

#[test]
fn accounts_are_never_an_empty_list() {
    let place = Place::firm();
    place.pulled("Acme Ltd", &[("bob@harbour.example", "reader")]);
    place.run("clients accept --all").ok();
    place.args(&["select", "bob", "acme-ltd", "--account", ""]).exits(64);
    place.args(&["clients", "accounts", "acme-ltd", " "]).exits(64).warns("Name at least one account");
    place.run("clients accounts acme-ltd").exits(64);
    place.run("clients accounts acme-ltd xero:nowhere:1").exits(1).warns("It is bound to: xero:id-Acme Ltd");
    place.run("clients accounts acme-ltd 1000").ok().warns("could not be read").warns("is taken for the account's id");
    place.run("clients accounts acme-ltd --all").ok();
    place.run("select bob acme-ltd --account 1000").ok().says("granted");
}

#[test]
fn accounts_of_a_file_are_checked_where_their_ledger_is_known() {
    let place = Place::firm();
    place.pulled("Acme Ltd", &[("bob@harbour.example", "reader")]);
    place.run("clients accept --all").ok();
    let export = place.run("firm export").ok().out;
    assert!(export.contains("accounts = \"all\""), "{export}");
    let choose = |account: &str| {
        let one =
            format!("accounts = [{{ connection = \"xero\", ledger = \"id-Acme Ltd\", account = \"{account}\" }}]");
        let file = place.write("firm.toml", &export.replace("accounts = \"all\"", &one));
        place.args(&["firm", "apply", &file, "--yes"])
    };
    choose("B1").ok().warns("have not been read yet");
    let mut db = Db::open(Options::new(place.state(), "2026-11-21T09:00:00Z".parse().unwrap())).unwrap();
    let ledger =
        LedgerRow { id: "id-Acme Ltd".into(), name: "Acme".into(), kind: "ORGANISATION".into(), is_ledger: true };
    db.see_ledgers(&"xero".into(), &[ledger], "2026-11-21T09:00:00Z".parse().unwrap()).unwrap();
    let bank = LedgerAccount {
        id: "B1".into(),
        name: "Current".into(),
        code: None,
        kind: AccountKind::Bank,
        currency: None,
        number: None,
        active: true,
    };
    db.set_accounts(&"xero".into(), &"id-Acme Ltd".into(), &[bank]).unwrap();
    drop(db);
    choose("B2").exits(1).warns("has no account \"B2\"").warns("It has: B1");
    place.args(&["clients", "accounts", "acme-ltd", "B2"]).exits(1).warns("has no account \"B2\"");
    choose("B1").ok();
    // Whose folder it is, people read by name.
    place.run("select bob acme-ltd --account Current").ok();
    place.run("access --person bob").ok().says("(account Current)");
    let told = place.run("access --person bob --json").ok().json();
    assert_eq!((&told["rows"][0]["account"], &told["rows"][0]["account_name"]), (&json!("B1"), &json!("Current")));
}

#[test]
fn the_loss_of_a_ledgers_list_is_confirmed_by_whoever_may_decide_about_it() {
    let place = Place::firm();
    place.pulled("Acme", &[]);
    place.run("clients accept acme").ok();
    place.run("people office bob admin --mode ledger").ok();
    let confirm = "clients confirm-unlisted acme xero id-Acme --reason withdrawn";
    place.run(confirm).exits(1).warns("there is nothing to confirm");
    let mut db = Db::open(Options::new(place.state(), "2026-11-21T09:00:00Z".parse().unwrap())).unwrap();
    let mut kept: Value = db.doc_get("source", "xero/ledger/id-Acme").unwrap().unwrap();
    kept["last"]["rest"] = json!("once_listed");
    db.doc_put("source", "xero/ledger/id-Acme", &kept).unwrap();
    drop(db);
    place.run("clients confirm-unlisted acme xero other --reason x").exits(1).warns("Its ledgers: xero id-Acme");
    place.run("clients confirm-unlisted acme xero id-Acme").exits(64);
    place.run(&format!("--as cleo@harbour.example {confirm}")).exits(1).warns("\"connections\" is missing");
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    place.run(&format!("--as bob@harbour.example {confirm}")).exits(1).warns("an owner must");
    let said = place.run(confirm).ok().says("xero id-Acme no longer lists its users");
    assert!(said.err.contains("without a list: manual") && said.err.contains("ledgerward plan"), "{}", said.err);
    let told = place.run(&format!("{confirm} --json")).ok().json();
    assert_eq!(told["changes"][0]["changed"], false);
    place.run("audit export").ok().says("source.confirm_unlisted");
}

#[test]
fn clients_are_bound_renamed_and_ended() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("clients bind acme-ltd xero L1").ok().says("is bound to xero L1").warns("has not shown a ledger L1 yet");
    place.run("clients authority acme-ltd xero:L2").exits(1).warns("Use one of: xero:L1");
    place.run("clients authority acme-ltd xero:L1").ok();
    place.run("clients unbind acme-ltd xero L1").exits(1).warns("alone decides");
    place.run("clients authority acme-ltd any").ok();
    place.run("clients unlisted acme-ltd deny").ok();
    place.run("clients targets acme-ltd drives").exits(1).warns("It has: drive");
    place.run("clients targets acme-ltd drive").ok();
    place.run("clients since acme-ltd 2026-07-01").ok();
    place.run("clients year-end acme-ltd 03-31").ok();
    place.run("clients rename acme-ltd Apex").ok().says("is now Apex");
    place.run("clients rename-folder acme-ltd").ok().says("no folder yet");
    place.run("clients close acme-ltd").ok();
    place.run("clients accept acme-ltd").exits(1).warns("clients reopen acme-ltd");
    place.run("clients reopen acme-ltd").ok();
    let json = place.run("clients --json").ok().json();
    let acme = &json["clients"][0];
    assert_eq!(
        (&acme["year_end"], &acme["since"], &acme["unlisted"]),
        (&json!("03-31"), &json!("2026-07-01"), &json!("deny"))
    );
}

#[test]
fn a_firm_file_goes_out_and_in_and_a_wrong_one_is_refused_whole() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("--as ana@harbour.example private add Hobby").ok();
    let text = place.run("firm export").ok().out;
    assert!(text.contains("acme-ltd") && !text.contains("hobby"), "{text}");
    let same = place.write("same.toml", &text);
    place.run(&format!("firm apply {same} --prune")).ok().says("as the file says");

    let more = place.write(
        "more.toml",
        &format!("{text}\n[[selection]]\nperson = \"bob@harbour.example\"\nclient = \"acme-ltd\"\n"),
    );
    place.run(&format!("firm apply {more} --dry-run")).ok().says("1 change. Nothing was changed");
    place.run(&format!("firm apply {more} --yes")).ok().says("1 change done");
    place.run(&format!("firm apply {more} --yes")).ok().says("as the file says");
    place.run(&format!("firm apply {same} --prune --yes")).ok().says("acme-ltd");

    let wrong = place.write(
        "wrong.toml",
        "version = 1\n[[person]]\nemail = \"nobody\"\nfirst = \"N\"\nlast = \"O\"\n\n[[selection]]\nperson = \"bob@harbour.example\"\nclient = \"acme-ldt\"\n\n[[selection]]\nperson = \"bob@harbour.example\"\nclient = \"acme-ltd\"\naccounts = []\n",
    );
    let said = place
        .run(&format!("firm apply {wrong} --yes"))
        .exits(78)
        .warns("wrong.toml:3:")
        .warns("wrong.toml:9:")
        .warns("wrong.toml:14:");
    assert!(said.err.contains("Nothing was changed"), "{}", said.err);
    let json = place.run("people --json").ok().json();
    assert!(json["people"].as_array().unwrap().iter().all(|p| p["selected"] == json!(0)));
    place.run("firm apply /nowhere/firm.toml").exits(78).warns("cannot be read");
}

#[test]
fn private_books_are_their_persons_alone() {
    let place = Place::firm();
    place.run("private add Own").exits(1).warns("--as EMAIL");
    place.run("people office bob admin --mode ledger+selected").ok();
    place.run("--as bob@harbour.example private add Hobby").ok();
    place.run("--as bob@harbour.example private").ok().says("hobby");
    assert!(!place.run("--as ana@harbour.example clients list --all").ok().out.contains("hobby"));
    place.run("--as ana@harbour.example private convert hobby").exits(1).warns("there is no client");
    place.run("private convert hobby").exits(1);
    assert!(!place.run("changes").ok().out.contains("hobby"));
    place.run("--as bob@harbour.example private share hobby --target drive --with ana@harbour.example").ok();
    place.run("--as bob@harbour.example private").ok().says("ana@harbour.example");
    place.run("--as bob@harbour.example private convert hobby").ok();
    place.run("clients").ok().says("hobby");
}

/// Ana and Oli are owners, Bob is an admin with private books, and xero showed a ledger that is proposed as Kelp.
fn with_private_books() -> Place {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people office bob admin --mode ledger+selected").ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    place.run("--as bob@harbour.example private add Hobby").ok();
    place.pulled("Kelp", &[]);
    place
}

#[test]
fn a_ledger_goes_into_private_books_only_when_another_owner_publishes_it() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    let state = || place.run("clients list --all --json").ok().json()["clients"].clone();
    let of = |slug: &str| {
        state().as_array().unwrap().iter().find(|c| c["slug"].as_str().unwrap().starts_with(slug)).cloned()
    };
    as_("bob", "clients bind hobby xero id-Kelp").ok().warns("another owner must publish it");
    as_("bob", "private share hobby --target drive --with cleo").ok().says("now open to cleo@harbour.example");
    assert_eq!(of("kelp").unwrap()["state"], "proposed", "nothing is taken yet");
    as_("bob", "changes publish --all").exits(1).warns("permission \"publish\" is missing");
    as_("bob", "changes").ok().says("bind source");

    let told = "private books of bob@harbour.example take the ledger Kelp (id-Kelp) of xero; the proposed client kelp is \
                closed";
    let shown = as_("oli", "changes show --all").ok().says(told);
    assert!(!shown.out.to_lowercase().contains("hobby"), "{}", shown.out);
    assert!(!as_("oli", "changes --json").ok().says("bind_source").out.to_lowercase().contains("hobby"));
    place.run("roles define reader --may read-all").ok();
    place.run("people office cleo custom:reader --mode selected").ok();
    let shown = as_("cleo", "changes show --all").ok().warns("1 change left out");
    assert!(!shown.out.contains("bob@"), "who cannot publish it has no business with it: {}", shown.out);
    let published = as_("oli", "changes publish --all").ok().says(told);
    assert!(!published.out.to_lowercase().contains("hobby"), "{}", published.out);
    assert_eq!(of("kelp").unwrap()["state"], "closed");
    as_("bob", "clients").ok().says("id-Kelp");

    // And out of privacy: by name now, because it becomes everybody's.
    as_("bob", "private convert hobby --reason sold").ok().warns("another owner must publish it");
    assert!(of("hobby").is_none());
    let shown = as_("oli", "changes show --all")
        .ok()
        .says("), become an ordinary client, on every target")
        .says("Hobby (hobby-");
    assert!(
        shown.out.contains("cleo@harbour.example gains hobby") || shown.out.contains("Nobody gains"),
        "{}",
        shown.out
    );
    as_("oli", "changes publish --all").ok();
    assert_eq!(of("hobby").unwrap()["private"], json!(false));
    let trail = place.run("audit export").ok().out;
    let row = trail.lines().find(|l| l.contains("private.opened") && l.contains("convert")).unwrap();
    assert!(row.contains("sold") && row.contains("oli@harbour.example"), "{row}");
}

#[test]
fn what_stays_within_private_books_waits_for_nobody_and_holds_up_nobody() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    for line in [
        "clients since hobby 2026-01-01",
        "clients year-end hobby 03-31",
        "clients unlisted hobby deny",
        "clients authority hobby any",
        "clients accounts hobby --all",
        "clients rename hobby Boat",
    ] {
        let said = as_("bob", line).ok();
        assert!(!said.err.contains("publish"), "{line}: {}", said.err);
    }
    // One that an older version left waiting, an owner's own, and one that anybody may judge.
    let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
    let mut db = Db::open(Options::new(place.state(), now)).unwrap();
    let books = db.firm().unwrap().clients.into_values().find(|c| c.private_to.is_some()).unwrap();
    let old = json!(ChangeOp::RenameClient { client: books.id, name: "Secret Cove".into() });
    db.stage_change_of(&old, "bob@harbour.example", books.private_to, "old", now).unwrap();
    drop(db);
    as_("bob", "select cleo acme-ltd").ok().warns("changes publish C-");
    let own = ["guests", "add", "bob", "acme-ltd", "--reason", "fire", "--break-glass", "--until", "8h"];
    place.args(&[&["--as", "oli@harbour.example"][..], &own[..]].concat()).ok();
    let shown = as_("oli", "changes show --all").ok().says("is selected for cleo").warns("1 change left out");
    assert!(!shown.out.contains("Secret Cove"), "{}", shown.out);
    let list = place.run("changes").ok().warns("2 wait for an owner");
    assert!(!list.out.contains("rename client"), "{}", list.out);
    as_("oli", "changes publish --all").ok().says("is selected for cleo").warns("2 changes left out");
    as_("oli", "changes publish --all").exits(1).warns("of 2 changes that wait you can publish none");
    let left = as_("bob", "changes --json").ok().json();
    let waits = left["changes"].as_array().unwrap().iter().find(|c| c["change"]["name"] == "Secret Cove").unwrap();
    let id = waits["id"].as_str().unwrap();
    as_("oli", &format!("changes show {id}")).exits(1).warns("is not a staged change");
    as_("oli", &format!("changes publish {id}")).exits(1).warns("is not a staged change");
    as_("bob", &format!("changes reject {id} --reason done")).ok();
}

#[test]
fn whoever_may_keep_no_private_books_any_more_gives_nobody_anything_and_may_end_it() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    as_("bob", "private share hobby --target drive --with cleo").ok();
    as_("cleo", "access").ok().says("Hobby");
    place.run("people office bob employee --mode ledger+selected").ok();
    assert!(!as_("cleo", "access").ok().out.contains("Hobby"));
    as_("cleo", "why cleo hobby").exits(1);
    as_("bob", "private").ok().says("cleo@harbour.example").warns("shares give nobody anything");
    as_("bob", "private share hobby --target drive --with ana").exits(1).warns("\"private\"");
    as_("bob", "select cleo acme-ltd").exits(1).warns("\"selections\"");
    as_("bob", "select cleo --remove hobby").ok().says("removed");
    as_("bob", "clients rename hobby Boat").ok().says("is now Boat");
    as_("bob", "clients close boat").ok().says("closed");
    as_("bob", "clients close acme-ltd").exits(1);
}

#[test]
fn a_ledger_that_somebody_took_along_comes_back_to_the_firm() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    as_("bob", "clients bind hobby xero id-Kelp").ok();
    as_("oli", "changes publish --all").ok();
    as_("oli", "clients bind acme-ltd xero id-Kelp").exits(1).warns("in use elsewhere");
    place.run("people disable bob").ok();
    let said = as_("oli", "clients bind acme-ltd xero id-Kelp").ok().says("taken from private books of bob@harbour");
    assert!(!said.out.to_lowercase().contains("hobby"), "{}", said.out);
    as_("oli", "clients bind acme-ltd xero id-Kelp").ok().says("already");
}

#[test]
fn nobody_takes_what_belongs_to_a_wider_role() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    as_("ana", "people confirm-pin ana xero id-Kelp u-1").ok();
    as_("oli", "people confirm-pin oli xero id-Kelp u-1").exits(1).warns("ana@harbour.example has a wider role");
    as_("oli", "people confirm-pin oli xero id-Kelp u-2").ok();
    as_("oli", "api token add helper --person bob").exits(1).warns("theirs alone to make");
    as_("bob", "api token add helper --person bob").ok();
    place.run("roles define reader --may read-all,people").ok();
    place.run("people office cleo custom:reader --mode ledger").ok();
    as_("cleo", "holders adopt acme-ltd drive x@y.example").exits(1).warns("\"publish\"");
    as_("cleo", "people").ok().says("oli@harbour.example");
}

#[test]
fn who_made_a_change_sees_it_and_a_leavers_books_are_told() {
    let place = with_private_books();
    let as_ = |who: &str, line: &str| place.run(&format!("--as {who}@harbour.example {line}"));
    place.run("roles define desk --may clients,add-clients").ok();
    place.run("people office cleo custom:desk --mode ledger").ok();
    as_("cleo", "clients archive acme-ltd").ok().warns("another owner must publish");
    as_("cleo", "changes").ok().says("set client state").says("staged");
    as_("ana", "people disable cleo").ok().warns("by the next sync");
    as_("bob", "people disable ana").exits(1);
    as_("bob", "private share hobby --target drive --with oli").ok();
    place.run("leaver bob").exits(0).warns("kept 1 private client; 1 of them were shared");
}

#[test]
fn every_act_says_what_was_before_and_an_employee_sees_their_own() {
    let place = Place::firm();
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), format!("{config}\n").replace("authority = \"all\"", "authority = \"any\""))
        .unwrap();
    assert!(std::fs::read_to_string(place.config()).unwrap().contains("\nauthority = \"any\""));
    place.args(&["--as", "bob@harbour.example", "clients", "add", "Acme Ltd"]).ok();
    place.run("--as bob@harbour.example changes").ok().says("add client");
    let clients = place.run("clients --json").ok().json();
    assert_eq!(clients["clients"][0]["authority"], json!("any"), "as the configuration says for new clients");
    place.run("api token add crm --person bob --expires 2090-01-01").ok();
    place.run("api token revoke crm").ok();
    place.run("people office bob admin --mode selected").ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    place.run("--as bob@harbour.example select cleo acme-ltd").ok().warns("another owner must publish");
    let id = place.run("changes show --all --json").ok().json()["changes"][0]["id"].as_str().unwrap().to_owned();
    place.run(&format!("changes reject {id} --reason no")).ok();
    let trail = place.run("audit export").ok().out;
    let before = |act: &str| {
        let row = trail.lines().find(|l| l.contains(act)).unwrap();
        serde_json::from_str::<Value>(row).unwrap()["before"].clone()
    };
    assert!(before("token.revoke")["expires"].is_string());
    assert_eq!(before("firm.reject")["op"], json!("select"));
}

#[test]
fn status_counts_no_private_books_of_others() {
    let place = with_private_books();
    let clients = |who: &str| place.run(&format!("{who}status --json")).ok().json()["clients"].clone();
    assert_eq!(clients("--as ana@harbour.example "), json!("2"), "Acme and the proposed one");
    assert_eq!(clients(""), json!("2"));
    assert_eq!(clients("--as bob@harbour.example "), json!("3"));
}

#[test]
fn break_glass_leaves_a_guests_own_access_as_it_was() {
    let place = with_private_books();
    let add = |rest: &[&str]| {
        place.args(
            &[&["--as", "ana@harbour.example", "guests", "add", "bob", "acme-ltd", "--reason"][..], rest].concat(),
        )
    };
    add(&["review", "--until", "300h"]).ok();
    add(&["fire", "--until", "8h", "--break-glass"]).ok();
    place.run("--as oli@harbour.example changes publish --all").ok();
    place.run("guests").ok().says("review").says("BREAK-GLASS fire");
    place.run("guests extend bob acme-ltd --until 400h --reason longer").ok().says("guest access");
    place.run("guests").ok().says("longer").says("BREAK-GLASS fire");
    place.run("guests end bob acme-ltd").ok().says("guest and BREAK-GLASS access of bob@harbour.example");
    place.run("guests").ok().says("Nobody is a guest");
}

#[test]
fn with_two_owners_what_an_admin_changes_waits_for_one_of_them() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people office cleo owner --mode ledger+selected").ok();
    place.run("people office bob admin --mode ledger+selected").ok();
    place.run("--as bob@harbour.example select bob acme-ltd").ok().warns("changes publish C-");
    let json = place.run("people --json").ok().json();
    assert!(json["people"].as_array().unwrap().iter().all(|p| p["selected"] == json!(0)), "staged means not done");
    place.run("--as bob@harbour.example changes publish --all").exits(1).warns("publish");
    place.run("changes").ok().says("staged");
    place.run("--as cleo@harbour.example changes publish --all").ok().says("is selected for bob@harbour.example");
    place.run("--as cleo@harbour.example changes publish --all").ok().says("Nothing waits");
    place.run("--as bob@harbour.example people disable cleo").exits(1).warns("wider role");
    place.run("--as bob@harbour.example people mode bob all").ok();
    let list = place.run("changes --json").ok().json();
    let id = list["changes"][0]["id"].as_str().unwrap().to_owned();
    place.run(&format!("changes reject {id} --reason no")).ok();
    place.run(&format!("changes publish {id}")).exits(1).warns("not a staged change");
}

#[test]
fn holders_answer_without_a_folder_and_say_what_is_missing() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("holders remove acme-ltd drive x@other.example").exits(64).warns("--reason");
    place
        .run("holders accept acme-ltd drive x@other.example --reason auditor")
        .exits(4)
        .warns("ledgerward connect drive");
    place.run("--as bob@harbour.example holders").exits(1).warns("permission \"read-all\"");
    place.run("--as bob@harbour.example holders accept acme-ltd drive x@other.example").exits(1).warns("publish");
}

#[test]
fn a_role_of_the_firms_own_does_what_it_names_and_for_its_group_only() {
    let place = Place::firm();
    for name in ["Acme Ltd", "Birch LLP", "Cedar Inc"] {
        place.args(&["clients", "add", name]).ok();
    }
    place.run("people office bob custom:desk --mode selected").exits(1).warns("no role custom:desk");
    place.run("groups add north acme-ltd --connection xero").ok().says("made the group north: 1 clients");
    place.run("roles define desk --may selections,people --group north").exits(1).warns("\"people\"");
    place.run("roles define desk --may selections,read-all --group north").ok().says("for the clients of north only");
    place.run("people office bob custom:desk --mode selected").ok();
    let bob = |line: &str| place.run(&format!("--as bob@harbour.example {line}"));
    bob("select cleo acme-ltd").ok().says("acme-ltd");
    bob("select cleo @north").ok().says("already");
    bob("select cleo birch-llp").exits(1).warns("there is no client");
    bob("clients rename acme-ltd Apex").exits(1).warns("permission \"clients\" is missing");
    bob("people mode cleo all").exits(1).warns("permission \"modes\" is missing");
    bob("sync").exits(1).warns("permission \"run\" is missing");
    bob("backup b.db").exits(1).warns("permission \"operate\" is missing");
    // Their own and their group's by name, the others as a number; and no total of the firm.
    let clients = bob("clients --json").ok().json();
    assert_eq!((clients["clients"].as_array().unwrap().len(), &clients["others"]), (1, &json!(2)));
    assert_eq!(bob("status --json").ok().json()["schema"], json!("ledgerward/own-status/1"));
    // Changed after it was given, and kept as long as somebody has it.
    place.run("roles define desk --may clients --group north").ok().says("1 people have it");
    bob("clients rename acme-ltd Apex").ok();
    bob("select cleo acme-ltd").exits(1).warns("permission \"selections\" is missing");
    place.run("roles remove desk").exits(1).warns("has the role");
    place.run("groups remove north").exits(1).warns("is limited to the group");
    place.run("roles list").ok().says("custom:desk").says("north");
    place.run("people disable bob").ok();
    bob("clients").exits(1).warns("disabled or closed");
}

/// What a refusal says is not more than what the asker may see anyway.
#[test]
fn a_role_for_a_group_hears_nothing_of_the_clients_outside() {
    let place = Place::firm();
    for name in ["Acme Ltd", "Harbour Mill", "Harbour Mill", "Birch LLP"] {
        place.args(&["clients", "add", name]).ok();
    }
    place.run("groups add north acme-ltd").ok();
    place.run("roles define desk --may clients,selections --group north").ok();
    place.run("people office bob custom:desk --mode selected").ok();
    let bob = |line: &[&str]| place.args(&[&["--as", "bob@harbour.example"], line].concat());
    // Two of one name: the owner is asked which, and others are not told that there are any.
    place.args(&["clients", "archive", "Harbour Mill"]).exits(1).warns("could be harbour-mill or harbour-mill-2");
    for line in [["clients", "archive", "Harbour Mill"], ["select", "cleo", "Harbour Mill"]] {
        let said = bob(&line).exits(1).warns("there is no client \"Harbour Mill\"");
        assert!(!said.err.contains("harbour-mill"), "{}", said.err);
    }
    // Of the proposed ones only their own: another one's name is in no refusal, and "all" is all of theirs.
    place.pulled("Mills", &[]);
    place.pulled("Quay", &[]);
    place.run("groups add north quay").ok();
    let said = bob(&["clients", "accept", "--all"]).ok().says("quay: accepted");
    assert!(!said.out.contains("mills") && !said.err.contains("mills"), "{}{}", said.out, said.err);
    // Whether somebody has a client that only the asker was given is not theirs to try out.
    place.run("select bob birch-llp").ok();
    bob(&["select", "cleo", "--remove", "birch-llp"]).exits(1).warns("not in the group north");
    place.run("roles define desk --may clients,selections,guests --group north").ok();
    for line in ["guests extend cleo birch-llp --until 8h", "guests add cleo birch-llp --until 8h --reason x"] {
        bob(&line.split(' ').collect::<Vec<_>>()).exits(1).warns("not in the group north");
    }
    // An employee reads no list of ledgers, accounts or folders on the way to being told that they may not.
    place.run("people office bob employee --mode selected").ok();
    let pin = ["people", "confirm-pin", "bob", "xero", "id-Mill", "u1"];
    let said = bob(&pin).exits(1).warns("permission \"people\" is missing");
    assert!(!said.err.contains("Mills"), "{}", said.err);
    place.args(&["people", "confirm-pin", "bob", "xero", "id-Mill", "u1"]).exits(1).warns("Did you mean id-Mills");
    place.run("clients bind birch-llp xero id-Birch").ok();
    for line in
        [["clients", "accounts", "birch-llp", "x"].as_slice(), &["select", "bob", "birch-llp", "--account", "x"]]
    {
        let said = bob(line).exits(1).warns("is missing");
        assert!(!said.err.contains("could not be read"), "{}", said.err);
    }
    bob(&["clients", "rename-folder", "birch-llp"]).exits(1).warns("permission \"clients\" is missing");
}

#[test]
fn break_glass_takes_two_people_and_ends_within_a_day() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people office bob admin --mode ledger+selected").ok();
    let ask = ["guests", "add", "cleo", "acme-ltd", "--reason", "fire", "--break-glass", "--until"];
    place.args(&[&ask[..], &["25 hours"]].concat()).exits(1).warns("24 hours");
    place.args(&[&ask[..], &["8 hours", "--as", "cleo@harbour.example"]].concat()).exits(1).warns("\"guests\"");
    // Nobody is left with something that nobody could publish; an admin has the owner for a second.
    place.args(&[&ask[..], &["8 hours"]].concat()).exits(1).warns("needs a second owner, and there is none");
    assert_eq!(
        place.run("changes --json").ok().json()["changes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["state"] == "staged")
            .count(),
        0
    );
    let asked = place.args(&[&ask[..], &["8 hours", "--json", "--as", "bob@harbour.example"]].concat()).ok().json();
    let admins = asked["staged"][0].as_str().unwrap().to_owned();
    place.run(&format!("changes publish {admins}")).ok().says("BREAK-GLASS");
    place.run("guests end cleo acme-ltd").ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    let asked = place.args(&[&ask[..], &["8 hours", "--json"]].concat()).ok().json();
    let id = asked["staged"][0].as_str().unwrap().to_owned();
    assert_eq!(place.run("guests --json").ok().json()["guests"], json!([]), "asked is not given");
    place.run(&format!("changes publish {id}")).exits(1).warns("your own change");
    place.run(&format!("--as ana@harbour.example changes publish {id}")).exits(1).warns("your own change");
    place.run(&format!("--as bob@harbour.example changes publish {id}")).exits(1).warns("\"publish\"");
    place.run(&format!("--as oli@harbour.example changes publish {id}")).ok().says("BREAK-GLASS");
    place.run("guests").ok().says("BREAK-GLASS").says("cleo@harbour.example");
    place.run("guests end cleo acme-ltd").ok();
}

#[test]
fn an_owner_sees_who_gains_what_and_publishes_a_part() {
    let place = Place::firm();
    for name in ["Acme Ltd", "Birch LLP"] {
        place.args(&["clients", "add", name]).ok();
    }
    place.run("people office bob admin --mode selected").ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    for client in ["acme-ltd", "birch-llp"] {
        place.run(&format!("--as bob@harbour.example select bob {client}")).ok();
    }
    let shown = place.run("changes show --all --json").ok().json();
    assert_eq!(shown["changes"].as_array().unwrap().len(), 2);
    assert_eq!(shown["access"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(shown["access"][0]["person"], json!("bob@harbour.example"));
    assert_eq!((&shown["access"][0]["before"], &shown["access"][0]["after"]), (&json!("none"), &json!("reader")));
    let first = shown["changes"][0]["id"].as_str().unwrap().to_owned();
    // A digest is of just what was shown: a part of it is something else, and so is all once there is more.
    let digest = |which: &str| {
        place.run(&format!("changes show {which} --json")).ok().json()["digest"].as_str().unwrap().to_owned()
    };
    let all = digest("--all");
    let another = |which: &str| {
        place.run(&format!("changes publish {which} --digest {all}")).exits(1).warns("this is not what was shown");
    };
    another(&first);
    place.run("--as bob@harbour.example clients rename birch-llp Birchwood").ok();
    another("--all");
    let renames = place.run("changes show --all --json").ok().json()["changes"][2]["id"].as_str().unwrap().to_owned();
    place.run(&format!("changes reject {renames} --reason no")).ok();
    place.run("clients targets birch-llp drive").ok();
    assert_eq!(digest("--all"), all, "nothing else than before");
    let part = digest(&first);
    place
        .run(&format!("changes publish {first} --digest {}", &part[..12]))
        .ok()
        .says("bob@harbour.example gains acme-ltd on drive");
    let left = place.run("changes show --all --json").ok().json();
    assert_eq!(left["access"][0]["client"], json!("birch-llp"), "the other waits");
    // Under whatever name: bob is an owner by now, and these are his own changes.
    place.run("people office bob owner --mode selected").ok();
    place.run("--as bob@harbour.example changes publish --all").exits(1).warns("your own change");
    place.run("changes publish --all").ok().warns("bob@harbour.example gains birch-llp on drive");
    place.run(&format!("changes publish --all --digest {all}")).exits(1).warns("this is not what was shown");
}

#[test]
fn another_address_is_another_way_in_and_is_shown_as_one() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people mode cleo selected").ok();
    place.run("select cleo acme-ltd").ok();
    place.run("people office bob admin --mode selected").ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    place
        .run("--as bob@harbour.example people address cleo drive robert@harbour.example")
        .ok()
        .warns("must publish it");
    let way = "robert@harbour.example gets in instead of cleo@harbour.example: acme-ltd on drive";
    place.run("changes show --all").ok().says(way);
    let shown = place.run("changes show --all --json").ok().json();
    assert_eq!(shown["access"][0]["address"]["after"], json!("robert@harbour.example"), "{shown}");
    place.run("changes publish --all").ok().says(way);
}

#[test]
fn groups_and_roles_go_through_the_firm_file_and_wait_for_an_owner_like_any_change() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    place.run("people office bob admin --mode ledger+selected").ok();
    let before = place.run("firm export").ok().out;
    let roles = "\n[[group]]\nname = \"north\"\nclients = [\"acme-ltd\"]\n\n[[office]]\nname = \"desk\"\nmay = \
                 [\"selections\"]\ngroup = \"north\"\n";
    let file = place.write("firm.toml", &format!("{before}{roles}"));
    let staged = place.run(&format!("--as bob@harbour.example firm apply {file} --yes")).ok().says("2 changes staged");
    assert!(staged.err.contains("another owner must publish"), "{}", staged.err);
    assert!(!place.run("roles list").ok().out.contains("custom:desk"));
    place.run("--as oli@harbour.example changes publish --all").ok();
    place.run("roles list").ok().says("custom:desk").says("north");
    let after = place.run("firm export").ok().out;
    assert!(after.contains("[[group]]") && after.contains("[[office]]"), "{after}");
    let same = place.write("same.toml", &after);
    place.run(&format!("firm apply {same} --prune --yes")).ok().says("as the file says");

    let wide = place.write("wide.toml", &after.replace("\"selections\"", "\"people\""));
    place.run(&format!("firm apply {wide} --yes")).exits(78).warns("wide.toml:").warns("cannot have the permission");
    let boss = format!("{after}\n[[office]]\nname = \"boss\"\nmay = [\"publish\"]\n");
    let boss = place.write("boss.toml", &boss);
    place.run(&format!("--as bob@harbour.example firm apply {boss} --yes")).exits(1).warns("publish");
    place.run(&format!("firm apply {} --prune --yes", place.write("less.toml", &before))).ok().says("2 changes done");
}

#[test]
fn private_books_leave_privacy_by_two_recorded_acts_and_by_nothing_else() {
    let place = Place::firm();
    place.args(&["clients", "add", "Acme Ltd"]).ok();
    place.run("people office bob admin --mode ledger+selected").ok();
    let bob = |line: &str| place.run(&format!("--as bob@harbour.example {line}"));
    bob("private add Hobby").ok();
    bob("groups add north hobby").exits(1);
    bob("groups add north --connection xero").ok();
    bob("select cleo hobby").exits(1).says("private");
    bob("people mode cleo all").ok();
    bob("select cleo @north").ok();
    let sees = |who: &str| {
        let rows = place.run(&format!("--as {who} access --json")).ok().json()["rows"].clone();
        rows.as_array().unwrap().iter().any(|r| r["client"]["name"] == json!("Hobby"))
    };
    for who in ["ana@harbour.example", "cleo@harbour.example"] {
        assert!(!sees(who), "{who}");
    }
    assert!(!bob("firm export").ok().out.contains("hobby"));
    let shared = bob("private share hobby --target drive --with cleo@harbour.example --reason tax --json").ok().json();
    assert_eq!(shared["opened"][0]["folders"][0]["person"], json!("cleo@harbour.example"), "{shared}");
    assert_eq!(shared["opened"][0]["folders"].as_array().unwrap().len(), 1);
    assert!(sees("cleo@harbour.example") && !sees("ana@harbour.example"));
    place.run("--as cleo@harbour.example why cleo hobby").ok().says("shared by the owner");
    // Cleo has the folder, and learns nothing of what the books are made of.
    let list = place.run("--as cleo@harbour.example clients --json").ok().json();
    let of = |list: &Value| list["clients"].as_array().unwrap().iter().find(|c| c["name"] == "Hobby").cloned().unwrap();
    assert!(of(&list).get("sources").is_none() && of(&list).get("authority").is_none(), "{list}");
    assert!(of(&bob("clients --json").ok().json()).get("sources").is_some());
    place.run("--as ana@harbour.example why cleo hobby").exits(1).warns("there is no client");
    // Theirs alone, but for the ledger: that would be one less for everybody else, seen already or not.
    place.run("people add oli@harbour.example --first Oli --last Owen --office owner").ok();
    bob("clients bind hobby xero own-books").ok().warns("another owner must publish it");
    bob("clients rename hobby Hobbies").ok().says("is now Hobbies");
    place.run("people disable oli").ok();
    let trail = place.run("audit export").ok().out;
    let row = trail.lines().find(|l| l.contains("private.opened")).unwrap();
    assert!(
        row.contains("tax") && row.contains("cleo@harbour.example") && row.contains("bob@harbour.example"),
        "{row}"
    );
    // Nobody else learns from a name of their own that it is taken.
    place.args(&["--as", "ana@harbour.example", "clients", "add", "Hobby"]).ok().says("(hobby)");
    bob("private convert hobbies --reason sold").ok();
    assert!(place.run("clients").ok().out.contains("hobby"));
}

#[test]
fn who_closed_somebody_is_who_acted_and_a_person_with_nothing_is_told_so() {
    let place = Place::firm();
    place.run("access --person bob").ok().says("Bob Brown sees nothing.");
    place.run("access").ok().says("Nobody sees anything.");
    let closed_by = |line: &str, email: &str| {
        let _exit = place.run(line);
        let db = Db::open(Options::new(place.state(), Timestamp::now())).unwrap();
        let firm = db.firm().unwrap();
        firm.people.values().find(|p| p.email.key() == email).unwrap().closed.clone().unwrap().by
    };
    let own = if rustix::process::getuid().is_root() { "root" } else { "uid " };
    assert!(closed_by("revoke bob --now", "bob@harbour.example").starts_with(own), "Ana did nothing of this");
    let by = closed_by("--as ana@harbour.example revoke cleo --now", "cleo@harbour.example");
    assert_eq!(by, "ana@harbour.example");
}

#[test]
fn a_lost_key_is_told_before_a_consent_is_spent_and_there_is_a_way_out() {
    let place = Place::firm();
    place.run("key replace --reason lost --yes").exits(1).warns("nothing is lost");
    let key = place.state().join("key");
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let connect = place.run("connect xero --no-browser").exits(78).warns("ledgerward key replace");
    assert!(!connect.err.contains("Sign in to"), "the consent would be spent: {}", connect.err);
    place.run("status --check").exits(1).warns("").says("key file");
    place.run("key replace --reason lost").exits(64).warns("--yes");
    assert!(!key.exists(), "nothing is made without a yes");
    place.run("key replace --reason lost --yes").ok().says("The key is now");
    assert!(std::fs::read(&key).unwrap().len() == 32 && std::fs::read(&key).unwrap() != right);
    place.run("doctor --offline").warns("").says("the sign-ins' key opens them");
    place.run("audit export --json").ok().says("key.replace");
}

#[test]
fn init_refuses_a_name_that_the_configuration_would_refuse() {
    let place = Place::empty();
    place.args(&["init", "--owner", "ana@harbour.example", "--name", &"x".repeat(5000)]).exits(64).warns("at most 200");
    assert!(!place.config().exists() && !place.state().exists());
}

//! The configuration: what is accepted, and how everything that is not is told.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails like the test"
)]

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use ledgerward::{
    config::{
        self, Config, LoadError, Parsed, SecretPlaces, SecretRef,
        schema::{FirstPlan, Format, Scopes, Sharing},
    },
    daemon::schedule::Schedule,
    statement::{Look, Paper},
};
use ledgerward_contract::{
    AuthScheme, ClientAuth, ConnectionName, Endpoint, Grade, LedgerRole, Listing, Manifest, OAuthSpec, Rotation,
    ScopeSet, StatementKind,
};

const OAUTH: OAuthSpec = OAuthSpec {
    authorize: ("login", "/authorize"),
    token: ("identity", "/token"),
    revoke: None,
    client_auth: ClientAuth::Basic,
    rotation: Rotation::SingleUse { grace: Some(Duration::from_secs(1800)) },
    scopes: &[ScopeSet { name: "granular", scopes: &["a"] }, ScopeSet { name: "broad", scopes: &["b"] }],
    extra: &[],
    idle_lifetime: None,
    ..OAuthSpec::PLAIN
};

static XERO: Manifest = Manifest {
    name: "xero",
    title: "Xero",
    auth: AuthScheme::OAuth(OAUTH),
    endpoints: &[
        Endpoint { name: "api", url: "https://api.vendor.example" },
        Endpoint { name: "identity", url: "https://identity.vendor.example" },
    ],
    quotas: &[],
    access: Some(Listing::PerLedger),
    grade: Some(Grade::A),
    statements: &[StatementKind::ProfitAndLoss],
    roles: &[],
    settings: &[("page_size", "rows of one page")],
    unverified: &[],
};

static DRIVE: Manifest = Manifest {
    name: "google-drive",
    title: "Google Drive",
    auth: AuthScheme::OAuthOrServiceAccount(OAUTH),
    endpoints: &[Endpoint { name: "api", url: "https://drive.vendor.example" }],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[("shared_drive", "its id")],
    unverified: &[],
};

static LOCAL: Manifest = Manifest {
    name: "local",
    title: "Local folders",
    auth: AuthScheme::None,
    endpoints: &[],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[("root", "where the folders lie")],
    unverified: &[],
};

static ALL: [&Manifest; 3] = [&XERO, &DRIVE, &LOCAL];

const GOOD: &str = r#"
version = 1
[firm]
name = "Harbour & Co"
domains = ["Harbour.example"]
timezone = "Pacific/Auckland"
letterhead = ["1 Quay Street"]
[schedule]
access = "every 5 minutes"
statements = "30 6 * * *"
[connections.xero]
connector = "xero"
client_id = "abc"
client_secret = { file = "xero-secret" }
scopes = "broad"
page_size = 50
[connections.xero.roles]
ADMIN = "reader"
[targets.drive]
connector = "google-drive"
service_account = { credential = "drive.json" }
impersonate = "robot@harbour.example"
root = "0AFolderId"
sharing = "mirror"
shared_drive = "0A"
[targets.disk]
connector = "local"
root = "/srv/clients"
sharing = "off"
audience = "everybody in the office"
formats = ["csv"]
[statements]
kinds = ["profit-and-loss", "bank-statement"]
formats = ["pdf", "ofx"]
after_days = 5
[policy]
unlisted = "deny"
confirm_after = "10 minutes"
[guards]
leavers = { floor = 2 }
[operators]
1000 = "ana@harbour.example"
[metrics]
metrics_listen = "127.0.0.1:9464"
[log]
format = "json"
"#;

fn good(text: &str) -> Config {
    let parsed = config::parse(text, &ALL);
    assert!(parsed.problems.is_empty(), "{}", config::render_all(&parsed.problems, "config.toml", text));
    parsed.config.unwrap()
}

/// The messages, each as `line: path: message help`.
fn problems(text: &str) -> Vec<String> {
    let Parsed { config, problems, .. } = config::parse(text, &ALL);
    assert_eq!(config.is_none(), !problems.is_empty());
    problems.iter().map(|p| format!("{}: {}: {} {}", p.line, p.path, p.message, p.help)).collect()
}

/// `GOOD` with one text in place of another must give exactly one problem, which says `part`.
fn one(from: &str, to: &str, part: &str) {
    assert!(GOOD.contains(from), "{from}");
    let found = problems(&GOOD.replace(from, to));
    assert!(found.len() == 1 && found[0].contains(part), "{to}: {found:#?}");
}

#[test]
fn a_whole_configuration_is_read() {
    let c = good(GOOD);
    assert_eq!(c.firm.domains.iter().collect::<Vec<_>>(), ["harbour.example"]);
    assert_eq!(c.firm.timezone.iana_name(), Some("Pacific/Auckland"));
    assert_eq!(c.schedule.access, Schedule::Every { minutes: 5 });
    let xero = &c.connections[&ConnectionName::from("xero")];
    assert_eq!(xero.remote.scopes, Scopes::Set("broad".into()));
    assert_eq!(xero.roles["ADMIN"], LedgerRole::Reader);
    assert_eq!(xero.remote.settings, serde_json::json!({ "page_size": 50 }));
    assert_eq!(xero.remote.client_secret, Some(SecretRef::File("xero-secret".into())));
    let names: Vec<_> = c.targets.iter().map(|(n, t)| (n.0.as_str(), t.sharing.clone(), t.first_plan)).collect();
    let off = Sharing::Off { audience: "everybody in the office".into() };
    assert_eq!(names, [("disk", off, FirstPlan::Approve), ("drive", Sharing::Mirror, FirstPlan::Approve)]);
    assert_eq!(
        c.targets.values().last().unwrap().remote.settings,
        serde_json::json!({ "root": "0AFolderId", "shared_drive": "0A" })
    );
    assert_eq!((c.guards.leavers.floor, c.guards.leavers.percent), (2, 10));
    assert_eq!(c.policy.confirm_after_seconds, 600);
    assert!(c.statements.formats.contains(&Format::Ofx));
    assert_eq!(c.operators[&1000].key(), "ana@harbour.example");
}

/// With what only the firm knows filled in.
fn template(name: &str) -> String {
    config::template("ana@Harbour.example", name).replace("\"YOUR-CLIENT-ID\"", "\"abc\"")
}

#[test]
fn the_template_of_init_is_a_configuration() {
    let text = config::template("ana@Harbour.example", "Harbour \"& Co\\ \t");
    // Outer blanks of a name are refused like anybody's, so the caller trims.
    let wrong: Vec<String> = config::parse(&text, &ALL).problems.into_iter().map(|p| p.path).collect();
    assert_eq!(wrong, ["firm.name", "connections.xero.client_id", "targets.drive.client_id"]);
    let c = good(&template("Harbour \"& Co\\"));
    assert_eq!(c.firm.name, "Harbour \"& Co\\");
    assert_eq!(c.firm.domains.first().unwrap(), "harbour.example");
    assert!(c.targets.values().all(|t| t.sharing == Sharing::Report), "the first run changes no sharing list");
}

#[test]
fn what_the_template_offers_in_comments_is_accepted_too() {
    let text = template("Harbour & Co");
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => {
                rest
            }
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(uncommented.contains("\n[guards]\n") && uncommented.contains("\nfour_eyes = true"));
    good(&uncommented);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = "version = 1\n[firm]\nname = \"\"\ndomains = [\"harbour\", \"x.example\"]\ntimezone = \"Middle/Earth\"\n\
                [conections.xero]\nconnector = \"xero\"\n[targets.drive]\nconnector = \"goggle-drive\"\n";
    let found = problems(text);
    let starts: Vec<&str> = found.iter().map(|p| p.split(' ').next().unwrap()).collect();
    assert_eq!(starts, ["3:", "4:", "5:", "6:", "8:", "9:"], "{found:#?}");
    assert!(found[3].contains("\"conections\" is not known here Did you mean \"connections\"?"));
    assert!(found[4].contains("\"sharing\" is missing") && found[4].contains("there is no default"));
    assert!(found[5].contains("Did you mean \"google-drive\"?"));
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let text = "version = 1\n[firm]\nname = \"Björn & Co\"\ndomains = [\"b.example\"]\ntimezone = \"Europe/Berln\"\n";
    let parsed = config::parse(text, &ALL);
    let shown = config::render_all(&parsed.problems, "/etc/ledgerward/config.toml", text);
    let expected = "\
/etc/ledgerward/config.toml:5:12: firm.timezone: \"Europe/Berln\" is no time zone of the tz database on this machine
   |
 5 | timezone = \"Europe/Berln\"
   |            ^^^^^^^^^^^^^^
 help: Use an IANA name: Region/City, or UTC. See the tz database's list of names.

/etc/ledgerward/config.toml is refused: 1 problem.";
    assert_eq!(shown, expected);
}

#[test]
fn broken_toml_is_told_at_its_line() {
    let found = problems("version = 1\n[firm]\nname = Harbour\ntimezone = \ndomains = [\"a.example\"]\n");
    assert!(found.len() >= 2, "each by itself: {found:#?}");
    assert!(found[0].starts_with("3:") && found[1].starts_with("4:"));
}

#[test]
fn each_wrong_setting_is_one_problem() {
    one("version = 1", "version = 2", "newer than this program");
    one("\"Harbour & Co\"", "7", "must be a text in double quotes, not an integer");
    one("[\"Harbour.example\"]", "[]", "at least one mail domain");
    one("[\"Harbour.example\"]", "[\"harbour.example\", \"HARBOUR.example\"]", "twice");
    one("1000 = ", "01000 = ", "is no user id");
    one("30 6 * * *", "30 25 * * *", "hour");
    one("scopes = \"broad\"", "scopes = \"braod\"", "Did you mean \"broad\"?");
    one("page_size = 50", "pagesize = 50", "Did you mean \"page_size\"?");
    one("ADMIN = \"reader\"", "ADMIN = \"owner\"", "Use one of: reader, writer, none, unknown.");
    one("client_id = \"abc\"", "", "\"client_id\" is missing");
    one("page_size = 50", "api_key = { file = \"k\" }", "api_key");
    one("sharing = \"mirror\"", "", "there is no default");
    one("sharing = \"mirror\"", "sharing = \"on\"", "Use one of: mirror, report, off.");
    one("audience = \"everybody in the office\"", "", "\"audience\" is missing");
    one("sharing = \"mirror\"", "sharing = \"mirror\"\naudience = \"x\"", "only for sharing = \"off\"");
    one("sharing = \"mirror\"", "sharing = \"mirror\"\nfirst_plan = \"apply\"", "must be approved by a person");
    one("[targets.disk]", "[targets.xero]", "a connection has this name too");
    one("[targets.disk]", "[targets.Disk_1]", "cannot be a name here");
    one(
        "[statements]",
        "[targets.other]\nconnector = \"local\"\nroot = \"/srv/clients\"\nsharing = \"mirror\"\n[statements]",
        "its root is that of the target \"disk\"",
    );
    one(
        "service_account = { credential = \"drive.json\" }",
        "service_account = { credential = \"../x\" }",
        "no name of a credential",
    );
    one("{ file = \"xero-secret\" }", "{ file = \"a\", credential = \"b\" }", "in one place");
    one("\"bank-statement\"]", "\"bank-register\"]", "made of bank statements only");
    one("after_days = 5", "after_days = 4000", "from 0 to 366");
    one("after_days = 5", "template = \"{period} {kind}[ {account}][ {ledger}].{ext}\"", "without [ {n}]");
    one("after_days = 5", "template = \"../{period} {kind}[ {account}][ {ledger}][ {n}].{ext}\"", "character 1: “..”");
    one("after_days = 5", "template = \"{period} {kind}[ {account} {ledger}[ {n}].{ext}\"", "inside brackets");
    // What would fail at the first file, or give two files one name, fails here.
    let collides = "template = \"{period}/{kind}[ {ledger} {account}][ (v{n})].{ext}\"";
    one("after_days = 5", collides, "character 27: two files could get the same name");
    let colon = "template = \"{year}/{period}: {kind}[ {ledger}][ {account}][ (v{n})].{ext}\"";
    one("after_days = 5", colon, "character 16: some targets refuse :");
    let bare = "template = \"{period} {kind} {ledger} {account} (v{n}).{ext}\"";
    one("formats = [\"csv\"]", bare, "character 17: not every file has {ledger}");
    one("after_days = 5", "paper = \"a5\"", "Did you mean \"a4\"?");
    one("after_days = 5", "accent = \"blue\"", "this is no colour");
    one("after_days = 5", "fonts = \"a.ttf\"", "must be a list");
    one("10 minutes", "2 seconds", "for sandboxes");
    one("10 minutes", "2 days", "no duration");
    one("{ floor = 2 }", "{ percent = 90 }", "from 1 to 50");
    one("1000 =", "ana =", "no user id");
    one("1000 =", "0 =", "root is nobody's own user");
    one("127.0.0.1:9464", "0.0.0.0:9464", "for this machine only");
    one("unlisted = \"deny\"", "unlisted = \"maual\"", "Did you mean \"manual\"?");
    one("client_id = \"abc\"", "client_id = \"YOUR-CLIENT-ID\"", "still what `init` wrote");
    one("[log]", "[api]\nlisten = \"127.0.0.1:9464\"\n[log]", "only one of the two");
    one("Harbour & Co", &"x".repeat(5000), "at most 200 letters");
    // The one true error, and none that comes of what is left of the list.
    one("[\"pdf\", \"ofx\"]", "[\"docx\"]", "\"docx\" is not known here");
    one("after_days = 5", "periods = [\"weak\"]", "\"weak\" is not known here");
    one("[\"Harbour.example\"]", "[\"harbour\"]", "is no internet domain");
    one("\"bank-statement\"]", "\"bank-statment\"]", "Did you mean \"bank-statement\"?");
    // A ledger is only read.
    one("scopes = \"broad\"", "scopes = [\"a\", \"accounting.transactions\"]", "changes nothing in a ledger");
    good(&GOOD.replace("scopes = \"broad\"", "scopes = [\"a\", \"accounting.contacts.read\"]"));
}

#[test]
fn endpoints_are_https_or_literal_loopback() {
    for (endpoint, part) in [
        ("http://api.vendor.example", "clear text"),
        ("http://localhost:8787", "clear text"),
        ("https://user:pw@api.vendor.example", "no user, password"),
        ("https://api.vendor.example?x=1", "no user, password"),
        ("ftp://127.0.0.1", "https://"),
        ("nonsense", "no address"),
    ] {
        let to = format!("page_size = 50\nendpoints = {{ api = \"{endpoint}\" }}");
        one("page_size = 50", &to, part);
    }
    one("page_size = 50", "page_size = 50\nendpoints = { apy = \"http://127.0.0.1:1\" }", "Did you mean \"api\"?");
    good(&GOOD.replace("page_size = 50", "endpoints = { api = \"http://[::1]:8787/xero\" }"));
}

#[test]
fn hurry_is_for_sandboxes_whose_every_endpoint_is_loopback() {
    let hurried = GOOD.replace("10 minutes", "2 seconds");
    let one_of_two = hurried.replace("page_size = 50", "endpoints = { api = \"http://127.0.0.1:1\" }");
    assert_eq!(problems(&one_of_two).len(), 1);
    let both = "endpoints = { api = \"http://127.0.0.1:1\", identity = \"http://127.0.0.1:1\" }";
    let sandbox = hurried.replace("page_size = 50", both);
    assert_eq!(good(&sandbox).policy.confirm_after_seconds, 2);
    // A list on the disk is nowhere to connect to: it changes nothing beside stand-ins, and alone it makes no sandbox.
    let roster = ledgerward::registry::entry("roster").unwrap().factory.manifest();
    let list = "[connections.staff]\nconnector = \"roster\"\nfile = \"/srv/staff.csv\"\n";
    let known = |text: &str| config::parse(text, &[&XERO, &DRIVE, &LOCAL, roster]).problems.len();
    let beside = |text: &str| text.replace("[targets.drive]", &format!("{list}[targets.drive]"));
    assert_eq!((known(&beside(&sandbox)), known(&beside(&one_of_two))), (0, 1));
    let (start, end) = (sandbox.find("[connections.").unwrap(), sandbox.find("[targets.drive]").unwrap());
    let alone = format!("{}{list}{}", &sandbox[..start], &sandbox[end..]);
    assert!(known(&alone) > 0, "{alone}");
    let drive = "sharing = \"mirror\"\nfirst_plan = \"apply\"\nendpoints = { api = \"http://127.0.0.1:1\" }";
    assert_eq!(
        good(&sandbox.replace("sharing = \"mirror\"", drive)).targets.values().last().unwrap().first_plan,
        FirstPlan::Apply
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for line in [
        "client_secret = \"hunter2-hunter2\"",
        "client_secrt = \"hunter2-hunter2\"",
        "client_secret = \"hunter2-hunter2",
        "proxy = \"http://user:hunter2-hunter2@proxy.example:3128\"",
        "endpoints = { api = \"https://user:hunter2-hunter2@api.vendor.example\" }",
    ] {
        let text = GOOD.replace("client_secret = { file = \"xero-secret\" }", line);
        let parsed = config::parse(&text, &ALL);
        assert!(!parsed.problems.is_empty() && parsed.config.is_none(), "{line}");
        let shown = config::render_all(&parsed.problems, "config.toml", &text);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!format!("{parsed:?}").contains("hunter2"), "{line}");
    }
}

/// What anybody sees of a configuration that holds `line` where the secret's place should be: each problem of its text and,
/// where it has none, of its secrets.
fn told(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    match config::load(&file, &ALL) {
        Ok(_) => panic!("accepted: {text}"),
        Err(e) => e.to_string(),
    }
}

const SECRET_LINE: &str = "client_secret = { file = \"xero-secret\" }";
const CANARY: &str = "Zk3-9fQ~8aB2.c7D/WxE";

#[test]
fn no_form_of_a_pasted_secret_is_repeated() {
    // The template's own comment, which says where a secret may be.
    let line =
        "client_secret = \"CANARY\"  # beside this file, chmod 0400; or { credential = \"xero-secret\" } of systemd";
    let shown = told(&GOOD.replace(SECRET_LINE, &line.replace("CANARY", CANARY)));
    assert!(shown.contains("14 | client_secret = (not shown)\n"), "{shown}");
    for line in [
        "client_secret = CANARY # { credential = \"x\" }",
        "client_secret = \"CANARY",
        "client_secret = \"\"\"\nCANARY\"\"\"",
        "client_secret = \"\"\"\nCANARY=\n\\q\n\"\"\"",
        "client_secret = \"\"\"\nCANARY\nscopes = 'CANARY'",
        "client_secret = [\"CANARY\"]",
        "client_secret = [\n  \"CANARY\",\n  [\"CANARY\"],\n]",
        "client_secret = [\n  \"CANARY\"\n  \"CANARY\"\n]",
        "client_secret = { file = \"CANARY\" }",
        "client_secret = { file = \"/CANARY\" } # credential = \"x\"",
        "client_secret = { credential = \"CANARY\" }",
        "client_secret = { credential = \"Zk39fQ8aB2c7DWxE\" }",
        "client_secret = { value = \"CANARY\" } # { credential = \"x\" }",
        "client_secret = { file = \"x-secret\", name = \"CANARY\" }",
        "client_secret = { \"CANARY\" = 1 }",
        "client_secret = { file = CANARY }",
        "client_secret = { file = [\"CANARY\"] }",
        "\"client_secret\" = \"CANARY\" # file = 1",
        "'client_secret' = 'CANARY'",
        "client_secret.file = \"CANARY\"",
        "client_secret.value = \"CANARY\"",
        "client_secret.name = \"CANARY\"\nclient_secret.name = \"CANARY\"",
        "client_secret = \"x\"\nclient_secret = \"CANARY\"",
        "scopes = \"CANARY\\q\"",
        "[connections.xero.client_secret]\nvalue = \"CANARY\"",
        "[connections.xero.client_secret]\nname = \"CANARY",
        "[connections.xero.client_secret]\nname = \"CANARY\"\nname = \"CANARY\"",
        "[[connections.xero.client_secret]]\nname = \"CANARY\"",
        "clientsecret = \"CANARY\"",
        "client_secrt = { file = \"CANARY\" }",
        "service_account = { file = \"CANARY\" }",
        "scopes = \"braod\" # client_secret = \"CANARY\"",
        "endpoints = { api = \"https://user:CANARY@api.vendor.example\" }",
        "proxy = \"http://user:CANARY@proxy.example:3128\"",
        "redirect_url = \"http://user:CANARY@proxy.example:3128\"",
        "# client_secret = \"CANARY\"\u{1}",
    ] {
        let text = GOOD.replace(SECRET_LINE, &line.replace("CANARY", CANARY));
        let shown = told(&text);
        assert!(!shown.contains(CANARY) && !shown.contains("Zk39fQ8aB2c7DWxE"), "{line}\n{shown}");
    }
    let inline = GOOD.replace(
        "[targets.disk]\n",
        "[targets]\nbox = { connector = \"google-drive\", scopes = \"braod\", client_secret = \"CANARY\", sharing = \"mirror\" }\n[targets.disk]\n",
    );
    assert!(!told(&inline.replace("CANARY", CANARY)).contains(CANARY));
    let dotted = GOOD.replace("version = 1", "version = 1\nconnections.a.client_secret = \"CANARY\" # file = 1");
    assert!(!told(&dotted.replace("CANARY", CANARY)).contains(CANARY));
}

#[test]
fn what_is_harmless_is_still_shown() {
    for (from, to, line) in [
        ("scopes = \"broad\"", "scopes = \"braod\"   # \"broad\"", " | scopes = \"braod\"\n"),
        ("ADMIN = \"reader\"", "ADMIN = \"owner\"", " | ADMIN = \"owner\"\n"),
        ("{ floor = 2 }", "{ percent = 90 }", " | leavers = { percent = 90 }\n"),
        ("[\"pdf\", \"ofx\"]", "[\n  \"pdf\",\n  \"docx\", # no\n]", " |   \"docx\"\n"),
        ("[targets.disk]", "[targets.Disk_1] # ours", " | [targets.Disk_1]\n"),
        ("shared_drive = \"0A\"", "shared_driv = \"0A\"", " | shared_driv = (not shown)\n"),
    ] {
        let text = GOOD.replace(from, to);
        let parsed = config::parse(&text, &ALL);
        let shown = config::render_all(&parsed.problems, "config.toml", &text);
        assert!(shown.contains(line), "{shown}");
    }
}

fn places(dir: &Path) -> SecretPlaces {
    SecretPlaces { credentials: Some(dir.to_path_buf()), ..SecretPlaces::of_process(&dir.join("config.toml")) }
}

#[test]
fn a_secret_file_must_be_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s");
    std::fs::write(&file, "value\n").unwrap();
    let here = places(dir.path());
    let secret = SecretRef::File("s".into());
    let check = |mode: u32| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        secret.read(&here).map(|s| s.expose().to_owned()).map_err(|e| e.message)
    };
    assert_eq!(check(0o400).unwrap(), "value");
    assert_eq!(check(0o600).unwrap(), "value");
    for open in [0o644, 0o604, 0o620, 0o601] {
        assert!(check(open).unwrap_err().contains("others may open"), "{open:o}");
    }
    check(0o400).unwrap();
    assert_eq!(SecretRef::Credential("s".into()).read(&here).unwrap().expose(), "value");
    let nobody = SecretPlaces { credentials: None, ..here.clone() };
    assert!(
        SecretRef::Credential("xero-secret".into())
            .read(&nobody)
            .unwrap_err()
            .next
            .contains("LoadCredential=xero-secret:")
    );
    assert!(SecretRef::File("none".into()).read(&here).unwrap_err().message.contains("no such file"));
    assert!(SecretRef::File(".".into()).read(&here).unwrap_err().message.contains("is not a file"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "\n").unwrap();
    assert!(secret.read(&here).unwrap_err().message.contains("is empty"));
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(secret.read(&here).unwrap_err().message.contains("not text"));
}

#[test]
fn the_key_of_the_state_is_bytes_and_exactly_thirty_two() {
    let dir = tempfile::tempdir().unwrap();
    let (config, key) = (dir.path().join("config.toml"), dir.path().join("mykey"));
    let start = GOOD.find("[connections.xero]").unwrap();
    std::fs::write(&config, format!("{}[state]\nkey = {{ file = \"mykey\" }}\n", &GOOD[..start])).unwrap();
    let load = |bytes: &[u8], mode: u32| {
        std::fs::write(&key, bytes).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = config::load(&config, &ALL).map(|c| c.state_key).map_err(|e| e.to_string());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        loaded
    };
    // No text, and with a line break at its end that is part of it.
    let mut bytes: Vec<u8> = (230..=255).chain(0..=5).collect();
    bytes[31] = b'\n';
    assert_eq!(load(&bytes, 0o400).unwrap(), Some(SecretRef::File("mykey".into())));
    assert!(load(&bytes, 0o644).unwrap_err().contains("others may open"));
    for bad in [&b"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=\n"[..], &bytes[..31], &[]] {
        let told = load(bad, 0o400).unwrap_err();
        assert!(told.contains(&format!("holds {}", bad.len())) && told.contains("head -c 32 /dev/urandom"), "{told}");
    }
    assert!(load(&vec![7; 70_000], 0o400).unwrap_err().contains("larger than 64 KiB"));
}

#[test]
fn a_configuration_that_cannot_be_read_says_what_to_do_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let next = |file: &Path| match config::load(file, &ALL) {
        Err(LoadError::Unreadable { reason, next, .. }) => format!("{reason}. {next}"),
        other => panic!("{other:?}"),
    };
    assert!(next(&file).contains("ledgerward init"));
    let folder = next(dir.path());
    assert!(folder.contains("is a folder") && !folder.contains("init"), "{folder}");
    std::fs::write(&file, b"version = 1\n[firm]\nname = \"Bj\xf6rn\"\n").unwrap();
    let latin = next(&file);
    assert!(latin.contains("line 3") && !latin.contains("init"), "{latin}");
    std::fs::write(&file, GOOD).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let open = next(&file);
    assert!(open.contains("0666") && open.contains("chmod o-w"), "{open}");
}

#[test]
fn load_tells_secrets_and_settings_in_one_list() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(
        &file,
        GOOD.replace("{ credential = \"drive.json\" }", "{ file = \"d\" }").replace("\"deny\"", "\"no\""),
    )
    .unwrap();
    let Err(LoadError::Refused(text)) = config::load(&file, &ALL) else { panic!("accepted") };
    for part in ["config.toml:14:17", "config.toml:21:19", "\"no\" is not known here", "is refused: 3 problems."] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let absent = config::load(&dir.path().join("none.toml"), &ALL);
    assert!(matches!(absent, Err(LoadError::Unreadable { .. })));
}

#[test]
fn fonts_are_looked_at_when_the_configuration_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let text = "version = 1\n[firm]\nname = \"Harbour\"\ndomains = [\"harbour.example\"]\ntimezone = \"UTC\"\n\
                [statements]\npaper = \"letter\"\naccent = \"#8a1538\"\nfonts = [\"own.ttf\"]\n";
    std::fs::write(&file, text).unwrap();
    let refused = || match config::load(&file, &ALL) {
        Err(LoadError::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let absent = refused();
    for part in ["config.toml:9:10: statements.fonts[0]", "own.ttf cannot be read", "fonts = [\"own.ttf\"]", ".otf"] {
        assert!(absent.contains(part), "{part}: {absent}");
    }
    let own = dir.path().join("own.ttf");
    std::fs::write(&own, "no font").unwrap();
    assert!(refused().contains("own.ttf is no TrueType or OpenType font"));
    std::fs::remove_file(&own).unwrap();
    std::fs::create_dir(&own).unwrap();
    assert!(refused().contains("is no file"));
    std::fs::remove_dir(&own).unwrap();
    std::fs::write(&own, notosans::REGULAR_TTF).unwrap();
    let look = config::load(&file, &ALL).unwrap().statements.look;
    assert_eq!((look.paper, look.accent, look.fonts.len()), (Paper::Letter, [0x8a, 0x15, 0x38], 1));
    assert_eq!(good(GOOD).statements.look, Look::default());
}

#[test]
fn the_policy_value_follows_meaning_and_nothing_else() {
    let value = |text: &str| config::policy_relevant(&good(text));
    let base = value(GOOD);
    for (from, to) in [
        ("every 5 minutes", "every 6 minutes"),
        ("{ floor = 2 }", "{ floor = 3 }"),
        ("after_days = 5", "after_days = 6"),
        ("\"json\"", "\"text\""),
        ("xero-secret", "other-secret"),
    ] {
        assert_eq!(base, value(&GOOD.replace(from, to)), "{to}");
    }
    for (from, to) in [
        ("0AFolderId", "0AnotherId"),
        ("sharing = \"mirror\"", "sharing = \"report\""),
        ("ADMIN = \"reader\"", "ADMIN = \"writer\""),
        ("unlisted = \"deny\"", "unlisted = \"manual\""),
        ("everybody in the office", "the partners"),
        ("after_days = 5", "template = \"{period}/{kind}[ {ledger}][ {account}][ (v{n})].{ext}\""),
        ("confirm_after", "authority = \"any\"\nconfirm_after"),
        ("shared_drive = \"0A\"", "shared_drive = \"0B\""),
    ] {
        assert_ne!(base, value(&GOOD.replace(from, to)), "{to}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(at in 0usize..1400, cut in 0usize..40, junk in "[\\[\\]{}=\"'.#,\\n a0-9é]{0,12}") {
        let mut text: Vec<char> = GOOD.chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, junk.chars());
        let text: String = text.into_iter().collect();
        let parsed = config::parse(&text, &ALL);
        let _ = config::render_all(&parsed.problems, "config.toml", &text);
        proptest::prop_assert_eq!(parsed.config.is_some(), parsed.problems.is_empty());
    }
    #[test]
    fn no_place_of_a_secret_shows_it(
        before in "[\\[\\]{}=\"'.#, \na-c]{0,10}",
        after in "[\\[\\]{}=\"'.#, \n0-9]{0,10}",
        form in 0usize..8,
        comment in 0usize..3,
        cut in 0usize..60,
    ) {
        let value = ["\"CANARY\"", "CANARY", "{ file = \"CANARY\" }", "{ credential = \"CANARY\" }", "{ value = 'CANARY' }",
            "[\n\"CANARY\"\n]", "\"\"\"\nCANARY=\n\"\"\"", "{ file = \"x\", name = \"CANARY\" }"][form];
        let comment = ["", " # or { credential = \"xero-secret\" } of systemd", " # file = 1"][comment];
        let line = format!("client_secret = {before}{value}{after}{comment}").replace("CANARY", CANARY);
        let mut text = GOOD.replace(SECRET_LINE, &line);
        // What stands after it may be gone: quotes and brackets that nothing closes.
        let end = text.find(CANARY).unwrap() + CANARY.len() + cut;
        if cut < 30 {
            text.truncate((end..text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len()));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, &text).unwrap();
        if let Err(e) = config::load(&file, &ALL) {
            proptest::prop_assert!(!e.to_string().contains(CANARY), "{}\n{}", text, e);
        }
    }
}

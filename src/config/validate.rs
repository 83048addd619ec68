//! From text to [`Config`], with every problem at its line. No IO: secrets are named here and looked at by [`super::load`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
};

use jiff::tz::TimeZone;
use ledgerward_contract::{ConnectionName, Email, LedgerRole, Manifest};

use super::{
    read::{ConfigProblem, Reader, Table, Value},
    remote::{self, Gathered},
    schema::{
        Config, Connection, FirmSettings, FirstPlan, Guards, Limit, LogFormat, LogLevel, LogSettings, PolicySettings,
        Schedules, Sharing, Target,
    },
    secret::SecretRef,
    statements,
};
use crate::{
    daemon::schedule::Schedule,
    domain::firm::{Authority, TargetName, Unlisted},
};

/// What came of a text.
#[derive(Debug)]
pub struct Parsed {
    /// `Some` exactly if there are no problems.
    pub config: Option<Config>,
    pub problems: Vec<ConfigProblem>,
    /// Every secret that is named: the setting, its place in the text, and where the secret is.
    pub secrets: Vec<(String, Range<usize>, SecretRef)>,
    /// Every font file that is named, in the same way.
    pub fonts: Vec<(String, Range<usize>, PathBuf)>,
}

/// More is no name, and fits on no page.
const FIRM_NAME_MAX: usize = 200;

/// The most confirmation may be hurried outside a sandbox, in seconds.
const CONFIRM_SECONDS_MIN: u32 = 60;
const CONFIRM_SECONDS_MAX: u32 = 24 * 3600;

/// Reads a configuration against the connectors of this program.
pub fn parse(text: &str, manifests: &[&'static Manifest]) -> Parsed {
    let reader = Reader::new(text);
    let document = reader.document();
    // A half-read document would raise a second wave of problems that are none.
    if reader.failed() {
        return Parsed { config: None, problems: reader.into_problems(), secrets: Vec::new(), fonts: Vec::new() };
    }
    let root = Table::new(&reader, document.get_ref(), 0..0, String::new());
    let mut gathered = Gathered::default();
    let config = read_root(root, manifests, &mut gathered);
    let problems = reader.into_problems();
    let Gathered { secrets, fonts } = gathered;
    Parsed { config: config.filter(|_| problems.is_empty()), problems, secrets, fonts }
}

fn read_root(root: Table<'_, '_>, manifests: &[&'static Manifest], gathered: &mut Gathered) -> Option<Config> {
    if let Some(version) =
        root.need("version", "Begin the file with: version = 1").and_then(|v| v.integer(1..=i64::MAX))
        && version != 1
        && let Some(value) = root.get("version")
    {
        value.problem(
            format!("version {version} is newer than this program, which reads version 1"),
            "Use the program this file was written for.",
        );
    }
    let firm = root.need("firm", "Add a section [firm] with name, domains and timezone.");
    let firm = firm.and_then(|v| v.table()).map(read_firm);
    let schedule = section(&root, "schedule", read_schedule);
    let connections = read_connections(&root, manifests, gathered);
    let targets = read_targets(&root, manifests, gathered, &connections);
    let delivered = section(&root, "statements", |t| statements::read(t, gathered));
    // A list on the disk has no endpoint: beside stand-ins it is part of a sandbox, alone it may be a firm's own.
    let mut served = connections
        .values()
        .map(|c| (c, remote::endpoint_names(manifests, &c.remote.connector)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(c, names)| c.remote.only_loopback(names))
        .peekable();
    let sandbox = served.peek().is_some() && served.all(|loopback| loopback);
    let stand_ins = root.get("sandbox").and_then(|v| {
        if !sandbox {
            v.problem(
                "stand-ins for the providers run only where every endpoint is a literal loopback address",
                "Leave the line out: it is the demo's.",
            );
        }
        v.text().map(PathBuf::from)
    });
    let policy = section(&root, "policy", |t| read_policy(t, sandbox));
    let guards = section(&root, "guards", read_guards);
    let operators = root.get("operators").and_then(|v| v.table()).map(read_operators).unwrap_or_default();
    let state_key = section(&root, "state", |t| {
        let key = t.as_ref().and_then(|t| t.get("key")).and_then(|v| remote::secret(&v, gathered));
        finish(t);
        key
    });
    let metrics_listen = section(&root, "metrics", |t| {
        loopback(t, "metrics_listen", "metrics name people's clients by number and are for this machine only", "9464")
    });
    let api_listen = section(&root, "api", |t| {
        loopback(t, "listen", "the API is for this machine only; elsewhere it needs a proxy of yours, with TLS", "8790")
    });
    if metrics_listen.is_some()
        && metrics_listen == api_listen
        && let Some(value) = root.get("api").and_then(|v| v.table()).and_then(|t| t.get("listen"))
    {
        value.problem("this is metrics_listen, too, and only one of the two can listen there", "Use another port.");
    }
    let log = section(&root, "log", read_log);
    root.finish(&[]);
    Some(Config {
        firm: firm??,
        schedule,
        connections,
        targets,
        statements: delivered?,
        policy,
        guards,
        operators,
        state_key,
        metrics_listen,
        api_listen,
        log,
        sandbox: stand_ins,
    })
}

/// A section that may be left out: `read` is called in any case and gives the defaults for `None`.
fn section<'a, 't, T>(root: &Table<'a, 't>, key: &str, read: impl FnOnce(Option<Table<'a, 't>>) -> T) -> T {
    read(root.get(key).and_then(|v| v.table()))
}

fn finish(table: Option<Table<'_, '_>>) {
    if let Some(table) = table {
        table.finish(&[]);
    }
}

fn read_firm(t: Table<'_, '_>) -> Option<FirmSettings> {
    let name = t.need("name", "The firm's name, as on its letterhead.").and_then(|v| {
        let name = v.text()?;
        if name.chars().count() > FIRM_NAME_MAX {
            v.problem(format!("a name has at most {FIRM_NAME_MAX} letters"), "Write what the letterhead says first.");
        }
        Some(name)
    });
    let domains =
        t.need("domains", "The firm's own mail domains; addresses elsewhere are held until approved.").and_then(|v| {
            let set = v.set(|d| d.parse(domain, "Write the part after the @ alone: \"harbour.example\"."))?;
            if set.is_empty() {
                v.problem(
                    "a firm needs at least one mail domain",
                    "Write the part after the @: [\"harbour.example\"].",
                );
            }
            Some(set)
        });
    let timezone =
        t.need("timezone", "An IANA name such as \"Pacific/Auckland\"; schedules and days are meant in it.").and_then(
            |v| v.parse(time_zone, "Use an IANA name: Region/City, or UTC. See the tz database's list of names."),
        );
    let letterhead = t.get("letterhead").and_then(|v| texts(&v)).unwrap_or_default();
    t.finish(&[]);
    Some(FirmSettings { name: name?, domains: domains?, timezone: timezone?, letterhead })
}

/// A domain as a lower-case A-label, by the one rule for addresses.
fn domain(text: &str) -> Result<String, String> {
    Email::parse(&format!("x@{text}"))
        .map(|e| e.domain().to_owned())
        .map_err(|_| format!("\"{text}\" is no internet domain"))
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .ok()
        .filter(|tz| tz.iana_name().is_some())
        .ok_or_else(|| format!("\"{name}\" is no time zone of the tz database on this machine"))
}

fn texts(v: &Value<'_, '_>) -> Option<Vec<String>> {
    v.list()?.iter().map(Value::text).collect()
}

pub(super) fn emails(v: &Value<'_, '_>) -> Option<BTreeSet<Email>> {
    v.set(|e| e.parse(Email::parse, "Write a plain address: \"ana@harbour.example\"."))
}

fn read_schedule(t: Option<Table<'_, '_>>) -> Schedules {
    let read = |key: &str, default: Schedule| {
        let value = t.as_ref().and_then(|t| t.get(key));
        value.and_then(|v| v.parse(Schedule::parse, "")).unwrap_or(default)
    };
    let access = read("access", Schedule::Every { minutes: 5 });
    let statements = read("statements", Schedule::Every { minutes: 24 * 60 });
    finish(t);
    Schedules { access, statements }
}

fn read_connections(
    root: &Table<'_, '_>,
    manifests: &[&'static Manifest],
    gathered: &mut Gathered,
) -> BTreeMap<ConnectionName, Connection> {
    let mut all = BTreeMap::new();
    let Some(table) = root.get("connections").and_then(|v| v.table()) else { return all };
    for (name, value) in table.rest() {
        remote::check_name(&value, &name);
        let Some(t) = value.table() else { continue };
        let roles = t.get("roles").and_then(|v| v.table()).map(read_roles).unwrap_or_default();
        if let Some(remote) = remote::read(t, manifests, remote::Purpose::Source, gathered) {
            all.insert(ConnectionName(name), Connection { remote, roles });
        }
    }
    all
}

fn read_roles(t: Table<'_, '_>) -> BTreeMap<String, LedgerRole> {
    let mut roles = BTreeMap::new();
    for (role, value) in t.rest() {
        let gives = value.one_of(&[
            ("reader", LedgerRole::Reader),
            ("writer", LedgerRole::Writer),
            ("none", LedgerRole::Nothing),
            ("unknown", LedgerRole::Unmapped(role.clone())),
        ]);
        roles.extend(gives.map(|g| (role, g)));
    }
    roles
}

fn read_targets(
    root: &Table<'_, '_>,
    manifests: &[&'static Manifest],
    gathered: &mut Gathered,
    connections: &BTreeMap<ConnectionName, Connection>,
) -> BTreeMap<TargetName, Target> {
    let mut all = BTreeMap::new();
    let Some(table) = root.get("targets").and_then(|v| v.table()) else { return all };
    for (name, value) in table.rest() {
        remote::check_name(&value, &name);
        if connections.contains_key(&ConnectionName(name.clone())) {
            value.problem(
                "a connection has this name too",
                "`ledgerward connect` needs one name for one thing: rename one.",
            );
        }
        let target = value.table().and_then(|t| read_target(t, manifests, gathered));
        let Some(target) = target else { continue };
        // One disk: each would find the other's folders there, and make none of its own.
        let disk = |of: &Target| manifests.iter().any(|m| m.name == of.remote.connector && m.endpoints.is_empty());
        let same = |other: &&TargetName| {
            all.get(*other).is_some_and(|o: &Target| {
                disk(o)
                    && o.root.is_some()
                    && (&o.root, &o.remote.connector) == (&target.root, &target.remote.connector)
            })
        };
        if let Some(other) = all.keys().find(same) {
            value.problem(format!("its root is that of the target \"{other}\""), "Give each target a root of its own.");
        }
        all.insert(TargetName(name), target);
    }
    all
}

fn read_target(t: Table<'_, '_>, manifests: &[&'static Manifest], gathered: &mut Gathered) -> Option<Target> {
    let sharing = read_sharing(&t);
    let root = t.get("root").and_then(|v| v.text());
    let template = t.get("template").and_then(|v| v.parse(statements::check_template, statements::TEMPLATE_HELP));
    let kinds = t.get("kinds").and_then(|v| statements::kinds(&v));
    let formats = t.get("formats").and_then(|v| statements::formats(&v));
    let always_allowed = t.get("always_allowed").and_then(|v| emails(&v)).unwrap_or_default();
    let first = t.get("first_plan");
    let first_plan =
        first.as_ref().and_then(|v| v.one_of(&[("approve", FirstPlan::Approve), ("apply", FirstPlan::Apply)]));
    let mut remote = remote::read(t, manifests, remote::Purpose::Target, gathered)?;
    if let (Some(FirstPlan::Apply), Some(v)) = (first_plan, first)
        && !remote.only_loopback(remote::endpoint_names(manifests, &remote.connector))
    {
        v.problem(
            "the first plan of a target that is no sandbox must be approved by a person",
            "Leave the line out. It is for targets whose every endpoint is a literal loopback address.",
        );
    }
    if let Some(settings) = remote.settings.as_object_mut() {
        if let Some(root) = &root {
            settings.insert("root".to_owned(), root.clone().into());
        }
        // Some targets work differently without lists (modes of a disk); those that do say so in their manifest.
        let manifest = manifests.iter().find(|m| m.name == remote.connector);
        if let Some(sharing) = &sharing
            && manifest.is_some_and(|m| m.settings.iter().any(|(key, _)| *key == "sharing"))
        {
            settings.insert("sharing".to_owned(), sharing.slug().into());
        }
    }
    let first_plan = first_plan.unwrap_or_default();
    Some(Target { remote, root, sharing: sharing?, template, kinds, formats, always_allowed, first_plan })
}

fn read_sharing(t: &Table<'_, '_>) -> Option<Sharing> {
    const HELP: &str = "Say what happens to the folders' sharing lists; there is no default. \"mirror\": kept equal to the \
                        access computed. \"report\": no list is changed and differences are shown; folders are made, and \
                        files go where no stranger is on the list. \"off\": files go there \
                        whoever can read the place, which needs audience = \"who that is\".";
    let word = t.need("sharing", HELP)?.one_of(&[("mirror", 0), ("report", 1), ("off", 2)]);
    let audience = t.get("audience");
    match word? {
        2 => {
            let help =
                "Write in your own words who can read files there: audience = \"everybody with the office share\".";
            Some(Sharing::Off { audience: t.need("audience", help)?.text()? })
        }
        other => {
            if let Some(audience) = audience {
                audience
                    .problem("an audience is only for sharing = \"off\"", "Leave it out: here the list is checked.");
            }
            Some(if other == 0 { Sharing::Mirror } else { Sharing::Report })
        }
    }
}

fn read_policy(t: Option<Table<'_, '_>>, sandbox: bool) -> PolicySettings {
    let get = |key: &str| t.as_ref().and_then(|t| t.get(key));
    let unlisted = [("manual", Unlisted::Manual), ("deny", Unlisted::Deny), ("roster", Unlisted::Roster)];
    let unlisted = get("unlisted").and_then(|v| v.one_of(&unlisted)).unwrap_or_default();
    let confirm = get("confirm_after").and_then(|v| {
        let seconds = v.parse(seconds, "Write \"5 minutes\".")?;
        if seconds < CONFIRM_SECONDS_MIN && !sandbox {
            v.problem(
                "less than 1 minute between the two readings that make a removal is for sandboxes",
                "Write at least \"1 minute\". Shorter is accepted where every endpoint of every connection is a literal \
                 loopback address.",
            );
        }
        Some(seconds)
    });
    let additive_only = get("additive_only").and_then(|v| v.boolean()).unwrap_or(false);
    let authority = get("authority").and_then(|v| v.one_of(&[("all", Authority::All), ("any", Authority::Any)]));
    let four_eyes = get("four_eyes").and_then(|v| v.boolean());
    let always_allowed = get("always_allowed").and_then(|v| emails(&v)).unwrap_or_default();
    finish(t);
    PolicySettings {
        unlisted,
        confirm_after_seconds: confirm.unwrap_or(300),
        additive_only,
        authority: authority.unwrap_or_default(),
        four_eyes,
        always_allowed,
    }
}

/// `2 seconds`, `5 minutes`, `1 hour`.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("\"{text}\" is no duration");
    let (count, unit) = text.split_once(' ').ok_or_else(wrong)?;
    let factor = match unit {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        _ => return Err(wrong()),
    };
    let total = count.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)?;
    if !(1..=CONFIRM_SECONDS_MAX).contains(&total) {
        return Err("this must be from 1 second to 24 hours".to_owned());
    }
    Ok(total)
}

fn read_guards(t: Option<Table<'_, '_>>) -> Guards {
    let mut guards = Guards::default();
    if let Some(t) = &t {
        for (key, limit) in [
            ("leavers", &mut guards.leavers),
            ("pairs_removed", &mut guards.pairs_removed),
            ("client_loses", &mut guards.client_loses),
            ("overall", &mut guards.overall),
            ("pairs_added", &mut guards.pairs_added),
            ("person_gains", &mut guards.person_gains),
            ("churn", &mut guards.churn),
            ("touched", &mut guards.touched),
        ] {
            read_limit(t.get(key), limit);
        }
    }
    finish(t);
    guards
}

/// Bounded, so that no line of a file turns a gate off: at most 100 by number and 50 in a hundred.
fn read_limit(value: Option<Value<'_, '_>>, limit: &mut Limit) {
    let Some(t) = value.and_then(|v| v.table()) else { return };
    if let Some(floor) = t.get("floor").and_then(|v| v.integer(0..=100)) {
        limit.floor = u32::try_from(floor).unwrap_or(limit.floor);
    }
    if let Some(percent) = t.get("percent").and_then(|v| v.integer(1..=50)) {
        limit.percent = u8::try_from(percent).unwrap_or(limit.percent);
    }
    t.finish(&[]);
}

fn read_operators(t: Table<'_, '_>) -> BTreeMap<u32, Email> {
    let mut operators = BTreeMap::new();
    for (uid, value) in t.rest() {
        let email = value.parse(Email::parse, "The address of a person of the firm.");
        match uid.parse::<u32>() {
            Ok(0) => value.problem("root is nobody's own user", "Root says who acts with --as EMAIL."),
            // One spelling, so that no user is named twice.
            Ok(number) if number.to_string() == uid => operators.extend(email.map(|e| (number, e))),
            _ => value.problem(
                format!("\"{uid}\" is no user id"),
                "Write the number that `id -u NAME` prints: 1000 = \"ana@harbour.example\".",
            ),
        }
    }
    operators
}

/// A loopback address with a port, under `key`. `why`: said of every other address.
fn loopback(t: Option<Table<'_, '_>>, key: &str, why: &str, port: &str) -> Option<SocketAddr> {
    let listen = t.as_ref().and_then(|t| t.get(key)).and_then(|v| {
        v.parse(
            |text| match text.parse::<SocketAddr>() {
                Ok(addr) if addr.ip().is_loopback() => Ok(addr),
                Ok(_) => Err(why.to_owned()),
                Err(_) => Err("this is no address with a port".to_owned()),
            },
            &format!("Use a loopback address with a port: \"127.0.0.1:{port}\"."),
        )
    });
    finish(t);
    listen
}

fn read_log(t: Option<Table<'_, '_>>) -> LogSettings {
    let get = |key: &str| t.as_ref().and_then(|t| t.get(key));
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let format = get("format").and_then(|v| v.one_of(&formats)).unwrap_or_default();
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug].map(|l| (l.slug(), l));
    let level = get("level").and_then(|v| v.one_of(&levels)).unwrap_or_default();
    finish(t);
    LogSettings { format, level }
}

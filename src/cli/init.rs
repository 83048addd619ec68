//! `init`: writes the commented configuration, makes the state and the primary owner; all of it or nothing.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use ledgerward_contract::{Email, Timestamp};
use ledgerward_kit::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{
    cycle::refused,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::{self, Place},
    config,
    domain::{
        change::{self, ChangeOp},
        firm::{Mode, Office, PersonId},
    },
    store::{
        Actor, Db, KeySource, Kind, Options, StoreError,
        open::{DB_FILE, LOCK_FILE, WAL_FILE, WATERMARK_FILE},
    },
};

/// What `init` was told.
pub struct Wish<'a> {
    pub owner: &'a Email,
    pub name: &'a str,
    pub first: Option<&'a str>,
    pub last: Option<&'a str>,
}

/// Needs no configuration and no state. A configuration that is there already is kept and used, if there is no state yet;
/// nothing is ever overwritten.
///
/// Errors: 78 where a firm is set up here already; 75 where something has the state open.
pub fn run(place: &Place, wish: &Wish<'_>) -> Result<Report, Failure> {
    let now = SystemClock.now();
    let mut undo = Undo::default();
    let made = make(place, wish, now, &mut undo);
    match made {
        Ok(report) => Ok(report),
        Err(failure) => {
            undo.all();
            Err(failure)
        }
    }
}

fn make(place: &Place, wish: &Wish<'_>, now: Timestamp, undo: &mut Undo) -> Result<Report, Failure> {
    let kept = place.config.symlink_metadata().is_ok();
    let has_state = place.state.join(DB_FILE).symlink_metadata().is_ok();
    if kept && has_state {
        return Err(set_up_already(place, &format!("{} exists already", place.config.display())));
    }
    let (draft, options) = if kept {
        let config = app::load_config(&place.config)?;
        (None, app::options(place, &config, now)?)
    } else {
        let text = config::template(wish.owner.as_given(), wish.name);
        // What was typed here must not be what the first command refuses.
        let problems = config::parse(&text, &app::manifests()).problems;
        if let Some(problem) = problems.iter().find(|p| p.path.starts_with("firm")) {
            let next = format!("{} It is `{}` of the configuration.", problem.help, problem.path);
            return Err(Failure::new(Exit::Usage, format!("--name or --owner: {}", problem.message)).next(next.trim()));
        }
        (Some(write_draft(&place.config, &text, undo)?), Options::new(&place.state, now))
    };
    watch_state(&place.state, undo);
    let key = options.key.clone();
    let person = make_owner(options.create(), wish, place, now)?;
    if let Some(draft) = draft {
        put_in_place(&draft, &place.config)?;
    }
    Ok(told(place, wish, person, (kept, &key)))
}

fn set_up_already(place: &Place, what: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{what}, with a state in {}; nothing was changed", place.state.display()))
        .next("To add people: ledgerward people add. For a second firm, name another --config and another --state.")
}

/// The configuration under another name beside its own, on the disk.
fn write_draft(config: &Path, text: &str, undo: &mut Undo) -> Result<PathBuf, Failure> {
    let dir = folder_of(config);
    let missing: Vec<PathBuf> = dir.ancestors().take_while(|d| !d.exists()).map(Path::to_path_buf).collect();
    std::fs::create_dir_all(&dir).map_err(|e| cannot("make the folder", &dir, &e))?;
    undo.folders.extend(missing);
    let name = config.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let draft = dir.join(format!(".{name}.{}.new", std::process::id()));
    undo.files.push(draft.clone());
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| cannot("write", &draft, &e))?;
    Ok(draft)
}

/// The draft gets its name, unless somebody else took that name meanwhile.
fn put_in_place(draft: &Path, config: &Path) -> Result<(), Failure> {
    std::fs::hard_link(draft, config).map_err(|e| cannot("write", config, &e))?;
    // What remains of the draft is a second name of the same file.
    let _ = std::fs::remove_file(draft);
    File::open(folder_of(config)).and_then(|d| d.sync_all()).map_err(|e| cannot("sync", config, &e))
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn cannot(what: &str, path: &Path, e: &std::io::Error) -> Failure {
    let next = match e.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "Run it as a user who may write there, or name another place: --config FILE --state DIR."
        }
        std::io::ErrorKind::AlreadyExists => {
            "Nothing was overwritten. Look at that file, or name another one: --config FILE."
        }
        _ => "Nothing was left behind. Put this right and run the command again.",
    };
    Failure::new(Exit::Refused, format!("cannot {what} {}: {e}", path.display())).next(next)
}

/// Everything in the state's folder that is not there yet goes away again if this ends badly.
fn watch_state(state: &Path, undo: &mut Undo) {
    let shm = format!("{DB_FILE}-shm");
    for name in [DB_FILE, WAL_FILE, &shm, LOCK_FILE, WATERMARK_FILE, "key"] {
        let file = state.join(name);
        if file.symlink_metadata().is_err() {
            undo.files.push(file);
        }
    }
    undo.folders.extend(state.ancestors().take_while(|d| !d.exists()).map(Path::to_path_buf));
}

fn make_owner(options: Options, wish: &Wish<'_>, place: &Place, now: Timestamp) -> Result<PersonId, Failure> {
    let mut db = Db::open(options)?;
    let uid = rustix::process::getuid().as_raw();
    db.set_actor(&Actor::new(if uid == 0 { "root".to_owned() } else { format!("uid {uid}") }, Some(uid), "init"));
    let before = db.firm()?;
    if !before.people.is_empty() {
        return Err(set_up_already(place, "a firm is set up already"));
    }
    let (first, last) = names(wish);
    let person = PersonId(uuid::Uuid::now_v7());
    let op = ChangeOp::AddPerson {
        id: person,
        first,
        last,
        email: wish.owner.clone(),
        office: Office::PrimaryOwner,
        mode: Mode::LedgerSelected,
    };
    let by = change::By { actor: change::Actor::Setup, at: now };
    let (mut after, _) = change::apply(&before, &op, by).map_err(refused)?;
    wish.name.clone_into(&mut after.name);
    let written = serde_json::to_value(&op)
        .map_err(|e| StoreError::new(Kind::Io, "the owner cannot be written down").source(e))?;
    db.record_change(&written, wish.owner.key(), "init", now, &before, &after)?;
    Ok(person)
}

/// As given; what is missing is guessed from the address and told.
fn names(wish: &Wish<'_>) -> (String, String) {
    let local = wish.owner.key().split('@').next().unwrap_or_default().to_owned();
    let mut parts = local.split(['.', '_', '-']).filter(|p| !p.is_empty()).map(capital);
    let first = parts.next().unwrap_or_else(|| "Primary".to_owned());
    let last = parts.next_back().unwrap_or_else(|| "Owner".to_owned());
    (wish.first.map_or(first, str::to_owned), wish.last.map_or(last, str::to_owned))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn told(place: &Place, wish: &Wish<'_>, person: PersonId, (kept, key): (bool, &KeySource)) -> Report {
    let (first, last) = names(wish);
    let (config, state) = (place.config.display(), place.state.display());
    let wrote = if kept { "Kept" } else { "Wrote" };
    let text = format!(
        "{wrote} {config}\nMade  {state}\n{first} {last} <{}> is the primary owner.\n\n\
         Next:\n\
         \x20 1. Enter your apps' client ids in {config}, and put their secrets into the files it names.\n\
         \x20 2. ledgerward doctor\n\
         \x20 3. ledgerward connect xero, and ledgerward connect drive\n\
         \x20 4. ledgerward pull, then ledgerward clients list and ledgerward clients accept CLIENT…\n\
         \x20 5. ledgerward people add EMAIL --first … --last …, ledgerward select PERSON CLIENT…\n\
         \x20 6. ledgerward plan\n",
        wish.owner
    );
    let json = json!({
        "schema": "ledgerward/init/1",
        "config": place.config,
        "config_kept": kept,
        "state": place.state,
        "owner": {"id": person, "email": wish.owner, "first": first, "last": last},
    });
    let mut report = Report::new(Exit::Done, json, text).note(format!(
        "Keep a copy of the key, {}, somewhere else: without it the sign-ins must be made again.",
        key_words(key, &place.state)
    ));
    if wish.first.is_none() || wish.last.is_none() {
        report = report.note(format!(
            "The name was guessed. To change it: ledgerward people edit {} --first … --last …",
            wish.owner
        ));
    }
    report
}

fn key_words(key: &KeySource, state: &Path) -> String {
    match key {
        KeySource::State | KeySource::File(_) => key.path(state).display().to_string(),
        // It is here for as long as this runs; what it is made of is the supervisor's.
        KeySource::Credential(path) => {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            format!("the credential \"{name}\"")
        }
    }
}

/// What was made so far, to be taken back if the rest cannot be made.
#[derive(Default)]
struct Undo {
    files: Vec<PathBuf>,
    /// Innermost first within each group.
    folders: Vec<PathBuf>,
}

impl Undo {
    fn all(self) {
        for file in self.files {
            let _ = std::fs::remove_file(file);
        }
        // Only empty ones go, so nothing of anybody else's can.
        let mut folders = self.folders;
        folders.sort_by_key(|f| std::cmp::Reverse(f.components().count()));
        for folder in folders.iter().filter(|f| !f.as_os_str().is_empty()) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

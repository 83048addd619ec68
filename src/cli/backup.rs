//! `backup` and `restore`: a copy of the state, and the way back.

use std::path::Path;

use serde_json::json;

use super::{
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::{App, Place, load_config, options},
    store::{self, Db, Kind, Options},
};

pub async fn backup(app: &App, file: &Path) -> Result<Report, Failure> {
    super::findings::everything(app).await?;
    let (to, now) = (absolute(file)?, app.now());
    app.store.backup(to.clone(), now).await?;
    let json = json!({"schema": "ledgerward/backup/1", "file": to.display().to_string()});
    Ok(Report::new(Exit::Done, json, format!("{} is a whole, checked copy of the state.\n", to.display()))
        .note("Sign-ins in it stay sealed: keep the key file too, and in another place."))
}

/// Puts a backup where there is no state, or a damaged one. Whatever it is older than, the first start sees; the state is marked as restored
/// even where nothing on this machine remembers a newer one.
pub fn restore(place: &Place, file: &Path) -> Result<Report, Failure> {
    let config = load_config(&place.config)?;
    let from = absolute(file)?;
    if !from.is_file() {
        return Err(
            Failure::new(Exit::Failed, format!("{} is not there", from.display())).next("Name the backup file.")
        );
    }
    let now = jiff::Timestamp::now();
    let db = place.state.join("ledgerward.db");
    let there = db.symlink_metadata().is_ok();
    if there && !damaged(options(place, &config, now)?)? {
        return Err(Failure::new(
            Exit::Refused,
            format!("there is a whole state in {} already; nothing was changed", place.state.display()),
        )
        .next(format!(
            "If it is the wrong one, stop the daemon, move {} and its -wal file away, and run this again.",
            db.display()
        )));
    }
    make_folder(&place.state)?;
    let kept = store::restore(&place.state, &from, now)?;
    let why = format!("restored from {}", from.display());
    let marked = Db::open(options(place, &config, now)?).and_then(|mut db| db.mark_restored(&why, now).map(|()| db));
    let db = match marked {
        Ok(db) => db,
        Err(e) => {
            // A copy of a moment ago: unmarked, it must not become the state of the next start.
            for tail in ["", "-wal", "-shm"] {
                let _gone = std::fs::remove_file(format!("{}{tail}", db.display()));
            }
            return Err(e.into());
        }
    };
    let locked = db.keys_problem();
    drop(db);
    let json = json!({
        "schema": "ledgerward/restore/1", "file": from.display().to_string(), "state": place.state.display().to_string(),
        "restored": true, "keys": if locked.is_some() { "shut" } else { "open" },
    });
    let text = format!(
        "The state in {} is the one of {}. Nothing is applied until you confirm it.\n",
        place.state.display(),
        from.display()
    );
    let mut report = Report::new(Exit::Done, json, text)
        .note("Next: ledgerward plan, compare it with what you know, then: ledgerward restore --confirm")
        .note(
            "Whoever was let in since the backup is on the folders and not known as ours. The plan names them with the command \
             that takes them over (holders adopt); who is not taken over stays on the folder when they are entitled no more.",
        );
    if there {
        report = report.note(format!("The damaged file is kept as {}.", kept.display()));
    }
    if let Some(problem) = locked {
        report =
            report.note(format!("The sign-ins are shut: {}. {}", problem.message, problem.next.unwrap_or_default()));
    }
    Ok(report)
}

/// A person has looked at the plan: from now on runs write again.
pub async fn confirm(app: &App, console: &mut dyn Console) -> Result<Report, Failure> {
    super::cycle::may_publish(app).await?;
    let Some(restored) = app.store.run(|db| db.restored()).await? else {
        return Err(Failure::new(Exit::Failed, "the state is not a restored one; there is nothing to confirm"));
    };
    if console.interactive() {
        console.note(&format!("The state is marked as restored: {}.", restored.why));
        let answer = console.ask("Have you compared the plan, and shall runs write again? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            let json = json!({"schema": "ledgerward/restore-confirm/1", "confirmed": false});
            return Ok(Report::new(Exit::Done, json, "Nothing was changed.\n"));
        }
    }
    let now = app.now();
    app.store.run(move |db| db.confirm_restored("restore --confirm", now)).await?;
    let json = json!({"schema": "ledgerward/restore-confirm/1", "confirmed": true, "was": restored.why});
    Ok(Report::new(Exit::Done, json, "Confirmed: this state is the current one.\n").note("Next: ledgerward sync"))
}

/// Whether what is there is refused as damaged: the one state that a backup may take the place of. It is kept all the same.
fn damaged(options: Options) -> Result<bool, Failure> {
    match Db::open(options) {
        Ok(_) => Ok(false),
        Err(e) if e.kind == Kind::Damaged => Ok(true),
        Err(e) if e.kind == Kind::Locked => Err(e.into()),
        Err(_) => Ok(false),
    }
}

/// The state directory of a new machine, for us alone.
fn make_folder(dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    if dir.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir).map_err(|e| {
        Failure::new(Exit::Failed, format!("the state directory {} cannot be made", dir.display())).cause(&e)
    })
}

/// A path means the same whatever directory the state's thread is in.
fn absolute(file: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(file).map_err(|e| Failure::new(Exit::Usage, format!("{} is no path", file.display())).cause(&e))
}

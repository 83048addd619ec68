//! `key rotate`: the tokens are sealed with a new key from now on. `key replace`: the key is lost, and so are the tokens.

use serde_json::json;

use super::{
    args::KeyAct,
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::app::{App, options};

pub async fn run(app: &App, console: &mut dyn Console, act: KeyAct) -> Result<Report, Failure> {
    super::cycle::may_publish(app).await?;
    match act {
        KeyAct::Rotate => rotate(app).await,
        KeyAct::Replace { reason, yes } => replace(app, console, reason, yes).await,
    }
}

async fn rotate(app: &App) -> Result<Report, Failure> {
    if app.config.state_key.is_some() {
        return Err(Failure::new(Exit::Refused, "the key is kept where [state] key of the configuration says; this command changes only the key file beside the state")
            .next("Stop the daemon, take the line out, put the key file as `key` into the state directory, rotate, and move it back: deploy/README.md, \"Key rotation\"."));
    }
    let now = app.now();
    let id = app.store.run(move |db| db.rotate_key(now)).await?;
    let json = json!({"schema": "ledgerward/key-rotate/1", "key": id});
    Ok(Report::new(Exit::Done, json, format!("The tokens are sealed with the new key {id}.\n"))
        .note("The old key file stays beside it: older backups need it. Copy the new one to where you keep keys."))
}

async fn replace(app: &App, console: &mut dyn Console, reason: String, yes: bool) -> Result<Report, Failure> {
    let now = app.now();
    let key = options(&app.place, &app.config, now)?.key;
    let sign_ins = app.store.run(|db| db.signins()).await?;
    if !yes {
        if !console.interactive() {
            return Err(Failure::new(Exit::Usage, "this forgets the tokens of every sign-in, and nobody can be asked")
                .next("Put the key file back if there is any copy of it. If there is none, say --yes."));
        }
        console.note("Without the old key nobody can read the tokens, and with a new one they are forgotten for good.");
        console.note("Every other copy of the key still helps: look for one first. Nothing but the tokens is touched.");
        let answer = console.ask("Is the key lost for good? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            let json = json!({"schema": "ledgerward/key-replace/1", "replaced": false});
            return Ok(Report::new(Exit::Done, json, "Nothing was changed.\n"));
        }
    }
    let id = app.store.run(move |db| db.replace_lost_key(&key, &reason, now)).await?;
    let mut names: Vec<&str> = sign_ins.iter().map(|s| s.who.connection.as_str()).collect();
    names.dedup();
    let json = json!({"schema": "ledgerward/key-replace/1", "replaced": true, "key": id, "sign_ins": names});
    let mut report = Report::new(Exit::Done, json, format!("The key is now {id}. The old tokens are forgotten.\n"))
        .note("Copy the key file to where you keep keys, apart from the backups.");
    for name in names {
        report = report.note(format!("Next: ledgerward connect {name}"));
    }
    Ok(report)
}

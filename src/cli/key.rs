//! `key rotate`: the tokens are sealed with a new key from now on.

use serde_json::json;

use super::{
    args::KeyAct,
    outcome::{Exit, Failure, Report},
};
use crate::app::App;

pub async fn run(app: &App, act: KeyAct) -> Result<Report, Failure> {
    let KeyAct::Rotate = act;
    super::cycle::may_publish(app).await?;
    if app.config.state_key.is_some() {
        return Err(Failure::new(Exit::Refused, "the key is kept where [state] key of the configuration says; this command changes only the key file beside the state")
            .next("Stop the daemon, take the line out, put the key file as `key` into the state directory, rotate, and move it back."));
    }
    let now = app.now();
    let id = app.store.run(move |db| db.rotate_key(now)).await?;
    let json = json!({"schema": "ledgerward/key-rotate/1", "key": id});
    Ok(Report::new(Exit::Done, json, format!("The tokens are sealed with the new key {id}.\n"))
        .note("The old key file stays beside it: older backups need it. Copy the new one to where you keep keys."))
}

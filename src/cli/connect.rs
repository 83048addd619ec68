//! `connect NAME`: a person signs in to a connection or target.

use ledgerward_kit::signin::{Callback, LoopbackName, SignInFlow};
use serde_json::json;

use super::{
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    config::schema::Remote,
    domain::firm::TargetName,
    store::NewSignIn,
    world::{self, SignInGround},
};

/// The port of the redirect address where the configuration names none. Registered with the vendor, so it must not change.
const REDIRECT_PORT: u16 = 8089;

pub async fn run(app: &App, console: &mut dyn Console, name: &str, no_browser: bool) -> Result<Report, Failure> {
    let remote = remote(app, name)?;
    let SignInGround { client, scopes, title, redirect_port, .. } = world::sign_in_ground(name, remote, &app.ground())?;
    let port = redirect_port.unwrap_or(REDIRECT_PORT);
    let callback = if no_browser {
        let redirect = format!("http://localhost:{port}/callback");
        let redirect = redirect.parse().map_err(|e| Failure::new(Exit::Failed, format!("{redirect}: {e}")))?;
        Callback::Paste { redirect }
    } else {
        Callback::Loopback { port, host: LoopbackName::Localhost }
    };
    let flow = SignInFlow::start(&client, callback, &scopes).await?;
    console.note(&format!("Sign in to {title} here:"));
    console.note(&format!("  {}", flow.url()));
    let signed_in = if no_browser {
        console.note("The browser ends on an address that it cannot open. Copy that whole address and paste it here.");
        let pasted = console.ask("Address:").ok_or_else(|| {
            Failure::new(Exit::SignIn, "nobody pasted the address")
                .next("Run the command on a terminal, or pipe the address in.")
        })?;
        flow.paste(&pasted).await?
    } else {
        open_browser(flow.url().as_str());
        console.note("Waiting for the browser, at most ten minutes …");
        flow.wait().await?
    };
    let missing: Vec<_> = scopes.iter().filter(|s| !signed_in.scopes.contains(s)).cloned().collect();
    let claims = &signed_in.claims;
    let who = NewSignIn {
        connection: name.into(),
        subject: claims.xero_userid.clone().or_else(|| claims.sub.clone()).unwrap_or_default(),
        email: claims.email.clone(),
        realm: None,
        scopes: signed_in.scopes.clone(),
    };
    let now = app.now();
    refuse_another_account(app, name, &who).await?;
    let shown = who.email.clone().unwrap_or_else(|| "an account that does not say its address".to_owned());
    let tokens = signed_in.tokens(now);
    let id = app.store.run(move |db| db.signin_put(&who, &tokens, now)).await?;
    let mut text = format!("Connected {name} ({title}) as {shown}.\n");
    if !missing.is_empty() {
        text.push_str(&format!(
            "Not granted: {}. What needs it will say that it is not available.\n",
            missing.join(", ")
        ));
    }
    let json = json!({"schema": "ledgerward/connect/1", "connection": name, "sign_in": id, "account": shown, "not_granted": missing});
    Ok(Report::new(Exit::Done, json, text).note("Next: ledgerward pull"))
}

fn remote<'a>(app: &'a App, name: &str) -> Result<&'a Remote, Failure> {
    let connection = app.config.connections.get(&name.into()).map(|c| &c.remote);
    let target = app.config.targets.get(&TargetName(name.to_owned())).map(|t| &t.remote);
    connection.or(target).ok_or_else(|| {
        let connections = app.config.connections.keys().map(|n| n.as_str());
        let names: Vec<_> = connections.chain(app.config.targets.keys().map(|n| n.0.as_str())).collect();
        Failure::new(Exit::Usage, format!("the configuration has no connection or target named \"{name}\""))
            .next(format!("Use one of: {}.", names.join(", ")))
    })
}

/// A target's folders belong to the account that made them: another one would find none of them, and make new ones (T16).
async fn refuse_another_account(app: &App, name: &str, who: &NewSignIn) -> Result<(), Failure> {
    if !app.config.targets.contains_key(&TargetName(name.to_owned())) {
        return Ok(());
    }
    let rows = app.store.run(|db| db.signins()).await?;
    match rows.iter().find(|r| r.who.connection.as_str() == name && r.who.subject != who.subject) {
        None => Ok(()),
        Some(old) => {
            let before = old.who.email.as_deref().unwrap_or("another account");
            Err(Failure::new(
                Exit::Failed,
                format!("{name} is connected as {before}, and this sign-in is somebody else's"),
            )
            .next("Sign in with the account that holds the folders. Nothing was stored."))
        }
    }
}

/// Best effort: the address is on the screen in any case.
fn open_browser(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let _ = std::process::Command::new(opener).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}

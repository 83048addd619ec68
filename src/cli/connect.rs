//! `connect NAME`: a person signs in to a connection or target.

use std::fmt::Write as _;

use ledgerward_kit::signin::{Callback, LoopbackName, SignInFlow};
use serde::Serialize;
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

/// Signs in once; where one consent is for one company, again and again until the person has no more companies.
pub async fn run(app: &App, console: &mut dyn Console, name: &str, no_browser: bool) -> Result<Report, Failure> {
    let remote = remote(app, name)?;
    // A consent is spent once given, so what it brings must have a place first.
    app.store.run(|db| db.keys_problem().map_or(Ok(()), Err)).await?;
    let ground = world::sign_in_ground(name, remote, &app.ground())?;
    let mut done = vec![once(app, console, name, &ground, no_browser).await?];
    while ground.spec.realm.is_some() && another(console) {
        match once(app, console, name, &ground, no_browser).await {
            Ok(one) => done.push(one),
            // What was connected before stays connected.
            Err(e) => console.note(&e.render()),
        }
    }
    let mut text = String::new();
    for one in &done {
        let company = one.company.as_ref().map(|c| format!(", company {c},")).unwrap_or_default();
        let _ = writeln!(text, "Connected {name} ({}){company} as {}.", ground.title, one.account);
        if !one.not_granted.is_empty() {
            let missing = one.not_granted.join(", ");
            let _ = writeln!(text, "Not granted: {missing}. What needs it will say that it is not available.");
        }
    }
    let json = json!({"schema": "ledgerward/connect/1", "connection": name, "sign_ins": done});
    Ok(Report::new(Exit::Done, json, text).note("Next: ledgerward pull"))
}

#[derive(Serialize)]
struct Done {
    sign_in: String,
    account: String,
    company: Option<String>,
    not_granted: Vec<String>,
}

fn another(console: &mut dyn Console) -> bool {
    console.ask("Connect another company? [y/N]").is_some_and(|a| matches!(a.to_lowercase().as_str(), "y" | "yes"))
}

async fn once(
    app: &App,
    console: &mut dyn Console,
    name: &str,
    ground: &SignInGround,
    no_browser: bool,
) -> Result<Done, Failure> {
    let SignInGround { client, scopes, title, redirect_port, redirect_url, .. } = ground;
    let port = redirect_port.unwrap_or(REDIRECT_PORT);
    let paste = no_browser || redirect_url.is_some();
    let callback = if paste {
        let local = || format!("http://localhost:{port}/callback").parse();
        let redirect = redirect_url.clone().map_or_else(local, Ok);
        Callback::Paste { redirect: redirect.map_err(|e| Failure::new(Exit::Failed, format!("no address: {e}")))? }
    } else {
        Callback::Loopback { port, host: LoopbackName::Localhost }
    };
    let flow = SignInFlow::start(client, callback, scopes).await?;
    console.note(&format!("Sign in to {title} here:"));
    console.note(&format!("  {}", flow.url()));
    if !no_browser {
        open_browser(flow.url().as_str());
    }
    let signed_in = if paste {
        console.note("The browser ends on an address that it cannot open. Copy that whole address and paste it here.");
        let pasted = console.ask("Address:").ok_or_else(|| {
            Failure::new(Exit::SignIn, "nobody pasted the address")
                .next("Run the command on a terminal, or pipe the address in.")
        })?;
        flow.paste(&pasted).await?
    } else {
        console.note("Waiting for the browser, at most ten minutes …");
        flow.wait().await?
    };
    // Some vendors do not repeat the words of the protocol itself; what these ask for came or did not.
    let came = |scope: &str| match scope {
        "offline_access" => signed_in.granted.refresh.is_some(),
        "openid" | "profile" | "email" => signed_in.granted.id_token.is_some(),
        _ => false,
    };
    let granted = |s: &&String| signed_in.scopes.contains(s) || came(s);
    let not_granted: Vec<_> = scopes.iter().filter(|s| !granted(s)).cloned().collect();
    let claims = &signed_in.claims;
    let now = app.now();
    let subject = claims.xero_userid.clone().or_else(|| claims.sub.clone());
    // Where the token does not say whose it is, the provider does: folders belong to the account that made them (T16), and a
    // ledger's list proves an absence only where it holds our own user.
    let own = match &subject {
        None => ground.account(&signed_in.granted.access, now).await?,
        Some(_) => None,
    };
    let own_email = own.as_ref().and_then(|o| o.email.clone());
    let who = NewSignIn {
        connection: name.into(),
        subject: subject.or(own.map(|o| o.subject)).unwrap_or_default(),
        email: claims.email.clone().or(own_email),
        realm: signed_in.realm.clone(),
        scopes: signed_in.scopes.clone(),
    };
    refuse_another_account(app, name, &who).await?;
    let account = who.email.clone().unwrap_or_else(|| "an account that does not say its address".to_owned());
    let (tokens, company) = (signed_in.tokens(now), who.realm.clone());
    let sign_in = app.store.run(move |db| db.signin_put(&who, &tokens, now)).await?;
    Ok(Done { sign_in, account, company, not_granted })
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

//! `api`: the description of the local API, and the tokens for it.

use std::fmt::Write as _;

use jiff::civil::Date;
use ledgerward_contract::Timestamp;
use rand::RngCore as _;
use serde_json::{Value, json};

use super::{
    act,
    args::{ApiAct, PersonArg, TokenAct},
    cycle::may_publish,
    outcome::{Exit, Failure, Fault, Report},
};
use crate::{
    api::{
        openapi,
        tokens::{self, Token},
    },
    app::App,
    domain::firm::{Firm, Person},
    render::plan::time,
};

/// The description, as `GET /api/v1/openapi.json` answers it.
pub fn description() -> Report {
    let json = openapi::document();
    Report::new(Exit::Done, json.clone(), format!("{json:#}\n")).exact(true)
}

pub async fn run(app: &App, act: ApiAct) -> Result<Report, Failure> {
    match act {
        ApiAct::Openapi => Ok(description()),
        ApiAct::Token { act: TokenAct::Add { name, person, expires } } => add(app, name, &person, expires).await,
        ApiAct::Token { act: TokenAct::List } => list(app).await,
        ApiAct::Token { act: TokenAct::Revoke { name } } => revoke(app, name).await,
    }
}

/// A token is its person's hand: made for somebody else it would be a second pair of eyes, and a key to their private
/// books. So everybody makes their own, whether others of that name work here or not, and those who act as nobody (root, the
/// service's own user) make any.
fn whose<'f>(app: &App, firm: &'f Firm, typed: &PersonArg) -> Result<&'f Person, Failure> {
    let found = act::person(app, firm, &typed.0);
    if app.person.is_none() || found.as_ref().is_ok_and(|p| Some(p.id) == act::asking(app, firm)) {
        return found;
    }
    Err(Failure::new(Exit::Failed, format!("a token that acts as {} is theirs alone to make", typed.0))
        .fault(Fault::Denied)
        .next("Ask them; or the service's own user makes it, who acts as nobody."))
}

async fn add(app: &App, name: String, person: &PersonArg, expires: Option<Date>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let person = whose(app, &firm, person)?;
    if person.shut() {
        return Err(Failure::new(Exit::Failed, format!("{} is disabled or closed", person.email))
            .next("A token of theirs would be good for nothing."));
    }
    let now = app.now();
    let expires = expires.map(|day| end_of(app, day)).transpose()?;
    if expires.is_some_and(|end| end <= now) {
        return Err(Failure::new(Exit::Usage, "this day is over").next("Name today or a later day."));
    }
    let mut random = [0; 32];
    rand::rng().fill_bytes(&mut random);
    let text = tokens::fresh(&random);
    let token = Token { person: person.id, hash: tokens::hash(&text), made: now, by: app.actor.name.clone(), expires };
    let (key, kept) = (name.clone(), token.clone());
    app.store.run(move |db| db.api_token_add(&key, &kept)).await?;
    let json = json!({
        "schema": "ledgerward/token/1", "name": name, "person": person.email, "token": text, "expires": token.expires,
    });
    let report = Report::new(Exit::Done, json, format!("{text}\n"));
    Ok(report.note(format!("It acts as {}. It is shown this once; only its hash is kept.", person.email)))
}

/// The end of a day in the firm's zone.
fn end_of(app: &App, day: Date) -> Result<Timestamp, Failure> {
    let wrong = |_| Failure::new(Exit::Usage, format!("{day} is out of the calendar"));
    let next = day.tomorrow().and_then(|d| d.to_zoned(app.config.firm.timezone.clone())).map_err(wrong)?;
    Ok(next.timestamp())
}

/// Whose a token is, where the person is still there.
fn owner<'f>(firm: &'f Firm, token: &Token) -> Option<&'f Person> {
    firm.people.get(&token.person)
}

async fn list(app: &App) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let everybody = may_publish(app).await.is_ok();
    let own = act::asking(app, &firm);
    let all = app.store.run(|db| db.api_tokens()).await?;
    let now = app.now();
    let (mut text, mut values) = (String::new(), Vec::<Value>::new());
    for (name, token) in all.iter().filter(|(_, t)| everybody || Some(t.person) == own) {
        let person = owner(&firm, token).map_or_else(|| "nobody any more".to_owned(), |p| p.email.to_string());
        let shut = owner(&firm, token).is_none_or(Person::shut);
        let zone = &app.config.firm.timezone;
        let until = match token.expires {
            _ if shut => "ended: its person is disabled or closed".to_owned(),
            None => "for good".to_owned(),
            Some(end) if token.ended(now) => format!("ended {}", firm.zone.end(end)),
            Some(end) => format!("until {}", firm.zone.end(end)),
        };
        let _ = writeln!(text, "{name}  acts as {person}  {until}  made {} by {}", time(token.made, zone), token.by);
        values.push(json!({
            "name": name, "person": person, "made": token.made, "by": token.by, "expires": token.expires,
            "ended": shut || token.ended(now),
        }));
    }
    if values.is_empty() {
        text.push_str("There is no token.\n");
    }
    Ok(Report::new(Exit::Done, json!({"schema": "ledgerward/tokens/1", "tokens": values}), text))
}

async fn revoke(app: &App, name: String) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let missing = || {
        Failure::new(Exit::Failed, format!("there is no token \"{name}\""))
            .fault(Fault::Missing)
            .next("See: ledgerward api token list")
    };
    let all = app.store.run(|db| db.api_tokens()).await?;
    let token = all.get(&name).ok_or_else(missing)?;
    // Somebody else's is not there for who is no owner. To end one is always narrower, the primary owner's included.
    if act::asking(app, &firm) != Some(token.person) && may_publish(app).await.is_err() {
        return Err(missing());
    }
    let (key, now) = (name.clone(), app.now());
    if !app.store.run(move |db| db.api_token_revoke(&key, now)).await? {
        return Err(missing());
    }
    let json = json!({"schema": "ledgerward/token-revoked/1", "name": name});
    Ok(Report::new(Exit::Done, json, format!("{name} is good for nothing any more.\n")))
}

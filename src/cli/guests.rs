//! `guests`: time-boxed extra access to a client, never wider than the ledger grants (`product` 4). Break-glass is the one
//! exception: another person must publish it, and it ends within a day.

use jiff::{SignedDuration, tz::TimeZone};
use ledgerward_contract::{ClientId, Timestamp};
use serde_json::json;

use super::{
    access::Sight,
    act,
    args::{GuestsAct, PersonArg, UntilArg},
    outcome::{Exit, Failure, Report},
    select::vendor,
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp},
        explain::{self, because_words},
        facts::Facts,
        firm::{Client, Firm, Guest, Person, PersonId, TargetName, Unlisted},
        office::Permission,
        policy::{Answer, Decider},
    },
    memory,
    render::table::table,
};

pub async fn run(app: &App, act: Option<GuestsAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let find = |typed: &PersonArg| act::person_for(app, &firm, &typed.0, &[Permission::Guests]);
    match act {
        None | Some(GuestsAct::List) => list(app, &firm).await,
        Some(GuestsAct::Add { person, client, until, reason, break_glass }) => {
            let (person, client) = (find(&person)?, act::client(app, &firm, &client.0)?);
            let until = end(until, &app.config.firm.timezone, app.now())?;
            let guest = Guest { person: person.id, client: client.id, until, reason, break_glass };
            if break_glass {
                // It waits for somebody who publishes it, whatever four eyes are set to: that is its second person.
                let reason = guest.reason.clone();
                return act::act_and_tell(
                    app,
                    vec![ChangeOp::AddGuest { guest, second: None, extends: false }],
                    &reason,
                )
                .await;
            }
            let add = ChangeOp::AddGuest { guest, second: None, extends: false };
            // Before it is told what the ledger grants them.
            act::allowed(app, &firm, &add)?;
            let note = within_the_ledger(app, &firm, person, client).await?;
            let mut report = act::act_and_tell(app, vec![add], "guest").await?;
            report.notes.extend(note);
            Ok(report)
        }
        Some(GuestsAct::Extend { person, client, until, reason }) => {
            let (person, client) = (find(&person)?, act::client(app, &firm, &client.0)?);
            // Before it is told whether they are one.
            act::allowed(app, &firm, &ChangeOp::EndGuest { person: person.id, client: client.id })?;
            let old = of(&firm, person, client)?;
            // Only where there is no other beside it.
            if old.break_glass {
                return Err(Failure::new(Exit::Failed, "break-glass access is not extended").next(
                    "If it is still needed, two people must ask for it again: ledgerward guests add … --break-glass",
                ));
            }
            let until = end(until, &app.config.firm.timezone, app.now())?;
            let guest = Guest { until, reason: reason.unwrap_or_else(|| old.reason.clone()), ..old.clone() };
            let report =
                act::act_and_tell(app, vec![ChangeOp::AddGuest { guest, second: None, extends: true }], "guest")
                    .await?;
            Ok(report.note(
                "A target that ends access by itself (see `ledgerward connectors`) learns the new end in the next sync: the person is \
                 taken out there and let in again until then.",
            ))
        }
        Some(GuestsAct::End { person, client }) => {
            let (person, client) = (find(&person)?, act::client(app, &firm, &client.0)?);
            let op = ChangeOp::EndGuest { person: person.id, client: client.id };
            act::act_and_tell(app, vec![op], "guest").await
        }
    }
}

/// A guest's own access before break-glass.
fn of<'f>(firm: &'f Firm, person: &Person, client: &Client) -> Result<&'f Guest, Failure> {
    let all = firm.guests.iter().filter(|g| (g.person, g.client) == (person.id, client.id));
    all.min_by_key(|g| g.break_glass).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{} is no guest of {}", person.email, client.slug))
            .next("See: ledgerward guests list")
    })
}

/// A day means its end in the firm's zone.
fn end(until: UntilArg, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |_| Failure::new(Exit::Usage, "this end is out of the calendar");
    match until {
        UntilArg::Day(day) => Ok(day.tomorrow().and_then(|d| d.to_zoned(zone.clone())).map_err(wrong)?.timestamp()),
        // A whole second: nobody typed a fraction of one.
        UntilArg::Hours(hours) => Timestamp::from_second(now.as_second())
            .and_then(|now| now.checked_add(SignedDuration::from_hours(hours)))
            .map_err(wrong),
    }
}

/// Never wider than the ledger grants: a guest whom the ledger denies is refused, with the ledger that must grant it first.
async fn within_the_ledger(
    app: &App,
    firm: &Firm,
    person: &Person,
    client: &Client,
) -> Result<Option<String>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let denied = |why: &str| {
        Failure::new(
            Exit::Failed,
            format!("{} needs {} access to {} first{why}", person.email, vendor(app, client), client.slug),
        )
        .next("Give it there and run ledgerward pull. A guest never sees more than the ledger grants.")
    };
    match explain::ledger_grants(&decider, person.id, client.id) {
        Some(Answer::No) => Err(denied("")),
        Some(Answer::Held) => {
            Ok(Some("What the ledger says is unknown now; until it is known this gives nothing new.".to_owned()))
        }
        None if client.unlisted.unwrap_or(firm.policy.unlisted) == Unlisted::Deny => {
            Err(denied("; its ledger lists nobody, and such clients are denied"))
        }
        _ if sees_anyway(app, firm, &facts, &targets, (person.id, client.id)) => {
            Ok(Some(format!("{} sees {} already, and goes on after the guest access ends.", person.email, client.slug)))
        }
        _ => Ok(None),
    }
}

/// Whether somebody sees a client without being a guest of it.
fn sees_anyway(app: &App, firm: &Firm, facts: &Facts, targets: &[TargetName], pair: (PersonId, ClientId)) -> bool {
    let mut firm = firm.clone();
    firm.guests.retain(|g| (g.person, g.client) != pair);
    Decider::new(&firm, facts, targets, app.now()).judge(pair.0, pair.1).answer == Answer::Yes
}

async fn list(app: &App, firm: &Firm) -> Result<Report, Failure> {
    let sight = Sight::of(app, firm)?;
    let asking = act::asking(app, firm);
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(firm, &facts, &targets, app.now());
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    let read = |g: &Guest| {
        let client = firm.clients.get(&g.client);
        asking.zip(client).is_some_and(|(own, c)| change::may_touch(firm, own, Permission::ReadAll, c))
    };
    let mut guests: Vec<&Guest> = firm.guests.iter().filter(|g| sight.sees(g.person) || read(g)).collect();
    guests.sort_by_key(|g| (g.until, g.person, g.client));
    for guest in guests {
        let (Some(person), Some(client)) = (firm.people.get(&guest.person), firm.clients.get(&guest.client)) else {
            continue;
        };
        if client.private_to.is_some() && client.private_to != asking {
            continue;
        }
        let judged = decider.judge(person.id, client.id);
        let why = decider.ix(person.id).map_or_else(String::new, |ix| because_words(&decider, ix, judged.because));
        let state = match (guest.until <= app.now(), judged.answer) {
            (true, _) => "over",
            (_, Answer::Yes) => "sees",
            (_, Answer::No) => "gives_nothing",
            (_, Answer::Held) => "unknown",
        };
        rows.push([
            person.email.to_string(),
            client.slug.clone(),
            firm.zone.end(guest.until),
            if guest.break_glass { format!("BREAK-GLASS {}", guest.reason) } else { guest.reason.clone() },
            format!("{}: {why}", state.replace('_', " ")),
        ]);
        values.push(json!({
            "person": {"id": person.id, "email": person.email}, "client": {"id": client.id, "slug": client.slug},
            "until": guest.until, "reason": guest.reason, "break_glass": guest.break_glass, "state": state, "because": why,
        }));
    }
    let text = if rows.is_empty() {
        "Nobody is a guest.\n".to_owned()
    } else {
        table(["person", "client", "until", "reason", "state"], rows)
    };
    Ok(Report::new(Exit::Done, json!({"schema": "ledgerward/guests/1", "guests": values}), text))
}

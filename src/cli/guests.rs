//! `guests`: extra access with an end, and break-glass, which needs two people.

use serde_json::{Value, json};

use super::{
    act::{self, act_and_tell},
    args::{GuestsAct, until},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::{
        change::ChangeOp,
        firm::{Firm, Guest},
    },
    render::{plan::time, table::table},
};

pub async fn run(app: &App, act: Option<GuestsAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let (op, reason) = match act {
        None | Some(GuestsAct::List) => return Ok(list(app, &firm)),
        Some(GuestsAct::Add { person, client, until: end, reason, break_glass }) => {
            let end = until(&end, app.now()).ok_or_else(|| {
                Failure::new(Exit::Usage, format!("\"{end}\" is no time and no length of time"))
                    .next("Say it like: 2026-12-24T18:00:00Z, or \"8 hours\"")
            })?;
            let guest = Guest {
                person: act::person(app, &firm, &person.0)?.id,
                client: act::client(app, &firm, &client.0)?.id,
                until: end,
                reason: reason.clone(),
                break_glass,
            };
            (ChangeOp::AddGuest { guest, second: None }, reason)
        }
        Some(GuestsAct::End { person, client }) => {
            let person = act::person(app, &firm, &person.0)?.id;
            (ChangeOp::EndGuest { person, client: act::client(app, &firm, &client.0)?.id }, "guests end".to_owned())
        }
    };
    act_and_tell(app, vec![op], &reason).await
}

/// Everybody's for those who see the firm, else one's own.
fn list(app: &App, firm: &Firm) -> Report {
    let (all, own) = (act::sees_all(app, firm), act::asking(app, firm));
    let email = |g: &Guest| firm.people.get(&g.person).map_or_else(|| "?".to_owned(), |p| p.email.to_string());
    let seen: Vec<&Guest> =
        firm.guests.iter().filter(|g| g.until > app.now() && (all || Some(g.person) == own)).collect();
    let kind = |g: &Guest| if g.break_glass { "BREAK-GLASS" } else { "guest" };
    let rows = seen.iter().map(|g| {
        let until = time(g.until, &app.config.firm.timezone);
        [email(g), act::slug(firm, g.client), kind(g).to_owned(), until, g.reason.clone()]
    });
    let text = table(["person", "client", "kind", "until", "reason"], rows);
    let values: Vec<Value> = seen
        .iter()
        .map(|g| json!({"person": email(g), "client": act::slug(firm, g.client), "until": g.until, "reason": g.reason, "break_glass": g.break_glass}))
        .collect();
    Report::new(Exit::Done, json!({"schema": "ledgerward/guests/1", "guests": values}), text)
}

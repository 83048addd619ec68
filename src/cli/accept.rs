//! `clients accept`: proposed clients become real, and who gains what is said.

use serde_json::json;

use super::{
    act,
    args::ClientArg,
    cycle::{acting, refused},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::{App, with_settings},
    domain::{
        change::{self, ChangeOp},
        firm::{Client, ClientState, Firm, Person, PersonId, TargetName},
        office::Permission,
        policy::{Answer, Decider},
    },
    memory,
    render::plan::count,
};

/// What one client's acceptance gives.
struct Gain<'f> {
    client: &'f Client,
    who: Vec<PersonId>,
    held: usize,
}

/// Makes proposed clients real. What people gain by it still passes the grant guard.
pub async fn run(app: &App, firm: &Firm, typed: &[ClientArg], all: bool) -> Result<Report, Failure> {
    let chosen: Vec<&Client> = if all {
        let own = act::asking(app, firm);
        own.map_or(Ok(()), |p| change::holds(firm, p, Permission::Clients)).map_err(refused)?;
        // All that is theirs to accept: who is limited to a group hears nothing of the others.
        let theirs = |c: &Client| own.is_none_or(|p| change::may_touch(firm, p, Permission::Clients, c));
        let proposed = |c: &&Client| c.state == ClientState::Proposed && c.private_to.is_none() && theirs(c);
        firm.clients.values().filter(proposed).collect()
    } else {
        act::clients(app, firm, typed)?
    };
    if let Some(old) = chosen.iter().find(|c| matches!(c.state, ClientState::Archived | ClientState::Closed)) {
        return Err(Failure::new(Exit::Failed, format!("{} was accepted once and is archived or closed", old.slug))
            .next(format!("To open it again: ledgerward clients reopen {}. Nothing was changed.", old.slug)));
    }
    let ops: Vec<ChangeOp> =
        chosen.iter().map(|c| ChangeOp::SetClientState { client: c.id, state: ClientState::Active }).collect();
    let gains = gains(app, firm, &chosen, &ops).await?;
    let acted = act::act(app, ops, "clients accept").await?;
    let mut text = String::new();
    let mut rows = Vec::new();
    for (gain, effect) in gains.iter().zip(&acted.effects) {
        let words = if effect.changed { gain_words(app, firm, gain) } else { "was accepted already".to_owned() };
        text.push_str(&format!("{}: {words}\n", gain.client.slug));
        rows.push(json!({
            "client": gain.client.slug,
            "id": gain.client.id,
            "changed": effect.changed,
            "gain": named(app, firm, gain).iter().map(|p| p.email.to_string()).collect::<Vec<_>>(),
            "unknown": gain.held,
        }));
    }
    if chosen.is_empty() {
        text.push_str("No client is proposed.\n");
    }
    let changed = acted.effects.iter().any(|e| e.changed);
    let json = json!({"schema": "ledgerward/accept/1", "clients": rows, "staged": acted.staged});
    Ok(act::with_next(Report::new(Exit::Done, json, text), changed, &acted.staged))
}

async fn gains<'f>(
    app: &App,
    firm: &'f Firm,
    chosen: &[&'f Client],
    ops: &[ChangeOp],
) -> Result<Vec<Gain<'f>>, Failure> {
    let facts = memory::recall_all(app, firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let by = change::By { actor: acting(app, firm)?, at: app.now() };
    let (after, _) = change::apply_all(firm, ops, by).map_err(|(_, r)| refused(r))?;
    let after = with_settings(after, &app.config);
    let now = Decider::new(firm, &facts, &targets, app.now());
    let then = Decider::new(&after, &facts, &targets, app.now());
    Ok(chosen
        .iter()
        .map(|client| {
            let mut gain = Gain { client, who: Vec::new(), held: 0 };
            for id in firm.people.keys() {
                let was = now.judge(*id, client.id).answer;
                match then.judge(*id, client.id).answer {
                    Answer::Yes if was != Answer::Yes => gain.who.push(*id),
                    Answer::Held => gain.held += 1,
                    _ => {}
                }
            }
            gain
        })
        .collect())
}

/// Names shown of those who gain a client; the rest is a number.
const NAMES_SHOWN: usize = 5;

/// Those who gain it whom the asker may see beside this client; the others are in the number.
fn named<'f>(app: &App, firm: &'f Firm, gain: &Gain<'_>) -> Vec<&'f Person> {
    let asking = act::asking(app, firm);
    let reads = asking.is_none_or(|own| change::may_touch(firm, own, Permission::ReadAll, gain.client));
    gain.who.iter().filter(|p| reads || asking == Some(**p)).filter_map(|p| firm.people.get(p)).collect()
}

fn gain_words(app: &App, firm: &Firm, gain: &Gain<'_>) -> String {
    let names: Vec<String> = named(app, firm, gain).iter().take(NAMES_SHOWN).map(|p| p.full_name()).collect();
    let held = match gain.held {
        0 => String::new(),
        n => format!("; {} unknown until its ledger can be read", count(n, "person").replace("persons", "people")),
    };
    let more = match gain.who.len().saturating_sub(names.len()) {
        n if names.is_empty() || n == 0 => String::new(),
        n => format!(" and {n} more"),
    };
    let whom = if names.is_empty() { String::new() } else { format!(": {}{more}", names.join(", ")) };
    match gain.who.len() {
        0 => format!("accepted; nobody gains it{held}"),
        1 => format!("accepted; 1 person gains it{whom}{held}"),
        n => format!("accepted; {n} people gain it{whom}{held}"),
    }
}

//! `why` and `why-not`: the reason of one answer, and the smallest change that would alter it (`product` 8).

use std::fmt::Write as _;

use ledgerward_contract::{ClientId, FolderKey, Timestamp};
use serde_json::json;

use super::{
    access::{Filter, target_words},
    accounts,
    args::{ClientArg, PersonArg},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::{
        explain::{self, Explanation, SelectionState},
        fact::Why,
        firm::{ClientState, PersonId},
        policy::{Answer, Decider},
    },
    memory,
    render::plan::time,
};

pub async fn run(app: &App, person: &PersonArg, client: &ClientArg, asked_why_not: bool) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let filter = Filter::new(app, &firm, Some(person), Some(client)).await?;
    let (Some(person), Some(client)) = (filter.person, filter.client) else {
        return Err(Failure::new(Exit::Failed, "there is no such person or client"));
    };
    if !firm.clients.get(&client).is_some_and(|c| filter.reads(c)) {
        filter.sight.check(person)?;
    }
    let facts = memory::recall_all(app, &firm).await?;
    let targets = app.folder_targets();
    let decider = Decider::new(&firm, &facts, &targets, app.now());
    let explained = explain::why(&decider, person, client).ok_or_else(|| {
        Failure::new(Exit::Failed, "there is no such person or client")
            .next("See: ledgerward people, ledgerward clients")
    })?;
    let key = FolderKey { client, account: None };
    let of = firm.clone();
    let (owned, off, addresses) =
        app.store.run(move |db| Ok((db.owned()?, db.off_by_hand()?, db.addresses_at(&of, Timestamp::MAX)?))).await?;
    // Whatever address they had when they were let in.
    let holders = addresses.everywhere(owned.keys().map(|lane| &lane.target));
    let names = accounts::names(app, &firm, owned.keys().map(|lane| &lane.folder)).await?;
    let there: Vec<String> = owned
        .iter()
        .filter(|(lane, _)| lane.folder.client == key.client)
        .flat_map(|(lane, rows)| rows.iter().map(move |o| (lane, o)))
        .filter(|(lane, o)| holders.get(&lane.target).and_then(|of| of.get(&o.grant.who)) == Some(&person))
        .map(|(lane, o)| {
            let how = if o.invited_since.is_some() { "invited as" } else { "granted as" };
            let account =
                lane.folder.account.as_ref().map(|a| names.get(&lane.folder).map_or(a.as_str(), String::as_str));
            let account = account.map_or_else(String::new, |a| format!(" (account {a})"));
            if off.get(lane).is_some_and(|off| off.contains(&o.grant.who)) {
                return format!("removed by hand on {}{account}, and put back only if somebody says so", lane.target);
            }
            format!(
                "{how} {} on {}{account} since {}",
                o.grant.role,
                lane.target,
                time(o.since, &app.config.firm.timezone)
            )
        })
        .collect();
    let json = json!({
        "schema": "ledgerward/why/1",
        "person": person, "client": client,
        "verdict": explained.verdict,
        "text": explained.text,
        "role": explained.role.map_or_else(|| "none".to_owned(), |r| r.to_string()),
        "mode": explained.mode,
        "selection": explained.selection,
        "sources": explained.sources.iter().map(|s| json!({
            "source": s.source, "name": s.name, "grade": s.grade, "fact": s.fact, "why": s.why, "role": s.role,
            "since": s.since.map_or_else(|| "unknown".to_owned(), |t| t.to_string()), "text": s.text, "decides": s.decides,
        })).collect::<Vec<_>>(),
        "applied": there,
        "would_change": explained.would_change,
        "targets": target_words(app),
    });
    let mut report = Report::new(Exit::Done, json, text(app, &explained, &there));
    for note in folders(&decider, (person, client), &explained) {
        report = report.note(note);
    }
    let other = match (asked_why_not, explained.verdict) {
        (true, Answer::Yes) => Some("You asked why not; in fact the answer is yes."),
        (false, Answer::No) => Some("You asked why; in fact the answer is no."),
        _ => None,
    };
    if let Some(other) = other {
        report = report.note(other);
    }
    Ok(report)
}

/// Where the answer is yes and a folder is not: there is none, or who stands for the person there is in doubt.
fn folders(d: &Decider<'_>, (person, client): (PersonId, ClientId), explained: &Explanation) -> Vec<String> {
    let (Some(ix), Some(what)) = (d.ix(person), d.firm().clients.get(&client)) else { return vec![] };
    if explained.verdict != Answer::Yes || what.state != ClientState::Active {
        return vec![];
    }
    let (mut any, mut notes) = (false, Vec::new());
    for (lane, _) in d.lanes().filter(|(l, _)| l.lane.folder.client == client) {
        any = true;
        if let Some((_, because)) = lane.held.iter().find(|(p, _)| *p == ix) {
            let words = explain::because_words(d, ix, *because);
            notes.push(format!("Held on {}, where nothing is given until it is settled: {words}.", lane.lane.target));
        }
    }
    if !any {
        let all = format!("ledgerward clients targets {} --all", what.slug);
        notes.push(format!("{} has no folder on any target, so nothing can be opened. To make them: {all}", what.name));
    }
    notes
}

fn text(app: &App, explained: &Explanation, there: &[String]) -> String {
    let zone = &app.config.firm.timezone;
    let mut out = format!("{}.\n", explained.text);
    if let Some(role) = explained.role {
        let _ = writeln!(out, "  role       {role}");
    }
    let _ = writeln!(out, "  mode       {}", explained.mode.slug());
    let selection = match &explained.selection {
        SelectionState::None => "not selected".to_owned(),
        SelectionState::Whole => "selected".to_owned(),
        SelectionState::Accounts(n) => format!("selected for {}", crate::render::plan::count(*n, "account")),
        SelectionState::Pending => "a wish, until the ledger grants it".to_owned(),
        SelectionState::Dormant => "selected, and asleep: the ledger took it away".to_owned(),
    };
    let _ = writeln!(out, "  selection  {selection}");
    for source in &explained.sources {
        let role = if source.role.is_empty() { String::new() } else { format!(", role {}", source.role) };
        let since = source.since.map_or_else(String::new, |t| format!(", since {}", time(t, zone)));
        let decides = if source.decides { "" } else { " (does not decide)" };
        // What lists nobody is of no grade.
        let grade = if source.why == Why::Unlisted { String::new() } else { format!(", grade {:?}", source.grade) };
        let _ = writeln!(out, "  source     {}{role}{since}{grade}{decides}", source.text);
    }
    for line in there {
        let _ = writeln!(out, "  folder     {line}");
    }
    if there.is_empty() {
        out.push_str("  folder     nothing granted by ledgerward\n");
    }
    for target in target_words(app) {
        if let Some(audience) = target.audience {
            let _ = writeln!(
                out,
                "  {:<9}  sharing is off; who can read it, in the firm's own words: {audience}",
                target.name.0
            );
        }
    }
    if !explained.would_change.is_empty() {
        let any = if explained.would_change.len() > 1 { " (any one of these)" } else { "" };
        let _ = writeln!(out, "What would change it{any}:");
        for change in &explained.would_change {
            let _ = writeln!(out, "  {change}");
        }
    }
    out
}

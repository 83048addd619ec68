//! `access --at`: the three clocks side by side (`decisions` 28). What the ledger said of that time as we know it now,
//! what we knew then, and what was applied then. A day means its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::civil::Date;
use ledgerward_contract::{ClientId, FolderKey, SourceRef, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::{ClientWords, Filter, PersonWords, Sight, target_words};
use crate::{
    app::App,
    cli::{
        accounts,
        args::{AtArg, ClockArg, TableFormat},
        outcome::{Exit, Failure, Report},
    },
    domain::firm::{ClientState, Firm, PersonId, TargetName},
    render::access as print,
    store::{Addresses, AppliedRow, FactValue, SeenFact},
};

/// One folder that held the person by our doing.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    pub target: TargetName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub role: ledgerward_contract::FolderRole,
    pub since: Timestamp,
    /// The invitation waited then and waits still: they never got in by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited: Option<Timestamp>,
}

/// One person and one client then. A fact is `granted`, `denied` or `unknown`, one for each of the client's sources.
#[derive(Clone, Debug, Serialize)]
pub struct PastRow {
    pub client: ClientWords,
    pub person: PersonWords,
    pub ledger: BTreeMap<String, FactValue>,
    pub known: BTreeMap<String, FactValue>,
    pub applied: Vec<Applied>,
}

impl PastRow {
    fn says(&self, value: FactValue) -> bool {
        self.ledger.values().chain(self.known.values()).any(|v| *v == value)
    }
}

/// The time itself, and how it is said.
fn time_of(app: &App, at: AtArg) -> Result<(Timestamp, String), Failure> {
    match at {
        AtArg::Day(day) => Ok((end_of(app, day)?, format!("the end of {day}"))),
        AtArg::Instant(at) if at > app.now() => {
            Err(Failure::new(Exit::Usage, format!("{at} has not come yet")).next("Ask about now or an earlier time."))
        }
        AtArg::Instant(at) => {
            let zone = app.config.firm.timezone.clone();
            Ok((at, at.to_zoned(zone).strftime("%-d %b %Y %H:%M:%S%.f").to_string()))
        }
    }
}

/// The last microsecond of a day in the firm's zone, but never later than now.
fn end_of(app: &App, day: Date) -> Result<Timestamp, Failure> {
    let zone = app.config.firm.timezone.clone();
    let today = app.now().to_zoned(zone.clone()).date();
    if day > today {
        return Err(
            Failure::new(Exit::Usage, format!("{day} has not come yet")).next("Ask about today or an earlier day.")
        );
    }
    let wrong = |_| Failure::new(Exit::Usage, format!("{day} is out of the calendar"));
    let next = day.tomorrow().and_then(|d| d.to_zoned(zone)).map_err(wrong)?.timestamp();
    let end = next.checked_sub(jiff::SignedDuration::from_micros(1)).map_err(wrong)?;
    Ok(end.min(app.now()))
}

/// `at`: the time, and the one clock that is asked for; without one, all three.
pub async fn run(
    app: &App,
    firm: &Firm,
    filter: &Filter,
    (at, clock): (AtArg, Option<ClockArg>),
    format: TableFormat,
) -> Result<Report, Failure> {
    let ((end, words), now) = (time_of(app, at)?, app.now());
    let of = firm.clone();
    let (truth, known, applied, addresses) = app
        .store
        .run(move |db| {
            let facts = (db.facts_at(end, now)?, db.facts_at(end, end)?);
            Ok((facts.0, facts.1, db.applied_at(end)?, db.addresses_at(&of, end)?))
        })
        .await?;
    let names = accounts::names(app, firm, applied.iter().map(|one| &one.lane.folder)).await?;
    let mut rows = rows(firm, filter, (&truth, &known), (&applied, &names), &addresses);
    let (named, others) = named(app, firm, filter).await?;
    if let Some(named) = named {
        rows.retain(|row| named.contains(&row.client.id));
    }
    if let Some(clock) = clock {
        rows.retain_mut(|row| alone(row, clock));
    }
    let targets = target_words(app);
    let mut json = json!({
        "schema": "ledgerward/access-at/1", "end": end, "rows": rows, "targets": targets, "others": others,
        "names_of": "today", "clock": clock_slug(clock),
    });
    if let (AtArg::Day(day), Some(map)) = (at, json.as_object_mut()) {
        map.insert("day".to_owned(), json!(day));
    }
    let text = match format {
        TableFormat::Text => {
            let mut text = print::past(&rows, &targets, clock, (others, filter.own_only()));
            let _ = writeln!(
                text,
                "At {words}. Names, and which ledger belongs to which client, are those of today. \"Ledger\" is what \
                 we know now of that time; \"known\" is what we knew then; \"applied\" is what we had granted.",
            );
            text
        }
        TableFormat::Csv => print::past_csv(&rows, clock)?,
        TableFormat::Json => format!("{json}\n"),
    };
    Ok(Report::new(Exit::Done, json, text).exact(!matches!(format, TableFormat::Text)))
}

/// The clients that today's `access` names to whoever asks, and how many others it counts; `None`: all of them. The past
/// must not tell a person which other clients the firm has.
async fn named(app: &App, firm: &Firm, filter: &Filter) -> Result<(Option<BTreeSet<String>>, usize), Failure> {
    if filter.sight == Sight::Everything {
        return Ok((None, 0));
    }
    let today = super::now(app, firm, filter).await?;
    let read =
        firm.clients.values().filter(|c| c.state != ClientState::Proposed && filter.reads(c) && filter.client(c));
    let read = read.map(|c| c.id.to_string());
    // One that was asked for by its name is known to whoever asked, or there had been no answer.
    let asked = filter.client.map(|id| id.to_string());
    let shown = today.rows.into_iter().map(|r| r.client.id).chain(today.private.into_iter().map(|c| c.id));
    Ok((Some(shown.chain(read).chain(asked).collect()), today.others))
}

const fn clock_slug(clock: Option<ClockArg>) -> &'static str {
    match clock {
        None => "all",
        Some(ClockArg::Ledger) => "ledger",
        Some(ClockArg::Known) => "known",
        Some(ClockArg::Applied) => "applied",
    }
}

/// Leaves one clock in a row. False if there is nothing on it.
fn alone(row: &mut PastRow, clock: ClockArg) -> bool {
    if clock != ClockArg::Ledger {
        row.ledger.clear();
    }
    if clock != ClockArg::Known {
        row.known.clear();
    }
    if clock != ClockArg::Applied {
        row.applied.clear();
    }
    !(row.ledger.is_empty() && row.known.is_empty() && row.applied.is_empty())
}

type Pair = (ClientId, Result<PersonId, String>);

fn rows(
    firm: &Firm,
    filter: &Filter,
    (truth, known): (&[SeenFact], &[SeenFact]),
    (applied, names): (&[AppliedRow], &BTreeMap<FolderKey, String>),
    addresses: &Addresses,
) -> Vec<PastRow> {
    let mut bound: BTreeMap<&SourceRef, Vec<ClientId>> = BTreeMap::new();
    for client in firm.clients.values() {
        for source in &client.sources {
            bound.entry(source).or_default().push(client.id);
        }
    }
    let mut all: BTreeMap<Pair, PastRow> = BTreeMap::new();
    for (facts, then) in [(truth, false), (known, true)] {
        for fact in facts {
            // Facts about users that nobody is pinned to are stored under the provider's own id.
            let Ok(person) = fact.fact.subject.parse::<uuid::Uuid>() else { continue };
            let source = &fact.fact.source;
            for client in bound.get(source).into_iter().flatten() {
                let Some(row) = row_of(&mut all, firm, filter, (*client, Ok(PersonId(person)))) else { continue };
                let side = if then { &mut row.known } else { &mut row.ledger };
                side.insert(format!("{}:{}", source.connection, source.id), fact.fact.value);
            }
        }
    }
    let holders = addresses.everywhere(applied.iter().map(|one| &one.lane.target));
    for one in applied {
        let person = holders.get(&one.lane.target).and_then(|of| of.get(&one.who));
        let who = person.map_or_else(|| Err(one.who.to_string()), |p| Ok(*p));
        let Some(row) = row_of(&mut all, firm, filter, (one.lane.folder.client, who)) else { continue };
        row.applied.push(Applied {
            target: one.lane.target.clone(),
            account: one.lane.folder.account.as_ref().map(ToString::to_string),
            account_name: names.get(&one.lane.folder).cloned(),
            role: one.role,
            since: one.from,
            invited: one.invited,
        });
    }
    let narrow = filter.person.is_some() || filter.client.is_some();
    let mut rows: Vec<PastRow> = all
        .into_values()
        .filter(|r| narrow || !r.applied.is_empty() || r.says(FactValue::Granted) || r.says(FactValue::Unknown))
        .collect();
    for row in &mut rows {
        // What was not known then is unknown, not absent.
        let (ledger, known) = (row.ledger.clone(), row.known.clone());
        for source in ledger.keys().chain(known.keys()) {
            row.known.entry(source.clone()).or_insert(FactValue::Unknown);
            row.ledger.entry(source.clone()).or_insert(FactValue::Unknown);
        }
    }
    rows.sort_by(|a, b| (&a.client, &a.person).cmp(&(&b.client, &b.person)));
    rows
}

fn row_of<'a>(
    all: &'a mut BTreeMap<Pair, PastRow>,
    firm: &Firm,
    filter: &Filter,
    pair: Pair,
) -> Option<&'a mut PastRow> {
    let (client, who) = &pair;
    let client = firm.clients.get(client).filter(|c| filter.client(c))?;
    let person = who.as_ref().ok().and_then(|id| firm.people.get(id));
    if !filter.pair(client, person.map(|p| p.id)) {
        return None;
    }
    let unknown = || "unknown".to_owned();
    let words = match (person, who) {
        (Some(p), _) => PersonWords { name: p.full_name(), email: p.email.to_string(), id: p.id.0.to_string() },
        (None, Ok(id)) => PersonWords { name: unknown(), email: unknown(), id: id.0.to_string() },
        (None, Err(address)) => PersonWords { name: address.clone(), email: address.clone(), id: unknown() },
    };
    let new = PastRow {
        client: ClientWords::of(client),
        person: words,
        ledger: BTreeMap::new(),
        known: BTreeMap::new(),
        applied: Vec::new(),
    };
    Some(all.entry(pair.clone()).or_insert(new))
}

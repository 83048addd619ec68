//! `gaps`: where ledger and folder disagree, over all targets (`product` 8).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::SeenPermission;
use serde_json::{Value, json};

use super::{
    act,
    args::{ClientArg, TableFormat},
    console::Console,
    cycle::{end, start_for},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    apply,
    domain::{
        facts::Facts,
        finding::Finding,
        firm::{Client, Firm, TargetName},
        gaps::{self, Gap, Line},
        lane::LaneKey,
        policy::Decider,
    },
    drift,
    engine::{self, Ask},
    lanes, memory,
    render::{access::csv, table::table},
};

/// A folder's list as it was read, or why there is none.
type Lists = BTreeMap<LaneKey, Result<Vec<SeenPermission>, String>>;

struct Ground {
    firm: Firm,
    facts: Facts,
    lists: Lists,
    troubles: Vec<String>,
    needs_sign_in: bool,
}

pub async fn run(
    app: &App,
    console: &mut dyn Console,
    client: Option<&ClientArg>,
    offline: bool,
    format: TableFormat,
) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if !act::sees_all(app, &firm) {
        return Err(Failure::new(Exit::Failed, "only owners and admins see where ledgers and folders disagree")
            .next("Your own access: ledgerward access"));
    }
    let only = client.map(|c| act::client(app, &firm, &c.0).map(|c| c.id)).transpose()?;
    let clients = only.map(|c| BTreeSet::from([c]));
    let ask = Ask { clients, offline, fresh: true, every_folder: true, reads_only: true, ..Ask::default() };
    let ground = if offline { remembered(app, firm, &ask).await? } else { fresh(app, &ask, console).await? };
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(&ground.firm, &ground.facts, &targets, app.now());
    let asking = act::asking(app, &ground.firm);
    let seen = |c: &&Client| only.is_none_or(|o| o == c.id) && (c.private_to.is_none() || c.private_to == asking);
    let refused: BTreeMap<String, Finding> = app
        .store
        .run(|db| db.open_findings())
        .await?
        .into_iter()
        .map(|row| row.finding)
        .filter(|f| f.code == apply::STEP)
        .map(|f| (f.subject.clone(), f))
        .collect();
    let mut rows: Vec<(String, String, Line)> = Vec::new();
    let mut troubles = ground.troubles.clone();
    for client in ground.firm.clients.values().filter(seen) {
        rows.extend(
            gaps::responsibility(&decider, client).into_iter().map(|l| (client.slug.clone(), String::new(), l)),
        );
        for (lane, list) in ground.lists.iter().filter(|(l, _)| l.folder.client == client.id) {
            match list {
                Err(why) => troubles.push(format!("{}: the folder of {}: {why}", lane.target, client.slug)),
                Ok(list) => {
                    let (desired, _) = decider.lane(lane);
                    let lines = gaps::of_lane(&decider, &desired, client, list);
                    // To plan it again helps nobody whom the target refuses.
                    let lines =
                        lines.into_iter().map(|l| match refused.get(&apply::subject(lane, &client.slug, &l.who)) {
                            Some(f) if l.gap == Gap::LedgerOnly => {
                                Line { because: format!("{} {}", f.text, f.next), ..l }
                            }
                            _ => l,
                        });
                    rows.extend(lines.map(|l| (client.slug.clone(), gaps::place(lane), l)));
                }
            }
        }
    }
    rows.sort();
    report(&rows, &troubles, ground.needs_sign_in, format)
}

/// Everything is read now, as for a plan, and nothing is written to any target.
async fn fresh(app: &App, ask: &Ask, console: &mut dyn Console) -> Result<Ground, Failure> {
    let world = app.world().await?;
    let run = start_for(app, "gaps", ask).await?;
    let picture = engine::look(app, &world, run, ask, console).await;
    let picture = end(app, run, picture, |p| if p.troubles.is_empty() { Exit::Done } else { Exit::Partly }).await?;
    let mut lists = Lists::new();
    for (lane, known) in picture.book.lanes.iter().filter(|(_, k)| k.folder().is_some()) {
        if picture.book.sharing(&lane.target) == crate::domain::plan::Sharing::Off {
            continue;
        }
        let list = known.entries().map(<[_]>::to_vec).ok_or_else(|| "its list could not be read".to_owned());
        lists.insert(lane.clone(), list);
    }
    Ok(Ground {
        firm: picture.firm,
        facts: picture.facts,
        lists,
        troubles: picture.troubles,
        needs_sign_in: picture.needs_sign_in,
    })
}

/// From the last reading of each folder.
async fn remembered(app: &App, firm: Firm, ask: &Ask) -> Result<Ground, Failure> {
    let facts = memory::recall_all(app, &firm).await?;
    let (rows, owned) = app.store.run(|db| Ok((db.lanes()?, db.owned()?))).await?;
    let left = lanes::left_behind(&owned, |target| app.config.targets.contains_key(target));
    let last = drift::last(app).await?;
    let wanted = |l: &LaneKey| ask.clients.as_ref().is_none_or(|c| c.contains(&l.folder.client));
    let lists_of = |l: &LaneKey| {
        app.config
            .targets
            .get(&l.target)
            .is_some_and(|t| !matches!(t.sharing, crate::config::schema::Sharing::Off { .. }))
    };
    let mut lists = Lists::new();
    for (lane, _) in rows.into_iter().filter(|(l, r)| r.folder.is_some() && wanted(l) && lists_of(l)) {
        let list = last.get(&lanes::lane_text(&lane)).and_then(|s| s.list.clone());
        let list = list.ok_or_else(|| "its list is not remembered; run without --offline".to_owned());
        lists.insert(lane, list);
    }
    let troubles = left.into_iter().filter(|_| ask.clients.is_none()).map(|f| f.text).collect();
    Ok(Ground { firm, facts, lists, troubles, needs_sign_in: false })
}

fn report(
    rows: &[(String, String, Line)],
    troubles: &[String],
    needs_sign_in: bool,
    format: TableFormat,
) -> Result<Report, Failure> {
    const HEAD: [&str; 5] = ["client", "folder on", "who", "gap", "why"];
    let cells = |(client, place, line): &(String, String, Line)| {
        [client.clone(), place.clone(), line.who.clone(), line.gap.words().to_owned(), line.because.clone()]
    };
    let values: Vec<Value> = rows
        .iter()
        .map(|(client, place, l)| {
            json!({"client": client, "target": place, "who": l.who, "gap": l.gap, "because": l.because})
        })
        .collect();
    let json = json!({"schema": "ledgerward/gaps/1", "gaps": values, "troubles": troubles});
    let text = match format {
        TableFormat::Text if rows.is_empty() && troubles.is_empty() => "Ledgers and folders agree.\n".to_owned(),
        TableFormat::Text => table(HEAD, rows.iter().map(cells)),
        TableFormat::Csv => csv(&HEAD, rows.iter().map(|r| cells(r).to_vec()))?,
        TableFormat::Json => format!("{json}\n"),
    };
    let exit = match (troubles.is_empty(), needs_sign_in) {
        (_, true) => Exit::SignIn,
        (true, false) => Exit::Done,
        (false, false) => Exit::Partly,
    };
    let mut report = Report::new(exit, json, text).exact(!matches!(format, TableFormat::Text));
    report.notes.extend(troubles.iter().map(|t| format!("trouble: {t}")));
    Ok(report)
}

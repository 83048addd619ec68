//! Will it fit (`product` 8): each target's limits as its connector states them, what is used of them by the state and by the
//! target's own answer, and when they fill. What is counted here is ours; others may put things beside it, and only the
//! target's own answers (space, the things in the root) know of those.

use std::collections::BTreeMap;

use ledgerward_contract::{Capacity, Counts, Firmness, Probe, SeenRole, Timestamp, Via};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        finding::Finding,
        firm::TargetName,
        forecast::{self, Level, Outlook, Window},
    },
    drift,
    render::plan::amount,
    store::Counted,
    world::{Target, World},
};

/// One limit of one target.
pub struct Line {
    pub target: TargetName,
    pub capacity: Capacity,
    pub outlook: Outlook,
    /// The target itself said what is used; else it is what we put there.
    pub told: bool,
}

impl Line {
    pub fn finding(&self) -> Option<Finding> {
        forecast::finding(&self.target.0, &self.capacity, &self.outlook, amount)
    }
}

/// All limits, with what could not be asked.
#[derive(Default)]
pub struct Forecast {
    pub lines: Vec<Line>,
    pub troubles: Vec<String>,
    /// Targets that answered: only of these the space is known.
    asked: Vec<TargetName>,
}

/// What our own state knows.
struct Ground {
    now: BTreeMap<TargetName, Counted>,
    then: BTreeMap<TargetName, Counted>,
    windows: BTreeMap<TargetName, Window>,
    /// How many people the last reading saw on the folder that most hold.
    holders: BTreeMap<TargetName, u64>,
}

async fn ground(app: &App, now: Timestamp) -> Result<Ground, Failure> {
    let read = move |db: &mut crate::store::Db| {
        let windows: BTreeMap<_, _> = db
            .targets_began()?
            .into_iter()
            .filter_map(|(target, began)| Some((target, forecast::window(Some(began), now)?)))
            .collect();
        let mut then = BTreeMap::new();
        for (target, window) in &windows {
            let counted = db.counted_at(window.from)?.remove(target).unwrap_or_default();
            then.insert(target.clone(), counted);
        }
        Ok((db.counted_at(now)?, then, windows, db.lanes()?))
    };
    let (counted, then, windows, lanes) = app.store.run(read).await?;
    let (seen, mut holders) = (drift::last(app).await?, BTreeMap::new());
    for lane in lanes.keys() {
        let Some(list) = seen.get(&crate::lanes::lane_text(lane)).and_then(|s| s.list.as_ref()) else { continue };
        let people = list.iter().filter(|p| p.via == Via::Direct && p.role != SeenRole::Owner).count() as u64;
        let most: &mut u64 = holders.entry(lane.target.clone()).or_default();
        *most = people.max(*most);
    }
    Ok(Ground { now: counted, then, windows, holders })
}

/// Of all targets, or of one. With `ask` each target is asked for its space; that changes nothing there.
pub async fn of(app: &App, world: &World, only: Option<&TargetName>, ask: bool) -> Result<Forecast, Failure> {
    let now = app.now();
    let ground = ground(app, now).await?;
    let mut all = Forecast::default();
    for target in world.targets.values().filter(|t| only.is_none_or(|o| *o == t.name)) {
        let probe = if ask { probe(target, now).await } else { Ok(None) };
        let probe = probe.unwrap_or_else(|e| {
            all.troubles.push(format!("{}: {e}; its space is not known", target.name));
            None
        });
        if probe.is_some() {
            all.asked.push(target.name.clone());
        }
        let capacities = target.api().map(|api| api.capacities()).unwrap_or_default();
        all.lines.extend(capacities.into_iter().map(|c| line(&ground, target, c, probe.as_ref())));
        all.lines.extend(space(&ground, target, probe.as_ref()));
    }
    Ok(all)
}

async fn probe(target: &Target, now: Timestamp) -> ledgerward_contract::Result<Option<Probe>> {
    let (api, cx) = (target.api()?, target.read(now)?);
    api.probe(&cx).await.map(Some)
}

fn line(ground: &Ground, target: &Target, capacity: Capacity, probe: Option<&Probe>) -> Line {
    let (now, then) = (ground.now.get(&target.name).copied(), ground.then.get(&target.name).copied());
    let (now, then) = (now.unwrap_or_default(), then.unwrap_or_default());
    let window = ground.windows.get(&target.name).copied();
    let level = |of: fn(&Counted) -> u64| Level { now: of(&now), then: of(&then) };
    let mut told = false;
    let outlook = match capacity.counts {
        Counts::Folders => {
            // Others' folders count as well. They are taken to have been there all the time.
            let ours = level(|c| c.folders);
            let others = probe.and_then(|p| p.children).map_or(0, |all| all.saturating_sub(ours.now));
            told = probe.is_some_and(|p| p.children.is_some());
            forecast::outlook(
                capacity.limit,
                Level { now: ours.now.saturating_add(others), then: ours.then.saturating_add(others) },
                window,
            )
        }
        Counts::Items => forecast::outlook(capacity.limit, level(|c| c.items), window),
        Counts::ItemsInFolder => forecast::outlook(capacity.limit, level(|c| c.items_of_fullest), window),
        Counts::HoldersOfFolder => {
            let ours = level(|c| c.holders_of_fullest);
            let seen = ground.holders.get(&target.name).copied().unwrap_or(0);
            let by_hand = seen.saturating_sub(ours.now);
            let level = Level { now: ours.now.saturating_add(by_hand), then: ours.then.saturating_add(by_hand) };
            forecast::outlook(capacity.limit, level, window)
        }
        Counts::FileBytes => forecast::peak(capacity.limit, now.largest_file),
        Counts::Bytes => forecast::outlook(capacity.limit, level(|c| c.bytes), window),
    };
    Line { target: target.name.clone(), capacity, outlook, told }
}

/// The account's space by the target's own answer, filled by what we deliver. `None` where it states no end.
fn space(ground: &Ground, target: &Target, probe: Option<&Probe>) -> Option<Line> {
    let quota = probe?.quota?;
    let limit = quota.limit?;
    let bytes = |of: &BTreeMap<TargetName, Counted>| of.get(&target.name).map_or(0, |c| c.bytes);
    let grown = bytes(&ground.now).saturating_sub(bytes(&ground.then));
    let level = Level { now: quota.used, then: quota.used.saturating_sub(grown) };
    let capacity = Capacity {
        name: "space",
        what: "bytes of the account's space",
        counts: Counts::Bytes,
        firmness: Firmness::Hard,
        limit,
        source: "the target's own answer",
        verified: true,
        next: "Free some space or buy more; a full target takes no statement.",
    };
    let outlook = forecast::outlook(limit, level, ground.windows.get(&target.name).copied());
    Some(Line { target: target.name.clone(), capacity, outlook, told: true })
}

/// Keeps the findings of what was looked at. A target that was not asked keeps what is known of its space.
pub async fn remember(app: &App, run: i64, forecast: &Forecast) -> Result<(), Failure> {
    let mut scopes: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for line in &forecast.lines {
        let kind = if line.capacity.name == "space" { "space" } else { "limits" };
        scopes.entry(format!("forecast/{kind}/{}", line.target)).or_default().extend(line.finding());
    }
    for target in &forecast.asked {
        scopes.entry(format!("forecast/space/{target}")).or_default();
    }
    let now = app.now();
    app.store.run(move |db| db.sync_scopes(run, &scopes, now)).await?;
    Ok(())
}

//! `what-if`: who would gain and lose which folder by a firm file or a bulk select (`product` 8). It asks no provider and
//! changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use ledgerward_contract::{FolderRole, Timestamp};
use serde_json::{Value, json};

use super::{
    access::Sight,
    act,
    args::WhatIfArgs,
    console::Console,
    cycle::{acting, refused},
    firm::checked,
    outcome::{Exit, Failure, Report},
    select,
    veil::Veil,
};
use crate::{
    app::{App, with_settings},
    config::schema::Sharing,
    domain::{
        change::{self, ChangeOp},
        effects::{self, Effect},
        firm::{Firm, TargetName},
        guard::{Check, Hold},
        policy::Decider,
    },
    engine, firm_file, lanes, memory,
    render::plan::{count, short},
};

pub async fn run(app: &App, console: &mut dyn Console, args: WhatIfArgs) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if Sight::of(app, &firm)? != Sight::Everything {
        return Err(Failure::new(Exit::Failed, "what-if is for those who may see everybody's access")
            .next("Ask an owner or administrator of the firm."));
    }
    let facts = memory::recall_all(app, &firm).await?;
    let targets = app.folder_targets();
    let before = Decider::new(&firm, &facts, &targets, app.now());
    let (ops, draft) = ops(app, console, &before, &args)?;
    let by = change::By { actor: acting(app, &firm)?, at: app.now() };
    let (after, _) = change::apply_all(&firm, &ops, by).map_err(|(_, r)| refused(r))?;
    let after = with_settings(after, &app.config);
    let then = Decider::new(&after, &facts, &targets, app.now());
    let effects = effects::effects(&before, &then);
    let held = holds(app, &firm, (&before, &then), &effects, &ops).await?;
    let newcomers = after.people.keys().filter(|id| !firm.people.contains_key(*id)).count();
    let lines = draft.map(|draft| select::lines(app, (&before, &then), draft)).unwrap_or_default();
    let veil = Veil::of(app, &after);
    let mut json = value(&after, &veil, &effects, &held, ops.len());
    if let Some(map) = json.as_object_mut() {
        map.insert("clients".to_owned(), json!(lines));
    }
    let text = select::words(&lines) + &text(app, (&after, &veil), &effects, &held);
    let report = Report::new(Exit::Done, json, text);
    Ok(match newcomers {
        0 => report,
        n => report
            .note(format!("What the ledgers say about {} is known after the next pull only.", count(n, "new person"))),
    }
    .note("Nothing was changed, and no provider was asked."))
}

/// What would change; of a bulk select, the draft that says so client by client as well.
fn ops<'f>(
    app: &App,
    console: &mut dyn Console,
    before: &Decider<'f>,
    args: &WhatIfArgs,
) -> Result<(Vec<ChangeOp>, Option<select::Draft<'f>>), Failure> {
    let firm = before.firm();
    match (&args.file, &args.person) {
        (Some(file), _) => {
            let parsed = checked(app, console, firm, file)?;
            Ok((firm_file::diff(&parsed, firm, args.prune, uuid::Uuid::now_v7), None))
        }
        (None, Some(person)) => {
            let person = act::person(app, firm, &person.0)?;
            let draft = select::draft(app, before, person, &[], &args.bulk)?;
            Ok((draft.ops(), Some(draft)))
        }
        (None, None) => Err(Failure::new(Exit::Usage, "name a file, or a person and what would change")),
    }
}

/// The guards that would stop it, were it published now, on top of what the last 24 hours did.
async fn holds(
    app: &App,
    firm: &Firm,
    (before, after): (&Decider<'_>, &Decider<'_>),
    effects: &[Effect],
    ops: &[ChangeOp],
) -> Result<Vec<Hold>, Failure> {
    let (history, freeze, _) = lanes::guard_ground(app, firm, app.now()).await?;
    let approved: BTreeMap<String, Timestamp> = app.store.run(|db| db.doc_all(lanes::APPROVED)).await?;
    let mirrored = app.config.targets.iter().filter(|(_, t)| matches!(t.sharing, Sharing::Mirror));
    let mirrored: BTreeSet<TargetName> = mirrored.map(|(name, _)| name.clone()).collect();
    let first = mirrored.iter().filter(|t| !approved.contains_key(&t.0)).cloned().collect();
    let (guards, published, notes) = (engine::guards(&app.config.guards), BTreeSet::new(), BTreeMap::new());
    let check = Check {
        guards: &guards,
        history: &history,
        published: &published,
        freeze,
        churned: &BTreeMap::new(),
        notes: &notes,
    };
    Ok(effects::holds(before, after, effects, ops, (&mirrored, &first), &check))
}

fn role(role: Option<FolderRole>) -> String {
    role.map_or_else(|| "none".to_owned(), |r| r.to_string())
}

fn word(effect: &Effect) -> &'static str {
    match (effect.before, effect.after) {
        (None, _) => "gains",
        (_, None) => "loses",
        _ => "role",
    }
}

fn value(after: &Firm, veil: &Veil, effects: &[Effect], held: &[Hold], changes: usize) -> Value {
    let effects: Vec<Value> = effects
        .iter()
        .map(|e| {
            let mut row = json!({
                "change": word(e), "person": {"id": e.person, "email": after.people.get(&e.person).map_or(&e.email, |p| &p.email)},
                "client": {"id": e.lane.folder.client, "slug": veil.slug(after, e.lane.folder.client)},
                "target": e.lane.target, "before": role(e.before), "after": role(e.after), "because": veil.text(&e.lane, &e.because),
            });
            if let (Some(map), Some(account)) = (row.as_object_mut(), &e.lane.folder.account) {
                map.insert("account".to_owned(), json!(account));
            }
            row
        })
        .collect();
    let held: Vec<Value> = held
        .iter()
        .map(|h| {
            let steps: usize = h.lanes.iter().map(|l| l.steps.len()).sum();
            json!({"gate": h.gate, "cause": h.cause, "steps": steps.to_string(), "message": h.message})
        })
        .collect();
    json!({"schema": "ledgerward/what-if/1", "changes": changes.to_string(), "effects": effects, "held": held})
}

fn text(app: &App, (after, veil): (&Firm, &Veil), effects: &[Effect], held: &[Hold]) -> String {
    let mut out = String::new();
    let width = effects.iter().map(|e| veil.slug(after, e.lane.folder.client).len()).max().unwrap_or(0);
    for e in effects {
        let slug = veil.slug(after, e.lane.folder.client);
        let account = e.lane.folder.account.as_ref().map_or_else(String::new, |a| format!(" (account {a})"));
        let managed = match app.config.targets.get(&e.lane.target).map(|t| &t.sharing) {
            Some(Sharing::Off { .. } | Sharing::Report) => ", where ledgerward changes no list",
            _ => "",
        };
        let sign = match word(e) {
            "gains" => "+",
            "loses" => "-",
            _ => "~",
        };
        let how = match (e.before, e.after) {
            (Some(from), Some(to)) => format!("{from} becomes {to}"),
            (from, to) => role(to.or(from)),
        };
        let _ = writeln!(
            out,
            "{sign} {slug:<width$}  {}  {how} on {}{account}{managed}: {}",
            e.email,
            e.lane.target,
            veil.text(&e.lane, &e.because)
        );
    }
    let of = |w: &str| effects.iter().filter(|e| word(e) == w).count();
    if effects.is_empty() {
        out.push_str("Nobody would gain or lose a folder.\n");
    } else {
        let _ = writeln!(out, "{} gained, {} lost, {} changed.", of("gains"), of("loses"), of("role"));
    }
    for hold in held {
        let _ = writeln!(out, "WOULD BE HELD  {}  {}", short(&hold.digest), hold.message);
    }
    out
}

//! `firm export | apply FILE`: people, clients, groups, roles and selections as one file.

use std::{fmt::Write as _, path::Path};

use serde_json::json;

use super::{
    act,
    args::FirmAct,
    console::Console,
    cycle::{acting, refused},
    file,
    outcome::{Exit, Failure, Fault, Report, quoted},
};
use crate::{
    app::{App, with_settings},
    config::render_all,
    domain::{
        change::{self, By, ChangeOp, Effect},
        explain::{self, CanSelect},
        firm::Firm,
        policy::{Answer, Decider},
    },
    firm_file::{self, Names},
    memory,
    render::plan::count,
};

pub async fn run(app: &App, console: &mut dyn Console, act: FirmAct) -> Result<Report, Failure> {
    match act {
        FirmAct::Export => export(app).await,
        FirmAct::Apply { file, prune, dry_run, yes } => {
            apply(app, console, &Wish { file: &file, prune, dry_run, yes }).await
        }
    }
}

async fn export(app: &App) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    if !act::sees_all(app, &firm) {
        return Err(Failure::new(Exit::Failed, "only owners and admins export the whole firm")
            .fault(Fault::Denied)
            .next("Your own clients and access: ledgerward clients list, ledgerward access"));
    }
    let text = firm_file::export(&firm);
    let json = json!({"schema": "ledgerward/firm/1", "file": text});
    Ok(Report::new(Exit::Done, json, text).exact(true))
}

struct Wish<'a> {
    file: &'a Path,
    prune: bool,
    dry_run: bool,
    yes: bool,
}

async fn apply(app: &App, console: &mut dyn Console, wish: &Wish<'_>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let file = checked(app, console, &firm, wish.file)?;
    let ops = firm_file::diff(&file, &firm, wish.prune, uuid::Uuid::now_v7);
    let by = By { actor: acting(app, &firm)?, at: app.now() };
    let (after, effects) = change::apply_all(&firm, &ops, by).map_err(|(_, r)| {
        let mut failure = refused(r);
        failure.message = format!("{}: {}", wish.file.display(), failure.message);
        failure.next = Some(format!("{} Nothing was changed.", failure.next.unwrap_or_default()).trim().to_owned());
        failure
    })?;
    granted(app, &firm, after, &ops, wish.file).await?;
    let unchecked = super::accounts::of_file(app, &ops).await?;
    let changes: Vec<&Effect> = effects.iter().filter(|e| e.changed).collect();
    let mut shown = String::new();
    for effect in &changes {
        let _ = writeln!(shown, "  {}", effect.summary);
    }
    let value = |applied: bool, staged: &[String]| json!({"schema": "ledgerward/firm-apply/1", "changes": changes, "applied": applied, "staged": staged});
    if changes.is_empty() {
        return Ok(Report::new(Exit::Done, value(false, &[]), "The firm is as the file says.\n"));
    }
    let total = count(changes.len(), "change");
    if wish.dry_run {
        return Ok(Report::new(Exit::Done, value(false, &[]), format!("{shown}{total}. Nothing was changed.\n"))
            .note(left_out(wish, &firm, &file)));
    }
    if console.interactive() && !wish.yes {
        console.note(&format!("{shown}{total}."));
        let answer = console.ask("Make these changes? [y/N]").unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(Report::new(Exit::Done, value(false, &[]), "Nothing was changed.\n"));
        }
    }
    let acted = act::act(app, ops, &format!("firm apply {}", wish.file.display())).await?;
    let done = if acted.staged.is_empty() { "done" } else { "staged" };
    let mut report =
        Report::new(Exit::Done, value(acted.staged.is_empty(), &acted.staged), format!("{shown}{total} {done}.\n"));
    report.notes.extend(unchecked);
    Ok(act::with_next(report, true, &acted.staged))
}

/// Errors: the file selects what a ledger denies (`product` 4), as `select` refuses it. A selection that is there already is
/// dormant and stays. Where a ledger was not read yet, as on a new machine, nothing is denied, and nothing given either.
async fn granted(app: &App, before: &Firm, after: Firm, ops: &[ChangeOp], path: &Path) -> Result<(), Failure> {
    let after = with_settings(after, &app.config);
    let facts = memory::recall_all(app, &after).await?;
    let targets: Vec<_> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(&after, &facts, &targets, app.now());
    let greyed = |op: &ChangeOp| {
        let ChangeOp::Select { person, client, when_granted: false, .. } = op else { return None };
        let had = before.selections.get(&(*person, *client)).is_some_and(|s| !s.when_granted);
        if had || explain::ledger_grants(&decider, *person, *client) != Some(Answer::No) {
            return None;
        }
        let CanSelect::Greyed { ledgers } = explain::can_select(&decider, *person, *client) else { return None };
        let email = after.people.get(person).map(|p| p.email.to_string())?;
        Some(format!("{email} needs access to {} in {} first", act::slug(&after, *client), ledgers.join(" and ")))
    };
    let all: Vec<String> = ops.iter().filter_map(greyed).collect();
    let Some(first) = all.first() else { return Ok(()) };
    let more = if all.len() > 1 { format!(", and {} more like it", all.len() - 1) } else { String::new() };
    Err(Failure::new(Exit::Failed, format!("{}: {first}{more}", path.display())).next(
        "Nothing was changed. Give them access there and run ledgerward pull, or keep the wish until then: when_granted = true",
    ))
}

/// The file, read and checked; every problem is told at its line.
pub(super) fn checked(
    app: &App,
    console: &mut dyn Console,
    firm: &Firm,
    path: &Path,
) -> Result<firm_file::FirmFile, Failure> {
    let text = file::text(path, console)?;
    let names = Names {
        connections: app.config.connections.keys().cloned().collect(),
        targets: app.config.targets.keys().cloned().collect(),
    };
    firm_file::parse(&text, firm, &names).map_err(|problems| {
        let shown = path.display().to_string();
        // A line may be as long as the file.
        let told: Vec<String> = render_all(&problems, &shown, &text).lines().map(quoted).collect();
        Failure::new(Exit::Refused, told.join("\n"))
            .fault(Fault::Content)
            .next("Nothing was changed. Put these lines right and run it again.")
    })
}

/// What the file does not name, said before anybody wonders.
fn left_out(wish: &Wish<'_>, firm: &Firm, file: &firm_file::FirmFile) -> String {
    let named = |email: &ledgerward_contract::Email| file.people.iter().any(|p| &p.email == email);
    let people = firm.people.values().filter(|p| p.enabled && !named(&p.email)).count();
    match (people, wish.prune) {
        (0, _) => "To make them: the same command without --dry-run".to_owned(),
        (n, false) => format!(
            "The file does not name {}; they stay as they are. With --prune they would end.",
            count(n, "person")
        ),
        (n, true) => format!("The file does not name {}; with --prune they end.", count(n, "person")),
    }
}

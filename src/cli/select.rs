//! `select PERSON CLIENT…`: choose clients for a person, each answered by its own line; all of it is written, or nothing.

use std::fmt::Write as _;

use ledgerward_contract::ClientId;
use serde::Serialize;
use serde_json::json;

use super::{
    accounts, act,
    args::SelectArgs,
    cycle::{acting, refused},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::{App, with_settings},
    domain::{
        change::{self, ChangeOp},
        explain::{self, CanSelect},
        firm::{Client, ClientState, Firm, Person, SelectionScope, TargetName},
        policy::{Answer, Decider},
    },
    memory,
    render::plan::count,
};

/// What one client's line says (`product` 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Granted,
    AlreadyHasAccess,
    /// Removing: there was nothing selected.
    NoMatchingAccess,
    NeedsAccessInTheLedger,
    Pending,
    /// Selected, and the person still does not see it, for the reason given.
    Selected,
    Removed,
    /// It can never be selected as it is.
    Refused,
    /// It would have been done, and another client of the same command was refused.
    NotDone,
}

impl Word {
    const fn text(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::AlreadyHasAccess => "already has access",
            Self::NoMatchingAccess => "no matching access",
            Self::NeedsAccessInTheLedger => "needs access in the ledger first",
            Self::Pending => "pending",
            Self::Selected => "selected, and gives nothing now",
            Self::Removed => "removed",
            Self::Refused => "refused",
            Self::NotDone => "not done",
        }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    client: String,
    id: ClientId,
    answer: Word,
    because: String,
}

/// What is to be done for one client.
struct Wish<'f> {
    client: &'f Client,
    word: Word,
    because: String,
    op: Option<ChangeOp>,
}

pub async fn run(app: &App, args: SelectArgs) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let person = act::person(app, &firm, &args.person.0)?;
    if args.remove {
        return remove(app, &firm, person, &args).await;
    }
    let facts = memory::recall_all(app, &firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(&firm, &facts, &targets, app.now());
    let mut notes = Vec::new();
    let (wishes, unknown) = if args.all_granted {
        all_granted(&decider, person)
    } else {
        let clients = act::clients(app, &firm, &args.clients)?;
        let scope = scope(app, &clients, &args, &mut notes).await?;
        (clients.into_iter().map(|c| wish(&decider, person, c, &scope, args.when_granted)).collect(), 0)
    };
    let refused_some = wishes.iter().any(|w| w.op.is_none());
    if refused_some {
        return Ok(nothing_done(person, wishes));
    }
    let ops: Vec<ChangeOp> = wishes.iter().filter_map(|w| w.op.clone()).collect();
    let by = change::By { actor: acting(app, &firm)?, at: app.now() };
    let (after, _) = change::apply_all(&firm, &ops, by).map_err(|(_, r)| refused(r))?;
    let after = with_settings(after, &app.config);
    let then = Decider::new(&after, &facts, &targets, app.now());
    let lines: Vec<Line> = wishes.into_iter().map(|w| answer(&decider, &then, person, w)).collect();
    let acted = act::act(app, ops, "select").await?;
    let exit = if unknown > 0 { Exit::Partly } else { Exit::Done };
    let mut report = told(exit, person, &lines, &acted);
    if unknown > 0 {
        report = report.note(format!(
            "{} could not be judged, because what the ledger says about {} is unknown now. Run it again after the next pull.",
            count(unknown, "client"),
            person.email
        ));
    }
    if lines.is_empty() && unknown == 0 && args.all_granted {
        report.text = format!("The ledgers grant {} no client that is not selected already.\n", person.email);
    }
    report.notes.extend(notes);
    if !person.mode.needs_selection() {
        report = report.note(format!(
            "Mode {} does not look at selections; they count from the day the mode does.",
            person.mode.slug()
        ));
    }
    Ok(report)
}

async fn scope(
    app: &App,
    clients: &[&Client],
    args: &SelectArgs,
    notes: &mut Vec<String>,
) -> Result<SelectionScope, Failure> {
    if args.accounts.is_empty() {
        return Ok(SelectionScope::Whole);
    }
    let [client] = clients else {
        return Err(Failure::new(Exit::Usage, "--account goes with one client, because accounts belong to one")
            .next("Run the command once for each client."));
    };
    let chosen = accounts::chosen(app, client, &args.accounts).await?;
    notes.extend(chosen.notes);
    Ok(SelectionScope::Accounts(chosen.accounts))
}

/// What can be done about one client, before anything is.
fn wish<'f>(
    decider: &Decider<'_>,
    person: &Person,
    client: &'f Client,
    scope: &SelectionScope,
    when_granted: bool,
) -> Wish<'f> {
    let op = |when_granted| {
        Some(ChangeOp::Select { person: person.id, client: client.id, scope: scope.clone(), when_granted })
    };
    let no = |word, because| Wish { client, word, because, op: None };
    match explain::can_select(decider, person.id, client.id) {
        CanSelect::Ok => Wish { client, word: Word::Granted, because: String::new(), op: op(false) },
        CanSelect::Never { why } => no(Word::Refused, why),
        CanSelect::Greyed { ledgers } | CanSelect::Pending { ledgers } if when_granted => Wish {
            client,
            word: Word::Pending,
            because: format!("until {} grants it", ledgers.join(" and ")),
            op: op(true),
        },
        CanSelect::Greyed { ledgers } => no(Word::NeedsAccessInTheLedger, ledgers.join(" and ")),
        CanSelect::Pending { ledgers } => {
            no(Word::NeedsAccessInTheLedger, format!("{}; a wish for it is kept already", ledgers.join(" and ")))
        }
    }
}

/// Every ordinary client that the ledgers grant this person now and that is not selected yet, and how many could not be
/// judged. The one explicit way to start from the ledgers (`product` 4).
fn all_granted<'f>(decider: &Decider<'f>, person: &Person) -> (Vec<Wish<'f>>, usize) {
    let firm: &'f Firm = decider.firm();
    let mut unknown = 0;
    let mut wishes = Vec::new();
    let open = |c: &&Client| c.private_to.is_none() && c.state == ClientState::Active;
    for client in firm.clients.values().filter(open) {
        let whole = firm.selections.get(&(person.id, client.id)).is_some_and(|s| !s.when_granted);
        if whole {
            continue;
        }
        match explain::ledger_grants(decider, person.id, client.id) {
            Some(Answer::Yes) => wishes.push(wish(decider, person, client, &SelectionScope::Whole, false)),
            Some(Answer::Held) => unknown += 1,
            Some(Answer::No) | None => {}
        }
    }
    wishes.retain(|w| w.op.is_some());
    wishes.sort_by(|a, b| a.client.slug.cmp(&b.client.slug));
    (wishes, unknown)
}

/// The line of a client after its change was tried on a copy of the firm.
fn answer(before: &Decider<'_>, then: &Decider<'_>, person: &Person, wish: Wish<'_>) -> Line {
    let Wish { client, mut word, mut because, op: _ } = wish;
    if word == Word::Granted {
        let same = before.firm().selections.get(&(person.id, client.id))
            == then.firm().selections.get(&(person.id, client.id));
        let (was, is) = (before.judge(person.id, client.id), then.judge(person.id, client.id));
        let foreign =
            is.answer == Answer::Yes && !person.domain_accepted && !then.firm().domains.contains(person.email.domain());
        (word, because) = match (is.answer, was.answer) {
            _ if foreign => (
                Word::Selected,
                format!("the address is outside the firm's domains: ledgerward people accept-domain {}", person.email),
            ),
            (Answer::Yes, Answer::Yes) if same || !person.mode.needs_selection() => {
                (Word::AlreadyHasAccess, String::new())
            }
            (Answer::Yes, _) => (Word::Granted, String::new()),
            (Answer::No | Answer::Held, _) => {
                let why = then.ix(person.id).map(|ix| explain::because_words(then, ix, is.because));
                (Word::Selected, why.unwrap_or_default())
            }
        };
    }
    Line { client: client.slug.clone(), id: client.id, answer: word, because }
}

/// Something was refused, so nothing is written; who would have passed says so.
fn nothing_done(person: &Person, wishes: Vec<Wish<'_>>) -> Report {
    let greyed = wishes.iter().any(|w| w.word == Word::NeedsAccessInTheLedger);
    let lines: Vec<Line> = wishes
        .into_iter()
        .map(|w| Line {
            client: w.client.slug.clone(),
            id: w.client.id,
            answer: if w.op.is_some() { Word::NotDone } else { w.word },
            because: w.because,
        })
        .collect();
    let acted = act::Acted { effects: Vec::new(), staged: Vec::new(), opened: Vec::new() };
    let report = told(Exit::Failed, person, &lines, &acted).note("Nothing was changed.");
    if greyed {
        return report.note(format!(
            "Give {} access in the ledger and run ledgerward pull, or keep the wish until then with --when-granted.",
            person.email
        ));
    }
    report
}

async fn remove(app: &App, firm: &Firm, person: &Person, args: &SelectArgs) -> Result<Report, Failure> {
    let clients = act::clients(app, firm, &args.clients)?;
    let ops: Vec<ChangeOp> = clients.iter().map(|c| ChangeOp::Unselect { person: person.id, client: c.id }).collect();
    let acted = act::act(app, ops, "select --remove").await?;
    let lines: Vec<Line> = clients
        .iter()
        .zip(&acted.effects)
        .map(|(client, effect)| Line {
            client: client.slug.clone(),
            id: client.id,
            answer: if effect.changed { Word::Removed } else { Word::NoMatchingAccess },
            because: if effect.changed { String::new() } else { "it is not selected".to_owned() },
        })
        .collect();
    let mut report = told(Exit::Done, person, &lines, &acted);
    if !person.mode.needs_selection() {
        report = report.note(format!(
            "Mode {} does not look at selections, so nothing is taken away by this.",
            person.mode.slug()
        ));
    }
    Ok(report)
}

fn told(exit: Exit, person: &Person, lines: &[Line], acted: &act::Acted) -> Report {
    let width = lines.iter().map(|l| l.client.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let because = if line.because.is_empty() { String::new() } else { format!(": {}", line.because) };
        let _ = writeln!(text, "{:<width$}  {}{because}", line.client, line.answer.text());
    }
    let json = json!({
        "schema": "ledgerward/select/1",
        "person": {"id": person.id, "email": person.email},
        "clients": lines,
        "staged": acted.staged,
    });
    let changed = acted.effects.iter().any(|e| e.changed);
    act::with_next(Report::new(exit, json, text), changed, &acted.staged)
}

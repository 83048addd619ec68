//! `select PERSON CLIENT…`: choose clients for a person, each answered by its own line, all of it in one act.
//!
//! Clients that somebody named are done all or none. Of a set (a connection's clients, what a colleague has) what can be
//! done is done: nobody named each of them, and the others' lines say why not.

use std::{collections::BTreeMap, fmt::Write as _};

use ledgerward_contract::{ClientId, SourceRef};
use serde::Serialize;
use serde_json::json;

use super::{
    accounts, act,
    args::{BulkArgs, ClientArg, SelectArgs},
    cycle::{acting, refused},
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::{App, with_settings},
    domain::{
        change::{self, ChangeOp},
        explain::{self, CanSelect},
        fact::{Fact, Why},
        firm::{Authority, Client, ClientState, Firm, Mode, Person, PersonId, Selection, SelectionScope, TargetName},
        office::Permission,
        policy::{Answer, Decider, Reach},
    },
    memory, registry,
    render::plan::count,
};

/// What one client's line says (`product` 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// `vendor`: whose ledger must grant it first.
    fn text(self, vendor: &str) -> String {
        match self {
            Self::Granted => "granted".to_owned(),
            Self::AlreadyHasAccess => "already has access".to_owned(),
            Self::NoMatchingAccess => "no matching access".to_owned(),
            Self::NeedsAccessInTheLedger => format!("needs {vendor} access first"),
            Self::Pending => "pending".to_owned(),
            Self::Selected => "selected, and gives nothing now".to_owned(),
            Self::Removed => "removed".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::NotDone => "not done".to_owned(),
        }
    }
}

/// One client's line.
#[derive(Debug, Serialize)]
pub struct Line {
    client: String,
    id: ClientId,
    answer: Word,
    text: String,
    because: String,
}

/// What is to be done for one client.
struct Wish<'f> {
    client: &'f Client,
    word: Word,
    because: String,
    ops: Vec<ChangeOp>,
}

/// An act before it is done: a line for each client, and the changes it takes.
pub struct Draft<'f> {
    person: &'f Person,
    wishes: BTreeMap<String, Wish<'f>>,
    /// Clients that could not be judged, and what the first source that says nothing says instead.
    unknown: Vec<(&'f Client, Why)>,
    /// Somebody named each client: all or none.
    named: bool,
    notes: Vec<String>,
}

impl Draft<'_> {
    fn refused(&self) -> bool {
        self.wishes.values().any(|w| w.ops.is_empty() && w.word != Word::NoMatchingAccess)
    }

    /// The changes, in order of the clients' short names; none where all or none was asked for and one is refused.
    pub fn ops(&self) -> Vec<ChangeOp> {
        if self.named && self.refused() {
            return Vec::new();
        }
        self.wishes.values().flat_map(|w| w.ops.iter().cloned()).collect()
    }
}

pub async fn run(app: &App, args: SelectArgs) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let facts = memory::recall_all(app, &firm).await?;
    let targets: Vec<TargetName> = app.config.targets.keys().cloned().collect();
    let decider = Decider::new(&firm, &facts, &targets, app.now());
    let person = act::person(app, &firm, &args.person.0)?;
    let mut draft = draft(app, &decider, person, &args.clients, &args.bulk)?;
    may_select(app, &firm, &draft)?;
    if !args.accounts.is_empty() {
        narrow(app, &mut draft, &args.accounts).await?;
    }
    if draft.named && draft.refused() {
        return Ok(nothing_done(app, &decider, draft));
    }
    let ops = draft.ops();
    let by = change::By { actor: acting(app, &firm)?, at: app.now() };
    let (after, _) = change::apply_all(&firm, &ops, by).map_err(|(_, r)| refused(r))?;
    let after = with_settings(after, &app.config);
    let then = Decider::new(&after, &facts, &targets, app.now());
    let held_back = draft.refused();
    let removes = draft.wishes.values().any(|w| matches!(w.word, Word::Removed | Word::NoMatchingAccess));
    let (unknown, notes) = (std::mem::take(&mut draft.unknown), std::mem::take(&mut draft.notes));
    let lines = lines(app, (&decider, &then), draft);
    let acted = if args.dry_run {
        act::Acted { effects: Vec::new(), staged: Vec::new(), opened: Vec::new() }
    } else {
        act::act(app, ops, &reason(&args.bulk)).await?
    };
    let exit = if !unknown.is_empty() || held_back { Exit::Partly } else { Exit::Done };
    let mut report = told(exit, person, &lines, &acted, args.dry_run);
    let bulk_unseen = args.bulk.all_granted && !firm.pins.values().any(|p| *p == person.id);
    report.notes.extend(unjudged(&firm, person, &unknown));
    if lines.is_empty() && unknown.is_empty() {
        report.text = if args.bulk.all_granted {
            format!("The ledgers grant {} no client that is not selected already.\n", person.email)
        } else {
            "There is no such client.\n".to_owned()
        };
    }
    if bulk_unseen {
        report = report.note(format!(
            "No list that was read so far has {}. Whoever was added after the last pull is looked for in the next: ledgerward pull",
            person.email
        ));
    }
    report.notes.extend(notes);
    if args.dry_run {
        report = report.note("Nothing was changed. To do it: the same command without --dry-run");
    }
    if !person.mode.needs_selection() {
        let tail = if removes { "so nothing is taken away by this" } else { "they count from the day the mode does" };
        report = report.note(format!("Mode {} does not look at selections; {tail}.", person.mode.slug()));
    }
    Ok(report)
}

/// Before any line is told: what somebody has selected, and which accounts there are, is nobody's to try out. Of their own
/// private books everybody may take people out.
fn may_select(app: &App, firm: &Firm, draft: &Draft<'_>) -> Result<(), Failure> {
    let Some(own) = act::asking(app, firm) else { return Ok(()) };
    let wishes = || draft.wishes.values();
    if draft.wishes.is_empty() || !wishes().all(|w| w.client.private_to == Some(own)) {
        change::holds(firm, own, Permission::Selections).map_err(refused)?;
    }
    wishes().try_for_each(|w| {
        let takes = ChangeOp::Unselect { person: draft.person.id, client: w.client.id };
        act::allowed(app, firm, w.ops.first().unwrap_or(&takes))
    })
}

fn reason(bulk: &BulkArgs) -> String {
    match (&bulk.from, &bulk.like, &bulk.connection, &bulk.remove) {
        (Some(from), ..) => format!("select --from {}", from.0),
        (_, Some(like), ..) => format!("select --like {}", like.0),
        (_, _, Some(name), None) => format!("select --connection {name}"),
        (_, _, Some(name), Some(_)) => format!("select --connection {name} --remove"),
        (.., Some(_)) => "select --remove".to_owned(),
        _ => "select".to_owned(),
    }
}

/// What was typed, as a line for each client. Errors: somebody or something that is not there, or a contradiction.
pub fn draft<'f>(
    app: &App,
    decider: &Decider<'f>,
    person: &'f Person,
    named: &[ClientArg],
    bulk: &BulkArgs,
) -> Result<Draft<'f>, Failure> {
    let firm: &'f Firm = decider.firm();
    let mut draft = Draft { person, wishes: BTreeMap::new(), unknown: Vec::new(), named: true, notes: Vec::new() };
    let remove_these = bulk.remove.as_deref().unwrap_or_default();
    if !remove_these.is_empty() && !named.is_empty() {
        return Err(Failure::new(Exit::Usage, "which clients are to be added is not clear")
            .next("To add some and remove others: select PERSON --add CLIENT… --remove CLIENT…"));
    }
    if bulk.all_granted {
        let (wishes, unknown) = all_granted(app, decider, person);
        draft.unknown = unknown;
        draft.wishes.extend(wishes.into_iter().map(|w| (w.client.slug.clone(), w)));
        return Ok(draft);
    }
    let typed: Vec<ClientArg> = named.iter().chain(&bulk.add).cloned().collect();
    let typed = act::clients(app, firm, &typed)?;
    let of_connection = of_connection(app, firm, bulk.connection.as_deref())?;
    draft.named = bulk.connection.is_none() && bulk.like.is_none() && bulk.from.is_none();
    let whole = || Selection { scope: SelectionScope::Whole, when_granted: bulk.when_granted };
    let all_removed = bulk.remove.as_ref().is_some_and(Vec::is_empty);
    if all_removed && (bulk.like.is_some() || bulk.from.is_some() || !bulk.add.is_empty()) {
        return Err(
            Failure::new(Exit::Usage, "--remove does not say which clients").next("Name them: --remove CLIENT…")
        );
    }
    if all_removed && typed.is_empty() && bulk.connection.is_none() {
        return Err(Failure::new(Exit::Usage, "--remove does not say which clients")
            .next("Name them, or a set of them: --connection NAME"));
    }
    for client in typed.iter().chain(&of_connection).copied() {
        let wish = if all_removed { gone(firm, person, client) } else { wish(decider, person, client, &whole()) };
        draft.wishes.insert(client.slug.clone(), wish);
    }
    if let Some(like) = &bulk.like {
        let like = act::person(app, firm, &like.0)?;
        for (client, mut selection) in held_by(app, decider, like, person.mode) {
            selection.when_granted |= bulk.when_granted;
            draft.wishes.entry(client.slug.clone()).or_insert_with(|| widen(decider, person, client, selection));
        }
    }
    if let Some(from) = &bulk.from {
        let from = act::person(app, firm, &from.0)?;
        if from.id == person.id {
            return Err(Failure::new(Exit::Usage, "nobody takes over from themselves"));
        }
        for (client, mut selection) in held_by(app, decider, from, person.mode) {
            selection.when_granted |= bulk.when_granted;
            let mut wish = widen(decider, person, client, selection);
            let selected = firm.selections.contains_key(&(from.id, client.id));
            if bulk.end && selected && !wish.ops.is_empty() {
                wish.ops.push(ChangeOp::Unselect { person: from.id, client: client.id });
            } else if bulk.end && selected {
                wish.because = format!("{}; {} keeps it", wish.because, from.email);
            }
            draft.wishes.insert(client.slug.clone(), wish);
        }
        if bulk.end && !from.mode.needs_selection() {
            draft.notes.push(format!(
                "Mode {} does not look at selections, so {} keeps seeing what it gives: ledgerward people mode, or leaver",
                from.mode.slug(),
                from.email
            ));
        }
        draft.notes.extend(guests_of(app, firm, from.id));
    }
    for client in act::clients(app, firm, remove_these)? {
        if draft.wishes.insert(client.slug.clone(), gone(firm, person, client)).is_some() {
            return Err(Failure::new(Exit::Usage, format!("{} is to be added and removed", client.slug))
                .next("Name each client once."));
        }
    }
    Ok(draft)
}

/// A guest's extra access has its own end and reason, so it does not move by itself.
fn guests_of(app: &App, firm: &Firm, from: PersonId) -> Option<String> {
    let of = firm.guests.iter().filter(|g| g.person == from).filter_map(|g| firm.clients.get(&g.client));
    let slugs: Vec<String> = of.filter(|c| reads(app, firm, c)).map(|c| c.slug.clone()).collect();
    (!slugs.is_empty()).then(|| format!("Guest access is not moved: {}. See: ledgerward guests", slugs.join(", ")))
}

fn of_connection<'f>(app: &App, firm: &'f Firm, name: Option<&str>) -> Result<Vec<&'f Client>, Failure> {
    let Some(name) = name else { return Ok(Vec::new()) };
    let name = act::connection(app, name)?;
    let of = |c: &&Client| ordinary(c) && act::knows(app, firm, c) && c.sources.iter().any(|s| s.connection == name);
    Ok(firm.clients.values().filter(of).collect())
}

/// Nothing bulk ever includes a private client (`product` 4), nor one that is not ours yet or any more.
fn ordinary(client: &Client) -> bool {
    client.private_to.is_none() && client.state == ClientState::Active
}

/// What a colleague has: what is selected for them, or, where their mode looks at no selections, what they see. What the
/// ledgers keep from them is theirs only to wish for, and nobody's whom a ledger would not keep it from (`mode`).
fn held_by<'f>(app: &App, decider: &Decider<'f>, person: &Person, mode: Mode) -> Vec<(&'f Client, Selection)> {
    let firm: &'f Firm = decider.firm();
    let sees = |client: &Client| decider.judge(person.id, client.id).answer != Answer::No;
    let clients = firm.clients.values().filter(|c| ordinary(c) && reads(app, firm, c));
    let has = clients.filter_map(|client| {
        let selection = match firm.selections.get(&(person.id, client.id)) {
            Some(_) if !mode.needs_ledger() && !sees(client) => None,
            Some(selection) => Some(selection.clone()),
            None if person.mode.needs_selection() => None,
            None => sees(client).then_some(Selection { scope: SelectionScope::Whole, when_granted: false }),
        };
        Some((client, selection?))
    });
    has.collect()
}

/// Whether the one who asks may look at everybody's access to this client.
fn reads(app: &App, firm: &Firm, client: &Client) -> bool {
    match act::asking(app, firm) {
        Some(own) => change::may_touch(firm, own, Permission::ReadAll, client),
        None => app.person.is_none(),
    }
}

/// As [`wish`], and never narrower than what the person has already.
fn widen<'f>(decider: &Decider<'_>, person: &Person, client: &'f Client, mut new: Selection) -> Wish<'f> {
    if let Some(old) = decider.firm().selections.get(&(person.id, client.id)) {
        new.scope = match (&old.scope, new.scope) {
            (SelectionScope::Accounts(a), SelectionScope::Accounts(b)) => {
                SelectionScope::Accounts(a.union(&b).cloned().collect())
            }
            _ => SelectionScope::Whole,
        };
        new.when_granted &= old.when_granted;
    }
    wish(decider, person, client, &new)
}

async fn narrow(app: &App, draft: &mut Draft<'_>, typed: &[String]) -> Result<(), Failure> {
    let mut wishes = draft.wishes.values_mut();
    let (Some(wish), None) = (wishes.next(), wishes.next()) else {
        return Err(Failure::new(Exit::Usage, "--account goes with one client, because accounts belong to one")
            .next("Run the command once for each client."));
    };
    let chosen = accounts::chosen(app, wish.client, typed).await?;
    for op in &mut wish.ops {
        if let ChangeOp::Select { scope, .. } = op {
            *scope = SelectionScope::Accounts(chosen.accounts.clone());
        }
    }
    draft.notes.extend(chosen.notes);
    Ok(())
}

/// What can be done about one client, before anything is.
fn wish<'f>(decider: &Decider<'_>, person: &Person, client: &'f Client, selection: &Selection) -> Wish<'f> {
    let Selection { scope, when_granted } = selection;
    let ops = |when_granted| {
        vec![ChangeOp::Select { person: person.id, client: client.id, scope: scope.clone(), when_granted }]
    };
    let no = |word, because| Wish { client, word, because, ops: Vec::new() };
    // Where any source is enough, one of them is.
    let all = |ledgers: Vec<String>| ledgers.join(if client.authority == Authority::Any { " or " } else { " and " });
    match explain::can_select(decider, person.id, client.id) {
        CanSelect::Ok => Wish { client, word: Word::Granted, because: String::new(), ops: ops(false) },
        CanSelect::Never { why } => no(Word::Refused, why),
        CanSelect::Greyed { ledgers } | CanSelect::Pending { ledgers } if *when_granted => {
            Wish { client, word: Word::Pending, because: format!("until {} grants it", all(ledgers)), ops: ops(true) }
        }
        CanSelect::Greyed { ledgers } => no(Word::NeedsAccessInTheLedger, all(ledgers)),
        CanSelect::Pending { ledgers } => {
            no(Word::NeedsAccessInTheLedger, format!("{}; a wish for it is kept already", all(ledgers)))
        }
    }
}

/// Taking a client away, with a wish for it.
fn gone<'f>(firm: &Firm, person: &Person, client: &'f Client) -> Wish<'f> {
    let (word, because) = match firm.selections.get(&(person.id, client.id)) {
        None => (Word::NoMatchingAccess, "it is not selected"),
        Some(s) if s.when_granted => (Word::Removed, "the wish for it ended"),
        Some(_) => (Word::Removed, ""),
    };
    let op = ChangeOp::Unselect { person: person.id, client: client.id };
    let ops = if word == Word::Removed { vec![op] } else { Vec::new() };
    Wish { client, word, because: because.to_owned(), ops }
}

/// Every ordinary client that the ledgers grant this person now and that is not selected yet, and those that could not be
/// judged. The one explicit way to start from the ledgers (`product` 4).
fn all_granted<'f>(app: &App, decider: &Decider<'f>, person: &Person) -> (Vec<Wish<'f>>, Vec<(&'f Client, Why)>) {
    let firm: &'f Firm = decider.firm();
    let mut unknown = Vec::new();
    let mut wishes = Vec::new();
    let whole = Selection { scope: SelectionScope::Whole, when_granted: false };
    for client in firm.clients.values().filter(|c| ordinary(c) && act::knows(app, firm, c)) {
        if firm.selections.get(&(person.id, client.id)).is_some_and(|s| !s.when_granted) {
            continue;
        }
        match explain::ledger_grants(decider, person.id, client.id) {
            Some(Answer::Yes) => wishes.push(wish(decider, person, client, &whole)),
            Some(Answer::Held) => unknown.push((client, silence(decider, person, client))),
            Some(Answer::No) | None => {}
        }
    }
    wishes.retain(|w| !w.ops.is_empty());
    (wishes, unknown)
}

/// Why a client's sources do not say whether this person has it.
fn silence(decider: &Decider<'_>, person: &Person, client: &Client) -> Why {
    let (facts, ix) = (decider.facts(), decider.ix(person.id));
    let decides = |s: &&SourceRef| match &client.authority {
        Authority::Named(named) => named == *s,
        Authority::All | Authority::Any => true,
    };
    let says = |s: &SourceRef| match (facts.source_ix(s), ix) {
        (Some(source), Some(ix)) => facts.lookup(source, ix).0,
        _ => Why::NeverRead,
    };
    let mut all = client.sources.iter().filter(decides).map(says).filter(|why| why.fact() == Fact::Unknown);
    all.next().unwrap_or(Why::NeverRead)
}

/// What is said of clients that could not be judged: what helps depends on why.
fn unjudged(firm: &Firm, person: &Person, unknown: &[(&Client, Why)]) -> Vec<String> {
    let (who, mut notes) = (&person.email, Vec::new());
    let of = |which: &[Why]| unknown.iter().filter(|(_, why)| which.contains(why)).count();
    let first = of(&[Why::FirstReading]);
    if first > 0 {
        let minutes = firm.policy.confirm_after_seconds.div_ceil(60);
        notes.push(format!(
            "{} could not be judged: {who} is not in the first list, or was added after it was read, and a second list must agree. Run ledgerward pull {} or more after the first one, then this again.",
            count(first, "client"),
            count(minutes as usize, "minute"),
        ));
    }
    let passing = of(PASSING);
    if passing > 0 {
        notes.push(format!(
            "{} could not be judged, because what the ledger says about {who} is unknown now. Run it again after the next pull.",
            count(passing, "client"),
        ));
    }
    let lasting = unknown.iter().filter(|(_, why)| *why != Why::FirstReading && !PASSING.contains(why));
    let lasting: Vec<&(&Client, Why)> = lasting.collect();
    if let Some((client, why)) = lasting.first() {
        notes.push(format!(
            "{} could not be judged, and another pull alone changes nothing (the ledger of {}: {}). See: ledgerward why-not {who} {}",
            count(lasting.len(), "client"),
            client.slug,
            why.words(),
            client.slug,
        ));
    }
    notes
}

/// What the next reading or the one after may end by itself.
const PASSING: &[Why] =
    &[Why::NeverRead, Why::Unreadable, Why::AbsentOnce, Why::NewOnce, Why::Flapping, Why::SuddenlyEmpty];

/// A line for each client. `then`: the firm with the draft's changes in it.
pub fn lines(app: &App, (before, then): (&Decider<'_>, &Decider<'_>), draft: Draft<'_>) -> Vec<Line> {
    let (person, none) = (draft.person, draft.named && draft.refused());
    let wishes = draft.wishes.into_values();
    wishes
        .map(|w| match none {
            true => line(app, w.client, if w.ops.is_empty() { w.word } else { Word::NotDone }, w.because),
            false => answer(app, (before, then), person, w),
        })
        .collect()
}

/// The line of a client after its change was tried on a copy of the firm.
fn answer(app: &App, (before, then): (&Decider<'_>, &Decider<'_>), person: &Person, wish: Wish<'_>) -> Line {
    let Wish { client, mut word, mut because, ops: _ } = wish;
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
            (Answer::Yes, Answer::Yes) if whole(before, person, client) && !whole(then, person, client) => {
                (Word::Granted, "these accounts only; the client's own folder is taken away".to_owned())
            }
            (Answer::Yes, _) => (Word::Granted, String::new()),
            (Answer::No | Answer::Held, _) => {
                let why = then.ix(person.id).map(|ix| explain::because_words(then, ix, is.because));
                (Word::Selected, why.unwrap_or_default())
            }
        };
    }
    line(app, client, word, because)
}

fn whole(d: &Decider<'_>, person: &Person, client: &Client) -> bool {
    matches!(d.judge(person.id, client.id).reach, Reach::Whole)
}

fn line(app: &App, client: &Client, answer: Word, because: String) -> Line {
    Line { client: client.slug.clone(), id: client.id, answer, text: answer.text(&vendor(app, client)), because }
}

/// `Xero`, where all of a client's ledgers are of one vendor.
pub(super) fn vendor(app: &App, client: &Client) -> String {
    let title = |s: &ledgerward_contract::SourceRef| {
        let connector = &app.config.connections.get(&s.connection)?.remote.connector;
        Some(registry::entry(connector)?.factory.manifest().title)
    };
    let mut titles = client.sources.iter().filter_map(title);
    match titles.next() {
        Some(first) if titles.all(|t| t == first) => first.to_owned(),
        _ => "ledger".to_owned(),
    }
}

/// Something was refused, so nothing is written; who would have passed says so.
fn nothing_done(app: &App, decider: &Decider<'_>, draft: Draft<'_>) -> Report {
    let person = draft.person;
    let greyed = draft.wishes.values().any(|w| w.word == Word::NeedsAccessInTheLedger);
    let lines = lines(app, (decider, decider), draft);
    let acted = act::Acted { effects: Vec::new(), staged: Vec::new(), opened: Vec::new() };
    let report = told(Exit::Failed, person, &lines, &acted, false).note("Nothing was changed.");
    if greyed {
        return report.note(format!(
            "Give {} access in the ledger and run ledgerward pull, or keep the wish until then with --when-granted.",
            person.email
        ));
    }
    report
}

/// The lines as a person reads them.
pub fn words(lines: &[Line]) -> String {
    let width = lines.iter().map(|l| l.client.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let because = if line.because.is_empty() { String::new() } else { format!(": {}", line.because) };
        let _ = writeln!(text, "{:<width$}  {}{because}", line.client, line.text);
    }
    text
}

fn told(exit: Exit, person: &Person, lines: &[Line], acted: &act::Acted, dry_run: bool) -> Report {
    let text = words(lines);
    let mut sums: BTreeMap<Word, usize> = BTreeMap::new();
    for line in lines {
        *sums.entry(line.answer).or_default() += 1;
    }
    let json = json!({
        "schema": "ledgerward/select/1",
        "person": {"id": person.id, "email": person.email},
        "clients": lines,
        "staged": acted.staged,
        "dry_run": dry_run,
    });
    let changed = acted.effects.iter().any(|e| e.changed);
    let mut report = Report::new(exit, json, text);
    if lines.len() > 10 {
        let sums: Vec<String> = sums.iter().map(|(word, n)| format!("{n} {}", word.text("ledger"))).collect();
        report = report.note(format!("{}: {}", count(lines.len(), "client"), sums.join(", ")));
    }
    act::with_next(report, changed, &acted.staged)
}

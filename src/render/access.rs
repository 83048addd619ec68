//! Who sees what, as text and as a spreadsheet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::plan::count;
use crate::{
    cli::{
        access::{Matrix, Row, State, TargetWords, past::PastRow},
        args::ClockArg,
        outcome::{Exit, Failure},
    },
    domain::firm::Zone,
    store::FactValue,
};

/// Names are padded to this many letters at most; a longer one pushes its own line.
const PAD: usize = 30;

/// Client by client, one line a person.
pub fn matrix(matrix: &Matrix, zone: &Zone) -> String {
    let mut out = String::new();
    let width = matrix.rows.iter().map(|r| r.person.name.chars().count()).max().unwrap_or(0).min(PAD);
    let one_target = matrix.targets.len() <= 1;
    let lines = lines(&matrix.rows, one_target);
    let states = lines.iter().map(|l| l.state.chars().count()).max().unwrap_or(0).min(PAD + 10);
    let mut client = "";
    for line in &lines {
        if line.row.client.id != client {
            let gap = if client.is_empty() { "" } else { "\n" };
            client = &line.row.client.id;
            let _ = writeln!(out, "{gap}{} ({})", line.row.client.name, line.row.client.slug);
        }
        let role = line.row.role;
        let mut text =
            format!("  {:width$}  {role:<6}  {:states$}  {}", line.row.person.name, line.state, line.row.because);
        if let Some(until) = line.row.until {
            let _ = write!(text, " · until {}", zone.end(until));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    foot(&mut out, matrix);
    out
}

struct Line<'a> {
    row: &'a Row,
    state: String,
}

/// One line for each client, person, role and reason: the same on several targets is one line.
fn lines(rows: &[Row], one_target: bool) -> Vec<Line<'_>> {
    let mut lines: Vec<(&Row, BTreeMap<State, Vec<String>>)> = Vec::new();
    for row in rows {
        let same = |l: &Row| {
            (&l.client.id, &l.person, l.role, &l.because, l.answer)
                == (&row.client.id, &row.person, row.role, &row.because, row.answer)
        };
        let place = match row.account_name.as_ref().or(row.account.as_ref()) {
            Some(account) => format!("{} (account {account})", row.target),
            None => row.target.to_string(),
        };
        match lines.iter_mut().rev().take_while(|(l, _)| l.person == row.person).find(|(l, _)| same(l)) {
            Some((_, states)) => states.entry(row.state).or_default().push(place),
            None => lines.push((row, BTreeMap::from([(row.state, vec![place])]))),
        }
    }
    let words = |states: BTreeMap<State, Vec<String>>| {
        let plain = one_target && states.values().flatten().all(|p| !p.contains('('));
        let part = |(state, places): (State, Vec<String>)| match (plain, state) {
            (true, _) => state.words().to_owned(),
            (false, _) => format!("{} on {}", state.words(), places.join(", ")),
        };
        states.into_iter().map(part).collect::<Vec<_>>().join("; ")
    };
    lines.into_iter().map(|(row, states)| Line { row, state: words(states) }).collect()
}

fn foot(out: &mut String, matrix: &Matrix) {
    let mut states: BTreeMap<State, usize> = BTreeMap::new();
    for row in &matrix.rows {
        *states.entry(row.state).or_default() += 1;
    }
    let clients: BTreeSet<&str> = matrix.rows.iter().map(|r| r.client.id.as_str()).collect();
    let people: BTreeSet<&str> = matrix.rows.iter().map(|r| r.person.email.as_str()).collect();
    let sums: Vec<String> = states.iter().map(|(state, n)| format!("{n} {}", state.words())).collect();
    match matrix.rows.as_slice() {
        [] if matrix.own => out.push_str("You see nothing.\n"),
        [] => {
            let _ = match &matrix.asked {
                Some(person) => writeln!(out, "{person} sees nothing."),
                None => writeln!(out, "Nobody sees anything."),
            };
        }
        _ => {
            let n = clients.len();
            let clients = if n == 1 { "1 client".to_owned() } else { format!("{n} clients") };
            let people = if people.len() == 1 { "1 person".to_owned() } else { format!("{} people", people.len()) };
            let _ = writeln!(out, "{people}, {clients}: {}.", sums.join(", "));
        }
    }
    if !matrix.nobody.is_empty() {
        let names: Vec<&str> = matrix.nobody.iter().map(|c| c.slug.as_str()).collect();
        let _ = writeln!(out, "Seen by nobody: {}.", names.join(", "));
    }
    if matrix.proposed > 0 {
        let _ = writeln!(
            out,
            "{} only proposed, which gives nobody anything: ledgerward clients list",
            count(matrix.proposed, "client")
        );
    }
    more(out, matrix.others);
    if !matrix.private.is_empty() {
        let names: Vec<&str> = matrix.private.iter().map(|c| c.slug.as_str()).collect();
        let _ = writeln!(out, "Private, shown to you alone: {}.", names.join(", "));
    }
    targets(out, &matrix.targets);
}

/// What others see is a number only.
fn more(out: &mut String, others: usize) {
    if others > 0 {
        let _ = writeln!(out, "{} more that you do not see.", count(others, "client"));
    }
}

/// A target that ledgerward does not share must say so in every answer (`decisions` 17).
fn targets(out: &mut String, targets: &[TargetWords]) {
    for target in targets {
        match &target.audience {
            Some(audience) => {
                let _ = writeln!(
                    out,
                    "{}: sharing is off; who can read it, in the firm's own words: {audience}",
                    target.name
                );
            }
            None if target.sharing == "report" => {
                let _ = writeln!(out, "{}: sharing is only reported; nothing there is changed", target.name);
            }
            None => {}
        }
    }
}

/// One line a person and folder.
pub fn matrix_csv(matrix: &Matrix) -> Result<String, Failure> {
    let head = [
        "client",
        "client_slug",
        "person",
        "email",
        "target",
        "account",
        "answer",
        "role",
        "state",
        "source",
        "because",
        "since",
        "until",
    ];
    let time = |t: Option<ledgerward_contract::Timestamp>| t.map_or_else(String::new, |t| t.to_string());
    let rows = matrix.rows.iter().map(|r| {
        let answer = match r.answer {
            crate::domain::policy::Answer::Yes => "yes",
            crate::domain::policy::Answer::No => "no",
            crate::domain::policy::Answer::Held => "held",
        };
        vec![
            r.client.name.clone(),
            r.client.slug.clone(),
            r.person.name.clone(),
            r.person.email.clone(),
            r.target.to_string(),
            r.account.clone().unwrap_or_default(),
            answer.to_owned(),
            r.role.to_string(),
            r.state.words().to_owned(),
            r.source.clone().unwrap_or_default(),
            r.because.clone(),
            time(r.since),
            time(r.until),
        ]
    });
    csv(&head, rows)
}

const fn fact(value: FactValue) -> &'static str {
    match value {
        FactValue::Granted => "granted",
        FactValue::Denied => "denied",
        FactValue::Unknown => "unknown",
    }
}

/// All sources of a pair in one word where they agree.
fn facts(of: &BTreeMap<String, FactValue>) -> String {
    let different: BTreeSet<FactValue> = of.values().copied().collect();
    match (different.len(), different.first()) {
        (0, _) => "unknown".to_owned(),
        (1, Some(value)) => fact(*value).to_owned(),
        _ => of.iter().map(|(source, value)| format!("{source} {}", fact(*value))).collect::<Vec<_>>().join(", "),
    }
}

fn applied(row: &PastRow) -> String {
    let one = |a: &crate::cli::access::past::Applied| {
        let account = a.account_name.as_ref().or(a.account.as_ref());
        let account = account.map_or_else(String::new, |a| format!(" (account {a})"));
        let waits = if a.invited.is_some() { " (invited, not yet in)" } else { "" };
        format!("{} {}{account}{waits}", a.target, a.role)
    };
    match row.applied.as_slice() {
        [] => "nothing".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// One clock, or all three.
fn shows(clock: Option<ClockArg>, one: ClockArg) -> bool {
    clock.is_none_or(|c| c == one)
}

pub fn past(rows: &[PastRow], of: &[TargetWords], clock: Option<ClockArg>, (others, own): (usize, bool)) -> String {
    let mut out = String::new();
    let width = rows.iter().map(|r| r.person.name.chars().count()).max().unwrap_or(0).min(PAD);
    let mut client = "";
    for row in rows {
        if row.client.id != client {
            let gap = if client.is_empty() { "" } else { "\n" };
            client = &row.client.id;
            let _ = writeln!(out, "{gap}{} ({})", row.client.name, row.client.slug);
        }
        let _ = write!(out, "  {:width$} ", row.person.name);
        if shows(clock, ClockArg::Ledger) {
            let _ = write!(out, " ledger {:<8}", facts(&row.ledger));
        }
        if shows(clock, ClockArg::Known) {
            let _ = write!(out, " known {:<8}", facts(&row.known));
        }
        if shows(clock, ClockArg::Applied) {
            let _ = write!(out, " applied {}", applied(row));
        }
        out.push('\n');
    }
    out.push_str(match (rows.is_empty(), own) {
        (true, false) => "Nobody saw anything, by what is known here.\n",
        (true, _) => "Of the clients that you see, you saw nothing then.\n",
        (false, _) => "\n",
    });
    more(&mut out, others);
    targets(&mut out, of);
    out
}

pub fn past_csv(rows: &[PastRow], clock: Option<ClockArg>) -> Result<String, Failure> {
    let clocks = [("ledger", ClockArg::Ledger), ("known", ClockArg::Known), ("applied", ClockArg::Applied)];
    let clocks: Vec<_> = clocks.into_iter().filter(|(_, c)| shows(clock, *c)).collect();
    let mut head = vec!["client", "client_slug", "person", "email"];
    head.extend(clocks.iter().map(|(name, _)| *name));
    let rows = rows.iter().map(|r| {
        let mut row = vec![r.client.name.clone(), r.client.slug.clone(), r.person.name.clone(), r.person.email.clone()];
        row.extend(clocks.iter().map(|(_, clock)| match clock {
            ClockArg::Ledger => facts(&r.ledger),
            ClockArg::Known => facts(&r.known),
            ClockArg::Applied => applied(r),
        }));
        row
    });
    csv(&head, rows)
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe (`decisions` 25).
fn cell(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// A table as CSV, where no cell becomes a formula. Errors: the writer refuses, which memory does not.
pub fn csv(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("the table cannot be written: {e}"));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(head).map_err(|e| failed(&e))?;
    for row in rows {
        out.write_record(row.into_iter().map(cell)).map_err(|e| failed(&e))?;
    }
    let bytes = out.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_formula() {
        let text = csv(&["client"], [vec!["=cmd()".to_owned()], vec!["Acme, Ltd".to_owned()]].into_iter()).unwrap();
        assert_eq!(text, "client\n'=cmd()\n\"Acme, Ltd\"\n");
    }

    #[test]
    fn sources_that_disagree_are_told_one_by_one() {
        let of = |v: &[(&str, FactValue)]| v.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        assert_eq!(facts(&of(&[])), "unknown");
        assert_eq!(facts(&of(&[("a", FactValue::Granted), ("b", FactValue::Granted)])), "granted");
        assert_eq!(facts(&of(&[("a", FactValue::Granted), ("b", FactValue::Denied)])), "a granted, b denied");
    }
}

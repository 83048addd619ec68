//! A plan as text: lane by lane, what would be done and why, what stays, what waits (`design` 5).

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use ledgerward_contract::{Counts, Holder, Timestamp, Via};

use crate::{
    apply::{LaneDone, LaneEnd, via_words},
    cli::veil::{PRIVATE, Veil},
    deliver::Delivery,
    domain::{
        guard::{Hold, Verdict},
        lane::{Op, Step},
        plan::{Keep, KeepWhy, LanePlan},
    },
};

/// Digits of a digest that are shown; eight are enough to name it.
pub const DIGITS: usize = 12;

pub fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

/// A whole verdict, and how to go on.
pub fn verdict(verdict: &Verdict, digest: &str, veil: &Veil) -> String {
    let mut out = String::new();
    for lane in verdict.cleared.lanes().iter().filter(|l| worth_showing(l)) {
        lane_text(&mut out, lane, veil);
    }
    for hold in &verdict.held {
        hold_text(&mut out, hold, veil);
    }
    let (grants, revokes, other) = counts(verdict.cleared.lanes().iter().flat_map(|l| &l.steps));
    if verdict.cleared.is_empty() {
        let _ = writeln!(out, "Nothing to apply. {}", held_words(verdict));
    } else {
        let _ = writeln!(
            out,
            "Plan {}: {}, {}, {}. {}",
            short(digest),
            count(grants, "grant"),
            count(revokes, "revoke"),
            count(other, "other step"),
            held_words(verdict),
        );
        let _ = writeln!(out, "Apply: ledgerward apply {}", short(digest));
    }
    out
}

/// Whoever is on a folder and entitled and not ours, each with the command that takes them over. Empty: nobody.
pub fn not_ours(lanes: &[LanePlan], veil: &Veil) -> String {
    let entitled =
        |k: &&Keep| k.why == KeepWhy::NotOursEntitled && k.via == Via::Direct && matches!(k.who, Holder::Person(_));
    let adopt = |l: &LanePlan, who: &Holder| {
        format!(
            "  ledgerward holders adopt {} {} {who} --reason \"let in since the backup\"\n",
            l.client, l.lane.target
        )
    };
    let lines: Vec<String> = lanes
        .iter()
        .filter(|l| !veil.hides_lane(&l.lane))
        .flat_map(|l| l.keeps.iter().filter(entitled).map(|k| adopt(l, &k.who)))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "On folders, entitled, and not ours in this restored state: {}. If we gave them since the backup, take them over, or \
         they stay when the entitlement ends:\n{}",
        count(lines.len(), "grant"),
        lines.concat()
    )
}

fn held_words(verdict: &Verdict) -> String {
    match verdict.held.len() {
        0 => "Guards clear.".to_owned(),
        n => format!("{} of {}.", count(n, "hold"), count(verdict.held.iter().map(steps_in).sum(), "step")),
    }
}

pub fn steps_in(hold: &Hold) -> usize {
    hold.lanes.iter().map(|l| l.steps.len()).sum()
}

/// `1 grant`, `2 grants`.
pub fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn counts<'s>(steps: impl Iterator<Item = &'s Step>) -> (usize, usize, usize) {
    steps.fold((0, 0, 0), |(g, r, o), s| match s.op {
        Op::Grant { .. } => (g + 1, r, o),
        Op::Revoke { .. } => (g, r + 1, o),
        _ => (g, r, o + 1),
    })
}

fn worth_showing(lane: &LanePlan) -> bool {
    !lane.steps.is_empty()
        || !lane.removed_by_hand.is_empty()
        || !lane.trouble.is_empty()
        || lane.held.iter().any(|h| h.present)
        || lane.keeps.iter().any(stranger)
}

fn stranger(keep: &Keep) -> bool {
    keep.why == KeepWhy::Stranger
}

fn lane_text(out: &mut String, lane: &LanePlan, veil: &Veil) {
    let hidden = veil.hides_lane(&lane.lane);
    let _ = writeln!(out, "{:<24} -> {}", veil.client(&lane.lane, &lane.client), place(lane, hidden));
    for step in &lane.steps {
        step_text(out, step, hidden);
    }
    for keep in lane.keeps.iter().filter(|k| stranger(k)) {
        let who = keep.who.to_string();
        let _ = writeln!(out, "    keep     {who:<32} -        not ours ({}); no file goes in", via_words(&keep.via));
    }
    for held in lane.held.iter().filter(|h| h.present) {
        let _ = writeln!(
            out,
            "    held     {:<32} -        {}",
            held.who.to_string(),
            veil.text(&lane.lane, &held.because)
        );
    }
    for who in &lane.removed_by_hand {
        let _ = writeln!(
            out,
            "    ask      {:<32} -        not on the list any more; put back only if you say so",
            who.to_string()
        );
    }
}

/// The folder; of somebody else's books only where it is.
fn place(lane: &LanePlan, hidden: bool) -> String {
    if hidden { lane.lane.target.to_string() } else { format!("{}:/{}", lane.lane.target, lane.name) }
}

fn step_text(out: &mut String, step: &Step, hidden: bool) {
    let named = |name: &String| if hidden { String::new() } else { name.clone() };
    let because = if hidden { PRIVATE } else { &step.reason.because };
    let (sign, word, who, role) = match &step.op {
        Op::Revoke { who, role, permission: _ } => ('-', "revoke", who.to_string(), role.to_string()),
        Op::Create { name } => ('+', "create", named(name), String::new()),
        Op::Rename { name } => ('~', "rename", named(name), String::new()),
        Op::SetRole { who, from, to, permission: _ } => ('~', "role", who.to_string(), format!("{from}→{to}")),
        Op::Grant { who, role } => ('+', "grant", who.to_string(), role.to_string()),
        Op::Adopt { who, role, permission: _ } => ('=', "adopt", who.to_string(), role.to_string()),
    };
    let _ = writeln!(out, "  {sign} {word:<8} {who:<32} {role:<8} {because}");
}

/// One hold: what it is, and how to approve it.
pub fn hold_text(out: &mut String, hold: &Hold, veil: &Veil) {
    let _ = writeln!(out, "HELD  {}", hold.message);
    for lane in &hold.lanes {
        let hidden = veil.hides_lane(&lane.lane);
        let _ = writeln!(out, "  {:<22} -> {}", veil.client(&lane.lane, &lane.client), place(lane, hidden));
        for step in &lane.steps {
            out.push_str("  ");
            step_text(out, step, hidden);
        }
    }
    let _ = writeln!(out, "  Approve: ledgerward approve {} --reason \"…\"", short(&hold.digest));
}

/// What an apply did, lane by lane; only what a person must look at is told at length.
pub fn applied(lanes: &[LaneDone], delivery: &Delivery, veil: &Veil) -> String {
    let mut out = String::new();
    for lane in lanes {
        let hidden = veil.hides_lane(&lane.lane);
        let _ = writeln!(out, "{:<24} -> {}", veil.client(&lane.lane, &lane.client), lane.lane.target);
        for done in &lane.steps {
            step_text(&mut out, &done.step, hidden);
            if let Err(why) = &done.result {
                let _ = writeln!(out, "      FAILED: {}", veil.text(&lane.lane, why));
            }
        }
        match (&lane.end, &lane.trouble) {
            (LaneEnd::Drifted, Some(why)) => {
                let _ = writeln!(out, "    skipped: {}", veil.text(&lane.lane, why));
            }
            (_, Some(why)) => {
                let _ = writeln!(out, "    FAILED: {}", veil.text(&lane.lane, why));
            }
            _ => {}
        }
    }
    for file in &delivery.files {
        let change = file.change.as_deref().map(|c| format!("   {}", veil.text(&file.lane, c))).unwrap_or_default();
        let _ = writeln!(
            out,
            "  ^ put      {:<20} {}:/{}  {}{change}",
            veil.client(&file.lane, &file.client),
            file.lane.target,
            veil.text(&file.lane, &file.path),
            size(file.size)
        );
    }
    for wait in &delivery.waiting {
        let _ = writeln!(
            out,
            "  . wait     {:<20} {}: {}",
            veil.client(&wait.lane, &wait.client),
            wait.lane.target,
            veil.text(&wait.lane, &wait.why)
        );
    }
    for text in &delivery.not_available {
        let _ = writeln!(out, "  . none     {}", veil.line(text));
    }
    for text in &delivery.failed {
        let _ = writeln!(out, "  ! FAILED   {}", veil.line(text));
    }
    out
}

/// `41 kB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}

/// A number of what a limit counts.
pub fn amount(of: Counts, number: u64) -> String {
    match of {
        Counts::Bytes | Counts::FileBytes => size(number),
        _ => number.to_string(),
    }
}

/// A time as people of the firm read it.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%-d %b %Y %H:%M").to_string()
}

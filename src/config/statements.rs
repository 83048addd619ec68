//! `[statements]`: what is delivered, and the template of its names.

use std::collections::BTreeSet;

use ledgerward_contract::{Basis, PeriodLength, StatementKind};

use super::{
    read::{Table, Value},
    schema::{Format, StatementSettings},
};

const DEFAULT_TEMPLATE: &str = "{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}";

pub(super) fn kinds(v: &Value<'_, '_>) -> Option<BTreeSet<StatementKind>> {
    v.set(|k| k.one_of(&StatementKind::ALL.map(|k| (k.slug(), k))))
}

pub(super) fn formats(v: &Value<'_, '_>) -> Option<BTreeSet<Format>> {
    v.set(|f| f.one_of(&Format::ALL.map(|f| (f.slug(), f))))
}

pub(super) fn read(t: Option<Table<'_, '_>>) -> Option<StatementSettings> {
    let get = |key: &str| t.as_ref().and_then(|t| t.get(key));
    let kinds_at = get("kinds");
    let kinds_read = kinds_at.as_ref().map(kinds);
    let unknown_kinds = kinds_read == Some(None);
    let kinds = kinds_read.flatten().unwrap_or_else(|| {
        [StatementKind::ProfitAndLoss, StatementKind::BalanceSheet, StatementKind::BankRegister].into()
    });
    let formats_at = get("formats");
    let formats = formats_at.as_ref().and_then(formats).unwrap_or_else(|| [Format::Pdf, Format::Xlsx].into());
    if formats.contains(&Format::Ofx)
        && !kinds.contains(&StatementKind::BankStatement)
        && !unknown_kinds
        && let Some(v) = &formats_at
    {
        v.problem(
            "\"ofx\" is made of bank statements only, and \"bank-statement\" is not among the kinds",
            "Add \"bank-statement\" to kinds, or take \"ofx\" out: a register is no bank statement.",
        );
    }
    if formats.is_empty()
        && let Some(v) = &formats_at
    {
        v.problem("without a format nothing can be written", "Leave the line out for pdf and xlsx.");
    }
    let periods = [("month", PeriodLength::Month), ("quarter", PeriodLength::Quarter), ("year", PeriodLength::Year)];
    let periods_at = get("periods");
    let periods = periods_at.as_ref().and_then(|v| v.set(|p| p.one_of(&periods)));
    if let (Some(p), Some(v)) = (&periods, &periods_at)
        && p.is_empty()
    {
        v.problem("without a period nothing is ever due", "Leave the line out for months.");
    }
    let after = get("after_days").and_then(|v| v.integer(0..=366)).and_then(|d| u16::try_from(d).ok());
    let basis = get("basis").and_then(|v| v.one_of(&[("accrual", Basis::Accrual), ("cash", Basis::Cash)]));
    let template = get("template").and_then(|v| v.parse(check_template, TEMPLATE_HELP));
    let letterhead = get("letterhead").and_then(|v| v.boolean());
    if let Some(t) = t {
        t.finish(&[]);
    }
    Some(StatementSettings {
        kinds,
        formats,
        periods: periods.unwrap_or_else(|| [PeriodLength::Month].into()),
        after_days: after.unwrap_or(5),
        basis: basis.unwrap_or_default(),
        template: template.unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned()),
        letterhead: letterhead.unwrap_or(true),
    })
}

pub(super) const TEMPLATE_HELP: &str = "The default is \"{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}\"; a part in [ ] \
                             is left out where its word is not needed.";

/// Two statements may never get one name (`decisions` 23), so every word that tells two keys apart must be there.
pub(super) fn check_template(template: &str) -> Result<String, String> {
    const WORDS: [&str; 7] = ["year", "period", "kind", "ledger", "account", "n", "ext"];
    let mut found = BTreeSet::new();
    let (mut optional, mut rest) = (false, template);
    while let Some(at) = rest.find(['{', '}', '[', ']']) {
        let (mark, tail) = rest.split_at(at).1.split_at(1);
        rest = tail;
        match mark {
            "[" if !optional => optional = true,
            "]" if optional => optional = false,
            "{" => {
                let (word, after) = tail.split_once('}').ok_or("a { in the template has no }")?;
                let word = WORDS.into_iter().find(|w| *w == word);
                let word = word.ok_or_else(|| format!("the template may hold {{{}}}", WORDS.join("}, {")))?;
                if optional && matches!(word, "period" | "kind" | "ext") {
                    return Err(format!("{{{word}}} is always needed, so it cannot stand in [ ]"));
                }
                found.insert(word);
                rest = after;
            }
            _ => return Err(format!("a {mark} in the template has no partner")),
        }
    }
    if optional {
        return Err("a [ in the template has no ]".to_owned());
    }
    let missing: Vec<&str> = WORDS.into_iter().filter(|w| *w != "year" && !found.contains(w)).collect();
    if let Some(word) = missing.first() {
        return Err(format!("without {{{word}}} two statements could get one name"));
    }
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.trim() == part && !part.contains('\\');
    if !template.split('/').all(plain) || template.split('/').count() > 8 {
        return Err("the template must be a relative path of at most eight names, without . and ..".to_owned());
    }
    if !template.ends_with(".{ext}") {
        return Err("the template must end in .{ext}".to_owned());
    }
    Ok(template.to_owned())
}

//! `[statements]`: what is delivered, and the template of its names.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ledgerward_contract::{Basis, PeriodLength, StatementKind};

use super::{
    read::{Table, Value},
    remote::Gathered,
    schema::{Format, StatementSettings},
};
use crate::statement::{Look, Paper, Template, TemplateError, is_font};

const DEFAULT_TEMPLATE: &str = "{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}";

pub(super) fn kinds(v: &Value<'_, '_>) -> Option<BTreeSet<StatementKind>> {
    v.set(|k| k.one_of(&StatementKind::ALL.map(|k| (k.slug(), k))))
}

pub(super) fn formats(v: &Value<'_, '_>) -> Option<BTreeSet<Format>> {
    v.set(|f| f.one_of(&Format::ALL.map(|f| (f.slug(), f))))
}

pub(super) fn read(t: Option<Table<'_, '_>>, gathered: &mut Gathered) -> Option<StatementSettings> {
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
    let look = look(t.as_ref(), gathered);
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
        look,
    })
}

pub(super) const TEMPLATE_HELP: &str = "The default is \"{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}\"; a part in [ ] \
                             is left out where its word is not needed.";

/// Two statements may never get one name (`decisions` 23). The very check that stands before the first file is made here.
pub(super) fn check_template(template: &str) -> Result<String, TemplateError> {
    Template::statements(template).map(|_| template.to_owned())
}

fn look(t: Option<&Table<'_, '_>>, gathered: &mut Gathered) -> Look {
    let get = |key: &str| t.and_then(|t| t.get(key));
    let plain = Look::default();
    let paper = get("paper").and_then(|v| v.one_of(&[("a4", Paper::A4), ("letter", Paper::Letter)]));
    let accent = get("accent").and_then(|v| v.parse(colour, "Write it as on the web, \"#1f3a5f\": red, green, blue."));
    // What is in them is looked at where secrets are: this reads nothing but its text.
    for font in get("fonts").and_then(|v| v.list()).unwrap_or_default() {
        gathered.fonts.extend(font.text().map(|file| (font.path.clone(), font.span.clone(), PathBuf::from(file))));
    }
    Look { paper: paper.unwrap_or(plain.paper), accent: accent.unwrap_or(plain.accent), fonts: plain.fonts }
}

fn colour(text: &str) -> Result<[u8; 3], &'static str> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or("this is no colour")?;
    let [_, red, green, blue] = number.to_be_bytes();
    Ok([red, green, blue])
}

/// More than any font has; a wrong path to something large stops here.
const FONT_BYTES_MAX: u64 = 64 << 20;

/// A font of the firm's, whole. Errors: why it cannot be one, in words.
pub(super) fn font(file: &Path) -> Result<Bytes, String> {
    let shown = file.display();
    let failed = |e: std::io::Error| format!("the font {shown} cannot be read: {e}");
    let open = File::open(file).map_err(failed)?;
    let meta = open.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > FONT_BYTES_MAX {
        return Err(format!("{shown} is no file of at most 64 MiB, and so no font"));
    }
    let mut bytes = Vec::new();
    open.take(FONT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let bytes = Bytes::from(bytes);
    if is_font(&bytes) { Ok(bytes) } else { Err(format!("{shown} is no TrueType or OpenType font")) }
}

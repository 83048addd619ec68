//! Typed values of arguments, and what is said of wrong ones.

use clap::ValueEnum;
use ledgerward_contract::{Email, StatementKind};

use crate::{
    config::schema::Format,
    domain::{
        change,
        firm::{BEGINNING, Mode, Unlisted},
    },
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    #[default]
    Text,
    Csv,
    Json,
}

/// One of the three clocks of `decisions` 28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// What was true in the ledger, as we know it now
    Ledger,
    /// What we knew then
    Known,
    /// What was applied on the targets then
    Applied,
}

/// A time that is looked back at: the end of a day, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtArg {
    Day(jiff::civil::Date),
    Instant(ledgerward_contract::Timestamp),
}

/// Reads an [`AtArg`]: a day, or an instant in RFC 3339.
pub fn at(text: &str) -> Result<AtArg, String> {
    if let Ok(day) = jiff::civil::Date::strptime("%Y-%m-%d", text) {
        return Ok(AtArg::Day(day));
    }
    // The parser takes more: a zone's name, no seconds, an offset of hours alone.
    let seconds = text.get(16..19).is_some_and(|s| s.starts_with(':'));
    let offset = text.ends_with(['Z', 'z'])
        || text
            .len()
            .checked_sub(6)
            .and_then(|n| text.get(n..))
            .is_some_and(|o| o.starts_with(['+', '-']) && o.get(3..4) == Some(":") && !o.contains(']'));
    let instant = text.parse().ok().filter(|_| seconds && offset);
    instant.map(AtArg::Instant).ok_or_else(|| {
        "a day is written like 2026-06-30, and an instant like 2026-06-30T14:05:00Z or 2026-06-30T14:05:00+12:00"
            .to_owned()
    })
}

/// The end of a guest's access: the end of a day, or hours from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntilArg {
    Day(jiff::civil::Date),
    Hours(i64),
}

/// Reads an [`UntilArg`].
pub fn until(text: &str) -> Result<UntilArg, String> {
    let hours = text.strip_suffix("hours").or_else(|| text.strip_suffix("hour")).or_else(|| text.strip_suffix('h'));
    if let Some(hours) = hours.and_then(|n| n.trim().parse::<i64>().ok()).filter(|n| (1..=8_784).contains(n)) {
        return Ok(UntilArg::Hours(hours));
    }
    let day = jiff::civil::Date::strptime("%Y-%m-%d", text).map(UntilArg::Day);
    day.map_err(|_| "an end is written like 2026-12-24 or \"8 hours\"".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceKindArg {
    Ledger,
    PracticeClient,
    Roster,
}

impl From<SourceKindArg> for ledgerward_contract::SourceKind {
    fn from(k: SourceKindArg) -> Self {
        match k {
            SourceKindArg::Ledger => Self::Ledger,
            SourceKindArg::PracticeClient => Self::PracticeClient,
            SourceKindArg::Roster => Self::Roster,
        }
    }
}

/// A person as typed: an address, the part of it before the @, a full name, or eight or more digits of the id. Resolved
/// against the firm by [`crate::domain::change::find_person`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonArg(pub String);

/// A client as typed: its slug, its exact name, or eight or more digits of the id. Resolved against the firm by
/// [`crate::domain::change::find_client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientArg(pub String);

impl std::str::FromStr for PersonArg {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        filled(s).map(Self)
    }
}

impl std::str::FromStr for ClientArg {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        filled(s).map(Self)
    }
}

/// An office that can be given. The primary owner's is only handed over.
pub type OfficeArg = crate::domain::firm::Office;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityArg {
    All,
    Any,
    Named { connection: String, id: String },
}

/// `None`: the firm's policy again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlistedArg(pub Option<Unlisted>);

/// `None`: from the financial year in which the client was turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinceArg(pub Option<jiff::civil::Date>);

/// (month, day); `None`: as the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YearEndArg(pub Option<(i8, i8)>);

pub(super) fn since(s: &str) -> Result<SinceArg, String> {
    match s {
        "default" => Ok(SinceArg(None)),
        "beginning" => Ok(SinceArg(Some(BEGINNING))),
        _ => {
            let wrong = |_| "write a day like 2026-07-01, or: beginning, or: default".to_owned();
            s.parse().map(|d| SinceArg(Some(d))).map_err(wrong)
        }
    }
}

pub(super) fn year_end(s: &str) -> Result<YearEndArg, String> {
    if s == "ledger" {
        return Ok(YearEndArg(None));
    }
    let wrong = || "write month and day like 03-31, or: ledger".to_owned();
    let (month, day) = s.split_once('-').ok_or_else(wrong)?;
    let (month, day): (i8, i8) = (month.parse().map_err(|_| wrong())?, day.parse().map_err(|_| wrong())?);
    // A year may end on 29 February, and 2024 has one.
    jiff::civil::Date::new(2024, month, day).map_err(|_| wrong())?;
    Ok(YearEndArg(Some((month, day))))
}

/// `C-7` or `7`.
pub(super) fn change_id(s: &str) -> Result<i64, String> {
    let digits = s.strip_prefix("C-").or_else(|| s.strip_prefix("c-")).unwrap_or(s);
    digits.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write it as C-7: see `ledgerward changes`".to_owned())
}

pub(super) fn filled(s: &str) -> Result<String, String> {
    let s = s.trim();
    if s.is_empty() {
        return Err("it is empty".to_owned());
    }
    if s.chars().any(char::is_control) {
        return Err("it has a line break or another control character in it".to_owned());
    }
    Ok(s.to_owned())
}

pub(super) fn email(s: &str) -> Result<Email, String> {
    Email::parse(s).map_err(|e| e.to_string())
}

pub(super) fn digest(s: &str) -> Result<String, String> {
    let s = s.to_ascii_lowercase();
    if (8..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(s)
    } else {
        Err("a digest is eight or more hex digits, as `plan` and `hold` print them".to_owned())
    }
}

pub(super) fn one_of<T>(found: Option<T>, choices: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("use one of: {choices}"))
}

pub(super) fn mode(s: &str) -> Result<Mode, String> {
    one_of(Mode::parse(s), "all, selected, ledger, ledger+selected")
}

pub(super) fn kind(s: &str) -> Result<StatementKind, String> {
    one_of(StatementKind::parse(s), &StatementKind::ALL.map(StatementKind::slug).join(", "))
}

pub(super) fn format(s: &str) -> Result<Format, String> {
    one_of(Format::parse(s), &Format::ALL.map(Format::slug).join(", "))
}

pub(super) fn office(s: &str) -> Result<OfficeArg, String> {
    match s {
        "primary-owner" => Err("there is exactly one primary owner: see `ledgerward people hand-over`".to_owned()),
        _ => one_of(change::parse_office(s), "owner, admin, employee, viewer, custom:NAME"),
    }
}

pub(super) fn authority(s: &str) -> Result<AuthorityArg, String> {
    match s {
        "all" => Ok(AuthorityArg::All),
        "any" => Ok(AuthorityArg::Any),
        _ => match s.split_once(':') {
            Some((connection, id)) if !connection.is_empty() && !id.is_empty() => {
                Ok(AuthorityArg::Named { connection: connection.to_owned(), id: id.to_owned() })
            }
            _ => Err("use all, any, or CONNECTION:ID of one of the client's sources".to_owned()),
        },
    }
}

pub(super) fn unlisted(s: &str) -> Result<UnlistedArg, String> {
    match s {
        "default" => Ok(UnlistedArg(None)),
        _ => one_of(change::parse_unlisted(s), "manual, deny, roster, default").map(|u| UnlistedArg(Some(u))),
    }
}

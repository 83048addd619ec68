//! From which day on a client's statements are made.

use std::collections::BTreeMap;

use jiff::Span;
use ledgerward_contract::{ClientId, Date, PeriodLength, SourceKind, SourceRef};

use crate::{
    app::App,
    cli::outcome::Failure,
    domain::firm::{BEGINNING, Client},
    statement::YearEnd,
};

/// The day of the first delivery of each client's ledger, by [`place`].
pub const FIRST: &str = "first_delivery";

/// "From the beginning of the books" goes back so far: no ledger says when its books begin, and each period is a question to
/// the provider and a file in the folder.
const YEARS: i32 = 10;

/// Where a ledger's first day is kept.
pub fn place(client: ClientId, ledger: &SourceRef) -> String {
    format!("{client}/{}", crate::memory::source_key(ledger))
}

/// Turning a client on back-fills to the start of the financial year that a day of three months before is in; `clients since`
/// bounds it otherwise. `first` is the day of the first delivery and not today: what was due once stays so.
pub fn since(client: &Client, first: Date, year_end: YearEnd) -> Date {
    let year_before = |span: Span| year_end.containing(first.saturating_sub(span), PeriodLength::Year).start;
    match client.statements_since {
        None => year_before(Span::new().months(3)),
        Some(day) if day == BEGINNING => year_before(Span::new().years(YEARS)),
        Some(day) => day,
    }
}

/// The first days of all ledgers. Those of these clients' that have none begin today; so do those of a day to come, which a
/// clock that was wrong left.
pub(super) async fn firsts<'c>(
    app: &App,
    clients: impl Iterator<Item = &'c Client>,
    today: Date,
) -> Result<BTreeMap<String, Date>, Failure> {
    let mut kept: BTreeMap<String, Date> = app.store.run(|db| db.doc_all(FIRST)).await?;
    let ledgers = |c: &'c Client| c.sources.iter().filter(|s| s.kind == SourceKind::Ledger).map(|s| place(c.id, s));
    let new: Vec<String> =
        clients.flat_map(ledgers).filter(|place| kept.get(place).is_none_or(|day| *day > today)).collect();
    if !new.is_empty() {
        kept.extend(new.iter().map(|place| (place.clone(), today)));
        app.store.run(move |db| db.tx(|db| new.iter().try_for_each(|place| db.doc_put(FIRST, place, &today)))).await?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::firm::{Authority, ClientState};
    use jiff::civil::date;

    #[test]
    fn the_default_and_the_beginning_hang_on_the_first_day_alone() {
        let id = ClientId(uuid::Uuid::from_u128(1));
        let mut client = Client {
            id,
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            state: ClientState::Active,
            private_to: None,
            sources: [].into(),
            authority: Authority::All,
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: None,
            statements_since: None,
        };
        let since = |client: &Client, first| since(client, first, YearEnd::CALENDAR);
        assert_eq!(since(&client, date(2026, 3, 15)), date(2025, 1, 1));
        assert_eq!(since(&client, date(2026, 4, 15)), date(2026, 1, 1));
        client.statements_since = Some(BEGINNING);
        assert_eq!(since(&client, date(2026, 4, 15)), date(2016, 1, 1));
        client.statements_since = Some(date(2026, 2, 1));
        assert_eq!(since(&client, date(2026, 4, 15)), date(2026, 2, 1));
    }
}

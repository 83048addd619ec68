//! What a source that lists nobody said last. It stands for a while, because asking again would cost the firm and say nothing
//! about anybody: QuickBooks meters its reads, and statements need them.
//!
//! Only a whole answer stands, of a source without lists of users; a failure, a new sign-in and another configuration are
//! followed by a question at once, and so is a person who asks.

use std::{collections::BTreeMap, time::Duration};

use ledgerward_contract::{Error, ErrorKind, LedgerId, LedgerRow, LedgerSource, Seats, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cli::outcome::Failure,
    gather::{self, ConnectionReading, Known, ReadOutcome, Reading, Wanted},
    store::StoreError,
    world::{Reach, Source},
};

const TOLD: &str = "told";

/// What one sign-in said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    at: Timestamp,
    /// As [`Source::configured`] and [`Reach::given`].
    configured: String,
    given: Option<Timestamp>,
    pub rows: Vec<LedgerRow>,
    pub ledgers: BTreeMap<LedgerId, Nobody>,
}

/// A ledger that lists no users: why, and how many it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nobody {
    why: String,
    seats: Option<Seats>,
}

impl Nobody {
    /// As it was read then.
    pub fn again(&self) -> (ReadOutcome, Option<Seats>) {
        (ReadOutcome::Failed(Error::new(ErrorKind::Unsupported, "access.list", self.why.clone())), self.seats)
    }
}

impl Told {
    /// With its list of ledgers, before they were read.
    pub fn begun(at: Timestamp, configured: &str, given: Option<Timestamp>, rows: Vec<LedgerRow>) -> Self {
        Self { at, configured: configured.to_owned(), given, rows, ledgers: BTreeMap::new() }
    }

    /// With one ledger. `None` where it lists users, or could not be read.
    pub fn with(mut self, read: &Reading) -> Option<Self> {
        let ReadOutcome::Failed(e) = &read.outcome else { return None };
        let nobody = Nobody { why: e.message.clone(), seats: read.seats };
        self.ledgers.insert(read.source.id.as_str().into(), nobody);
        (e.kind == ErrorKind::Unsupported).then_some(self)
    }

    /// Each of its ledgers was read.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().filter(|r| r.is_ledger).all(|r| self.ledgers.contains_key(&r.id))
    }

    fn stands(&self, source: &Source, reach: &Reach, life: Duration, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        // A clock that was set back makes it no younger.
        !age.is_negative()
            && age.unsigned_abs() < life
            && self.configured == source.configured
            && self.given == reach.given
    }
}

/// How long what a source says stands. One that lists users is asked in each run, whatever it says.
fn life(source: &Source) -> Option<Duration> {
    source.connector.ledgers().and_then(LedgerSource::stands).filter(|_| source.manifest.access.is_none())
}

/// Reads one connection as [`gather::source`] does, without asking for what stands, unless it is to be `fresh`; and keeps what
/// it says for the next time.
pub async fn source(
    app: &App,
    source: &Source,
    mut known: Known,
    wanted: &Wanted,
    fresh: bool,
    now: Timestamp,
) -> Result<ConnectionReading, Failure> {
    let Some(life) = life(source) else { return Ok(gather::source(source, &known, wanted, now).await) };
    let key = |sign_in: &str| format!("{}/{sign_in}", source.name);
    if !fresh {
        let mut kept: BTreeMap<String, Told> = app.store.run(|db| db.doc_all(TOLD)).await?;
        let ways = source.reaches.iter().filter_map(|reach| Some((reach, kept.remove(&key(&reach.sign_in))?)));
        let stands = ways.filter(|(reach, told)| told.stands(source, reach, life, now));
        known.told = stands.map(|(reach, told)| (reach.sign_in.clone(), told)).collect();
    }
    let reading = gather::source(source, &known, wanted, now).await;
    let said: Vec<_> = reading.told.iter().map(|(sign_in, told)| (key(sign_in), told.clone())).collect();
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (key, told) in &said {
                    match told {
                        Some(told) => db.doc_put(TOLD, key, told)?,
                        None => drop(db.doc_delete(TOLD, key)?),
                    }
                }
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    Ok(reading)
}

#[cfg(test)]
mod tests;

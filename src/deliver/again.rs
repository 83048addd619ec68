//! What was in a folder once and is there no more goes again as it was, from the store: neither its ledger nor what is due
//! now has a say in that.

use ledgerward_contract::{AccountId, FileKey, StatementRequest};

use super::{Job, books::Books, door::Door};
use crate::{
    cli::outcome::Failure,
    domain::lane::LaneKey,
    statement::{Format, StatementKey, naming},
};

impl<'a> Job<'a> {
    /// The newest version of every statement and document of this ledger that the store has, where that is of use.
    pub(super) async fn kept(&self, books: &Books<'_>) -> Result<Vec<(StatementKey, u32)>, Failure> {
        let part = self.only.period.is_some() || self.only.kind.is_some();
        if !part && self.doors.iter().all(|d| d.lost.is_empty()) {
            return Ok(Vec::new());
        }
        let client = self.client.id.to_string();
        let rows = self.app.store.run(move |db| db.statements_of(&client)).await?;
        let keys = rows.into_iter().filter_map(|(key, version)| Some((StatementKey::parse(&key)?, version)));
        let asked = |key: &StatementKey| {
            let label = books.year_end.label(&key.request.period);
            self.only.kind.is_none_or(|kind| kind == key.request.kind)
                && self.only.period.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(&label))
        };
        let here = |key: &StatementKey| key.connection == books.reference.connection && key.ledger == books.ledger;
        Ok(keys.filter(|(key, _)| here(key) && asked(key)).collect())
    }

    fn has_lost(&self, key: &StatementKey, version: u32, ext: &str) -> bool {
        let file = key.file_key(version, ext);
        self.doors.iter().any(|d| d.lost.contains(&file))
    }

    /// The lists with a document that some folder lost: only their source has its bytes.
    pub(super) fn lists_again(&self, kept: &[(StatementKey, u32)]) -> Vec<StatementRequest> {
        let documents = kept.iter().filter(|(key, _)| key.item.is_some());
        let lost = documents.filter(|(key, newest)| (1..=*newest).any(|v| self.has_lost(key, v, "doc")));
        // As they are asked for now: one that was delivered under another basis is the same list.
        let now = |request: &StatementRequest| StatementRequest {
            basis: naming::basis_of(request.kind, request.basis),
            ..request.clone()
        };
        let mut lists: Vec<StatementRequest> = lost.map(|(key, _)| now(&key.request)).collect();
        lists.dedup();
        lists
    }

    /// Sends every version again where it was and is no more: all are kept, the new and the old (`product` 6).
    pub(super) async fn send_again(
        &mut self,
        books: &Books<'a>,
        kept: &[(StatementKey, u32)],
        several: bool,
    ) -> Result<(), Failure> {
        for (key, newest) in kept.iter().filter(|(key, _)| key.item.is_none()) {
            for version in 1..=*newest {
                if !Format::ALL.iter().any(|f| self.has_lost(key, version, f.ext())) {
                    continue;
                }
                self.unasked.extend(self.not_asked(books, key, version));
                let (lost, text) = (self.lost(books, key, version), key.text());
                if lost.is_empty() {
                    continue;
                }
                if let Some(old) = self.app.store.run(move |db| db.statement_at(&text, version)).await? {
                    self.push_to(books, key, &old, several, lost, false).await?;
                }
            }
        }
        Ok(())
    }

    /// The files that a folder lost and that the settings ask for no more.
    fn not_asked(&self, books: &Books<'_>, key: &StatementKey, version: u32) -> Vec<(LaneKey, FileKey)> {
        let of = |(at, door): (usize, &Door<'_>)| {
            let chosen = |account: &AccountId| self.chooses(books, account);
            let wanted = self.wanted_formats(at, key, chosen).unwrap_or_default();
            let not_asked = Format::ALL.into_iter().filter(|f| !wanted.contains(f));
            let lost = not_asked.map(|f| key.file_key(version, f.ext())).filter(|file| door.lost.contains(file));
            lost.map(|file| (door.lane.clone(), file)).collect::<Vec<_>>()
        };
        self.doors.iter().enumerate().flat_map(of).collect()
    }
}

//! Private books: which acts on them are their person's own business, and what others learn of the rest (`product` 4, 5).

use ledgerward_contract::{ClientId, SourceRef};

use super::{
    Actor, By, ChangeOp, Client, ClientState, Firm, Permission, Person, PersonId, enabled, publish::break_glass,
    require, touches::touched_client,
};

/// Somebody's private books, with whom their person named. Their names are that person's alone; how many there are is the
/// firm's when the person leaves.
#[derive(Clone, Debug)]
pub struct Books<'f> {
    pub client: &'f Client,
    /// Everybody who was named in a share that was not ended. They have the folder only while the books are kept.
    pub with: Vec<&'f Person>,
}

/// A person's private books, in order of their ids: all of them, closed ones too.
pub fn books_of(firm: &Firm, person: PersonId) -> Vec<Books<'_>> {
    let own = firm.clients.values().filter(|c| c.private_to == Some(person));
    own.map(|client| {
        let named = firm.selections.keys().filter(|(_, of)| *of == client.id);
        Books { client, with: named.filter_map(|(p, _)| firm.people.get(p)).collect() }
    })
    .collect()
}

/// Whose private books an act is about.
fn owner_of(firm: &Firm, op: &ChangeOp) -> Option<PersonId> {
    touched_client(op).and_then(|id| firm.clients.get(&id)).and_then(|c| c.private_to)
}

/// What reaches beyond somebody's own books: a ledger of the firm's connections goes into them and out of everybody's sight,
/// whether it was seen there before or comes tomorrow; or they become everybody's.
const fn goes_beyond(op: &ChangeOp) -> bool {
    matches!(op, ChangeOp::BindSource { .. } | ChangeOp::ConvertPrivate { .. })
}

/// Of their own books, nothing else is anybody's to look at before it holds.
pub(super) fn own_business(firm: &Firm, actor: PersonId, op: &ChangeOp) -> bool {
    owner_of(firm, op) == Some(actor) && !goes_beyond(op)
}

/// Their person may always give less of their own books, in whatever role: else a share would outlive the right to end it.
pub(super) fn gives_less(firm: &Firm, op: &ChangeOp, by: By) -> bool {
    let less = matches!(
        op,
        ChangeOp::Unselect { .. }
            | ChangeOp::RenameClient { .. }
            | ChangeOp::UnbindSource { .. }
            | ChangeOp::SetClientState { state: ClientState::Closed, .. }
    );
    matches!(by.actor, Actor::Person(p) if less && owner_of(firm, op) == Some(p) && enabled(firm, p).is_ok())
}

/// Whose private act it is that somebody else publishes: it is within its author's rights and not within the publisher's,
/// for whom these books are not there. Nobody's, where the act is no such one.
pub(super) fn author_of(firm: &Firm, op: &ChangeOp, author: Option<PersonId>) -> Option<PersonId> {
    author.filter(|a| goes_beyond(op) && owner_of(firm, op) == Some(*a))
}

/// Whether `judge` can judge what `author` staged: somebody else's act, of private books only what goes beyond them, and no
/// break-glass that lost one of its two people.
pub fn can_judge(firm: &Firm, op: &ChangeOp, author: Option<PersonId>, judge: PersonId) -> bool {
    let publishes = || require(firm, judge, Permission::Publish).is_ok();
    let within = owner_of(firm, op).is_some() && author_of(firm, op, author).is_none();
    let alone = || break_glass(op) && author.is_some_and(|a| enabled(firm, a).is_err());
    author != Some(judge) && !within && !alone() && publishes()
}

/// What others are told of an act that goes beyond somebody's own books: whose they are and what of the firm's it takes. The
/// books' own name comes only with the act that makes it everybody's.
pub(super) fn words_for_others(firm: &Firm, op: &ChangeOp) -> Option<String> {
    let owner = firm.people.get(&owner_of(firm, op)?)?;
    match op {
        ChangeOp::BindSource { client, source } => {
            let proposed = proposals(firm, *client, source);
            let ledger = proposed.first().map_or_else(|| source.id.clone(), |p| format!("{} ({})", p.name, source.id));
            let closed = proposed.iter().filter(|p| p.sources.len() == 1);
            let closed: String = closed.map(|p| format!("; the proposed client {} is closed", p.slug)).collect();
            let taken: String =
                given_up(firm, *client, source).iter().map(|(_, from)| format!("; {}", taken_from(from))).collect();
            let connection = &source.connection;
            Some(format!("private books of {} take the ledger {ledger} of {connection}{closed}{taken}", owner.email))
        }
        ChangeOp::ConvertPrivate { client } => {
            let books = firm.clients.get(client)?;
            Some(format!(
                "private books of {}, {} ({}), become an ordinary client, on every target",
                owner.email, books.name, books.slug
            ))
        }
        _ => None,
    }
}

/// Proposed clients that a binding of their source answers.
pub(super) fn proposals<'f>(firm: &'f Firm, except: ClientId, source: &SourceRef) -> Vec<&'f Client> {
    let is = |c: &&Client| c.id != except && c.state == ClientState::Proposed && c.sources.contains(source);
    firm.clients.values().filter(is).collect()
}

/// Private books with this source whose person is shut: what somebody took along who left would else be lost to the firm.
pub(super) fn given_up<'f>(firm: &'f Firm, except: ClientId, source: &SourceRef) -> Vec<(&'f Client, &'f Person)> {
    let with = firm.clients.values().filter(|c| c.id != except && c.sources.contains(source));
    with.filter_map(|c| Some((c, firm.people.get(&c.private_to?).filter(|p| p.shut())?))).collect()
}

pub(super) fn taken_from(person: &Person) -> String {
    format!("it is taken from private books of {}, who is disabled or closed", person.email)
}

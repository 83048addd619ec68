//! Four eyes: what waits until somebody else publishes it (`product` 5).

use super::{
    Actor, By, ChangeOp, Effect, Firm, Permission, PersonId, Refusal, apply, change_as, person, private, refuse,
    require,
    rights::{adds_their_own, needs_publishing},
};

/// Whether these acts of this person wait until somebody publishes them. Break-glass always does: that is its second person.
/// What gives nobody anything does not, nor what stays within somebody's private books. `four_eyes`: the firm's setting.
pub fn waits(firm: &Firm, actor: PersonId, ops: &[ChangeOp], four_eyes: Option<bool>) -> bool {
    ops.iter().any(break_glass)
        || (needs_publishing(firm, actor, four_eyes) && !ops.iter().all(|op| own_business(firm, actor, op)))
}

pub(super) const fn break_glass(op: &ChangeOp) -> bool {
    matches!(op, ChangeOp::AddGuest { guest, .. } if guest.break_glass)
}

/// That what waits for a second person can get one: break-glass that nobody could publish must not be left lying as if help
/// were on its way.
pub fn can_be_seconded(firm: &Firm, actor: PersonId, ops: &[ChangeOp]) -> Result<(), Refusal> {
    let may = |p: PersonId, permission| require(firm, p, permission).is_ok();
    let second = |p: &PersonId| *p != actor && may(*p, Permission::Publish) && may(*p, Permission::Guests);
    if !ops.iter().any(break_glass) || firm.people.keys().any(second) {
        return Ok(());
    }
    refuse(
        "break-glass access needs a second owner, and there is none",
        "Make one first: ledgerward people office PERSON owner --mode MODE. Or let the ledger grant it.",
    )
}

fn own_business(firm: &Firm, actor: PersonId, op: &ChangeOp) -> bool {
    match op {
        ChangeOp::AddPrivate { .. } => true,
        ChangeOp::EditPerson { person, email: None, .. } => *person == actor,
        // Theirs, and bound to no ledger and no folder.
        ChangeOp::AddClient { .. } => adds_their_own(firm, actor),
        _ => private::own_business(firm, actor, op),
    }
}

/// What the acts would come to, without the second person that some still need. For showing and for staging.
pub fn rehearse(firm: &Firm, ops: &[ChangeOp], by: By) -> Result<(Firm, Vec<Effect>), (usize, Refusal)> {
    let mut next = firm.clone();
    let effects = ops.iter().enumerate().map(|(i, op)| change_as(&mut next, op, by, true).map_err(|r| (i, r)));
    let effects = effects.collect::<Result<_, _>>()?;
    Ok((next, effects))
}

/// Publishes one staged act: it is tried again on the firm of now, with the publisher's own rights. `author`: who staged it,
/// where it is known; nobody publishes their own.
pub fn publish(firm: &Firm, op: &ChangeOp, author: Option<PersonId>, by: By) -> Result<(Firm, Effect), Refusal> {
    let Actor::Person(publisher) = by.actor else {
        return refuse("only a person publishes a change", "Say who acts with --as EMAIL.");
    };
    require(firm, publisher, Permission::Publish)?;
    if author == Some(publisher) {
        return refuse("this is your own change", "Four eyes: another owner must publish it.");
    }
    match op {
        ChangeOp::AddGuest { guest, extends, .. } if guest.break_glass => {
            let author = author.map(|id| person(firm, id)).transpose()?.map(|p| p.id);
            apply(firm, &ChangeOp::AddGuest { guest: guest.clone(), second: author, extends: *extends }, by)
        }
        _ => carried(firm, op, author, by, false),
    }
}

/// What a staged act would do for somebody who publishes it, without asking whether they may.
pub fn foresee(firm: &Firm, op: &ChangeOp, author: Option<PersonId>, by: By) -> Result<(Firm, Effect), Refusal> {
    carried(firm, op, author, by, true)
}

fn carried(
    firm: &Firm,
    op: &ChangeOp,
    author: Option<PersonId>,
    by: By,
    alone: bool,
) -> Result<(Firm, Effect), Refusal> {
    let mut next = firm.clone();
    let effect = match private::author_of(firm, op, author) {
        // These books are there for their person alone, so it is that person's rights that must still allow it.
        Some(author) => {
            let effect = change_as(&mut next, op, By { actor: Actor::Person(author), ..by }, alone)?;
            let summary = private::words_for_others(firm, op).unwrap_or_else(|| effect.summary.clone());
            Effect { summary, ..effect }
        }
        None => change_as(&mut next, op, by, alone)?,
    };
    Ok((next, effect))
}

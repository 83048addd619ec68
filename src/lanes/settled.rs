//! Which lanes' plans are behind them. A lane with nothing to do is done only if this run saw it whole: else one bad hour of a
//! source or a target would take in settings that nobody has seen the effect of (`decisions` 13).

use std::collections::BTreeSet;

use super::{APPROVED, Book, FIRST, LEFT, POLICY, SEEN_CHANGE, TAKEN, lane_text};
use crate::{
    app::App,
    cli::outcome::Failure,
    domain::{
        fact::Why,
        firm::{PersonId, TargetName},
        lane::{Cause, LaneKey, Step},
        plan::LanePlan,
        policy::{Because, DesiredLane},
    },
    engine::{Ask, Picture},
};

/// What the sources of a lane's client left unsaid in this run, the lesser first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaid {
    #[default]
    Nothing,
    /// A source said something of somebody that is not believed before it says it again.
    OfSomebody,
    /// A source said nothing.
    All,
}

/// For whom somebody waits in this lane. Doubt about one person, which only a person can end, is no reason: it would keep the
/// lane open for ever.
pub(super) fn unsaid(lane: &DesiredLane<'_>, ask: &Ask) -> Unsaid {
    let mut sources = lane.client.iter().flat_map(|c| &c.sources);
    // What is not asked at all speaks as it last did, and did so under the settings of that time.
    if ask.offline || sources.any(|s| ask.skip.contains(&s.connection)) {
        return Unsaid::All;
    }
    let of = |because: &Because| match because {
        Because::NotReadYet => Unsaid::All,
        Because::LedgerUnknown(_, why) => match why {
            Why::Unreadable | Why::LostSight | Why::SuddenlyEmpty | Why::OnceListed | Why::NeverRead => Unsaid::All,
            Why::AbsentOnce | Why::Flapping | Why::NewOnce | Why::FirstReading => Unsaid::OfSomebody,
            _ => Unsaid::Nothing,
        },
        _ => Unsaid::Nothing,
    };
    lane.held.iter().map(|(_, because)| of(because)).max().unwrap_or(Unsaid::Nothing)
}

/// What a run leaves behind it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Behind {
    /// Lanes that take in their settings.
    lanes: BTreeSet<LaneKey>,
    /// Lanes whose first plan is behind them.
    begun: BTreeSet<LaneKey>,
    /// Targets whose first plan was approved.
    targets: BTreeSet<TargetName>,
    /// Lanes of those that nobody saw: they keep a first plan of their own.
    first: BTreeSet<LaneKey>,
}

/// `done`: lanes of which nothing was held and nothing failed, and those among them that had something to do (`worked`);
/// `open`: lanes of which something was; `approved`: lanes with a step of changed settings that a person approved.
fn behind(
    book: &Book,
    whole: bool,
    (done, worked): (&BTreeSet<LaneKey>, &BTreeSet<LaneKey>),
    (open, approved): (&BTreeSet<LaneKey>, &BTreeSet<LaneKey>),
) -> Behind {
    let known = |key: &LaneKey, is: fn(&super::Known) -> bool| book.lanes.get(key).is_some_and(is);
    // Whoever approved what the settings do has seen it. With one ledger dead for good, the lane would else hold each later
    // removal for the same settings again.
    let seen = |key: &&LaneKey| {
        known(key, super::Known::in_sight) || (approved.contains(*key) && known(key, super::Known::reached))
    };
    let lanes = done.iter().filter(seen).cloned().collect();
    // Somebody whom a source has to name once more changes nothing about what was approved and done. Where nothing was, nobody
    // has seen yet what comes of that one.
    let first = |key: &&LaneKey| {
        known(key, super::Known::in_sight) || (worked.contains(*key) && known(key, super::Known::heard))
    };
    let begun: BTreeSet<LaneKey> = done.iter().filter(first).cloned().collect();
    // A run over all clients that held nothing of the target, and whose every folder went through. While a part is still to
    // do, what was not shown with it is held: neither a plan for one client nor half an approved one opens a target for the
    // rest. What nobody could see waits by itself, or one dead ledger would hold the target for ever.
    let through =
        |t: &&TargetName| whole && !open.iter().any(|l| l.target == **t) && begun.iter().any(|l| l.target == **t);
    let targets: BTreeSet<TargetName> = book.first.iter().filter(through).cloned().collect();
    let unseen = done.iter().filter(|l| targets.contains(&l.target) && !begun.contains(*l));
    Behind { first: unseen.cloned().collect(), targets, lanes, begun }
}

/// Writes down which lanes' and targets' plans went through. `done`: lanes of which nothing was held and nothing failed;
/// `taken`: those of the others out of which everybody went who was to go.
pub async fn settled(
    app: &App,
    picture: &Picture,
    done: &BTreeSet<LaneKey>,
    taken: &BTreeSet<LaneKey>,
) -> Result<(), Failure> {
    // The plan of a revoke (no epoch) asks no provider, and of what it planned only the revokes were done.
    if picture.epoch.is_none() {
        return Ok(());
    }
    let held = picture.verdict.held.iter().flat_map(|h| &h.lanes).map(|l| &l.lane);
    let failed = picture.verdict.cleared.lanes().iter().map(|l| &l.lane).filter(|l| !done.contains(*l));
    let open = held.chain(failed).cloned().collect();
    let worked =
        picture.verdict.cleared.lanes().iter().filter(|l| !l.steps.is_empty()).map(|l| l.lane.clone()).collect();
    let by_settings = |l: &&LanePlan| {
        let approved = |s: &Step| picture.approved_steps.contains(&(l.lane.clone(), s.op.clone()));
        l.steps.iter().any(|s| s.reason.cause == Cause::Policy && approved(s))
    };
    let approved = picture.verdict.cleared.lanes().iter().filter(by_settings).map(|l| l.lane.clone()).collect();
    let behind = behind(&picture.book, picture.clients.is_none(), (done, &worked), (&open, &approved));
    let (now, last) = (picture.now, picture.book.last_change);
    let known = |key: &LaneKey| picture.book.lanes.get(key).map(|k| (lane_text(key), k.policy.clone()));
    let rows: Vec<(String, String)> = behind.lanes.iter().filter_map(known).collect();
    let begun: Vec<String> = {
        let first = |key: &&LaneKey| picture.book.lanes.get(*key).is_some_and(|k| k.first);
        behind.begun.iter().filter(first).map(lane_text).collect()
    };
    // Every one whose folder was seen takes in the firm's changes so far, whatever its ledgers say: a change outweighs what a
    // source says, so one that waited for a ledger for weeks would let its removals past the gates, and its grants past a hold
    // of the settings. Where the folder was not seen the change is still to be carried out.
    let reached = |key: &&LaneKey| picture.book.lanes.get(*key).is_some_and(super::Known::reached);
    // But not whom it could not take off an archived client's list, or while nobody is taken off any: with the markers alone
    // nobody would know any more, once they go, that somebody decided it. The markers of a whole folder do not stand still for
    // one person, perhaps for years: everybody else's old changes would then outweigh their sources.
    let still = |plan: &LanePlan| {
        let known = picture.book.lanes.get(&plan.lane).filter(|k| k.reached())?;
        let mut left = plan.left.clone();
        // Of whoever waits for a source nothing new is known.
        let waits = |who: &PersonId| {
            let address = picture.firm.people.get(who).map(|p| p.address_on(&plan.lane.target));
            plan.held.iter().any(|h| Some(&h.who) == address)
        };
        for (who, change) in known.left.iter().filter(|(who, _)| waits(who)) {
            left.entry(*who).or_insert_with(|| change.clone());
        }
        (left != known.left).then(|| (lane_text(&plan.lane), left))
    };
    let past = |plan: &&LanePlan| done.contains(&plan.lane) || taken.contains(&plan.lane);
    let left: Vec<_> = picture.verdict.cleared.lanes().iter().filter(past).filter_map(still).collect();
    let texts: Vec<String> = done.iter().filter(reached).map(lane_text).collect();
    let taken: Vec<String> = taken.iter().filter(reached).map(lane_text).collect();
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (key, policy) in &rows {
                    if db.doc_get::<String>(POLICY, key)?.as_ref() != Some(policy) {
                        db.doc_put(POLICY, key, policy)?;
                    }
                }
                for key in &begun {
                    db.doc_delete(FIRST, key)?;
                }
                for key in &texts {
                    if db.doc_get::<i64>(SEEN_CHANGE, key)? != Some(last) {
                        db.doc_put(SEEN_CHANGE, key, &last)?;
                    }
                }
                for key in &taken {
                    if db.doc_get::<i64>(TAKEN, key)? != Some(last) {
                        db.doc_put(TAKEN, key, &last)?;
                    }
                }
                for (key, left) in &left {
                    match left.is_empty() {
                        true => db.doc_delete(LEFT, key).map(drop)?,
                        false => db.doc_put(LEFT, key, left)?,
                    }
                }
                for lane in &behind.first {
                    db.doc_put(FIRST, &lane_text(lane), &now)?;
                }
                for target in &behind.targets {
                    db.doc_put(APPROVED, &target.0, &now)?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientId, FolderKey};

    use super::{super::Known, *};

    fn key(n: u128) -> LaneKey {
        let client = ClientId(uuid::Uuid::from_u128(n));
        LaneKey { target: TargetName("drive".to_owned()), folder: FolderKey { client, account: None } }
    }

    fn known(unsaid: Unsaid) -> Known {
        Known { unsaid, first: true, ..Known::default() }
    }

    #[test]
    fn a_first_plan_that_went_through_is_behind_although_somebody_is_to_be_named_once_more() {
        let said = [Unsaid::OfSomebody, Unsaid::OfSomebody, Unsaid::All];
        let lanes = (0..).zip(said).map(|(n, unsaid)| (key(n), known(unsaid))).collect();
        let book = Book { lanes, first: [key(0).target].into(), ..Book::default() };
        let done: BTreeSet<LaneKey> = (0..3).map(key).collect();
        let worked: BTreeSet<LaneKey> = [key(0), key(2)].into();
        let none = BTreeSet::new();
        let found = behind(&book, true, (&done, &worked), (&none, &none));
        assert_eq!(found.targets, [key(0).target].into());
        assert_eq!(found.begun, [key(0)].into());
        assert_eq!(
            found.first,
            [key(1), key(2)].into(),
            "nobody saw what comes of the one, and of the other's ledger anything"
        );
        assert!(found.lanes.is_empty(), "settings wait until everybody is said");
        let found = behind(&book, true, (&[key(2)].into(), &worked), (&none, &none));
        assert!(found.targets.is_empty(), "nothing of it was seen");
        let found = behind(&book, true, (&done, &worked), (&[key(1)].into(), &none));
        assert!(found.targets.is_empty(), "something of it is still to do");
    }

    #[test]
    fn settings_are_behind_a_lane_whose_effect_was_approved_and_done_although_a_ledger_is_dead() {
        let unread = Known { unreadable: Some("down".to_owned()), ..known(Unsaid::Nothing) };
        let lanes = [(key(0), known(Unsaid::All)), (key(1), known(Unsaid::All)), (key(2), unread)].into();
        let book = Book { lanes, ..Book::default() };
        let (all, none): (BTreeSet<LaneKey>, _) = ((0..3).map(key).collect(), BTreeSet::new());
        let approved: BTreeSet<LaneKey> = [key(0), key(2)].into();
        let found = behind(&book, true, (&all, &none), (&none, &approved));
        assert_eq!(found.lanes, [key(0)].into(), "where nothing was approved nobody has seen what comes of them");
        let found = behind(&book, true, (&[key(1)].into(), &none), (&[key(0)].into(), &approved));
        assert!(found.lanes.is_empty(), "some of it is still to do");
    }
}

//! Which holds are open after a run.
//!
//! A run over all clients says it by itself. One over some clients, or one that asked no provider, says nothing of the rest: a
//! hold that reaches beyond what was looked at stays open as it was shown, because its digest is still the one that a person
//! approves. What the daemon's second look at a few clients holds of it is no hold of its own: approved by itself it would be
//! another digest than the next whole run has, and nothing would be done. Where a person asked for these clients it is one:
//! approved, it is what the same command then does, and nothing else. Where something of an open hold is not there any more,
//! the next run over all clients names the hold anew, and until then an approval of it lets nothing happen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{engine::Ask, store::HoldRow};

/// What is to be kept, and what is told of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// Every hold that is open now: its digest and its body.
    pub open: Vec<(String, Value)>,
    /// Holds that are a part of an open one, by their digest: the digest of that.
    pub parts: BTreeMap<String, String>,
}

/// `open`: the holds that were open before; `found`: those of this run.
pub(super) fn after(ask: &Ask, open: Vec<HoldRow>, found: Vec<(String, Value)>) -> Kept {
    let asked: Option<BTreeSet<String>> = ask.clients.as_ref().map(|c| c.iter().map(ToString::to_string).collect());
    let looked_at = |hold: &HoldRow| {
        !ask.offline && asked.as_ref().is_none_or(|asked| clients(&hold.body).all(|client| asked.contains(client)))
    };
    let stays: Vec<HoldRow> = open.into_iter().filter(|hold| !looked_at(hold)).collect();
    let mut kept = Kept::default();
    for (digest, body) in found {
        let whole = stays.iter().find(|whole| !ask.fresh && whole.digest != digest && is_part(&body, &whole.body));
        match whole {
            Some(whole) => drop(kept.parts.insert(digest, whole.digest.clone())),
            None => kept.open.push((digest, body)),
        }
    }
    let stays = stays.into_iter().filter(|old| !kept.open.iter().any(|(digest, _)| *digest == old.digest));
    let stays: Vec<_> = stays.map(|old| (old.digest, old.body)).collect();
    kept.open.extend(stays);
    kept
}

fn lanes(hold: &Value) -> impl Iterator<Item = &Value> {
    hold.get("lanes").and_then(Value::as_array).into_iter().flatten()
}

fn clients(hold: &Value) -> impl Iterator<Item = &str> {
    lanes(hold).filter_map(|lane| lane.pointer("/lane/folder/client").and_then(Value::as_str))
}

/// Whether everything that is held here is held there for the same cause. Which limit it is counts for nothing, for of fewer
/// clients another one may trip first; but no approval lifts a freeze.
fn is_part(hold: &Value, whole: &Value) -> bool {
    let freeze = |hold: &Value| hold.get("gate").and_then(Value::as_str) == Some("freeze");
    let steps = steps(whole);
    hold.get("cause") == whole.get("cause") && freeze(hold) == freeze(whole) && self::steps(hold).is_subset(&steps)
}

/// The steps of a hold, each as text: its lane, what it does, and why.
fn steps(hold: &Value) -> BTreeSet<String> {
    let of =
        |lane: &Value, step: &Value| format!("{:?} {:?} {:?}", lane.get("lane"), step.get("op"), step.get("cause"));
    let steps = |lane| move |step| of(lane, step);
    lanes(hold).flat_map(|l| l.get("steps").and_then(Value::as_array).into_iter().flatten().map(steps(l))).collect()
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{ClientId, Timestamp};
    use serde_json::json;

    use super::*;

    fn client(n: u128) -> ClientId {
        ClientId(uuid::Uuid::from_u128(n))
    }

    fn body(gate: &str, of: impl IntoIterator<Item = u128>) -> Value {
        let lane = |n| {
            json!({
                "lane": {"target": "drive", "folder": {"client": client(n)}},
                "steps": [{"op": {"grant": {"who": "bob@harbour.example", "role": "reader"}}, "cause": "policy", "because": "now"}],
            })
        };
        json!({"gate": gate, "cause": "policy", "lanes": of.into_iter().map(lane).collect::<Vec<_>>()})
    }

    fn row(digest: &str, body: Value) -> HoldRow {
        HoldRow { digest: digest.to_owned(), run: 1, at: Timestamp::UNIX_EPOCH, body }
    }

    fn of(clients: &[u128]) -> Ask {
        Ask { clients: Some(clients.iter().map(|n| client(*n)).collect()), ..Ask::default() }
    }

    fn digests(kept: &Kept) -> Vec<&str> {
        kept.open.iter().map(|(digest, _)| digest.as_str()).collect()
    }

    #[test]
    fn a_look_at_some_clients_ends_no_hold_of_others() {
        let before = || vec![row("all", body("removed", [1, 2, 3])), row("one", body("folder", [1]))];
        let kept = after(&Ask::default(), before(), vec![("now".into(), body("removed", [1]))]);
        assert_eq!(digests(&kept), ["now"], "a whole run says what is held");
        let kept = after(&of(&[1, 2]), before(), vec![]);
        assert_eq!(digests(&kept), ["all"], "what was looked at in all and is not held any more is gone");
        let kept = after(&of(&[2]), before(), vec![]);
        assert_eq!(digests(&kept), ["all", "one"]);
        let kept = after(&of(&[]), before(), vec![]);
        assert_eq!(digests(&kept), ["all", "one"]);
        let kept = after(&Ask { offline: true, ..Ask::default() }, before(), vec![]);
        assert_eq!(digests(&kept), ["all", "one"], "no provider was asked");
    }

    #[test]
    fn a_part_of_an_open_hold_is_none_of_its_own() {
        let before = || vec![row("all", body("removed", [1, 2, 3]))];
        let kept = after(&of(&[1]), before(), vec![("part".into(), body("client_loses", [1]))]);
        assert_eq!(digests(&kept), ["all"]);
        assert_eq!(kept.parts, [("part".to_owned(), "all".to_owned())].into());
        let person = Ask { fresh: true, ..of(&[1]) };
        let kept = after(&person, before(), vec![("part".into(), body("removed", [1]))]);
        assert_eq!(digests(&kept), ["part", "all"], "who asks for one client may approve that one's alone");
        for other in [body("removed", [4]), body("freeze", [1])] {
            let kept = after(&of(&[1, 4]), before(), vec![("other".into(), other)]);
            assert_eq!(digests(&kept), ["other", "all"]);
            assert!(kept.parts.is_empty());
        }
        let kept = after(&of(&[1]), before(), vec![("all".into(), body("added", [1, 2, 3]))]);
        assert_eq!(kept.open, [("all".to_owned(), body("added", [1, 2, 3]))], "the same steps, with the words of now");
    }
}

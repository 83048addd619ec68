//! What the tables promise the engine.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeSet;

use ledgerward::{
    domain::{
        finding::{Finding, Severity},
        firm::{
            AcceptedHolder, Client, ClientState, Firm, Guest, Mode, Office, Person, PersonId, Pin, Selection,
            SelectionScope, TargetName,
        },
        lane::{Cause, Delivered, LaneKey, Op, OwnedGrant},
    },
    store::{
        ChangeState, Db, DeliveredFile, FactRow, FactValue, Intent, JournalOp, JournalState, Kind, LaneRow, Options,
        Outcome,
    },
};
use ledgerward_contract::{
    ClientId, Email, FolderId, FolderKey, FolderRole, Holder, Journalled, LedgerRow, SourceKind, SourceRef, Timestamp,
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

fn t(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn open() -> (TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path().join("state"), t(0)).create().machine("m")).unwrap();
    (dir, db)
}

fn mail(name: &str) -> Email {
    Email::parse(&format!("{name}@firm.example")).unwrap()
}

fn lane(n: u128) -> LaneKey {
    LaneKey {
        target: TargetName("drive".into()),
        folder: FolderKey { client: ClientId(Uuid::from_u128(n)), account: None },
    }
}

fn source(id: &str) -> SourceRef {
    SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: id.into() }
}

fn firm() -> Firm {
    let ann = PersonId(Uuid::from_u128(1));
    let acme = ClientId(Uuid::from_u128(2));
    let mut firm = Firm { name: "Harbour & Co".into(), ..Firm::default() };
    firm.domains.insert("firm.example".into());
    firm.policy.always_allowed.insert(mail("owner"));
    firm.people.insert(
        ann,
        Person {
            id: ann,
            first: "Ann".into(),
            last: "Lee".into(),
            email: Email::parse("Ann@Firm.example").unwrap(),
            aliases: [("xero".into(), BTreeSet::from([mail("a.lee")]))].into(),
            target_addresses: [(TargetName("drive".into()), mail("ann2"))].into(),
            mode: Mode::LedgerSelected,
            office: Office::Custom("clerk".into()),
            enabled: true,
            closed: None,
            domain_accepted: false,
        },
    );
    firm.clients.insert(
        acme,
        Client {
            id: acme,
            slug: "acme".into(),
            name: "Acme Ltd".into(),
            state: ClientState::Active,
            private_to: Some(ann),
            sources: BTreeSet::from([source("l1")]),
            authority: ledgerward::domain::firm::Authority::Named(source("l1")),
            unlisted: None,
            targets: None,
            accounts: None,
            year_end: Some((3, 31)),
            statements_since: None,
        },
    );
    firm.selections.insert((ann, acme), Selection { scope: SelectionScope::Whole, when_granted: true });
    for n in 0..3 {
        firm.guests.push(Guest {
            person: ann,
            client: acme,
            until: t(9 - n),
            reason: format!("{n}"),
            break_glass: false,
        });
    }
    firm.pins.insert(Pin { source: source("l1"), user: "u1".into() }, ann);
    firm.roles.insert("xero".into(), ledgerward_contract::RoleTable::default());
    firm
}

#[test]
fn the_firm_comes_back_as_it_was_and_two_writers_do_not_overwrite_each_other() {
    let (_dir, mut db) = open();
    let empty = db.firm().unwrap();
    assert_eq!(empty, Firm::default());
    let first = db.record_change(&json!({"op": "init"}), "ann", "start", t(1), &empty, &firm()).unwrap();
    assert_eq!((first.label(), first.state), ("C-1".to_owned(), ChangeState::Published));
    assert_eq!(db.firm().unwrap(), firm());
    assert_eq!(db.save_firm_diff(&firm(), &firm()).unwrap(), 0);

    let (mut a, mut b) = (firm(), firm());
    a.guests.remove(0);
    a.people.values_mut().for_each(|p| p.enabled = false);
    b.people.values_mut().for_each(|p| p.mode = Mode::All);
    db.record_change(&json!({}), "ann", "left", t(2), &firm(), &a).unwrap();
    let lost = db.record_change(&json!({}), "bob", "mode", t(3), &firm(), &b).unwrap_err();
    assert_eq!(lost.kind, Kind::Conflict);
    assert_eq!(
        (db.firm().unwrap(), db.changes(9).unwrap().len()),
        (a.clone(), 2),
        "half of a refused change was written"
    );

    let staged = db.stage_change(&json!({"op": "enable"}), "bob", "back", t(4)).unwrap();
    assert_eq!(db.staged_changes().unwrap().len(), 1);
    assert_eq!(db.firm().unwrap(), a);
    db.publish_change(staged.id, "ann", t(5), &a, &firm()).unwrap();
    assert_eq!(db.firm().unwrap(), firm());
    assert_eq!(db.publish_change(staged.id, "ann", t(6), &firm(), &a).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.reject_change(staged.id, "ann", "no", t(6)).unwrap_err().kind, Kind::Conflict);
    assert!(db.staged_changes().unwrap().is_empty());
}

fn fact(value: FactValue, true_from: i64, exact: bool) -> FactRow {
    FactRow {
        source: source("l1"),
        subject: "u1".into(),
        value,
        role: Some("STANDARD".into()),
        true_from: t(true_from),
        exact,
    }
}

#[test]
fn facts_answer_for_two_times() {
    let (_dir, mut db) = open();
    assert_eq!(db.record_facts(1, t(10), &[fact(FactValue::Granted, 10, false)]).unwrap(), 1);
    assert_eq!(db.record_facts(2, t(20), &[fact(FactValue::Granted, 20, false)]).unwrap(), 0, "no change is no row");
    assert_eq!(db.record_facts(3, t(30), &[fact(FactValue::Denied, 30, false)]).unwrap(), 1);
    // Learned at 40: the grant had ended at 15 already.
    assert_eq!(db.record_facts(4, t(40), &[fact(FactValue::Denied, 15, true)]).unwrap(), 1);
    let at = |true_at, known_at| db.facts_at(t(true_at), t(known_at)).unwrap().first().map(|f| f.fact.value);
    assert_eq!(at(5, 99), None);
    assert_eq!(at(12, 12), Some(FactValue::Granted));
    assert_eq!(at(12, 99), Some(FactValue::Granted));
    assert_eq!(at(20, 35), Some(FactValue::Granted), "what we believed then");
    assert_eq!(at(20, 99), Some(FactValue::Denied), "what we know now");
    assert_eq!(at(35, 35), Some(FactValue::Denied));
    assert_eq!(at(35, 20), Some(FactValue::Granted));
    assert_eq!(db.facts_now().unwrap().len(), 1);
}

#[test]
fn c01_what_is_learned_under_a_clock_that_was_set_back_is_learned_last() {
    let (_dir, mut db) = open();
    db.record_facts(1, t(10), &[fact(FactValue::Granted, 10, false)]).unwrap();
    db.record_facts(2, t(100), &[fact(FactValue::Unknown, 100, false)]).unwrap();
    db.record_facts(3, t(50), &[fact(FactValue::Denied, 50, false)]).unwrap();
    let at = |true_at, known_at| db.facts_at(t(true_at), t(known_at)).unwrap().first().map(|f| f.fact.value);
    assert_eq!((at(60, 60), at(120, 120)), (Some(FactValue::Granted), Some(FactValue::Denied)));
    assert_eq!(at(60, 200), Some(FactValue::Denied), "what we know now of that time");
}

fn intend(db: &mut Db, lane_no: u128, op: Op, at: i64) -> Journalled {
    let intent = Intent {
        run: 1,
        lane: lane(lane_no),
        op: JournalOp::Access(op),
        cause: Some(Cause::RevokeNow),
        because: "because".into(),
        reserved: Some("r-1".into()),
        approved: false,
    };
    let step = db.intend(&intent, t(at)).unwrap();
    assert_eq!(db.journal_row(step).unwrap().intent, intent);
    step
}

fn granted(step: Journalled, who: &str, role: FolderRole) -> OwnedGrant {
    OwnedGrant {
        lane: lane(1),
        folder: "f1".into(),
        who: mail(who),
        role,
        permission: "p1".into(),
        ends: None,
        step: step.row(),
    }
}

#[test]
fn i7_a_step_ends_once_and_takes_ownership_and_history_with_it() {
    let (_dir, mut db) = open();
    let create = intend(&mut db, 1, Op::Create { name: "Acme".into() }, 1);
    assert_eq!(db.unsettled().unwrap().len(), 1);
    db.outcome(create, &Outcome::Unknown { message: "timeout".into() }, t(2)).unwrap();
    assert_eq!(db.unsettled().unwrap()[0].state, JournalState::Unknown);
    db.outcome_created(create, &"f1".into(), "Acme", None, t(3)).unwrap();
    assert_eq!(db.outcome_created(create, &"f2".into(), "Acme", None, t(3)).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.lane(&lane(1)).unwrap().unwrap().folder, Some(FolderId::from("f1")));

    let (ann, reader, writer) = (mail("ann"), FolderRole::Reader, FolderRole::Writer);
    let grant = intend(&mut db, 1, Op::Grant { who: ann.clone(), role: reader }, 10);
    db.outcome_granted(grant, &granted(grant, "ann", reader), true, t(10)).unwrap();
    assert_eq!(db.owned().unwrap()[&lane(1)][0].invited_since, Some(t(10)));
    db.invitation_accepted(&lane(1), &ann).unwrap();
    assert_eq!(db.owned().unwrap()[&lane(1)][0].invited_since, None);
    let set =
        intend(&mut db, 1, Op::SetRole { who: ann.clone(), permission: "p1".into(), from: reader, to: writer }, 20);
    db.outcome_role_set(set, &granted(set, "ann", writer), t(20)).unwrap();
    let failed = intend(&mut db, 1, Op::Grant { who: mail("bob"), role: reader }, 25);
    db.outcome(failed, &Outcome::Failed { kind: "forbidden".into(), message: "no".into() }, t(25)).unwrap();
    let revoke =
        intend(&mut db, 1, Op::Revoke { who: Holder::Person(ann.clone()), permission: "p1".into(), role: writer }, 30);
    db.outcome_revoked(revoke, &ann, t(30)).unwrap();

    let at = |s| db.applied_at(t(s)).unwrap().iter().map(|a| (a.who.key().to_owned(), a.role)).collect::<Vec<_>>();
    assert_eq!(at(9), []);
    assert_eq!(at(15), [("ann@firm.example".into(), reader)]);
    assert_eq!(at(20), [("ann@firm.example".into(), writer)]);
    assert_eq!(at(30), []);
    assert!(db.owned().unwrap().is_empty() && db.unsettled().unwrap().is_empty());
    let changes = db.access_changes_since(t(15)).unwrap();
    assert_eq!(changes.len(), 2, "a failed step is no change, an older one is out of the window");
    assert!(changes.iter().all(|c| c.holder == "ann@firm.example" && c.cause == Some(Cause::RevokeNow)));
    assert_eq!(db.journal_of(1).unwrap().len(), 5);
}

#[test]
fn a_role_that_changes_makes_no_new_grant_and_accepts_no_invitation() {
    let (_dir, mut db) = open();
    let (ann, reader, writer) = (mail("ann"), FolderRole::Reader, FolderRole::Writer);
    let grant = intend(&mut db, 1, Op::Grant { who: ann.clone(), role: reader }, 10);
    db.outcome_granted(grant, &granted(grant, "ann", reader), true, t(10)).unwrap();
    let set = |from, to| Op::SetRole { who: ann.clone(), permission: "p1".into(), from, to };
    let step = intend(&mut db, 1, set(reader, writer), 20);
    db.outcome_granted(step, &granted(step, "ann", writer), false, t(20)).unwrap();
    let row = db.owned().unwrap()[&lane(1)][0].clone();
    assert_eq!((row.invited_since, row.grant.role), (Some(t(10)), writer), "nobody has accepted it");
    assert_eq!(row.grant.step, grant.row(), "whoever was seen behind it first is still whom it is known by");
    // Answers that were lost: more may have been in force since it was sent, less only since it was seen.
    let step = intend(&mut db, 1, set(writer, reader), 30);
    db.outcome_granted_unheard(step, &granted(step, "ann", reader), true, t(35)).unwrap();
    let step = intend(&mut db, 1, set(reader, writer), 40);
    db.outcome_granted_unheard(step, &granted(step, "ann", writer), true, t(45)).unwrap();
    let since = |at| db.applied_at(t(at)).unwrap().iter().map(|a| (a.role, a.from)).collect::<Vec<_>>();
    assert_eq!(
        (since(32), since(36), since(42)),
        (vec![(writer, t(20))], vec![(reader, t(35))], vec![(writer, t(40))])
    );
    assert_eq!(db.owned().unwrap()[&lane(1)][0].invited_since, Some(t(10)));
}

#[test]
fn what_the_target_ended_or_somebody_took_off_is_not_applied_from_then_on() {
    let (_dir, mut db) = open();
    let (ann, reader) = (mail("ann"), FolderRole::Reader);
    let grant = |db: &mut Db, at: i64, ends: Option<i64>| {
        let step = intend(db, 1, Op::Grant { who: ann.clone(), role: reader }, at);
        let grant = OwnedGrant { ends: ends.map(t), ..granted(step, "ann", reader) };
        db.outcome_granted(step, &grant, false, t(at)).unwrap();
    };
    let applied = |db: &Db, at: i64| db.applied_at(t(at)).unwrap().iter().map(|a| a.from).collect::<Vec<_>>();
    grant(&mut db, 10, Some(20));
    // A guest again, after the end that the target had been given.
    grant(&mut db, 30, Some(60));
    assert_eq!((applied(&db, 15), applied(&db, 25), applied(&db, 30)), (vec![t(10)], vec![], vec![t(30)]));
    db.taken_off(&lane(1), &mail("ann"), t(40), t(45)).unwrap();
    assert_eq!((applied(&db, 39), applied(&db, 41)), (vec![t(30)], vec![]));
    assert_eq!(db.off_by_hand().unwrap()[&lane(1)], BTreeSet::from([mail("ann")]));
    let owned = db.owned().unwrap()[&lane(1)].clone();
    assert_eq!((owned.len(), owned[0].grant.ends), (1, None), "it stays ours, and its end is no excuse to put it back");
    db.back_on(&lane(1), &mail("ann"), t(50)).unwrap();
    db.back_on(&lane(1), &mail("ann"), t(55)).unwrap();
    assert_eq!((applied(&db, 49), applied(&db, 60)), (vec![], vec![t(50)]));
    assert!(db.off_by_hand().unwrap().is_empty());
    grant(&mut db, 70, Some(80));
    db.owned_lost(&lane(1), &mail("ann"), "gone", t(90), t(95)).unwrap();
    assert_eq!((applied(&db, 79), applied(&db, 85)), (vec![t(50)], vec![]), "the target ended it at 80");
}

#[test]
fn one_folder_is_at_most_one_lane() {
    let (_dir, mut db) = open();
    let one = intend(&mut db, 1, Op::Create { name: "Acme".into() }, 1);
    db.outcome_created(one, &"f1".into(), "Acme", None, t(1)).unwrap();
    let two = intend(&mut db, 2, Op::Create { name: "Birch".into() }, 2);
    assert_eq!(db.outcome_created(two, &"f1".into(), "Birch", None, t(2)).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.unsettled().unwrap().len(), 1, "the step ended although its folder was refused");
    let mut row = db.lane(&lane(2)).unwrap().unwrap();
    row.folder = Some("f1".into());
    assert_eq!(db.save_lane(&row, t(3)).unwrap_err().kind, Kind::Conflict);
    let whole = LaneRow { folder: Some("f2".into()), parent: Some("root".into()), base: Some("d".into()), ..row };
    db.save_lane(&whole, t(3)).unwrap();
    assert_eq!(db.lane(&lane(2)).unwrap(), Some(whole));
}

#[test]
fn files_and_versions() {
    let (_dir, mut db) = open();
    let (v1, new) = db.statement_version("k", "h1", "{}", t(1)).unwrap();
    assert_eq!((v1.version, new), (1, true));
    assert!(!db.statement_version("k", "h1", "{}", t(2)).unwrap().1);
    assert_eq!(db.statement_version("k", "h2", "{\"a\":1}", t(3)).unwrap().0.version, 2);
    assert_eq!(db.statement_at("k", 1).unwrap().unwrap().hash, "h1");
    assert_eq!(db.statement_latest("k").unwrap().unwrap().data, "{\"a\":1}");
    assert_eq!(db.statement_latest("other").unwrap(), None);

    let put = Intent {
        run: 1,
        lane: lane(1),
        op: JournalOp::Put { key: "k/2/pdf".into(), path: "2026/x.pdf".into(), size: 7, sha256: "s".into() },
        cause: None,
        because: "due".into(),
        reserved: None,
        approved: false,
    };
    let step = db.intend(&put, t(4)).unwrap();
    let file = DeliveredFile {
        delivered: Delivered {
            lane: lane(1),
            key: "k/2/pdf".into(),
            path: "2026/x.pdf".into(),
            content_hash: "s".into(),
        },
        version: 2,
        format: "pdf".into(),
        file: "file-1".into(),
        tag: "tag-1".into(),
        size: 7,
    };
    db.outcome_stored(step, &file, t(5)).unwrap();
    assert_eq!(db.delivered().unwrap()[&lane(1)], [file]);
    db.delivered_lost(&lane(1), "k/2/pdf", "deleted by hand", t(6)).unwrap();
    assert!(db.delivered().unwrap().is_empty());
}

#[test]
fn findings_keep_their_numbers_and_close_only_in_their_scope() {
    let (_dir, mut db) = open();
    let f = |code: &str| Finding::new(Severity::Warning, code, "s", "text", "next");
    let first = db.sync_findings(1, "xero/l1", &[f("a"), f("b")], t(1)).unwrap();
    assert_eq!(first.opened.iter().map(|r| r.label()).collect::<Vec<_>>(), ["F-001", "F-002"]);
    assert_eq!(db.sync_findings(2, "xero/l1", &[f("a"), f("b")], t(2)).unwrap(), Default::default());
    assert_eq!(db.sync_findings(2, "drive", &[], t(2)).unwrap(), Default::default(), "another scope closed them");
    let third = db.sync_findings(3, "xero/l1", &[f("b")], t(3)).unwrap();
    assert_eq!((third.resolved[0].number, third.opened.len()), (1, 0));
    assert_eq!(db.finding(1).unwrap().unwrap().how.as_deref(), Some("gone"));
    assert_eq!(db.finding(2).unwrap().unwrap().finding.since, Some(t(1)));
    db.resolve_finding(2, "talked to them", t(4)).unwrap();
    assert_eq!(db.resolve_finding(2, "again", t(4)).unwrap_err().kind, Kind::Conflict);
    let again = db.sync_findings(4, "xero/l1", &[f("b")], t(5)).unwrap();
    assert_eq!(again.opened[0].label(), "F-003");
    assert_eq!((db.open_findings().unwrap().len(), db.findings(9).unwrap().len()), (1, 3));
}

#[test]
fn an_approval_is_for_one_digest_once_and_for_a_time() {
    let (_dir, mut db) = open();
    let (a, b) = ("aaaaaaaa11".to_owned(), "aaaaaaaa22".to_owned());
    db.put_holds(1, &[(a.clone(), json!({"gate": "g4"})), (b.clone(), json!({}))], t(1)).unwrap();
    db.put_holds(2, &[(a.clone(), json!({"gate": "g4"})), (b.clone(), json!({}))], t(2)).unwrap();
    assert_eq!(db.holds().unwrap()[0].at, t(1), "a standing hold looks new");
    for bad in ["aaaaaaa", "aaaaaaaa", "zzzzzzzz", "aaaaaaaa%", ""] {
        assert_eq!(db.hold_by_prefix(bad).unwrap_err().kind, Kind::Conflict, "{bad}");
    }
    assert_eq!(db.hold_by_prefix("bbbbbbbb").unwrap_err().kind, Kind::NotFound);
    assert_eq!(db.hold_by_prefix("AAAAAAAA1").unwrap().digest, a);
    db.put_holds(3, &[(b.clone(), json!({}))], t(3)).unwrap();
    assert_eq!(db.hold_by_prefix("aaaaaaaa").unwrap().digest, b);

    assert!(db.use_approval(&b, t(4)).is_err());
    db.approve(&b, "ann", "checked by phone", t(4), t(100)).unwrap();
    assert!(db.use_approval(&a, t(5)).is_err(), "an approval served another digest");
    assert!(db.use_approval(&b, t(100)).is_err(), "an approval outlived its time");
    assert_eq!(db.use_approval(&b, t(5)).unwrap().reason, "checked by phone");
    assert!(db.use_approval(&b, t(6)).is_err(), "an approval was used twice");
    db.put_plan("cccccccc33", 1, &json!({"n": 1}), t(7)).unwrap();
    assert_eq!(db.plan_by_prefix("cccccccc").unwrap().body, json!({"n": 1}));
}

#[test]
fn d10_ledgers_runs_counters_documents_and_holders() {
    let (_dir, mut db) = open();
    let row = |id: &str| LedgerRow { id: id.into(), name: id.into(), kind: "ORGANISATION".into(), is_ledger: true };
    db.see_ledgers(&"xero".into(), &[row("l1"), row("l2")], t(1)).unwrap();
    db.set_accounts(&"xero".into(), &"l1".into(), &[]).unwrap();
    let head = db.audit_head().unwrap();
    db.see_ledgers(&"xero".into(), &[row("l1"), row("l2")], t(2)).unwrap();
    assert_eq!(db.audit_head().unwrap(), head, "nothing changed and something was written");
    db.see_ledgers(&"xero".into(), &[row("l1")], t(3)).unwrap();
    let all = db.ledgers(Some(&"xero".into())).unwrap();
    assert_eq!((all[0].lost_since, all[1].lost_since), (None, Some(t(3))));
    assert_eq!(db.accounts(&"xero".into(), &"l1".into()).unwrap(), Some(Vec::new()));
    assert_eq!(db.accounts(&"xero".into(), &"l2".into()).unwrap(), None, "not read is not none");

    let one = db.run_start("access", t(1)).unwrap();
    db.run_end(one, 0, true, &json!({}), t(2)).unwrap();
    let two = db.run_start("access", t(3)).unwrap();
    db.run_end(two, 5, false, &json!({"held": 1}), t(4)).unwrap();
    assert_eq!(db.run_end(two, 0, true, &json!({}), t(5)).unwrap_err().kind, Kind::Conflict);
    assert_eq!(db.last_complete("access").unwrap().unwrap().id, one);
    assert_eq!(db.last_attempt("access").unwrap().unwrap().exit, Some(5));
    assert_eq!(db.runs(9).unwrap().len(), 2);
    let part = db.run_start("access", t(5)).unwrap();
    db.run_part(part).unwrap();
    db.run_end(part, 0, true, &json!({}), t(6)).unwrap();
    assert_eq!(db.last_complete("access").unwrap().unwrap().id, one, "some clients are not all");
    assert_eq!(db.last_part("access").unwrap().unwrap().id, part);
    assert_eq!(db.last_whole_cycle().unwrap().unwrap().id, one);
    let push = db.run_start("pull", t(7)).unwrap();
    db.run_end(push, 0, true, &json!({}), t(8)).unwrap();
    assert_eq!(db.last_whole_cycle().unwrap().unwrap().id, one, "reading is no cycle");

    // D10: killed three times in the same place.
    assert_eq!(db.crash_loop().unwrap(), None);
    for (n, step) in ["drive", "xero", "xero", "xero"].into_iter().enumerate() {
        let id = db.run_start("access", t(10)).unwrap();
        db.run_step(id, "first").unwrap();
        db.run_step(id, step).unwrap();
        let found = db.crash_loop().unwrap().unwrap();
        assert_eq!((found.step.as_str(), found.times), (step, u32::try_from(n).unwrap().max(1)));
    }
    let fine = db.run_start("access", t(11)).unwrap();
    db.run_end(fine, 0, true, &json!({}), t(12)).unwrap();
    assert_eq!(db.crash_loop().unwrap(), None);

    let day = jiff::civil::date(2026, 10, 1);
    assert_eq!(db.day_add("xero", day, 3).unwrap(), 3);
    assert_eq!(db.day_at_least("xero", day, 2).unwrap(), 3);
    assert_eq!(db.day_at_least("xero", day, 9).unwrap(), 9);
    assert_eq!(db.day_add("xero", day.tomorrow().unwrap(), 1).unwrap(), 1);
    assert_eq!(db.day_count("xero", day).unwrap(), 9);

    db.schedule_started("access", t(7)).unwrap();
    assert_eq!(db.schedule_last().unwrap()["access"], t(7));
    db.doc_replace_all("m", &[("a".to_owned(), 1), ("b".to_owned(), 2)].into()).unwrap();
    db.doc_replace_all("m", &[("b".to_owned(), 3)].into()).unwrap();
    assert_eq!(db.doc_all::<i32>("m").unwrap(), [("b".to_owned(), 3)].into());

    let group = AcceptedHolder { holder: Holder::Group("partners@firm.example".into()), role: None };
    db.accept_holder(&lane(1), &group, "the partners", t(8)).unwrap();
    assert_eq!(db.accepted().unwrap()[&lane(1)][0].holder, group);
    db.unaccept_holder(&lane(1), &group, "left", t(9)).unwrap();
    assert!(db.accepted().unwrap().is_empty());
}

#[test]
fn what_lies_on_a_target_is_counted_for_two_times() {
    let (_dir, mut db) = open();
    assert!(db.targets_began().unwrap().is_empty() && db.counted_at(t(100)).unwrap().is_empty());
    for n in 1..=3_u8 {
        let made = intend(&mut db, n.into(), Op::Create { name: format!("C{n}") }, i64::from(n) * 10);
        db.outcome_created(made, &format!("f{n}").as_str().into(), "C", None, t(i64::from(n) * 10)).unwrap();
    }
    // Wanted, and not made: no folder.
    intend(&mut db, 4, Op::Create { name: "C4".into() }, 40);
    let granted = |db: &mut Db, n: u128, who: &str, at: i64| {
        let step = intend(db, n, Op::Grant { who: mail(who), role: FolderRole::Reader }, at);
        let grant = OwnedGrant { lane: lane(n), folder: "f".into(), ..granted(step, who, FolderRole::Reader) };
        db.outcome_granted(step, &grant, false, t(at)).unwrap();
    };
    granted(&mut db, 1, "ann", 11);
    granted(&mut db, 1, "bob", 31);
    granted(&mut db, 2, "ann", 32);
    let mut put = |n: u128, path: &str, size: u64, at: i64| {
        let op = JournalOp::Put { key: path.into(), path: path.into(), size, sha256: "s".into() };
        let intent =
            Intent { run: 1, lane: lane(n), op, cause: None, because: "due".into(), reserved: None, approved: false };
        let step = db.intend(&intent, t(at)).unwrap();
        let delivered = Delivered { lane: lane(n), key: path.into(), path: path.into(), content_hash: "s".into() };
        let (file, tag, format) = (path.into(), "t".into(), "pdf".into());
        db.outcome_stored(step, &DeliveredFile { delivered, version: 1, format, file, tag, size }, t(at)).unwrap();
    };
    put(1, "2025/a.pdf", 10, 15);
    put(1, "2026/a.pdf", 20, 25);
    put(1, "2026/b.pdf", 30, 26);
    put(2, "2026/a.pdf", 500, 27);
    // Put again, as by another rendering: the same file, as old as it was.
    put(1, "2025/a.pdf", 11, 90);

    let drive = TargetName("drive".into());
    assert_eq!(db.targets_began().unwrap()[&drive], t(10));
    let now = db.counted_at(t(100)).unwrap()[&drive];
    assert_eq!((now.folders, now.items, now.items_of_fullest), (3, 3 + 5 + 2, 5));
    assert_eq!((now.holders_of_fullest, now.largest_file, now.bytes), (2, 500, 561));
    let then = db.counted_at(t(25)).unwrap()[&drive];
    assert_eq!((then.folders, then.items, then.holders_of_fullest, then.bytes), (2, 2 + 4, 1, 31));
}

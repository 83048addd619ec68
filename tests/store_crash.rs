//! SIGKILL at any point of a writer's life loses nothing that was acknowledged (T02–T04 on our side of the wire, D06, I7).

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use ledgerward::{
    audit::Verdict,
    domain::{
        firm::TargetName,
        lane::{LaneKey, Op, OwnedGrant},
    },
    store::{Db, Intent, JournalOp, NewSignIn, NewTokens, Options},
};
use ledgerward_contract::{ClientId, Email, FolderKey, FolderRole, Secret, Timestamp};

const DIR: &str = "LEDGERWARD_TEST_CRASH_DIR";
const KILLS: usize = 50;

fn t(second: u64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + i64::try_from(second).unwrap()).unwrap()
}

fn tokens(n: u64) -> NewTokens {
    NewTokens {
        access: Secret::new(format!("access-{n}")),
        access_issued_at: t(n),
        access_expires_at: t(n + 1800),
        refresh: Some(Secret::new(format!("refresh-{n}"))),
        refresh_expires_at: None,
        previous: None,
    }
}

fn open(dir: &Path) -> Db {
    Db::open(Options::new(dir, t(0)).create().machine("machine-1")).unwrap()
}

fn lane() -> LaneKey {
    LaneKey {
        target: TargetName("drive".into()),
        folder: FolderKey { client: ClientId(uuid::Uuid::from_u128(1)), account: None },
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "@ {line}").unwrap();
    out.flush().unwrap();
}

/// The writer. It is a test only so that the test program can start it; without its variable it does nothing.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut db = open(Path::new(&dir));
    let who =
        NewSignIn { connection: "xero".into(), subject: "a".into(), email: None, realm: None, scopes: Vec::new() };
    let id = match db.signins().unwrap().first() {
        Some(s) => s.id.clone(),
        None => db.signin_put(&who, &tokens(1), t(1)).unwrap(),
    };
    say("ready 0");
    loop {
        let generation = db.tokens(&id).unwrap().generation;
        db.tokens_intend(&id, generation, 1, t(generation)).unwrap();
        if generation.is_multiple_of(3) {
            db.tokens_spool(&id, generation, &tokens(generation + 1)).unwrap();
            say(&format!("token {}", generation + 1));
        } else {
            db.tokens_commit(&id, generation, &tokens(generation + 1)).unwrap();
            say(&format!("token {}", generation + 1));
        }
        let who = Email::parse(&format!("person{generation}@firm.example")).unwrap();
        let intent = Intent {
            run: 1,
            lane: lane(),
            op: JournalOp::Access(Op::Grant { who: who.clone(), role: FolderRole::Reader }),
            cause: None,
            because: "selected".into(),
            reserved: None,
            approved: false,
        };
        let step = db.intend(&intent, t(generation)).unwrap();
        say(&format!("intent {}", step.row()));
        let grant = OwnedGrant {
            lane: lane(),
            folder: "folder".into(),
            who,
            role: FolderRole::Reader,
            permission: "p".into(),
            ends: None,
            step: step.row(),
        };
        db.outcome_granted(step, &grant, false, t(generation)).unwrap();
        say(&format!("owned {}", step.row()));
    }
}

#[test]
fn t02_t04_fifty_kills_lose_nothing_that_was_acknowledged() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("state");
    let (mut token, mut intent, mut owned) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(DIR, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|l| l.ends_with("@ ready 0")), "kill {kill}: the writer did not start");
        std::thread::sleep(Duration::from_micros(20_000 + 3_977 * (kill as u64 % 37)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            let mut words = line.split(' ').skip(1);
            let (Some(what), Some(Ok(n))) = (words.next(), words.next().map(str::parse::<u64>)) else { continue };
            match what {
                "token" => token = n,
                "intent" => intent = n,
                "owned" => owned = n,
                _ => {}
            }
        }
        let mut db = open(&dir);
        assert_eq!(db.restored().unwrap(), None, "kill {kill}: a crash was taken for a restore");
        let id = db.signins().unwrap()[0].id.clone();
        let row = db.tokens(&id).unwrap();
        assert!(row.generation >= token, "kill {kill}: token {token} was lost, the row is at {}", row.generation);
        assert_eq!(row.refresh.unwrap().expose(), format!("refresh-{}", row.generation), "kill {kill}");
        let journal = db.journal_of(1).unwrap();
        let held = db.owned().unwrap().remove(&lane()).unwrap_or_default();
        let last = journal.last().map_or(0, |j| j.step.row().unsigned_abs());
        assert!(last >= intent, "kill {kill}: intent {intent} was lost, the journal ends at {last}");
        let settled = held.iter().map(|o| o.grant.step.unsigned_abs()).max().unwrap_or(0);
        assert!(settled >= owned, "kill {kill}: grant {owned} was lost");
        // Every step is a grant of its own: done and owned are the same rows, or a half was written.
        let open_steps = db.unsettled().unwrap().len();
        assert_eq!(journal.len(), held.len() + open_steps, "kill {kill}: an outcome without its grant");
        assert!(matches!(db.audit_verify().unwrap(), Verdict::Whole(_)), "kill {kill}");
        assert!(db.integrity().unwrap().whole(), "kill {kill}");
        // What stayed open is settled, as a start does, so that the count above stays sharp.
        for step in db.unsettled().unwrap() {
            let JournalOp::Access(Op::Grant { who, .. }) = &step.intent.op else { continue };
            let grant = OwnedGrant {
                lane: lane(),
                folder: "folder".into(),
                who: who.clone(),
                role: FolderRole::Reader,
                permission: "p".into(),
                ends: None,
                step: step.step.row(),
            };
            let again = held.iter().any(|o| o.grant.who == *who);
            assert!(!again, "kill {kill}: an open step is owned already");
            db.outcome_granted(step.step, &grant, false, t(0)).unwrap();
        }
    }
    assert!(
        token > 50 && owned > 50,
        "only {token} tokens and {owned} grants: the kills came too early to mean anything"
    );
}

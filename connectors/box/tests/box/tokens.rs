//! Box's refresh tokens serve once and there is no grace: a token that is used twice ends the sign-in, and one that is
//! lost cannot be asked for again. The kit's token protocol against this fake, with the process dying at every point.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use ledgerward_box::{FACTORY, fake::BoxFake};
use ledgerward_contract::*;
use ledgerward_kit::{
    Clock, Durable, NewTokens, OAuthClient, OAuthTokens, SignInState, StoredTokens, TokenSource, Vault,
    fake::{Fake, FakeResponse},
};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};

use crate::common::{US, VENDOR, ask, now, read, seed};

const CLIENT: (&str, &str) = ("sandbox-box-client", "sandbox-box-client-word");
/// How the disk behaves while the new tokens are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Good,
    /// The row cannot be written for so many tries, the spool file can.
    RowFails(u32),
    /// Nothing can be written for so many tries.
    AllFails(u32),
}

/// What outlives a process: Box, the disk, and the time of day.
struct Outside {
    vendor: Mutex<BoxFake>,
    row: Mutex<StoredTokens>,
    spool: Mutex<Option<StoredTokens>>,
    now: Mutex<Timestamp>,
    /// Refresh tokens as they arrived at Box.
    arrived: Mutex<Vec<String>>,
    disk: Mutex<Disk>,
}

impl Outside {
    fn send(&self, at: Timestamp, method: &str, path: &str, body: &str, token: Option<&str>) -> FakeResponse {
        let bearer = token.map(|t| format!("Bearer {t}"));
        let headers: Vec<_> = bearer.iter().map(|b| ("authorization", b.as_str())).collect();
        ask(&mut *self.vendor.lock().unwrap(), at, (method, path), &headers, body.to_owned())
    }

    fn form(&self, at: Timestamp, path: &str, fields: &[(&str, &str)]) -> (u16, serde_json::Value) {
        let client = [("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(client).extend_pairs(fields).finish();
        read(&self.send(at, "POST", path, &body, None))
    }

    /// Whether Box has handed out tokens that are nowhere on our disk.
    fn in_the_air(&self) -> bool {
        let durable =
            self.row.lock().unwrap().generation.max(self.spool.lock().unwrap().as_ref().map_or(0, |s| s.generation));
        self.vendor_count("rotations") + 1 > durable
    }

    fn vendor_count(&self, what: &str) -> u64 {
        self.vendor.lock().unwrap().control("tokens", &json!({})).unwrap()[what].as_u64().unwrap()
    }
}

/// A person has signed in, and the tokens are stored as generation 1.
fn outside(disk: Disk) -> Arc<Outside> {
    let now = now();
    let row = StoredTokens {
        generation: 1,
        access: None,
        access_issued_at: None,
        access_expires_at: None,
        refresh: None,
        refresh_expires_at: None,
        previous: None,
        state: SignInState::Active,
        last_refreshed: Some(now),
        issued_at: now,
    };
    let o = Outside {
        vendor: Mutex::new(BoxFake::from_seed(&seed()).unwrap()),
        row: Mutex::new(row),
        spool: Mutex::default(),
        now: Mutex::new(now),
        arrived: Mutex::default(),
        disk: Mutex::new(disk),
    };
    let redirect = "http://127.0.0.1:7777/callback";
    let query = [("client_id", CLIENT.0), ("redirect_uri", redirect), ("response_type", "code"), ("state", "s")];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let answer = o.send(now, "GET", &format!("/api/oauth2/authorize?{query}"), "", None);
    let to = url::Url::parse(&answer.headers.iter().find(|(k, _)| k == "location").unwrap().1).unwrap();
    let code = to.query_pairs().find(|(k, _)| k == "code").unwrap().1.into_owned();
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", redirect)];
    let (status, tokens) = o.form(now, "/oauth2/token", &fields);
    assert_eq!(status, 200, "{tokens}");
    o.row.lock().unwrap().refresh = Some(Secret::new(tokens["refresh_token"].as_str().unwrap()));
    Arc::new(o)
}

/// One life of the process. It dies when it reaches point number `dies_at`.
struct Life {
    out: Arc<Outside>,
    started: Instant,
    epoch: Timestamp,
    points: Mutex<(usize, Option<usize>)>,
    died: Notify,
}

impl Life {
    /// A place where the process can die. It then never goes on.
    async fn point(&self) {
        let dies = {
            let mut points = self.points.lock().unwrap();
            points.0 += 1;
            points.1.is_some_and(|at| points.0 > at)
        };
        if dies {
            self.died.notify_one();
            pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Whether a write finds the disk bad, once more.
    fn disk_fails(&self, spool: bool) -> bool {
        let mut disk = self.out.disk.lock().unwrap();
        let (fails, next) = match *disk {
            Disk::RowFails(n) if n > 0 && !spool => (true, Disk::RowFails(n - 1)),
            Disk::AllFails(n) if n > 0 => (true, Disk::AllFails(n - 1)),
            same => (false, same),
        };
        *disk = next;
        fails
    }
}

impl Clock for Life {
    fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.started.elapsed()).unwrap()
    }
}

#[async_trait]
impl Transport for Life {
    async fn send(&self, request: Request) -> Result<Response> {
        self.point().await;
        let Body::Bytes { bytes, .. } = &request.body else { panic!("no form") };
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(bytes).into_owned().collect();
        assert_eq!(request.url.path(), "/oauth2/token");
        self.out.arrived.lock().unwrap().push(form["refresh_token"].clone());
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        let answer = self.out.send(self.now(), "POST", request.url.path(), &body, None);
        // Here the tokens exist at Box and on the wire.
        self.point().await;
        Ok(Response { status: answer.status, headers: Default::default(), body: answer.body })
    }
}

fn full() -> Error {
    Error::new(ErrorKind::Unavailable, "vault.write", "the disk is full")
}

fn stored(old: &StoredTokens, new: &NewTokens, state: SignInState) -> StoredTokens {
    StoredTokens {
        generation: old.generation + 1,
        access: Some(new.access.clone()),
        access_issued_at: Some(new.access_issued_at),
        access_expires_at: Some(new.access_expires_at),
        refresh: new.refresh.clone(),
        refresh_expires_at: new.refresh_expires_at,
        previous: new.previous.clone(),
        state,
        last_refreshed: Some(new.access_issued_at),
        issued_at: old.issued_at,
    }
}

#[async_trait]
impl Vault for Life {
    async fn load(&self, _: &str) -> Result<Durable<StoredTokens>> {
        self.point().await;
        let mut row = self.out.row.lock().unwrap();
        if let Some(newer) = self.out.spool.lock().unwrap().take().filter(|s| s.generation > row.generation) {
            *row = StoredTokens { state: SignInState::Active, ..newer };
        }
        Ok(Durable::committed(row.clone()))
    }

    async fn intend(&self, _: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()> {
        self.point().await;
        {
            let mut row = self.out.row.lock().unwrap();
            assert_eq!(row.generation, generation, "an intent for tokens that are not the newest");
            row.state = SignInState::Refreshing { since: at, attempt };
        }
        self.point().await;
        Ok(())
    }

    async fn commit(&self, _: &str, expected: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        self.point().await;
        if self.disk_fails(false) {
            return Err(full());
        }
        let row = {
            let mut row = self.out.row.lock().unwrap();
            if row.generation != expected {
                return Err(Error::new(ErrorKind::Conflict, "token.commit", "moved"));
            }
            *row = stored(&row, new, SignInState::Active);
            *self.out.spool.lock().unwrap() = None;
            row.clone()
        };
        self.point().await;
        Ok(Durable::committed(row))
    }

    async fn spool(&self, _: &str, _: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        self.point().await;
        if self.disk_fails(true) {
            return Err(full());
        }
        let since = new.access_issued_at;
        let kept = stored(&self.out.row.lock().unwrap(), new, SignInState::Degraded { since });
        *self.out.spool.lock().unwrap() = Some(kept.clone());
        self.point().await;
        Ok(Durable::committed(kept))
    }

    async fn settle_previous(&self, _: &str, generation: u64) -> Result<()> {
        self.point().await;
        let mut row = self.out.row.lock().unwrap();
        if row.generation == generation {
            row.previous = None;
        }
        Ok(())
    }

    async fn needs_reauth(&self, _: &str, generation: u64, why: &str, at: Timestamp) -> Result<()> {
        self.point().await;
        let mut row = self.out.row.lock().unwrap();
        if row.generation == generation {
            row.state = SignInState::NeedsReauth { since: at, why: why.to_owned() };
        }
        Ok(())
    }
}

/// How a life ended.
#[derive(Debug)]
enum End {
    Died,
    Token(String),
    Refused(Error),
}

/// Runs a process that asks for a token and keeps asking until it has one or is told that there is none. `callers` ask at
/// once. Everything that the process started dies with its runtime.
fn live(out: &Arc<Outside>, dies_at: Option<usize>, callers: usize) -> End {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let end = runtime.block_on(async {
        let life = Arc::new(Life {
            out: Arc::clone(out),
            started: Instant::now(),
            epoch: *out.now.lock().unwrap(),
            points: Mutex::new((0, dies_at)),
            died: Notify::new(),
        });
        let AuthScheme::OAuth(spec) = FACTORY.manifest().auth else { panic!("no OAuth") };
        assert_eq!(spec.rotation, Rotation::SingleUse { grace: None });
        let secret = Some(Secret::new(CLIENT.1));
        let client = OAuthClient::new(spec, &VENDOR.endpoints(), CLIENT.0, secret, Arc::clone(&life) as _).unwrap();
        let tokens =
            Arc::new(OAuthTokens::new("box", Arc::clone(&life) as _, Arc::new(client), Arc::clone(&life) as _));
        let ask = async {
            let patient = |tokens: Arc<OAuthTokens>| async move {
                for _ in 0..50 {
                    match tokens.bearer().await {
                        Err(Error { retry: Retry::After(wait), .. }) => tokio::time::sleep(wait).await,
                        other => return other,
                    }
                }
                panic!("never settled")
            };
            let all = futures::future::join_all((0..callers).map(|_| patient(Arc::clone(&tokens)))).await;
            let bearer = all.into_iter().collect::<Result<Vec<_>>>()?.pop().unwrap();
            tokens.worked(bearer.get().generation).await;
            // A clean end waits until the row has what the spool has.
            assert!(tokens.settle(Duration::from_secs(600)).await);
            Ok(bearer.get().token.expose().to_owned())
        };
        let end = tokio::select! {
            biased;
            () = life.died.notified() => End::Died,
            token = ask => token.map_or_else(End::Refused, End::Token),
        };
        *out.now.lock().unwrap() = life.now();
        end
    });
    drop(runtime);
    end
}

/// Whether Box takes the token.
fn works(out: &Outside, token: &str) -> bool {
    let now = *out.now.lock().unwrap();
    out.send(now, "GET", "/2.0/users/me", "", Some(token)).status == 200
}

fn later(out: &Outside, seconds: i64) {
    let mut now = out.now.lock().unwrap();
    *now = now.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
}

/// No token arrives twice, unless the only answer to it died with the process on its way to the disk: then the second try
/// is how the loss is found, and nothing that could have been kept is lost.
fn a_death_at_every_point(disk: Disk, callers: usize) -> (usize, usize) {
    let (mut kept, mut lost) = (0, 0);
    for at in 0.. {
        let out = outside(disk);
        match live(&out, Some(at), callers) {
            End::Died => {}
            End::Token(token) => {
                assert!(works(&out, &token));
                assert!(at > 4, "the points were not met");
                return (kept, lost);
            }
            End::Refused(e) => panic!("a process that lives is refused: {e:?}"),
        }
        let gone = out.in_the_air();
        // The machine was off for a while; the disk is good again.
        later(&out, 3_600);
        *out.disk.lock().unwrap() = Disk::Good;
        let arrived = out.arrived.lock().unwrap().clone();
        match live(&out, None, callers) {
            End::Token(token) if !gone => {
                assert!(works(&out, &token), "{disk:?}, death at {at}");
                assert_eq!(out.vendor_count("reuses"), 0, "{disk:?}, death at {at}: a token was used twice");
                // And the chain goes on: what is on the disk is the newest token.
                later(&out, 86_400);
                assert!(matches!(live(&out, None, 1), End::Token(t) if works(&out, &t)));
                assert_eq!(out.vendor_count("reuses"), 0);
                kept += 1;
            }
            End::Refused(e) if gone => {
                assert_eq!(e.kind, ErrorKind::Unauthenticated, "{e:?}");
                assert!(e.next.is_some(), "{e:?}");
                assert!(matches!(out.row.lock().unwrap().state, SignInState::NeedsReauth { .. }));
                assert!(out.row.lock().unwrap().refresh.is_some(), "the old token stays in the vault");
                // The lost answer was to the last token that had arrived; none but that one was sent again.
                let all = out.arrived.lock().unwrap().clone();
                let again: Vec<_> = all.iter().skip(arrived.len()).collect();
                assert!(!again.is_empty() && again.iter().all(|t| Some(*t) == arrived.last()), "{all:?}");
                let before = all.len();
                assert!(matches!(live(&out, None, 1), End::Refused(_)));
                assert_eq!(out.arrived.lock().unwrap().len(), before, "a dead sign-in is left alone");
                lost += 1;
            }
            other => panic!("{disk:?}, death at {at}, tokens in the air: {gone}: {other:?}"),
        }
    }
    unreachable!()
}

#[test]
fn t02_t03_a_death_at_every_point_loses_only_what_was_on_the_wire() {
    let (kept, lost) = a_death_at_every_point(Disk::Good, 1);
    // Between Box's answer and the row there are two points: the wire, and the way into the commit.
    assert!(kept >= 5, "{kept}");
    assert_eq!(lost, 2);
}

#[test]
fn t01_many_callers_and_a_death_are_one_call_a_token() {
    let (kept, lost) = a_death_at_every_point(Disk::Good, 16);
    assert!(kept >= 5 && lost == 2, "{kept} {lost}");
}

#[test]
fn t05_a_row_that_cannot_be_written_goes_to_the_spool_and_survives_a_death() {
    let (kept, lost) = a_death_at_every_point(Disk::RowFails(3), 1);
    // The wire, the failing commit, and the way into the spool.
    assert_eq!(lost, 3);
    assert!(kept >= 6, "{kept}");
}

#[test]
fn t05_a_full_disk_keeps_the_tokens_in_memory_until_it_has_room() {
    let out = outside(Disk::AllFails(20));
    let End::Token(token) = live(&out, None, 4) else { panic!("refused") };
    assert!(works(&out, &token));
    assert_eq!(out.arrived.lock().unwrap().len(), 1);
    assert!(!out.in_the_air(), "the new token is on the disk");
}

#[test]
fn t02_a_clean_life_of_a_year_never_uses_a_token_twice() {
    let out = outside(Disk::Good);
    for _ in 0..52 {
        let End::Token(token) = live(&out, None, 8) else { panic!("refused") };
        assert!(works(&out, &token));
        later(&out, 7 * 86_400);
    }
    let mut arrived = out.arrived.lock().unwrap().clone();
    assert_eq!(arrived.len(), 52);
    arrived.sort();
    arrived.dedup();
    assert_eq!((arrived.len(), out.vendor_count("reuses")), (52, 0));
}

/// What Box's token endpoint does in a bad hour, none of which turns a token into another.
#[test]
fn t04_a_bad_hour_of_the_token_endpoint_loses_nothing() {
    for status in [json!(503), json!(500), json!(429), json!(404), json!("html"), json!("empty"), json!("object")] {
        let out = outside(Disk::Good);
        let outage = json!({ "path": "/oauth2/token", "status": status, "count": 5 });
        out.vendor.lock().unwrap().control("outage", &outage).unwrap();
        let End::Token(token) = live(&out, None, 4) else { panic!("{status}") };
        assert!(works(&out, &token));
        assert_eq!((out.arrived.lock().unwrap().len(), out.vendor_count("rotations")), (6, 1), "{status}");
    }
}

/// The one loss that nobody can prevent: Box turned the token over and its answer never came. It is found out by one more
/// try, told once, and leaves everything as it was.
#[test]
fn t03_an_answer_lost_on_the_way_is_told_and_not_tried_for_ever() {
    let out = outside(Disk::Good);
    out.vendor.lock().unwrap().control("drop_answers", &json!({ "path": "/oauth2/token" })).unwrap();
    let End::Refused(e) = live(&out, None, 4) else { panic!("a token that Box does not know") };
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
    assert!(e.next.unwrap().contains("Sign in"));
    let arrived = out.arrived.lock().unwrap().len();
    assert!(arrived <= 3, "{arrived}");
    assert!(matches!(live(&out, None, 4), End::Refused(_)));
    assert_eq!(out.arrived.lock().unwrap().len(), arrived);
}

#[test]
fn t12_a_sign_in_unused_for_sixty_days_has_ended_and_says_so() {
    let out = outside(Disk::Good);
    later(&out, 61 * 86_400);
    let End::Refused(e) = live(&out, None, 1) else { panic!("a token of 61 days ago was taken") };
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
}

#[test]
fn the_fake_ends_the_whole_sign_in_when_a_token_is_used_twice() {
    let out = outside(Disk::Good);
    let now = *out.now.lock().unwrap();
    let first = out.row.lock().unwrap().refresh.clone().unwrap();
    let refresh =
        |token: &str| out.form(now, "/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]);
    let (status, tokens) = refresh(first.expose());
    assert_eq!(status, 200);
    let access = tokens["access_token"].as_str().unwrap();
    assert!(works(&out, access), "signed in as {US}");
    let (status, again) = refresh(first.expose());
    assert_eq!((status, again["error"].as_str()), (400, Some("invalid_grant")));
    assert!(!works(&out, access));
    assert_eq!(refresh(tokens["refresh_token"].as_str().unwrap()).1["error"], "invalid_grant");
    // Revoking needs the app's own word, and ends both kinds of token.
    let out = outside(Disk::Good);
    let first = out.row.lock().unwrap().refresh.clone().unwrap();
    assert_eq!(out.form(now, "/oauth2/revoke", &[("token", first.expose())]).0, 200);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", first.expose())];
    assert_eq!(out.form(now, "/oauth2/token", &fields).1["error"], "invalid_grant");
}

//! The token protocol against a token endpoint that rotates, and a vault in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    task::{Context, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use ledgerward_contract::{
    AuthScheme, ClientAuth, Endpoint, Endpoints, Manifest, OAuthSpec, Request, Response, Transport,
};
use serde_json::{Value, json};

use super::*;
use crate::clock::TokioClock;

static MANIFEST: Manifest = Manifest {
    name: "v",
    title: "V",
    auth: AuthScheme::None,
    endpoints: &[Endpoint { name: "identity", url: "https://identity.v.example" }],
    quotas: &[],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[],
    unverified: &[],
};

const GRACE: Duration = Duration::from_secs(30 * 60);
const MODELS: [Rotation; 3] =
    [Rotation::Stable, Rotation::SingleUse { grace: Some(GRACE) }, Rotation::SingleUse { grace: None }];

fn spec(rotation: Rotation) -> OAuthSpec {
    OAuthSpec {
        authorize: ("identity", "/authorize"),
        token: ("identity", "/token"),
        revoke: None,
        client_auth: ClientAuth::Basic,
        rotation,
        scopes: &[],
        extra: &[],
        idle_lifetime: None,
        ..OAuthSpec::PLAIN
    }
}

/// What the endpoint does with the next call, instead of its rule.
#[derive(Clone)]
enum Whim {
    /// Rotates as it should, and the answer is lost.
    AnswerLost,
    /// Never arrives.
    NotSent,
    Say(u16, Value),
    Page,
}

/// A token endpoint.
struct TokenEndpoint {
    rotation: Rotation,
    clock: Arc<TokioClock>,
    state: Mutex<Tokens>,
    busy: AtomicU32,
    overlap: AtomicBool,
}

#[derive(Default)]
struct Tokens {
    issued: u32,
    /// The refresh token that is good.
    current: String,
    /// Spent ones, and when they were spent.
    spent: BTreeMap<String, Timestamp>,
    access: BTreeSet<String>,
    whims: Vec<Whim>,
    /// Every refresh token that arrived, in order.
    arrived: Vec<String>,
    rotations: u32,
}

impl TokenEndpoint {
    fn new(rotation: Rotation, clock: Arc<TokioClock>) -> Arc<Self> {
        let state = Tokens { current: "r0".to_owned(), ..Tokens::default() };
        Arc::new(Self { rotation, clock, state: Mutex::new(state), busy: 0.into(), overlap: false.into() })
    }

    fn state(&self) -> MutexGuard<'_, Tokens> {
        self.state.lock().unwrap()
    }

    fn whim(&self, whim: Whim) {
        self.state().whims.push(whim);
    }

    fn arrived(&self) -> usize {
        self.state().arrived.len()
    }

    fn rule(&self, token: &str) -> (u16, Value) {
        let now = self.clock.now();
        let mut s = self.state();
        let s = &mut *s;
        let spent = s.spent.get(token).copied();
        let good = match self.rotation {
            Rotation::Stable => token == s.current,
            // As Xero documents it: the spent one may be retried for half an hour, and gives a fresh pair.
            Rotation::SingleUse { grace } => {
                token == s.current || spent.zip(grace).is_some_and(|(at, grace)| now < after(at, grace))
            }
        };
        if !good {
            return (400, json!({"error": "invalid_grant", "error_description": token}));
        }
        s.issued += 1;
        s.rotations += 1;
        let access = format!("a{}", s.issued);
        s.access.insert(access.clone());
        let mut body = json!({"access_token": access, "expires_in": 1800, "token_type": "Bearer"});
        if self.rotation != Rotation::Stable {
            let old = std::mem::replace(&mut s.current, format!("r{}", s.issued));
            s.spent.entry(old).or_insert(now);
            body["refresh_token"] = json!(s.current);
        }
        (200, body)
    }
}

#[async_trait]
impl Transport for TokenEndpoint {
    async fn send(&self, request: Request) -> Result<Response> {
        let ledgerward_contract::Body::Bytes { bytes, .. } = &request.body else { panic!("no form") };
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(bytes).into_owned().collect();
        assert_eq!(form["grant_type"], "refresh_token");
        assert!(request.headers["authorization"].to_str().unwrap().starts_with("Basic "));
        let token = form["refresh_token"].clone();
        if self.busy.fetch_add(1, Ordering::SeqCst) > 0 {
            self.overlap.store(true, Ordering::SeqCst);
        }
        // A call that is dropped here has left us, and the server does not know that we are gone.
        let _leave = Leave(&self.busy);
        tokio::task::yield_now().await;
        let whim = {
            let mut s = self.state();
            if s.whims.is_empty() { None } else { Some(s.whims.remove(0)) }
        };
        if matches!(whim, Some(Whim::NotSent)) {
            return Err(Error::new(ErrorKind::Unavailable, "token.refresh", "the connection broke"));
        }
        self.state().arrived.push(token.clone());
        let (status, body) = match whim {
            Some(Whim::Say(status, ref body)) => (status, body.to_string()),
            Some(Whim::Page) => (200, "<!doctype html>".to_owned()),
            _ => {
                let (status, body) = self.rule(&token);
                (status, body.to_string())
            }
        };
        tokio::task::yield_now().await;
        if matches!(whim, Some(Whim::AnswerLost)) {
            return Err(Error::new(ErrorKind::Unavailable, "token.refresh", "the connection broke"));
        }
        Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body) })
    }
}

struct Leave<'a>(&'a AtomicU32);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A vault in memory. What is in `row` is on the disk.
struct MemoryVault {
    row: Mutex<StoredTokens>,
    full: AtomicBool,
    /// The disk fills between the intent and the commit.
    full_after_intent: AtomicBool,
    spool_full: AtomicBool,
    spool: Mutex<Option<StoredTokens>>,
    spooled: AtomicU32,
    intents: AtomicU32,
}

impl MemoryVault {
    fn new(clock: &TokioClock) -> Arc<Self> {
        let now = clock.now();
        let row = StoredTokens {
            generation: 1,
            access: None,
            access_issued_at: None,
            access_expires_at: None,
            refresh: Some(Secret::new("r0")),
            refresh_expires_at: None,
            previous: None,
            state: SignInState::Active,
            last_refreshed: Some(now),
            issued_at: now,
        };
        Arc::new(Self {
            row: Mutex::new(row),
            full: false.into(),
            full_after_intent: false.into(),
            spool_full: false.into(),
            spool: Mutex::default(),
            spooled: 0.into(),
            intents: 0.into(),
        })
    }

    fn row(&self) -> StoredTokens {
        self.row.lock().unwrap().clone()
    }

    fn write(&self, expected: u64, new: &NewTokens, state: SignInState) -> Result<Durable<StoredTokens>> {
        let mut row = self.row.lock().unwrap();
        if row.generation != expected {
            return Err(Error::new(ErrorKind::Conflict, "token.commit", "moved"));
        }
        *row = StoredTokens {
            generation: expected + 1,
            access: Some(new.access.clone()),
            access_issued_at: Some(new.access_issued_at),
            access_expires_at: Some(new.access_expires_at),
            refresh: new.refresh.clone(),
            refresh_expires_at: new.refresh_expires_at,
            previous: new.previous.clone(),
            state,
            last_refreshed: Some(new.access_issued_at),
            issued_at: row.issued_at,
        };
        Ok(Durable::committed(row.clone()))
    }

    fn check_disk(&self) -> Result<()> {
        let full = self.full.load(Ordering::SeqCst);
        if full { Err(Error::new(ErrorKind::Unavailable, "vault.write", "the disk is full")) } else { Ok(()) }
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn load(&self, _: &str) -> Result<Durable<StoredTokens>> {
        tokio::task::yield_now().await;
        let mut spool = self.spool.lock().unwrap();
        let newer = spool.clone().filter(|s| s.generation > self.row().generation);
        match newer {
            None => *spool = None,
            Some(tokens) if self.check_disk().is_err() => return Ok(Durable::committed(tokens)),
            Some(tokens) => {
                *self.row.lock().unwrap() = StoredTokens { state: SignInState::Active, ..tokens };
                *spool = None;
            }
        }
        Ok(Durable::committed(self.row()))
    }

    async fn intend(&self, _: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()> {
        tokio::task::yield_now().await;
        self.check_disk()?;
        {
            let mut row = self.row.lock().unwrap();
            if row.generation != generation {
                return Err(Error::new(ErrorKind::Conflict, "token.intend", "moved"));
            }
            let since = match row.state {
                SignInState::Refreshing { since, .. } => since,
                _ => at,
            };
            row.state = SignInState::Refreshing { since, attempt };
            self.intents.fetch_add(1, Ordering::SeqCst);
            if self.full_after_intent.load(Ordering::SeqCst) {
                self.full.store(true, Ordering::SeqCst);
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn commit(&self, _: &str, expected: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        tokio::task::yield_now().await;
        self.check_disk()?;
        let row = self.write(expected, new, SignInState::Active)?;
        tokio::task::yield_now().await;
        Ok(row)
    }

    async fn spool(&self, _: &str, expected: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        if self.spool_full.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "vault.spool", "the disk is full"));
        }
        self.spooled.fetch_add(1, Ordering::SeqCst);
        let since = new.access_issued_at;
        let row = StoredTokens {
            generation: expected + 1,
            access: Some(new.access.clone()),
            access_issued_at: Some(since),
            access_expires_at: Some(new.access_expires_at),
            refresh: new.refresh.clone(),
            previous: new.previous.clone(),
            state: SignInState::Degraded { since },
            ..self.row()
        };
        *self.spool.lock().unwrap() = Some(row.clone());
        Ok(Durable::committed(row))
    }

    async fn settle_previous(&self, _: &str, generation: u64) -> Result<()> {
        let mut row = self.row.lock().unwrap();
        if row.generation == generation {
            row.previous = None;
        }
        Ok(())
    }

    async fn needs_reauth(&self, _: &str, generation: u64, why: &str, at: Timestamp) -> Result<()> {
        let mut row = self.row.lock().unwrap();
        if row.generation == generation {
            row.state = SignInState::NeedsReauth { since: at, why: why.to_owned() };
        }
        Ok(())
    }
}

struct World {
    clock: Arc<TokioClock>,
    server: Arc<TokenEndpoint>,
    vault: Arc<MemoryVault>,
    tokens: Arc<OAuthTokens>,
}

impl World {
    fn new(rotation: Rotation) -> Self {
        let clock = Arc::new(TokioClock::starting("2026-11-21T10:00:00Z".parse().unwrap()));
        let server = TokenEndpoint::new(rotation, Arc::clone(&clock));
        let vault = MemoryVault::new(&clock);
        let tokens = Self::process(&clock, &server, &vault);
        Self { clock, server, vault, tokens }
    }

    /// A process over what is on the disk.
    fn process(clock: &Arc<TokioClock>, server: &Arc<TokenEndpoint>, vault: &Arc<MemoryVault>) -> Arc<OAuthTokens> {
        let endpoints = Endpoints::resolve(&MANIFEST, &BTreeMap::new()).unwrap();
        let wire = Arc::clone(server) as Arc<dyn Transport>;
        let client = OAuthClient::new(spec(server.rotation), &endpoints, "app", Some(Secret::new("s")), wire).unwrap();
        Arc::new(OAuthTokens::new("s1", Arc::clone(vault) as _, Arc::new(client), Arc::clone(clock) as _))
    }

    fn restart(&mut self) {
        self.tokens = Self::process(&self.clock, &self.server, &self.vault);
    }

    async fn token(&self) -> Result<String> {
        Ok(self.tokens.bearer().await?.get().token.expose().to_owned())
    }

    /// Asks as a patient caller does: again after each pause that is named.
    async fn token_in_time(&self) -> Result<String> {
        for _ in 0..20 {
            match self.token().await {
                Err(Error { retry: Retry::After(wait), .. }) => tokio::time::sleep(wait).await,
                other => return other,
            }
        }
        panic!("never settled");
    }
}

async fn wait(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_serves_until_its_margin_and_is_renewed_once() {
    let w = World::new(MODELS[1]);
    assert_eq!(w.token().await.unwrap(), "a1");
    wait(24 * 60).await;
    assert_eq!(w.token().await.unwrap(), "a1");
    wait(61).await;
    assert_eq!(w.token().await.unwrap(), "a2");
    assert_eq!(w.server.arrived(), 2);
    let row = w.vault.row();
    assert_eq!((row.generation, row.refresh.unwrap().expose().to_owned()), (3, "r2".to_owned()));
    assert_eq!(row.previous.unwrap().expose(), "r1");
    assert_eq!(row.state, SignInState::Active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t01_32_tasks_1000_rounds_one_call_a_rotation() {
    for rotation in MODELS {
        let w = World::new(rotation);
        let mut generation = 1;
        for round in 1..=1000_usize {
            let asking: Vec<_> = (0..32)
                .map(|_| {
                    let tokens = Arc::clone(&w.tokens);
                    tokio::spawn(async move { tokens.bearer().await.unwrap().into_inner().generation })
                })
                .collect();
            for task in asking {
                assert_eq!(task.await.unwrap(), generation + 1);
            }
            assert_eq!(w.server.arrived(), round);
            generation += 1;
            w.tokens.0.now().forced = Some(generation);
        }
        assert!(!w.server.overlap.load(Ordering::SeqCst));
    }
}

#[tokio::test(start_paused = true)]
async fn t01_a_refused_token_is_renewed_once_for_all() {
    let w = World::new(MODELS[1]);
    w.token().await.unwrap();
    wait(120).await;
    for _ in 0..32 {
        assert!(w.tokens.refused(2).await);
    }
    let asking: Vec<_> = (0..32).map(|_| w.token()).collect();
    for token in futures::future::join_all(asking).await {
        assert_eq!(token.unwrap(), "a2");
    }
    assert!(w.tokens.refused(2).await, "a late refusal of an old token points to the new one");
    assert_eq!(w.token().await.unwrap(), "a2");
    assert_eq!(w.server.arrived(), 2);
}

#[tokio::test(start_paused = true)]
async fn t01_a_young_token_that_is_refused_is_renewed_once_in_ten_minutes() {
    let w = World::new(MODELS[1]);
    let first = w.token().await.unwrap();
    assert!(w.tokens.refused(2).await, "the vendor ended it early, and the refresh token is good");
    let second = w.token().await.unwrap();
    assert_ne!(first, second);
    for _ in 0..100 {
        assert!(!w.tokens.refused(3).await, "a second refusal at once is about something else");
        assert_eq!(w.token().await.unwrap(), second);
    }
    assert_eq!(w.server.arrived(), 2, "no storm");
    wait(61).await;
    assert!(w.tokens.refused(3).await, "it is not young any more");
    let third = w.token().await.unwrap();
    assert!(!w.tokens.refused(4).await, "ten minutes are not over");
    wait(10 * 60).await;
    assert!(w.tokens.refused(4).await);
    assert_ne!(w.token().await.unwrap(), third);
}

#[tokio::test(start_paused = true)]
async fn c02_a_token_of_another_clock_is_renewed_when_it_is_refused() {
    let w = World::new(MODELS[1]);
    // Issued before the clock was set back by a day: it looks fresh, and younger than new.
    let tomorrow = w.clock.now() + jiff::SignedDuration::from_hours(24);
    {
        let mut row = w.vault.row.lock().unwrap();
        row.access = Some(Secret::new("a0"));
        row.access_issued_at = Some(tomorrow);
        row.access_expires_at = Some(tomorrow + jiff::SignedDuration::from_mins(30));
    }
    assert_eq!(w.token().await.unwrap(), "a0");
    assert!(w.tokens.refused(1).await);
    assert_eq!(w.token().await.unwrap(), "a1");
    assert_eq!(w.server.arrived(), 1);
    assert!(w.tokens.refused(2).await, "the one renewal of a young token is not used up by that");
}

#[tokio::test(start_paused = true)]
async fn previous_is_kept_until_the_new_token_has_worked() {
    let w = World::new(MODELS[1]);
    w.token().await.unwrap();
    assert!(w.vault.row().previous.is_some());
    w.tokens.worked(1).await;
    assert!(w.vault.row().previous.is_some(), "an older generation says nothing");
    w.tokens.worked(2).await;
    assert!(w.vault.row().previous.is_none());
}

/// Polls until the future has been pending `steps` times, then drops it: the process dies there.
async fn die_after(steps: usize, future: impl Future) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..=steps {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return false;
        }
    }
    true
}

#[tokio::test(start_paused = true)]
async fn t02_t03_a_death_at_every_await_loses_no_token_that_could_be_kept() {
    for rotation in MODELS {
        for first_whim in [None, Some(Whim::AnswerLost)] {
            let mut died_somewhere = 0;
            for steps in 0.. {
                let mut w = World::new(rotation);
                if let Some(whim) = &first_whim {
                    w.server.whim(whim.clone());
                }
                let mut flight = Flight::default();
                let died = die_after(steps, w.tokens.0.renew(&mut flight)).await;
                if !died {
                    break;
                }
                died_somewhere += 1;
                let rotated = w.server.state().rotations > 0;
                let stored = w.vault.row().generation > 1;
                if rotated {
                    assert_ne!(w.vault.intents.load(Ordering::SeqCst), 0, "a call without an intent");
                }
                w.restart();
                let outcome = w.token_in_time().await;
                // Without a grace a rotation whose answer nobody stored is lost, whatever anybody does.
                let unanswered = first_whim.is_some() || (rotated && !stored);
                let lost = rotation == Rotation::SingleUse { grace: None } && unanswered;
                assert_eq!(outcome.is_err(), lost, "{rotation:?}, death after {steps} steps: {outcome:?}");
                if lost {
                    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Unauthenticated);
                    let row = w.vault.row();
                    assert!(matches!(row.state, SignInState::NeedsReauth { .. }));
                    assert_eq!(row.refresh.unwrap().expose(), "r0", "nothing is deleted");
                } else {
                    let token = outcome.unwrap();
                    assert!(w.server.state().access.contains(&token));
                    let row = w.vault.row();
                    assert_eq!(row.state, SignInState::Active);
                    assert_eq!(row.refresh.unwrap().expose(), w.server.state().current);
                }
                assert!(!w.server.overlap.load(Ordering::SeqCst));
            }
            assert!(died_somewhere >= 5, "only {died_somewhere} places to die");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t02_a_renewal_that_died_is_repeated_although_the_access_token_is_good() {
    let mut w = World::new(MODELS[1]);
    w.token().await.unwrap();
    w.server.whim(Whim::AnswerLost);
    assert!(w.tokens.keep_alive().await.is_err());
    w.restart();
    // Not in 25 minutes, when the grace for the lost answer is nearly over.
    assert_eq!(w.token().await.unwrap(), "a3");
    assert_eq!(w.server.state().arrived, ["r0", "r1", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn t06_a_lost_answer_is_repeated_with_the_same_token() {
    for rotation in [MODELS[0], MODELS[1]] {
        let w = World::new(rotation);
        w.server.whim(Whim::AnswerLost);
        let e = w.token().await.unwrap_err();
        assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(1))));
        assert!(matches!(w.vault.row().state, SignInState::Refreshing { .. }));
        let token = w.token_in_time().await.unwrap();
        assert_eq!(token, "a2");
        assert_eq!(w.server.state().arrived, ["r0", "r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn t06_a_network_never_ends_a_sign_in() {
    for rotation in MODELS {
        let w = World::new(rotation);
        for _ in 0..30 {
            w.server.whim(Whim::NotSent);
        }
        let mut pauses = Vec::new();
        let token = loop {
            match w.token().await {
                Ok(token) => break token,
                Err(e) => {
                    assert_eq!(e.kind, ErrorKind::Unavailable);
                    let Retry::After(pause) = e.retry else { panic!("no pause") };
                    pauses.push(pause.as_secs());
                    // Whoever asks early makes no call.
                    let before = w.vault.intents.load(Ordering::SeqCst);
                    assert!(w.token().await.is_err());
                    assert_eq!(w.vault.intents.load(Ordering::SeqCst), before);
                    tokio::time::sleep(pause).await;
                }
            }
        };
        assert_eq!(pauses[..5], [1, 5, 30, 120, 120]);
        assert_eq!((pauses.len(), token.as_str()), (30, "a1"));
    }
}

#[tokio::test(start_paused = true)]
async fn t06_weather_at_the_token_endpoint_is_no_refusal() {
    let w = World::new(MODELS[1]);
    let weather = [
        Whim::Page,
        Whim::Say(500, json!({"error": "invalid_grant"})),
        Whim::Say(403, json!("blocked")),
        Whim::Say(400, json!({"title": "Bad Request"})),
        Whim::Say(200, json!({"ok": true})),
        Whim::Say(200, json!([])),
        Whim::Say(429, json!({})),
        Whim::Say(302, json!({})),
        Whim::Say(400, json!({"error": "temporarily_unavailable"})),
    ];
    for whim in weather.clone() {
        w.server.whim(whim);
    }
    assert_eq!(w.token_in_time().await.unwrap(), "a1");
    assert_eq!(w.server.arrived(), weather.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn t06_the_old_access_token_serves_while_renewal_fails() {
    let w = World::new(MODELS[1]);
    w.token().await.unwrap();
    wait(26 * 60).await;
    for _ in 0..4 {
        w.server.whim(Whim::NotSent);
    }
    assert_eq!(w.token().await.unwrap(), "a1");
    wait(200).await;
    assert_eq!(w.token().await.unwrap(), "a1", "three and a half minutes later still");
    wait(15).await;
    assert_eq!(w.token().await.unwrap_err().kind, ErrorKind::Unavailable, "not in its last 30 s");
}

#[tokio::test(start_paused = true)]
async fn t07_a_caller_that_gives_up_does_not_lose_the_answer() {
    let w = World::new(MODELS[2]);
    assert!(die_after(2, w.tokens.bearer()).await);
    assert!(w.tokens.settle(Duration::from_secs(30)).await);
    wait(1).await;
    assert_eq!(w.vault.row().refresh.unwrap().expose(), "r1");
    assert_eq!(w.token().await.unwrap(), "a1");
    assert_eq!(w.server.arrived(), 1);
}

#[tokio::test(start_paused = true)]
async fn t08_the_old_refresh_token_is_kept_where_the_answer_names_none() {
    for absent in [json!(null), json!("")] {
        let w = World::new(MODELS[0]);
        w.server.whim(Whim::Say(200, json!({"access_token": "x", "refresh_token": absent, "expires_in": "1200"})));
        assert_eq!(w.token().await.unwrap(), "x");
        let row = w.vault.row();
        assert_eq!(row.refresh.unwrap().expose(), "r0");
        assert!(row.previous.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn t10_a_refusal_is_doubted_for_a_minute() {
    let w = World::new(MODELS[2]);
    w.server.whim(Whim::Say(400, json!({"error": "invalid_grant"})));
    let begun = Instant::now();
    assert_eq!(w.token().await.unwrap(), "a1");
    assert_eq!(begun.elapsed(), DOUBT);
    assert_eq!(w.server.state().arrived, ["r0", "r0"]);
}

/// Entra's words for a sign-in that a person has to begin again: a policy that changed, a consent that was taken back.
#[tokio::test(start_paused = true)]
async fn t10_what_only_a_person_can_cure_is_a_refusal_and_no_weather() {
    for code in ["interaction_required", "consent_required", "login_required"] {
        let w = World::new(MODELS[2]);
        w.server.whim(Whim::Say(400, json!({"error": code})));
        let begun = Instant::now();
        assert_eq!(w.token().await.unwrap(), "a1", "said once it is doubted");
        assert_eq!(begun.elapsed(), DOUBT);
        let w = World::new(MODELS[2]);
        for _ in 0..2 {
            w.server.whim(Whim::Say(400, json!({"error": code})));
        }
        assert_eq!(w.token().await.unwrap_err().kind, ErrorKind::Unauthenticated);
        assert!(matches!(w.vault.row().state, SignInState::NeedsReauth { .. }));
        assert_eq!(w.server.state().arrived, ["r0", "r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn t10_previous_is_tried_only_where_a_grace_is_documented() {
    for (rotation, tried) in [(MODELS[1], vec!["r1", "r1", "r0"]), (MODELS[2], vec!["r1", "r1"])] {
        let w = World::new(rotation);
        w.token().await.unwrap();
        w.server.state().arrived.clear();
        for _ in 0..3 {
            w.server.whim(Whim::Say(400, json!({"error": "invalid_grant"})));
        }
        w.tokens.0.now().refused = Some(2);
        let e = w.token().await.unwrap_err();
        assert_eq!(e.kind, ErrorKind::Unauthenticated);
        assert_eq!(w.server.state().arrived, tried);
        assert!(matches!(w.vault.row().state, SignInState::NeedsReauth { .. }));
        assert!(w.vault.row().refresh.is_some() && w.vault.row().previous.is_some(), "nothing is deleted");
        // Dead is dead: no more calls.
        assert_eq!(w.token().await.unwrap_err().kind, ErrorKind::Unauthenticated);
        assert_eq!(w.server.arrived(), tried.len());
    }
}

#[tokio::test(start_paused = true)]
async fn t10_previous_saves_a_sign_in_inside_the_grace_and_is_not_tried_after_it() {
    for (age_secs, saved) in [(29 * 60, true), (31 * 60, false)] {
        let w = World::new(MODELS[1]);
        w.token().await.unwrap();
        wait(age_secs - 60).await;
        for _ in 0..2 {
            w.server.whim(Whim::Say(400, json!({"error": "invalid_grant"})));
        }
        w.tokens.0.now().refused = Some(2);
        assert_eq!(w.token().await.is_ok(), saved, "{age_secs}");
    }
}

#[tokio::test(start_paused = true)]
async fn t10_somebody_elses_renewal_is_used() {
    let w = World::new(MODELS[2]);
    w.server.whim(Whim::Say(400, json!({"error": "invalid_grant"})));
    let asking = w.token();
    let other = async {
        wait(30).await;
        let at = w.clock.now();
        let new = NewTokens {
            access: Secret::new("theirs"),
            access_issued_at: at,
            access_expires_at: after(at, Duration::from_secs(1800)),
            refresh: Some(Secret::new("r9")),
            refresh_expires_at: None,
            previous: None,
        };
        w.vault.write(1, &new, SignInState::Active).unwrap();
    };
    let (token, ()) = futures::join!(asking, other);
    assert_eq!(token.unwrap(), "theirs");
    assert_eq!(w.server.arrived(), 1);
}

#[tokio::test(start_paused = true)]
async fn t11_an_unknown_client_stops_all_calls_for_an_hour_and_loses_nothing() {
    for body in [json!({"error": "invalid_client"}), json!({"error": "unauthorized_client"})] {
        let w = World::new(MODELS[1]);
        w.server.whim(Whim::Say(401, body));
        for _ in 0..100 {
            assert_eq!(w.token().await.unwrap_err().kind, ErrorKind::Config);
            wait(30).await;
        }
        assert_eq!((w.server.arrived(), w.vault.intents.load(Ordering::SeqCst)), (1, 1));
        wait(3600).await;
        assert_eq!(w.token().await.unwrap(), "a1");
    }
}

#[tokio::test(start_paused = true)]
async fn t05_a_full_disk_stops_the_call_at_the_write_gate() {
    let w = World::new(MODELS[2]);
    w.vault.full.store(true, Ordering::SeqCst);
    assert_eq!(w.token().await.unwrap_err().kind, ErrorKind::Unavailable);
    wait(1).await;
    assert!(w.token().await.is_err());
    assert_eq!(w.server.arrived(), 0);
    w.vault.full.store(false, Ordering::SeqCst);
    assert_eq!(w.token_in_time().await.unwrap(), "a1");
}

#[tokio::test(start_paused = true)]
async fn t05_a_disk_that_fills_in_between_is_survived_by_the_spool() {
    let w = World::new(MODELS[2]);
    w.vault.full_after_intent.store(true, Ordering::SeqCst);
    assert_eq!(w.token().await.unwrap(), "a1");
    assert_eq!(w.vault.spooled.load(Ordering::SeqCst), 1);
    assert!(!w.tokens.settle(Duration::from_secs(30)).await, "not settled while the row is old");
    assert_eq!(w.token().await.unwrap(), "a1", "it goes on serving");
    w.vault.full.store(false, Ordering::SeqCst);
    assert!(w.tokens.settle(Duration::from_secs(30)).await);
    assert_eq!(w.vault.row().refresh.unwrap().expose(), "r1");
    assert_eq!(w.vault.row().state, SignInState::Active);
    assert_eq!(w.server.arrived(), 1);
}

#[tokio::test(start_paused = true)]
async fn t05_nothing_durable_nothing_used() {
    let w = World::new(MODELS[2]);
    w.vault.full_after_intent.store(true, Ordering::SeqCst);
    w.vault.spool_full.store(true, Ordering::SeqCst);
    let asking = tokio::time::timeout(Duration::from_secs(90), w.token());
    assert!(asking.await.is_err(), "no access token before its refresh token is safe (I8)");
    w.vault.full.store(false, Ordering::SeqCst);
    assert_eq!(w.token().await.unwrap(), "a1");
    assert_eq!(w.vault.row().refresh.unwrap().expose(), "r1");
    assert_eq!(w.server.arrived(), 1);
}

#[tokio::test(start_paused = true)]
async fn t12_keep_alive_renews_a_good_token() {
    let w = World::new(MODELS[1]);
    w.token().await.unwrap();
    w.tokens.keep_alive().await.unwrap();
    assert_eq!((w.server.arrived(), w.token().await.unwrap().as_str()), (2, "a2"));
    w.server.whim(Whim::NotSent);
    assert_eq!(w.tokens.keep_alive().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(w.token().await.unwrap(), "a2", "a failed keep-alive takes nothing away");
}

#[tokio::test(start_paused = true)]
async fn t13_a_restored_old_row_asks_for_a_sign_in_and_keeps_it() {
    let mut w = World::new(MODELS[2]);
    let backup = w.vault.row();
    w.token().await.unwrap();
    *w.vault.row.lock().unwrap() = backup;
    w.restart();
    let e = w.token().await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unauthenticated);
    assert!(e.next.unwrap().contains("Sign in"));
    // A person signs in again: the next call sees it without a restart.
    {
        let mut row = w.vault.row.lock().unwrap();
        row.generation += 1;
        row.refresh = Some(Secret::new(w.server.state().current.as_str()));
        row.state = SignInState::Active;
    }
    assert_eq!(w.token().await.unwrap(), "a2");
}

#[tokio::test(start_paused = true)]
async fn x06_no_token_in_any_error() {
    let w = World::new(MODELS[2]);
    for _ in 0..2 {
        w.server.whim(Whim::Say(400, json!({"error": "invalid_grant", "error_description": "r0 s a1"})));
    }
    let e = w.token().await.unwrap_err();
    assert!(!format!("{e:?}").contains("r0"), "{e:?}");
}

/// What may happen to a daemon.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ask,
    Wait(u64),
    /// Dies in the middle of a renewal, after so many awaits.
    Die(usize),
    AnswerLost,
    NotSent,
    Page,
    /// The disk fills in the middle of the next renewal.
    DiskFills,
    DiskIsCleared,
}

fn events() -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    use proptest::prelude::*;
    let event = prop_oneof![
        3 => Just(Event::Ask),
        3 => (1_u64..1900).prop_map(Event::Wait),
        3 => (0_usize..12).prop_map(Event::Die),
        2 => Just(Event::AnswerLost),
        1 => Just(Event::NotSent),
        1 => Just(Event::Page),
        1 => Just(Event::DiskFills),
        2 => Just(Event::DiskIsCleared),
    ];
    proptest::collection::vec(event, 1..30)
}

/// Lets the events happen. A firm notices a broken sign-in: no time passes while one is being renewed, so that the grace
/// of the vendor is not what is tested.
async fn live(rotation: Rotation, events: Vec<Event>) {
    let mut w = World::new(rotation);
    let mut handed_out = BTreeSet::new();
    for event in events {
        match event {
            Event::Ask => handed_out.extend(w.token().await.ok()),
            Event::Wait(secs) => {
                let pending = matches!(w.vault.row().state, SignInState::Refreshing { .. });
                wait(if pending { secs.min(20) } else { secs }).await;
            }
            Event::Die(steps) => {
                w.tokens.0.now().forced = Some(w.vault.row().generation);
                let mut flight = Flight::default();
                die_after(steps, w.tokens.0.renew(&mut flight)).await;
                w.restart();
            }
            Event::AnswerLost if rotation != MODELS[2] => w.server.whim(Whim::AnswerLost),
            Event::AnswerLost | Event::NotSent => w.server.whim(Whim::NotSent),
            Event::Page => w.server.whim(Whim::Say(503, json!("busy"))),
            Event::DiskFills => w.vault.full_after_intent.store(true, Ordering::SeqCst),
            Event::DiskIsCleared => {
                w.vault.full_after_intent.store(false, Ordering::SeqCst);
                w.vault.full.store(false, Ordering::SeqCst);
            }
        }
        assert!(!w.server.overlap.load(Ordering::SeqCst), "two calls at once");
    }
    w.vault.full_after_intent.store(false, Ordering::SeqCst);
    w.vault.full.store(false, Ordering::SeqCst);
    w.server.state().whims.clear();
    let last = w.token_in_time().await;
    let issued = w.server.state().access.clone();
    match last {
        Ok(token) => assert!(issued.contains(&token)),
        Err(e) => {
            assert_eq!(e.kind, ErrorKind::Unauthenticated, "{e:?}");
            assert_eq!(rotation, MODELS[2], "lost although it could be kept");
            assert!(w.vault.row().refresh.is_some());
        }
    }
    assert!(handed_out.is_subset(&issued));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn t02_t03_t05_t06_no_life_loses_a_token_that_could_be_kept(events in events()) {
        for rotation in MODELS {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(live(rotation, events.clone()));
        }
    }
}

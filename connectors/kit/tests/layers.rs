//! The layers over a vendor in this process, in paused time.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use ledgerward_contract::{
    AuthScheme, BodyLimit, Endpoint, Endpoints, ErrorKind, Manifest, Quota, QuotaWindow, Request, Response, Result,
    Retry, Secret, Timestamp, Transport,
};
use ledgerward_kit::{
    Bearer, Deadlines, Durable, Fixed, MemoryDays, Quotas, Stack, StackConfig, TokenSource, TokioClock, Verdict,
    answer::retry_after,
    fake::{Fake, FakeRequest, FakeResponse, FakeTransport, Moment},
    layers::{
        auth::Dress,
        quota::DayCounter,
        stop::{heeding, ignoring},
    },
    no_verdict,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

const EPOCH: &str = "2026-11-21T10:00:00Z";

const fn manifest(quotas: &'static [Quota]) -> Manifest {
    Manifest {
        name: "v",
        title: "V",
        auth: AuthScheme::None,
        endpoints: &[Endpoint { name: "api", url: "https://api.v.example" }],
        quotas,
        access: None,
        grade: None,
        statements: &[],
        roles: &[],
        settings: &[],
        unverified: &[],
    }
}

/// Xero's limits (reliability 1.5).
const XERO: &[Quota] = &[
    Quota::tenant("concurrent", QuotaWindow::Concurrent(5)),
    Quota::tenant("minute", QuotaWindow::PerMinute(60)).told_by("x-minlimit-remaining"),
    Quota::tenant("day", QuotaWindow::PerDay(5000)).told_by("x-daylimit-remaining"),
    Quota::connection("appminute", QuotaWindow::PerMinute(10_000)).told_by("x-appminlimit-remaining"),
];

static FREE: Manifest = manifest(&[]);
static LIMITED: Manifest = manifest(XERO);
static DAILY: Manifest = manifest(&[Quota::connection("day", QuotaWindow::PerDay(100)).told_by("x-left")]);

static MONTHLY: Manifest = manifest(&[Quota::connection("month", QuotaWindow::PerMonth(10))]);

/// A vendor that answers what it is told, in order, and counts.
#[derive(Default)]
struct Told {
    answers: Vec<FakeResponse>,
    takes: Duration,
    arrivals: Arc<Mutex<Vec<Timestamp>>>,
    in_flight_max: Arc<Mutex<usize>>,
    left: Option<BTreeMap<&'static str, u32>>,
}

impl Fake for Told {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        request.header("tenant").map(str::to_owned)
    }

    fn answer(&mut self, at: Moment, _: &FakeRequest) -> FakeResponse {
        self.arrivals.lock().unwrap().push(at.now);
        let mut most = self.in_flight_max.lock().unwrap();
        *most = (*most).max(at.in_flight + 1);
        if !self.answers.is_empty() {
            return self.answers.remove(0);
        }
        let mut ok = FakeResponse::json(200, &json!({})).takes(self.takes);
        for (name, left) in self.left.iter().flatten() {
            ok = ok.header(name, left.to_string());
        }
        ok
    }

    fn control(&mut self, _: &str, _: &Value) -> Result<Value, String> {
        Err("nothing".to_owned())
    }

    fn save(&self) -> Value {
        Value::Null
    }
}

struct Rig {
    stack: Arc<dyn Transport>,
    wire: Arc<FakeTransport>,
    quotas: Arc<Quotas>,
    days: Arc<MemoryDays>,
}

fn rig(
    told: Told,
    manifest: &'static Manifest,
    verdict: Verdict,
    tokens: Arc<dyn TokenSource>,
    read_only: bool,
) -> Rig {
    let clock = Arc::new(TokioClock::starting(EPOCH.parse().unwrap()));
    let fake: Box<dyn Fake> = Box::new(told);
    let wire = Arc::new(FakeTransport::new(Arc::new(Mutex::new(fake)), EPOCH.parse().unwrap()));
    let days = Arc::new(MemoryDays::default());
    let quotas = Quotas::new("conn", manifest.quotas, days.clone(), clock.clone());
    let stack = Stack::build(StackConfig {
        manifest,
        endpoints: Endpoints::resolve(manifest, &BTreeMap::new()).unwrap(),
        allow_private_network: false,
        read_only,
        tokens,
        dress: Dress::default(),
        quotas: quotas.clone(),
        verdict,
        clock,
        deadlines: Deadlines::default(),
        jitter: || 0.5,
        base: wire.clone(),
    })
    .unwrap();
    Rig { stack, wire, quotas, days }
}

fn simple(answers: Vec<FakeResponse>) -> Rig {
    rig(Told { answers, ..Told::default() }, &FREE, no_verdict, Arc::new(Fixed::none()), false)
}

fn url() -> Url {
    Url::parse("https://api.v.example/x").unwrap()
}

fn get() -> Request {
    Request::get("thing.get", url())
}

fn post() -> Request {
    Request::write("thing.make", http::Method::POST, url())
}

fn of(tenant: &str) -> Request {
    get().tenant(tenant).header(http::HeaderName::from_static("tenant"), tenant).unwrap()
}

fn status(s: u16) -> FakeResponse {
    FakeResponse::new(s)
}

fn busy(after: &str) -> FakeResponse {
    status(429).header("retry-after", after)
}

// --- retry ---

#[tokio::test(start_paused = true)]
async fn p10_retry_after_is_obeyed_in_every_form() {
    for (form, least, most) in [
        ("7", 7.0, 8.0),
        ("Sat, 21 Nov 2026 10:00:20 GMT", 20.0, 21.0),
        ("0", 0.5, 1.0),
        ("-3", 0.75, 1.25),
        ("soon", 0.75, 1.25),
    ] {
        let rig = simple(vec![busy(form)]);
        let begun = Instant::now();
        assert_eq!(rig.stack.send(get()).await.unwrap().status, 200);
        let took = begun.elapsed().as_secs_f64();
        assert!((least..=most).contains(&took), "{form}: {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_wait_beyond_the_deadline_is_handed_over_at_once() {
    for (form, least) in [("864000", 3600), ("500", 500)] {
        let rig = simple(vec![busy(form)]);
        let begun = Instant::now();
        let e = rig.stack.send(get()).await.unwrap_err();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(e.kind, ErrorKind::RateLimited);
        let Retry::After(wait) = e.retry else { panic!("{e:?}") };
        assert!(wait.as_secs() >= least && wait.as_secs() <= least + 1, "{wait:?}");
        // The next request knows without asking.
        let e = rig.stack.send(get()).await.unwrap_err();
        assert_eq!((e.kind, rig.wire.requests().len()), (ErrorKind::RateLimited, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_and_writes_are_not() {
    for s in [500, 502, 503, 504] {
        let rig = simple(vec![status(s), status(s)]);
        assert_eq!(rig.stack.send(get()).await.unwrap().status, 200);
        assert_eq!(rig.wire.requests().len(), 3);
        let rig = simple(vec![status(s)]);
        assert_eq!(rig.stack.send(post().idempotent()).await.unwrap().status, 200);
        let rig = simple(vec![status(s)]);
        assert_eq!(rig.stack.send(post()).await.unwrap().status, s);
        assert_eq!(rig.wire.requests().len(), 1);
    }
    for s in [400, 401, 403, 404, 409, 410, 501, 599] {
        let rig = simple(vec![status(s)]);
        assert_eq!(rig.stack.send(get()).await.unwrap().status, s);
        assert_eq!(rig.wire.requests().len(), 1, "{s}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_only_after_a_429() {
    let rig = simple(vec![busy("1"), busy("1")]);
    assert_eq!(rig.stack.send(post()).await.unwrap().status, 200);
    assert_eq!(rig.wire.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connectors_verdict_counts_for_reads() {
    fn drive(r: &Response) -> Option<Retry> {
        (r.status == 403 && r.body.starts_with(b"slow")).then_some(Retry::Backoff)
    }
    let slow = || status(403).body("slow");
    let rig =
        rig(Told { answers: vec![slow(), slow()], ..Told::default() }, &FREE, drive, Arc::new(Fixed::none()), false);
    assert_eq!(rig.stack.send(get()).await.unwrap().status, 200);
    let told = Told { answers: vec![slow(), status(403)], ..Told::default() };
    let rig = self::rig(told, &FREE, drive, Arc::new(Fixed::none()), false);
    assert_eq!(rig.stack.send(post()).await.unwrap().status, 403);
    assert_eq!(rig.wire.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn repeats_end_and_the_last_answer_is_given() {
    let rig = simple(vec![status(503); 20]);
    let begun = Instant::now();
    assert_eq!(rig.stack.send(get()).await.unwrap().status, 503);
    assert_eq!(rig.wire.requests().len(), 6);
    // 1 + 2 + 4 + 8 + 16 s at a jitter of a half.
    assert_eq!(begun.elapsed(), Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn p21_attempts_and_calls_end_in_time() {
    let slow = || status(200).takes(Duration::from_secs(600));
    let rig = simple((0..20).map(|_| slow()).collect());
    let begun = Instant::now();
    let e = rig.stack.send(get()).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Cancelled, Retry::No));
    assert_eq!(begun.elapsed(), Duration::from_secs(120));
    assert_eq!(rig.wire.requests().len(), 4, "30 s each");
    let rig = simple(vec![slow()]);
    let e = rig.stack.send(post()).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable, "the outcome of a write is not known");
    let rig = simple(vec![status(200).takes(Duration::from_secs(599))]);
    assert!(rig.stack.send(get().limit(BodyLimit::Statement)).await.is_ok());
}

// --- guard and auth ---

#[tokio::test(start_paused = true)]
async fn t18_a_source_is_never_written_to_and_a_write_is_declared() {
    let rig = rig(Told::default(), &FREE, no_verdict, Arc::new(Fixed::none()), true);
    assert_eq!(rig.stack.send(post()).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert!(rig.stack.send(Request::read("list.post", http::Method::POST, url())).await.is_ok());
    let sly = Request::read("x.y", http::Method::DELETE, url());
    assert_eq!(rig.stack.send(sly).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(rig.wire.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn i9_a_token_goes_to_the_connectors_hosts_only() {
    let rig = rig(Told::default(), &FREE, no_verdict, Arc::new(Fixed::new(Secret::new("CANARY"))), false);
    rig.stack.send(get()).await.unwrap();
    rig.stack.send(get().auth(ledgerward_contract::Auth::Url)).await.unwrap();
    let e = rig.stack.send(Request::get("x.y", Url::parse("https://evil.example/").unwrap())).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Contract);
    let seen: Vec<_> = rig.wire.requests().iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(seen, [Some("Bearer CANARY".to_owned()), None]);
}

/// Gives `t1`, and `t2` after a refusal.
#[derive(Default)]
struct Two {
    refused: Mutex<u64>,
    worked: Mutex<Vec<u64>>,
}

#[async_trait]
impl TokenSource for Two {
    async fn bearer(&self) -> Result<Durable<Bearer>> {
        let generation = *self.refused.lock().unwrap() + 1;
        Ok(Durable::committed(Bearer { token: Secret::new(format!("t{generation}")), generation }))
    }
    async fn refused(&self, generation: u64) -> bool {
        let mut refused = self.refused.lock().unwrap();
        *refused = generation.max(*refused);
        true
    }
    async fn worked(&self, generation: u64) {
        self.worked.lock().unwrap().push(generation);
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_is_repeated_once_with_a_new_token() {
    let tokens = Arc::new(Two::default());
    let told = Told { answers: vec![status(401)], ..Told::default() };
    let rig = rig(told, &FREE, no_verdict, tokens.clone(), false);
    assert_eq!(rig.stack.send(post()).await.unwrap().status, 200);
    assert_eq!(*tokens.worked.lock().unwrap(), [2]);
    let sent: Vec<_> = rig.wire.requests().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer t1", "Bearer t2"]);
    let told = Told { answers: vec![status(401); 9], ..Told::default() };
    let rig = self::rig(told, &FREE, no_verdict, Arc::new(Two::default()), false);
    assert_eq!(rig.stack.send(get()).await.unwrap().status, 401);
    assert_eq!(rig.wire.requests().len(), 2);
}

// --- quota ---

/// The most arrivals in any window of a minute that begins with an arrival: no fixed window of any phase holds more.
fn worst_minute(times: &[Timestamp]) -> usize {
    let mut first = 0;
    let mut worst = 0;
    for (i, t) in times.iter().enumerate() {
        while t.as_nanosecond() - times[first].as_nanosecond() >= 60_000_000_000 {
            first += 1;
        }
        worst = worst.max(i + 1 - first);
    }
    worst
}

async fn many(rig: &Rig, requests: Vec<Request>) -> Vec<Result<Response>> {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|r| {
            let stack = rig.stack.clone();
            // As the runner does: what was told to wait comes again.
            tokio::spawn(async move {
                loop {
                    match stack.send(r.clone()).await {
                        Err(e) if e.kind == ErrorKind::RateLimited => match e.retry {
                            Retry::After(wait) => tokio::time::sleep(wait).await,
                            _ => return Err(e),
                        },
                        other => return other,
                    }
                }
            })
        })
        .collect();
    let mut out = Vec::new();
    for task in tasks {
        out.push(task.await.unwrap());
    }
    out
}

#[tokio::test(start_paused = true)]
async fn p10_no_minute_of_a_tenant_sees_more_than_its_limit() {
    for takes_ms in [0, 300, 4_000, 20_000] {
        let told = Told { takes: Duration::from_millis(takes_ms), ..Told::default() };
        let (arrivals, in_flight) = (told.arrivals.clone(), told.in_flight_max.clone());
        let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
        let begun = Instant::now();
        let outcomes = many(&rig, (0..300).map(|_| of("t")).collect()).await;
        let times = arrivals.lock().unwrap().clone();
        assert!(worst_minute(&times) <= 60, "{} in a minute at {takes_ms} ms", worst_minute(&times));
        if takes_ms < 5_000 {
            // Longer ones are cut off by the deadline, and the vendor goes on working at them.
            assert_eq!(outcomes.iter().filter(|r| r.is_ok()).count(), 300);
            assert!(*in_flight.lock().unwrap() <= 5);
        }
        if takes_ms == 0 {
            assert_eq!(times.len(), 300);
            let ideal = 300.0 / 60.0 * 60.0;
            let took = begun.elapsed().as_secs_f64();
            assert!(took < ideal * 1.12, "{took} s for {ideal} s of allowance");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_slow_spell_of_the_vendor_is_not_made_up_for() {
    // For a minute every request takes 25 s, then none does: what waited must not come all at once.
    let mut answers: Vec<_> = (0..10).map(|_| status(200).takes(Duration::from_secs(25))).collect();
    answers.truncate(10);
    let told = Told { answers, ..Told::default() };
    let arrivals = told.arrivals.clone();
    let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
    many(&rig, (0..200).map(|_| of("t")).collect()).await;
    let times = arrivals.lock().unwrap().clone();
    assert!(worst_minute(&times) <= 60, "{}", worst_minute(&times));
}

#[tokio::test(start_paused = true)]
async fn p10_ten_thousand_tenants_in_a_minutes_allowance() {
    let told = Told::default();
    let arrivals = told.arrivals.clone();
    let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
    let begun = Instant::now();
    let outcomes = many(&rig, (0..10_000).map(|i| of(&format!("t{i}"))).collect()).await;
    let took = begun.elapsed().as_secs_f64();
    assert!(outcomes.iter().all(Result::is_ok));
    let mut times = arrivals.lock().unwrap().clone();
    times.sort();
    let worst = worst_minute(&times);
    println!("10,000 requests took {took:.2} s; the worst minute saw {worst}");
    assert!(worst <= 10_000, "{worst}");
    assert!((57.0..=63.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn p10_the_vendors_own_count_slows_us_down() {
    let told = Told { left: Some([("x-minlimit-remaining", 3)].into()), ..Told::default() };
    let arrivals = told.arrivals.clone();
    let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
    for _ in 0..4 {
        rig.stack.send(of("t")).await.unwrap();
    }
    let times: Vec<_> = arrivals.lock().unwrap().iter().map(|t| t.as_second()).collect();
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 14), "{times:?}");
    let told = Told { left: Some([("x-minlimit-remaining", 0)].into()), ..Told::default() };
    let rig = self::rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
    let begun = Instant::now();
    rig.stack.send(of("t")).await.unwrap();
    rig.stack.send(of("other")).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    rig.stack.send(of("t")).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn p10_a_429_parks_the_tenant_or_the_connection() {
    for (problem, others_wait) in [("minute", false), ("day", false), ("appminute", true), ("whatever", true)] {
        let refusal = busy("50").header("x-rate-limit-problem", problem);
        let told = Told { answers: vec![refusal], ..Told::default() };
        let arrivals = told.arrivals.clone();
        let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
        let first = tokio::spawn({
            let stack = rig.stack.clone();
            async move { stack.send(of("t")).await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(rig.quotas.parked_for(Some("t")).is_some());
        assert_eq!(rig.quotas.parked_for(Some("u")).is_some(), others_wait, "{problem}");
        let begun = Instant::now();
        rig.stack.send(of("u")).await.unwrap();
        assert_eq!(begun.elapsed() > Duration::from_secs(49), others_wait, "{problem}");
        rig.stack.send(of("t")).await.unwrap();
        assert!(begun.elapsed() > Duration::from_secs(49));
        assert_eq!(first.await.unwrap().unwrap().status, 200);
        assert_eq!(arrivals.lock().unwrap().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_refusal_about_one_thing_holds_nothing_else() {
    for status in [409, 423] {
        let told = Told { answers: vec![FakeResponse { status, ..busy("50") }], ..Told::default() };
        let named: Verdict = |r| retry_after(&r.headers, None).map(Retry::After);
        let rig = rig(told, &LIMITED, named, Arc::new(Fixed::none()), false);
        let first = tokio::spawn({
            let stack = rig.stack.clone();
            async move { stack.send(Request { idempotent: true, ..of("t") }).await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let begun = Instant::now();
        assert_eq!(rig.quotas.parked_for(Some("t")), None, "{status}");
        rig.stack.send(of("t")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(49), "{status}: somebody else's lock is waited for");
        assert_eq!(first.await.unwrap().unwrap().status, 200);
        assert!(begun.elapsed() > Duration::from_secs(49), "{status}: its own pause is not shortened");
    }
}

#[tokio::test(start_paused = true)]
async fn p10_after_a_park_the_waiting_come_at_the_pace() {
    // The refusal comes while others hold a turn already.
    let refusal = busy("40").header("x-rate-limit-problem", "minute").takes(Duration::from_secs(3));
    let told = Told { answers: vec![refusal], ..Told::default() };
    let arrivals = told.arrivals.clone();
    let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::none()), false);
    many(&rig, (0..120).map(|_| of("t")).collect()).await;
    let times = arrivals.lock().unwrap().clone();
    assert!(worst_minute(&times) <= 60, "{}", worst_minute(&times));
    let parked = times[0].as_second() + 4..times[0].as_second() + 43;
    let early = times.iter().filter(|t| parked.contains(&t.as_second())).count();
    assert_eq!(early, 0, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn p10_a_tenth_of_the_day_is_kept_for_revocations() {
    let rig = rig(Told::default(), &DAILY, no_verdict, Arc::new(Fixed::none()), false);
    for _ in 0..90 {
        rig.stack.send(get()).await.unwrap();
    }
    let e = rig.stack.send(get()).await.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(14 * 3600))));
    assert_eq!(rig.stack.send(post()).await.unwrap_err().kind, ErrorKind::RateLimited);
    for _ in 0..5 {
        rig.stack.send(Request::write("permission.take", http::Method::DELETE, url())).await.unwrap();
        rig.stack.send(Request::write("member.remove", http::Method::POST, url())).await.unwrap();
    }
    let more = Request::write("member.remove", http::Method::POST, url());
    assert_eq!(rig.stack.send(more).await.unwrap_err().kind, ErrorKind::RateLimited);
    tokio::time::sleep(Duration::from_secs(14 * 3600)).await;
    assert!(rig.stack.send(get()).await.is_ok(), "a new day");
}

#[tokio::test(start_paused = true)]
async fn p10_the_vendors_day_count_is_believed() {
    let told = Told { left: Some([("x-left", 4)].into()), ..Told::default() };
    let rig = rig(told, &DAILY, no_verdict, Arc::new(Fixed::none()), false);
    rig.stack.send(get()).await.unwrap();
    let day = "2026-11-21".parse().unwrap();
    assert_eq!(rig.days.get("conn/day/", day).await.unwrap(), 96);
    assert_eq!(rig.stack.send(get()).await.unwrap_err().kind, ErrorKind::RateLimited);
    assert!(rig.stack.send(Request::write("x.delete", http::Method::POST, url())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn p10_a_fifth_of_the_month_is_kept_for_what_cannot_wait() {
    let rig = rig(Told::default(), &MONTHLY, no_verdict, Arc::new(Fixed::none()), false);
    for _ in 0..8 {
        rig.stack.send(get().optional()).await.unwrap();
    }
    let e = rig.stack.send(get().optional()).await.unwrap_err();
    let end = Duration::from_secs(9 * 86_400 + 14 * 3600);
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(end)));
    assert!(e.message.starts_with("8 of the 10 calls"), "{e}");
    rig.stack.send(get()).await.unwrap();
    rig.stack.send(get()).await.unwrap();
    assert_eq!(rig.stack.send(get()).await.unwrap_err().kind, ErrorKind::RateLimited);
    assert_eq!(rig.days.get("conn/month/", "2026-11-01".parse().unwrap()).await.unwrap(), 10);
    tokio::time::sleep(end - Duration::from_secs(1)).await;
    assert!(rig.stack.send(get()).await.is_err(), "the month is not over");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rig.stack.send(get().optional()).await.is_ok(), "a new month");
}

#[tokio::test(start_paused = true)]
async fn p10_a_429_without_a_pause_takes_the_vendors_own() {
    let told = Told { answers: vec![FakeResponse::new(429)], ..Told::default() };
    let verdict: Verdict = |r| (r.status == 429).then_some(Retry::After(Duration::from_secs(60)));
    let rig = rig(told, &FREE, verdict, Arc::new(Fixed::none()), false);
    let start = tokio::time::Instant::now();
    let _ = rig.stack.send(get()).await;
    let _ = rig.stack.send(get()).await;
    assert!(start.elapsed() >= Duration::from_secs(60), "{:?}", start.elapsed());
}

// --- trace ---

/// Keeps everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.0.lock().unwrap().push(format!("{span:?}"));
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.0.lock().unwrap().push(format!("{values:?}"));
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = format!("{} {}", event.metadata().level(), event.metadata().name());
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line.push_str(&format!(" {field}={value:?}"));
        });
        self.0.lock().unwrap().push(line);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn x06_x07_nothing_secret_is_logged_or_told() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let echo =
        |s: u16| status(s).body("CANARY").header("x-request-id", "CANARY with spaces").header("set-cookie", "CANARY");
    for s in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        let told = Told { answers: vec![echo(s); 9], ..Told::default() };
        let rig = rig(told, &LIMITED, no_verdict, Arc::new(Fixed::new(Secret::new("CANARY"))), false);
        for tenant in ["t", "u"] {
            let mut request = of(tenant).json(json!({"refresh_token": "CANARY"}));
            request.url = Url::parse("https://api.v.example/CANARY?sig=CANARY").unwrap();
            request.headers.insert("x-api-key", "CANARY".parse().unwrap());
            match rig.stack.send(request).await {
                Ok(r) => {
                    let e = ledgerward_kit::decode::<Vec<u8>>("thing.get", &r).unwrap_err();
                    assert!(!format!("{e:?} {:?}", e.source).contains("CANARY"), "{e:?}");
                }
                Err(e) => assert!(!format!("{e:?} {:?}", e.source).contains("CANARY"), "{e:?}"),
            }
        }
    }
    drop(guard);
    let lines = log.0.lock().unwrap().clone();
    assert!(lines.iter().any(|l| l.contains("http.send") && l.contains("status=503")), "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("http.repeat")), "{lines:?}");
    assert!(lines.iter().all(|l| !l.contains("CANARY")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn p20_a_coming_retirement_is_logged() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let answer = status(200).header("deprecation", "true").header("sunset", "Sat, 31 Dec 2026 23:59:59 GMT");
    simple(vec![answer]).stack.send(get()).await.unwrap();
    let lines = log.0.lock().unwrap().clone();
    assert!(lines.iter().any(|l| l.starts_with("WARN http.deprecated") && l.contains("31_Dec_2026")), "{lines:?}");
    let e = ledgerward_kit::decode::<Value>("thing.get", &simple(vec![status(410)]).stack.send(get()).await.unwrap());
    let e = e.unwrap_err();
    assert_eq!((e.kind, e.retry), (ErrorKind::Contract, Retry::No));
    assert!(e.message.contains("retired") && e.next.is_some());
}

// --- stop ---

#[tokio::test(start_paused = true)]
async fn a_stop_ends_what_reads_and_nothing_that_writes() {
    let stop = tokio::sync::watch::Sender::new(false);
    let (slow, after) = (|| simple(vec![status(200).takes(Duration::from_secs(20))]), simple(vec![busy("20")]));
    let (answer, write, part, begun) = (slow(), slow(), slow(), Instant::now());
    let told = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send_replace(true);
    };
    let ended = |what: &str, read: Result<Response>| {
        assert_eq!(read.unwrap_err().kind, ErrorKind::Cancelled, "{what}");
        assert_eq!(begun.elapsed(), Duration::from_secs(1), "{what}");
    };
    tokio::join!(
        told,
        async { ended("an answer", heeding(stop.subscribe(), answer.stack.send(get())).await) },
        async { ended("the next attempt", heeding(stop.subscribe(), after.stack.send(get())).await) },
        async {
            assert_eq!(heeding(stop.subscribe(), write.stack.send(post())).await.unwrap().status, 200);
            assert_eq!(begun.elapsed(), Duration::from_secs(20), "a write ends by itself");
        },
        async {
            let read = heeding(stop.subscribe(), ignoring(part.stack.send(get())));
            assert_eq!(read.await.unwrap().status, 200, "as does what belongs to one");
        },
    );
    let late = simple(vec![]);
    assert!(heeding(stop.subscribe(), late.stack.send(get())).await.is_err());
    assert!(late.wire.requests().is_empty(), "what comes later is not sent");
}

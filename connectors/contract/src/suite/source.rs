//! Scenarios for ledger sources.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    AccessFact, Cursor, Effect, ErrorKind, LedgerId, LedgerRow, LedgerSource, Listing, ReadCx, Result, Retry, Scope,
    Snapshot, Standing, StatementRef, StatementRequest, StatementSource, Timestamp, Transport,
    suite::{
        BAD_ANSWERS, EMPTY_ANSWERS, Fault, When, Wire, must, must_fail, no_bad_answer_passes, no_odd_answer_shortens,
        plain, skipped,
    },
};

/// A user as the harness puts one into the fake's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestUser {
    pub email: String,
    pub name: String,
    /// The vendor's own word.
    pub role: String,
}

/// A ledger source over its fake.
#[async_trait]
pub trait SourceHarness: Send + Sync + Sized {
    /// A signed-in source that reaches the ledger of [`SourceHarness::ledger`] and, unless there is a
    /// [`SourceHarness::realm`], at least one more.
    async fn fresh() -> Self;
    /// The one company of the sign-in, where one consent is one company (`OAuthSpec::realm`).
    fn realm(&self) -> Option<String> {
        None
    }
    fn source(&self) -> &dyn LedgerSource;
    /// The fake, with credentials already on it.
    fn vendor(&self) -> Arc<dyn Transport>;
    fn ledger(&self) -> LedgerId;
    /// As the manifest says.
    fn listing(&self) -> Listing;
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap_or_default()
    }
    /// A role of the manifest's table, for users whose role does not matter.
    fn role(&self) -> &str;
    /// Makes these the only users of the ledger.
    async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]);
    /// From now on lists of users come in pages of about two.
    async fn small_pages(&self) -> bool {
        false
    }
    /// False for a vendor whose ledgers list nobody: its `access` has to say so with `Unsupported`.
    fn lists_users(&self) -> bool {
        true
    }
    /// The statements of the same connector, if it has any.
    fn statements(&self) -> Option<&dyn StatementSource> {
        None
    }
    /// One request of each kind that the fake has something for.
    fn requests(&self) -> Vec<StatementRequest> {
        Vec::new()
    }
}

struct Bench<H> {
    h: H,
    wire: Arc<Wire>,
}

impl<H: SourceHarness> Bench<H> {
    async fn new() -> Self {
        let h = H::fresh().await;
        let wire = Wire::new(h.vendor());
        Self { h, wire }
    }

    /// With so many ordinary users in the ledger.
    async fn with(users: usize) -> Self {
        let b = Self::new().await;
        let list: Vec<_> = (0..users).map(|n| b.user(n)).collect();
        b.h.set_users(&b.h.ledger(), &list).await;
        b
    }

    fn user(&self, n: usize) -> TestUser {
        let role = self.h.role().to_owned();
        TestUser { email: format!("user{n}@firm.example"), name: format!("User {n}"), role }
    }

    fn read(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), self.h.now()).in_realm(self.h.realm().as_deref())
    }

    async fn ledgers(&self) -> Result<Snapshot<LedgerRow>> {
        let (s, cx) = (self.h.source(), self.read());
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let cx = cx.clone();
            Box::pin(async move { s.ledgers(&cx, at).await })
        };
        Snapshot::gather("suite.gather", self.h.now(), 100, fetch).await
    }

    /// The users of the harness's ledger.
    async fn access(&self) -> Result<Snapshot<AccessFact>> {
        let (s, cx, ledger) = (self.h.source(), self.read(), self.h.ledger());
        let (ledger, one) = (&ledger, self.h.listing() == Listing::PerLedger);
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let cx = cx.clone();
            let scope = if one { Scope::One(ledger) } else { Scope::All };
            Box::pin(async move { s.access(&cx, scope, at).await })
        };
        Snapshot::gather("suite.gather", self.h.now(), 100, fetch).await
    }

    /// Whether the scenario has users to work with.
    fn lists_users(&self, scenario: &str) -> bool {
        if !self.h.lists_users() {
            skipped(scenario, "this vendor's ledgers list nobody");
        }
        self.h.lists_users()
    }

    /// A listing that refusals are tried on: the users, or the ledgers where there are none.
    async fn listing(&self) -> Result<()> {
        if self.h.lists_users() { self.access().await.map(|_| ()) } else { self.ledgers().await.map(|_| ()) }
    }

    fn statements(&self, scenario: &str) -> Option<&dyn StatementSource> {
        let s = self.h.statements();
        if s.is_none() {
            skipped(scenario, "this connector has no statements");
        }
        s
    }

    async fn references(&self, s: &dyn StatementSource, what: &StatementRequest) -> Result<Snapshot<StatementRef>> {
        let ledger = self.h.ledger();
        let ledger = &ledger;
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let cx = self.read();
            Box::pin(async move { s.statements(&cx, ledger, what, at).await })
        };
        Snapshot::gather("suite.gather", self.h.now(), 100, fetch).await
    }

    /// E-mail and role of the harness's ledger, sorted.
    async fn people(&self) -> Vec<(String, String)> {
        let list = must(self.access().await, "access");
        let ours = list.items().iter().filter(|f| f.ledger == self.h.ledger());
        let mut all: Vec<_> = ours.map(|f| (f.email.clone().unwrap_or_default(), f.role.clone())).collect();
        all.sort();
        all
    }
}

/// Every source scenario as a test of its own.
#[macro_export]
macro_rules! source_suite {
    ($harness:ty) => {
        $crate::suite_tests!(
            $harness,
            source,
            [
                ledgers_are_listed,
                users_are_listed_with_the_vendors_roles,
                p01_an_empty_list_is_an_empty_list,
                p15_an_unknown_role_passes_through,
                i08_a_bad_address_is_not_a_failed_listing,
                nothing_is_remembered_between_calls,
                pages_make_one_listing,
                p03_a_failing_later_page_is_no_listing,
                p12_a_circle_of_pages_ends_in_an_error,
                bad_answers_to_ledgers_are_errors,
                bad_answers_to_access_are_errors,
                p04_p05_p14_answers_that_say_nothing_are_no_lists,
                p14_odd_answers_shorten_no_list,
                bad_answers_to_profile_are_errors,
                p07_refusals_are_errors_of_their_kind,
                p08_forbidden_names_the_ledger,
                p10_rate_limits_carry_the_pause,
                reads_declare_no_write,
                bad_answers_to_accounts_are_errors,
                bad_answers_to_statements_are_errors,
                statements_repeat_to_the_byte,
            ]
        );
    };
}

pub async fn ledgers_are_listed<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    let list = must(b.ledgers().await, "ledgers");
    match b.h.realm() {
        Some(_) => assert_eq!(list.items().len(), 1, "one sign-in is one company: {:?}", list.items()),
        None => assert!(list.items().len() >= 2, "the harness promises two ledgers: {:?}", list.items()),
    }
    let ours = list.items().iter().find(|l| l.id == b.h.ledger());
    assert!(ours.is_some_and(|l| l.is_ledger && !l.name.is_empty()), "{:?}", list.items());
    assert!(!must(b.h.source().profile(&b.read(), &b.h.ledger()).await, "profile").name.is_empty());
}

pub async fn users_are_listed_with_the_vendors_roles<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    if !b.h.lists_users() {
        let e = must_fail(b.access().await, "access at a vendor that lists nobody");
        assert_eq!((e.kind, e.retry), (ErrorKind::Unsupported, Retry::No), "{e:?}");
        return;
    }
    let expected: Vec<_> = (0..3).map(|n| (b.user(n).email, b.user(n).role)).collect();
    assert_eq!(b.people().await, expected);
    let list = must(b.access().await, "access");
    assert!(list.items().iter().all(|f| !f.user.as_str().is_empty()), "a user without an id");
    let standing = list.items().iter().filter(|f| f.ledger == b.h.ledger()).all(|f| f.standing == Standing::Active);
    assert!(standing, "an ordinary user is not active: {:?}", list.items());
}

/// Whether that is believed is the policy's business; the source reports what the vendor says.
pub async fn p01_an_empty_list_is_an_empty_list<H: SourceHarness>() {
    let b = Bench::<H>::with(0).await;
    if !b.lists_users("p01_an_empty_list_is_an_empty_list") {
        return;
    }
    assert_eq!(b.people().await, []);
}

pub async fn p15_an_unknown_role_passes_through<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    if !b.lists_users("p15_an_unknown_role_passes_through") {
        return;
    }
    let odd = TestUser { role: "AUDITOR_X".into(), ..b.user(0) };
    b.h.set_users(&b.h.ledger(), &[odd, b.user(1)]).await;
    assert_eq!(b.people().await, [(b.user(0).email, "AUDITOR_X".to_owned()), (b.user(1).email, b.user(1).role),]);
}

pub async fn i08_a_bad_address_is_not_a_failed_listing<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    if !b.lists_users("i08_a_bad_address_is_not_a_failed_listing") {
        return;
    }
    let bad = TestUser { email: "n/a".into(), ..b.user(0) };
    b.h.set_users(&b.h.ledger(), &[bad, b.user(1)]).await;
    assert_eq!(b.people().await.len(), 2, "a user with a bad address was dropped");
}

pub async fn nothing_is_remembered_between_calls<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    if !b.lists_users("nothing_is_remembered_between_calls") {
        return;
    }
    assert_eq!(b.people().await.len(), 3);
    b.h.set_users(&b.h.ledger(), &[b.user(1)]).await;
    assert_eq!(b.people().await, [(b.user(1).email, b.user(1).role)]);
}

pub async fn pages_make_one_listing<H: SourceHarness>() {
    let b = Bench::<H>::with(5).await;
    if !b.h.small_pages().await {
        return skipped("pages_make_one_listing", "this vendor documents no pages");
    }
    assert_eq!(b.people().await.len(), 5);
    assert!(must(b.access().await, "access").pages() > 1, "the fake did not page");
}

pub async fn p03_a_failing_later_page_is_no_listing<H: SourceHarness>() {
    let b = Bench::<H>::with(5).await;
    if !b.h.small_pages().await {
        return skipped("p03_a_failing_later_page_is_no_listing", "this vendor documents no pages");
    }
    b.wire.heal();
    must(b.access().await, "access");
    for nth in 1..b.wire.count() {
        b.wire.fail(When::From(nth), Fault::Status(500));
        let e = must_fail(b.access().await, &format!("a listing that failed from request {nth} on"));
        assert_eq!(e.kind, ErrorKind::Unavailable);
    }
}

pub async fn p12_a_circle_of_pages_ends_in_an_error<H: SourceHarness>() {
    let b = Bench::<H>::with(5).await;
    if !b.h.small_pages().await {
        return skipped("p12_a_circle_of_pages_ends_in_an_error", "this vendor documents no pages");
    }
    b.wire.fail(When::From(1), Fault::FirstAgain);
    let e = must_fail(b.access().await, "a listing that turns in a circle");
    assert_eq!(e.kind, ErrorKind::Contract);
}

pub async fn bad_answers_to_ledgers_are_errors<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    no_bad_answer_passes(&b.wire, "ledgers", BAD_ANSWERS, async || b.ledgers().await).await;
}

pub async fn bad_answers_to_access_are_errors<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    if !b.lists_users("bad_answers_to_access_are_errors") {
        return;
    }
    no_bad_answer_passes(&b.wire, "access", BAD_ANSWERS, async || b.access().await).await;
}

/// A 200 with an error inside, nothing, null, XML, another charset; a 429 without a word: each in place of each answer.
pub async fn p04_p05_p14_answers_that_say_nothing_are_no_lists<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    no_bad_answer_passes(&b.wire, "ledgers", EMPTY_ANSWERS, async || b.ledgers().await).await;
    if b.h.lists_users() {
        no_bad_answer_passes(&b.wire, "access", EMPTY_ANSWERS, async || b.access().await).await;
    }
    let Some(s) = b.h.statements() else { return };
    let ledger = b.h.ledger();
    let accounts = async || {
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let (cx, ledger) = (b.read(), &ledger);
            Box::pin(async move { s.accounts(&cx, ledger, at).await })
        };
        Snapshot::gather("suite.gather", b.h.now(), 100, fetch).await
    };
    no_bad_answer_passes(&b.wire, "accounts", EMPTY_ANSWERS, accounts).await;
}

/// Null or an object where a list stood, a text where a number stood.
pub async fn p14_odd_answers_shorten_no_list<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    no_odd_answer_shortens(&b.wire, "ledgers", async || Ok(b.ledgers().await?.items().to_vec())).await;
    if b.h.lists_users() {
        no_odd_answer_shortens(&b.wire, "access", async || Ok(b.access().await?.items().to_vec())).await;
    }
}

pub async fn bad_answers_to_profile_are_errors<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    let ledger = b.h.ledger();
    no_bad_answer_passes(&b.wire, "profile", BAD_ANSWERS, async || b.h.source().profile(&b.read(), &ledger).await)
        .await;
}

pub async fn p07_refusals_are_errors_of_their_kind<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    for status in [400, 403, 404, 410, 418, 503] {
        b.wire.fail(When::From(0), Fault::Status(status));
        for e in [
            must_fail(b.listing().await, &format!("a listing with {status}")),
            must_fail(b.ledgers().await, &format!("ledgers with {status}")),
        ] {
            let sound = match status {
                403 => e.kind == ErrorKind::Forbidden,
                // Never "sign in again", and never something that a repeat is said to cure.
                503 => e.kind == ErrorKind::Unavailable,
                _ => e.kind != ErrorKind::Unauthenticated && e.retry == Retry::No,
            };
            assert!(sound, "{status} became {e:?}");
        }
    }
}

pub async fn p08_forbidden_names_the_ledger<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    if b.h.listing() == Listing::All {
        return skipped("p08_forbidden_names_the_ledger", "one call lists all ledgers here");
    }
    b.wire.fail(When::From(0), Fault::Status(403));
    let e = must_fail(b.listing().await, "a listing with 403");
    assert_eq!((e.kind, e.get("ledger")), (ErrorKind::Forbidden, Some(b.h.ledger().as_str())), "{e:?}");
}

pub async fn p10_rate_limits_carry_the_pause<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    b.wire.fail(When::From(0), Fault::RateLimited);
    let e = must_fail(b.listing().await, "a listing with 429");
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(7))));
}

pub async fn reads_declare_no_write<H: SourceHarness>() {
    let b = Bench::<H>::with(3).await;
    must(b.ledgers().await, "ledgers");
    must(b.listing().await, "a listing");
    must(b.h.source().profile(&b.read(), &b.h.ledger()).await, "profile");
    let log = b.wire.log();
    assert!(log.iter().all(|r| r.effect == Effect::Read), "reads that write");
    plain(&log);
}

pub async fn bad_answers_to_accounts_are_errors<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    let Some(s) = b.statements("bad_answers_to_accounts_are_errors") else { return };
    let ledger = b.h.ledger();
    let call = async || {
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let (cx, ledger) = (b.read(), &ledger);
            Box::pin(async move { s.accounts(&cx, ledger, at).await })
        };
        Snapshot::gather("suite.gather", b.h.now(), 100, fetch).await
    };
    no_bad_answer_passes(&b.wire, "accounts", BAD_ANSWERS, call).await;
}

/// A short list of documents would be a file that never arrives; a short register would be a wrong statement.
pub async fn bad_answers_to_statements_are_errors<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    let Some(s) = b.statements("bad_answers_to_statements_are_errors") else { return };
    assert!(!b.h.requests().is_empty(), "the harness has a statement source and asks it nothing");
    for what in b.h.requests() {
        b.wire.heal();
        let refs = must(b.references(s, &what).await, what.kind.slug());
        assert!(!refs.is_empty(), "{}: the fake has nothing to fetch", what.kind.slug());
        if b.wire.count() > 0 {
            no_bad_answer_passes(&b.wire, what.kind.slug(), BAD_ANSWERS, async || b.references(s, &what).await).await;
        }
        for one in refs.items() {
            let call = async || s.fetch(&b.read(), one).await;
            if what.kind.is_document() {
                // Any bytes are a document, so only what is not an answer can be told apart.
                let broken = [Fault::Status(500), Fault::Status(401), Fault::RateLimited, Fault::NotSent, Fault::Lost];
                no_bad_answer_passes(&b.wire, what.kind.slug(), broken, call).await;
            } else {
                no_bad_answer_passes(&b.wire, what.kind.slug(), BAD_ANSWERS, call).await;
            }
        }
    }
}

pub async fn statements_repeat_to_the_byte<H: SourceHarness>() {
    let b = Bench::<H>::new().await;
    let Some(s) = b.statements("statements_repeat_to_the_byte") else { return };
    for what in b.h.requests() {
        for one in must(b.references(s, &what).await, what.kind.slug()).items() {
            let first = must(s.fetch(&b.read(), one).await, "fetch");
            let again = must(s.fetch(&b.read(), one).await, "fetch again");
            assert_eq!(first, again, "{}: the same statement twice is not the same data", what.kind.slug());
        }
    }
}

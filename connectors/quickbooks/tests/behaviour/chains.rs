//! 300 companies are 300 chains of refresh tokens, each with one call at a time, and a process that dies among them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ledgerward_contract::{Error, ErrorKind, Request, Response, Result, Retry, Secret, Timestamp, Transport};
use ledgerward_kit::{
    Durable, NewTokens, OAuthClient, OAuthTokens, SignInState, StoredTokens, TokenSource, TokioClock, Vault,
    fake::{Fake as _, FakeTransport, SharedFake},
};
use ledgerward_quickbooks::fake::Fake;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::oauth::spec;
use crate::common::VENDOR;

const CHAINS: usize = 300;
const CALLERS: usize = 4;
const START: &str = "2026-11-21T09:00:00Z";
/// After the crash; every access token has ended long since.
const LATER: &str = "2026-11-21T15:00:00Z";

/// What is on the disk: one row a company.
#[derive(Default)]
struct Disk {
    rows: Mutex<BTreeMap<String, StoredTokens>>,
    commits: AtomicUsize,
}

impl Disk {
    fn on<T>(&self, sign_in: &str, act: impl FnOnce(&mut StoredTokens) -> Result<T>) -> Result<T> {
        let mut rows = self.rows.lock().unwrap();
        act(rows.get_mut(sign_in).ok_or_else(|| Error::new(ErrorKind::NotFound, "vault.load", "no such row"))?)
    }

    fn state(&self, wanted: impl Fn(&SignInState) -> bool) -> usize {
        self.rows.lock().unwrap().values().filter(|r| wanted(&r.state)).count()
    }
}

fn moved() -> Error {
    Error::new(ErrorKind::Conflict, "vault.write", "moved")
}

#[async_trait]
impl Vault for Disk {
    async fn load(&self, sign_in: &str) -> Result<Durable<StoredTokens>> {
        self.on(sign_in, |r| Ok(Durable::committed(r.clone())))
    }

    async fn intend(&self, sign_in: &str, generation: u64, attempt: u32, at: Timestamp) -> Result<()> {
        self.on(sign_in, |r| {
            if r.generation != generation {
                return Err(moved());
            }
            r.state = SignInState::Refreshing { since: at, attempt };
            Ok(())
        })
    }

    async fn commit(&self, sign_in: &str, expected: u64, new: &NewTokens) -> Result<Durable<StoredTokens>> {
        let row = self.on(sign_in, |r| {
            if r.generation != expected {
                return Err(moved());
            }
            *r = StoredTokens {
                generation: expected + 1,
                access: Some(new.access.clone()),
                access_issued_at: Some(new.access_issued_at),
                access_expires_at: Some(new.access_expires_at),
                refresh: new.refresh.clone(),
                refresh_expires_at: new.refresh_expires_at,
                previous: new.previous.clone(),
                state: SignInState::Active,
                last_refreshed: Some(new.access_issued_at),
                issued_at: r.issued_at,
            };
            Ok(Durable::committed(r.clone()))
        })?;
        self.commits.fetch_add(1, Ordering::SeqCst);
        Ok(row)
    }

    async fn spool(&self, _: &str, _: u64, _: &NewTokens) -> Result<Durable<StoredTokens>> {
        Err(Error::new(ErrorKind::Unavailable, "vault.spool", "this disk has no other place"))
    }

    async fn settle_previous(&self, sign_in: &str, generation: u64) -> Result<()> {
        self.on(sign_in, |r| {
            if r.generation == generation {
                r.previous = None;
            }
            Ok(())
        })
    }

    async fn needs_reauth(&self, sign_in: &str, generation: u64, why: &str, at: Timestamp) -> Result<()> {
        self.on(sign_in, |r| {
            if r.generation == generation {
                r.state = SignInState::NeedsReauth { since: at, why: why.to_owned() };
            }
            Ok(())
        })
    }
}

/// Lets so many requests out of the machine. The rest are still inside when it dies.
struct Door {
    inner: FakeTransport,
    left: Mutex<usize>,
}

#[async_trait]
impl Transport for Door {
    async fn send(&self, request: Request) -> Result<Response> {
        let out = {
            let mut left = self.left.lock().unwrap();
            let out = *left > 0;
            *left = left.saturating_sub(1);
            out
        };
        if !out {
            std::future::pending::<()>().await;
        }
        self.inner.send(request).await
    }
}

struct Firm {
    vendor: SharedFake,
    disk: Arc<Disk>,
}

impl Firm {
    /// All companies consented to, and their access tokens used up.
    fn new(app: Value) -> Self {
        let mut fake = Fake::many(CHAINS).unwrap();
        let mut saved = fake.save();
        for (key, value) in app.as_object().unwrap() {
            saved["app"][key] = value.clone();
        }
        let realms: Vec<String> = saved["companies"].as_object().unwrap().keys().cloned().collect();
        fake = Fake::restore(&saved, "https://documents.example").unwrap();
        let disk = Disk::default();
        let at: Timestamp = START.parse().unwrap();
        for realm in realms {
            let tokens = fake.control("token", &json!({"company": realm})).unwrap();
            let row = StoredTokens {
                generation: 1,
                access: None,
                access_issued_at: None,
                access_expires_at: None,
                refresh: Some(Secret::new(tokens["refresh_token"].as_str().unwrap())),
                refresh_expires_at: None,
                previous: None,
                state: SignInState::Active,
                last_refreshed: Some(at),
                issued_at: at,
            };
            disk.rows.lock().unwrap().insert(realm, row);
        }
        Self { vendor: Arc::new(Mutex::new(Box::new(fake))), disk: Arc::new(disk) }
    }

    /// A process over what is on the disk.
    fn process(&self, at: &str, out: usize) -> (Runtime, BTreeMap<String, Arc<OAuthTokens>>, Arc<Door>) {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let epoch: Timestamp = at.parse().unwrap();
        let inner = FakeTransport::new(self.vendor.clone(), epoch);
        let wire = Arc::new(Door { inner, left: Mutex::new(out) });
        let clock = Arc::new(TokioClock::starting(epoch));
        let secret = Some(Secret::new("sandbox-secret"));
        let client = OAuthClient::new(spec(), &VENDOR.endpoints(), "sandbox-qbo", secret, wire.clone()).unwrap();
        let client = Arc::new(client);
        let rows: Vec<_> = self.disk.rows.lock().unwrap().keys().cloned().collect();
        let source = |realm: String| {
            let tokens = OAuthTokens::new(&realm, self.disk.clone() as _, client.clone(), clock.clone() as _);
            (realm, Arc::new(tokens))
        };
        let all = rows.into_iter().map(source).collect();
        drop(_inside);
        (runtime, all, wire)
    }

    fn stats(&self) -> Value {
        self.vendor.lock().unwrap().control("stats", &json!({})).unwrap()
    }
}

/// Several callers for each chain at once, as a run has them.
fn all_ask(tokens: &BTreeMap<String, Arc<OAuthTokens>>) -> Vec<tokio::task::JoinHandle<Result<u64>>> {
    let one = |t: &Arc<OAuthTokens>| {
        let t = Arc::clone(t);
        tokio::spawn(async move {
            loop {
                match t.bearer().await {
                    Err(Error { retry: Retry::After(wait), .. }) => tokio::time::sleep(wait).await,
                    other => return other.map(|b| b.get().generation),
                }
            }
        })
    };
    tokens.values().flat_map(|t| (0..CALLERS).map(move |_| one(t))).collect()
}

/// Every chain works: its token opens its own company.
async fn all_work(tokens: &BTreeMap<String, Arc<OAuthTokens>>, wire: &Arc<Door>) {
    for (realm, t) in tokens {
        let bearer = t.bearer().await.unwrap_or_else(|e| panic!("{realm}: {e:?}"));
        let url = format!("https://quickbooks.api.intuit.com/v3/company/{realm}/companyinfo/{realm}").parse().unwrap();
        let request = Request::get("company.get", url).header(http::header::ACCEPT, "application/json").unwrap();
        let value = format!("Bearer {}", bearer.get().token.expose());
        let answer = wire.send(request.header(http::header::AUTHORIZATION, &value).unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{realm}");
    }
}

#[test]
fn t02_300_chains_and_a_crash_send_each_refresh_token_at_most_once_and_lose_none() {
    for sent in [0, 1, 149, 300] {
        let firm = Firm::new(json!({}));
        let (runtime, tokens, _wire) = firm.process(START, sent);
        runtime.block_on(async {
            let asking = all_ask(&tokens);
            while firm.disk.commits.load(Ordering::SeqCst) < sent {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Everybody else has said what they are about to do, and nothing has left.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(firm.disk.state(|s| matches!(s, SignInState::Refreshing { .. })), CHAINS - sent);
            drop(asking);
        });
        // The process is gone, with every task in it.
        drop((tokens, runtime));

        let (runtime, tokens, wire) = firm.process(LATER, usize::MAX);
        runtime.block_on(async {
            for task in all_ask(&tokens) {
                assert!(task.await.unwrap().unwrap() >= 2);
            }
            all_work(&tokens, &wire).await;
        });
        let stats = firm.stats();
        assert_eq!(stats["refresh_token_sent_most"], 1, "after {sent}: {stats}");
        assert_eq!((&stats["refreshes_refused"], &stats["connected"]), (&json!(0), &json!(CHAINS)));
        assert_eq!(stats["refreshes"], CHAINS + sent, "one call a chain and process, however many asked");
        assert_eq!(firm.disk.state(|s| *s == SignInState::Active), CHAINS);
    }
}

/// The vendor has answered and we died before we heard it. The same token is sent again; while its value holds for the
/// day, as Intuit documents, nothing is lost.
#[test]
fn t03_answers_lost_in_the_crash_cost_no_chain_while_the_value_holds() {
    let firm = Firm::new(json!({"daily": true, "latency_ms": 200}));
    let (runtime, tokens, _wire) = firm.process(START, 120);
    runtime.block_on(async {
        let _asking = all_ask(&tokens);
        // All 120 are at the vendor, and none is back.
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    drop((tokens, runtime));
    assert_eq!((firm.disk.commits.load(Ordering::SeqCst), &firm.stats()["refreshes"]), (0, &json!(120)));

    let (runtime, tokens, wire) = firm.process(LATER, usize::MAX);
    runtime.block_on(async {
        for task in all_ask(&tokens) {
            task.await.unwrap().unwrap();
        }
        all_work(&tokens, &wire).await;
    });
    let stats = firm.stats();
    assert_eq!((&stats["refreshes_refused"], &stats["refresh_token_sent_most"]), (&json!(0), &json!(2)), "{stats}");
}

/// Where the value has changed with the lost answer, no client can know the new one. Those chains alone ask for a person,
/// and no other is touched.
#[test]
fn t03_a_value_that_changed_with_the_lost_answer_asks_for_a_person_in_its_chain_alone() {
    let firm = Firm::new(json!({"latency_ms": 200}));
    let (runtime, tokens, _wire) = firm.process(START, 3);
    runtime.block_on(async {
        let _asking = all_ask(&tokens);
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    drop((tokens, runtime));

    let (runtime, tokens, _wire) = firm.process(LATER, usize::MAX);
    let refused = runtime.block_on(async {
        let mut refused = 0;
        for task in all_ask(&tokens) {
            refused += usize::from(task.await.unwrap().is_err_and(|e| e.kind == ErrorKind::Unauthenticated));
        }
        refused
    });
    assert_eq!(refused, 3 * CALLERS);
    assert_eq!(firm.disk.state(|s| matches!(s, SignInState::NeedsReauth { .. })), 3);
    assert_eq!(firm.disk.state(|s| *s == SignInState::Active), CHAINS - 3);
    // Nothing of theirs is thrown away: the ciphertext stays for a vendor that thinks better of it.
    assert!(firm.disk.rows.lock().unwrap().values().all(|r| r.refresh.is_some()));
}

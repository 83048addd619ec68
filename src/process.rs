//! What everybody who works in one process shares: the daemon's cycles and the commands that come in through its socket. A
//! single command has one of these for itself.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ledgerward_kit::tokens::OAuthTokens;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};

use crate::{
    cli::outcome::Failure,
    config::Config,
    world::{Network, World},
};

/// One per process.
pub struct Process {
    pub gate: Gate,
    pub tokens: Arc<TokenPool>,
    pub network: Network,
    world: tokio::sync::Mutex<Option<Built>>,
    stop: watch::Sender<bool>,
    /// Why the daemon cannot keep its schedules now.
    trouble: Mutex<Option<String>>,
}

struct Built {
    config: Arc<Config>,
    sign_ins: String,
    world: Arc<World>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            tokens: Arc::default(),
            network: Network::default(),
            world: tokio::sync::Mutex::default(),
            stop: watch::Sender::new(false),
            trouble: Mutex::default(),
        }
    }
}

impl Process {
    /// One that reaches its providers in another way.
    pub fn over(network: Network) -> Self {
        Self { network, ..Self::default() }
    }

    /// The world of this configuration and these sign-ins, built once: two of them would each keep a vendor's limits for
    /// themselves.
    pub async fn world(
        &self,
        config: &Arc<Config>,
        sign_ins: String,
        build: impl FnOnce() -> ledgerward_contract::Result<World>,
    ) -> Result<Arc<World>, Failure> {
        let mut kept = self.world.lock().await;
        if let Some(built) = kept.as_ref().filter(|b| Arc::ptr_eq(&b.config, config) && b.sign_ins == sign_ins) {
            return Ok(Arc::clone(&built.world));
        }
        let world = Arc::new(build()?);
        *kept = Some(Built { config: Arc::clone(config), sign_ins, world: Arc::clone(&world) });
        Ok(world)
    }

    /// Why the daemon cannot keep its schedules, for whoever asks how it is; `None` while it can.
    pub fn troubled(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing new is begun from here on; what is under way ends after its step.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// True once [`Process::stop`] was called: what the layers below a connector heed.
    pub fn stop_signal(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Ends when [`Process::stop`] was called.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.stop.subscribe();
        async move {
            // The sender lives as long as the process does; without it there is nothing to wait for.
            let _gone = seen.wait_for(|stop| *stop).await;
        }
    }
}

/// Lets `revoke --now` in between two steps of any cycle (`decisions` 14).
///
/// Each writing step of a cycle holds a turn; a revoke waits for the steps under way and keeps new ones out until it is
/// done. The lock is fair, so a cycle of ten thousand steps delays a revoke by one. A plan made before somebody was closed
/// may hold a grant for them: the epoch moves once the closing is stored, and no step that lets somebody in is done for a
/// plan of an earlier epoch.
#[derive(Default)]
pub struct Gate {
    turn: RwLock<()>,
    epoch: AtomicU64,
}

impl Gate {
    /// For one step of a cycle.
    pub async fn turn(&self) -> RwLockReadGuard<'_, ()> {
        self.turn.read().await
    }

    /// For a whole revoke: from before the closing is stored until its last step.
    pub async fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.turn.write().await
    }

    /// After the closing is stored, and before the gate opens again.
    pub fn closed_somebody(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Read before the firm is read that a plan is made from.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }
}

/// One [`OAuthTokens`] for each sign-in, whatever worlds come and go: two would send one single-use refresh token twice.
#[derive(Default)]
pub struct TokenPool(Mutex<BTreeMap<String, Arc<OAuthTokens>>>);

impl TokenPool {
    pub fn get(&self, sign_in: &str, make: impl FnOnce() -> OAuthTokens) -> Arc<OAuthTokens> {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pool.entry(sign_in.to_owned()).or_insert_with(|| Arc::new(make())))
    }

    /// Before the store closes: no token call is under way and none is in the spool alone. False if that took longer.
    pub async fn settle(&self, max: Duration) -> bool {
        let all: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        futures::future::join_all(all.iter().map(|t| t.settle(max))).await.into_iter().all(|quiet| quiet)
    }

    /// After [`TokenPool::settle`], for a configuration whose apps may be other ones.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_revoke_waits_for_one_step_and_goes_before_the_next() {
        let gate = Arc::new(Gate::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let step = gate.turn().await;
        let (g, o) = (Arc::clone(&gate), Arc::clone(&order));
        let revoke = tokio::spawn(async move {
            let _closed = g.close().await;
            o.lock().unwrap().push("revoke");
        });
        tokio::task::yield_now().await;
        let (g, o) = (Arc::clone(&gate), Arc::clone(&order));
        let next = tokio::spawn(async move {
            let _turn = g.turn().await;
            o.lock().unwrap().push("step");
        });
        tokio::task::yield_now().await;
        assert!(order.lock().unwrap().is_empty(), "a step under way is never interrupted");
        drop(step);
        revoke.await.unwrap();
        next.await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["revoke", "step"]);
    }
}

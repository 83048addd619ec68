//! What a monitor sees: Prometheus text, and the short answer to "is it alive". No names of people or clients in labels.

use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::{
    apply::LaneEnd,
    cli::{
        findings::Unseen,
        outcome::{Exit, Failure},
    },
    domain::{finding::Severity, firm::Firm, lane::Op},
    engine::Done,
    exposure::Exposure,
    store::{SignInState, Store, StoreError},
};

/// Kinds of runs whose freshness is told. The last attempt and the last complete one are kept apart: a failing cycle is
/// not a fresh one.
const KINDS: [&str; 6] = ["access", "statements", "reread", "sync", "pull", "daily"];

/// The process's numbers.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Once per process.
    pub fn install() -> Result<Self, Failure> {
        let handle = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|e| Failure::new(Exit::Failed, "the metrics cannot be started").cause(&e))?;
        for (name, text) in [
            ("ledgerward_last_attempt_timestamp_seconds", "When a run of this kind last began"),
            ("ledgerward_last_success_timestamp_seconds", "When a run of this kind that did everything last began"),
            (
                "ledgerward_last_part_timestamp_seconds",
                "When a run of this kind for some clients that did all of it last began",
            ),
            (
                "ledgerward_last_complete_cycle_timestamp_seconds",
                "When a cycle of any kind that did everything last began",
            ),
            ("ledgerward_cycle_duration_seconds", "How long the last run of this kind took"),
            ("ledgerward_findings", "Open findings"),
            ("ledgerward_holds", "Holds that wait for a person"),
            ("ledgerward_sources_unreadable", "Ledgers that the last cycle could not read"),
            ("ledgerward_sign_ins_needing_a_person", "Sign-ins that are dead until somebody signs in again"),
            ("ledgerward_exposure_minutes", "From the ledger's denial to the folder's revoke, over the last 30 days"),
            ("ledgerward_exposure_removals", "Removals of the last 30 days that the exposure is counted from"),
            ("ledgerward_resident_memory_bytes", "Memory in use"),
            ("ledgerward_wall_clock_jumps_total", "Jumps of the wall clock by more than five minutes"),
        ] {
            metrics::describe_gauge!(name, text);
        }
        Ok(Self(handle))
    }

    /// Prometheus text, with what the state says now.
    pub async fn render(&self, store: &Store) -> String {
        if let Err(e) = refresh(store).await {
            tracing::warn!(event = "metrics.read", error = %e, "the state could not be asked for its numbers");
        }
        self.0.run_upkeep();
        self.0.render()
    }
}

async fn refresh(store: &Store) -> Result<(), StoreError> {
    let (runs, cycle, (firm, mut findings), holds, signins, exposure) = store
        .run(|db| {
            let mut runs = Vec::new();
            for kind in KINDS {
                runs.push((kind, db.last_attempt(kind)?, db.last_complete(kind)?, db.last_part(kind)?));
            }
            let exposure = Exposure::read(db, ledgerward_contract::Timestamp::now())?;
            let open = db.open_findings()?;
            // Whose books are private is asked only where there is something to tell.
            let found = (if open.is_empty() { Firm::default() } else { db.firm()? }, open);
            Ok((runs, db.last_whole_cycle()?, found, db.holds()?.len(), db.signins()?, exposure))
        })
        .await?;
    for (kind, attempt, complete, part) in runs {
        for (name, run) in [
            ("ledgerward_last_attempt_timestamp_seconds", attempt),
            ("ledgerward_last_success_timestamp_seconds", complete),
            ("ledgerward_last_part_timestamp_seconds", part),
        ] {
            if let Some(run) = run {
                gauge!(name, "kind" => kind).set(run.started.as_second() as f64);
            }
        }
    }
    if let Some(run) = cycle {
        gauge!("ledgerward_last_complete_cycle_timestamp_seconds").set(run.started.as_second() as f64);
    }
    // How many there are about private books is their person's to know.
    Unseen::by_others(&firm).take_out(&mut findings);
    for (severity, word) in [(Severity::Notice, "notice"), (Severity::Warning, "warning"), (Severity::Urgent, "urgent")]
    {
        let n = findings.iter().filter(|f| f.finding.severity == severity).count();
        gauge!("ledgerward_findings", "severity" => word).set(n as f64);
    }
    gauge!("ledgerward_holds").set(holds as f64);
    gauge!("ledgerward_exposure_removals").set(exposure.as_ref().map_or(0, Exposure::removals) as f64);
    for (percent, quantile) in [(50, "0.5"), (95, "0.95"), (100, "1")] {
        let minutes = exposure.as_ref().map_or(0, |e| e.percentile(percent));
        gauge!("ledgerward_exposure_minutes", "quantile" => quantile).set(minutes as f64);
    }
    let dead = signins.iter().filter(|s| matches!(s.state, SignInState::NeedsReauth { .. })).count();
    gauge!("ledgerward_sign_ins_needing_a_person").set(dead as f64);
    if let Some(bytes) = resident_bytes() {
        gauge!("ledgerward_resident_memory_bytes").set(bytes as f64);
    }
    Ok(())
}

/// From `/proc/self/statm`, whose pages are of the system's size. `None` where there is no such file.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Counts what a cycle did.
pub fn count(kind: &'static str, took: Duration, done: Option<&Done>) {
    gauge!("ledgerward_cycle_duration_seconds", "kind" => kind).set(took.as_secs_f64());
    let Some(done) = done else {
        counter!("ledgerward_cycles_failed_total", "kind" => kind).increment(1);
        return;
    };
    gauge!("ledgerward_sources_unreadable").set(done.picture.unreadable as f64);
    for step in done.lanes.iter().flat_map(|l| &l.steps).filter(|s| s.result.is_ok()) {
        match step.step.op {
            Op::Grant { .. } => counter!("ledgerward_grants_total").increment(1),
            Op::Revoke { .. } => counter!("ledgerward_revokes_total").increment(1),
            _ => {}
        }
    }
    let bad = done.lanes.iter().filter(|l| l.end != LaneEnd::Done).count();
    gauge!("ledgerward_lanes_not_done").set(bad as f64);
    counter!("ledgerward_files_delivered_total").increment(done.delivered.files.len() as u64);
}

pub fn clock_jumped() {
    counter!("ledgerward_wall_clock_jumps_total").increment(1);
}

/// `GET /metrics` alone, for the loopback address of `metrics_listen`.
pub fn router(metrics: Metrics, store: Store) -> Router {
    Router::new().route("/metrics", get(text)).with_state((metrics, store))
}

pub async fn text(State((metrics, store)): State<(Metrics, Store)>) -> ([(http::HeaderName, &'static str); 1], String) {
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render(&store).await)
}

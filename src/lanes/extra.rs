//! Which entries of a lane rest on extra access alone, from one run to the next.

use super::{EXTRA, lane_text};
use crate::{app::App, cli::outcome::Failure, domain::plan::LanePlan, engine::Picture};

/// Writes it down before the first grant: an entry that is made and not known as such would stay for as long as a ledger is out.
pub async fn keep_extra(app: &App, picture: &Picture) -> Result<(), Failure> {
    // The plan of a revoke (no epoch) lets nobody in.
    if picture.epoch.is_none() {
        return Ok(());
    }
    let news = |plan: &&LanePlan| picture.book.lanes.get(&plan.lane).is_some_and(|known| known.extra != plan.extra);
    let plans = picture.verdict.cleared.lanes().iter().filter(news);
    let rows: Vec<_> = plans.map(|plan| (lane_text(&plan.lane), plan.extra.clone())).collect();
    if rows.is_empty() {
        return Ok(());
    }
    app.store
        .run(move |db| {
            db.tx(|db| {
                for (lane, extra) in &rows {
                    match extra.is_empty() {
                        true => db.doc_delete(EXTRA, lane).map(drop)?,
                        false => db.doc_put(EXTRA, lane, extra)?,
                    }
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

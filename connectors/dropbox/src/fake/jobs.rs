//! Jobs: what Dropbox does a little later, whether anybody asks or not.

use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call, DropboxFake, plain, union};

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) enum Work {
    Share { node: u64, by: String, arg: Value },
    Inherit { node: u64, no_inherit: bool },
    Remove { node: u64, who: String },
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Job {
    due: Timestamp,
    work: Work,
    by: String,
    /// The work's result, once it is done.
    result: Option<Value>,
}

impl DropboxFake {
    pub(super) fn launch(&mut self, work: Work, by: &str) -> Value {
        let id = format!("{:024x}", self.st.number());
        let due = self.now.saturating_add(SignedDuration::from_millis(self.job_ms)).unwrap_or(self.now);
        self.jobs.insert(id.clone(), Job { due, work, by: by.to_owned(), result: None });
        json!({ ".tag": "async_job_id", "async_job_id": id })
    }

    pub(super) fn finish_jobs(&mut self) {
        let due: Vec<_> =
            self.jobs.iter().filter(|(_, j)| j.result.is_none() && j.due <= self.now).map(|(k, _)| k.clone()).collect();
        for id in due {
            let Some(job) = self.jobs.get(&id).cloned() else { continue };
            let result = self.work(&job.work);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.result = Some(result);
            }
        }
    }

    fn work(&mut self, work: &Work) -> Value {
        match work {
            Work::Share { node, by, arg } => {
                self.set_share(*node, by, arg);
                json!({ ".tag": "complete", "folder": node })
            }
            Work::Inherit { node, no_inherit } => {
                if let Some(share) = self.st.nodes.get_mut(node).and_then(|n| n.share.as_mut()) {
                    share.no_inherit = *no_inherit;
                }
                json!({ ".tag": "complete", "folder": node })
            }
            Work::Remove { node, who } => {
                let Some(share) = self.st.nodes.get_mut(node).and_then(|n| n.share.as_mut()) else {
                    return json!({ ".tag": "failed", "failed": union("access_error/invalid_id") });
                };
                let before = share.members.len();
                share.members.retain(|m| m.who != *who);
                if share.members.len() == before {
                    return json!({ ".tag": "failed", "failed": union("member_error/not_a_member") });
                }
                let mut done = json!({ ".tag": "complete" });
                if let Some(level) = self.st.level(who, *node) {
                    done["access_level"] = json!({ ".tag": level });
                }
                done
            }
        }
    }

    pub(super) fn job_status(&mut self, call: &Call) -> Answer {
        call.only(&["async_job_id"])?;
        let job = self.jobs.get(&call.text("async_job_id")?).filter(|j| j.by == call.who.email).cloned();
        match job.map(|j| j.result) {
            None => plain("Error in call: async_job_id: Invalid"),
            Some(None) => Ok(json!({ ".tag": "in_progress" })),
            Some(Some(result)) => match result["folder"].as_u64() {
                Some(node) => {
                    let mut v = self.folder_json(call, node);
                    v[".tag"] = json!("complete");
                    Ok(v)
                }
                None => Ok(result),
            },
        }
    }
}

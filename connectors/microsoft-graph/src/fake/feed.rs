//! The changes of a drive.

use std::collections::BTreeMap;

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, GraphFake,
    state::{Refuse, refuse},
};

impl GraphFake {
    pub(super) fn delta(&mut self, r: &FakeRequest, who: &str, drive: &str) -> Answer {
        let Some(top) = self.st.drives.get(drive).map(|d| d.top.clone()) else {
            return refuse(404, "itemNotFound", "The resource could not be found.");
        };
        if self.st.role(who, &top) < 3 {
            return refuse(403, "accessDenied", "Access denied");
        }
        let end = self.st.events.len();
        let here = format!("{}{}", self.base, r.path);
        let token = r.query("token").map(|text| text.split_once('.').unwrap_or((text, "0")));
        // A new link comes each time, also where nothing is new.
        let looks = token.and_then(|(_, n)| n.parse::<u64>().ok()).unwrap_or(0) + 1;
        let link = |key: &str, at: usize| {
            let url = format!("{here}?token=Mzs{at}.{looks}");
            (key.to_owned(), json!(url))
        };
        let from = match token.map(|(at, _)| at) {
            Some("latest") => end,
            None => 0,
            Some(text) => match text.strip_prefix("Mzs").and_then(|n| n.parse::<usize>().ok()) {
                Some(n) if n >= self.st.forgotten && n <= end => n,
                Some(_) => {
                    let gone = Refuse::new(410, "resyncChangesApplyDifferences", "Resync required");
                    return Ok(gone.answer().header("location", here));
                }
                None => return refuse(400, "invalidRequest", "The token is not valid."),
            },
        };
        let upto = end.min(from + self.ways.page_max);
        let sharing = r.header("prefer").is_some_and(|p| p.contains("deltashowsharingchanges"));
        let mut last: BTreeMap<String, (Option<String>, bool)> = BTreeMap::new();
        for e in self.st.events.iter().skip(from).take(upto - from).filter(|e| e.drive == drive) {
            let known = last.entry(e.node.clone()).or_insert((None, false));
            *known = (e.parent.clone(), known.1 || e.sharing);
        }
        let mut value = Vec::new();
        for (id, (parent, shared)) in last {
            let mut item = if self.st.nodes.contains_key(&id) && !self.st.is_away(&id) {
                self.entity(&id)
            } else {
                json!({ "id": id, "parentReference": { "driveId": drive, "id": parent }, "deleted": { "state": "deleted" } })
            };
            if let (true, true, Value::Object(map)) = (shared, sharing, &mut item) {
                map.insert("@microsoft.graph.sharedChanged".to_owned(), json!("True"));
            }
            value.push(item);
        }
        let (key, at) = if upto < end { link("@odata.nextLink", upto) } else { link("@odata.deltaLink", end) };
        let mut body = json!({ "value": value });
        if let Some(map) = body.as_object_mut() {
            map.insert(key, at);
        }
        Ok(FakeResponse::json(200, &body))
    }
}

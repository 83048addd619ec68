//! Sharing lists: who sees them, inviting, changing, taking away.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, GraphFake,
    state::{Entry, Refuse, State, Whom, claim_id, rank, refuse, said},
};

fn person(st: &State, id: &str) -> Value {
    let Some(u) = st.users.get(id) else { return Value::Null };
    json!({
        "user": { "id": u.id, "email": u.mail, "displayName": u.name },
        "siteUser": { "id": "12", "displayName": u.name, "email": u.mail, "loginName": format!("i:0#.f|membership|{}", u.upn) },
    })
}

impl GraphFake {
    fn entry_entity(&self, e: &Entry, inherited: bool) -> Value {
        let mut v = json!({ "id": e.id, "roles": e.roles });
        let (key, old, whom) = match &e.whom {
            Whom::User(id) => ("grantedToV2", "grantedTo", person(&self.st, id)),
            Whom::Address(mail) => ("invitation", "", json!({ "email": mail, "signInRequired": true })),
            Whom::Group(name) => {
                ("grantedToV2", "grantedTo", json!({ "group": { "id": "5a1d0000", "displayName": name } }))
            }
            Whom::SiteGroup(name) => {
                ("grantedToV2", "", json!({ "siteGroup": { "id": "5", "displayName": name, "loginName": name } }))
            }
            Whom::Everyone => (
                "grantedToV2",
                "",
                json!({ "siteUser": { "id": "9", "displayName": "Everyone except external users", "loginName": "c:0-.f|rolemanager|spo-grid-all-users/55001" } }),
            ),
            Whom::App(name) => ("grantedToV2", "", json!({ "application": { "id": "a44b0000", "displayName": name } })),
            Whom::Link { scope, edit, people } => {
                let link = json!({
                    "scope": scope, "type": if *edit { "edit" } else { "view" },
                    "webUrl": "https://harbour-my.sharepoint.com/:f:/g/personal/ledgers/Esecret", "preventsDownload": false,
                });
                if let Some(map) = v.as_object_mut() {
                    map.insert("link".to_owned(), link);
                    map.insert("hasPassword".to_owned(), json!(false));
                }
                let list: Vec<_> = people.iter().map(|p| person(&self.st, p)).collect();
                ("grantedToIdentitiesV2", "grantedToIdentities", json!(list))
            }
        };
        if let Some(map) = v.as_object_mut() {
            if !self.ways.old_fields || old.is_empty() {
                map.insert(key.to_owned(), whom.clone());
            }
            if !old.is_empty() {
                map.insert(old.to_owned(), whom);
            }
            if inherited && self.ways.marks_inherited {
                map.insert("inheritedFrom".to_owned(), json!({}));
            }
        }
        v
    }

    fn list(&self, id: &str) -> Vec<Value> {
        let mut all = self.st.effective(id);
        if self.ways.limited_above {
            let more = self.st.limited(id);
            all.extend(more.into_iter().filter(|(e, _)| !self.st.effective(id).iter().any(|(a, _)| a.id == e.id)));
        }
        all.iter().map(|(e, inherited)| self.entry_entity(e, *inherited)).collect()
    }

    /// A list as it was, for reads that come too early.
    fn lag(&mut self, id: &str) {
        if self.ways.lag > 0 {
            let list = self.list(id);
            self.stale.insert(id.to_owned(), (self.ways.lag, list));
        }
    }

    /// Who is not an owner sees their own entry and nothing else.
    pub(super) fn permissions(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let all = match self.stale.get_mut(id) {
            Some((left, list)) if *left > 0 => {
                *left -= 1;
                list.clone()
            }
            _ => self.list(id),
        };
        let full = self.st.role(who, id) >= 3;
        let all: Vec<_> = all.into_iter().filter(|e| full || said(e, "/grantedToV2/user/id") == who).collect();
        self.page(r, &all, self.ways.page_max)
    }

    pub(super) fn invite(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let body = r.json();
        let is_true = |key: &str| body.get(key) == Some(&Value::Bool(true));
        let (mail, sign_in) = (is_true("sendInvitation"), is_true("requireSignIn"));
        if !mail && !sign_in {
            return refuse(400, "invalidRequest", "requireSignIn or sendInvitation must be true");
        }
        if !sign_in {
            self.violations.push("somebody was invited who need not sign in".to_owned());
        }
        self.mails += u64::from(mail);
        let recipients = body.get("recipients").and_then(Value::as_array).cloned().unwrap_or_default();
        let [recipient] = recipients.as_slice() else {
            self.violations.push("more or less than one recipient".to_owned());
            return refuse(400, "invalidRequest", "One recipient at a time, here.");
        };
        let role = said(&body, "/roles/0").to_owned();
        if !["read", "write"].contains(&role.as_str())
            || body.get("roles").and_then(Value::as_array).map(Vec::len) != Some(1)
        {
            return refuse(400, "invalidRequest", "roles must be read or write");
        }
        if self.st.role(who, id) < 3 {
            return refuse(403, "accessDenied", "Access denied");
        }
        if self.st.nodes.get(id).is_some_and(|n| n.parent.is_none()) {
            return refuse(403, "accessDenied", "The root of a drive cannot be shared");
        }
        let whom = self.recipient(said(recipient, "/email"), said(recipient, "/objectId"))?;
        // Documented: an app by itself invites no new guest.
        if who.starts_with(super::oauth::APP) && matches!(whom, Whom::Address(_)) {
            return refuse(403, "accessDenied", "New guests cannot be invited with application permissions");
        }
        let entry_id = match &whom {
            Whom::User(u) => self.st.users.get(u).map(|u| claim_id(&u.upn)).unwrap_or_default(),
            Whom::Address(mail) => claim_id(mail),
            Whom::Group(name) => claim_id(&format!("c:0t.c|tenant|{name}")),
            _ => String::new(),
        };
        let effective = self.st.effective(id);
        if effective.iter().any(|(e, _)| e.id == entry_id && rank(&e.roles) == 4) {
            return refuse(400, "invalidRequest", "The owner has access already");
        }
        if self.ways.swallow > 0 {
            self.ways.swallow -= 1;
            return Ok(FakeResponse::json(200, &json!({ "value": [] })));
        }
        let drive = self.st.nodes.get(id).map(|n| n.drive.clone()).unwrap_or_default();
        if self.st.entries.get(id).is_none_or(Vec::is_empty) && self.st.scopes(&drive) >= self.ways.scopes_max {
            let says = "The number of unique security scopes in the list exceeds the maximum.";
            return refuse(400, "invalidRequest", says);
        }
        self.lag(id);
        let list = self.st.entries.entry(id.to_owned()).or_default();
        let entry = match list.iter_mut().find(|e| e.id == entry_id) {
            Some(e) => {
                // Added to what is there: the wider role wins, none is lowered.
                if rank(std::slice::from_ref(&role)) > rank(&e.roles) {
                    e.roles = vec![role];
                }
                e.clone()
            }
            None => {
                let e = Entry { id: entry_id, whom, roles: vec![role] };
                list.push(e.clone());
                e
            }
        };
        self.st.happened(id, true, self.now);
        let mut shown = self.entry_entity(&entry, false);
        if mail && let Some(map) = shown.as_object_mut() {
            let says = "Account verification needed to unblock sending emails.";
            map.insert("error".to_owned(), json!({ "code": "notAllowed", "message": says, "innererror": { "code": "accountVerificationRequired" } }));
        }
        Ok(FakeResponse::json(if mail { 207 } else { 200 }, &json!({ "value": [shown] })))
    }

    fn recipient(&mut self, email: &str, object: &str) -> Result<Whom, Refuse> {
        let named = if object.is_empty() { email } else { object };
        if let Some(u) = self.st.user_named(named) {
            return Ok(Whom::User(u.id.clone()));
        }
        if self.st.policy.groups.iter().any(|g| g.eq_ignore_ascii_case(email)) {
            return Ok(Whom::Group(email.to_owned()));
        }
        let domain = email.rsplit_once('@').map_or("", |(_, d)| d).to_lowercase();
        if domain.is_empty() || domain == "harbour.example" {
            return Err(Refuse::new(400, "invalidRequest", "No users could be resolved").inner("noResolvedUsers"));
        }
        if self.st.policy.old_sharing {
            return refuse(500, "generalException", "General exception while processing");
        }
        if self.st.policy.domains.as_ref().is_some_and(|d| !d.contains(&domain)) {
            return Err(Refuse::new(403, "accessDenied", "Sharing with this domain is not allowed").inner("notAllowed"));
        }
        Ok(Whom::Address(email.to_owned()))
    }

    /// The entry on the thing's own list. What comes from above is refused, or taken and not done.
    fn own_entry(&self, who: &str, id: &str, entry: &str) -> Result<Option<Entry>, Refuse> {
        if self.st.role(who, id) < 3 {
            return refuse(403, "accessDenied", "Access denied");
        }
        if let Some(e) = self.st.entries.get(id).into_iter().flatten().find(|e| e.id == entry) {
            return Ok(Some(e.clone()));
        }
        if self.st.effective(id).iter().any(|(e, _)| e.id == entry) {
            return if self.ways.quiet_deletes { Ok(None) } else { refuse(403, "accessDenied", "Access denied") };
        }
        refuse(404, "itemNotFound", "The permission could not be found")
    }

    pub(super) fn permission_patch(&mut self, r: &FakeRequest, who: &str, id: &str, entry: &str) -> Answer {
        let Some(e) = self.own_entry(who, id, entry)? else {
            return refuse(400, "invalidRequest", "Inherited permissions cannot be changed");
        };
        let role = said(&r.json(), "/roles/0").to_owned();
        if matches!(e.whom, Whom::Link { .. }) || rank(&e.roles) == 4 || !["read", "write"].contains(&role.as_str()) {
            return refuse(400, "invalidRequest", "The roles of this permission cannot be changed");
        }
        if e.roles == [role.clone()] {
            return refuse(400, "invalidRequest", "The permission has this role already");
        }
        self.lag(id);
        let list = self.st.entries.entry(id.to_owned()).or_default();
        for e in list.iter_mut().filter(|e| e.id == entry) {
            e.roles = vec![role.clone()];
        }
        self.st.happened(id, true, self.now);
        Ok(FakeResponse::json(200, &self.entry_entity(&Entry { roles: vec![role], ..e }, false)))
    }

    pub(super) fn permission_delete(&mut self, who: &str, id: &str, entry: &str) -> Answer {
        let Some(e) = self.own_entry(who, id, entry)? else { return Ok(FakeResponse::new(204)) };
        if rank(&e.roles) == 4 {
            return refuse(403, "accessDenied", "The owner cannot be removed");
        }
        self.lag(id);
        if let Some(list) = self.st.entries.get_mut(id) {
            list.retain(|e| e.id != entry);
        }
        self.st.happened(id, true, self.now);
        Ok(FakeResponse::new(204))
    }
}

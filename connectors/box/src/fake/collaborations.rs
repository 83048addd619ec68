//! Who is on what: invitations, roles, removals.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, BoxFake, page,
    state::{Collab, ROLES, Refuse, domain, refuse, said},
};

const DENIED: &str = "access_denied_insufficient_permissions";

impl BoxFake {
    pub(super) fn collaborations(&self, r: &FakeRequest, who: &str, kind: &str, id: &str) -> Answer {
        let node = self.visible(who, kind, id)?;
        if node.parent.is_none() {
            return refuse(400, "collaborations_not_available_on_root_folder", "Root folder cannot be collaborated");
        }
        let owner = matches!(self.st.role(who, &node.id), Some("owner" | "co-owner"));
        if !owner && !node.others_view {
            return refuse(403, DENIED, "Access denied - insufficient permission");
        }
        let listed = self.st.listed(&node.id, self.inherited_listed);
        let rendered: Result<Vec<_>, _> = listed.into_iter().map(|c| self.collaboration_json(r, c)).collect();
        page(r, self.page_max, &rendered?)
    }

    fn collaboration(&self, who: &str, id: &str) -> Result<Collab, Refuse> {
        let found = self.st.collabs.get(id).filter(|c| self.st.role(who, &c.item).is_some());
        found.cloned().ok_or_else(|| Refuse::new(404, "not_found", "Not Found"))
    }

    pub(super) fn collaboration_get(&self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let c = self.collaboration(who, id)?;
        Ok(FakeResponse::json(200, &self.collaboration_json(r, &c)?))
    }

    /// Whom an invitation is for: an account, a group, or an address without an account.
    fn invited(&self, by: &Value) -> Result<Collab, Refuse> {
        let blank = Collab {
            id: String::new(),
            item: String::new(),
            user: None,
            group: None,
            email: None,
            role: String::new(),
            status: "accepted".to_owned(),
            expires: None,
            by: String::new(),
            at: String::new(),
        };
        let missing = || Refuse::new(404, "not_found", "Not Found");
        match (by["type"].as_str(), by["login"].as_str(), by["id"].as_str()) {
            (Some("user"), Some(login), None) => {
                let plausible = login.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.'));
                if !plausible {
                    let errors =
                        json!([{ "reason": "invalid_parameter", "name": "login", "message": "Invalid value" }]);
                    let bad = Refuse::new(400, "bad_request", "Bad Request");
                    return Err(Refuse { context: Some(json!({ "errors": errors })), ..bad });
                }
                if self.st.policy.groups.iter().any(|g| g.eq_ignore_ascii_case(login)) {
                    return Ok(Collab { group: self.st.groups.keys().next().cloned(), ..blank });
                }
                let user = self.st.user_by_login(login).map(|u| u.id.clone());
                Ok(Collab { user, email: Some(login.to_lowercase()), ..blank })
            }
            (Some("user"), None, Some(id)) => {
                let user = self.st.users.get(id).ok_or_else(missing)?;
                Ok(Collab { user: Some(user.id.clone()), ..blank })
            }
            (Some("group"), None, Some(id)) => {
                let group = self.st.groups.get(id).ok_or_else(missing)?;
                Ok(Collab { group: Some(group.id.clone()), ..blank })
            }
            _ => refuse(400, "bad_request", "accessible_by needs a type and either login or id"),
        }
    }

    pub(super) fn collaboration_create(&mut self, r: &FakeRequest, who: &str) -> Answer {
        if r.query("notify").is_some_and(|n| !["true", "false"].contains(&n)) {
            return refuse(400, "bad_request", "notify is true or false");
        }
        let body = r.json();
        let (kind, id) = (said(&body, "/item/type"), said(&body, "/item/id"));
        let node = self.visible(who, kind, id)?;
        if node.parent.is_none() {
            return refuse(400, "collaborations_not_available_on_root_folder", "Root folder cannot be collaborated");
        }
        if !self.st.may_invite(who, &node.id) {
            return refuse(403, DENIED, "Access denied - insufficient permission");
        }
        let role = said(&body, "/role");
        let allowed = self.st.policy.roles.as_ref().is_none_or(|roles| roles.iter().any(|r| r == role));
        if role == "owner" || !ROLES.contains(&role) || !allowed {
            return refuse(400, "bad_request", "Invalid role");
        }
        let mut new = self.invited(body.get("accessible_by").unwrap_or(&Value::Null))?;
        if new.user.as_deref() == Some(who) || new.user.as_ref() == Some(&node.owner) {
            return refuse(400, "bad_request", "Cannot invite self as a collaborator");
        }
        let same = |c: &&Collab| {
            c.item == node.id
                && ((c.user.is_some() && c.user == new.user)
                    || (c.group.is_some() && c.group == new.group)
                    || (c.user.is_none() && c.email.is_some() && c.email == new.email))
        };
        if self.st.collabs.values().any(|c| same(&c)) {
            return refuse(400, "user_already_collaborator", "User is already a collaborator");
        }
        let user = new.user.as_ref().and_then(|u| self.st.users.get(u)).cloned();
        let address = user.as_ref().map(|u| u.login.clone()).or(new.email.clone()).unwrap_or_default();
        let home = self.st.users.get(&node.owner).and_then(|o| o.enterprise.clone());
        let inside =
            new.group.is_some() || user.as_ref().is_some_and(|u| u.enterprise.is_some() && u.enterprise == home);
        if let (false, Some(domains)) = (inside, &self.st.policy.domains)
            && !domains.iter().any(|d| d == domain(&address))
        {
            return refuse(403, "forbidden_by_policy", "Access denied by the enterprise's policy");
        }
        if user.as_ref().is_some_and(|u| u.terms) {
            return refuse(
                400,
                "terms_of_service_required",
                "User must accept custom terms of service before action can be taken",
            );
        }
        if !inside && !user.as_ref().is_some_and(|u| u.auto_accept) {
            new.status = "pending".to_owned();
        } else if new.group.is_none() {
            new.email = None;
        }
        new.id = self.st.new_id();
        new.item.clone_from(&node.id);
        role.clone_into(&mut new.role);
        who.clone_into(&mut new.by);
        new.at = self.now.to_string();
        // Without the enterprise's setting an end is not taken, and nobody says so.
        new.expires =
            body.get("expires_at").and_then(Value::as_str).filter(|_| self.st.policy.expiry).map(str::to_owned);
        self.st.collabs.insert(new.id.clone(), new.clone());
        let kind = if new.status == "pending" { "COLLAB_INVITE_COLLABORATOR" } else { "COLLAB_ADD_COLLABORATOR" };
        self.st.happened(kind, &node.id, self.now);
        Ok(FakeResponse::json(201, &self.collaboration_json(r, &new)?))
    }

    fn changeable(&mut self, who: &str, id: &str) -> Result<Collab, Refuse> {
        let c = self.collaboration(who, id)?;
        if self.protected.contains(id) {
            self.violations.push(format!("the collaboration {id} of {} was changed", c.item));
        }
        let own = c.user.as_deref() == Some(who);
        if !own && !self.st.may_invite(who, &c.item) {
            return refuse(403, DENIED, "Access denied - insufficient permission");
        }
        Ok(c)
    }

    pub(super) fn collaboration_update(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let mut c = self.changeable(who, id)?;
        let body = r.json();
        match body.get("role").and_then(Value::as_str) {
            Some("owner") => return refuse(403, DENIED, "Only the owner can change ownership"),
            Some(role) if ROLES.contains(&role) => role.clone_into(&mut c.role),
            _ => return refuse(400, "bad_request", "Invalid role"),
        }
        self.st.collabs.insert(id.to_owned(), c.clone());
        self.st.happened("COLLAB_ROLE_CHANGE", &c.item, self.now);
        Ok(FakeResponse::json(200, &self.collaboration_json(r, &c)?))
    }

    pub(super) fn collaboration_delete(&mut self, who: &str, id: &str) -> Answer {
        let c = self.changeable(who, id)?;
        self.st.collabs.remove(id);
        self.st.happened("COLLAB_REMOVE_COLLABORATOR", &c.item, self.now);
        Ok(FakeResponse::new(204))
    }
}

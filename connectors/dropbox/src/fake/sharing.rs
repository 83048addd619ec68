//! Shared folders: who is on them, and the rules for letting people in and out.

use serde_json::{Value, json};

use super::{
    Answer, Call, DropboxFake,
    jobs::Work,
    plain, refuse,
    state::{Member, Share, State},
    tag, word,
};

impl DropboxFake {
    pub(super) fn sharing(&mut self, route: &str, call: &Call) -> Answer {
        if self.st.accounts.get(&call.who.email).is_some_and(|a| !a.verified) && route != "sharing/list_folders" {
            return tag("email_unverified");
        }
        match route {
            "sharing/list_folders" => self.list_folders(call),
            "sharing/get_folder_metadata" => {
                call.only(&["shared_folder_id", "actions"])?;
                let node = self.shared(call, "")?;
                Ok(self.folder_json(call, node))
            }
            "sharing/share_folder" => self.share_folder(call),
            "sharing/check_share_job_status" | "sharing/check_remove_member_job_status" => self.job_status(call),
            "sharing/list_folder_members" => self.list_members(call),
            "sharing/list_file_members" => self.list_file_members(call),
            "sharing/list_folder_members/continue" | "sharing/list_file_members/continue" => self.more_members(call),
            "sharing/add_folder_member" => self.add_member(call),
            "sharing/update_folder_member" => self.update_member(call),
            "sharing/remove_folder_member" => self.remove_member(call),
            "sharing/update_folder_policy" => self.update_policy(call),
            "sharing/set_access_inheritance" => self.set_inheritance(call),
            "sharing/list_shared_links" => self.list_links(call),
            _ => self.revoke_link(call),
        }
    }

    /// The shared folder of a call. `under` is the tag that its errors lie below.
    fn shared(&self, call: &Call, under: &str) -> Answer<u64> {
        let id = call.text("shared_folder_id")?;
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b)) {
            return plain("Error in call: shared_folder_id: did not match pattern");
        }
        let node = self.st.nodes.keys().copied().find(|n| Self::ns_of(*n) == id);
        let node = node.filter(|n| self.st.nodes.get(n).is_some_and(|n| n.share.is_some()));
        match node {
            None => tag(&format!("{under}invalid_id")),
            Some(n) if self.st.level(&call.who.email, n).is_none() => tag(&format!("{under}not_a_member")),
            Some(n) => Ok(n),
        }
    }

    pub(super) fn owned(&self, call: &Call) -> Answer<u64> {
        let node = self.shared(call, "access_error/")?;
        match self.st.level(&call.who.email, node).as_deref() {
            Some("owner") => Ok(node),
            _ => tag("no_permission"),
        }
    }

    pub(super) fn folder_json(&self, call: &Call, id: u64) -> Value {
        let Some((node, share)) = self.st.nodes.get(&id).and_then(|n| Some((n, n.share.as_ref()?))) else {
            return Value::Null;
        };
        let level = self.st.level(&call.who.email, id).unwrap_or_default();
        let acl = if share.acl_editors { "editors" } else { "owner" };
        let inherit = if share.no_inherit { "no_inherit" } else { "inherit" };
        let mut v = json!({
            "shared_folder_id": State::ns(id), "name": node.name, "access_type": { ".tag": level },
            "is_inside_team_folder": self.st.in_team_folder(id) && !share.team_folder,
            "is_team_folder": share.team_folder, "time_invited": "2026-01-20T00:00:00Z",
            "preview_url": format!("https://www.dropbox.com/scl/fo/{id}"),
            "policy": {
                "acl_update_policy": { ".tag": acl }, "shared_link_policy": { ".tag": share.link_policy },
                "member_policy": { ".tag": "anyone" }, "resolved_member_policy": { ".tag": "anyone" },
            },
            "access_inheritance": { ".tag": inherit }, "permissions": [],
        });
        if let Some(path) = self.st.path(id, call.rooted) {
            v["path_lower"] = json!(path.to_lowercase());
        }
        if let Some(above) = self.st.shared_above(id) {
            v["parent_shared_folder_id"] = json!(State::ns(above));
        }
        if self.st.in_team_folder(id) {
            v["owner_team"] = json!({ "id": "dbtid:sandbox", "name": "the team" });
        }
        v
    }

    fn list_folders(&mut self, call: &Call) -> Answer {
        call.only(&["limit", "actions"])?;
        let limit = call.arg["limit"].as_u64().unwrap_or(1000);
        let all: Vec<u64> = self.st.nodes.values().filter(|n| n.share.is_some()).map(|n| n.id).collect();
        let mine = all.into_iter().filter(|n| self.st.level(&call.who.email, *n).is_some());
        let entries: Vec<_> = mine.take(limit.try_into().unwrap_or(1000)).map(|n| self.folder_json(call, n)).collect();
        Ok(json!({ "entries": entries }))
    }

    fn share_folder(&mut self, call: &Call) -> Answer {
        call.only(&[
            "path",
            "acl_update_policy",
            "force_async",
            "member_policy",
            "shared_link_policy",
            "viewer_info_policy",
            "access_inheritance",
        ])?;
        let email = call.who.email.clone();
        let path = call.text("path")?;
        let team =
            self.st.accounts.get(&email).and_then(|a| a.team.clone()).and_then(|t| self.st.teams.get(&t).cloned());
        if call.word("shared_link_policy").is_some() && team.as_ref().is_none_or(|t| !t.link_policy) {
            return tag("disallowed_shared_link_policy");
        }
        if call.word("member_policy").as_deref() == Some("team") && team.is_none() {
            return tag("team_policy_disallows_member_policy");
        }
        let node = match self.st.resolve(call, &path) {
            Some(node) => node,
            None => {
                let Ok((parent, name)) = self.st.parent_of(call, &path, self.now) else {
                    return tag("bad_path/invalid_path");
                };
                self.st.add(Some(parent), &name, self.now)
            }
        };
        if self.st.nodes.get(&node).is_some_and(|n| n.share.is_some()) {
            let mut v = self.folder_json(call, node);
            v[".tag"] = json!("already_shared");
            return refuse(409, json!({ ".tag": "bad_path", "bad_path": v }));
        }
        let inside_team = self.st.in_team_folder(node);
        let bad = if self.st.nodes.get(&node).is_some_and(|n| n.file.is_some()) {
            Some("is_file")
        } else if self.st.shared_above(node).is_some() && !inside_team {
            Some("inside_shared_folder")
        } else if !inside_team
            && self.st.nodes.values().any(|n| n.share.is_some() && n.id != node && self.st.above(n.id).contains(&node))
        {
            Some("contains_shared_folder")
        } else {
            None
        };
        if let Some(bad) = bad {
            return tag(&format!("bad_path/{bad}"));
        }
        if call.word("access_inheritance").as_deref() == Some("no_inherit") && !inside_team {
            return tag("no_permission");
        }
        if !self.st.may_write(call, node) {
            return tag("no_permission");
        }
        if call.flag("force_async") || self.share_async {
            return Ok(self.launch(Work::Share { node, by: email.clone(), arg: call.arg.clone() }, &email));
        }
        self.set_share(node, &email, &call.arg);
        let mut v = self.folder_json(call, node);
        v[".tag"] = json!("complete");
        Ok(v)
    }

    pub(super) fn set_share(&mut self, node: u64, by: &str, arg: &Value) {
        let owner = Member { who: by.to_owned(), group: false, pending: false, level: "owner".into() };
        let share = Share {
            members: vec![owner],
            team_folder: false,
            no_inherit: word(&arg["access_inheritance"]).as_deref() == Some("no_inherit"),
            // The vendor's default lets every editor share on.
            acl_editors: word(&arg["acl_update_policy"]).as_deref() != Some("owner"),
            link_policy: word(&arg["shared_link_policy"]).unwrap_or_else(|| "anyone".to_owned()),
            mounted: true,
        };
        if let Some(n) = self.st.nodes.get_mut(&node)
            && n.share.is_none()
        {
            n.share = Some(share);
            self.st.changed(node, false);
        }
    }

    /// A member as a list shows it: in which list, and the row.
    fn row(&self, m: &Member, inherited: bool, viewer: &str) -> (&'static str, Value) {
        let access = json!({ ".tag": m.level });
        if m.group {
            let (name, members) = self.st.groups.get(&m.who).cloned().unwrap_or_default();
            let group = json!({
                "group_id": m.who, "group_name": name, "member_count": members.len(), "same_team": true,
                "group_management_type": { ".tag": "user_managed" }, "group_type": { ".tag": "team" },
                "is_member": members.iter().any(|e| e == viewer), "is_owner": false,
            });
            return (
                "groups",
                json!({ "access_type": access, "group": group, "permissions": [], "is_inherited": inherited }),
            );
        }
        let user = self.st.accounts.get(&m.who).map(|a| {
            let mut user = json!({
                "account_id": self.st.account_id(&m.who), "email": m.who, "display_name": a.name,
                "same_team": a.team.is_some(),
            });
            if a.team.is_some() {
                user["team_member_id"] = json!(self.st.member_id(&m.who));
            }
            user
        });
        if m.pending {
            let invitee = json!({ ".tag": "email", "email": m.who });
            let mut row =
                json!({ "access_type": access, "invitee": invitee, "permissions": [], "is_inherited": inherited });
            if let Some(user) = user {
                row["user"] = user;
            }
            return ("invitees", row);
        }
        let row = json!({ "access_type": access, "user": user, "permissions": [], "is_inherited": inherited });
        ("users", row)
    }

    fn list_members(&mut self, call: &Call) -> Answer {
        call.only(&["shared_folder_id", "actions", "limit", "path"])?;
        let node = self.shared(call, "")?;
        self.members_page(call, node, 0, call.arg["path"].is_string())
    }

    fn list_file_members(&mut self, call: &Call) -> Answer {
        call.only(&["file", "actions", "limit", "include_inherited"])?;
        let file = call.text("file")?;
        match self.st.resolve(call, &file).filter(|n| self.st.nodes.get(n).is_some_and(|n| n.file.is_some())) {
            Some(node) => self.members_page(call, node, 0, call.flag("include_inherited")),
            None => tag("access_error/invalid_file"),
        }
    }

    fn more_members(&mut self, call: &Call) -> Answer {
        call.only(&["cursor"])?;
        let cursor = call.text("cursor")?;
        let parts: Vec<_> = cursor.split('.').collect();
        match parts.as_slice() {
            [node, from, deep] => {
                let (Ok(node), Ok(from)) = (node.parse(), from.parse()) else { return tag("invalid_cursor") };
                self.members_page(call, node, from, *deep == "1")
            }
            _ => tag("invalid_cursor"),
        }
    }

    fn members_page(&mut self, call: &Call, node: u64, from: usize, deep: bool) -> Answer {
        let mut rows: Vec<(Member, bool)> = Vec::new();
        if let Some(file) = self.st.nodes.get(&node).and_then(|n| n.file.as_ref()) {
            rows.extend(file.members.iter().map(|m| (m.clone(), false)));
        }
        for (depth, n) in self.st.above(node).into_iter().enumerate() {
            let Some(share) = self.st.nodes.get(&n).and_then(|n| n.share.as_ref()) else { continue };
            if depth > 0 && !deep {
                break;
            }
            for m in &share.members {
                if !rows.iter().any(|(r, _)| r.who == m.who) {
                    rows.push((m.clone(), depth > 0));
                }
            }
            if share.no_inherit {
                break;
            }
        }
        let mut page = json!({ "users": [], "groups": [], "invitees": [] });
        let limit = self.member_page_max;
        for (m, inherited) in rows.iter().skip(from).take(limit) {
            let (list, row) = self.row(m, *inherited, &call.who.email);
            if let Some(list) = page[list].as_array_mut() {
                list.push(row);
            }
        }
        if from + limit < rows.len() {
            page["cursor"] = json!(format!("{node}.{}.{}", from + limit, u8::from(deep)));
        }
        Ok(page)
    }

    fn update_policy(&mut self, call: &Call) -> Answer {
        call.only(&[
            "shared_folder_id",
            "acl_update_policy",
            "shared_link_policy",
            "member_policy",
            "viewer_info_policy",
        ])?;
        let node = self.owned(call)?;
        let team = self.st.accounts.get(&call.who.email).and_then(|a| a.team.clone());
        let allowed = team.and_then(|t| self.st.teams.get(&t)).is_some_and(|t| t.link_policy);
        if call.word("shared_link_policy").is_some() && !allowed {
            return tag("disallowed_shared_link_policy");
        }
        if let Some(share) = self.st.nodes.get_mut(&node).and_then(|n| n.share.as_mut()) {
            if let Some(acl) = call.word("acl_update_policy") {
                share.acl_editors = acl != "owner";
            }
            if let Some(policy) = call.word("shared_link_policy") {
                share.link_policy = policy;
            }
        }
        Ok(self.folder_json(call, node))
    }

    fn set_inheritance(&mut self, call: &Call) -> Answer {
        call.only(&["shared_folder_id", "access_inheritance"])?;
        let node = self.owned(call)?;
        if !self.st.in_team_folder(node) {
            return tag("no_permission");
        }
        let no_inherit = call.word("access_inheritance").as_deref() == Some("no_inherit");
        let by = call.who.email.clone();
        if self.share_async {
            return Ok(self.launch(Work::Inherit { node, no_inherit }, &by));
        }
        if let Some(share) = self.st.nodes.get_mut(&node).and_then(|n| n.share.as_mut()) {
            share.no_inherit = no_inherit;
        }
        let mut v = self.folder_json(call, node);
        v[".tag"] = json!("complete");
        Ok(v)
    }

    /// The links that the caller made, and nobody else's.
    fn list_links(&mut self, call: &Call) -> Answer {
        call.only(&["path", "cursor", "direct_only"])?;
        let from: usize = call.arg["cursor"].as_str().and_then(|c| c.parse().ok()).unwrap_or(0);
        let mine: Vec<_> = self.st.links.iter().filter(|(_, l)| l.by == call.who.email).collect();
        let page: Vec<Value> = mine
            .iter()
            .skip(from)
            .take(self.list_page_max)
            .filter_map(|(url, l)| {
                let node = self.st.nodes.get(&l.node)?;
                let mut v = json!({
                    ".tag": if node.file.is_some() { "file" } else { "folder" }, "url": url, "name": node.name,
                    "id": format!("id:n{}", l.node),
                    "link_permissions": {
                        "can_revoke": true, "resolved_visibility": { ".tag": l.audience },
                        "requested_visibility": { ".tag": l.audience }, "allow_download": true,
                    },
                });
                if let Some(path) = self.st.path(l.node, call.rooted) {
                    v["path_lower"] = json!(path.to_lowercase());
                }
                Some(v)
            })
            .collect();
        let more = from + self.list_page_max < mine.len();
        let mut answer = json!({ "links": page, "has_more": more });
        if more {
            answer["cursor"] = json!((from + self.list_page_max).to_string());
        }
        Ok(answer)
    }

    fn revoke_link(&mut self, call: &Call) -> Answer {
        call.only(&["url"])?;
        match self.st.links.remove(&call.text("url")?) {
            Some(_) => Ok(Value::Null),
            None => tag("shared_link_not_found"),
        }
    }
}

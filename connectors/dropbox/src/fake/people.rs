//! Letting people in and out of shared folders.

use serde_json::{Value, json};

use super::{Answer, Call, DropboxFake, jobs::Work, plain, refuse, state::Member, tag, word};

const MEMBER_ERRORS: [&str; 2] = ["member_error/invalid_dropbox_id", "member_error/not_a_member"];

impl DropboxFake {
    /// The address, group or person that a selector names.
    fn selected(&self, selector: &Value) -> Answer<Member> {
        let text = |k: &str| selector[k].as_str().unwrap_or_default().to_owned();
        let member = |who: String, group: bool| Member { who, group, pending: false, level: String::new() };
        match selector[".tag"].as_str() {
            Some("email") => {
                let email = text("email").to_lowercase();
                Ok(match self.st.group_addresses.get(&email) {
                    Some(group) => member(group.clone(), true),
                    None => member(email, false),
                })
            }
            Some("dropbox_id") if text("dropbox_id").starts_with("g:") => Ok(member(text("dropbox_id"), true)),
            Some("dropbox_id") => match self.st.email_of(&text("dropbox_id")) {
                Some(email) => Ok(member(email, false)),
                None => tag(MEMBER_ERRORS[0]),
            },
            _ => plain("Error in call: member: unknown selector"),
        }
    }

    pub(super) fn add_member(&mut self, call: &Call) -> Answer {
        call.only(&["shared_folder_id", "members", "quiet", "custom_message"])?;
        let node = self.owned(call)?;
        let caller = self.st.accounts.get(&call.who.email).cloned();
        let team = caller.as_ref().and_then(|a| a.team.clone());
        let mut new = Vec::new();
        for m in call.arg["members"].as_array().into_iter().flatten() {
            let level = word(&m["access_level"]).unwrap_or_else(|| "viewer".to_owned());
            if !["viewer", "editor", "viewer_no_comment"].contains(&level.as_str()) {
                return plain("Error in call: access_level: not allowed");
            }
            let mut member = self.selected(&m["member"])?;
            let known = self.st.accounts.get(&member.who).cloned();
            if !member.group && (!member.who.contains('@') || member.who.ends_with(".invalid")) {
                return tag("bad_member/invalid_email");
            }
            if level == "viewer" && caller.as_ref().is_some_and(|a| a.plan == "basic") {
                return tag("insufficient_plan");
            }
            let outside = !member.group && (team.is_none() || known.as_ref().and_then(|a| a.team.clone()) != team);
            let members_only = team.as_ref().and_then(|t| self.st.teams.get(t)).is_some_and(|t| t.members_only);
            if outside && members_only {
                return tag("cant_share_outside_team");
            }
            if self.invitations_left == 0 {
                return tag("rate_limit");
            }
            self.invitations_left -= 1;
            member.level = level;
            member.pending = outside;
            new.push(member);
        }
        if call.arg["quiet"] != json!(true) {
            self.violations.push("somebody was sent a mail".to_owned());
        }
        let Some(share) = self.st.nodes.get_mut(&node).and_then(|n| n.share.as_mut()) else {
            return tag("team_folder");
        };
        for m in new {
            // Listed for the sake of something below, or shut out: no member of the folder, and one by this.
            share.members.retain(|x| x.who != m.who || !["traverse", "no_access"].contains(&x.level.as_str()));
            // A member already: nothing changes.
            if !share.members.iter().any(|x| x.who == m.who) {
                if share.members.len() >= 1000 {
                    return refuse(409, json!({ ".tag": "too_many_members", "too_many_members": 1000 }));
                }
                share.members.push(m);
            }
        }
        Ok(Value::Null)
    }

    pub(super) fn update_member(&mut self, call: &Call) -> Answer {
        call.only(&["shared_folder_id", "member", "access_level"])?;
        let node = self.owned(call)?;
        if call.arg["member"][".tag"] != json!("dropbox_id") {
            return tag(MEMBER_ERRORS[0]);
        }
        let who = self.selected(&call.arg["member"])?;
        let level = call.word("access_level").unwrap_or_default();
        if level == "viewer" && self.st.accounts.get(&call.who.email).is_some_and(|a| a.plan == "basic") {
            return tag("insufficient_plan");
        }
        let reaches = self.st.level(&who.who, node).is_some();
        let share = self.st.nodes.get_mut(&node).and_then(|n| n.share.as_mut());
        match share.and_then(|s| s.members.iter_mut().find(|m| m.who == who.who && !m.pending)) {
            Some(m) if m.level == "owner" => tag("no_permission"),
            Some(m) => {
                m.level.clone_from(&level);
                Ok(json!({ "access_level": { ".tag": level } }))
            }
            None if reaches => tag("member_error/no_explicit_access"),
            None => tag(MEMBER_ERRORS[1]),
        }
    }

    pub(super) fn remove_member(&mut self, call: &Call) -> Answer {
        call.only(&["shared_folder_id", "member", "leave_a_copy"])?;
        if !call.arg["leave_a_copy"].is_boolean() {
            return plain("Error in call: request body: missing required field 'leave_a_copy'");
        }
        let node = self.owned(call)?;
        let who = self.selected(&call.arg["member"])?;
        let share = self.st.nodes.get(&node).and_then(|n| n.share.as_ref());
        let found = share.and_then(|s| s.members.iter().find(|m| m.who == who.who).cloned());
        match found {
            Some(m) if m.level == "owner" => tag("folder_owner"),
            Some(_) => Ok(self.launch(Work::Remove { node, who: who.who }, &call.who.email)),
            None if self.st.level(&who.who, node).is_some() => tag("group_access"),
            None => tag(MEMBER_ERRORS[1]),
        }
    }
}

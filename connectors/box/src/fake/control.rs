//! What people do in the browser, and what goes wrong at Box.

use serde_json::{Value, json};

use super::{BoxFake, Fault, seed};

const VERBS: &str = "share, unshare, accept, reject, link_on, link_off, move, trash, untrash, rename, describe, delete, make, \
     write, set_policy, set_user, quota_full, outage, drop_answers, token, withdraw, expire, kill_sessions, corrupt_uploads, \
     pending_commits, parts_race, limits, protect, violations, stats, tokens, dump";

impl BoxFake {
    pub(super) fn do_control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let count = args["count"].as_u64().unwrap_or(1);
        match verb {
            "share" | "unshare" | "accept" | "reject" => self.people(verb, args),
            "link_on" | "link_off" | "move" | "trash" | "untrash" | "rename" | "describe" | "delete" | "write" => {
                self.by_hand(verb, args)
            }
            "make" => Ok(json!({ "id": self.make(args)? })),
            "set_policy" => {
                seed::policy(&mut self.st.policy, args);
                Ok(json!({}))
            }
            "set_user" | "quota_full" => self.user(verb, args),
            "outage" | "drop_answers" => Ok(self.fault(verb, args)),
            "token" => {
                let login = args["user"].as_str().unwrap_or(&self.oauth.consent).to_owned();
                let user = self.st.user_by_login(&login).ok_or("there is no such user")?.id.clone();
                Ok(json!({ "access_token": self.oauth.issue(&user, 0, self.now) }))
            }
            "withdraw" => {
                let user = self.st.user_by_login(&text(args, "user")?).ok_or("there is no such user")?.id.clone();
                self.oauth.withdraw(&user);
                Ok(json!({}))
            }
            "expire" => {
                self.oauth.expire();
                Ok(json!({}))
            }
            "kill_sessions" => Ok(json!({ "killed": self.kill_sessions() })),
            "corrupt_uploads" | "pending_commits" | "parts_race" => {
                match verb {
                    "corrupt_uploads" => self.corrupt_uploads = count,
                    "pending_commits" => self.pending_commits = count,
                    _ => self.parts_race = count,
                }
                Ok(json!({}))
            }
            "limits" => {
                self.limits(args);
                Ok(json!({}))
            }
            "protect" => {
                self.protected.insert(text(args, "collaboration")?);
                Ok(json!({}))
            }
            "violations" => Ok(json!({ "violations": self.violations })),
            "stats" => Ok(json!({ "requests": self.stats })),
            "tokens" => Ok(json!({ "reuses": self.oauth.reuses, "rotations": self.oauth.rotations })),
            "dump" => Ok(self.dump()),
            _ => Err(format!("unknown verb \"{verb}\"; known are: {VERBS}")),
        }
    }

    fn limits(&mut self, args: &Value) {
        let get = |key: &str, old: u64| args[key].as_u64().unwrap_or(old);
        let size = |key: &str, old: usize| args[key].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(old);
        self.page_max = size("page_max", self.page_max).max(1);
        self.session_min = size("session_min", self.session_min);
        self.part_size = size("part_size", self.part_size).max(1);
        self.per_minute = get("per_minute", self.per_minute);
        self.uploads_per_minute = get("uploads_per_minute", self.uploads_per_minute);
        self.write_ms = get("write_ms", self.write_ms);
        self.inherited_listed = args["inherited_listed"].as_bool().unwrap_or(self.inherited_listed);
        self.repeat_events = args["repeat_events"].as_bool().unwrap_or(self.repeat_events);
        if let Some(host) = args["upload_base"].as_str() {
            self.upload_base = Some(host.to_owned());
        }
    }

    fn people(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let item = self.st.resolve(&text(args, "item")?)?;
        let named = seed::collab(&mut self.st, &item, args)?;
        // Who has an account has no address here, and a group has neither: nothing is not the same as nothing.
        let one = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let same = |c: &super::state::Collab| {
            c.item == item && (one(&c.group, &named.group) || one(&c.user, &named.user) || one(&c.email, &named.email))
        };
        let there = self.st.collabs.values().find(|c| same(c)).map(|c| c.id.clone());
        if verb == "share" {
            let id = there.unwrap_or_else(|| named.id.clone());
            self.st.collabs.insert(id.clone(), super::state::Collab { id: id.clone(), ..named });
            self.st.happened("COLLAB_ADD_COLLABORATOR", &item, self.now);
            return Ok(json!({ "collaboration": id }));
        }
        let id = there.ok_or("nobody of that name is on it directly")?;
        if verb == "unshare" {
            self.st.collabs.remove(&id);
            self.st.happened("COLLAB_REMOVE_COLLABORATOR", &item, self.now);
        } else if let Some(c) = self.st.collabs.get_mut(&id) {
            (if verb == "accept" { "accepted" } else { "rejected" }).clone_into(&mut c.status);
        }
        Ok(json!({ "collaboration": id }))
    }

    fn by_hand(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let id = self.st.resolve(&text(args, "item")?)?;
        if verb == "delete" {
            self.st.remove(&id);
            return Ok(json!({ "id": id }));
        }
        let to = if verb == "move" { Some(self.st.resolve(&text(args, "to")?)?) } else { None };
        let owner = to.as_ref().and_then(|t| self.st.nodes.get(t)).map(|n| n.owner.clone());
        let node = self.st.nodes.get_mut(&id).ok_or("it is gone")?;
        let event = match verb {
            "link_on" => {
                node.link = Some(args["access"].as_str().unwrap_or("open").to_owned());
                "ITEM_SHARED_CREATE"
            }
            "link_off" => {
                node.link = None;
                "ITEM_SHARED_UNSHARE"
            }
            "move" => {
                node.parent = to;
                node.owner = owner.unwrap_or_else(|| node.owner.clone());
                "ITEM_MOVE"
            }
            "trash" => {
                node.trashed = true;
                "ITEM_TRASH"
            }
            "untrash" => {
                node.trashed = false;
                "ITEM_UNDELETE_VIA_TRASH"
            }
            "rename" => {
                node.name = text(args, "name")?;
                "ITEM_RENAME"
            }
            "describe" => {
                node.description = text(args, "description")?;
                "ITEM_MODIFY"
            }
            _ => {
                node.set_content(text(args, "content")?.into());
                "ITEM_UPLOAD"
            }
        };
        node.etag += 1;
        self.st.happened(event, &id, self.now);
        Ok(json!({ "id": id }))
    }

    fn user(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let login = text(args, "user")?;
        let id = self.st.user_by_login(&login).ok_or("there is no such user")?.id.clone();
        let used = self.st.used(&id).max(1);
        let user = self.st.users.get_mut(&id).ok_or("there is no such user")?;
        if verb == "quota_full" {
            user.room = if args["full"].as_bool() == Some(false) { None } else { Some(used) };
            return Ok(json!({}));
        }
        if let Some(status) = args["status"].as_str() {
            status.clone_into(&mut user.status);
        }
        user.terms = args["terms"].as_bool().unwrap_or(user.terms);
        user.auto_accept = args["auto_accept"].as_bool().unwrap_or(user.auto_accept);
        if args.get("enterprise").is_some() {
            user.enterprise = args["enterprise"].as_str().map(str::to_owned);
        }
        Ok(json!({}))
    }

    fn fault(&mut self, verb: &str, args: &Value) -> Value {
        let how = match &args["status"] {
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            _ => "503".to_owned(),
        };
        let fault = Fault {
            path: args["path"].as_str().unwrap_or("/").to_owned(),
            method: args["method"].as_str().map(str::to_owned),
            left: args["count"].as_u64().unwrap_or(1),
            how,
            code: args["code"].as_str().unwrap_or("internal_server_error").to_owned(),
            retry_after: args["retry_after"].as_str().map(str::to_owned),
        };
        let list = if verb == "outage" { &mut self.outages } else { &mut self.drops };
        list.retain(|f| f.left > 0);
        // `count` 0 ends what is still to come.
        if fault.left == 0 {
            list.clear();
        } else {
            list.push(fault);
        }
        json!({})
    }
}

fn text(args: &Value, key: &str) -> Result<String, String> {
    args[key].as_str().map(str::to_owned).ok_or_else(|| format!("\"{key}\" is missing"))
}

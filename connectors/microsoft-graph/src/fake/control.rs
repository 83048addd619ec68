//! What people do in the browser, and what goes wrong at Microsoft.

use serde_json::{Value, json};

use super::{Fault, GraphFake, seed, state::Whom};

const VERBS: &str = "share, unshare, move, trash, delete, rename, write, make, cut, set_policy, quota_full, outage, \
     drop_answers, token, withdraw, expire, secret_expired, kill_sessions, forget_changes, limits, violations, stats, tokens, dump";

impl GraphFake {
    pub(super) fn do_control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "share" | "unshare" => self.people(verb, args),
            "move" | "trash" | "delete" | "rename" | "write" | "cut" => self.by_hand(verb, args),
            "make" => Ok(json!({ "id": self.make(args)? })),
            "set_policy" => {
                seed::policy(&mut self.st.policy, args);
                Ok(json!({}))
            }
            "quota_full" => {
                let id = text(args, "drive")?;
                let used = self.st.used(&id);
                let drive = self.st.drives.get_mut(&id).ok_or("there is no such drive")?;
                drive.room = if args["full"].as_bool() == Some(false) { None } else { Some(used.max(1)) };
                Ok(json!({}))
            }
            "outage" | "drop_answers" => Ok(self.fault(verb, args)),
            "token" => {
                let user = self.st.user_named(&text(args, "user")?).ok_or("there is no such user")?.id.clone();
                let now = self.now;
                let token =
                    self.oauth.issue(&user, "by hand", "User.Read Files.ReadWrite.All Sites.ReadWrite.All", now);
                Ok(json!({ "access_token": token }))
            }
            "withdraw" => {
                let user = self.st.user_named(&text(args, "user")?).ok_or("there is no such user")?.id.clone();
                self.oauth.withdraw(&user);
                Ok(json!({}))
            }
            "expire" => {
                self.oauth.expire();
                Ok(json!({}))
            }
            "secret_expired" => {
                self.oauth.secret_expired = args["expired"].as_bool().unwrap_or(true);
                Ok(json!({}))
            }
            "kill_sessions" => Ok(json!({ "killed": self.kill_sessions() })),
            "forget_changes" => {
                self.st.forgotten = self.st.events.len() + 1;
                self.st.happened(
                    &text(args, "item").and_then(|i| self.st.resolve(&i)).unwrap_or_default(),
                    false,
                    self.now,
                );
                Ok(json!({}))
            }
            "limits" => {
                self.limits(args);
                Ok(json!({}))
            }
            "violations" => Ok(json!({ "violations": self.violations, "mails": self.mails })),
            "stats" => Ok(json!({ "requests": self.stats, "units": self.used.1 })),
            "tokens" => Ok(json!({ "refreshes": self.oauth.refreshes })),
            "dump" => Ok(self.dump()),
            _ => Err(format!("unknown verb \"{verb}\"; known are: {VERBS}")),
        }
    }

    fn limits(&mut self, args: &Value) {
        let w = &mut self.ways;
        let get = |key: &str, old: u64| args[key].as_u64().unwrap_or(old);
        let size = |key: &str, old: usize| args[key].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(old);
        let yes = |key: &str, old: bool| args[key].as_bool().unwrap_or(old);
        w.page_max = size("page_max", w.page_max).max(1);
        w.units = get("units", w.units);
        w.small_max = size("small_max", w.small_max);
        w.scopes_max = size("scopes_max", w.scopes_max);
        w.marks_inherited = yes("marks_inherited", w.marks_inherited);
        w.quiet_deletes = yes("quiet_deletes", w.quiet_deletes);
        w.limited_above = yes("limited_above", w.limited_above);
        w.old_fields = yes("old_fields", w.old_fields);
        w.lag = get("lag", w.lag);
        w.swallow = get("swallow", w.swallow);
        w.late_hash = get("late_hash", w.late_hash);
        w.corrupt_uploads = get("corrupt_uploads", w.corrupt_uploads);
    }

    fn people(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let item = self.st.resolve(&text(args, "item")?)?;
        let named = seed::entry(&mut self.st, args)?;
        let list = self.st.entries.entry(item.clone()).or_default();
        let is_link = matches!(named.whom, Whom::Link { .. });
        let before = list.len();
        list.retain(|e| e.whom != named.whom || (is_link && verb == "share"));
        if verb == "unshare" && list.len() == before {
            return Err("nobody of that name is on it directly".to_owned());
        }
        if verb == "share" {
            list.push(named.clone());
        }
        self.st.happened(&item, true, self.now);
        Ok(json!({ "permission": named.id }))
    }

    fn by_hand(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let id = self.st.resolve(&text(args, "item")?)?;
        if verb == "delete" {
            self.st.happened(&id, false, self.now);
            self.st.remove(&id);
            return Ok(json!({ "id": id }));
        }
        let to = if verb == "move" { Some(self.st.resolve(&text(args, "to")?)?) } else { None };
        let node = self.st.nodes.get_mut(&id).ok_or("it is gone")?;
        node.etag += 1;
        match verb {
            "move" => node.parent = to,
            "trash" => node.away = true,
            "cut" => node.cut = true,
            "rename" => node.name = text(args, "name")?,
            _ => {
                node.content = text(args, "content")?.into();
                node.ctag += 1;
            }
        }
        self.st.happened(&id, false, self.now);
        Ok(json!({ "id": id }))
    }

    fn fault(&mut self, verb: &str, args: &Value) -> Value {
        let how = match &args["status"] {
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            _ => "503".to_owned(),
        };
        let word = |key: &str, or: &str| args[key].as_str().unwrap_or(or).to_owned();
        let fault = Fault {
            path: word("path", "/"),
            method: args["method"].as_str().map(str::to_owned),
            left: args["count"].as_u64().unwrap_or(1),
            how,
            code: word("code", "serviceNotAvailable"),
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

    /// Everything, for comparing with what should be.
    fn dump(&self) -> Value {
        let st = &self.st;
        let who = |w: &Whom| match w {
            Whom::User(u) => st.users.get(u).map(|u| u.mail.clone()).unwrap_or_default(),
            Whom::Address(a) => a.clone(),
            Whom::Group(g) | Whom::SiteGroup(g) => format!("group:{g}"),
            Whom::Everyone => "everyone".to_owned(),
            Whom::App(a) => format!("app:{a}"),
            Whom::Link { scope, .. } => format!("link:{scope}"),
        };
        let items: Vec<_> = st
            .nodes
            .values()
            .filter(|n| n.parent.is_some())
            .map(|n| {
                let on: Vec<_> = st
                    .entries
                    .get(&n.id)
                    .into_iter()
                    .flatten()
                    .map(|e| json!({ "id": e.id, "who": who(&e.whom), "roles": e.roles }))
                    .collect();
                let path: Vec<_> = st.chain(&n.id).iter().rev().skip(1).map(|n| n.name.clone()).collect();
                json!({
                    "id": n.id, "drive": n.drive, "name": n.name, "path": path.join("/"), "parent": n.parent,
                    "folder": n.folder, "trashed": st.is_away(&n.id), "size": n.content.len(), "permissions": on,
                })
            })
            .collect();
        json!({ "items": items })
    }
}

fn text(args: &Value, key: &str) -> Result<String, String> {
    args[key].as_str().map(str::to_owned).ok_or_else(|| format!("\"{key}\" is missing"))
}

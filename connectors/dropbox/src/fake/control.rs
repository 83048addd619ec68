//! What people do in the browser, and what goes wrong at Dropbox.

use serde_json::{Value, json};

use super::{
    DropboxFake, Fault, Who,
    state::{Link, Member, Share, hash},
};

const VERBS: &str = "make, share, unshare, accept, share_file, link_on, link_off, move, rename, delete, write, unmount, mount, \
     inherit, policy, team, account, group_address, quota_full, outage, drop_answers, share_async, invitations, corrupt_uploads, \
     partial_pieces, busy_commits, kill_sessions, reset_cursors, limits, token, withdraw, expire, move_team_space, violations, stats, dump";

fn text(args: &Value, key: &str) -> Result<String, String> {
    args[key].as_str().map(str::to_owned).ok_or_else(|| format!("\"{key}\" is missing"))
}

impl DropboxFake {
    /// A node by shared folder id, by `id:…`, or by a path: `email:/path`, or from the consenting account's home.
    fn node(&self, what: &str) -> Result<u64, String> {
        let none = || format!("there is no \"{what}\"");
        if let Some(id) = what.strip_prefix("id:n") {
            return id.parse().map_err(|_| none());
        }
        if let Some(n) = self.st.nodes.keys().find(|n| Self::ns_of(**n) == what) {
            return Ok(*n);
        }
        let (email, path) = what.split_once(":/").unwrap_or((&self.oauth.consent, what.trim_start_matches('/')));
        let mut at = match (email, self.st.accounts.get(email)) {
            ("team", _) => self.st.teams.values().next().map(|t| t.root).ok_or_else(none)?,
            (_, Some(account)) => account.home,
            _ => return Err(none()),
        };
        for name in path.split('/').filter(|n| !n.is_empty()) {
            at = self.st.child(at, name).map(|n| n.id).ok_or_else(none)?;
        }
        Ok(at)
    }

    pub(super) fn do_control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let number = |key: &str, default: u64| args[key].as_u64().unwrap_or(default);
        match verb {
            "make" | "share" | "unshare" | "accept" | "share_file" | "link_on" | "link_off" | "move" | "rename"
            | "delete" | "write" | "unmount" | "mount" | "inherit" => return self.by_hand(verb, args),
            "policy" => {
                let node = self.node(&text(args, "folder")?)?;
                let share = self.share_of(node)?;
                share.acl_editors = args["editors_share"].as_bool().unwrap_or(share.acl_editors);
            }
            "team" => {
                let team = self.st.teams.values_mut().next().ok_or("there is no team")?;
                team.members_only = args["members_only"].as_bool().unwrap_or(team.members_only);
                team.link_policy = args["link_policy"].as_bool().unwrap_or(team.link_policy);
            }
            "account" => {
                let email = text(args, "email")?.to_lowercase();
                let account = self.st.accounts.get_mut(&email).ok_or("there is no such account")?;
                account.verified = args["verified"].as_bool().unwrap_or(account.verified);
                account.plan = args["plan"].as_str().unwrap_or(&account.plan).to_owned();
            }
            "group_address" => {
                self.st.group_addresses.insert(text(args, "email")?.to_lowercase(), text(args, "group")?);
            }
            "quota_full" => {
                let email = text(args, "email")?.to_lowercase();
                let used = self.st.used(&email);
                let account = self.st.accounts.get_mut(&email).ok_or("there is no such account")?;
                account.room = if args["full"].as_bool() == Some(false) { 2 << 30 } else { used };
            }
            "outage" | "drop_answers" => self.fault(verb, args),
            "share_async" => self.share_async = args["on"].as_bool().unwrap_or(true),
            "invitations" => self.invitations_left = number("left", 0),
            "corrupt_uploads" => self.corrupt_uploads = number("count", 1),
            "partial_pieces" => self.partial_pieces = number("count", 1),
            "busy_commits" => self.busy_commits = number("count", 1),
            "kill_sessions" => self.sessions.clear(),
            "reset_cursors" => self.st.log_floor = self.st.log.len() + 1,
            "limits" => {
                let size = |key: &str, old: usize| args[key].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(old);
                self.list_page_max = size("list_page_max", self.list_page_max);
                self.member_page_max = size("member_page_max", self.member_page_max);
                self.requests_per_minute = number("requests_per_minute", self.requests_per_minute);
                self.job_ms = args["job_ms"].as_i64().unwrap_or(self.job_ms);
                self.write_ms = number("write_ms", self.write_ms);
            }
            "token" => {
                let scopes = args["scopes"].as_str().unwrap_or(
                    "account_info.read files.metadata.read files.content.read files.content.write sharing.read sharing.write",
                );
                let who = Who {
                    email: args["user"].as_str().unwrap_or(&self.oauth.consent).to_lowercase(),
                    scopes: scopes.split_whitespace().map(str::to_owned).collect(),
                    team: args["team"].as_bool().unwrap_or(false),
                    app_folder: args["app_folder"].as_bool().unwrap_or(false),
                };
                return Ok(json!({ "access_token": self.oauth.issue(who, self.now) }));
            }
            "withdraw" => self.oauth.withdraw(&text(args, "user")?),
            "expire" => self.oauth.expire(self.now),
            "move_team_space" => {
                let old = self.st.teams.values().next().map(|t| t.root).ok_or("there is no team")?;
                let new = self.st.add(None, "", self.now);
                self.st.nodes.values_mut().filter(|n| n.parent == Some(old)).for_each(|n| n.parent = Some(new));
                self.st.teams.values_mut().for_each(|t| t.root = new);
            }
            "violations" => return Ok(json!({ "violations": self.violations })),
            "stats" => return Ok(json!({ "requests": self.stats })),
            "dump" => return Ok(self.dump()),
            _ => return Err(format!("unknown verb \"{verb}\"; known are: {VERBS}")),
        }
        Ok(json!({}))
    }

    fn share_of(&mut self, node: u64) -> Result<&mut Share, String> {
        self.st.nodes.get_mut(&node).and_then(|n| n.share.as_mut()).ok_or_else(|| "it is not shared".to_owned())
    }

    fn by_hand(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let now = self.now;
        let who = |key: &str| args[key].as_str().map(str::to_lowercase);
        let by = who("by").unwrap_or_else(|| self.oauth.consent.clone());
        let name = args["name"].as_str().unwrap_or_default().to_owned();
        let node = self.node(&text(args, if verb == "make" { "parent" } else { "folder" })?)?;
        let level = args["level"].as_str().unwrap_or("viewer").to_owned();
        match verb {
            "make" => {
                let id = self.st.add(Some(node), &text(args, "name")?, now);
                self.st.changed(id, false);
                return Ok(json!({ "id": format!("id:n{id}") }));
            }
            "share" => return self.share_by_hand(node, &by, args),
            "unshare" => {
                let email = who("email").unwrap_or_default();
                self.share_of(node)?.members.retain(|m| m.who != email);
            }
            // Accepted, perhaps with another account than the one invited.
            "accept" => {
                let (email, named) = (text(args, "email")?.to_lowercase(), who("as"));
                let m =
                    self.share_of(node)?.members.iter_mut().find(|m| m.who == email).ok_or("nobody was invited so")?;
                m.pending = false;
                m.who = named.unwrap_or(email);
            }
            "share_file" => {
                let member = Member { who: text(args, "email")?.to_lowercase(), group: false, pending: false, level };
                let file = self.st.nodes.get_mut(&node).and_then(|n| n.file.as_mut()).ok_or("it is no file")?;
                file.members.push(member);
            }
            "link_on" => {
                let url = format!("https://www.dropbox.com/scl/fo/{:016x}", self.st.number());
                let audience = args["audience"].as_str().unwrap_or("public").to_owned();
                self.st.links.insert(url.clone(), Link { node, by, audience });
                return Ok(json!({ "url": url }));
            }
            "link_off" => self.st.links.retain(|_, l| l.node != node),
            "move" => {
                let to = self.node(&text(args, "to")?)?;
                self.st.changed(node, true);
                self.st.nodes.get_mut(&node).ok_or("it is gone")?.parent = Some(to);
                self.st.changed(node, false);
            }
            "rename" => {
                self.st.changed(node, true);
                self.st.nodes.get_mut(&node).ok_or("it is gone")?.name = name;
                self.st.changed(node, false);
            }
            "delete" => self.st.remove(node),
            "write" => {
                let over = self.st.child(node, &name).map(|n| n.id);
                let id = self.st.write_file(node, &name, over, text(args, "content")?.into_bytes(), &by, now);
                return Ok(json!({ "id": format!("id:n{id}") }));
            }
            "unmount" => self.share_of(node)?.mounted = false,
            "mount" => self.share_of(node)?.mounted = true,
            _ => self.share_of(node)?.no_inherit = args["inherit"].as_bool() == Some(false),
        }
        Ok(json!({}))
    }

    fn share_by_hand(&mut self, node: u64, by: &str, args: &Value) -> Result<Value, String> {
        let level = args["level"].as_str().unwrap_or("viewer").to_owned();
        let asked = json!({ "acl_update_policy": args["acl"].as_str().unwrap_or("owner") });
        self.set_share(node, by, &asked);
        let member = match (args["email"].as_str().map(str::to_lowercase), args["group"].as_str()) {
            (Some(email), _) => {
                let pending = args["pending"].as_bool().unwrap_or(!self.st.accounts.contains_key(&email));
                Some(Member { who: email, group: false, pending, level })
            }
            (_, Some(group)) => Some(Member { who: group.to_owned(), group: true, pending: false, level }),
            _ => None,
        };
        let share = self.share_of(node)?;
        if let Some(m) = member {
            share.members.retain(|x| x.who != m.who);
            share.members.push(m);
        }
        Ok(json!({ "shared_folder_id": Self::ns_of(node) }))
    }

    fn fault(&mut self, verb: &str, args: &Value) {
        let how = match &args["status"] {
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            _ => "503".to_owned(),
        };
        let left = args["count"].as_u64().unwrap_or(1);
        let path = args["path"].as_str().unwrap_or("/").to_owned();
        let list = if verb == "outage" { &mut self.outages } else { &mut self.drops };
        list.retain(|f| f.left > 0);
        // `count` 0 ends what is still to come.
        if left == 0 {
            list.clear();
        } else {
            list.push(Fault { path, left, how, retry_after: args["retry_after"].as_u64() });
        }
    }

    /// Everything there is, with who reaches it: for comparing with what should be.
    fn dump(&self) -> Value {
        let members = |list: &[Member]| -> Vec<Value> {
            list.iter()
                .map(|m| json!({ "who": m.who, "group": m.group, "pending": m.pending, "level": m.level }))
                .collect()
        };
        let files: Vec<_> = self
            .st
            .nodes
            .values()
            .filter(|n| n.parent.is_some())
            .map(|n| {
                json!({
                    "id": format!("id:n{}", n.id), "name": n.name, "path": self.st.path(n.id, true),
                    "parent": n.parent.map(|p| format!("id:n{p}")), "folder": n.file.is_none(),
                    "shared_folder_id": n.share.as_ref().map(|_| Self::ns_of(n.id)),
                    "members": n.share.as_ref().map(|s| members(&s.members)),
                    "no_inherit": n.share.as_ref().map(|s| s.no_inherit),
                    "acl_editors": n.share.as_ref().map(|s| s.acl_editors),
                    "link_policy": n.share.as_ref().map(|s| s.link_policy.clone()),
                    "file_members": n.file.as_ref().map(|f| members(&f.members)),
                    "hash": n.file.as_ref().map(|f| hash(&f.content)),
                    "size": n.file.as_ref().map(|f| f.content.len()),
                })
            })
            .collect();
        json!({ "files": files })
    }
}

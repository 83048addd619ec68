//! What people do in the browser, and what goes wrong at Google.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{DriveFake, Fault, Who, seed, state::grantee};

const VERBS: &str = "share, unshare, link_on, link_off, writers_share, move, trash, untrash, rename, delete, make, write, set_policy, \
     quota_full, outage, drop_answers, lag, token, withdraw, expire, partial_pieces, kill_sessions, corrupt_uploads, \
     mail_fails, limits, delete_account, violations, stats, dump";

impl DriveFake {
    pub(super) fn do_control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let number = |key: &str| args[key].as_u64().unwrap_or(1);
        match verb {
            "share" | "unshare" | "link_on" | "link_off" | "writers_share" | "move" | "trash" | "untrash"
            | "rename" | "delete" | "write" => self.by_hand(verb, args),
            "make" => Ok(json!({ "id": self.add_folder(args)? })),
            "set_policy" => self.set_policy(args),
            "quota_full" => {
                let email = text(args, "email")?.to_ascii_lowercase();
                let used = self.st.used(&email).max(1);
                let account = self.st.accounts.get_mut(&email).ok_or("there is no such account")?;
                account.room = if args["full"].as_bool() == Some(false) { None } else { Some(used) };
                Ok(json!({}))
            }
            "outage" | "drop_answers" => self.fault(verb, args),
            "lag" => {
                self.lag = SignedDuration::from_secs(args["seconds"].as_i64().unwrap_or(0));
                Ok(json!({}))
            }
            "token" => {
                let scope = args["scope"].as_str().unwrap_or("https://www.googleapis.com/auth/drive");
                let app = args["client"].as_str().or(self.oauth.clients.keys().next().map(String::as_str));
                let who = Who {
                    user: args["user"].as_str().unwrap_or(&self.oauth.consent).to_owned(),
                    app: app.unwrap_or("sandbox").to_owned(),
                    scopes: scope.split_whitespace().map(str::to_owned).collect(),
                };
                Ok(json!({ "access_token": self.oauth.issue(who, self.now) }))
            }
            "withdraw" => {
                self.oauth.withdraw(&text(args, "user")?);
                Ok(json!({}))
            }
            "expire" => {
                self.oauth.expire();
                Ok(json!({}))
            }
            "partial_pieces" => self.count(verb, number("count")),
            "corrupt_uploads" => self.count(verb, number("count")),
            "mail_fails" => self.count(verb, number("count")),
            "kill_sessions" => Ok(json!({ "killed": self.kill_sessions() })),
            "limits" => {
                let get = |key: &str, old: usize| args[key].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(old);
                self.list_page_max = get("list_page_max", self.list_page_max);
                self.permission_page_max = get("permission_page_max", self.permission_page_max);
                self.units_per_minute = args["units_per_minute"].as_u64().unwrap_or(self.units_per_minute);
                Ok(json!({}))
            }
            "delete_account" => {
                let email = text(args, "email")?.to_ascii_lowercase();
                self.st.accounts.get_mut(&email).ok_or("there is no such account")?.deleted = true;
                Ok(json!({}))
            }
            "violations" => Ok(json!({ "violations": self.violations })),
            "stats" => Ok(json!({ "requests": self.stats })),
            "dump" => Ok(self.dump()),
            _ => Err(format!("unknown verb \"{verb}\"; known are: {VERBS}")),
        }
    }

    fn count(&mut self, verb: &str, n: u64) -> Result<Value, String> {
        match verb {
            "partial_pieces" => self.partial_pieces = n,
            "corrupt_uploads" => self.corrupt_uploads = n,
            _ => self.mail_fails = n,
        }
        Ok(json!({}))
    }

    fn by_hand(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let id = self.st.resolve(&text(args, "file")?)?;
        let now = self.now;
        let to = match verb {
            "move" => Some(self.st.resolve(&text(args, "to")?)?),
            _ => None,
        };
        let drive = to.as_ref().and_then(|t| self.st.files.get(t)).and_then(|f| f.drive.clone());
        if verb == "delete" {
            self.st.remove(&id, now);
            return Ok(json!({ "id": id }));
        }
        let node = self.st.files.get_mut(&id).ok_or("it is gone")?;
        let mut answer = json!({ "id": id });
        match verb {
            "share" => {
                let (pid, perm) = seed::perm(args)?;
                node.perms.insert(pid.clone(), perm);
                answer = json!({ "id": id, "permission": pid });
            }
            "unshare" => {
                let (pid, _) = seed::perm(args)?;
                node.perms.remove(&pid).ok_or("nobody of that name is on it directly")?;
            }
            "link_on" => {
                let mut link = args.clone();
                if let Some(map) = link.as_object_mut() {
                    map.entry("type").or_insert(json!("anyone"));
                }
                node.perms.extend([seed::perm(&link)?]);
            }
            "writers_share" => node.writers_share = true,
            "link_off" => node.perms.retain(|_, p| p.kind != "anyone" && p.kind != "domain"),
            "move" => {
                node.parent = to;
                node.drive = drive;
            }
            "trash" => node.trashed = true,
            "untrash" => node.trashed = false,
            "rename" => node.name = text(args, "name")?,
            _ => {
                node.set_content(text(args, "content")?.into());
            }
        }
        self.st.changed(&id, now, false);
        Ok(answer)
    }

    fn set_policy(&mut self, args: &Value) -> Result<Value, String> {
        if let Some(shape) = args["no_account_shape"].as_str() {
            self.no_account_shape = shape.to_owned();
        }
        if let Some(domain) = args["domain"].as_str() {
            seed::policy(self.st.policies.entry(domain.to_owned()).or_default(), args);
        }
        if let Some(drive) = args["drive"].as_str() {
            let d = self.st.drives.get_mut(drive).ok_or("there is no such shared drive")?;
            seed::restrictions(d, args);
        }
        Ok(json!({}))
    }

    fn fault(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
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
            reason: args["reason"].as_str().unwrap_or("backendError").to_owned(),
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
        Ok(json!({}))
    }

    /// Everything there is, with who reaches it: for comparing with what should be.
    fn dump(&self) -> Value {
        let files: Vec<_> = self
            .st
            .files
            .values()
            .filter(|f| !f.is_top() || f.drive.is_some())
            .map(|f| {
                let permissions: Vec<_> = self
                    .st
                    .effective(&f.id)
                    .iter()
                    .map(|(id, e)| {
                        json!({
                            "id": id, "type": e.perm.kind, "who": e.perm.who, "role": e.role(),
                            "direct": e.direct.is_some(), "inherited": !e.inherited.is_empty(), "nameOnly": e.name_only, "expires": e.perm.expires,
                        })
                    })
                    .collect();
                json!({
                    "id": f.id, "name": f.name, "path": self.path(&f.id), "folder": f.is_folder(), "parent": f.parent,
                    "owner": f.owner, "drive": f.drive, "trashed": self.st.trashed(&f.id), "limited": f.limited,
                    "writersCanShare": f.writers_share, "size": f.content.as_ref().map(bytes::Bytes::len),
                    "private": f.private, "permissions": permissions,
                })
            })
            .collect();
        json!({ "files": files })
    }

    fn path(&self, id: &str) -> String {
        match self.st.files.get(id) {
            Some(f) => match &f.parent {
                Some(p) => format!("{}/{}", self.path(p), f.name),
                None => f.name.clone(),
            },
            None => String::new(),
        }
    }
}

fn text(args: &Value, key: &str) -> Result<String, String> {
    args[key].as_str().map(str::to_owned).ok_or_else(|| format!("\"{key}\" is missing"))
}

/// The permission id of a person, as every file has it.
pub fn permission_id(email: &str) -> String {
    grantee("user", &email.to_ascii_lowercase(), false)
}

//! What is in the fake: accounts, teams, one tree a namespace, and who reaches what.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::as_base64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call, tag};

/// Namespace ids begin here, so that they are no small numbers.
pub const NS: u64 = 84_528_000_000;

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Account {
    pub email: String,
    pub name: String,
    pub verified: bool,
    /// `basic`, `pro` or `business`.
    pub plan: String,
    pub team: Option<String>,
    pub home: u64,
    pub room: u64,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Team {
    pub name: String,
    pub root: u64,
    /// Only members of the team may be on shared folders.
    pub members_only: bool,
    /// Links can be kept to members.
    pub link_policy: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Member {
    /// Address of a person or id of a group.
    pub who: String,
    pub group: bool,
    pub pending: bool,
    pub level: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Share {
    pub members: Vec<Member>,
    pub team_folder: bool,
    pub no_inherit: bool,
    pub acl_editors: bool,
    pub link_policy: String,
    /// Whether it is in its owner's own Dropbox at present.
    pub mounted: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct File {
    #[serde(with = "as_base64")]
    pub content: Vec<u8>,
    pub rev: String,
    pub by: String,
    pub client_modified: String,
    /// Let in to this file alone.
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Node {
    pub id: u64,
    pub name: String,
    pub parent: Option<u64>,
    pub owner: Option<String>,
    pub file: Option<File>,
    pub share: Option<Share>,
    pub modified: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Link {
    pub node: u64,
    pub by: String,
    pub audience: String,
}

/// One line of the change feed: where it lay, from its own home and from the team's top.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Change {
    pub node: u64,
    pub home: String,
    pub top: String,
    pub deleted: bool,
    /// The node it lay under.
    pub above: Vec<u64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct State {
    pub accounts: BTreeMap<String, Account>,
    pub teams: BTreeMap<String, Team>,
    /// By id: name and members.
    pub groups: BTreeMap<String, (String, Vec<String>)>,
    /// The group that an address stands for.
    #[serde(default)]
    pub group_addresses: BTreeMap<String, String>,
    pub nodes: BTreeMap<u64, Node>,
    pub links: BTreeMap<String, Link>,
    pub log: Vec<Change>,
    /// Cursors from before are forgotten.
    pub log_floor: usize,
    counter: u64,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn sha(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

/// Dropbox's hash of content.
pub fn hash(bytes: &[u8]) -> String {
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (block, more) = rest.split_at(rest.len().min(4 * 1024 * 1024));
        all.extend(sha(block));
        rest = more;
    }
    hex(&sha(&all))
}

pub fn lower(name: &str) -> String {
    name.to_lowercase()
}

impl State {
    pub fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub fn add(&mut self, parent: Option<u64>, name: &str, now: Timestamp) -> u64 {
        let id = self.number();
        let node = Node { id, name: name.to_owned(), parent, owner: None, file: None, share: None, modified: now };
        self.nodes.insert(id, node);
        id
    }

    /// The node itself and everything above it, from the inside out.
    pub fn above(&self, id: u64) -> Vec<u64> {
        let mut at = self.nodes.get(&id);
        let mut all = Vec::new();
        while let Some(node) = at {
            all.push(node.id);
            at = node.parent.and_then(|p| self.nodes.get(&p));
        }
        all
    }

    /// Where a node lies, from its owner's home or from the top of the team space. `None` while it is not mounted.
    pub fn path(&self, id: u64, rooted: bool) -> Option<String> {
        let mut names = Vec::new();
        for n in self.above(id) {
            let node = self.nodes.get(&n)?;
            if node.share.as_ref().is_some_and(|s| !s.mounted) {
                return None;
            }
            if node.parent.is_none() || (node.owner.is_some() && !rooted) {
                break;
            }
            names.push(node.name.as_str());
        }
        names.reverse();
        Some(names.iter().map(|n| format!("/{n}")).collect())
    }

    pub fn child(&self, parent: u64, name: &str) -> Option<&Node> {
        let mounted = |n: &&Node| n.share.as_ref().is_none_or(|s| s.mounted);
        self.nodes.values().filter(mounted).find(|n| n.parent == Some(parent) && lower(&n.name) == lower(name))
    }

    /// The account's level on a node, all ways together. `None`: it does not open.
    pub fn level(&self, email: &str, id: u64) -> Option<String> {
        for n in self.above(id) {
            let node = self.nodes.get(&n)?;
            if node.owner.as_deref() == Some(email) {
                return Some("owner".into());
            }
            if let Some(share) = &node.share {
                let mine = |m: &&Member| {
                    !m.pending
                        && (m.who == email || self.groups.get(&m.who).is_some_and(|g| g.1.iter().any(|e| e == email)))
                };
                if let Some(m) = share.members.iter().find(mine) {
                    return Some(m.level.clone());
                }
                if share.no_inherit {
                    return None;
                }
            }
        }
        None
    }

    /// The node that a path leads to: from the caller's root, `ns:…/…` or `id:…`.
    pub fn resolve(&self, call: &Call, path: &str) -> Option<u64> {
        let email = &call.who.email;
        let home = self.accounts.get(email)?.home;
        let start = if call.rooted { self.team_root(email).unwrap_or(home) } else { home };
        let (start, rest) = match (path.strip_prefix("id:n"), path.strip_prefix("ns:")) {
            (Some(id), _) => (id.parse().ok()?, ""),
            (_, Some(ns)) => {
                let (ns, rest) = ns.split_once('/').unwrap_or((ns, ""));
                (ns.parse::<u64>().ok()?.checked_sub(NS)?, rest)
            }
            _ => (start, path.trim_start_matches('/')),
        };
        let mut at = self.nodes.get(&start)?.id;
        for name in rest.split('/').filter(|n| !n.is_empty()) {
            at = self.child(at, name)?.id;
        }
        // Files let in by themselves aside, only what opens is there at all; the team's top is seen by all of the team.
        let top = self.team_root(email) == Some(at);
        (top || self.level(email, at).is_some()).then_some(at)
    }

    /// The parent node and the name of a path to be written.
    pub fn parent_of(&mut self, call: &Call, path: &str, now: Timestamp) -> Answer<(u64, String)> {
        let Some((above, name)) = path.rsplit_once('/') else { return tag("path/malformed_path") };
        let bad = |n: &str| n.len() > 255 || n.ends_with(['.', ' ']) || n.contains('\\') || n.contains('\0');
        if name.is_empty() || path.contains("//") {
            return tag("path/malformed_path");
        }
        if path.split('/').any(bad) {
            return tag("path/disallowed_name");
        }
        if let Some(parent) = self.resolve(call, above) {
            return match self.nodes.get(&parent).is_some_and(|n| n.file.is_some()) {
                true => tag("path/conflict/file_ancestor"),
                false => Ok((parent, name.to_owned())),
            };
        }
        // Folders on the way are made, except where nothing is to be found at all.
        if above.strip_prefix("ns:").is_some_and(|a| !a.contains('/')) {
            return tag("path/no_write_permission");
        }
        let (up, missing) = self.parent_of(call, above, now)?;
        if !self.may_write(call, up) {
            return tag("path/no_write_permission");
        }
        let made = self.add(Some(up), &missing, now);
        self.changed(made, false);
        Ok((made, name.to_owned()))
    }

    pub fn may_write(&self, call: &Call, node: u64) -> bool {
        matches!(self.level(&call.who.email, node).as_deref(), Some("owner" | "editor"))
    }

    pub fn changed(&mut self, id: u64, deleted: bool) {
        let (home, top) = (self.path(id, false), self.path(id, true));
        let above = self.above(id);
        self.log.push(Change {
            node: id,
            home: home.unwrap_or_default(),
            top: top.unwrap_or_default(),
            deleted,
            above,
        });
    }

    /// Takes a node and all below it away.
    pub fn remove(&mut self, id: u64) {
        self.changed(id, true);
        let gone: Vec<u64> = self.nodes.keys().copied().filter(|n| self.above(*n).contains(&id)).collect();
        self.links.retain(|_, l| !gone.contains(&l.node));
        for n in gone {
            self.nodes.remove(&n);
        }
    }

    /// The nearest shared folder above a node, itself not counted.
    pub fn shared_above(&self, id: u64) -> Option<u64> {
        self.above(id).into_iter().skip(1).find(|n| self.nodes.get(n).is_some_and(|n| n.share.is_some()))
    }

    pub fn in_team_folder(&self, id: u64) -> bool {
        self.above(id).iter().any(|n| self.nodes.get(n).and_then(|n| n.share.as_ref()).is_some_and(|s| s.team_folder))
    }

    /// Metadata of a file or folder, with `.tag` or without.
    pub fn entry(&self, call: &Call, id: u64, tagged: bool, explicit: bool) -> Value {
        let Some(node) = self.nodes.get(&id) else { return Value::Null };
        let mut v = json!({ "name": node.name, "id": format!("id:n{id}") });
        if tagged {
            v[".tag"] = json!(if node.file.is_some() { "file" } else { "folder" });
        }
        if let Some(path) = self.path(id, call.rooted) {
            v["path_lower"] = json!(lower(&path));
            v["path_display"] = json!(path);
        }
        let mut info = json!({});
        if let Some(above) = self.shared_above(id) {
            info["parent_shared_folder_id"] = json!(Self::ns(above));
        }
        if node.share.is_some() {
            info["shared_folder_id"] = json!(Self::ns(id));
        }
        if let Some(file) = &node.file {
            v["rev"] = json!(file.rev);
            v["size"] = json!(file.content.len());
            v["content_hash"] = json!(hash(&file.content));
            v["is_downloadable"] = json!(true);
            v["client_modified"] = json!(file.client_modified);
            v["server_modified"] = json!(whole(node.modified));
            if explicit {
                v["has_explicit_shared_members"] = json!(!file.members.is_empty());
            }
            if self.shared_above(id).is_some() {
                info["modified_by"] = self.account_id(&file.by);
            }
        } else {
            info["traverse_only"] = json!(false);
            info["no_access"] = json!(false);
        }
        if self.shared_above(id).is_some() || node.share.is_some() {
            info["read_only"] = json!(!self.may_write(call, id));
            v["sharing_info"] = info;
        }
        v
    }

    /// The same content under the same name is left as it is.
    pub fn write_file(
        &mut self,
        parent: u64,
        name: &str,
        over: Option<u64>,
        bytes: Vec<u8>,
        by: &str,
        now: Timestamp,
    ) -> u64 {
        let rev = format!("015f{:012x}", self.number());
        let id = over.unwrap_or_else(|| self.add(Some(parent), name, now));
        if let Some(node) = self.nodes.get_mut(&id) {
            let members = node.file.as_ref().map(|f| f.members.clone()).unwrap_or_default();
            node.modified = now;
            node.file = Some(File { content: bytes, rev, by: by.to_owned(), client_modified: whole(now), members });
        }
        self.changed(id, false);
        id
    }
}

/// Whole seconds, as Dropbox writes times.
pub fn whole(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

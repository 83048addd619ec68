//! What is in the fake: accounts, drives, files, and who reaches them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ledgerward_contract::Timestamp;
use serde::{Deserialize, Serialize};

pub const FOLDER: &str = "application/vnd.google-apps.folder";

/// A refusal in Google's v1 format.
#[derive(Debug, Clone)]
pub struct Refuse {
    pub status: u16,
    pub reason: String,
    pub message: String,
}

pub fn refuse<T>(status: u16, reason: &str, message: impl Into<String>) -> Result<T, Refuse> {
    Err(Refuse { status, reason: reason.to_owned(), message: message.into() })
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Account {
    pub email: String,
    pub name: String,
    /// Other addresses that lead to this account; the permission shows the primary one.
    pub aliases: Vec<String>,
    /// Bytes of storage; `None` is without limit, 0 is a bare service account.
    pub room: Option<u64>,
    /// An address without a Google account.
    pub google: bool,
    pub deleted: bool,
}

/// Sharing rules of a domain.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Policy {
    pub share_out: bool,
    pub share_in: bool,
    /// Refuses with `400 invalidSharingRequest` "ACL change not allowed" instead.
    pub acl_change: bool,
    /// New files are visible to the domain unless the request says otherwise.
    pub default_visible: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { share_out: true, share_in: true, acl_change: true, default_visible: false }
    }
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct SharedDrive {
    pub domain: String,
    pub admin_managed: bool,
    pub domain_users_only: bool,
    pub members_only: bool,
    pub folders_need_organizer: bool,
}

/// A direct entry.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Perm {
    pub kind: String,
    pub role: String,
    /// Address of a person or group, name of a domain.
    pub who: String,
    pub discoverable: bool,
    pub expires: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Node {
    pub id: String,
    pub name: String,
    pub mime: String,
    pub parent: Option<String>,
    pub drive: Option<String>,
    pub owner: Option<String>,
    /// The OAuth client that made it: what `drive.file` reaches.
    pub app: String,
    pub trashed: bool,
    pub limited: bool,
    pub writers_share: bool,
    pub private: BTreeMap<String, BTreeMap<String, String>>,
    pub properties: BTreeMap<String, String>,
    pub perms: BTreeMap<String, Perm>,
    #[serde(with = "super::saved")]
    pub content: Option<Bytes>,
    /// MD5, SHA-1 and SHA-256 of the content.
    pub hashes: [String; 3],
    pub revision: u64,
    pub version: u64,
    pub created: Timestamp,
    pub modified: Timestamp,
}

impl Node {
    pub fn is_folder(&self) -> bool {
        self.mime == FOLDER
    }

    /// The folder a drive consists of, or a person's My Drive.
    pub fn is_top(&self) -> bool {
        self.parent.is_none()
    }
}

/// What somebody has on an item, all ways together.
#[derive(Debug, Clone)]
pub struct Effective {
    pub perm: Perm,
    pub direct: Option<String>,
    /// (role, where it is direct).
    pub inherited: Vec<(String, String)>,
    /// Sees the name of a limited folder, and nothing else.
    pub name_only: bool,
}

impl Effective {
    pub fn role(&self) -> &str {
        let all = self.direct.iter().chain(self.inherited.iter().map(|(r, _)| r));
        all.max_by_key(|r| rank(r)).map_or("reader", String::as_str)
    }
}

pub fn rank(role: &str) -> u8 {
    match role {
        "reader" => 1,
        "commenter" => 2,
        "writer" => 3,
        "fileOrganizer" => 4,
        "organizer" => 5,
        "owner" => 6,
        _ => 0,
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Change {
    pub file: String,
    pub at: Timestamp,
    pub removed: bool,
    pub drive: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct State {
    pub accounts: BTreeMap<String, Account>,
    pub groups: BTreeMap<String, BTreeSet<String>>,
    pub policies: BTreeMap<String, Policy>,
    pub drives: BTreeMap<String, SharedDrive>,
    pub files: BTreeMap<String, Node>,
    pub reserved: BTreeSet<String>,
    pub changes: Vec<Change>,
    pub counter: u64,
}

pub fn domain(email: &str) -> &str {
    email.rsplit_once('@').map_or("", |(_, d)| d)
}

/// Hex of a SHA-256: the fake's only source of ids.
pub fn hex(text: &str) -> String {
    ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// The id of a grantee, the same on every file.
pub fn grantee(kind: &str, who: &str, discoverable: bool) -> String {
    match (kind, discoverable) {
        ("anyone", false) => "anyoneWithLink".to_owned(),
        ("anyone", true) => "anyone".to_owned(),
        _ => {
            let hex = hex(&format!("{kind}:{who}"));
            let number = u64::from_str_radix(hex.get(..15).unwrap_or("1"), 16).unwrap_or(1);
            format!("{:020}{}", number, if kind == "domain" { "k" } else { "" })
        }
    }
}

impl State {
    pub fn new_id(&mut self) -> String {
        self.counter += 1;
        format!("1{}", hex(&format!("id {}", self.counter)).get(..32).unwrap_or_default())
    }

    /// The account behind an address or one of its aliases.
    pub fn account(&self, email: &str) -> Option<&Account> {
        let email = email.to_ascii_lowercase();
        self.accounts.get(&email).or_else(|| self.accounts.values().find(|a| a.aliases.contains(&email)))
    }

    /// A person's My Drive.
    pub fn top_of(&self, email: &str) -> String {
        format!("0A{}", hex(&format!("root {email}")).get(..17).unwrap_or_default())
    }

    pub fn effective(&self, id: &str) -> BTreeMap<String, Effective> {
        let Some(node) = self.files.get(id) else { return BTreeMap::new() };
        let mut out = BTreeMap::new();
        let above = node.parent.as_deref().map(|p| self.effective(p)).unwrap_or_default();
        for (pid, mut e) in above {
            if e.name_only {
                continue;
            }
            let from = match (&e.direct, e.inherited.first()) {
                (Some(_), _) => node.parent.clone().unwrap_or_default(),
                (None, Some((_, from))) => from.clone(),
                (None, None) => continue,
            };
            // The owner of a folder is an editor of what others put into it.
            let role = if e.role() == "owner" { "writer".to_owned() } else { e.role().to_owned() };
            let keeps = role == "organizer" || node.owner.as_deref().is_some_and(|o| o == e.perm.who);
            if node.limited && !keeps {
                e.name_only = true;
                e.inherited = vec![("reader".to_owned(), from)];
            } else {
                e.inherited = vec![(role, from)];
            }
            e.direct = None;
            out.insert(pid, e);
        }
        for (pid, perm) in &node.perms {
            let e = out.entry(pid.clone()).or_insert_with(|| Effective {
                perm: perm.clone(),
                direct: None,
                inherited: Vec::new(),
                name_only: false,
            });
            if perm.role == "owner" {
                e.inherited.clear();
            }
            if e.name_only {
                e.inherited.clear();
                e.name_only = false;
            }
            e.perm = perm.clone();
            e.direct = Some(perm.role.clone());
        }
        out
    }

    fn means(&self, perm: &Perm, user: &str) -> bool {
        match perm.kind.as_str() {
            "user" => perm.who == user,
            "group" => self.groups.get(&perm.who).is_some_and(|g| g.contains(user)),
            "domain" => domain(user) == perm.who,
            _ => perm.kind == "anyone",
        }
    }

    /// The best role of a person on an item; `Some("")` for one who sees the name only.
    pub fn access(&self, id: &str, user: &str) -> Option<String> {
        let all = self.effective(id);
        let mine = all.values().filter(|e| self.means(&e.perm, user));
        mine.map(|e| if e.name_only { "" } else { e.role() }).max_by_key(|r| rank(r)).map(str::to_owned)
    }

    /// Whether an item turns up in a person's listings.
    pub fn lists(&self, id: &str, user: &str) -> bool {
        self.effective(id).values().any(|e| {
            self.means(&e.perm, user) && (matches!(e.perm.kind.as_str(), "user" | "group") || e.perm.discoverable)
        })
    }

    pub fn can_edit(&self, node: &Node, user: &str) -> bool {
        self.access(&node.id, user).is_some_and(|r| rank(&r) >= 3)
    }

    pub fn can_share(&self, node: &Node, user: &str) -> bool {
        let role = self.access(&node.id, user).unwrap_or_default();
        match &node.drive {
            None => role == "owner" || (role == "writer" && node.writers_share),
            Some(_) if node.is_top() => role == "organizer",
            Some(d) if node.is_folder() => {
                let strict = self.drives.get(d).is_some_and(|d| d.folders_need_organizer) || node.limited;
                rank(&role) >= if strict { 5 } else { 4 }
            }
            Some(_) => rank(&role) >= 3,
        }
    }

    pub fn can_limit(&self, node: &Node, user: &str) -> bool {
        let role = self.access(&node.id, user).unwrap_or_default();
        node.is_folder()
            && !node.is_top()
            && match node.drive {
                None => role == "owner" || (role == "writer" && node.writers_share),
                Some(_) => role == "organizer",
            }
    }

    /// Puts into the trash or takes away for good.
    pub fn can_trash(&self, node: &Node, user: &str) -> bool {
        let role = self.access(&node.id, user).unwrap_or_default();
        !node.is_top() && if node.drive.is_some() { rank(&role) >= 4 } else { role == "owner" }
    }

    pub fn trashed(&self, id: &str) -> bool {
        let mut at = self.files.get(id);
        while let Some(node) = at {
            if node.trashed {
                return true;
            }
            at = node.parent.as_deref().and_then(|p| self.files.get(p));
        }
        false
    }

    pub fn used(&self, email: &str) -> u64 {
        self.files
            .values()
            .filter(|f| f.owner.as_deref() == Some(email))
            .map(|f| f.content.as_ref().map_or(0, |c| c.len() as u64))
            .sum()
    }

    pub fn changed(&mut self, id: &str, at: Timestamp, removed: bool) {
        let drive = self.files.get(id).and_then(|f| f.drive.clone());
        if let Some(f) = self.files.get_mut(id) {
            f.version += 1;
        }
        self.changes.push(Change { file: id.to_owned(), at, removed, drive });
    }

    /// Takes an item and everything below it away.
    pub fn remove(&mut self, id: &str, at: Timestamp) {
        let below: Vec<_> =
            self.files.values().filter(|f| f.parent.as_deref() == Some(id)).map(|f| f.id.clone()).collect();
        for child in below {
            self.remove(&child, at);
        }
        self.changed(id, at, true);
        self.files.remove(id);
    }

    /// An item by its id, or by a name that only one item has.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        if self.files.contains_key(text) {
            return Ok(text.to_owned());
        }
        let mut named = self.files.values().filter(|f| f.name == text && !self.trashed(&f.id));
        match (named.next(), named.next()) {
            (Some(f), None) => Ok(f.id.clone()),
            (Some(_), Some(_)) => Err(format!("several files are called \"{text}\"; give the id")),
            _ => Err(format!("there is no file \"{text}\"")),
        }
    }
}

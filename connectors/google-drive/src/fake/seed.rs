//! A fake from its seed, a JSON file under `fixtures/google-drive/`.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    DriveFake,
    oauth::{OAuth, Service},
    state::{Account, FOLDER, Node, Perm, Policy, SharedDrive, State, grantee},
};

fn texts(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
}

fn need(v: &Value, key: &str) -> Result<String, String> {
    v[key].as_str().map(str::to_owned).ok_or_else(|| format!("the seed lacks \"{key}\" in {v}"))
}

fn items(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

/// An entry as a seed or a control writes it: `{"type","email" | "domain","role"}`.
pub fn perm(v: &Value) -> Result<(String, Perm), String> {
    let kind = v["type"].as_str().unwrap_or("user").to_owned();
    let who = match kind.as_str() {
        "user" | "group" => need(v, "email")?.to_ascii_lowercase(),
        "domain" => need(v, "domain")?,
        _ => String::new(),
    };
    let discoverable = v["discoverable"].as_bool().unwrap_or(false);
    let role = v["role"].as_str().unwrap_or("reader").to_owned();
    let id = grantee(&kind, &who, discoverable);
    Ok((id, Perm { kind, role, who, discoverable, expires: None }))
}

pub fn policy(p: &mut Policy, v: &Value) {
    let set = |to: &mut bool, key: &str| *to = v[key].as_bool().unwrap_or(*to);
    set(&mut p.share_out, "share_out");
    set(&mut p.share_in, "share_in");
    set(&mut p.acl_change, "acl_change");
    set(&mut p.default_visible, "default_visible");
}

pub fn restrictions(d: &mut SharedDrive, v: &Value) {
    let set = |to: &mut bool, key: &str| *to = v[key].as_bool().unwrap_or(*to);
    set(&mut d.admin_managed, "adminManagedRestrictions");
    set(&mut d.domain_users_only, "domainUsersOnly");
    set(&mut d.members_only, "driveMembersOnly");
    set(&mut d.folders_need_organizer, "sharingFoldersRequiresOrganizerPermission");
}

fn folder(id: String, name: String, parent: Option<String>) -> Node {
    Node {
        id,
        name,
        mime: FOLDER.to_owned(),
        parent,
        drive: None,
        owner: None,
        app: "browser".to_owned(),
        trashed: false,
        limited: false,
        writers_share: true,
        private: BTreeMap::new(),
        properties: BTreeMap::new(),
        perms: BTreeMap::new(),
        content: None,
        hashes: Default::default(),
        revision: 0,
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        modified: Timestamp::UNIX_EPOCH,
    }
}

fn owner(email: &str) -> (String, Perm) {
    let perm =
        Perm { kind: "user".into(), role: "owner".into(), who: email.to_owned(), discoverable: false, expires: None };
    (grantee("user", email, false), perm)
}

impl DriveFake {
    /// Errors: what is missing in the seed.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let limits = &seed["limits"];
        let size = |key: &str, default: u64| limits[key].as_u64().unwrap_or(default);
        let mut fake = Self {
            st: State::default(),
            now: Timestamp::UNIX_EPOCH,
            base: seed["base"].as_str().unwrap_or("http://drive.example").to_owned(),
            oauth: oauth(seed)?,
            sessions: BTreeMap::new(),
            outages: Vec::new(),
            drops: Vec::new(),
            lag: SignedDuration::from_secs(i64::try_from(size("lag_seconds", 0)).unwrap_or(0)),
            units_per_minute: size("units_per_minute", 325_000),
            used: BTreeMap::new(),
            violations: Vec::new(),
            stats: BTreeMap::new(),
            list_page_max: usize::try_from(size("list_page_max", 1_000)).unwrap_or(1_000),
            permission_page_max: usize::try_from(size("permission_page_max", 100)).unwrap_or(100),
            permission_write: Duration::from_millis(size("permission_write_ms", 0)),
            my_drive_details: seed["my_drive_details"].as_bool().unwrap_or(true),
            no_account_shape: seed["no_account_shape"].as_str().unwrap_or("403").to_owned(),
            mail_fails: 0,
            partial_pieces: 0,
            corrupt_uploads: 0,
        };
        fake.people(seed)?;
        fake.places(seed)?;
        Ok(fake)
    }

    /// From what [`Fake::save`] gave, in this process or another. `base` as in the seed: where requests come to that name
    /// no host. An error says what is wrong with it.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let fake = Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the Google Drive sandbox does not fit this program ({e}); start a new sandbox")
        })?;
        Ok(Self { base: base.to_owned(), ..fake })
    }

    fn people(&mut self, seed: &Value) -> Result<(), String> {
        for a in items(&seed["accounts"]) {
            self.add_account(a)?;
        }
        let services: Vec<_> = self.oauth.services.keys().cloned().collect();
        for email in services {
            self.add_account(&serde_json::json!({ "email": email, "name": "Service account", "room": 0 }))?;
        }
        for (group, members) in seed["groups"].as_object().into_iter().flatten() {
            self.st.groups.insert(group.to_ascii_lowercase(), texts(members).into_iter().collect());
        }
        for (domain, v) in seed["policies"].as_object().into_iter().flatten() {
            policy(self.st.policies.entry(domain.clone()).or_default(), v);
        }
        Ok(())
    }

    /// An account with its My Drive.
    pub(super) fn add_account(&mut self, v: &Value) -> Result<(), String> {
        let email = need(v, "email")?.to_ascii_lowercase();
        let account = Account {
            name: v["name"].as_str().unwrap_or(&email).to_owned(),
            aliases: texts(&v["aliases"]).iter().map(|a| a.to_ascii_lowercase()).collect(),
            room: v["room"].as_u64(),
            google: v["google"].as_bool().unwrap_or(true),
            deleted: false,
            email: email.clone(),
        };
        let top = self.st.top_of(&email);
        let mut node = folder(top.clone(), "My Drive".to_owned(), None);
        node.owner = Some(email.clone());
        node.perms.extend([owner(&email)]);
        self.st.files.insert(top, node);
        self.st.accounts.insert(email, account);
        Ok(())
    }

    fn places(&mut self, seed: &Value) -> Result<(), String> {
        for v in items(&seed["drives"]) {
            let id = need(v, "id")?;
            let mut drive = SharedDrive { domain: need(v, "domain")?, ..SharedDrive::default() };
            restrictions(&mut drive, &v["restrictions"]);
            let mut node = folder(id.clone(), need(v, "name")?, None);
            node.drive = Some(id.clone());
            for m in items(&v["members"]) {
                node.perms.extend([perm(m)?]);
            }
            self.st.drives.insert(id.clone(), drive);
            self.st.files.insert(id, node);
        }
        for v in items(&seed["folders"]) {
            self.add_folder(v)?;
        }
        Ok(())
    }

    /// A folder that somebody made in the browser: `{"id"?, "name", "owner" | "parent", "share": […]}`.
    /// With `mime` and `content` a file; `app` and `private` as if an app had made and marked it.
    pub(super) fn add_folder(&mut self, v: &Value) -> Result<String, String> {
        let id = match v["id"].as_str() {
            Some(id) => id.to_owned(),
            None => self.st.new_id(),
        };
        let parent = match v["parent"].as_str() {
            Some(p) => self.st.resolve(p)?,
            None => self.st.top_of(&need(v, "owner")?),
        };
        let above = self.st.files.get(&parent).ok_or("the seed names a parent that is not there")?;
        let mut node = folder(id.clone(), need(v, "name")?, Some(parent.clone()));
        node.drive = above.drive.clone();
        if node.drive.is_none() {
            let who = v["owner"].as_str().map(str::to_owned).or(above.owner.clone()).unwrap_or_default();
            node.perms.extend([owner(&who)]);
            node.owner = Some(who);
        }
        for p in items(&v["share"]) {
            node.perms.extend([perm(p)?]);
        }
        if let Some(mime) = v["mime"].as_str() {
            node.mime = mime.to_owned();
            if let Some(content) = v["content"].as_str() {
                node.set_content(content.to_owned().into());
            }
        }
        for (app, marks) in v["private"].as_object().into_iter().flatten() {
            let marks = marks.as_object().into_iter().flatten();
            let marks = marks.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            node.private.insert(app.clone(), marks);
        }
        if let Some(app) = v["app"].as_str() {
            node.app = app.to_owned();
        }
        node.created = self.now;
        self.st.files.insert(id.clone(), node);
        self.st.changed(&id, self.now, false);
        Ok(id)
    }
}

fn oauth(seed: &Value) -> Result<OAuth, String> {
    let mut oauth = OAuth::default();
    oauth.consent = seed["consent"].as_str().unwrap_or_default().to_owned();
    oauth.token_uri = seed["token_uri"].as_str().unwrap_or("https://oauth2.googleapis.com/token").to_owned();
    for c in items(&seed["clients"]) {
        oauth.clients.insert(need(c, "id")?, need(c, "secret")?);
    }
    for s in items(&seed["service_accounts"]) {
        let big = |key: &str| URL_SAFE_NO_PAD.decode(need(s, key)?).map_err(|_| format!("\"{key}\" is no base64url"));
        let service = Service {
            key_id: need(s, "key_id")?,
            modulus: big("n")?,
            exponent: big("e")?,
            delegated: texts(&s["delegated"]),
            domain: need(s, "domain")?,
        };
        oauth.services.insert(need(s, "client_email")?, service);
    }
    Ok(oauth)
}

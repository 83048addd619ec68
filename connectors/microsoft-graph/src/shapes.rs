//! Graph's shapes, as far as we read them.

use ledgerward_contract::{Error, ErrorKind, FileId, FolderId, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A thing: the id of its drive and its own. Ids are case-sensitive, and survive a rename and a move within the drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub drive: String,
    pub item: String,
}

impl Place {
    /// Another thing on the same drive.
    pub fn beside(&self, item: &str) -> Self {
        Self { drive: self.drive.clone(), item: item.to_owned() }
    }

    pub fn folder(&self) -> FolderId {
        FolderId(self.text())
    }

    pub fn file(&self) -> FileId {
        FileId(self.text())
    }

    fn text(&self) -> String {
        format!("{}:{}", self.drive, self.item)
    }

    /// What [`Place::folder`] or [`Place::file`] gave.
    ///
    /// Errors: `NotFound`; there can be nothing under such an id.
    pub fn parse(op: &'static str, id: &str) -> Result<Self> {
        let (drive, item) = id.split_once(':').ok_or_else(|| {
            Error::new(ErrorKind::NotFound, op, "this is not a drive's id and a thing's with a colon between")
        })?;
        Ok(Self { drive: drive.to_owned(), item: item.to_owned() })
    }
}

/// A folder, a file or a package. Absent is absent: what is needed is asked for by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(rename = "eTag")]
    pub etag: Option<String>,
    #[serde(rename = "cTag")]
    pub ctag: Option<String>,
    pub size: Option<u64>,
    pub folder: Option<FolderFacet>,
    pub file: Option<FileFacet>,
    pub root: Option<Value>,
    pub deleted: Option<Value>,
    pub shared: Option<Value>,
    pub parent_reference: Option<Parent>,
    #[serde(rename = "@microsoft.graph.sharedChanged")]
    pub shared_changed: Option<Value>,
    #[serde(rename = "@microsoft.graph.downloadUrl")]
    pub download: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FolderFacet {
    pub child_count: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FileFacet {
    pub hashes: Option<Hashes>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hashes {
    pub quick_xor_hash: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    pub drive_id: Option<String>,
    pub id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    pub id: String,
    pub mail: Option<String>,
    pub user_principal_name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drive {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub drive_type: String,
    pub owner: Option<Identities>,
    pub quota: Option<Room>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Room {
    pub total: Option<u64>,
    pub used: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Listing<T> {
    pub value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub delta: Option<String>,
}

/// One entry of a sharing list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub id: String,
    /// The only word on what it gives, so it has no default.
    pub roles: Vec<String>,
    pub link: Option<Link>,
    #[serde(rename = "grantedToV2")]
    pub granted_to: Option<Identities>,
    #[serde(rename = "grantedTo")]
    pub granted_to_old: Option<Identities>,
    #[serde(rename = "grantedToIdentitiesV2")]
    pub people: Option<Vec<Identities>>,
    #[serde(rename = "grantedToIdentities")]
    pub people_old: Option<Vec<Identities>>,
    pub invitation: Option<Invitation>,
    /// Present on what is inherited, even if it is an empty object; absent on what is direct, mostly.
    pub inherited_from: Option<Value>,
    pub expiration_date_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Link {
    pub scope: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Invitation {
    pub email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identities {
    pub user: Option<Identity>,
    pub site_user: Option<Identity>,
    pub group: Option<Identity>,
    pub site_group: Option<Identity>,
    pub share_point_group: Option<Identity>,
    pub application: Option<Identity>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub id: Option<String>,
    pub email: Option<String>,
    pub display_name: Option<String>,
    pub login_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub upload_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub next_expected_ranges: Vec<String>,
}

impl Item {
    pub fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// In the recycle bin or past it, where Graph shows such a thing at all.
    pub fn is_away(&self) -> bool {
        self.deleted.is_some()
    }

    pub fn place(&self, drive: &str) -> Place {
        Place { drive: drive.to_owned(), item: self.id.clone() }
    }

    pub fn parent(&self, drive: &str) -> Option<Place> {
        let id = self.parent_reference.as_ref()?.id.clone()?;
        Some(Place { drive: drive.to_owned(), item: id })
    }

    pub fn hash(&self) -> Option<&str> {
        self.file.as_ref()?.hashes.as_ref()?.quick_xor_hash.as_deref()
    }
}

impl Me {
    /// The owner of the drive that an app works in; of a library, nobody.
    pub(crate) fn owner(user: Option<&Identity>) -> Self {
        Self {
            id: user.and_then(|u| u.id.clone()).unwrap_or_default(),
            mail: user.and_then(|u| u.email.clone()).filter(|mail| !mail.is_empty()),
            user_principal_name: String::new(),
        }
    }

    pub(crate) fn is(&self, who: &Identity) -> bool {
        let same = |text: Option<&str>| {
            let mail = self.mail.as_deref().unwrap_or_default();
            text.filter(|t| !t.is_empty())
                .is_some_and(|t| t.eq_ignore_ascii_case(&self.user_principal_name) || t.eq_ignore_ascii_case(mail))
        };
        match &who.id {
            Some(id) if *id == self.id && !id.is_empty() => true,
            _ => same(upn(who)) || (who.id.is_none() && same(who.email.as_deref())),
        }
    }
}

/// The sign-in name in a claim such as `i:0#.f|membership|ann@firm.example`.
pub(crate) fn upn(who: &Identity) -> Option<&str> {
    who.login_name.as_deref()?.strip_prefix("i:0#.f|membership|")
}

impl Permission {
    pub(crate) fn holder_of_grant(&self) -> Option<&Identities> {
        self.granted_to.as_ref().or(self.granted_to_old.as_ref())
    }

    pub(crate) fn linked(&self) -> Option<&Vec<Identities>> {
        self.people.as_ref().filter(|p| !p.is_empty()).or(self.people_old.as_ref()).or(self.people.as_ref())
    }

    /// The scope of a sharing link. What comes of an invitation has a link as well, and that one has no scope.
    pub fn link_scope(&self) -> Option<&str> {
        self.link.as_ref()?.scope.as_deref()
    }

    /// Whether it says what it gives. Limited access, which SharePoint puts above a thing that somebody was let in to, does
    /// not.
    pub fn names_a_role(&self) -> bool {
        !self.roles.is_empty() || self.link_scope().is_some()
    }

    pub fn says_inherited(&self) -> bool {
        self.inherited_from.is_some()
    }

    /// Whether this entry can only be seen by those who see the whole list: the owner's, or a group of the site.
    pub fn proves_full_view(&self) -> bool {
        self.roles.iter().any(|r| r == "owner")
            || self.holder_of_grant().is_some_and(|g| g.site_group.is_some() || g.share_point_group.is_some())
    }
}

//! The `fields` selector: `a,b/c,d(e,f/*),*`.

use serde_json::{Map, Value};

/// One level of a selector: names with what is wanted below them. An empty list below means everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<(String, Selector)>);

impl Selector {
    /// Errors: a message as Google words it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let selector = list(&mut rest)?;
        if rest.is_empty() { Ok(selector) } else { Err(invalid(text)) }
    }

    /// Keeps what is selected. `known` says which names this resource can have at all; others are refused.
    pub fn apply(&self, value: &Value, known: &Known) -> Result<Value, String> {
        if self.0.is_empty() {
            return Ok(value.clone());
        }
        match value {
            Value::Array(items) => {
                items.iter().map(|v| self.apply(v, known)).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(map) => {
                let mut out = Map::new();
                for (name, below) in &self.0 {
                    if name == "*" {
                        for (k, v) in map {
                            out.insert(k.clone(), below.apply(v, &known.below(k))?);
                        }
                    } else if !known.has(name) {
                        return Err(invalid(name));
                    } else if let Some(v) = map.get(name) {
                        out.insert(name.clone(), below.apply(v, &known.below(name))?);
                    } else {
                        below.check(&known.below(name))?;
                    }
                }
                Ok(Value::Object(out))
            }
            other => Ok(other.clone()),
        }
    }

    fn check(&self, known: &Known) -> Result<(), String> {
        for (name, below) in &self.0 {
            if name != "*" && !known.has(name) {
                return Err(invalid(name));
            }
            below.check(&known.below(name))?;
        }
        Ok(())
    }
}

fn invalid(name: &str) -> String {
    format!("Invalid field selection {name}")
}

fn list(rest: &mut &str) -> Result<Selector, String> {
    let mut out = Vec::new();
    loop {
        out.push(one(rest)?);
        match rest.strip_prefix(',') {
            Some(r) => *rest = r,
            None => return Ok(Selector(out)),
        }
    }
}

fn one(rest: &mut &str) -> Result<(String, Selector), String> {
    *rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() || (name.contains('*') && name != "*") {
        return Err(invalid(rest));
    }
    *rest = after.trim_start();
    let below = if let Some(r) = rest.strip_prefix('/') {
        *rest = r;
        Selector(vec![one(rest)?])
    } else if let Some(r) = rest.strip_prefix('(') {
        *rest = r;
        let inner = list(rest)?;
        *rest = rest.strip_prefix(')').ok_or_else(|| invalid(rest))?.trim_start();
        inner
    } else {
        Selector(Vec::new())
    };
    Ok((name.to_owned(), below))
}

/// The names that a resource can have: the discovery document's, as far as this fake goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    File,
    FileList,
    Permission,
    PermissionList,
    Change,
    ChangeList,
    Drive,
    DriveList,
    About,
    User,
    Detail,
    Restrictions,
    StorageQuota,
    Words(&'static [&'static str]),
    Anything,
}

impl Known {
    fn has(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Anything => return true,
            Self::Words(words) => words,
            Self::File => FILE,
            Self::FileList => &["kind", "files", "nextPageToken", "incompleteSearch"],
            Self::Permission => PERMISSION,
            Self::PermissionList => &["kind", "permissions", "nextPageToken"],
            Self::Change => &["kind", "changeType", "removed", "time", "fileId", "file", "driveId", "drive", "type"],
            Self::ChangeList => &["kind", "changes", "nextPageToken", "newStartPageToken"],
            Self::Drive => &["kind", "id", "name", "restrictions", "capabilities", "createdTime", "hidden", "colorRgb"],
            Self::DriveList => &["kind", "drives", "nextPageToken"],
            Self::About => &[
                "kind",
                "user",
                "storageQuota",
                "canCreateDrives",
                "appInstalled",
                "maxUploadSize",
                "importFormats",
                "exportFormats",
            ],
            Self::User => &["kind", "displayName", "photoLink", "me", "permissionId", "emailAddress"],
            Self::Detail => &["permissionType", "role", "inherited", "inheritedFrom"],
            Self::Restrictions => &[
                "adminManagedRestrictions",
                "copyRequiresWriterPermission",
                "domainUsersOnly",
                "driveMembersOnly",
                "sharingFoldersRequiresOrganizerPermission",
                "downloadRestriction",
            ],
            Self::StorageQuota => &["limit", "usage", "usageInDrive", "usageInDriveTrash"],
        };
        names.contains(&name)
    }

    fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::FileList, "files") | (Self::Change, "file") => Self::File,
            (Self::PermissionList | Self::File, "permissions") => Self::Permission,
            (Self::ChangeList, "changes") => Self::Change,
            (Self::DriveList, "drives") => Self::Drive,
            (Self::File, "owners" | "lastModifyingUser") | (Self::About, "user") => Self::User,
            (Self::Permission, "permissionDetails") => Self::Detail,
            (Self::Drive, "restrictions") => Self::Restrictions,
            (Self::About, "storageQuota") => Self::StorageQuota,
            _ => Self::Anything,
        }
    }
}

const FILE: &[&str] = &[
    "appProperties",
    "capabilities",
    "copyRequiresWriterPermission",
    "createdTime",
    "description",
    "driveId",
    "explicitlyTrashed",
    "fileExtension",
    "folderColorRgb",
    "fullFileExtension",
    "hasAugmentedPermissions",
    "hasThumbnail",
    "headRevisionId",
    "iconLink",
    "id",
    "inheritedPermissionsDisabled",
    "isAppAuthorized",
    "kind",
    "lastModifyingUser",
    "md5Checksum",
    "mimeType",
    "modifiedByMe",
    "modifiedTime",
    "name",
    "originalFilename",
    "ownedByMe",
    "owners",
    "parents",
    "permissionIds",
    "permissions",
    "properties",
    "quotaBytesUsed",
    "resourceKey",
    "sha1Checksum",
    "sha256Checksum",
    "shared",
    "sharedWithMeTime",
    "sharingUser",
    "shortcutDetails",
    "size",
    "spaces",
    "starred",
    "teamDriveId",
    "thumbnailLink",
    "trashed",
    "trashedTime",
    "trashingUser",
    "version",
    "viewedByMe",
    "viewedByMeTime",
    "webContentLink",
    "webViewLink",
    "writersCanShare",
    "exportLinks",
    "viewersCanCopyContent",
];

const PERMISSION: &[&str] = &[
    "allowFileDiscovery",
    "deleted",
    "displayName",
    "domain",
    "emailAddress",
    "expirationTime",
    "id",
    "inheritedPermissionsDisabled",
    "kind",
    "pendingOwner",
    "permissionDetails",
    "photoLink",
    "role",
    "teamDrivePermissionDetails",
    "type",
    "view",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selects_nested_lists_slashes_and_stars() {
        let v = json!({"files":[{"id":"a","owners":[{"me":true,"emailAddress":"x"}],"capabilities":{"canShare":true}}],"kind":"k"});
        let s = Selector::parse("files(id, owners/me),nextPageToken").unwrap();
        assert_eq!(s.apply(&v, &Known::FileList).unwrap(), json!({"files":[{"id":"a","owners":[{"me":true}]}]}));
        assert_eq!(Selector::parse("*").unwrap().apply(&v, &Known::FileList).unwrap(), v);
        assert_eq!(
            Selector::parse("files/*").unwrap().apply(&v, &Known::FileList).unwrap(),
            json!({"files": v["files"]})
        );
    }

    #[test]
    fn refuses_what_is_no_field() {
        assert!(Selector::parse("id,").is_err());
        assert!(Selector::parse("id(name").is_err());
        assert!(Selector::parse("").is_err());
        let s = Selector::parse("files(id,emial)").unwrap();
        assert!(s.apply(&json!({"files":[{"id":"a"}]}), &Known::FileList).is_err());
    }
}

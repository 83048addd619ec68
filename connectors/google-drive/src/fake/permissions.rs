//! `permissions.*`: Google's rules about who may share what with whom.

use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, DriveFake, Who, allow, answer,
    fields::Known,
    files::body,
    number,
    state::{Effective, Node, Perm, Refuse, domain, grantee, rank, refuse},
};

const DENIED: &str = "The user does not have sufficient permissions for this file.";

impl DriveFake {
    pub(super) fn permissions_list(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(
            r,
            &[
                "pageSize",
                "pageToken",
                "supportsAllDrives",
                "supportsTeamDrives",
                "useDomainAdminAccess",
                "includePermissionsForView",
            ],
        )?;
        let node = self.visible(r, who, id)?;
        if !self.st.can_share(&node, &who.user) && !self.st.can_edit(&node, &who.user) {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        let size = number(r, "pageSize", 100, 100)?.min(self.permission_page_max);
        let bad = || Refuse { status: 400, reason: "invalid".into(), message: "Invalid Value".into() };
        let from: usize =
            r.query("pageToken").map_or(Ok(0), |t| t.trim_start_matches('~').parse()).map_err(|_| bad())?;
        let all = self.st.effective(&node.id);
        let list: Vec<_> = all
            .iter()
            .skip(from)
            .take(size)
            .map(|(p, e)| self.st.permission_json(p, e, &node, self.my_drive_details))
            .collect();
        let mut full = json!({ "kind": "drive#permissionList", "permissions": list });
        if let (true, Some(map)) = (from + size < all.len(), full.as_object_mut()) {
            map.insert("nextPageToken".into(), json!(format!("~{}", from + size)));
        }
        answer(r, &full, Known::PermissionList, "kind,nextPageToken,permissions(id,type,kind,role)")
    }

    fn entry(&self, node: &Node, permission: &str) -> Result<Effective, Refuse> {
        self.st.effective(&node.id).remove(permission).ok_or_else(|| Refuse {
            status: 404,
            reason: "notFound".into(),
            message: format!("Permission not found: {permission}."),
        })
    }

    fn permission_answer(&self, r: &FakeRequest, id: &str, permission: &str) -> Answer {
        let Some(node) = self.st.files.get(id) else { return refuse(404, "notFound", "File not found.") };
        let e = self.entry(node, permission)?;
        let full = self.st.permission_json(permission, &e, node, self.my_drive_details);
        answer(r, &full, Known::Permission, "id,type,kind,role")
    }

    pub(super) fn permission_get(&mut self, r: &FakeRequest, who: &Who, id: &str, p: &str) -> Answer {
        allow(r, &["supportsAllDrives", "supportsTeamDrives", "useDomainAdminAccess"])?;
        let node = self.visible(r, who, id)?;
        if !self.st.can_edit(&node, &who.user) {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        self.permission_answer(r, &node.id, p)
    }

    pub(super) fn permission_create(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(
            r,
            &[
                "sendNotificationEmail",
                "emailMessage",
                "supportsAllDrives",
                "supportsTeamDrives",
                "transferOwnership",
                "moveToNewOwnersRoot",
                "useDomainAdminAccess",
                "enforceExpansiveAccess",
                "enforceSingleParent",
            ],
        )?;
        let node = self.visible(r, who, id)?;
        if !self.st.can_share(&node, &who.user) {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        let body = &body(r)?;
        let text = |k: &str| body[k].as_str().unwrap_or_default().to_owned();
        let (mut kind, role) = (text("type"), text("role"));
        check_role(&node, &role)?;
        let whom = match kind.as_str() {
            "user" | "group" => self.invitee(r, &node, &text("emailAddress").to_ascii_lowercase())?,
            "domain" => text("domain"),
            "anyone" => String::new(),
            _ => return refuse(400, "invalid", "The specified type is invalid or not supported."),
        };
        // A group's address is a group's, whatever was asked for.
        if kind == "user" && self.st.groups.contains_key(&whom) {
            kind = "group".to_owned();
        }
        if (kind == "user" || kind == "group" || kind == "domain") && whom.is_empty() {
            return refuse(400, "invalid", "The permission's target is missing.");
        }
        let expires = self.expiry(body, &node, &kind, &role)?;
        let discoverable = body["allowFileDiscovery"].as_bool().unwrap_or(false);
        let pid = grantee(&kind, &whom, discoverable);
        let now = self.now;
        if let Some(f) = self.st.files.get_mut(&node.id) {
            let p = f.perms.entry(pid.clone()).or_insert(Perm {
                kind,
                role: role.clone(),
                who: whom,
                discoverable,
                expires,
            });
            // A create raises a role and never lowers one.
            if rank(&role) > rank(&p.role) {
                p.role = role;
            }
        }
        self.st.changed(&node.id, now, false);
        if self.mail_fails > 0 {
            self.mail_fails -= 1;
            return refuse(
                400,
                "invalidSharingRequest",
                "Bad Request. User message: \"Sorry, the items were successfully shared but emails could not be sent to the recipient.\"",
            );
        }
        self.permission_answer(r, &node.id, &pid)
    }

    /// The primary address behind the one given, if this item may be shared with it.
    fn invitee(&mut self, r: &FakeRequest, node: &Node, email: &str) -> Result<String, Refuse> {
        if !email.contains('@') {
            return refuse(
                400,
                "invalidSharingRequest",
                "Bad Request. The specified emailAddress is invalid or not applicable.",
            );
        }
        let known = self.st.account(email).filter(|a| a.google && !a.deleted).map(|a| a.email.clone());
        let known = known.or_else(|| self.st.groups.contains_key(email).then(|| email.to_owned()));
        let target = domain(known.as_deref().unwrap_or(email)).to_owned();
        let home = match (&node.drive, &node.owner) {
            (Some(d), _) => self.st.drives.get(d).map(|d| d.domain.clone()).unwrap_or_default(),
            (None, owner) => domain(owner.as_deref().unwrap_or_default()).to_owned(),
        };
        let ours = self.st.policies.get(&home).cloned().unwrap_or_default();
        if let Some(d) = node.drive.as_ref().and_then(|d| self.st.drives.get(d).map(|x| (d, x))) {
            if d.1.domain_users_only && target != home {
                return refuse(
                    403,
                    "teamDriveDomainUsersOnlyRestriction",
                    "This shared drive allows only users of its domain.",
                );
            }
            let member = known.as_ref().is_some_and(|k| self.st.access(d.0, k).is_some());
            if d.1.members_only && !member {
                return refuse(
                    403,
                    "teamDriveTeamMembersOnlyRestriction",
                    "This shared drive allows only its members.",
                );
            }
        }
        if target != home {
            if !ours.acl_change {
                return refuse(400, "invalidSharingRequest", "Bad Request. User message: \"ACL change not allowed.\"");
            }
            if !ours.share_out {
                return refuse(403, "shareOutNotPermitted", "The domain administrators do not allow sharing outside.");
            }
            if self.st.policies.get(&target).is_some_and(|p| !p.share_in) {
                return refuse(403, "shareInNotPermitted", "The target domain does not allow receiving shared items.");
            }
        }
        match known {
            Some(primary) => Ok(primary),
            None if r.query("sendNotificationEmail") != Some("false") => Ok(email.to_owned()),
            None if self.no_account_shape == "400" => refuse(
                400,
                "invalidSharingRequest",
                format!(
                    "Bad Request. User message: \"You are trying to invite {email}. Since there is no Google account associated with this email address, you must check the \"Notify people\" box to invite this recipient.\""
                ),
            ),
            None => refuse(403, "cannotInviteNonGoogleUser", "The user cannot be invited without a Google account."),
        }
    }

    fn expiry(&self, body: &Value, node: &Node, kind: &str, role: &str) -> Result<Option<String>, Refuse> {
        let Some(text) = body["expirationTime"].as_str() else { return Ok(None) };
        let Ok(at) = text.parse::<Timestamp>() else {
            return refuse(400, "invalid", "Invalid value for expirationTime.");
        };
        let days = at.duration_since(self.now).as_secs() / 86_400;
        if at <= self.now || days > 365 {
            return refuse(403, "expirationDateNotAllowed", "Expiration dates must be in the future, within a year.");
        }
        if !matches!(kind, "user" | "group") || (node.is_folder() && role != "reader") {
            return refuse(
                403,
                "expirationDateNotAllowedForSharedDriveMembers",
                "Expiration dates are not allowed here.",
            );
        }
        Ok(Some(text.to_owned()))
    }

    pub(super) fn permission_update(&mut self, r: &FakeRequest, who: &Who, id: &str, p: &str) -> Answer {
        allow(
            r,
            &[
                "supportsAllDrives",
                "supportsTeamDrives",
                "removeExpiration",
                "transferOwnership",
                "useDomainAdminAccess",
                "enforceExpansiveAccess",
            ],
        )?;
        let node = self.visible(r, who, id)?;
        if !self.st.can_share(&node, &who.user) {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        let e = self.entry(&node, p)?;
        let body = &body(r)?;
        let role = body["role"].as_str().unwrap_or_default().to_owned();
        check_role(&node, &role)?;
        if e.perm.role == "owner" && e.direct.is_some() {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        let above = e.inherited.iter().map(|(r, _)| rank(r)).max().unwrap_or(0);
        if !e.name_only && rank(&role) < above {
            return inherited(&node);
        }
        let endless = r.query("removeExpiration") == Some("true");
        if e.perm.expires.is_some() && !endless && node.is_folder() && role != "reader" {
            return refuse(
                403,
                "expirationDateNotAllowedForSharedDriveMembers",
                "Expiration dates are not allowed here.",
            );
        }
        let now = self.now;
        if let Some(f) = self.st.files.get_mut(&node.id) {
            let perm = f.perms.entry(p.to_owned()).or_insert_with(|| e.perm.clone());
            perm.role = role;
            perm.expires = perm.expires.take().filter(|_| !endless);
        }
        self.st.changed(&node.id, now, false);
        self.permission_answer(r, &node.id, p)
    }

    pub(super) fn permission_delete(&mut self, r: &FakeRequest, who: &Who, id: &str, p: &str) -> Answer {
        allow(r, &["supportsAllDrives", "supportsTeamDrives", "useDomainAdminAccess", "enforceExpansiveAccess"])?;
        let node = self.visible(r, who, id)?;
        let e = self.entry(&node, p)?;
        let own = e.perm.kind == "user" && e.perm.who == who.user;
        if (!own && !self.st.can_share(&node, &who.user)) || (e.direct.as_deref() == Some("owner")) {
            return refuse(403, "insufficientFilePermissions", DENIED);
        }
        if e.direct.is_none() {
            return inherited(&node);
        }
        let now = self.now;
        if let Some(f) = self.st.files.get_mut(&node.id) {
            f.perms.remove(p);
        }
        self.st.changed(&node.id, now, false);
        Ok(FakeResponse::new(204))
    }
}

fn check_role(node: &Node, role: &str) -> Result<(), Refuse> {
    match role {
        "reader" | "commenter" | "writer" => Ok(()),
        "fileOrganizer" if node.drive.is_some() && node.is_folder() => Ok(()),
        "fileOrganizer" => {
            refuse(403, "fileOrganizerOnFoldersInSharedDriveOnly", "fileOrganizer is for folders in shared drives.")
        }
        "organizer" if node.drive.is_some() && node.is_top() => Ok(()),
        "organizer" => refuse(403, "organizerOnNonTeamDriveNotSupported", "organizer is for shared drives."),
        "owner" => refuse(
            403,
            "forbidden",
            "The transferOwnership parameter must be enabled when the permission role is 'owner'.",
        ),
        _ => refuse(400, "invalid", "The specified role is invalid or not supported."),
    }
}

fn inherited<T>(node: &Node) -> Result<T, Refuse> {
    match node.drive {
        Some(_) => refuse(
            403,
            "cannotModifyInheritedTeamDrivePermission",
            "Cannot update or delete an inherited permission on a shared drive item.",
        ),
        None => refuse(403, "cannotModifyInheritedPermission", "Cannot update or delete an inherited permission."),
    }
}

//! `drives.*` and `changes.*`.

use ledgerward_kit::fake::FakeRequest;
use serde_json::{Value, json};

use super::{
    Answer, DriveFake, Who, allow, answer,
    fields::Known,
    number,
    state::{Refuse, refuse},
};

impl DriveFake {
    pub(super) fn drives(&mut self, r: &FakeRequest, who: &Who) -> Answer {
        allow(r, &["pageSize", "pageToken", "q", "useDomainAdminAccess"])?;
        drive_scope(who)?;
        let list: Vec<_> = self
            .st
            .drives
            .keys()
            .filter(|d| self.st.access(d, &who.user).is_some())
            .map(|d| self.drive_json(d, who))
            .collect();
        answer(r, &json!({ "kind": "drive#driveList", "drives": list }), Known::DriveList, "*")
    }

    pub(super) fn drive(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(r, &["useDomainAdminAccess"])?;
        drive_scope(who)?;
        if !self.st.drives.contains_key(id) || self.st.access(id, &who.user).is_none() {
            return refuse(404, "notFound", format!("Shared drive not found: {id}"));
        }
        answer(r, &self.drive_json(id, who), Known::Drive, "kind,id,name")
    }

    fn drive_json(&self, id: &str, who: &Who) -> Value {
        let d = self.st.drives.get(id).cloned().unwrap_or_default();
        let manager = self.st.access(id, &who.user).as_deref() == Some("organizer");
        json!({
            "kind": "drive#drive", "id": id, "name": self.st.files.get(id).map_or("", |f| f.name.as_str()),
            "restrictions": {
                "adminManagedRestrictions": d.admin_managed, "domainUsersOnly": d.domain_users_only,
                "driveMembersOnly": d.members_only, "copyRequiresWriterPermission": false,
                "sharingFoldersRequiresOrganizerPermission": d.folders_need_organizer,
            },
            "capabilities": { "canShare": manager, "canManageMembers": manager },
        })
    }

    pub(super) fn start_token(&mut self, r: &FakeRequest, _who: &Who) -> Answer {
        allow(r, &["driveId", "supportsAllDrives", "supportsTeamDrives"])?;
        let full = json!({ "kind": "drive#startPageToken", "startPageToken": (self.st.changes.len() + 1).to_string() });
        answer(r, &full, Known::Words(&["kind", "startPageToken"]), "*")
    }

    pub(super) fn changes(&mut self, r: &FakeRequest, who: &Who) -> Answer {
        allow(
            r,
            &[
                "pageToken",
                "pageSize",
                "includeRemoved",
                "includeItemsFromAllDrives",
                "supportsAllDrives",
                "supportsTeamDrives",
                "driveId",
                "restrictToMyDrive",
                "spaces",
                "includeCorpusRemovals",
                "includePermissionsForView",
            ],
        )?;
        let size = number(r, "pageSize", 100, 1_000)?.min(self.list_page_max);
        let (place, looks) = r.query("pageToken").map(|t| t.split_once('-').unwrap_or((t, "0"))).unwrap_or_default();
        // A new token comes each time, also where nothing is new.
        let looks = looks.parse::<u64>().unwrap_or(0) + 1;
        let from = match place.parse::<usize>().ok() {
            Some(n) if n >= 1 && n <= self.st.changes.len() + 1 => n - 1,
            _ => return refuse(400, "invalid", "Invalid Value"),
        };
        let drive = r.query("driveId");
        let all = r.query("includeItemsFromAllDrives") == Some("true");
        let mut list = Vec::new();
        for c in self.st.changes.iter().skip(from).take(size) {
            if drive.is_some() && c.drive.as_deref() != drive || (c.drive.is_some() && !all) {
                continue;
            }
            let node = self.st.files.get(&c.file).filter(|f| !c.removed && self.st.access(&f.id, &who.user).is_some());
            if node.is_some_and(|f| who.own_files_only() && f.app != who.app) {
                continue;
            }
            let mut one = json!({
                "kind": "drive#change", "changeType": "file", "fileId": c.file, "time": c.at.to_string(), "removed": node.is_none(),
            });
            if let (Some(f), Some(map)) = (node, one.as_object_mut()) {
                map.insert("file".into(), self.st.file_json(f, &who.user, &who.app, self.my_drive_details));
            }
            list.push(one);
        }
        let end = from + size;
        let mut full = json!({ "kind": "drive#changeList", "changes": list });
        if let Some(map) = full.as_object_mut() {
            if end < self.st.changes.len() {
                map.insert("nextPageToken".into(), json!((end + 1).to_string()));
            } else {
                map.insert("newStartPageToken".into(), json!(format!("{}-{looks}", self.st.changes.len() + 1)));
            }
        }
        answer(
            r,
            &full,
            Known::ChangeList,
            "kind,nextPageToken,newStartPageToken,changes(kind,changeType,fileId,removed,time)",
        )
    }
}

fn drive_scope(who: &Who) -> Result<(), Refuse> {
    if who.has("drive") || who.has("drive.readonly") {
        Ok(())
    } else {
        refuse(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
    }
}

//! What the probe says in words, each with its next step.

use ledgerward_contract::{Holder, NoteLevel, Probe, ProbeNote, SeenRole};

use crate::map::{File, SharedDrive};

pub fn good(text: String) -> ProbeNote {
    ProbeNote { level: NoteLevel::Good, text, next: None }
}

pub fn warn(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Warning, text: text.into(), next: Some(next.to_owned()) }
}

fn block(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Blocker, text: text.into(), next: Some(next.to_owned()) }
}

/// The account: room, and whether it can own files at all.
pub fn account(probe: &mut Probe, account: &str, shared_drive: bool) {
    if shared_drive {
        return;
    }
    if account.ends_with(".gserviceaccount.com") {
        probe.notes.push(block(
            "a service account by itself has no storage and cannot own files",
            "Set `impersonate` to a Workspace user, or set `root` to a folder in a shared drive.",
        ));
        return;
    }
    if let Some(q) = probe.quota
        && let Some(limit) = q.limit
        && q.used >= limit / 10 * 9
    {
        let full = q.used >= limit;
        probe.notes.push(warn(
            if full {
                "the account's storage is full: nothing can be delivered, access is still kept right"
            } else {
                "the account's storage is more than nine tenths full"
            },
            "Free some space, buy more, or move the root into a shared drive.",
        ));
    }
}

pub fn root(probe: &mut Probe, root: &File) {
    if !root.may(|c| c.can_add_children) {
        probe.notes.push(block(
            format!("ledgerward's account may not put anything into \"{}\"", root.name),
            "Give the account the role editor there (manager in a shared drive).",
        ));
    }
    if !root.may(|c| c.can_share) {
        probe.notes.push(block(
            format!("ledgerward's account may not share \"{}\"", root.name),
            "Make the account the folder's owner, or a manager of the shared drive.",
        ));
    }
    if root.drive_id.is_some() {
        let is_top = root.drive_id.as_deref() == Some(root.id.as_str());
        if !is_top && !root.may(|c| c.can_disable_inherited_permissions) {
            probe.notes.push(block(
                "ledgerward's account may not limit the client folders' access, so every member of the shared drive could open them",
                "Make the account a manager of the shared drive.",
            ));
        }
        probe.notes.push(warn(
            "every member of the shared drive sees the names of all client folders, though not what is in them",
            "Use a shared drive whose members may know the names of all clients.",
        ));
    }
}

pub fn drive(probe: &mut Probe, drive: &SharedDrive) {
    let r = &drive.restrictions;
    let table = [
        (
            r.domain_users_only,
            "admits only people of its own domain: clients and staff with other addresses will be refused",
            "A manager can change this in the drive's settings.",
        ),
        (
            r.drive_members_only,
            "admits only its own members: nobody else can be given a client's folder",
            "A manager can change this in the drive's settings.",
        ),
        (
            r.sharing_folders_requires_organizer_permission,
            "lets only managers share folders",
            "See that ledgerward's account is a manager, not only a content manager.",
        ),
        (
            r.admin_managed_restrictions,
            "has rules that only a Workspace administrator can change",
            "Ask the administrator if sharing is refused.",
        ),
    ];
    for (on, what, next) in table {
        if on {
            probe.notes.push(warn(format!("the shared drive \"{}\" {what}", drive.name), next));
        }
    }
}

/// Who gets in from above.
pub fn inherited(probe: &mut Probe, shared_drive: bool) {
    let open = probe.inherited.iter().any(|p| matches!(p.holder, Holder::Link(_) | Holder::Everyone(_)));
    if open {
        probe.notes.push(warn(
            "the root folder is open to a link or to everyone",
            "Turn the link off on the root folder: no file goes where a link still reaches.",
        ));
    }
    let others = probe
        .inherited
        .iter()
        .filter(|p| !p.ourselves && p.role != SeenRole::Owner && p.role != SeenRole::MetadataOnly)
        .count();
    if others > 0 && !shared_drive {
        probe.notes.push(warn(
            format!("{others} others can open the root folder; ledgerward closes each client's folder against them"),
            "Better: keep the root folder to the account alone.",
        ));
    }
    if !probe.notes.iter().any(|n| n.level == NoteLevel::Blocker) {
        probe.notes.push(good("the root folder is there and can be shared".to_owned()));
    }
}

//! What the probe says in words, each with its next step.

use ledgerward_contract::{Holder, NoteLevel, Probe, ProbeNote, SeenPermission, SeenRole};

use crate::map::{Item, Me};

pub fn good(text: impl Into<String>) -> ProbeNote {
    ProbeNote { level: NoteLevel::Good, text: text.into(), next: None }
}

fn warn(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Warning, text: text.into(), next: Some(next.to_owned()) }
}

fn block(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Blocker, text: text.into(), next: Some(next.to_owned()) }
}

/// The account: its state, its kind, its room.
pub fn account(probe: &mut Probe, me: &Me) {
    if let Some(status) = me.status.as_deref().filter(|s| *s != "active") {
        let says = match status {
            "inactive" => "the Box account that ledgerward acts as is switched off",
            "cannot_delete_edit" => "the Box account that ledgerward acts as may neither change nor delete anything",
            "cannot_delete_edit_upload" => "the Box account that ledgerward acts as may not write anything",
            _ => "the Box account that ledgerward acts as is restricted",
        };
        probe.notes.push(block(says, "A Box administrator can lift this under Users & Groups."));
    }
    if me.enterprise.as_ref().is_none_or(serde_json::Value::is_null) {
        probe.notes.push(warn(
            "this is a personal Box account: the number of collaborators and the size of files are small",
            "Use an account of the firm's Box enterprise, and see `grants_max` and `file_bytes_max`.",
        ));
    } else {
        probe.notes.push(warn(
            "by the enterprise's settings, inviting an address of the firm's own domain that has no account may make a managed user, which costs a licence",
            "Check Enterprise Settings > User Settings before the first run.",
        ));
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
            "Free some space or buy more.",
        ));
    }
}

pub fn root(probe: &mut Probe, root: &Item, roles: [&str; 2]) {
    let allowed = root.permissions.clone().unwrap_or_default();
    if allowed.can_upload != Some(true) {
        probe.notes.push(block(
            format!("ledgerward's account may not put anything into \"{}\"", root.name),
            "Make the account the folder's owner or co-owner.",
        ));
    }
    if allowed.can_invite_collaborator != Some(true) {
        probe.notes.push(block(
            format!("ledgerward's account may not invite anybody to \"{}\"", root.name),
            "Make the account the folder's owner or co-owner; on a free plan, buy one that allows collaboration.",
        ));
    }
    if let Some(list) = &root.allowed_invitee_roles {
        for role in roles.into_iter().filter(|r| !list.iter().any(|have| have == r)) {
            probe.notes.push(block(
                format!("Box does not let ledgerward's account give the role \"{role}\""),
                "Use a plan with this role, or set `reader_role` to one that the plan has.",
            ));
        }
    }
}

/// Who gets in from above: Box cannot close a folder against them, and the fence lets no file through while a stranger is
/// there. Of people of the firm only the firm can say whether they are strangers.
pub fn inherited(probe: &mut Probe) {
    if probe.inherited.iter().any(|p| matches!(p.holder, Holder::Link(_) | Holder::Everyone(_))) {
        probe.notes.push(block(
            "the root folder has a shared link, which opens every client's folder",
            "Remove the link from the root folder in Box.",
        ));
    }
    if let Some(owner) = probe.inherited.iter().find(|p| p.role == SeenRole::Owner && !p.ourselves) {
        let whose = owner.holder.to_string();
        probe.notes.push(warn(
            format!("the root folder belongs to {whose}, who can open every client's folder and cannot be shut out"),
            "Take a folder that ledgerward's account owns; or, if this person may see every client, leave it so.",
        ));
    }
    // An app's own account has an address at Box and says nothing about the firm's.
    let home = domain(&probe.account).filter(|d| d != "boxdevedition.com");
    let (mut doors, mut others) = (Vec::new(), 0);
    let gets_in = |p: &&SeenPermission| !p.ourselves && p.role != SeenRole::Owner && !p.role.lets_nobody_in();
    for p in probe.inherited.iter().filter(gets_in) {
        match &p.holder {
            Holder::Link(_) | Holder::Everyone(_) => {}
            Holder::Group(_) => doors.push(p.holder.to_string()),
            Holder::Person(who) if home.is_some() && domain(who.as_given()) != home => {
                doors.push(format!("{}, who is from outside of the firm", p.holder));
            }
            _ => others += 1,
        }
    }
    probe.notes.extend(ProbeNote::root_opens(&doors, "Remove them from the root folder in Box."));
    if others > 0 {
        probe.notes.push(warn(
            format!(
                "{others} others are on the root folder and so in every client's folder, and Box cannot shut them out below: nothing is delivered while they are there, unless the firm names them as always allowed"
            ),
            "Remove them from the root folder in Box, or name them under `always_allowed`.",
        ));
    }
    if !probe.notes.iter().any(|n| n.level == NoteLevel::Blocker) {
        probe.notes.push(good("the root folder is there and can be shared"));
    }
}

fn domain(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase())
}

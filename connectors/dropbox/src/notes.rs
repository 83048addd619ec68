//! What the probe says in words, each with its next step.

use ledgerward_contract::{NoteLevel, Probe, ProbeNote, SeenRole};

use crate::map::{Account, Folder};

pub fn good(text: impl Into<String>) -> ProbeNote {
    ProbeNote { level: NoteLevel::Good, text: text.into(), next: None }
}

pub fn warn(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Warning, text: text.into(), next: Some(next.to_owned()) }
}

pub fn block(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Blocker, text: text.into(), next: Some(next.to_owned()) }
}

/// The account: who we are, what its plan and its team allow.
pub fn account(probe: &mut Probe, account: &Account) {
    let notes = &mut probe.notes;
    match &account.team {
        Some(team) => notes.push(good(format!("a member of the Dropbox team \"{}\"", plain(&team.name)))),
        None => notes.push(good(format!("a personal account (plan {})", plain(&account.account_type.0)))),
    }
    if !account.email_verified {
        notes.push(block(
            "the account's e-mail address is not verified, and Dropbox shares nothing for such an account",
            "Open Dropbox with that account and verify the address.",
        ));
    }
    if account.disabled {
        notes.push(block("the account is disabled", "Enable it, or sign in with another one."));
    }
    if account.team.is_none() && account.account_type.0 == "basic" {
        notes.push(warn(
            "a Basic account may have only members who can edit: readers will be refused, and nobody is made an editor instead",
            "Use a paid plan.",
        ));
    }
    if account.team.is_none() {
        notes.push(warn(
            "on a personal plan shared links cannot be kept to members, and links that members make themselves are not shown to ledgerward",
            "Use a Dropbox team where that matters.",
        ));
    }
    let policies = account.team.as_ref().and_then(|t| t.sharing_policies.as_ref());
    if policies.is_some_and(|p| p.shared_folder_member_policy.0 == "team") {
        notes.push(warn(
            "the team lets only its own members into shared folders: people with other accounts will be refused",
            "A team administrator can change this under Settings > Sharing.",
        ));
    }
}

/// Room for files.
pub fn quota(probe: &mut Probe) {
    let Some(q) = probe.quota else { return };
    if let Some(limit) = q.limit
        && q.used >= limit / 10 * 9
    {
        let says = if q.used >= limit {
            "the account's Dropbox is full: nothing can be delivered, access is still kept right"
        } else {
            "the account's Dropbox is more than nine tenths full"
        };
        probe.notes.push(warn(says, "Free some space, or buy more."));
    }
}

/// The team folder that the root lies in.
pub fn team_folder(probe: &mut Probe, folder: &Folder) {
    if !folder.is_team_folder && !folder.is_inside_team_folder {
        probe.notes.push(block(
            "the root lies in an ordinary shared folder, not in a team folder, and shared folders cannot be nested there",
            "Set `root` to a folder inside a team folder.",
        ));
    }
    probe.notes.push(warn(
        "team administrators can always open what is in a team folder, and Dropbox does not list them",
        "Use a private folder of the account where that must not be.",
    ));
    probe.notes.push(warn(
        "a client folder inside a team folder takes at most 250 members",
        "Use a private folder of the account for more.",
    ));
}

/// Who gets in from above.
pub fn inherited(probe: &mut Probe) {
    let others = probe.inherited.iter().filter(|p| !p.ourselves && p.role != SeenRole::MetadataOnly).count();
    if others > 0 {
        probe.notes.push(warn(
            format!("{others} others can open the team folder; ledgerward closes each client's folder against them"),
            "Better: a team folder that only the account is on.",
        ));
    }
    if !probe.notes.iter().any(|n| n.level == NoteLevel::Blocker) {
        probe.notes.push(good("the root folder is there and can hold client folders"));
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

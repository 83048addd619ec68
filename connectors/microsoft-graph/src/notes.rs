//! What the probe says in words, each with its next step.

use ledgerward_contract::{Holder, NoteLevel, Probe, ProbeNote, SeenRole};

use crate::{
    map::{Drive, Item, Me},
    place::{SCOPES_ADVISED, SCOPES_MAX},
};

pub fn good(text: impl Into<String>) -> ProbeNote {
    ProbeNote { level: NoteLevel::Good, text: text.into(), next: None }
}

fn warn(text: impl Into<String>, next: &str) -> ProbeNote {
    ProbeNote { level: NoteLevel::Warning, text: text.into(), next: Some(next.to_owned()) }
}

/// The drive: its kind, whose it is, its room.
pub fn drive(probe: &mut Probe, drive: &Drive, me: &Me) {
    match drive.drive_type.as_str() {
        "personal" => probe.notes.push(warn(
            "this is a private person's OneDrive: it shares under limits of its own, and ends with the person",
            "Use OneDrive for work of an account that nobody works with.",
        )),
        "business" => {
            let owner = drive.owner.as_ref().and_then(|o| o.user.as_ref()).and_then(|u| u.id.as_deref());
            if owner.is_some_and(|id| id != me.id) {
                probe.notes.push(warn(
                    "the drive belongs to another account than the one ledgerward acts as",
                    "Sign in as the drive's owner: others may be shown a part of a sharing list only.",
                ));
            }
        }
        _ => probe.notes.push(warn(
            "in a SharePoint library who may edit can often share as well, and administrators of the site get in without being listed",
            "In the site's sharing settings let only owners share; see who administers the site.",
        )),
    }
    if let Some(q) = probe.quota
        && let Some(limit) = q.limit
        && q.used >= limit / 10 * 9
    {
        let full = q.used >= limit;
        probe.notes.push(warn(
            if full {
                "the drive's storage is full: nothing can be delivered, access is still kept right"
            } else {
                "the drive's storage is more than nine tenths full"
            },
            "Free some space or buy more.",
        ));
    }
}

/// Every client's folder is one more list of its own in its library; the limits are told before they bite.
pub fn scopes(probe: &mut Probe, root: &Item) {
    let count = root.folder.as_ref().and_then(|f| f.child_count).and_then(|n| usize::try_from(n).ok());
    let Some(count) = count else { return };
    let left = SCOPES_MAX.saturating_sub(count);
    if count >= SCOPES_MAX / 10 * 9 {
        probe.notes.push(warn(
            format!(
                "{count} folders have sharing lists of their own; SharePoint takes 50,000 in a library, {left} are left"
            ),
            "Make a second target on another library now, and put new clients there.",
        ));
    } else if count >= SCOPES_ADVISED / 5 * 4 {
        probe.notes.push(warn(
            format!(
                "{count} folders have sharing lists of their own; Microsoft advises at most 5,000 in a library, and refuses from 50,000"
            ),
            "Plan a second target on another library; beyond 5,000 SharePoint gets slow.",
        ));
    } else {
        probe.notes.push(good(format!("{count} of the 5,000 advised sharing lists of a library are in use")));
    }
}

/// Who gets in from above: Graph has no operation that cuts it, and the fence lets no file through while a stranger is there.
/// Of people of the firm only the firm can say whether they are strangers.
pub fn inherited(probe: &mut Probe, guests: &[Holder]) {
    let (mut doors, mut others) = (Vec::new(), 0);
    for p in probe.inherited.iter().filter(|p| !p.ourselves && p.role != SeenRole::MetadataOnly) {
        let administers = matches!(p.role, SeenRole::Owner | SeenRole::Manager);
        match &p.holder {
            Holder::Link(_) | Holder::Everyone(_) => doors.push(p.holder.to_string()),
            Holder::Group(_) if !administers => doors.push(p.holder.to_string()),
            Holder::Person(_) if p.role != SeenRole::Owner && guests.contains(&p.holder) => {
                doors.push(format!("{}, who is from outside of the firm", p.holder));
            }
            _ => others += 1,
        }
    }
    probe.notes.extend(ProbeNote::root_opens(&doors, "Remove them from the root folder; in a site's library stop it from inheriting there. Or use the OneDrive of an account that nobody works with."));
    if others > 0 {
        probe.notes.push(warn(
            format!("{others} others get into the root folder and so into every client's folder, and the API cannot shut them out: nothing is delivered while they are there, unless the firm names them as always allowed"),
            "Remove them from the root folder, or name them under `always_allowed`.",
        ));
    }
    if doors.is_empty() && others == 0 {
        probe.notes.push(good("nothing is inherited: nobody but ledgerward's account gets into the root folder"));
    }
}

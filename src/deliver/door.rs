//! A folder's door: whether it takes files in this run, by the list that was read back (the delivery fence).

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{
    Allowed, Audience, Email, Fenced, FileKey, FilePath, FolderId, Holder, SeenPermission, Snapshot, Timestamp,
};

use super::{batch::Outgoing, there::Faults};
use crate::{
    apply::{LaneDone, via_words, words},
    config::schema,
    domain::{lane::LaneKey, plan, policy::Papers},
    engine::Picture,
    gather,
    statement::naming::Names,
    store::DeliveredFile,
    world::Target,
};

/// Whether a folder takes files.
pub(super) enum Entry {
    Open(Fenced<FolderId>),
    Closed(String),
    /// Its list was not read in this run, because nothing changed there: it is read before the first file.
    Unread(FolderId, Allowed, Option<String>),
}

/// A folder that may take files, or why it may not.
pub(super) struct Door<'a> {
    pub(super) lane: LaneKey,
    /// Which of the client's belong in here: the lane's key alone does not say of which ledger its account is.
    pub(super) papers: Papers<'a>,
    /// It is noted whose they are.
    pub(super) claimed: bool,
    pub(super) target: &'a Target,
    pub(super) entry: Entry,
    pub(super) there: BTreeMap<FileKey, DeliveredFile>,
    /// Those in use, once the first new file wants one.
    names: Option<Names>,
    /// Sub-folders that have a file of ours, and so are there.
    pub(super) folders: BTreeSet<String>,
    /// What a look at the folder's files found; `None`: nobody looked.
    pub(super) faults: Option<Faults>,
    /// Delivered once and not there any more, as that look found.
    pub(super) lost: BTreeSet<FileKey>,
    /// Files on their way, not sent yet.
    pub(super) due: Vec<Outgoing>,
}

/// The fence, and everything else that keeps files out of a folder.
pub(super) fn door(
    picture: &Picture,
    target: &Target,
    plan: &plan::LanePlan,
    done: Option<&LaneDone>,
    planned: BTreeSet<Email>,
) -> Result<Entry, String> {
    if let Some(why) = plan.waits(picture.now) {
        return Err(why.to_owned());
    }
    if let Some(done) = done
        && done.files_stop
    {
        return Err(done.trouble.clone().unwrap_or_else(|| "a step on its sharing list failed".to_owned()));
    }
    let known = picture.book.lanes.get(&plan.lane);
    let folder = done.and_then(|d| d.folder.clone()).or_else(|| known.and_then(|k| k.folder().cloned()));
    let Some(folder) = folder else { return Err("its folder does not exist yet".to_owned()) };
    if picture.book.sharing(&plan.lane.target) == plan::Sharing::Off {
        let schema::Sharing::Off { audience } = &target.settings.sharing else {
            return Err("the target has no sharing lists; set sharing = \"off\" and say who can read it".to_owned());
        };
        let audience = Audience::new(audience).ok_or("the configuration does not say who can read this target")?;
        return Ok(Entry::Open(Fenced::managed_elsewhere(folder, &audience)));
    }
    let mut allowed = Allowed { planned, ..Allowed::default() };
    allowed.always.extend(picture.firm.policy.always_allowed(&target.name).cloned());
    if let Some(known) = known {
        allowed.accepted.extend(known.accepted.iter().map(|a| a.holder.clone()));
        let planned = &allowed.planned;
        let ids = known.known_ids().iter().filter(|(_, email)| planned.contains(*email));
        allowed.known_ids = ids.map(|(id, _)| id.clone()).collect();
    }
    let owner = known.and_then(|k| k.row.as_ref()).and_then(|row| row.owner.clone());
    match done.and_then(|d| d.list.as_ref()).or_else(|| known.and_then(|k| k.list())) {
        Some(list) => fence(folder, list, allowed, owner.as_deref()).map(Entry::Open),
        None => match known.filter(|k| k.is_remembered()).and_then(|k| k.entries()) {
            Some(list) => {
                // Whoever was there when nothing changed since is there now: no need to ask for a folder that is open.
                let with_owner = with_owner(&allowed, list, owner.as_deref());
                let strangers: Vec<_> = list.iter().filter(|p| !with_owner.admits(p)).collect();
                if strangers.is_empty() { Ok(Entry::Unread(folder, allowed, owner)) } else { Err(open_to(strangers)) }
            }
            None => Err("its sharing list could not be read in this run".to_owned()),
        },
    }
}

/// The owner is always allowed: it is whose folder it is.
fn with_owner(allowed: &Allowed, list: &[SeenPermission], owner: Option<&str>) -> Allowed {
    let mut allowed = allowed.clone();
    allowed.always.extend(plan::owners(list, owner).into_iter().filter_map(|p| match &p.holder {
        Holder::Person(email) => Some(email.clone()),
        _ => None,
    }));
    allowed
}

pub(super) fn fence(
    folder: FolderId,
    list: &Snapshot<SeenPermission>,
    allowed: Allowed,
    owner: Option<&str>,
) -> Result<Fenced<FolderId>, String> {
    let allowed = with_owner(&allowed, list.items(), owner);
    Fenced::check(folder, list, &allowed).map_err(|broken| open_to(&broken.strangers))
}

fn open_to<'p>(strangers: impl IntoIterator<Item = &'p SeenPermission>) -> String {
    let who: Vec<_> = strangers.into_iter().map(|p| format!("{} ({})", p.holder, via_words(&p.via))).collect();
    format!("it is open to {}", who.join(", "))
}

impl<'a> Door<'a> {
    pub(super) fn new(
        lane: LaneKey,
        (papers, claimed): (Papers<'a>, bool),
        target: &'a Target,
        entry: Entry,
        there: &[DeliveredFile],
    ) -> Self {
        let mut door = Self {
            lane,
            papers,
            claimed,
            target,
            entry,
            there: there.iter().map(|f| (f.delivered.key.clone(), f.clone())).collect(),
            names: None,
            folders: BTreeSet::new(),
            faults: None,
            lost: BTreeSet::new(),
            due: Vec::new(),
        };
        door.fill_folders();
        door
    }

    pub(super) fn fill_folders(&mut self) {
        let folder = |f: &DeliveredFile| f.delivered.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        self.folders = self.there.values().map(folder).chain([String::new()]).collect();
    }

    /// The names in use in this folder.
    pub(super) fn names(&mut self) -> &mut Names {
        let there = &self.there;
        self.names.get_or_insert_with(|| {
            let path = |f: &DeliveredFile| FilePath::new(f.delivered.path.split('/').map(str::to_owned).collect());
            Names::of(&there.values().filter_map(path).collect::<Vec<_>>())
        })
    }

    pub(super) fn takes_files(&self) -> bool {
        !matches!(self.entry, Entry::Closed(_)) && matches!(self.papers, Papers::All | Papers::Of(_))
    }

    /// Reads and fences the folder if that was not done yet in this run. `Some`: it is closed, and why.
    pub(super) async fn enter(&mut self, now: Timestamp) -> Option<String> {
        if let Entry::Unread(folder, allowed, owner) = &self.entry {
            let list = gather::sharing(self.target, folder, now).await;
            let fenced = match list {
                Ok(list) => fence(folder.clone(), &list, allowed.clone(), owner.as_deref()),
                Err(e) => Err(format!("its sharing list could not be read: {}", words(&e))),
            };
            self.entry = fenced.map_or_else(Entry::Closed, Entry::Open);
            if let Entry::Closed(why) = &self.entry {
                return Some(why.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{SeenRole, Via};

    use super::*;

    const LEFT: &str = "wren@elsewhere.example";
    const US: &str = "ledgers@harbour.example";

    fn entry(n: usize, who: &str, role: SeenRole, via: Via) -> SeenPermission {
        let holder = Holder::Person(Email::parse(who).unwrap());
        let id = n.to_string().as_str().into();
        SeenPermission { id, holder, role, via, pending: false, ourselves: false, expires: None }
    }

    fn strangers(list: &[SeenPermission], owner: Option<&str>) -> usize {
        let allowed = with_owner(&Allowed::default(), list, owner);
        list.iter().filter(|p| !allowed.admits(p)).count()
    }

    #[test]
    fn whoever_owns_a_file_in_the_folder_is_let_into_nothing_else() {
        let below = |path: &str| Via::Below(path.to_owned());
        let mut list =
            vec![entry(1, US, SeenRole::Owner, Via::Direct), entry(2, LEFT, SeenRole::Owner, below("notes.docx"))];
        assert_eq!(strangers(&list, Some(US)), 0, "nobody can take their own file from them");
        list.push(entry(3, LEFT, SeenRole::Reader, below("2026")));
        assert_eq!(strangers(&list, Some(US)), 1);
        list.push(entry(4, LEFT, SeenRole::Writer, Via::Direct));
        assert_eq!(strangers(&list, None), 2);
    }

    #[test]
    fn where_several_have_an_owners_role_the_folders_own_is_the_one_that_was_named() {
        let list = [entry(1, US, SeenRole::Owner, Via::Inherited), entry(2, LEFT, SeenRole::Owner, Via::Direct)];
        assert_eq!(strangers(&list, Some("Ledgers@Harbour.example")), 1);
        assert_eq!(strangers(&list, Some("dbid:AAH4f99")), 0, "an id that no list shows says nothing of an address");
        assert_eq!(strangers(&list, None), 0);
    }
}

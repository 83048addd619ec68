//! The delivery fence (`product` 7; invariant I1): a folder takes a file only after its sharing list was read and compared.

use std::collections::BTreeSet;

use crate::{Email, FolderId, Holder, PermissionId, SeenPermission, SeenRole, Snapshot, Via};

/// Who may hold the folder for a file to go in.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// People the cleared plan leaves with access.
    pub planned: BTreeSet<Email>,
    /// The folder's own owner, integration account, named break-glass administrators.
    pub always: BTreeSet<Email>,
    /// Holders the firm accepted for this very folder, groups included. A link can be in here and still never passes.
    pub accepted: BTreeSet<Holder>,
    /// Permission ids that we know as planned people under another address (a Drive account's primary address).
    pub known_ids: BTreeSet<PermissionId>,
}

/// The firm's own words for who can read a target whose sharing it manages elsewhere (`decisions` 17). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(String);

impl Audience {
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A folder that was compared in this run. `put` takes nothing else, and nothing but the two functions here makes one.
#[derive(Debug)]
pub struct Fenced<F>(F);

/// Who stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceBroken {
    pub strangers: Vec<SeenPermission>,
}

impl Fenced<FolderId> {
    /// Compares the effective list, read back in this run after the last change, with who may be there.
    ///
    /// Someone still missing never blocks. Anybody extra does: a person not planned, a group we cannot see into, an
    /// inherited outsider, somebody let in below the folder, and always a link or "everyone". Those who see only the
    /// folder's name do not count (`decisions` 21), nor those who declined, nor that somebody owns a thing of their own in
    /// the folder: nobody else can take that from them, and it opens nothing else to them.
    pub fn check(folder: FolderId, list: &Snapshot<SeenPermission>, allowed: &Allowed) -> Result<Self, FenceBroken> {
        let strangers: Vec<_> = list.items().iter().filter(|p| !allowed.admits(p)).cloned().collect();
        if strangers.is_empty() { Ok(Self(folder)) } else { Err(FenceBroken { strangers }) }
    }

    /// A target with `sharing = "off"`: nothing can be compared, and the firm said in writing who can read it.
    pub fn managed_elsewhere(folder: FolderId, _audience: &Audience) -> Self {
        Self(folder)
    }
}

impl<F> Fenced<F> {
    pub fn folder(&self) -> &F {
        &self.0
    }
}

impl Allowed {
    /// Whether this entry may be there. A link or "everyone" never may, not even accepted.
    pub fn admits(&self, p: &SeenPermission) -> bool {
        if p.role.lets_nobody_in() || p.ourselves {
            return true;
        }
        if p.role == SeenRole::Owner && matches!((&p.via, &p.holder), (Via::Below(_), Holder::Person(_))) {
            return true;
        }
        match &p.holder {
            Holder::Link(_) | Holder::Everyone(_) => false,
            Holder::Person(email) if self.always.contains(email) => true,
            Holder::Person(email) => {
                self.planned.contains(email)
                    || self.accepted.contains(&p.holder)
                    || (p.via == Via::Direct && self.known_ids.contains(&p.id))
            }
            Holder::Group(_) | Holder::Opaque(_) => self.accepted.contains(&p.holder),
        }
    }
}

//! Words of the storage side: folders, who holds them, and the files in them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{AccountId, ClientId, Email, Timestamp, snapshot::Listed, vocab::text_ids};

text_ids! {
    /// The target's own id of a folder; a path where the target has no ids.
    FolderId;
    /// The target's own id of a file; a path below the folder where it has no ids.
    FileId;
    /// The target's own id of an entry in a sharing list. On Drive this is the grantee, so it is no proof of who granted.
    PermissionId;
    /// A job the target works off later.
    JobId;
    /// Where a change feed goes on.
    ChangeCursor;
    /// The state of one file's content, for conditional writes: an etag, a rev, a revision id, a hash.
    Tag;
    /// An id handed out by the target before the thing exists, so that a repeated create makes nothing twice.
    ReservedId;
    /// The stable key of a statement file (`decisions` 23), written as a marker where the target can hold one.
    FileKey;
}

/// Which folder: a client's, or one account's beside it. One lane is one folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FolderKey {
    pub client: ClientId,
    /// `None`: the whole client.
    pub account: Option<AccountId>,
}

impl std::fmt::Display for FolderKey {
    /// The marker's text. Stable for ever: folders in the world carry it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            None => write!(f, "{}", self.client),
            Some(account) => write!(f, "{}/{account}", self.client),
        }
    }
}

/// What a person gets on a folder. There is no owner: ownership is never granted (I5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderRole {
    Reader,
    Writer,
}

impl std::fmt::Display for FolderRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
        })
    }
}

/// What somebody has on a folder, which is more than what we give.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenRole {
    Reader,
    Commenter,
    Writer,
    /// May change the sharing list or the drive: organizers, co-owners.
    Manager,
    Owner,
    /// Sees that the folder exists and its name, and nothing in it (a limited-access folder on Drive).
    MetadataOnly,
    /// Invited, and said no. The entry is still listed and lets nobody in.
    Declined,
    /// A role or a state of the target's own. It may let somebody in.
    Other(String),
}

impl SeenRole {
    /// Whether an entry of this role opens the folder to nobody.
    pub const fn lets_nobody_in(&self) -> bool {
        matches!(self, Self::MetadataOnly | Self::Declined)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// Anyone with the address.
    Anyone,
    /// Anyone of one organisation with the address.
    Organisation,
}

/// Who holds a permission. What we may not touch is still representable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    Person(Email),
    /// Its members are invisible to us, so it is a stranger until the firm accepts it (I11).
    Group(String),
    Link(LinkKind),
    /// A whole domain or the public, without a link.
    Everyone(String),
    /// Something we cannot name: a deleted account, a POSIX user with no person, a vendor's new type.
    Opaque(String),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(email) => write!(f, "{email}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Link(LinkKind::Anyone) => f.write_str("link:anyone"),
            Self::Link(LinkKind::Organisation) => f.write_str("link:organisation"),
            Self::Everyone(whom) => write!(f, "everyone:{whom}"),
            Self::Opaque(what) => write!(f, "unknown:{what}"),
        }
    }
}

/// How a permission reaches the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// On the folder itself: may be ours.
    Direct,
    /// From a parent or a membership: cannot be taken away here.
    Inherited,
    /// On a sub-folder or file in it, named here: a way in that the folder's own list does not show.
    Below(String),
}

/// One entry of a folder's effective sharing list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenPermission {
    pub id: PermissionId,
    pub holder: Holder,
    pub role: SeenRole,
    pub via: Via,
    /// Invited and not yet accepted, where the target knows the difference.
    pub pending: bool,
    /// The account this daemon acts as. In no plan (I5).
    pub ourselves: bool,
    pub expires: Option<Timestamp>,
}

impl Listed for SeenPermission {
    type Key = (PermissionId, Via);
    fn key(&self) -> Self::Key {
        (self.id.clone(), self.via.clone())
    }
}

/// One file in a folder, sub-folders included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenFile {
    pub id: FileId,
    /// Components below the folder, as the target has them.
    pub path: Vec<String>,
    pub size: u64,
    pub tag: Tag,
    /// Our marker, where the target can hold one.
    pub key: Option<FileKey>,
}

impl Listed for SeenFile {
    type Key = FileId;
    fn key(&self) -> FileId {
        self.id.clone()
    }
}

/// One folder directly in the root, as an adoption looks at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenFolder {
    pub id: FolderId,
    pub name: String,
    /// The marker on it, in [`FolderKey`]'s text, where a listing shows it or a look at the folder is cheap.
    pub marker: Option<String>,
}

impl Listed for SeenFolder {
    type Key = FolderId;
    fn key(&self) -> FolderId {
        self.id.clone()
    }
}

/// A path below a client's folder: one to eight safe names. Made by the naming module; a target checks it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FilePath(Vec<String>);

impl FilePath {
    /// Refuses what no target may ever be asked to write: empty names, `.`, `..`, separators, control characters, outer
    /// blanks, trailing dots, more than 255 bytes in a name, more than eight names (N04).
    pub fn new(names: Vec<String>) -> Option<Self> {
        let ok = |n: &String| {
            !n.is_empty()
                && n.len() <= 255
                && n != "."
                && n != ".."
                && n.trim() == n
                && !n.ends_with('.')
                && !n.contains(['/', '\\'])
                && !n.chars().any(char::is_control)
        };
        (!names.is_empty() && names.len() <= 8 && names.iter().all(ok)).then_some(Self(names))
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The last name, and the folders before it.
    pub fn split(&self) -> (&[String], &str) {
        match self.0.split_last() {
            Some((file, folders)) => (folders, file),
            None => (&[], ""),
        }
    }
}

impl std::fmt::Display for FilePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// A finished file on its way into a folder.
#[derive(Clone, Debug)]
pub struct StatementFile {
    pub key: FileKey,
    pub path: FilePath,
    pub mime: String,
    pub bytes: Bytes,
    /// An id from [`crate::StorageTarget::reserve`], journalled before the put.
    pub reserved: Option<ReservedId>,
}

/// What the writer believes is there. A target that finds something else answers `Conflict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing of this name. The same bytes there already are a success (a repeat after a lost answer).
    Absent,
    /// The file of this id in this state.
    Unchanged(FileId, Tag),
}

/// A file that is whole on the target, verified by its hash there or by reading it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: FileId,
    pub tag: Tag,
    pub size: u64,
    /// False if the same bytes were there already and nothing was sent.
    pub written: bool,
}

/// The result of a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Created(FolderId),
    /// Something is there already: ours by its marker, or a stranger's, which is never taken over by itself.
    Exists {
        id: FolderId,
        ours: bool,
    },
}

/// The state of a folder known by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stat {
    Present {
        name: String,
        /// Where it lies now; a different parent than the one stored is a hold (G7).
        parent: Option<FolderId>,
        /// Who owns it, where the target says.
        owner: Option<String>,
        /// Whether our marker is still on it and names this key.
        marker: Option<String>,
        /// Whether people who can open the parent can open this folder too.
        inherits: bool,
        /// Whether those who may edit may also share.
        writers_can_share: Option<bool>,
    },
    Trashed,
    Gone,
    /// It is there and we may not look.
    NoAccess,
}

/// The result of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// In force, under this id.
    Now(PermissionId),
    /// An invitation waits for the person.
    Invited(PermissionId),
}

/// The result of a revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    Done,
    /// It was not there: a success.
    Already,
    /// The target works on it; ask [`crate::StorageTarget::poll`].
    Pending(JobId),
    /// The direct entry is gone and the person still gets in another way.
    StillVia(Via),
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    Running,
    Done,
    Failed(String),
}

/// What changed since a cursor. A hint for what to read again, never evidence by itself.
#[derive(Clone, Debug)]
pub struct Changes {
    pub folders: Vec<FolderId>,
    /// Something changed that we cannot place: sweep everything.
    pub everything: bool,
    pub next: ChangeCursor,
    /// Whether more is there to be told already. `next` says nothing about that: a target may give a new one each time.
    pub more: bool,
}

/// Whether a target has sharing lists at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharingSupport {
    Mirror,
    /// Access is granted elsewhere; only `sharing = "off"` is possible.
    Off,
}

/// One of several files that go into a folder together.
pub struct Outgoing<'a> {
    /// Of this file's own journal row.
    pub cx: &'a crate::WriteCx,
    pub file: &'a StatementFile,
    pub expect: Expect,
}

/// Which grants on a client's folder a target ends by itself. The daemon takes every grant away when its time is over, in any
/// case; this one works while the daemon does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeExpiry {
    None,
    Readers,
    All,
}

impl NativeExpiry {
    /// Whether a grant of this role can be given an end.
    pub fn ends(self, role: FolderRole) -> bool {
        match self {
            Self::None => false,
            Self::Readers => role == FolderRole::Reader,
            Self::All => true,
        }
    }
}

/// A target's limits, as data.
#[derive(Clone, Copy, Debug)]
pub struct TargetLimits {
    pub sharing: SharingSupport,
    /// Folders have ids that survive a rename.
    pub folder_ids: bool,
    pub native_expiry: NativeExpiry,
    /// Names that differ only by case are one name.
    pub case_insensitive: bool,
    /// Bytes in one name, UTF-8.
    pub name_bytes_max: usize,
    /// Characters in a whole path, root included, where there is such a limit.
    pub path_chars_max: Option<usize>,
    pub file_bytes_max: u64,
    /// Direct grants on one folder.
    pub grants_max: usize,
    /// Lanes worked on side by side. Permission writes on one folder are one after another in any case.
    pub lanes_parallel: usize,
    /// Files of one folder cost less together ([`crate::StorageTarget::put_all`]) than side by side.
    pub puts_together: bool,
}

/// Space on the target, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    pub used: u64,
    pub limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteLevel {
    Good,
    Warning,
    /// Nothing may be written until this is put right.
    Blocker,
}

/// One line of `doctor`: what was found and what to change where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeNote {
    pub level: NoteLevel,
    pub text: String,
    pub next: Option<String>,
}

impl ProbeNote {
    /// The root opens every client's folder to `doors`, who are not the firm's: the fence lets no file through. `None`: to nobody.
    pub fn root_opens(doors: &[String], next: &str) -> Option<Self> {
        let text = format!(
            "the root folder opens every client's folder to {}; nothing is delivered while that is so",
            doors.join("; ")
        );
        (!doors.is_empty()).then(|| Self { level: NoteLevel::Blocker, text, next: Some(next.to_owned()) })
    }
}

/// What a target says of itself before the first write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Whom the target takes us for.
    pub account: String,
    /// The folder that holds the client folders, if it exists already.
    pub root: Option<FolderId>,
    pub may_share: bool,
    /// Who gets into the root and so, unless inheritance is cut, into every client folder.
    pub inherited: Vec<SeenPermission>,
    pub quota: Option<Quotas>,
    /// What lies directly in the root, whosever it is, where the target counts it by itself.
    #[serde(default)]
    pub children: Option<u64>,
    pub notes: Vec<ProbeNote>,
}

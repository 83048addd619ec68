//! For storage targets.

use bytes::Bytes;
use ledgerward_contract::{
    Allowed, Audience, ClientId, Created, Email, Expect, Fenced, FileKey, FilePath, FolderId, FolderKey, FolderRole,
    Granted, Journalled, PermissionId, Permit, Result, SeenFile, SeenPermission, Snapshot, StatementFile,
    StorageTarget, Stored, WriteAuthority, WriteCx,
};

use super::{World, whole};

impl World {
    pub fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }

    pub fn write(&self) -> WriteCx {
        let permit = Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1));
        permit.open(self.wire.clone(), self.now())
    }

    /// A new folder for client number n.
    #[expect(clippy::panic, reason = "a folder that is not made is a failed test")]
    pub async fn create(&self, n: u128) -> FolderId {
        match self.target().create(&self.write(), &key(n), &format!("Client {n}"), None).await.unwrap() {
            Created::Created(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn sharing(&self, folder: &FolderId) -> Result<Snapshot<SeenPermission>> {
        let (target, cx) = (self.target(), &self.read());
        whole(|at| target.sharing(cx, folder, at)).await
    }

    pub async fn files(&self, folder: &FolderId) -> Result<Snapshot<SeenFile>> {
        let (target, cx) = (self.target(), &self.read());
        whole(|at| target.files(cx, folder, at)).await
    }

    /// The folder, once its list shows nobody but those planned and those who are always there.
    pub async fn fenced(&self, folder: &FolderId, planned: &[&str], always: &[&str]) -> Fenced<FolderId> {
        let list = self.sharing(folder).await.unwrap();
        let all = |of: &[&str]| of.iter().map(|e| Email::parse(e).unwrap()).collect();
        let allowed = Allowed { planned: all(planned), always: all(always), ..Allowed::default() };
        Fenced::check(folder.clone(), &list, &allowed).unwrap()
    }

    /// Into a folder whose list nobody looks at here.
    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let fenced = Fenced::managed_elsewhere(folder.clone(), &Audience::new("a test").unwrap());
        self.target().put(&self.write(), &fenced, file, expect).await
    }

    pub async fn grant(&self, folder: &FolderId, who: &str, role: FolderRole) -> Result<Granted> {
        self.target().grant(&self.write(), folder, &Email::parse(who).unwrap(), role, None).await
    }
}

/// Client number n.
pub fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

/// A statement at this path, with its path as its key.
pub fn file(path: &str, bytes: impl Into<Bytes>) -> StatementFile {
    StatementFile {
        key: FileKey(path.to_owned()),
        path: FilePath::new(path.split('/').map(str::to_owned).collect()).unwrap(),
        mime: "application/pdf".to_owned(),
        bytes: bytes.into(),
        reserved: None,
    }
}

/// What the list says of somebody.
pub fn person(list: &Snapshot<SeenPermission>, email: &str) -> Option<SeenPermission> {
    list.items().iter().find(|p| p.holder.to_string() == email).cloned()
}

pub fn id_of(granted: &Granted) -> PermissionId {
    match granted {
        Granted::Now(id) | Granted::Invited(id) => id.clone(),
    }
}

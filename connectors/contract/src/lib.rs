//! What every connector speaks.
//!
//! A connector turns one vendor's API into the words of this crate and nothing else: it owns no token, no clock, no page
//! loop and no retry. The types here carry the rules that must not depend on anybody's memory:
//!
//! * [`Snapshot`] is the only way to own a complete listing. A short list cannot be built by accident.
//! * [`ReadCx`] cannot write. [`WriteCx`] needs a [`Permit`], and a permit needs the process's one [`WriteAuthority`]
//!   and a journal row.
//! * [`Fenced`] is the only folder that takes a file, and it exists only after the folder's sharing list was read and
//!   compared.
//! * [`FolderRole`] has no owner. [`LedgerRole::Unmapped`] grants nothing.
//! * [`Secret`] prints nothing.
//!
//! Read [`traits`] first.

pub mod capacity;
pub mod context;
pub mod email;
pub mod error;
#[cfg(feature = "faults")]
pub mod faults;
pub mod fence;
pub mod manifest;
pub mod secret;
pub mod snapshot;
pub mod statement;
#[cfg(feature = "suite")]
pub mod suite;
pub mod target;
pub mod traits;
pub mod vocab;

pub use capacity::{Capacity, Counts, Firmness};
pub use context::{
    Auth, Body, BodyLimit, Effect, Journalled, Layer, Permit, ReadCx, Request, Response, Transport, WriteAuthority,
    WriteCx,
};
pub use email::{Email, EmailError};
pub use error::{Aside, Error, ErrorKind, Result, Retry};
pub use fence::{Allowed, Audience, FenceBroken, Fenced};
pub use manifest::{
    AppForm, AuthScheme, ClientAuth, Endpoint, Endpoints, Key, LedgerRoleDefault, Listing, Manifest, OAuthSpec, Quota,
    QuotaScope, QuotaWindow, Rotation, ScopeSet,
};
pub use secret::Secret;
pub use snapshot::{Cursor, Listed, Page, Snapshot};
pub use statement::{
    Basis, Cell, Column, Document, Period, PeriodLength, Register, RegisterLine, RegisterSource, ReportTable, Row,
    RowKind, StatementData, StatementItem, StatementKind, StatementRef, StatementRequest,
};
pub use target::{
    ChangeCursor, Changes, Created, Expect, FileId, FileKey, FilePath, FolderId, FolderKey, FolderRole, Gone, Granted,
    Holder, Job, JobId, LinkKind, NativeExpiry, NoteLevel, Outgoing, PermissionId, Probe, ProbeNote, Quotas,
    ReservedId, SeenFile, SeenFolder, SeenPermission, SeenRole, SharingSupport, Stat, StatementFile, Stored, Tag,
    TargetLimits, Via,
};
pub use traits::{Build, ClientDirectory, Connector, Factory, LedgerSource, Scope, StatementSource, StorageTarget};
pub use vocab::{
    AccessFact, AccountId, AccountKind, Assignment, ClientId, ClientRow, ConnectionName, Grade, LedgerAccount,
    LedgerId, LedgerProfile, LedgerRole, LedgerRow, OwnUser, ProviderUserId, RoleTable, Seats, SourceKind, SourceRef,
    Standing,
};

/// A point in time, always UTC. Passed in, never read by a connector or by the pure core.
pub type Timestamp = jiff::Timestamp;
/// A calendar day without a zone: periods, lock dates and statement lines.
pub type Date = jiff::civil::Date;
/// Exact money. Never a binary floating point number (`decisions` 29: ids and money are strings in JSON).
pub type Decimal = rust_decimal::Decimal;

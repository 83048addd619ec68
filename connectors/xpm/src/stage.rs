//! Where a listing stands between two of its requests.

use ledgerward_contract::{ClientRow, Page, Result};
use ledgerward_kit::cursor;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::map::{CLIENT_ROLES, Groups, Staff, Work};

/// Where a listing stands. A client's row needs the staff's addresses and the work of its jobs, which other lists hold:
/// they are read first and travel in the cursor, so that nothing is remembered between calls.
#[derive(Debug, Serialize, Deserialize)]
pub enum Stage {
    Staff {
        practice: Uuid,
    },
    Jobs {
        practice: Uuid,
        staff: Staff,
    },
    /// `None` before the list of groups; then those whose clients are not read yet.
    Groups {
        practice: Uuid,
        staff: Staff,
        work: Work,
        waiting: Option<Vec<Uuid>>,
        groups: Groups,
    },
    Clients(Clients),
}

/// The stage that lists clients.
#[derive(Debug, Serialize, Deserialize)]
pub struct Clients {
    pub practice: Uuid,
    pub staff: Staff,
    pub work: Work,
    pub groups: Groups,
    pub token: Option<String>,
    /// As [`crate::map::ClientPage::told`], of all pages so far.
    pub told: [bool; CLIENT_ROLES],
    /// As [`crate::map::ClientPage::numbered`].
    pub numbered: bool,
    /// Whether there was a client so far.
    pub some: bool,
}

impl Stage {
    pub fn clients(practice: Uuid, staff: Staff, work: Work, groups: Groups) -> Self {
        let told = [false; CLIENT_ROLES];
        Self::Clients(Clients { practice, staff, work, groups, token: None, told, numbered: false, some: false })
    }

    /// A page without clients that leads here.
    pub fn page(&self, op: &'static str, items: Vec<ClientRow>) -> Result<Page<ClientRow>> {
        Ok(Page { items, next: Some(cursor(op, self)?), total: None })
    }
}

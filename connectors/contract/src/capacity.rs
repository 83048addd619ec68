//! What a target takes before it is full, as data. What is used of it and when it fills, the program works out.

use serde::{Deserialize, Serialize};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// The clients' folders. Each lies directly in the root and has a sharing list of its own.
    Folders,
    /// Everything in the clients' folders, themselves and their sub-folders included.
    Items,
    /// Everything in the fullest client's folder.
    ItemsInFolder,
    /// Who holds the folder that most people hold.
    HoldersOfFolder,
    /// Bytes of the largest file.
    FileBytes,
    /// Bytes in the account, whosever they are.
    Bytes,
}

/// Whether the vendor refuses what is beyond, or only advises against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmness {
    Hard,
    Advised,
}

/// One limit of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Stable, `snake_case`: findings carry it.
    pub name: &'static str,
    /// For people: `folders with a sharing list of their own in one library`.
    pub what: &'static str,
    pub counts: Counts,
    pub firmness: Firmness,
    pub limit: u64,
    /// Where the number is from.
    pub source: &'static str,
    /// False: from a single report, from memory, or different by plan.
    pub verified: bool,
    /// What to do before it is full, in a sentence.
    pub next: &'static str,
}

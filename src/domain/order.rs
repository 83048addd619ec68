//! The order of steps in a lane, and what a failure stops (`product` 7).

use super::lane::{Op, Step};

/// Where an operation stands: revoke, create, rename, set-role, grant, adopt.
pub const fn rank(op: &Op) -> u8 {
    match op {
        Op::Revoke { .. } => 0,
        Op::Create { .. } => 1,
        Op::Rename { .. } => 2,
        Op::SetRole { .. } => 3,
        Op::Grant { .. } => 4,
        Op::Adopt { .. } => 5,
    }
}

/// Sorts a lane's steps; within one kind by holder, so that the same plan always prints and hashes the same.
pub fn sort(steps: &mut [Step]) {
    steps.sort_by(|a, b| rank(&a.op).cmp(&rank(&b.op)).then_with(|| a.cmp(b)));
}

/// Whether a later step of the same lane may still run after `failed` did not succeed.
///
/// A failed revoke stops the lane's grants, wider roles and puts: somebody is in there who should not be. A failed create
/// stops everything that needs the folder. Any other failure is reported and the rest goes on. Revokes always go on.
pub const fn goes_on(failed: &Op, next: &Op) -> bool {
    match (failed, next) {
        (_, Op::Revoke { .. }) => true,
        (Op::Revoke { .. } | Op::Create { .. }, _) => false,
        _ => true,
    }
}

/// Whether a lane may take files after `failed` did not succeed.
pub const fn puts_go_on(failed: &Op) -> bool {
    !matches!(failed, Op::Revoke { .. } | Op::Create { .. })
}

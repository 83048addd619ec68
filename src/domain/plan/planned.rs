//! The people whom a plan leaves with access, as runs of neighbours: mostly everybody of a list stays, and that is one run.

use std::ops::Range;

use super::super::policy::PersonIx;

/// People by index. Takes 8 bytes per run, so that the plans of a large firm fit into memory side by side.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    runs: Vec<Range<PersonIx>>,
}

impl Planned {
    /// Cheapest in order; in any other it is a run more.
    #[inline]
    pub fn push(&mut self, ix: PersonIx) {
        match self.runs.last_mut() {
            Some(run) if run.end == ix => run.end += 1,
            _ => self.runs.push(ix..ix + 1),
        }
    }

    pub fn len(&self) -> usize {
        self.runs.iter().map(ExactSizeIterator::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = PersonIx> {
        self.runs.iter().cloned().flatten()
    }
}

impl Extend<PersonIx> for Planned {
    fn extend<T: IntoIterator<Item = PersonIx>>(&mut self, people: T) {
        people.into_iter().for_each(|ix| self.push(ix));
    }
}

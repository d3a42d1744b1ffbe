//! How much a step of work in the background takes on: on SQLite everybody who writes waits for it, so as much as takes a moment.

use std::time::Duration;

/// For how long a step may keep the writer, more or less.
const AIM: Duration = Duration::from_millis(3);
const FEWEST: i64 = 10;

/// Rows of the next step, by how long the ones before took.
#[derive(Debug)]
pub(crate) struct Pace {
    rows: i64,
    most: i64,
}

impl Pace {
    pub(crate) fn at_most(most: i64) -> Self {
        Self {
            rows: FEWEST.min(most),
            most,
        }
    }

    pub(crate) const fn rows(&self) -> i64 {
        self.rows
    }

    /// A step has kept the writer for so long.
    pub(crate) fn took(&mut self, kept: Duration) {
        let rows = if kept > AIM {
            self.rows / 2
        } else if kept < AIM / 2 {
            self.rows * 3 / 2
        } else {
            self.rows
        };
        self.rows = rows.clamp(FEWEST.min(self.most), self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_when_one_was_long() {
        let mut pace = Pace::at_most(100);
        for _ in 0..10 {
            pace.took(Duration::ZERO);
        }
        assert_eq!(pace.rows(), 100);
        pace.took(AIM * 2);
        assert_eq!(pace.rows(), 50);
        pace.took(AIM);
        assert_eq!(pace.rows(), 50);
        for _ in 0..10 {
            pace.took(AIM * 2);
        }
        assert_eq!(pace.rows(), FEWEST);
    }
}

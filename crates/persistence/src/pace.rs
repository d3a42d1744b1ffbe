//! How much a step of work in the background takes on: on SQLite everybody who writes waits for it, so as much as takes a moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long the statements of a step may keep the writer, more or less. Their commit takes as long as the disk does, however few they are.
const AIM: Duration = Duration::from_millis(2);

/// Rows of the next step, by how long the ones before took.
#[derive(Debug)]
pub(crate) struct Pace {
    rows: i64,
    /// Not on PostgreSQL, where nobody waits.
    range: Option<Range>,
}

/// The fewest rows of a step, and the most. Of fewer, all steps together would take much longer: each has its price, however little it does.
pub(crate) type Range = [i64; 2];

impl Pace {
    /// So many on PostgreSQL, and from so many to so many on SQLite.
    pub(crate) const fn new(is_sqlite: bool, fixed: i64, range: Range) -> Self {
        if is_sqlite {
            Self::for_sqlite(range)
        } else {
            Self {
                rows: fixed,
                range: None,
            }
        }
    }

    /// The same of what SQLite alone has.
    pub(crate) const fn for_sqlite(range: Range) -> Self {
        Self {
            rows: range[0],
            range: Some(range),
        }
    }

    pub(crate) const fn rows(&self) -> i64 {
        self.rows
    }

    /// The statements of a step took so long.
    pub(crate) fn took(&mut self, time: Duration) {
        let Some([fewest, most]) = self.range else { return };
        let rows = if time > AIM {
            self.rows / 2
        } else if time < AIM / 2 {
            self.rows * 3 / 2 + 1
        } else {
            self.rows
        };
        self.rows = rows.clamp(fewest, most);
    }
}

/// The same for steps that anybody may take.
#[derive(Debug)]
pub(crate) struct SharedPace(Mutex<Pace>);

impl SharedPace {
    /// As [`Pace::new`].
    pub(crate) const fn new(is_sqlite: bool, fixed: i64, range: Range) -> Self {
        Self(Mutex::new(Pace::new(is_sqlite, fixed, range)))
    }

    pub(crate) fn rows(&self) -> i64 {
        self.pace().rows()
    }

    pub(crate) fn took(&self, time: Duration) {
        self.pace().took(time);
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_when_one_was_long() {
        let mut pace = Pace::new(true, 80, [1, 100]);
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
        assert_eq!(pace.rows(), 1);
    }

    #[test]
    fn steps_stay_as_they_are_where_nobody_waits() {
        let mut pace = Pace::new(false, 80, [1, 100]);
        pace.took(Duration::ZERO);
        pace.took(AIM * 2);
        assert_eq!(pace.rows(), 80);
    }
}

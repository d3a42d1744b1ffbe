//! Shares of all attempts at once, by what is known of the receivers: who holds attempts for long leaves some to the others.

use std::collections::VecDeque;

use sensei_domain::DestinationId;

/// What is known of how a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repute {
    /// It answered, or refused the connection: it holds nothing up.
    Prompt,
    /// Nothing yet. It may hang.
    Unknown,
    /// It timed out lately.
    Slow,
}

/// Who has how much. Slow receivers may have half of all attempts, and with unknown ones three quarters.
#[derive(Debug)]
pub(crate) struct Shares {
    total: usize,
    unknown: usize,
    pub(crate) slow: usize,
    /// Lanes that are being read again before they use a share. It is kept for them: else all that wait for it would be read.
    reading: usize,
    /// Lanes whose turn came while there was no share for them.
    unknown_turns: VecDeque<DestinationId>,
    slow_turns: VecDeque<DestinationId>,
}

impl Shares {
    pub(crate) const fn new(total: usize) -> Self {
        Self {
            total,
            unknown: 0,
            slow: 0,
            reading: 0,
            unknown_turns: VecDeque::new(),
            slow_turns: VecDeque::new(),
        }
    }

    /// Whether a lane of this repute may start one more attempt.
    pub(crate) fn has_room(&self, repute: Repute) -> bool {
        let is_below = |taken: usize, share: usize| taken < share.max(1);
        let has_room = is_below(self.unknown + self.slow + self.reading, self.total * 3 / 4);
        match repute {
            Repute::Prompt => true,
            Repute::Unknown => has_room,
            Repute::Slow => has_room && is_below(self.slow + self.reading, self.total / 2),
        }
    }

    /// Whether those that may hang hold so many attempts that each lane of which nothing is known shall make do with one.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.unknown + self.slow >= self.total / 4
    }

    /// Keeps a lane's turn until there is a share for it.
    pub(crate) fn defer(&mut self, destination: DestinationId, repute: Repute) {
        self.turns(repute).push_back(destination);
    }

    const fn turns(&mut self, repute: Repute) -> &mut VecDeque<DestinationId> {
        match repute {
            Repute::Slow => &mut self.slow_turns,
            Repute::Prompt | Repute::Unknown => &mut self.unknown_turns,
        }
    }

    /// A lane whose turn was kept, and may be used now.
    pub(crate) fn next_deferred(&mut self) -> Option<DestinationId> {
        let unknown = if self.has_room(Repute::Unknown) {
            self.unknown_turns.pop_front()
        } else {
            None
        };
        unknown.or_else(|| {
            self.has_room(Repute::Slow)
                .then(|| self.slow_turns.pop_front())
                .flatten()
        })
    }

    pub(crate) fn began(&mut self, repute: Repute) {
        if let Some(count) = self.count(repute) {
            *count += 1;
        }
    }

    /// A lane of this repute is read again before it starts. True if a share is kept for it.
    pub(crate) fn reads(&mut self, repute: Repute) -> bool {
        let is_kept = repute != Repute::Prompt;
        self.reading += usize::from(is_kept);
        is_kept
    }

    /// A lane for which a share was kept has been read: the share is its, if it wants it.
    pub(crate) fn was_read(&mut self, destination: DestinationId, repute: Repute, wants_share: bool) {
        self.reading = self.reading.saturating_sub(1);
        if wants_share {
            self.turns(repute).push_front(destination);
        }
    }

    /// One of these attempts of a lane ended, after which the lane has another repute maybe.
    pub(crate) fn ended(&mut self, before: Repute, after: Repute, still_running: usize) {
        if let Some(count) = self.count(before) {
            *count = count.saturating_sub(still_running + 1);
        }
        if let Some(count) = self.count(after) {
            *count += still_running;
        }
    }

    const fn count(&mut self, repute: Repute) -> Option<&mut usize> {
        match repute {
            Repute::Prompt => None,
            Repute::Unknown => Some(&mut self.unknown),
            Repute::Slow => Some(&mut self.slow),
        }
    }
}

//! The lanes: which deliveries are in memory, and which of them may start now.
//!
//! Promises that no more attempts run than the limits allow, that lanes start in turn, that what was read too
//! long ago is given out to be read again and not to be attempted, and that nothing waits here that isn't also
//! a row in the database. A plain data structure: no clock, no task, no lock. Losing it loses time, never a lead.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sensei_domain::DestinationId;

use crate::limits::Limits;

/// After this time in memory a delivery and its destination are read again before an attempt.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// One lane may use this part of the places that are free: however many are full, there is room for others.
/// (Dynamic thresholds: Choudhury and Hahne, 1998.)
const SHARE_OF_FREE: usize = 4;

/// What waits in a lane.
pub(crate) trait Waiting {
    /// When the delivery and its destination were last read.
    fn read_at(&self) -> Instant;
}

/// All lanes of a dispatcher.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    limits: Limits,
    by_destination: HashMap<DestinationId, Lane<T>>,
    /// Lanes that may have something to start, each once.
    turns: VecDeque<DestinationId>,
    running: usize,
    places: usize,
    closed: bool,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    running: usize,
    places: usize,
    /// More deliveries are due in the database: until they were fetched, nothing new comes in past them.
    is_behind: bool,
    has_turn: bool,
    /// Some of it is being read again; nothing starts meanwhile.
    is_reading: bool,
    /// When somebody changed the destination.
    changed_at: Option<Instant>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            running: 0,
            places: 0,
            is_behind: false,
            has_turn: false,
            is_reading: false,
            changed_at: None,
        }
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// Attempt this one.
    Start(DestinationId, T),
    /// Read these again.
    Reread(DestinationId, Vec<T>),
}

impl<T: Waiting> Lanes<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_destination: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            places: 0,
            closed: false,
        }
    }

    /// Takes a place for a new delivery, unless there is none or others wait in the database before it.
    pub(crate) fn take_new(&mut self, destination: DestinationId) -> bool {
        let is_behind = self.by_destination.get(&destination).is_some_and(|lane| lane.is_behind);
        !is_behind && self.take(destination, 1) == 1
    }

    /// Takes up to `wanted` places; says how many.
    pub(crate) fn take(&mut self, destination: DestinationId, wanted: usize) -> usize {
        if self.closed {
            return 0;
        }
        let free = self.limits.total_capacity.saturating_sub(self.places);
        let taken = self.by_destination.get(&destination).map_or(0, |lane| lane.places);
        let share = self.limits.lane_capacity.min(free.div_ceil(SHARE_OF_FREE));
        let granted = share.saturating_sub(taken).min(wanted).min(free);
        if granted > 0 {
            self.places += granted;
            self.by_destination.entry(destination).or_default().places += granted;
        }
        granted
    }

    /// Gives a place back. True if the lane is behind and has room again for a good part of what waits.
    pub(crate) fn give_back(&mut self, destination: DestinationId) -> bool {
        self.places = self.places.saturating_sub(1);
        let Some(lane) = self.by_destination.get_mut(&destination) else {
            return false;
        };
        lane.places = lane.places.saturating_sub(1);
        if lane.places == 0 && !lane.is_behind {
            // Its turn, if it has one, finds nobody and passes.
            self.by_destination.remove(&destination);
            return false;
        }
        lane.is_behind && lane.places <= self.limits.lane_capacity / 2
    }

    /// Deliveries are due in the database that have no place here.
    pub(crate) fn fell_behind(&mut self, destination: DestinationId) {
        if !self.closed {
            self.by_destination.entry(destination).or_default().is_behind = true;
        }
    }

    /// The database has nothing at all that is due: what waited there was taken by others, or cancelled.
    pub(crate) fn all_caught_up(&mut self) {
        self.by_destination.retain(|_, lane| {
            lane.is_behind = false;
            lane.places > 0
        });
    }

    /// The database has nothing more that is due for this destination.
    pub(crate) fn caught_up(&mut self, destination: DestinationId) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.is_behind = false;
            if lane.places == 0 {
                self.by_destination.remove(&destination);
            }
        }
    }

    /// Lets a delivery that has a place wait for its turn. Once closed, gives it back.
    pub(crate) fn enqueue(&mut self, destination: DestinationId, waiting: T) -> Result<(), T> {
        if self.closed {
            return Err(waiting);
        }
        self.by_destination
            .entry(destination)
            .or_default()
            .waiting
            .push_back(waiting);
        self.queue_up(destination);
        Ok(())
    }

    /// Everything in this lane must be read again before it is attempted.
    pub(crate) fn changed(&mut self, destination: DestinationId, now: Instant) {
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.changed_at = Some(now);
        }
    }

    /// What was read again goes back to the front. Once closed, gives it back.
    pub(crate) fn reread(&mut self, destination: DestinationId, fresh: Vec<T>) -> Result<(), Vec<T>> {
        if self.closed {
            return Err(fresh);
        }
        let lane = self.by_destination.entry(destination).or_default();
        lane.is_reading = false;
        for waiting in fresh.into_iter().rev() {
            lane.waiting.push_front(waiting);
        }
        self.queue_up(destination);
        Ok(())
    }

    /// An attempt has ended. Its place stays taken until it is recorded.
    pub(crate) fn ended(&mut self, destination: DestinationId) {
        self.running = self.running.saturating_sub(1);
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.running = lane.running.saturating_sub(1);
        }
        self.queue_up(destination);
    }

    /// What may begin now, if anything.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Next<T>> {
        while !self.closed && self.running < self.limits.total_concurrency {
            let destination = self.turns.pop_front()?;
            let Some(lane) = self.by_destination.get_mut(&destination) else {
                continue;
            };
            lane.has_turn = false;
            if lane.is_reading || lane.running >= self.limits.lane_concurrency {
                continue;
            }
            let Some(first) = lane.waiting.front() else { continue };
            let changed_at = lane.changed_at;
            let is_stale = |waiting: &T| {
                now.duration_since(waiting.read_at()) > FRESH_FOR
                    || changed_at.is_some_and(|changed_at| waiting.read_at() <= changed_at)
            };
            if is_stale(first) {
                let stale = lane.waiting.iter().take_while(|waiting| is_stale(waiting)).count();
                lane.is_reading = true;
                return Some(Next::Reread(destination, lane.waiting.drain(..stale).collect()));
            }
            let first = lane.waiting.pop_front()?;
            lane.running += 1;
            self.running += 1;
            self.queue_up(destination);
            return Some(Next::Start(destination, first));
        }
        None
    }

    /// Starts nothing any more, and gives out what waits.
    pub(crate) fn close(&mut self) -> Vec<T> {
        self.closed = true;
        self.by_destination
            .values_mut()
            .flat_map(|lane| lane.waiting.drain(..))
            .collect()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.places == 0
    }

    fn queue_up(&mut self, destination: DestinationId) {
        if let Some(lane) = self.by_destination.get_mut(&destination)
            && !lane.has_turn
            && !lane.waiting.is_empty()
        {
            lane.has_turn = true;
            self.turns.push_back(destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        lane_concurrency: 2,
        lane_capacity: 8,
        total_concurrency: 3,
        total_capacity: 64,
    };

    #[derive(Debug, PartialEq, Eq)]
    struct Read(u32, Instant);

    impl Waiting for Read {
        fn read_at(&self) -> Instant {
            self.1
        }
    }

    fn destination(number: u128) -> DestinationId {
        DestinationId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn filled(lanes: &mut Lanes<Read>, destination: DestinationId, numbers: std::ops::Range<u32>, at: Instant) {
        for number in numbers {
            assert!(lanes.take_new(destination), "a place for {number}");
            lanes.enqueue(destination, Read(number, at)).expect("open");
        }
    }

    fn started(lanes: &mut Lanes<Read>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| match lanes.next(now)? {
            Next::Start(_, Read(number, _)) => Some(number),
            Next::Reread(..) => panic!("nothing is stale"),
        })
        .collect()
    }

    #[test]
    fn lanes_start_in_turn_and_within_their_limits() {
        let (mut lanes, now) = (Lanes::new(LIMITS), Instant::now());
        filled(&mut lanes, destination(1), 10..15, now);
        filled(&mut lanes, destination(2), 20..25, now);
        assert_eq!(started(&mut lanes, now), [10, 20, 11], "in turn, three in all");
        lanes.ended(destination(1));
        assert_eq!(started(&mut lanes, now), [21]);
        lanes.ended(destination(2));
        lanes.ended(destination(2));
        assert_eq!(started(&mut lanes, now), [12, 22], "two a lane");
    }

    #[test]
    fn a_full_lane_refuses_and_leaves_room_for_others() {
        let (mut lanes, now) = (Lanes::new(LIMITS), Instant::now());
        filled(&mut lanes, destination(1), 0..8, now);
        assert!(!lanes.take_new(destination(1)));
        assert!(lanes.take_new(destination(2)));
        let mut granted = 9;
        for number in 3..1_000 {
            granted += lanes.take(destination(number), 8);
        }
        assert!(granted <= 64, "never more than in all: {granted}");
        assert!(lanes.take(destination(3), 8) < 8, "what is scarce is shared");
    }

    #[test]
    fn whoever_fell_behind_takes_nothing_new_until_caught_up() {
        let (mut lanes, now) = (Lanes::new(LIMITS), Instant::now());
        filled(&mut lanes, destination(1), 0..6, now);
        lanes.fell_behind(destination(1));
        assert!(!lanes.take_new(destination(1)));
        assert!(!lanes.give_back(destination(1)), "five of eight are still taken");
        assert!(lanes.give_back(destination(1)), "half is free: worth fetching");
        assert_eq!(lanes.take(destination(1), 100), 4, "the sweeper may fill it up");
        lanes.caught_up(destination(1));
        for _ in 0..8 {
            lanes.give_back(destination(1));
        }
        assert!(lanes.take_new(destination(1)));
    }

    #[test]
    fn what_was_read_long_ago_or_before_a_change_is_read_again() {
        let (mut lanes, begin) = (Lanes::new(LIMITS), Instant::now());
        filled(&mut lanes, destination(1), 0..3, begin);
        let later = begin + Duration::from_millis(1_500);
        filled(&mut lanes, destination(1), 3..4, later);
        let Some(Next::Reread(_, stale)) = lanes.next(later) else {
            panic!("three are stale")
        };
        assert_eq!(stale.iter().map(|read| read.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(lanes.next(later), None, "nothing starts meanwhile");
        lanes
            .reread(
                destination(1),
                stale
                    .into_iter()
                    .filter(|read| read.0 != 1)
                    .map(|Read(n, _)| Read(n, later))
                    .collect(),
            )
            .expect("open");
        assert_eq!(started(&mut lanes, later), [0, 2]);
        lanes.changed(destination(1), later);
        lanes.ended(destination(1));
        assert!(matches!(lanes.next(later), Some(Next::Reread(_, stale)) if stale[0].0 == 3));
    }

    #[test]
    fn nothing_starts_once_closed() {
        let (mut lanes, now) = (Lanes::new(LIMITS), Instant::now());
        filled(&mut lanes, destination(1), 0..3, now);
        assert!(matches!(lanes.next(now), Some(Next::Start(_, Read(0, _)))));
        assert_eq!(lanes.close().len(), 2);
        assert_eq!(lanes.next(now), None);
        assert!(!lanes.take_new(destination(2)));
        for _ in 0..3 {
            lanes.give_back(destination(1));
        }
        assert!(lanes.is_empty());
    }
}

//! The lanes: which deliveries are in memory, and which of them may start now.
//!
//! Promises that no more attempts run than the limits allow, that lanes start in turn, that what was read too
//! long ago is given out to be read again and not to be attempted, that no rate is exceeded, that nothing starts while
//! a breaker is open, and that nothing waits here that isn't also a row in the database. A plain data structure: no clock,
//! no task, no lock. Losing it loses time, never a lead.

mod behind;
mod counts;
mod receiver;
mod rereading;
mod shares;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use sensei_domain::DestinationId;

use crate::breaker::{Change, Era, Sign, Stand};
use crate::lane::Lane;
use crate::limits::Limits;
use crate::pace::{Pace, Terms};

pub(crate) use counts::LaneCounts;
pub(crate) use shares::Repute;
use shares::Shares;

/// After this time in memory a delivery and its destination are read again before an attempt.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// One lane may use this part of the places that are free: however many are full, there is room for others.
/// (Dynamic thresholds: Choudhury and Hahne, 1998.)
const SHARE_OF_FREE: usize = 4;
/// Lanes beyond this many are looked through for those that needn't be known any more; those in which nothing is go then.
const KNOWN: usize = 20_000;

/// What waits in a lane.
pub(crate) trait Waiting {
    /// When the delivery and its destination began to be read for the last time: what is changed since isn't known.
    fn read_at(&self) -> Instant;

    /// When they had been read.
    fn known_at(&self) -> Instant;

    /// What the destination asked for then.
    fn terms(&self) -> Terms;
}

/// All lanes of a dispatcher.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    limits: Limits,
    /// A delivery in memory should start within this time.
    patience: Duration,
    by_destination: HashMap<DestinationId, Lane<T>>,
    /// Lanes that may have something to start, each once.
    turns: VecDeque<DestinationId>,
    /// When lanes that wait for a token may go on.
    parked: BTreeSet<(Instant, DestinationId)>,
    /// Nobody was told yet of the earliest of them.
    has_new_first: bool,
    running: usize,
    /// Which of these are held by receivers that may hang.
    shares: Shares,
    places: usize,
    bytes: usize,
    /// Lanes for which it is worth to fetch more at once.
    wanting: BTreeSet<DestinationId>,
    /// So many lanes are reason to look for those that can be forgotten.
    crowd: usize,
    closed: bool,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// Attempt this one.
    Start(Turn, T),
    /// Read these again.
    Reread(DestinationId, Vec<T>),
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) destination: DestinationId,
    era: Era,
    /// Which of the lane's receivers it goes to.
    receiver: u32,
}

impl<T: Waiting> Lanes<T> {
    pub(crate) fn new(limits: Limits, patience: Duration) -> Self {
        Self {
            limits,
            patience,
            by_destination: HashMap::new(),
            turns: VecDeque::new(),
            parked: BTreeSet::new(),
            has_new_first: false,
            running: 0,
            shares: Shares::new(limits.total_concurrency),
            places: 0,
            bytes: 0,
            wanting: BTreeSet::new(),
            crowd: KNOWN,
            closed: false,
        }
    }

    /// Takes a place for a new delivery, unless there is none or others wait in the database before it. An ordered
    /// destination's deliveries all come from there.
    pub(crate) fn take_new(&mut self, destination: DestinationId, terms: Terms, bytes: usize, now: Instant) -> bool {
        let lane = self.by_destination.get(&destination);
        let is_behind = lane.is_some_and(|lane| lane.behind_since.is_some());
        !is_behind && !terms.is_ordered && self.take(destination, terms, bytes, now)
    }

    /// Takes a place for a delivery with a body of so many bytes, if there is one.
    pub(crate) fn take(&mut self, destination: DestinationId, terms: Terms, bytes: usize, now: Instant) -> bool {
        if self.closed {
            return false;
        }
        if let Some(lane) = self.by_destination.get_mut(&destination) {
            lane.pace.keep_to(terms.rate_limit, now);
            if terms.is_ordered && lane.places > 0 {
                return false;
            }
        }
        if !self.has_bytes(destination, bytes) || self.room(destination, now) == 0 {
            return false;
        }
        self.places += 1;
        self.bytes += bytes;
        let lane = self.lane(destination, now);
        lane.pace.keep_to(terms.rate_limit, now);
        lane.places += 1;
        lane.bytes += bytes;
        true
    }

    /// How many deliveries this lane can take in, as far as can be told before they are read.
    pub(crate) fn room(&self, destination: DestinationId, now: Instant) -> usize {
        let free = self.limits.total_capacity.saturating_sub(self.places);
        if self.closed || !self.has_bytes(destination, 0) {
            return 0;
        }
        let share = self.limits.lane_capacity.min(free.div_ceil(SHARE_OF_FREE));
        let Some(lane) = self.by_destination.get(&destination) else {
            return share.min(free);
        };
        let room = share.saturating_sub(lane.places).min(free);
        room.min(lane.startable(self.patience / 2, now))
    }

    /// How many deliveries are worth fetching for this lane: as many as it has room for and will soon start.
    pub(crate) fn room_to_fetch(&self, destination: DestinationId, now: Instant) -> usize {
        let (at_hand, in_stock) = self.by_destination.get(&destination).map_or_else(
            || (0, Pace::new(self.limits.lane_concurrency).in_stock()),
            |lane| (lane.places.saturating_sub(lane.begun), lane.pace.in_stock()),
        );
        self.room(destination, now).min(in_stock.saturating_sub(at_hand))
    }

    /// Whether these bytes fit beside what is there: within a lane's share of what is free, and whatever is alone.
    fn has_bytes(&self, destination: DestinationId, bytes: usize) -> bool {
        let free = self.limits.total_bytes.saturating_sub(self.bytes);
        let taken = self.by_destination.get(&destination).map_or(0, |lane| lane.bytes);
        let share = if taken == 0 { free } else { free / SHARE_OF_FREE };
        self.places == 0 || (free > 0 && bytes <= free && taken + bytes <= share)
    }

    /// Gives a place back. True if the lane is behind and has room again for a good part of what waits.
    pub(crate) fn give_back(
        &mut self,
        destination: DestinationId,
        bytes: usize,
        has_begun: bool,
        now: Instant,
    ) -> bool {
        self.places = self.places.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(lane) = self.by_destination.get_mut(&destination) else {
            return false;
        };
        lane.places = lane.places.saturating_sub(1);
        lane.bytes = lane.bytes.saturating_sub(bytes);
        lane.begun = lane.begun.saturating_sub(usize::from(has_begun));
        let wants_more = lane.wants_more(&self.limits, now);
        if wants_more {
            self.wanting.insert(destination);
        }
        self.forget(destination, now);
        wants_more
    }

    /// Lets a delivery that has a place wait for its turn. Once closed, or while nothing starts, gives it back.
    pub(crate) fn enqueue(&mut self, destination: DestinationId, waiting: T, now: Instant) -> Result<(), T> {
        if self.closed {
            return Err(waiting);
        }
        let lane = self.lane(destination, now);
        if let Stand::Open { .. } = lane.breaker.stand(now) {
            return Err(waiting);
        }
        lane.waiting.push_back(waiting);
        self.queue_up(destination);
        Ok(())
    }

    /// An attempt has ended, and said this of its receiver. Its place stays taken until it is recorded. Gives out what
    /// waits if nothing starts for now. `chance` was drawn from 0 to 1.
    pub(crate) fn ended(&mut self, turn: Turn, sign: Sign, now: Instant, chance: f64) -> Vec<T> {
        let destination = turn.destination;
        self.running = self.running.saturating_sub(1);
        let Some(lane) = self.by_destination.get_mut(&destination) else {
            return Vec::new();
        };
        lane.running = lane.running.saturating_sub(1);
        lane.used_at = now;
        let sign = lane.heeded(turn, sign);
        let before = lane.pace.repute();
        lane.pace.learn(sign);
        let after = lane.pace.repute();
        self.shares.ended(before, after, lane.running);
        if before != Repute::Prompt && after == Repute::Prompt && lane.has_turn {
            // Its turn may be kept until there is a share for it, and it needs none any more.
            self.turns.push_back(destination);
        }
        let stopped = match lane.breaker.end(turn.era, sign, now, chance) {
            Change::None => Vec::new(),
            Change::Closed => {
                lane.pace.came_back();
                Vec::new()
            }
            Change::Opened => lane.waiting.drain(..).collect(),
        };
        self.queue_up(destination);
        self.forget(destination, now);
        stopped
    }

    /// What may begin now, if anything.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Next<T>> {
        self.unpark(now);
        while !self.closed && self.running < self.limits.total_concurrency {
            let deferred = self.shares.next_deferred();
            let destination = deferred.or_else(|| self.turns.pop_front())?;
            let Some(lane) = self.by_destination.get_mut(&destination) else {
                continue;
            };
            lane.has_turn = false;
            let Some(first) = lane.waiting.front() else { continue };
            let (terms, changed_at) = (first.terms(), lane.changed_at);
            let repute = lane.pace.repute();
            let shall_wait = repute == Repute::Unknown && self.shares.is_crowded();
            let at_once = if terms.is_ordered || shall_wait {
                1
            } else {
                lane.pace.at_once()
            };
            let may_start = matches!(lane.breaker.stand(now), Stand::Closed | Stand::Ready);
            let is_changed = |waiting: &T| changed_at.is_some_and(|changed_at| waiting.read_at() <= changed_at);
            let is_stale = |waiting: &T| now.duration_since(waiting.known_at()) > FRESH_FOR || is_changed(waiting);
            // What was changed is read at once: it may be wanted elsewhere, or no more.
            let is_first_changed = is_changed(first);
            if lane.is_reading || !is_first_changed && (lane.running >= at_once || !may_start) {
                continue;
            }
            if !is_first_changed && !self.shares.has_room(repute) {
                lane.has_turn = true;
                self.shares.defer(destination, repute);
                continue;
            }
            if !is_first_changed && let Some(at) = lane.pace.next_token(terms.rate_limit, now) {
                self.has_new_first |= self.parked.first().is_none_or(|&(first, _)| at < first);
                self.parked.insert((at, destination));
                continue;
            }
            if is_stale(first) {
                let stale = lane.waiting.iter().take_while(|waiting| is_stale(waiting)).count();
                lane.is_reading = true;
                lane.reads_for_share = !is_first_changed && self.shares.reads(repute);
                return Some(Next::Reread(destination, lane.waiting.drain(..stale).collect()));
            }
            let first = lane.waiting.pop_front()?;
            lane.pace.take_token(now);
            lane.running += 1;
            lane.begun += 1;
            lane.used_at = now;
            self.running += 1;
            self.shares.began(repute);
            let (era, receiver) = (lane.breaker.start(), lane.receiver);
            self.queue_up(destination);
            let turn = Turn {
                destination,
                era,
                receiver,
            };
            return Some(Next::Start(turn, first));
        }
        None
    }

    /// When a lane that waits for a token may go on, the earliest of them.
    pub(crate) fn next_token(&self) -> Option<Instant> {
        self.parked.first().map(|&(at, _)| at)
    }

    /// Whether that came to be earlier since this was last asked.
    pub(crate) const fn waits_for_earlier_token(&mut self) -> bool {
        std::mem::replace(&mut self.has_new_first, false)
    }

    /// Where the breaker of a destination stands.
    pub(crate) fn breaker(&self, destination: DestinationId, now: Instant) -> Stand {
        let lane = self.by_destination.get(&destination);
        lane.map_or(Stand::Closed, |lane| lane.breaker.stand(now))
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

    fn unpark(&mut self, now: Instant) {
        while let Some(&(at, destination)) = self.parked.first()
            && at <= now
        {
            self.parked.pop_first();
            self.queue_up(destination);
        }
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

    /// The lane of a destination, a new one if need be.
    fn lane(&mut self, destination: DestinationId, now: Instant) -> &mut Lane<T> {
        if self.by_destination.len() >= self.crowd && !self.by_destination.contains_key(&destination) {
            self.by_destination.retain(|_, lane| !lane.is_ordinary(now));
            if self.by_destination.len() >= KNOWN {
                let is_slow = |lane: &Lane<T>| lane.pace.repute() == Repute::Slow;
                self.by_destination.retain(|_, lane| !lane.is_idle() || is_slow(lane));
            }
            if self.by_destination.len() >= KNOWN {
                self.by_destination.retain(|_, lane| !lane.is_idle());
            }
            self.crowd = KNOWN.max(self.by_destination.len() + KNOWN / 4);
        }
        let limits = &self.limits;
        self.by_destination
            .entry(destination)
            .or_insert_with(|| Lane::new(limits, now))
    }

    /// A lane in which nothing is isn't kept, unless its receiver must be spared.
    fn forget(&mut self, destination: DestinationId, now: Instant) {
        // Its turn, if it has one, finds nobody and passes.
        if self
            .by_destination
            .get(&destination)
            .is_some_and(|lane| lane.is_forgettable(now))
        {
            self.by_destination.remove(&destination);
        }
    }
}

#[cfg(test)]
mod tests;

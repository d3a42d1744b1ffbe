//! What may start, in turn, and within which limits.

use sensei_domain::RateLimit;
use serde_json::json;

use super::*;
use crate::transport::Strain;

mod receivers;
mod shares;

const LIMITS: Limits = Limits {
    lane_concurrency: 2,
    lane_capacity: 8,
    total_concurrency: 16,
    total_capacity: 64,
    total_bytes: 1_000,
    cool_down: Duration::from_secs(5),
};
const PATIENCE: Duration = Duration::from_secs(40);
const PLAIN: Terms = Terms {
    rate_limit: None,
    is_ordered: false,
};
const TIMED_OUT: Sign = Sign::Away(Some(Strain::TimedOut));

#[derive(Debug)]
struct Read(u32, Instant, Terms);

impl Waiting for Read {
    fn read_at(&self) -> Instant {
        self.1
    }

    fn known_at(&self) -> Instant {
        self.1
    }

    fn terms(&self) -> Terms {
        self.2
    }
}

fn lanes(limits: Limits) -> (Lanes<Read>, Instant) {
    (Lanes::new(limits, PATIENCE), Instant::now())
}

fn wide() -> Limits {
    Limits {
        lane_concurrency: 16,
        lane_capacity: 1_000,
        total_concurrency: 1_000,
        total_capacity: 10_000,
        ..LIMITS
    }
}

fn destination(number: u128) -> DestinationId {
    DestinationId::from_uuid(uuid::Uuid::from_u128(number))
}

fn filled(lanes: &mut Lanes<Read>, destination: DestinationId, numbers: std::ops::Range<u32>, at: Instant) {
    for number in numbers {
        assert!(lanes.take_new(destination, PLAIN, 1, at), "a place for {number}");
        lanes.enqueue(destination, Read(number, at, PLAIN), at).expect("open");
    }
}

/// All that may start now.
fn begun(lanes: &mut Lanes<Read>, now: Instant) -> Vec<(u32, Turn)> {
    std::iter::from_fn(|| match lanes.next(now)? {
        Next::Start(turn, Read(number, ..)) => Some((number, turn)),
        Next::Reread(..) => panic!("nothing is stale"),
    })
    .collect()
}

fn started(lanes: &mut Lanes<Read>, now: Instant) -> Vec<u32> {
    begun(lanes, now).into_iter().map(|(number, _)| number).collect()
}

/// An attempt that ends and is recorded.
fn end(lanes: &mut Lanes<Read>, turn: Turn, sign: Sign, now: Instant) -> usize {
    let stopped = lanes.ended(turn, sign, now, 0.0).len();
    lanes.give_back(turn.destination, 1, true, now);
    stopped
}

/// A lane whose breaker has just opened, with so many deliveries that wait in it; says how many were given out.
fn opened(lanes: &mut Lanes<Read>, destination: DestinationId, waiting: u32, now: Instant) -> usize {
    filled(lanes, destination, 0..10 + waiting, now);
    let (mut failed, mut stopped) = (0, 0);
    while failed < 10 {
        for (_, turn) in begun(lanes, now) {
            failed += 1;
            stopped += end(lanes, turn, Sign::Away(None), now);
        }
    }
    stopped
}

#[test]
fn lanes_start_in_turn_and_within_their_limits() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 3,
        ..LIMITS
    });
    for number in [1, 2] {
        filled(&mut lanes, destination(number), 0..1, now);
        let (_, turn) = begun(&mut lanes, now)[0];
        end(&mut lanes, turn, Sign::Delivered, now);
    }
    filled(&mut lanes, destination(1), 10..15, now);
    filled(&mut lanes, destination(2), 20..25, now);
    let first = begun(&mut lanes, now);
    let numbers = first.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(numbers, [10, 20, 11], "in turn, three in all");
    end(&mut lanes, first[0].1, Sign::Nothing, now);
    let next = begun(&mut lanes, now);
    assert_eq!(next[0].0, 21);
    end(&mut lanes, next[0].1, Sign::Nothing, now);
    end(&mut lanes, first[1].1, Sign::Nothing, now);
    assert_eq!(started(&mut lanes, now), [12, 22], "two a lane");
}

#[test]
fn a_full_lane_refuses_and_leaves_room_for_others() {
    let (mut lanes, now) = lanes(LIMITS);
    filled(&mut lanes, destination(1), 0..8, now);
    assert!(!lanes.take_new(destination(1), PLAIN, 1, now));
    assert!(lanes.take_new(destination(2), PLAIN, 1, now));
    let mut granted = 9;
    for number in 3..1_000 {
        let room = lanes.room(destination(number), now);
        assert!(number > 3 || room > 0);
        for _ in 0..room {
            granted += usize::from(lanes.take(destination(number), PLAIN, 1, now));
        }
    }
    assert!(granted <= 64, "never more than in all: {granted}");
    assert!(lanes.room(destination(3), now) == 0, "what is scarce is shared");
}

#[test]
fn whoever_fell_behind_takes_nothing_new_until_caught_up() {
    let (mut lanes, now) = lanes(LIMITS);
    filled(&mut lanes, destination(1), 0..6, now);
    lanes.fell_behind(destination(1), now);
    assert!(!lanes.take_new(destination(1), PLAIN, 1, now));
    let mut give_back = || lanes.give_back(destination(1), 1, false, now);
    assert_eq!(
        [give_back(), give_back(), give_back()],
        [false; 3],
        "three wait, for two attempts"
    );
    assert!(give_back(), "two: worth fetching");
    assert_eq!(
        (
            lanes.room(destination(1), now),
            lanes.room_to_fetch(destination(1), now)
        ),
        (6, 2),
        "not all that there is room for, but what will soon start"
    );
    lanes.caught_up(destination(1), now);
    assert!(lanes.take_new(destination(1), PLAIN, 1, now));
}

#[test]
fn a_round_tells_only_of_who_fell_behind_before_it() {
    let (mut lanes, now) = lanes(LIMITS);
    let (began, ended) = (now + Duration::from_secs(1), now + Duration::from_secs(3));
    lanes.fell_behind(destination(1), now);
    lanes.fell_behind(destination(2), now);
    lanes.fell_behind(destination(2), now + Duration::from_secs(2));
    lanes.round_ended(began, ended);
    assert!(lanes.take_new(destination(1), PLAIN, 1, ended), "nothing was due");
    assert!(
        !lanes.take_new(destination(2), PLAIN, 1, ended),
        "that came behind the round's back"
    );
    lanes.round_ended(ended, ended);
    assert!(lanes.take_new(destination(2), PLAIN, 1, ended));
}

#[test]
fn what_wants_more_is_told_once_and_in_parts() {
    let (mut lanes, now) = lanes(LIMITS);
    filled(&mut lanes, destination(1), 0..1, now);
    lanes.fell_behind(destination(1), now);
    assert!(lanes.wanting(8).is_empty());
    assert!(lanes.give_back(destination(1), 1, false, now));
    lanes.wants(destination(1));
    lanes.wants(destination(2));
    assert_eq!(lanes.wanting(1).len() + lanes.wanting(8).len(), 2);
    assert!(lanes.wanting(8).is_empty());
}

#[test]
fn what_was_read_long_ago_or_before_a_change_is_read_again() {
    let (mut lanes, begin) = lanes(LIMITS);
    filled(&mut lanes, destination(1), 0..3, begin);
    let later = begin + Duration::from_millis(1_500);
    filled(&mut lanes, destination(1), 3..4, later);
    let Some(Next::Reread(_, stale)) = lanes.next(later) else {
        panic!("three are stale")
    };
    assert_eq!(stale.iter().map(|read| read.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lanes.next(later).is_none(), "nothing starts meanwhile");
    let fresh = stale.into_iter().filter(|read| read.0 != 1);
    let fresh = fresh.map(|Read(number, _, terms)| Read(number, later, terms)).collect();
    lanes.reread(destination(1), fresh, later).expect("open");
    let first = begun(&mut lanes, later);
    assert_eq!((first[0].0, first[1].0), (0, 2));
    lanes.changed(destination(1), later);
    end(&mut lanes, first[0].1, Sign::Nothing, later);
    assert!(matches!(lanes.next(later), Some(Next::Reread(_, stale)) if stale[0].0 == 3));
}

/// Else a database that takes longer than that would keep everything from being attempted.
#[test]
fn what_took_long_to_read_is_fresh_when_it_was_read_but_knows_no_change_since_it_began() {
    #[derive(Debug)]
    struct Slow {
        begun: Instant,
        ended: Instant,
    }
    impl Waiting for Slow {
        fn read_at(&self) -> Instant {
            self.begun
        }

        fn known_at(&self) -> Instant {
            self.ended
        }

        fn terms(&self) -> Terms {
            PLAIN
        }
    }
    let begun = Instant::now();
    let (changed, ended) = (begun + Duration::from_secs(2), begun + Duration::from_secs(5));
    for (changed, is_fresh) in [(None, true), (Some(changed), false)] {
        let mut lanes = Lanes::new(LIMITS, PATIENCE);
        assert!(lanes.take_new(destination(1), PLAIN, 1, begun));
        if let Some(changed) = changed {
            lanes.changed(destination(1), changed);
        }
        lanes
            .enqueue(destination(1), Slow { begun, ended }, ended)
            .expect("open");
        let starts = matches!(lanes.next(ended), Some(Next::Start(..)));
        assert_eq!(starts, is_fresh, "{changed:?}");
    }
}

#[test]
fn nothing_starts_once_closed() {
    let (mut lanes, now) = lanes(LIMITS);
    filled(&mut lanes, destination(1), 0..3, now);
    assert!(matches!(lanes.next(now), Some(Next::Start(_, Read(0, ..)))));
    assert_eq!(lanes.close().len(), 2);
    assert!(lanes.next(now).is_none());
    assert!(!lanes.take_new(destination(2), PLAIN, 1, now));
    for _ in 0..3 {
        lanes.give_back(destination(1), 1, false, now);
    }
    assert!(lanes.is_empty());
}

#[test]
fn a_limited_lane_waits_for_its_tokens_and_takes_in_what_can_start_soon() {
    let (mut lanes, begin) = lanes(wide());
    let limit = RateLimit::from_json(&json!({"requests": 1, "per": "second", "burst": 2}), "").expect("a limit");
    let terms = Terms {
        rate_limit: Some(limit),
        is_ordered: false,
    };
    let mut taken = 0;
    while lanes.take_new(destination(1), terms, 1, begin) {
        lanes
            .enqueue(destination(1), Read(taken, begin, terms), begin)
            .expect("open");
        taken += 1;
        started(&mut lanes, begin);
    }
    assert_eq!(taken, 22, "two at once, then what starts within half of the patience");
    assert_eq!(lanes.next_token(), Some(begin + Duration::from_secs(1)));
    assert!(lanes.waits_for_earlier_token() && !lanes.waits_for_earlier_token());
    let almost = begin + Duration::from_millis(999);
    assert!(lanes.next(almost).is_none());
    assert!(matches!(
        lanes.next(begin + Duration::from_secs(1)),
        Some(Next::Start(..))
    ));
    assert!(lanes.next(begin + Duration::from_secs(1)).is_none());
    assert_eq!(lanes.room(destination(1), begin + Duration::from_secs(1)), 1);

    lanes.changed(destination(1), begin + Duration::from_secs(1));
    let next = lanes.next(begin + Duration::from_secs(1));
    assert!(
        matches!(next, Some(Next::Reread(..))),
        "a changed limit is read at once"
    );
}

#[test]
fn an_emptied_lane_keeps_its_rate() {
    let (mut lanes, now) = lanes(wide());
    let limit = RateLimit::from_json(&json!({"requests": 1, "per": "minute"}), "").expect("a limit");
    let terms = Terms {
        rate_limit: Some(limit),
        is_ordered: false,
    };
    assert!(lanes.take_new(destination(1), terms, 1, now));
    lanes.enqueue(destination(1), Read(0, now, terms), now).expect("open");
    let (_, turn) = begun(&mut lanes, now)[0];
    end(&mut lanes, turn, Sign::Delivered, now);
    assert!(!lanes.take_new(destination(1), terms, 1, now + Duration::from_secs(39)));
    assert!(
        lanes.take_new(destination(1), terms, 1, now + Duration::from_secs(40)),
        "twenty seconds are soon"
    );
    let later = now + Duration::from_mins(1);
    lanes.give_back(destination(1), 1, false, later);
    lanes.round_ended(later, later + Duration::from_hours(1));
    assert!(lanes.by_destination.is_empty());
}

#[test]
fn bodies_in_memory_are_bounded_and_one_that_is_alone_fits() {
    let (mut lanes, now) = lanes(wide());
    assert!(
        lanes.take(destination(1), PLAIN, 5_000, now),
        "larger than all, but alone"
    );
    assert!(!lanes.take(destination(2), PLAIN, 1, now) && lanes.room(destination(2), now) == 0);
    lanes.give_back(destination(1), 5_000, false, now);
    let mut taken = 0;
    while lanes.take(destination(1), PLAIN, 10, now) {
        taken += 10;
    }
    assert_eq!(taken, 200, "a lane leaves four times as much as it takes");
    let mut all = taken;
    for number in 2..200 {
        while lanes.take(destination(number), PLAIN, 10, now) {
            all += 10;
        }
    }
    assert!(all <= 1_000, "{all}");
    assert_eq!(lanes.bytes, all);
}

#[test]
fn an_ordered_lane_takes_nothing_new_and_one_at_a_time() {
    let (mut lanes, now) = lanes(wide());
    let terms = Terms {
        rate_limit: None,
        is_ordered: true,
    };
    assert!(!lanes.take_new(destination(1), terms, 1, now));
    lanes.fell_behind(destination(1), now);
    assert!(lanes.take(destination(1), terms, 1, now) && !lanes.take(destination(1), terms, 1, now));
    lanes.enqueue(destination(1), Read(0, now, terms), now).expect("open");
    let (_, turn) = begun(&mut lanes, now)[0];
    lanes.ended(turn, Sign::Delivered, now, 0.0);
    assert!(!lanes.take(destination(1), terms, 1, now), "not before it is recorded");
    assert!(
        lanes.give_back(destination(1), 1, true, now),
        "the sweeper is told at once"
    );
    assert!(lanes.take(destination(1), terms, 1, now));
}

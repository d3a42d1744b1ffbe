//! What is known of a receiver: how many attempts at once it stands, and when it is away or wants nothing.

use super::*;

#[test]
fn attempts_at_once_go_up_with_successes_and_are_never_above_the_limit() {
    let (mut lanes, now) = lanes(wide());
    filled(&mut lanes, destination(1), 0..150, now);
    let mut running = begun(&mut lanes, now);
    assert_eq!(running.len(), 4, "few at first");
    let mut most = 0;
    while let Some((_, turn)) = running.pop() {
        end(&mut lanes, turn, Sign::Delivered, now);
        running.extend(begun(&mut lanes, now));
        most = most.max(running.len());
        assert!(running.len() <= 16, "never above the limit, not by one");
    }
    assert_eq!(most, 16);
    assert!(lanes.is_empty());
    lanes.round_ended(now, now + Duration::from_hours(1));
    assert!(lanes.by_destination.is_empty(), "nobody sends there any more");
}

#[test]
fn what_is_known_of_a_receiver_is_kept_for_an_hour() {
    let (mut lanes, mut now) = lanes(wide());
    filled(&mut lanes, destination(1), 0..1, now);
    let (_, turn) = begun(&mut lanes, now)[0];
    end(&mut lanes, turn, TIMED_OUT, now);
    assert!(lanes.is_empty() && lanes.by_destination.len() == 1);
    filled(&mut lanes, destination(1), 0..5, now);
    let mut turns = begun(&mut lanes, now);
    assert_eq!(turns.len(), 1, "one at a time after a timeout");
    while let Some((_, turn)) = turns.pop() {
        end(&mut lanes, turn, Sign::Delivered, now);
        turns.extend(begun(&mut lanes, now));
    }
    now += Duration::from_hours(1);
    lanes.round_ended(now, now);
    assert!(lanes.by_destination.is_empty());

    filled(&mut lanes, destination(2), 0..1, now);
    let (_, turn) = begun(&mut lanes, now)[0];
    end(&mut lanes, turn, TIMED_OUT, now);
    lanes.round_ended(now, now + Duration::from_mins(59));
    assert_eq!(lanes.by_destination.len(), 1);
    lanes.round_ended(now, now + Duration::from_hours(1));
    assert!(lanes.by_destination.is_empty(), "nobody sends there any more");
}

#[test]
fn the_memory_of_receivers_is_bounded_and_those_in_trouble_are_kept_the_longest() {
    let (mut lanes, now) = lanes(wide());
    let mut send = |number: u128, sign| {
        filled(&mut lanes, destination(number), 0..1, now);
        let (_, turn) = begun(&mut lanes, now)[0];
        end(&mut lanes, turn, sign, now);
        lanes.by_destination.len()
    };
    send(0, TIMED_OUT);
    let mut known = 0;
    for number in 1..=KNOWN as u128 {
        known = send(number, Sign::Delivered);
    }
    assert_eq!(known, 2, "those that are well went, to make room for the last one");
    for number in 0..KNOWN as u128 + 500 {
        known = send(number, TIMED_OUT);
    }
    assert!(known <= KNOWN + KNOWN / 4);
}

#[test]
fn a_receiver_that_wants_nothing_for_a_time_gets_nothing() {
    let (mut lanes, now) = lanes(wide());
    let of = destination(1);
    filled(&mut lanes, of, 0..10, now);
    let first = begun(&mut lanes, now);
    assert_eq!(first.len(), 4);
    end(&mut lanes, first[0].1, Sign::Delivered, now);
    let short = Duration::from_millis(500);
    assert!(
        lanes.pause(first[0].1, short, now).is_empty(),
        "what can start in time stays"
    );
    assert!(
        lanes.pause(first[0].1, short / 2, now).is_empty(),
        "a shorter one changes nothing"
    );
    assert!(started(&mut lanes, now + Duration::from_millis(499)).is_empty());
    assert_eq!(lanes.next_token(), Some(now + short));
    assert_eq!(started(&mut lanes, now + short), [4, 5]);

    assert_eq!(
        lanes.pause(first[0].1, PATIENCE, now + short).len(),
        4,
        "what can't is given back"
    );
    let rested = now + short + PATIENCE;
    assert_eq!(lanes.room(of, now + short), 0);
    assert!(lanes.room(of, now + short + PATIENCE / 2) > 0, "in time for its end");
    let too_long = Duration::from_hours(24);
    lanes.pause(first[0].1, too_long, rested);
    assert!(
        lanes.room(of, rested + Duration::from_mins(5)) > 0,
        "then it is asked again"
    );
    // What is known of it stays until the rest is over.
    for (_, turn) in first.into_iter().skip(1) {
        end(&mut lanes, turn, Sign::Delivered, rested);
    }
    assert_eq!(lanes.room(of, rested), 0);
}

#[test]
fn a_receiver_that_is_away_gets_nothing_until_one_probe_finds_it_back() {
    let (mut lanes, now) = lanes(wide());
    let (away, other) = (destination(1), destination(2));
    assert!(lanes.take_new(away, PLAIN, 1, now), "a place taken before it opens");
    // Four at a time: two run beside the tenth that fails.
    assert_eq!(opened(&mut lanes, away, 7, now), 5, "what waits is given out");
    for _ in 0..5 {
        lanes.give_back(away, 1, false, now);
    }
    assert!(
        lanes.enqueue(away, Read(0, now, PLAIN), now).is_err(),
        "and so is what comes late"
    );
    lanes.give_back(away, 1, false, now);
    lanes.fell_behind(away, now);
    assert_eq!((lanes.room(away, now), lanes.take_new(away, PLAIN, 1, now)), (0, false));
    filled(&mut lanes, other, 0..1, now);
    assert_eq!(started(&mut lanes, now), [0], "another has nothing of it");

    let later = now + LIMITS.cool_down;
    assert_eq!(lanes.room(away, later), 1, "one, to try");
    assert!(lanes.take(away, PLAIN, 1, later) && !lanes.take(away, PLAIN, 1, later));
    lanes.enqueue(away, Read(0, later, PLAIN), later).expect("ready");
    let (_, probe) = begun(&mut lanes, later)[0];
    assert_eq!(
        (lanes.breaker(away, later), lanes.room(away, later)),
        (Stand::Probing, 0)
    );
    assert!(lanes.ended(probe, Sign::Delivered, later, 0.0).is_empty());
    assert!(lanes.give_back(away, 1, true, later), "the sweeper is to fetch more");
    lanes.caught_up(away, later);
    filled(&mut lanes, away, 0..50, later);
    assert_eq!(started(&mut lanes, later).len(), 2, "no herd");
}

#[test]
fn a_receiver_that_may_be_back_is_tried_at_once() {
    let (mut lanes, now) = lanes(wide());
    let away = destination(1);
    opened(&mut lanes, away, 0, now);
    assert_eq!(lanes.room(away, now), 0);
    lanes.may_be_back(away, now);
    assert_eq!(lanes.room(away, now), 1, "one, to try");
}

#[test]
fn what_is_said_by_the_receiver_before_is_not_said_by_the_one_after() {
    let (mut lanes, now) = lanes(wide());
    let of = destination(1);
    filled(&mut lanes, of, 0..10, now);
    let before = begun(&mut lanes, now);
    let [(_, hangs), (_, has_enough), (_, times_out), (_, is_away)] = before[..] else {
        panic!("four at once: {before:?}");
    };
    lanes.pause(has_enough, Duration::from_millis(500), now);
    end(&mut lanes, times_out, Sign::Away(Some(Strain::TimedOut)), now);
    assert!(started(&mut lanes, now).is_empty(), "it rests, and one hangs");
    lanes.receiver_changed(of, now);
    assert_eq!(started(&mut lanes, now), [4], "beside the three that are under way");

    assert!(lanes.pause(has_enough, PATIENCE, now).is_empty());
    for turn in [hangs, has_enough, is_away] {
        end(&mut lanes, turn, Sign::Away(Some(Strain::TimedOut)), now);
    }
    assert_eq!(started(&mut lanes, now), [5, 6, 7], "four at once, as it was left");
}

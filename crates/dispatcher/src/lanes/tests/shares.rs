//! Shares of all attempts: who may hang leaves some to those that answer.

use super::*;

#[test]
fn receivers_that_time_out_leave_half_of_all_attempts_to_the_others() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 8,
        ..wide()
    });
    for number in 0..20 {
        filled(&mut lanes, destination(number), 0..1, now);
        let (_, turn) = begun(&mut lanes, now)[0];
        end(&mut lanes, turn, TIMED_OUT, now);
    }
    for number in 0..20 {
        filled(&mut lanes, destination(number), 100..102, now);
    }
    let slow = begun(&mut lanes, now);
    assert_eq!(slow.len(), 4, "half of eight");
    filled(&mut lanes, destination(50), 0..4, now);
    let well = begun(&mut lanes, now);
    assert_eq!(
        well.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [0],
        "nothing is known of it yet"
    );
    // Whatever ends, in whatever order: all get their turn, and the share is kept.
    let (mut running, mut ended, mut others) = ([slow, well].concat(), 0, 4);
    while let Some((_, turn)) = running.pop() {
        let is_slow = turn.destination != destination(50);
        end(&mut lanes, turn, if is_slow { TIMED_OUT } else { Sign::Delivered }, now);
        ended += 1;
        running.extend(begun(&mut lanes, now));
        let slow = running
            .iter()
            .filter(|(_, turn)| turn.destination != destination(50))
            .count();
        assert!(slow <= 4 && lanes.shares.slow == slow, "{slow} {}", lanes.shares.slow);
        others -= usize::from(!is_slow);
    }
    assert_eq!((ended, others, lanes.shares.slow), (44, 0, 0));
}

#[test]
fn receivers_of_which_nothing_is_known_leave_a_quarter_of_all_attempts_to_those_that_answer() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 8,
        ..wide()
    });
    filled(&mut lanes, destination(1), 0..1, now);
    let (_, turn) = begun(&mut lanes, now)[0];
    end(&mut lanes, turn, Sign::Delivered, now);
    for number in 10..30 {
        filled(&mut lanes, destination(number), 0..4, now);
    }
    let unknown = begun(&mut lanes, now);
    let lanes_of = unknown
        .iter()
        .map(|(_, turn)| turn.destination)
        .collect::<BTreeSet<_>>();
    assert_eq!(
        (unknown.len(), lanes_of.len()),
        (6, 6),
        "three quarters of eight, one each"
    );
    filled(&mut lanes, destination(1), 1..9, now);
    let known = begun(&mut lanes, now);
    assert!(known.len() == 2 && known.iter().all(|(_, turn)| turn.destination == destination(1)));
    // One that answers has its part in what is left to those that do.
    end(&mut lanes, unknown[0].1, Sign::Refuses, now);
    let next = begun(&mut lanes, now);
    assert_eq!(next.len(), 1);
    for (_, turn) in known {
        end(&mut lanes, turn, Sign::Delivered, now);
    }
    assert_eq!(begun(&mut lanes, now).len(), 2);
}

#[test]
fn who_is_met_for_the_first_time_does_not_wait_for_three_hundred_that_hang() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 1_024,
        total_bytes: 1_000_000,
        ..wide()
    });
    for number in 1..=300 {
        filled(&mut lanes, destination(number), 0..8, now);
        begun(&mut lanes, now);
    }
    filled(&mut lanes, destination(1_000), 0..1, now);
    assert_eq!(begun(&mut lanes, now).len(), 1);
}

#[test]
fn a_share_that_is_free_has_one_lane_read_again_and_not_all_that_wait_for_it() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 8,
        ..wide()
    });
    for number in 0..20 {
        filled(&mut lanes, destination(number), 0..1, now);
    }
    let unknown = begun(&mut lanes, now);
    assert_eq!(unknown.len(), 6);
    let later = now + Duration::from_mins(1);
    end(&mut lanes, unknown[0].1, TIMED_OUT, later);
    let Some(Next::Reread(read, stale)) = lanes.next(later) else {
        panic!("what waited is stale")
    };
    assert!(lanes.next(later).is_none(), "the share is taken meanwhile");
    // It was taken by somebody else: the next in turn gets the share.
    assert_eq!(stale.len(), 1);
    lanes.reread(read, Vec::new(), later).expect("open");
    let Some(Next::Reread(read, stale)) = lanes.next(later) else {
        panic!("the next")
    };
    let fresh = stale
        .into_iter()
        .map(|Read(number, _, terms)| Read(number, later, terms));
    lanes.reread(read, fresh.collect(), later).expect("open");
    assert!(matches!(lanes.next(later), Some(Next::Start(turn, _)) if turn.destination == read));
    assert!(lanes.next(later).is_none());
}

#[test]
fn a_share_is_given_back_by_a_lane_of_which_nothing_is_left_when_it_was_read() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 1,
        ..wide()
    });
    filled(&mut lanes, destination(1), 0..1, now);
    let later = now + Duration::from_mins(1);
    let Some(Next::Reread(read, _)) = lanes.next(later) else {
        panic!("what waited is stale")
    };
    // It is too late for all of it.
    lanes.give_back(read, 1, false, later);
    lanes.reread(read, Vec::new(), later).expect("open");
    filled(&mut lanes, destination(2), 0..1, later);
    assert_eq!(begun(&mut lanes, later).len(), 1);
    assert_eq!(lanes.by_destination.len(), 1, "the first is forgotten");
}

#[test]
fn a_receiver_that_answers_again_waits_for_no_share() {
    let (mut lanes, now) = lanes(Limits {
        total_concurrency: 8,
        ..wide()
    });
    let ends_as = |lanes: &mut Lanes<Read>, number: u128, sign: Sign| {
        filled(lanes, destination(number), 0..1, now);
        let (_, turn) = begun(lanes, now)[0];
        end(lanes, turn, sign, now);
    };
    for number in 0..6 {
        ends_as(&mut lanes, number, TIMED_OUT);
    }
    // Three at once by now, and slow until one more has succeeded.
    for _ in 0..2 {
        ends_as(&mut lanes, 0, Sign::Delivered);
    }
    for number in 0..4 {
        filled(&mut lanes, destination(number), 1..2, now);
    }
    let running = begun(&mut lanes, now);
    assert_eq!(running.len(), 4, "the half that slow receivers may have");
    for number in [4, 5, 0] {
        filled(&mut lanes, destination(number), 2..4, now);
    }
    assert!(begun(&mut lanes, now).is_empty());
    let (_, turn) = running[0];
    assert_eq!(turn.destination, destination(0));
    end(&mut lanes, turn, Sign::Delivered, now);
    let next = begun(&mut lanes, now);
    let of_it = next.iter().filter(|(_, turn)| turn.destination == destination(0));
    assert_eq!(
        (of_it.count(), next.len()),
        (2, 3),
        "and one of those before it, by the share that it had"
    );
}

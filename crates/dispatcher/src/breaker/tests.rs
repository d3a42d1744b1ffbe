//! When a breaker opens, what its probe decides, and what never happens.

use proptest::prelude::*;

use super::*;

const FIRST: Duration = Duration::from_secs(5);
const AWAY: Sign = Sign::Away(None);

/// Results in their order, each so long after the one before.
fn after(results: &[(Sign, u64)]) -> (Breaker, Instant, bool) {
    let begin = Instant::now();
    let (mut breaker, mut now, mut has_opened) = (Breaker::new(FIRST, begin), begin, false);
    for &(sign, millis) in results {
        now += Duration::from_millis(millis);
        let era = breaker.start();
        if breaker.end(era, sign, now, 0.0) == Change::Opened {
            has_opened = true;
            break;
        }
    }
    (breaker, now, has_opened)
}

fn repeat(part: &[(Sign, u64)], times: usize) -> Vec<(Sign, u64)> {
    part.repeat(times)
}

#[test]
fn it_opens_on_a_streak_or_on_half_of_a_minute() {
    let (good, refuses, nothing) = (Sign::Delivered, Sign::Refuses, Sign::Nothing);
    let half = [(good, 100), (AWAY, 100)];
    let cases = [
        ("nine in a row", repeat(&[(AWAY, 1)], 9), false),
        ("ten in a row", repeat(&[(AWAY, 1)], 10), true),
        ("ten in a row, one an hour", repeat(&[(AWAY, 3_600_000)], 10), true),
        (
            "a success between",
            [repeat(&[(AWAY, 1)], 9), vec![(good, 1)], repeat(&[(AWAY, 1)], 9)].concat(),
            false,
        ),
        (
            "a refusal between",
            [repeat(&[(AWAY, 1)], 9), vec![(refuses, 1)], repeat(&[(AWAY, 1)], 9)].concat(),
            false,
        ),
        (
            "what says nothing breaks no streak",
            repeat(&[(AWAY, 1), (nothing, 1)], 10),
            true,
        ),
        (
            "an answer that doesn't end between",
            [
                repeat(&[(AWAY, 1)], 9),
                vec![(Sign::Dawdles, 1)],
                repeat(&[(AWAY, 1)], 9),
            ]
            .concat(),
            false,
        ),
        ("what says nothing", repeat(&[(nothing, 1)], 100), false),
        ("half, but few", repeat(&half, 9), false),
        ("half of twenty", repeat(&half, 10), true),
        (
            "half, but over more than a minute",
            repeat(&[(good, 4_000), (AWAY, 4_000)], 50),
            false,
        ),
        ("a third", repeat(&[(good, 10), (good, 10), (AWAY, 10)], 100), false),
        ("all good", repeat(&[(good, 1)], 1_000), false),
        ("all refused", repeat(&[(refuses, 1)], 1_000), false),
    ];
    for (what, results, opens) in cases {
        assert_eq!(after(&results).2, opens, "{what}");
    }
}

#[test]
fn nothing_starts_while_it_is_open_and_then_one_probe_decides() {
    let (mut breaker, opened_at, _) = after(&repeat(&[(AWAY, 1)], 10));
    let until = opened_at + FIRST;
    assert_eq!(
        breaker.stand(until.checked_sub(Duration::from_millis(1)).expect("later")),
        Stand::Open { until }
    );
    assert_eq!(breaker.stand(until), Stand::Ready);
    let probe = breaker.start();
    assert_eq!(breaker.stand(until), Stand::Probing, "nothing beside the probe");
    assert_eq!(breaker.end(probe, Sign::Refuses, until, 0.0), Change::Closed);
    assert_eq!(
        (breaker.stand(until), breaker.is_ordinary(until)),
        (Stand::Closed, true)
    );
}

#[test]
fn it_stays_open_for_twice_as_long_up_to_a_minute_and_never_by_the_beat() {
    let (mut breaker, mut now, _) = after(&repeat(&[(AWAY, 1)], 10));
    let mut lengths = Vec::new();
    for chance in [0.0, 0.0, 0.0, 0.0, 1.0, 0.5] {
        let Stand::Open { until } = breaker.stand(now) else {
            panic!("open")
        };
        lengths.push((until - now).as_secs());
        now = until;
        let probe = breaker.start();
        assert_eq!(breaker.end(probe, AWAY, now, chance), Change::Opened);
    }
    let Stand::Open { until } = breaker.stand(now) else {
        panic!("open")
    };
    lengths.push((until - now).as_secs());
    assert_eq!(lengths, [5, 10, 20, 40, 60, 72, 66]);
}

#[test]
fn a_probe_that_says_nothing_makes_way_for_another() {
    let (mut breaker, opened_at, _) = after(&repeat(&[(AWAY, 1)], 10));
    let now = opened_at + FIRST;
    let probe = breaker.start();
    assert_eq!(breaker.end(probe, Sign::Nothing, now, 0.0), Change::None);
    assert_eq!(breaker.stand(now), Stand::Ready);
    let second = breaker.start();
    assert_eq!(
        breaker.end(probe, Sign::Delivered, now, 0.0),
        Change::None,
        "the first has had its say"
    );
    assert_eq!(breaker.end(second, AWAY, now, 0.0), Change::Opened);
    let Stand::Open { until } = breaker.stand(now) else {
        panic!("open")
    };
    assert_eq!((until - now).as_secs(), 10);
}

#[test]
fn a_probe_that_we_fail_is_followed_by_a_pause_that_does_not_grow() {
    let (mut breaker, opened_at, _) = after(&repeat(&[(AWAY, 1)], 10));
    let mut now = opened_at + FIRST;
    for chance in [0.0, 1.0, 0.0] {
        let probe = breaker.start();
        assert_eq!(breaker.end(probe, Sign::Ours, now, chance), Change::Opened);
        let until = now + FIRST.mul_f64(1.0 + SPREAD * chance);
        assert_eq!(breaker.stand(now), Stand::Open { until });
        now = until;
        assert_eq!(breaker.stand(now), Stand::Ready);
    }
    let probe = breaker.start();
    assert_eq!(breaker.end(probe, AWAY, now, 0.0), Change::Opened);
    assert_eq!(
        breaker.stand(now),
        Stand::Open { until: now + FIRST * 2 },
        "the receiver's own time goes on where it was"
    );
}

#[test]
fn what_began_before_it_opened_has_no_say() {
    let now = Instant::now();
    let mut breaker = Breaker::new(FIRST, now);
    let stragglers = [breaker.start(), breaker.start()];
    for _ in 0..10 {
        let era = breaker.start();
        breaker.end(era, AWAY, now, 0.0);
    }
    assert_eq!(breaker.end(stragglers[0], Sign::Delivered, now, 0.0), Change::None);
    assert!(matches!(breaker.stand(now), Stand::Open { .. }));
    let probe = breaker.start();
    breaker.end(probe, Sign::Delivered, now + FIRST, 0.0);
    breaker.end(stragglers[1], AWAY, now + FIRST, 0.0);
    assert!(breaker.is_ordinary(now + FIRST));
}

#[test]
fn failures_are_forgotten_after_their_minute() {
    let (breaker, now, _) = after(&[(AWAY, 1), (Sign::Delivered, 1)]);
    assert!(!breaker.is_ordinary(now));
    assert!(breaker.is_ordinary(now + WINDOW));
    let (breaker, now, _) = after(&[(AWAY, 1)]);
    assert!(!breaker.is_ordinary(now + WINDOW), "a streak is kept");
}

#[test]
fn what_may_be_back_is_probed_at_once_and_what_was_under_way_has_no_say() {
    let (mut breaker, now, _) = after(&repeat(&[(AWAY, 1)], 10));
    assert!(matches!(breaker.stand(now), Stand::Open { .. }));
    breaker.may_be_back(now);
    let before = breaker.start();
    assert_eq!(breaker.stand(now), Stand::Probing);
    breaker.may_be_back(now);
    assert_eq!(breaker.stand(now), Stand::Ready, "it was probed before it was mended");
    assert_eq!(breaker.end(before, AWAY, now, 0.0), Change::None);
    let probe = breaker.start();
    assert_eq!(breaker.end(probe, Sign::Delivered, now, 0.0), Change::Closed);

    let (mut breaker, now, _) = after(&repeat(&[(AWAY, 1)], 9));
    let before = breaker.start();
    breaker.may_be_back(now);
    assert_eq!(breaker.end(before, AWAY, now, 0.0), Change::None);
    assert_eq!(breaker.stand(now), Stand::Closed);
}

proptest! {
    /// However results come: an open breaker lets nothing start in its time, there is one probe at most, the time is
    /// bounded, and a receiver that is back is found.
    #[test]
    fn never_two_probes_never_for_ever(steps in proptest::collection::vec((0..6_u8, 0..20_000_u64, 0.0..=1.0_f64), 1..400)) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(FIRST, now);
        let mut under_way = Vec::new();
        for (step, millis, chance) in steps {
            now += Duration::from_millis(millis);
            let sign = match step {
                0 => Sign::Delivered,
                1 => Sign::Nothing,
                2 | 3 => AWAY,
                4 => Sign::Ours,
                _ => {
                    if matches!(breaker.stand(now), Stand::Closed | Stand::Ready) {
                        let is_probe = breaker.stand(now) == Stand::Ready;
                        under_way.push((breaker.start(), is_probe));
                        if is_probe {
                            prop_assert_eq!(breaker.stand(now), Stand::Probing);
                        }
                    }
                    continue;
                }
            };
            let before = breaker.stand(now);
            let Some((era, _)) = under_way.pop() else { continue };
            let change = breaker.end(era, sign, now, chance);
            match breaker.stand(now) {
                Stand::Open { until } => {
                    prop_assert!(until - now <= (FIRST * LONGEST).mul_f64(1.0 + SPREAD));
                }
                Stand::Closed => prop_assert!(before == Stand::Closed || change == Change::Closed),
                Stand::Ready | Stand::Probing => {}
            }
            if change == Change::Closed {
                prop_assert_eq!(before, Stand::Probing);
            }
        }
        now += (FIRST * LONGEST).mul_f64(1.0 + SPREAD);
        for (era, _) in under_way {
            breaker.end(era, Sign::Nothing, now, 0.0);
        }
        if breaker.stand(now) == Stand::Ready {
            let probe = breaker.start();
            prop_assert_eq!(breaker.end(probe, Sign::Delivered, now, 0.0), Change::Closed);
        }
        prop_assert_eq!(breaker.stand(now), Stand::Closed);
    }
}

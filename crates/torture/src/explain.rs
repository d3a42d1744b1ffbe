//! Whether each request that a receiver got is in the log, or was cut off from it by a crash that we made.
//!
//! In one life of the process, an attempt of a delivery is either recorded or still on its way when the life ends:
//! one at most, since a delivery has one attempt at a time and an outcome keeps its place until it is stored. So a
//! request that no attempt tells of is explained by the kill that ended its life, and by nothing else.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of one event in one life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Requests that came to the receiver.
    pub(crate) requests: usize,
    /// Attempts in the log that had an answer: each had a request.
    pub(crate) answered: usize,
    /// Attempts in the log without an answer: the request may not have come.
    pub(crate) unanswered: usize,
}

/// One life of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// Whether it ended without time to store what was on its way.
    pub(crate) is_cut: bool,
    /// By the event's id.
    pub(crate) events: BTreeMap<String, Told>,
}

/// What the lives come to.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// Requests without an attempt that a crash explains, by event.
    pub(crate) unrecorded: BTreeMap<String, usize>,
    /// What nothing explains, in words.
    pub(crate) wrong: Vec<String>,
}

/// Looks at each event in each life.
pub(crate) fn explain(lives: &[Life]) -> Explained {
    let mut explained = Explained::default();
    for (number, life) in lives.iter().enumerate() {
        for (event, told) in &life.events {
            let Told {
                requests,
                answered,
                unanswered,
            } = *told;
            let unrecorded = requests.saturating_sub(answered + unanswered);
            if requests < answered {
                explained.wrong.push(format!(
                    "life {number}, event {event}: {answered} attempts had an answer, {requests} requests came"
                ));
            } else if unrecorded > usize::from(life.is_cut) {
                let end = if life.is_cut {
                    "one was cut off"
                } else {
                    "it ended in peace"
                };
                explained.wrong.push(format!(
                    "life {number}, event {event}: {requests} requests, {} attempts, and {end}",
                    answered + unanswered
                ));
            } else if unrecorded > 0 {
                *explained.unrecorded.entry(event.clone()).or_default() += unrecorded;
            }
        }
    }
    explained
}

/// What a life adds: the requests that came in it, and the attempts that the log has now and hadn't before it.
pub(crate) fn added(
    requests: &BTreeMap<String, usize>,
    before: &BTreeMap<String, (usize, usize)>,
    now: &BTreeMap<String, (usize, usize)>,
) -> Result<BTreeMap<String, Told>, String> {
    let events = requests.keys().chain(now.keys()).chain(before.keys());
    let mut added = BTreeMap::new();
    for event in events.collect::<BTreeSet<_>>() {
        let of = |attempts: &BTreeMap<String, (usize, usize)>| attempts.get(event).copied().unwrap_or_default();
        let ((answered, unanswered), before) = (of(now), of(before));
        let (Some(answered), Some(unanswered)) = (answered.checked_sub(before.0), unanswered.checked_sub(before.1))
        else {
            return Err(format!("event {event}: attempts were in the log and aren't any more"));
        };
        let requests = requests.get(event).copied().unwrap_or_default();
        let told = Told {
            requests,
            answered,
            unanswered,
        };
        if told != Told::default() {
            added.insert(event.clone(), told);
        }
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it was cut, and its requests, answered and unanswered attempts.
    type Lives = &'static [(bool, [usize; 3])];

    fn life(is_cut: bool, told: [usize; 3]) -> Life {
        let [requests, answered, unanswered] = told;
        let told = Told {
            requests,
            answered,
            unanswered,
        };
        Life {
            is_cut,
            events: BTreeMap::from([("event".to_owned(), told)]),
        }
    }

    #[test]
    fn what_is_explained_and_what_is_not() {
        const KILLED: bool = true;
        const IN_PEACE: bool = false;
        // The lives; how many requests crashes explain, if all is explained.
        let cases: [(&str, Lives, Option<usize>); 13] = [
            ("each request is recorded", &[(IN_PEACE, [1, 1, 0])], Some(0)),
            ("retries of one life", &[(IN_PEACE, [3, 3, 0])], Some(0)),
            (
                "cut off by a kill",
                &[(KILLED, [1, 0, 0]), (IN_PEACE, [1, 1, 0])],
                Some(1),
            ),
            ("recorded, and the next cut off", &[(KILLED, [2, 1, 0])], Some(1)),
            (
                "two lives, one cut off in each",
                &[(KILLED, [1, 0, 0]), (KILLED, [1, 0, 0])],
                Some(2),
            ),
            ("a request that never came", &[(IN_PEACE, [0, 0, 1])], Some(0)),
            ("a request whose answer never came", &[(IN_PEACE, [1, 0, 1])], Some(0)),
            ("a repeat without a crash", &[(IN_PEACE, [2, 1, 0])], None),
            (
                "unrecorded without a crash",
                &[(IN_PEACE, [1, 0, 0]), (KILLED, [1, 1, 0])],
                None,
            ),
            ("two in a life", &[(KILLED, [2, 0, 0])], None),
            ("two beyond what is recorded", &[(KILLED, [3, 1, 0])], None),
            ("an attempt row too many", &[(IN_PEACE, [1, 2, 0])], None),
            (
                "an attempt row too many in a life that was killed",
                &[(KILLED, [0, 1, 0])],
                None,
            ),
        ];
        for (what, lives, expected) in cases {
            let lives = lives
                .iter()
                .map(|(is_cut, told)| life(*is_cut, *told))
                .collect::<Vec<_>>();
            let explained = explain(&lives);
            assert_eq!(explained.wrong.is_empty(), expected.is_some(), "{what}: {explained:?}");
            if let Some(expected) = expected {
                assert_eq!(explained.unrecorded.values().sum::<usize>(), expected, "{what}");
            }
        }
    }

    #[test]
    fn an_explanation_is_not_carried_to_another_life() {
        // Two requests of the second life and one crash in it; the crash of the first doesn't explain the second.
        let explained = explain(&[life(true, [1, 1, 0]), life(true, [2, 0, 0])]);
        assert_eq!(explained.wrong.len(), 1);
        assert!(explained.wrong[0].starts_with("life 1, event event: 2 requests, 0 attempts"));
    }

    #[test]
    fn a_life_adds_what_was_not_there_before() {
        let attempts = |event: &str, counts| BTreeMap::from([(event.to_owned(), counts)]);
        let (before, now) = (attempts("a", (1, 0)), attempts("a", (2, 1)));
        let requests = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]);
        let events = added(&requests, &before, &now).expect("nothing is gone");
        let told = |requests, answered, unanswered| Told {
            requests,
            answered,
            unanswered,
        };
        assert_eq!((events["a"], events["b"]), (told(1, 1, 1), told(1, 0, 0)));
        assert!(added(&BTreeMap::new(), &now, &now).expect("nothing is gone").is_empty());
        added(&requests, &now, &before).expect_err("an attempt is gone");
    }
}

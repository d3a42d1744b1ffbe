//! How long the worst filters take, those that are refused too.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Filter, event, filter};

/// What judging may take: 10 ms as it is built for use. Without optimisation the same takes some twenty times as long.
const LONGEST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 10 });

/// The largest lead, and filters of which each takes what it may: judging them is bounded by their making.
#[test]
fn the_worst_filter_is_judged_within_its_time() {
    // Four bytes a character, each of which has a lower case; half of a pattern everywhere.
    let mut event = event();
    event["data"]["message"] = "𐐀".repeat(10_000).into();
    let conditions = |condition: &Value| json!({"any": vec![condition; Filter::MOST_CONDITIONS - 1]});
    let missed = format!("{}x", "𐐀".repeat(199));
    let pattern =
        |source: &str| json!({"any": vec![json!({"path": "data.message", "regex": source, "ignoreCase": true}); 4]});
    for json in [
        conditions(&json!({"path": "data.message", "contains": missed, "ignoreCase": true})),
        conditions(&json!({"path": "data.message", "in": vec![&missed; 100], "ignoreCase": true})),
        pattern("(.*a.*b.*c){10}"),
        pattern("𐐀[^b]{5}b"),
        pattern("(?:x?){90}x{90}"),
    ] {
        let filter = filter(&json);
        // The shortest of several: others have work on this machine as well.
        let took = (0..20).map(|_| {
            let begun = Instant::now();
            filter.judge(&event).expect_err("nothing of it holds");
            begun.elapsed()
        });
        let took = took.min().expect("there are some");
        assert!(took < LONGEST, "{took:?}: {json}");
    }
}

/// As above, for what is refused: hostile input is named as soon as it passes a bound.
#[test]
fn hostile_filters_are_refused_within_their_time() {
    let nested = (0..100).fold(json!(1), |below, _| json!({"all": [below]}));
    let fanned = (0..3).fold(
        json!({"path": "event", "exists": true}),
        |below, _| json!({"any": vec![below; 20]}),
    );
    let pattern = |source: &str| json!({"path": "event", "regex": source, "ignoreCase": true});
    for json in [
        nested,
        fanned,
        json!({"all": vec![json!({}); 20_000]}),
        json!({"path": "x.".repeat(100_000), "exists": true}),
        json!({"path": "event", "in": vec!["a"; 20_000]}),
        pattern(&"(".repeat(200)),
        pattern("((((a{99}){99}){99}){99}){99}"),
        pattern("[ab]*a[ab]{99}"),
        pattern(&"[a-🦀]{9}".repeat(20)),
        pattern("(.*a){100}"),
    ] {
        let took = (0..5).map(|_| {
            let begun = Instant::now();
            Filter::from_json(&json, "").expect_err("refused");
            begun.elapsed()
        });
        let took = took.min().expect("there are some");
        assert!(
            took < LONGEST,
            "{took:?}: {}",
            json.to_string().chars().take(100).collect::<String>()
        );
    }
}

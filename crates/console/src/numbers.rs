//! A client's numbers over time, as the API gives them: for cards, a chart, and a table of the same.

use sensei_domain::Timestamp;
use serde_json::{Value, json};

use crate::page::text;
use crate::shown::duration;

/// The windows that there are: the API's name, and the words.
pub(crate) const WINDOWS: [(&str, &str); 3] = [("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")];

/// What happened in a window of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) leads: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// `99.2 %`, or a dash when nothing has ended.
    pub(crate) success_rate: String,
    pub(crate) p50: String,
    pub(crate) p95: String,
    pub(crate) buckets: Vec<Bucket>,
}

/// A part of the window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bucket {
    /// Its beginning, in seconds since 1970.
    pub(crate) at: i64,
    /// Its beginning, in words.
    pub(crate) words: String,
    pub(crate) leads: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) p50: Option<u64>,
    pub(crate) p95: Option<u64>,
}

impl Numbers {
    /// Of `window` in the API's answer; `None` if it has none.
    pub(crate) fn of(window: &Value) -> Option<Self> {
        window.as_object()?;
        let count = |name: &str| window[name].as_u64().unwrap_or_default();
        let took = |name: &str| {
            window[name]
                .as_f64()
                .map_or_else(|| "–".to_owned(), |millis| duration(whole(millis)))
        };
        let buckets = window["buckets"].as_array().into_iter().flatten();
        Some(Self {
            leads: count("leads"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            success_rate: window["successRate"].as_f64().map_or_else(|| "–".to_owned(), percent),
            p50: took("p50Ms"),
            p95: took("p95Ms"),
            buckets: buckets.filter_map(Bucket::of).collect(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leads + self.succeeded + self.failed == 0
    }

    /// What the script that draws reads.
    pub(crate) fn to_json(&self) -> String {
        let of = |value: fn(&Bucket) -> Value| self.buckets.iter().map(value).collect::<Vec<_>>();
        json!({
            "at": of(|bucket| bucket.at.into()),
            "leads": of(|bucket| bucket.leads.into()),
            "succeeded": of(|bucket| bucket.succeeded.into()),
            "failed": of(|bucket| bucket.failed.into()),
            "p50": of(|bucket| bucket.p50.into()),
            "p95": of(|bucket| bucket.p95.into()),
        })
        .to_string()
    }

    /// The chart in words.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} leads, {} deliveries succeeded, {} failed; the busiest time had {} leads",
            self.leads,
            self.succeeded,
            self.failed,
            self.buckets.iter().map(|bucket| bucket.leads).max().unwrap_or_default(),
        )
    }
}

impl Bucket {
    fn of(bucket: &Value) -> Option<Self> {
        let at = text(bucket, "at").parse::<Timestamp>().ok()?;
        let count = |name: &str| bucket[name].as_u64().unwrap_or_default();
        let took = |name: &str| bucket[name].as_f64().map(whole);
        let words = at.to_string();
        Some(Self {
            at: at.as_seconds(),
            words: format!("{} {}", &words[..10], &words[11..16]),
            leads: count("leads"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            p50: took("p50Ms"),
            p95: took("p95Ms"),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leads + self.succeeded + self.failed == 0
    }
}

/// A rate from 0 to 1. What isn't quite all isn't rounded to all.
pub(crate) fn percent(rate: f64) -> String {
    let tenths = (rate.clamp(0.0, 1.0) * 1_000.0).floor();
    if tenths >= 1_000.0 {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", tenths / 10.0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds that an attempt takes; what is out of range becomes the nearest"
)]
fn whole(millis: f64) -> u64 {
    millis.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_never_told_better_than_they_are() {
        for (rate, words) in [(1.0, "100 %"), (0.9999, "99.9 %"), (0.5, "50.0 %"), (0.0, "0.0 %")] {
            assert_eq!(percent(rate), words);
        }
    }

    #[test]
    fn absent_numbers_are_a_dash_and_no_zero() {
        assert!(Numbers::of(&Value::Null).is_none());
        let window = json!({"leads": 2, "successRate": null, "p50Ms": 85, "buckets": [
            {"at": "2026-11-26T05:00:00.000Z", "leads": 2, "succeeded": 1, "failed": 0, "p50Ms": 85, "p95Ms": null}, {}]});
        let numbers = Numbers::of(&window).expect("numbers");
        assert_eq!(
            (&*numbers.success_rate, &*numbers.p50, &*numbers.p95),
            ("–", "85 ms", "–")
        );
        assert_eq!(numbers.buckets.len(), 1);
        assert_eq!(numbers.buckets[0].words, "2026-11-26 05:00");
        assert!(numbers.to_json().contains("\"p95\":[null]"), "{}", numbers.to_json());
    }
}

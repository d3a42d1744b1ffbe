//! A chart without script: bars as SVG, made from the same numbers as the one that moves.

use crate::numbers::Numbers;

/// In units of the drawing, which is scaled to its place.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;
/// Left of the bars, for the scale's numbers.
const LEFT: f64 = 44.0;
/// Below the bars, for the times.
const BELOW: f64 = 20.0;
const ABOVE: f64 = 8.0;

/// A chart, ready to be written down.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) view: String,
    pub(crate) bars: Vec<Bar>,
    /// Horizontal lines: where, and of how many.
    pub(crate) lines: Vec<(String, u64)>,
    /// Where lines begin and end.
    pub(crate) left: String,
    pub(crate) right: String,
    /// Where the times stand, and the first and the last.
    pub(crate) bottom: String,
    pub(crate) first: String,
    pub(crate) last: String,
}

/// A rectangle.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) class: &'static str,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
}

impl Chart {
    /// Leads in one bar, and beside it deliveries: those that succeeded below those that failed.
    pub(crate) fn of(numbers: &Numbers) -> Self {
        let highest = numbers
            .buckets
            .iter()
            .map(|bucket| bucket.leads.max(bucket.succeeded + bucket.failed))
            .max()
            .unwrap_or_default();
        let top = round_up(highest.max(1));
        let plot = HEIGHT - BELOW - ABOVE;
        let high = |count: u64| float(count) / float(top) * plot;
        let slot = (WIDTH - LEFT) / float(u64::try_from(numbers.buckets.len().max(1)).unwrap_or(1));
        let mut bars = Vec::new();
        let mut x = LEFT;
        for bucket in &numbers.buckets {
            let width = slot * 0.4;
            let mut bar = |class, x: f64, from: u64, count: u64| {
                if count > 0 {
                    bars.push(Bar {
                        class,
                        x: unit(x),
                        y: unit(ABOVE + plot - high(from + count)),
                        width: unit(width),
                        height: unit(high(count)),
                    });
                }
            };
            bar("leads-bar", x + slot * 0.08, 0, bucket.leads);
            bar("good-bar", x + slot * 0.52, 0, bucket.succeeded);
            bar("bad-bar", x + slot * 0.52, bucket.succeeded, bucket.failed);
            x += slot;
        }
        let words = |bucket: Option<&crate::numbers::Bucket>| bucket.map_or_else(String::new, |it| it.words.clone());
        Self {
            view: format!("0 0 {WIDTH} {HEIGHT}"),
            bars,
            lines: [0, top / 2, top]
                .into_iter()
                .filter(|count| *count * 2 == top || *count == 0 || *count == top)
                .map(|count| (unit(ABOVE + plot - high(count)), count))
                .collect(),
            left: unit(LEFT),
            right: unit(WIDTH),
            bottom: unit(HEIGHT - 4.0),
            first: words(numbers.buckets.first()),
            last: words(numbers.buckets.last()),
        }
    }
}

/// A number that a scale may end at: 1, 2 or 5 and zeros.
fn round_up(count: u64) -> u64 {
    let mut ten = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let end = ten.saturating_mul(step);
            if end >= count {
                return end;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a drawing is exact to a hundredth of a pixel, not to the lead"
)]
fn float(count: u64) -> f64 {
    count as f64
}

fn unit(length: f64) -> String {
    format!("{length:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Bucket;

    #[test]
    fn scale_ends_at_a_round_number() {
        for (count, end) in [
            (1, 1),
            (2, 2),
            (3, 5),
            (6, 10),
            (11, 20),
            (999, 1_000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(count), end, "{count}");
        }
    }

    #[test]
    fn bars_are_as_high_as_their_numbers_and_stand_on_each_other() {
        let bucket = |leads, succeeded, failed| Bucket {
            leads,
            succeeded,
            failed,
            ..Bucket::default()
        };
        let numbers = Numbers {
            buckets: vec![bucket(10, 6, 4), bucket(0, 0, 0)],
            ..Numbers::default()
        };
        let chart = Chart::of(&numbers);
        let of = |class| chart.bars.iter().find(|bar| bar.class == class).expect("a bar");
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let (leads, good, bad) = (of("leads-bar"), of("good-bar"), of("bad-bar"));
        assert_eq!(chart.bars.len(), 3, "nothing is drawn of nothing");
        assert!((number(&leads.height) - number(&good.height) - number(&bad.height)).abs() < 0.1);
        assert!(
            (number(&bad.y) + number(&bad.height) - number(&good.y)).abs() < 0.1,
            "on top of it"
        );
        assert_eq!(leads.y, "8.00", "the highest reaches the top");
        assert!(Chart::of(&Numbers::default()).bars.is_empty());
    }
}

//! Figures with their units and bars, medians of several runs, and two builds compared.

use std::fmt;

/// Below this, two builds aren't different: runs of the same build differ by as much.
pub const SAME_WITHIN: f64 = 0.10;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events a second.
    PerSecond,
    /// A quotient, without a unit.
    Ratio,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Microseconds.
    Microseconds,
    /// 2^20 bytes.
    Mebibytes,
    /// Hundredths of a whole.
    Percent,
    /// Whole things.
    Count,
}

/// What a figure has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is, the same in each run.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// What it has to hold, if anything.
    pub bar: Option<Bar>,
    /// The lowest and the highest of several runs.
    pub spread: Option<(f64, f64)>,
}

impl Figure {
    /// A figure that has to hold nothing.
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            bar: None,
            spread: None,
        }
    }

    /// With the most that it may be.
    #[must_use]
    pub fn at_most(self, most: f64) -> Self {
        Self {
            bar: Some(Bar::AtMost(most)),
            ..self
        }
    }

    /// With the least that it may be.
    #[must_use]
    pub fn at_least(self, least: f64) -> Self {
        Self {
            bar: Some(Bar::AtLeast(least)),
            ..self
        }
    }

    /// Whether its bar is held. What isn't a number holds none.
    pub fn holds(&self) -> bool {
        match self.bar {
            None => true,
            Some(Bar::AtLeast(least)) => self.value >= least,
            Some(Bar::AtMost(most)) => self.value <= most,
        }
    }

    /// The value with its unit.
    pub fn shown(&self) -> String {
        self.unit.show(self.value)
    }

    /// Its bar with the unit, or nothing.
    pub fn bar_shown(&self) -> String {
        match self.bar {
            None => String::new(),
            Some(Bar::AtLeast(least)) => format!("at least {}", self.unit.show(least)),
            Some(Bar::AtMost(most)) => format!("at most {}", self.unit.show(most)),
        }
    }

    /// What the runs were between, where there were several and they differ.
    pub fn spread_shown(&self) -> String {
        match self.spread {
            Some((least, most)) if self.unit.show(least) != self.unit.show(most) => {
                format!("{} to {}", self.unit.number(least), self.unit.number(most))
            }
            _ => String::new(),
        }
    }
}

impl Unit {
    /// A value with this unit, in as many digits as mean something.
    pub fn show(self, value: f64) -> String {
        let unit = match self {
            Self::PerSecond => "/s",
            Self::Ratio | Self::Count => "",
            Self::Milliseconds => " ms",
            Self::Seconds => " s",
            Self::Microseconds => " µs",
            Self::Mebibytes => " MiB",
            Self::Percent => " %",
        };
        format!("{}{unit}", self.number(value))
    }

    fn number(self, value: f64) -> String {
        let is_large = value >= 100.0;
        match self {
            Self::PerSecond | Self::Count | Self::Microseconds => Thousands(value).to_string(),
            Self::Ratio => format!("{value:.3}"),
            Self::Mebibytes | Self::Milliseconds | Self::Seconds if is_large => Thousands(value).to_string(),
            Self::Mebibytes | Self::Percent => format!("{value:.1}"),
            Self::Milliseconds | Self::Seconds => format!("{value:.2}"),
        }
    }
}

/// A whole number in groups of three digits.
struct Thousands(f64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.0}", self.0);
        if !self.0.is_finite() || digits.starts_with('-') {
            return f.write_str(&digits);
        }
        let first = digits.len() % 3;
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && at % 3 == first {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// The median of some values; of an even number the middle of the two in the middle. NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(&upper) if values.len() % 2 == 1 => upper,
        Some(&upper) => f64::midpoint(values[middle - 1], upper),
    }
}

/// The figures of several runs as one: medians, but of counts the worst, the highest unless there must be so many at least: what must be none
/// must be none each time. The bars are those of the last run.
pub fn combined(runs: Vec<Vec<Figure>>) -> Vec<Figure> {
    let mut all: Vec<(Figure, Vec<f64>)> = Vec::new();
    for figure in runs.into_iter().flatten() {
        match all.iter_mut().find(|(known, _)| known.name == figure.name) {
            Some((known, values)) => {
                values.push(figure.value);
                known.bar = figure.bar;
            }
            None => all.push((figure.clone(), vec![figure.value])),
        }
    }
    let combine = |(figure, values): (Figure, Vec<f64>)| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = (values.len() > 1).then_some((least, most));
        let is_count = figure.unit == Unit::Count;
        let value = match figure.bar {
            Some(Bar::AtLeast(_)) if is_count => least,
            _ if is_count => most,
            _ => median(values),
        };
        Figure {
            value,
            spread,
            ..figure
        }
    };
    all.into_iter().map(combine).collect()
}

/// How the second build's value stands to the first's.
pub fn compared(first: f64, second: f64) -> String {
    if first.abs() < f64::EPSILON && second.abs() < f64::EPSILON {
        return "not different".to_owned();
    }
    let quotient = second / first;
    if (quotient - 1.0).abs() < SAME_WITHIN {
        format!("{quotient:.2}, not different")
    } else {
        format!("{quotient:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_that_is_missed_is_noticed() {
        let ratio = |value| Figure::new("ratio", value, Unit::Ratio).at_least(0.12);
        let lost = |value| Figure::new("lost", value, Unit::Count).at_most(0.0);
        let cases = [
            (ratio(0.12), true),
            (ratio(0.119), false),
            (ratio(f64::NAN), false),
            (lost(0.0), true),
            (lost(1.0), false),
            (Figure::new("rate", 0.0, Unit::PerSecond), true),
        ];
        for (figure, holds) in cases {
            assert_eq!(figure.holds(), holds, "{figure:?}");
        }
    }

    #[test]
    fn runs_become_medians_and_counts_the_worst() {
        let run = |rate, lost| {
            vec![
                Figure::new("rate", rate, Unit::PerSecond),
                Figure::new("lost", lost, Unit::Count).at_most(0.0),
            ]
        };
        let all = combined(vec![run(3_000.0, 0.0), run(1_000.0, 1.0), run(2_000.0, 0.0)]);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].shown(), all[0].spread_shown()),
            ("2,000/s".to_owned(), "1,000 to 3,000".to_owned())
        );
        assert!(!all[1].holds(), "a lead that is lost in one run of three is lost");
        let seen = |number| vec![Figure::new("seen", number, Unit::Count).at_least(1.0)];
        let seen = combined(vec![seen(3.0), seen(0.0), seen(2.0)]);
        assert!(
            !seen[0].holds(),
            "what wasn't there in one run of three wasn't measured"
        );
        let once = combined(vec![run(1_234_567.0, 0.0)]);
        assert_eq!(
            (once[0].shown(), once[0].spread_shown()),
            ("1,234,567/s".to_owned(), String::new())
        );
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (&[5.0][..], 5.0),
            (&[1.0, 9.0], 5.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 9.0, 2.0], 3.0),
        ] {
            assert!((median(values.to_vec()) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn builds_differ_from_a_tenth_on() {
        for (first, second, shown) in [
            (100.0, 109.0, "1.09, not different"),
            (100.0, 91.0, "0.91, not different"),
            (100.0, 111.0, "1.11"),
            (100.0, 50.0, "0.50"),
            (0.0, 0.0, "not different"),
            (0.0, 1.0, "inf"),
        ] {
            assert_eq!(compared(first, second), shown);
        }
    }
}

//! Times as people read them: absolute with the zone, and relative.

use std::fmt::Write as _;
use std::time::Duration;

use sensei_domain::Timestamp;
use serde_json::Value;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// An instant to be shown by `moment.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// For the program that reads the page.
    pub(crate) iso: String,
    /// `2026-11-26 05:54:29 UTC`.
    pub(crate) absolute: String,
    /// `4 minutes ago`, `in 2 hours`.
    pub(crate) relative: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let iso = at.to_string();
        let absolute = format!("{} {} UTC", &iso[..10], &iso[11..19]);
        let relative = if at > now {
            format!("in {}", span(at.since(now).as_secs()))
        } else {
            match now.since(at).as_secs() {
                0..5 => "just now".to_owned(),
                seconds => format!("{} ago", span(seconds)),
            }
        };
        Self {
            iso,
            absolute,
            relative,
        }
    }

    /// Of a field of an answer of the API; `None` when it is null.
    pub(crate) fn of(value: &Value, now: Timestamp) -> Option<Self> {
        let at = value.as_str()?.parse().ok()?;
        Some(Self::new(at, now))
    }
}

/// `90 days`, `36 hours`: in the largest unit that tells it exactly, to the second.
pub(crate) fn exactly(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let unit = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// `1 minute`, `3 hours`: the largest unit that there is one of, rounded down.
pub(crate) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    let mut span = format!("{count} {unit}");
    if count != 1 {
        write!(span, "s").expect("writing to a text can't fail");
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_people_do() {
        let now: Timestamp = "2026-11-26T05:54:29.000Z".parse().expect("a time");
        for (at, relative) in [
            ("2026-11-26T05:54:26.001Z", "just now"),
            ("2026-11-26T05:54:19.000Z", "10 seconds ago"),
            ("2026-11-26T05:53:29.000Z", "1 minute ago"),
            ("2026-11-26T03:00:00.000Z", "2 hours ago"),
            ("2026-11-20T03:00:00.000Z", "6 days ago"),
            ("2026-11-26T05:56:30.000Z", "in 2 minutes"),
        ] {
            let moment = Moment::new(at.parse().expect("a time"), now);
            assert_eq!(moment.relative, relative, "{at}");
            assert_eq!(moment.iso, at);
        }
        let moment = Moment::new(now, now);
        assert_eq!(moment.absolute, "2026-11-26 05:54:29 UTC");
    }
}

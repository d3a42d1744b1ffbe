//! Durations as people write them: a whole number and a unit, `5s`, `30m`, `2h`.

use std::time::Duration;

/// From the largest to the smallest, with their lengths in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number and a unit (ms, s, m, h or d), e.g. 5s or 30m")]
pub struct DurationError;

/// Reads a duration, e.g. `5s`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(DurationError)?;
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError)?;
    let number = number.parse::<u64>().map_err(|_| DurationError)?;
    number
        .checked_mul(*millis)
        .map(Duration::from_millis)
        .ok_or(DurationError)
}

/// Writes a duration in the largest unit that needs no fraction, e.g. `90s`. What is below a millisecond is dropped.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, length) = UNITS
        .into_iter()
        .find(|(_, length)| millis > 0 && millis.is_multiple_of(*length))
        .unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5_000),
            ("90s", 90_000),
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("5d", 432_000_000),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(
                (duration.as_millis(), format_duration(duration)),
                (millis, text.to_owned())
            );
        }
        assert_eq!(format_duration(Duration::from_hours(1)), "1h");
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5h",
            "5 s",
            "5S",
            "5w",
            "99999999999999999999s",
            "213503982334602d",
        ] {
            assert_eq!(parse_duration(text), Err(DurationError), "{text}");
        }
    }
}

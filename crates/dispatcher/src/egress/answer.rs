//! What a receiver answered, bounded, and made fit to be stored and shown.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, RETRY_AFTER};
use sensei_domain::Timestamp;
use tokio::time::Instant;

use super::connection::Connection;

/// How a vendor says how many requests are left, and for how long that is all.
struct Allowance {
    left: HeaderName,
    wait: HeaderName,
    unit: Duration,
}

static ALLOWANCES: [Allowance; 3] = [
    // Discord.
    Allowance {
        left: HeaderName::from_static("x-ratelimit-remaining"),
        wait: HeaderName::from_static("x-ratelimit-reset-after"),
        unit: Duration::from_secs(1),
    },
    Allowance {
        left: HeaderName::from_static("x-hubspot-ratelimit-remaining"),
        wait: HeaderName::from_static("x-hubspot-ratelimit-interval-milliseconds"),
        unit: Duration::from_millis(1),
    },
    // The drafts of the IETF (draft-ietf-httpapi-ratelimit-headers, before 08).
    Allowance {
        left: HeaderName::from_static("ratelimit-remaining"),
        wait: HeaderName::from_static("ratelimit-reset"),
        unit: Duration::from_secs(1),
    },
];

/// More of a body is not read.
const BODY_LIMIT: usize = 64 * 1024;
/// More of a body is not kept in the log.
const SNIPPET_LIMIT: usize = 1024;
/// A receiver that asks for more gets this.
const RETRY_AFTER_LIMIT: Duration = Duration::from_hours(24);

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body's first 64 KiB, as they came (never decompressed).
    pub body: Bytes,
    /// Whether that is all of it. If not, it was longer, broke off, or took too long.
    pub is_whole: bool,
    /// Whether it took too long, up to the deadline: the receiver holds whoever sends.
    pub ran_out: bool,
}

impl Answer {
    /// Reads what there is of the body. Never fails: the status, which decides, is here already.
    pub(super) async fn read(response: hyper::Response<Incoming>, connection: &mut Connection, ends: Instant) -> Self {
        let (head, mut rest) = response.into_parts();
        let mut body = BytesMut::new();
        let reading = async {
            while body.len() < BODY_LIMIT {
                match connection.piece(&mut rest).await {
                    Some(Ok(piece)) => body.extend_from_slice(&piece),
                    None => return true,
                    Some(Err(_)) => return false,
                }
            }
            false
        };
        let read = tokio::time::timeout_at(ends, reading).await;
        body.truncate(BODY_LIMIT);
        Self {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            is_whole: matches!(read, Ok(true)),
            ran_out: read.is_err(),
        }
    }

    /// How long the receiver asks to wait (RFC 9110, section 10.2.3: seconds or a date), at most a day.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            // So many digits that they overflow are a very long time.
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            parse_http_date(text)?.since(now)
        };
        Some(wait.min(RETRY_AFTER_LIMIT))
    }

    /// For how long the receiver says that it takes nothing more, before it refuses something.
    pub fn pause(&self) -> Option<Duration> {
        let number = |name: &HeaderName| self.headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let exhausted = ALLOWANCES
            .iter()
            .find(|allowance| number(&allowance.left) == Some(0.0))?;
        let wait = number(&exhausted.wait)? * exhausted.unit.as_secs_f64();
        Duration::try_from_secs_f64(wait).ok().filter(|wait| !wait.is_zero())
    }

    /// The body's beginning for the log: at most 1 KiB of valid text without control characters. `None` if empty.
    pub fn snippet(&self) -> Option<String> {
        snippet(&self.body)
    }
}

fn snippet(body: &[u8]) -> Option<String> {
    let mut text = String::new();
    // The text can be longer than its bytes (a replacement character has three), so it is cut afterwards.
    let readable = String::from_utf8_lossy(&body[..body.len().min(SNIPPET_LIMIT)]);
    for character in readable.chars().filter(|&character| is_shown(character)) {
        if text.len() + character.len_utf8() > SNIPPET_LIMIT {
            break;
        }
        text.push(character);
    }
    if text.is_empty() { None } else { Some(text) }
}

/// Neither control characters (a database may refuse them, a terminal obey them) nor those that reorder text.
fn is_shown(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        other => !other.is_control(),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may be sent (RFC 9110, section 5.6.7).
fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_weekday, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next()? != "GMT" || parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(retry_after: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().expect("a header's value"));
        Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers,
            body: Bytes::new(),
            is_whole: true,
            ran_out: false,
        }
    }

    #[test]
    fn who_has_nothing_left_is_left_alone() {
        let cases = [
            (
                vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "1.5")],
                Some(1_500),
            ),
            (
                vec![("x-ratelimit-remaining", "1"), ("x-ratelimit-reset-after", "1.5")],
                None,
            ),
            (vec![("x-ratelimit-remaining", "0")], None),
            (vec![("x-ratelimit-reset-after", "1.5")], None),
            (
                vec![
                    ("x-hubspot-ratelimit-remaining", "0"),
                    ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
                ],
                Some(10_000),
            ),
            (
                vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "7")],
                Some(7_000),
            ),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "-7")], None),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "NaN")], None),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "1e999")], None),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "0")], None),
        ];
        for (headers, millis) in cases {
            let mut answer = answer("");
            for (name, value) in &headers {
                answer.headers.insert(*name, value.parse().expect("a header's value"));
            }
            assert_eq!(answer.pause(), millis.map(Duration::from_millis), "{headers:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:48:37.000Z".parse().expect("a time");
        let day = 24 * 60 * 60;
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999999", Some(day)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(day)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                answer(text).retry_after(now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn a_snippet_is_short_valid_text_without_control_characters() {
        assert_eq!(snippet(b""), None);
        assert_eq!(snippet(b"\0\x1b\x07"), None);
        assert_eq!(
            snippet(b"a\0b\x1b[31m\nc\td\xffe").as_deref(),
            Some("ab[31m\nc\td\u{fffd}e")
        );
        assert_eq!(snippet("x\u{202e}y".as_bytes()).as_deref(), Some("xy"));
        let broken = snippet(&[0xff; 5_000]).expect("some text");
        assert!(broken.len() <= SNIPPET_LIMIT && broken.chars().all(|character| character == '\u{fffd}'));
        let whole = snippet("é".repeat(2_000).as_bytes()).expect("some text");
        assert_eq!(whole.len(), SNIPPET_LIMIT);
        // Cut within a character, its first half is a replacement character.
        assert!(snippet(format!("a{}", "é".repeat(2_000)).as_bytes()).is_some_and(|text| text.len() <= SNIPPET_LIMIT));
    }
}

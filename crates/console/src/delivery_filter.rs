//! Which deliveries are shown: as the page's query says it, as the API is asked, and as a recovery can be told.

use std::time::Duration;

use sensei_domain::Timestamp;

use crate::asked::Asked;

/// The times that are chosen with one click: the name in the query, the words, and how long.
pub(crate) const WINDOWS: [(&str, &str, Duration); 4] = [
    ("1h", "Last hour", Duration::from_hours(1)),
    ("24h", "Last 24 hours", Duration::from_hours(24)),
    ("7d", "Last 7 days", Duration::from_hours(7 * 24)),
    ("30d", "Last 30 days", Duration::from_hours(30 * 24)),
];
/// The states that there are: the API's name, and the page's.
pub(crate) const STATES: [(&str, &str); 5] = [
    ("pending", "Pending"),
    ("held", "Held"),
    ("succeeded", "Delivered"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
];
/// The states of which a recovery sends again.
const REDELIVERED: [&str; 2] = ["failed", "succeeded"];

/// Which deliveries are shown. Each is as it was typed, and empty when it doesn't matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeliveryFilter {
    pub(crate) state: String,
    pub(crate) destination_id: String,
    pub(crate) kind: String,
    /// One of [`WINDOWS`], or `custom`.
    pub(crate) window: String,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) status_code: String,
    pub(crate) lead_id: String,
    pub(crate) q: String,
}

impl DeliveryFilter {
    pub(crate) fn read(asked: &Asked) -> Self {
        Self::of(|name| asked.text(name))
    }

    pub(crate) fn of<'a>(text: impl Fn(&str) -> &'a str) -> Self {
        let text = |name| text(name).to_owned();
        let mut filter = Self {
            state: text("state"),
            destination_id: text("destinationId"),
            kind: text("kind"),
            window: text("window"),
            since: text("since"),
            until: text("until"),
            status_code: text("statusCode"),
            lead_id: text("leadId"),
            q: text("q"),
        };
        let is_preset = WINDOWS.iter().any(|(name, _, _)| *name == filter.window);
        if is_preset {
            filter.since.clear();
            filter.until.clear();
        } else if filter.since.is_empty() && filter.until.is_empty() {
            filter.window.clear();
        } else {
            "custom".clone_into(&mut filter.window);
        }
        filter
    }

    /// As the page's address keeps it.
    pub(crate) fn pairs(&self) -> [(&'static str, &str); 9] {
        [
            ("state", &self.state),
            ("destinationId", &self.destination_id),
            ("kind", &self.kind),
            ("window", &self.window),
            ("since", &self.since),
            ("until", &self.until),
            ("statusCode", &self.status_code),
            ("leadId", &self.lead_id),
            ("q", &self.q),
        ]
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the API is asked for it.
    pub(crate) fn parameters(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let (since, until) = self.span(now);
        vec![
            ("state", self.state.clone()),
            ("destinationId", self.destination_id.clone()),
            ("kind", self.kind.clone()),
            ("since", since),
            ("until", until),
            ("statusCode", self.status_code.clone()),
            ("leadId", self.lead_id.clone()),
            ("q", self.q.clone()),
        ]
    }

    /// From when to when, in the API's words.
    pub(crate) fn span(&self, now: Timestamp) -> (String, String) {
        let preset = WINDOWS.iter().find(|(name, _, _)| *name == self.window);
        match preset {
            Some((_, _, long)) => (before(now, *long).to_string(), String::new()),
            None => (instant(&self.since), instant(&self.until)),
        }
    }

    /// Why a recovery can't work on exactly what this shows; `None` if it can.
    pub(crate) fn not_recoverable(&self) -> Option<&'static str> {
        if !REDELIVERED.contains(&self.state.as_str()) {
            Some("Choose the state Failed or Delivered: only what has ended can be sent again.")
        } else if [&self.kind, &self.status_code, &self.lead_id, &self.q]
            .iter()
            .any(|text| !text.is_empty())
        {
            Some(
                "Many at once go by state, destination and time. Clear the other filters, or redeliver these one by one.",
            )
        } else {
            None
        }
    }
}

/// An instant before another.
pub(crate) fn before(now: Timestamp, long: Duration) -> Timestamp {
    let millis = i64::try_from(long.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

/// What a browser's field for a time holds, which is without a zone, as RFC 3339; anything else as it is, for the API to say what is wrong.
pub(crate) fn instant(typed: &str) -> String {
    let typed = typed.trim().replacen(' ', "T", 1);
    let is_local = |length: usize| typed.len() == length && typed.is_ascii() && typed.as_bytes()[10] == b'T';
    if is_local(16) {
        format!("{typed}:00Z")
    } else if is_local(19) {
        format!("{typed}Z")
    } else if typed.len() == 10 && typed.is_ascii() {
        format!("{typed}T00:00:00Z")
    } else {
        typed
    }
}

/// The other way round: what a browser's field for a time can show.
pub(crate) fn typed(instant: &str) -> &str {
    instant.split(['.', 'Z']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pairs: &[(&str, &'static str)]) -> DeliveryFilter {
        DeliveryFilter::of(|name| {
            pairs
                .iter()
                .find(|(pair, _)| *pair == name)
                .map_or("", |(_, value)| *value)
        })
    }

    #[test]
    fn time_is_a_preset_or_ones_own() {
        let now: Timestamp = "2026-11-26T05:54:29.000Z".parse().expect("a time");
        for (window, since, until, from, to) in [
            ("", "", "", "", ""),
            ("1h", "", "", "2026-11-26T04:54:29.000Z", ""),
            ("30d", "2020-01-01T00:00", "", "2026-10-27T05:54:29.000Z", ""),
            (
                "custom",
                "2026-11-01T10:00",
                "2026-11-02 10:00:30",
                "2026-11-01T10:00:00Z",
                "2026-11-02T10:00:30Z",
            ),
            ("", "2026-11-01", "", "2026-11-01T00:00:00Z", ""),
            ("custom", "yesterday", "", "yesterday", ""),
            ("custom", "2026-11-01T10:00:00.123Z", "", "2026-11-01T10:00:00.123Z", ""),
            ("custom", "ééééé", "", "ééééé", ""),
        ] {
            let filter = filter(&[("window", window), ("since", since), ("until", until)]);
            assert_eq!(filter.span(now), (from.to_owned(), to.to_owned()), "{window} {since}");
        }
        assert_eq!(typed("2026-11-01T10:00:00.123Z"), "2026-11-01T10:00:00");
    }

    #[test]
    fn only_what_a_recovery_can_be_told_is_redelivered_at_once() {
        for (pairs, can) in [
            (&[("state", "failed")][..], true),
            (
                &[("state", "succeeded"), ("destinationId", "x"), ("window", "7d")],
                true,
            ),
            (&[], false),
            (&[("state", "held")], false),
            (&[("state", "failed"), ("q", "jane")], false),
            (&[("state", "failed"), ("statusCode", "500")], false),
        ] {
            assert_eq!(filter(pairs).not_recoverable().is_none(), can, "{pairs:?}");
        }
    }
}

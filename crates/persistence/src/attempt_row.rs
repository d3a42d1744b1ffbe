//! An attempt as the log's table holds it: its columns, and its texts cut to what is kept.

use sea_orm::Value;
use sensei_domain::{Outcome, Trigger};
use uuid::Uuid;

use crate::job::{AttemptRecord, Lease};
use crate::multi_row::Table;
use crate::storable::storable;

/// What is kept of a receiver's answer, in bytes: enough to recognise an error page by.
const SNIPPET_BYTES: usize = 1_024;
const ERROR_BYTES: usize = 1_024;
/// The longest webhook URL (`WebhookUrl`) in bytes.
const URL_BYTES: usize = 2_048;
/// What [`attempt_values`] gives.
pub(crate) const ATTEMPTS: Table<12> = Table {
    name: "attempts",
    columns: [
        "delivery_id",
        "number",
        "client_id",
        "lease",
        "trigger_name",
        "started_at",
        "duration_ms",
        "outcome",
        "status_code",
        "error",
        "response_snippet",
        "request_url",
    ],
    constants: &[],
};

/// What [`usual_values`] gives: of first attempts that have delivered, as nearly all do.
pub(crate) const USUAL_ATTEMPTS: Table<8> = Table {
    name: "attempts",
    columns: [
        "delivery_id",
        "client_id",
        "lease",
        "started_at",
        "duration_ms",
        "status_code",
        "response_snippet",
        "request_url",
    ],
    constants: &[("number", "1"), ("trigger_name", "'first'"), ("outcome", "'delivered'")],
};

/// Whether this is what [`USUAL_ATTEMPTS`] are.
pub(crate) fn is_usual(number: i64, attempt: &AttemptRecord) -> bool {
    number == 1 && attempt.trigger == Trigger::First && attempt.outcome == Outcome::Delivered && attempt.error.is_none()
}

/// A usual attempt's row.
pub(crate) fn usual_values(delivery: Uuid, client: Uuid, lease: Lease, attempt: &AttemptRecord) -> [Value; 8] {
    let [
        delivery,
        _,
        client,
        lease,
        _,
        started_at,
        duration,
        _,
        status_code,
        _,
        snippet,
        url,
    ] = attempt_values(delivery, 1, client, lease, attempt);
    [delivery, client, lease, started_at, duration, status_code, snippet, url]
}

/// An attempt's row, its texts made fit to be stored.
pub(crate) fn attempt_values(
    delivery: Uuid,
    number: i64,
    client: Uuid,
    lease: Lease,
    attempt: &AttemptRecord,
) -> [Value; 12] {
    [
        delivery.into(),
        number.into(),
        client.into(),
        lease.as_column().into(),
        attempt.trigger.name().into(),
        attempt.started_at.as_millis().into(),
        i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX).into(),
        Outcome::name(&attempt.outcome).into(),
        attempt.status_code.map(i64::from).into(),
        attempt
            .error
            .as_deref()
            .map(|error| storable(error, ERROR_BYTES))
            .into(),
        attempt
            .response_snippet
            .as_deref()
            .map(|snippet| storable(snippet, SNIPPET_BYTES))
            .into(),
        attempt
            .request_url
            .as_deref()
            .map(|url| storable(url, URL_BYTES))
            .into(),
    ]
}

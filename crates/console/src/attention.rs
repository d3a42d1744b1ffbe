//! What of a client needs somebody's attention, each with the way to its mend.

use std::time::Duration;

use sensei_domain::{ClientId, Timestamp};
use serde_json::Value;

use crate::api::Api;
use crate::asked::with_query;
use crate::delivery_filter::before;
use crate::page::{items, text};
use crate::shown::{Destinations, Label, is_test, sentence, shown_name};

/// More are "more than".
const COUNTED: usize = 100;

/// Something that somebody should look at.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    pub(crate) label: Label,
    pub(crate) words: String,
    /// What is done about it, and where.
    pub(crate) mend: &'static str,
    pub(crate) path: String,
}

/// All that needs attention, the worst first.
pub(crate) async fn of(api: &Api, client: ClientId, destinations: &Destinations, now: Timestamp) -> Vec<Attention> {
    let mut all = destinations
        .items()
        .iter()
        .filter_map(|destination| of_destination(client, destination))
        .collect::<Vec<_>>();
    // By when they were made: the standard retries alone take three days.
    let since = before(now, Duration::from_hours(7 * 24)).to_string();
    let failed = [("state", "failed"), ("since", since.as_str()), ("limit", "100")];
    if let Some(count) = counted(
        api,
        &with_query(&format!("/v1/clients/{client}/deliveries"), failed),
        ("delivery", "deliveries"),
    )
    .await
    {
        all.push(Attention {
            label: Label::bad("Failed"),
            words: format!("Of the last 7 days {count} failed, with no attempt to follow by itself."),
            mend: "See why, and redeliver",
            path: format!("/admin/clients/{client}/deliveries?state=failed&window=7d"),
        });
    }
    let suspected = format!("/v1/clients/{client}/leads?suspected=true&limit=100");
    if let Some(count) = counted(api, &suspected, ("lead is", "leads are")).await {
        all.push(Attention {
            label: Label::warn("Suspected"),
            words: format!("Suspected to be spam, {count} kept back, and sent nowhere until you say so."),
            mend: "Release those that are real",
            path: format!("/admin/clients/{client}/leads?suspected=true"),
        });
    }
    all
}

fn of_destination(client: ClientId, destination: &Value) -> Option<Attention> {
    let health = &destination["health"];
    let breaker = text(&health["breaker"], "state");
    let name = shown_name(text(destination, "name"));
    let last = sentence(text(health, "lastError"));
    let (label, words, mend) = match (text(destination, "status"), text(health, "state")) {
        ("disabled", _) => {
            let why = sentence(text(destination, "statusReason"));
            (Label::bad("Disabled"), format!("{name}: {why}"), "Mend and resume it")
        }
        ("active", "warned") => {
            let until = match text(health, "disablesAt") {
                "" => String::new(),
                at => format!(" It will be disabled at {at}."),
            };
            (
                Label::bad("Fails for long"),
                format!("{name}: {last}{until}"),
                "Mend it",
            )
        }
        ("active", _) if matches!(breaker, "open" | "halfOpen") => {
            let words = format!("{name}: nothing is sent until its receiver is back. {last}");
            (Label::warn("Receiver is away"), words, "See its health")
        }
        ("active", "failing") => (Label::warn("Failing"), format!("{name}: {last}"), "See its health"),
        _ => return None,
    };
    Some(Attention {
        label,
        words: words.trim().to_owned(),
        mend,
        path: format!("/admin/clients/{client}/destinations/{}", text(destination, "id")),
    })
}

/// How many a list has, in words, but for test sends; `None` if none, or if it can't be known.
async fn counted(api: &Api, path: &str, (one, many): (&str, &str)) -> Option<String> {
    let list = api.get(path).await.ok()?;
    let count = items(&list).iter().filter(|item| !is_test(item)).count();
    match (count, list["nextCursor"].is_string()) {
        (0, _) => None,
        (1, false) => Some(format!("one {one}")),
        (_, true) => Some(format!("more than {COUNTED} {many}")),
        (count, false) => Some(format!("{count} {many}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_destinations_in_trouble_are_told_of_with_why() {
        let client = ClientId::new("2026-11-26T05:54:29.000Z".parse().expect("a time"));
        let healthy = json!({"state": "healthy", "breaker": null, "lastError": null});
        let failing = json!({"state": "failing", "breaker": {"state": "open"}, "lastError": "no answer within 15 s"});
        let warned = json!({"state": "warned", "lastError": "the receiver answered 500", "disablesAt": "2026-11-27T00:00:00.000Z"});
        for (status, health, words) in [
            ("active", &healthy, None),
            ("paused", &healthy, None),
            (
                "active",
                &failing,
                Some("Lead Webhook URL: nothing is sent until its receiver is back. No answer within 15 s."),
            ),
            (
                "active",
                &warned,
                Some("Lead Webhook URL: The receiver answered 500. It will be disabled at 2026-11-27T00:00:00.000Z."),
            ),
            ("disabled", &warned, Some("Lead Webhook URL: It is gone.")),
        ] {
            let destination = json!({"id": "x", "name": "lead-webhook", "status": status, "statusReason": "it is gone", "health": health});
            let attention = of_destination(client, &destination);
            assert_eq!(attention.map(|it| it.words).as_deref(), words, "{status}");
        }
    }
}

//! Zapier: a catch hook, which starts a Zap with each event, its body as it is.
//!
//! Sources: Zapier's help on webhooks and their limits. The answer's keys were never seen live; only its status counts.

use std::sync::Arc;

use schemars::JsonSchema;
use sensei_domain::{Outcome, RateLimit, RateUnit, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::config::{self, About};
use super::hook::{self, Hook};
use super::vendor::{self, Judged};
use crate::egress::Answer;
use crate::transport::Kind;

const KIND: &str = "zapier";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The catch hook's URL. Whoever knows it may start the Zap.
    #[schemars(
        length(max = 300),
        regex(pattern = r"^https://hooks\.zapier\.com/hooks/(catch|standard)/[A-Za-z0-9_/-]+$"),
        extend("writeOnly" = true, "mismatch" = "must be a catch hook's URL, as Zapier shows it: https://hooks.zapier.com/hooks/catch/…/…/")
    )]
    url: String,
}

/// The kind `zapier`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Zapier",
            description: "Starts a Zap with each lead.",
            example: json!({"url": "https://hooks.zapier.com/hooks/catch/0000000/xxxxxxx/"}),
            rate_limit: RateLimit::new(15, RateUnit::Second, 15),
            setup_guide: "1. In Zapier make a Zap with the trigger *Webhooks by Zapier*, event *Catch Hook*.\n\
                2. Copy the URL that the step *Test* shows into the field above.\n\
                3. Send a test from here; Zapier then offers the lead's fields as `data__email` and so on.",
            docs_url: "https://help.zapier.com/hc/en-us/articles/8496288690317",
        },
        hook::SLOTS,
        |Config { url }, templates| Hook::new(&url, judge, templates),
    )
}

/// Zapier asks to repeat whatever it hasn't answered with 200.
fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let answered = vendor::answered("Zapier", answer.status);
    match answer.status.as_u16() {
        200 => (Outcome::Delivered, None),
        410 => (
            Outcome::Gone,
            Some(format!("{answered}: the Zap was removed; save the URL of another one")),
        ),
        _ => vendor::unavailable(answer, now, answered),
    }
}

//! Make: a custom webhook, which starts a scenario with each event, its body as it is.
//!
//! Source: Make's help on webhooks. Never seen live: the answer `Accepted`, 400 for a full queue, 410 for an inactive webhook, the rate
//! of 300 in 10 s. A scenario may answer with a status of its own, so what isn't known is worth repeating.

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

const KIND: &str = "make";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The custom webhook's URL. Whoever knows it may start the scenario.
    #[schemars(
        length(max = 300),
        regex(pattern = r"^https://hook\.(eu1|eu2|us1|us2)\.make\.com/[A-Za-z0-9]+$"),
        extend("writeOnly" = true, "mismatch" = "must be a custom webhook's URL, as Make shows it: https://hook.eu2.make.com/…")
    )]
    url: String,
}

/// The kind `make`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Make",
            description: "Starts a scenario with each lead.",
            example: json!({"url": "https://hook.eu2.make.com/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}),
            rate_limit: RateLimit::new(25, RateUnit::Second, 30),
            setup_guide: "1. In Make add the module *Webhooks*, *Custom webhook* to a scenario and choose *Add*.\n\
                2. Choose *Copy address to clipboard* and put it into the field above.\n\
                3. Send a test from here while Make waits to *determine the data structure*, then switch the scenario on.",
            docs_url: "https://help.make.com/webhooks",
        },
        hook::SLOTS,
        |Config { url }, templates| Hook::new(&url, judge, templates),
    )
}

fn judge(answer: &Answer, now: Timestamp) -> Judged {
    let answered = vendor::answered("Make", answer.status);
    match answer.status.as_u16() {
        200..=299 => (Outcome::Delivered, None),
        404 | 410 => (
            Outcome::Gone,
            Some(format!(
                "{answered}: the webhook isn't there or is inactive; save the URL of another one"
            )),
        ),
        400 => vendor::unavailable(answer, now, format!("{answered}: its queue may be full")),
        _ => vendor::unavailable(answer, now, answered),
    }
}

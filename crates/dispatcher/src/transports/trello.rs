//! Trello: a card at the top of a list.
//!
//! Nothing here was seen live: the calls, answers and limits are from Trello's reference. There is no idempotency: a repeat after a time-out
//! makes a second card.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use sensei_domain::{RateLimit, RateUnit, Timestamp};
use sensei_persistence::Job;
use serde::Deserialize;
use serde_json::json;

use super::config::{self, About};
use super::task::Sheet;
use super::text::markdown;
use super::vendor;
use crate::egress::Egress;
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, Kind, Transport};

const KIND: &str = "trello";
const CARDS: &str = "https://api.trello.com/1/cards";
/// Trello's limit of a description is 16,384 characters, and so is that of a name.
const NAME: usize = 1_000;
const DESCRIPTION: usize = 16_000;

const SHEET: Sheet = Sheet {
    title: NAME,
    text: DESCRIPTION,
    escape: markdown,
};
const SLOTS: &[Slot] = &SHEET.slots();

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    /// The API key of a Power-Up of yours.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"), extend("mismatch" = "must be an API key: 32 digits and letters from a to f"))]
    api_key: String,
    /// A token that was made with that key.
    #[schemars(length(max = 300), regex(pattern = "^[A-Za-z0-9]+$"), extend("writeOnly" = true, "mismatch" = "must be a token of letters and digits"))]
    token: String,
    /// The list that cards are added to.
    #[schemars(regex(pattern = "^[0-9a-f]{24}$"), extend("mismatch" = "must be a list's id: 24 digits and letters from a to f"))]
    list_id: String,
}

/// The kind `trello`.
pub(super) fn kind() -> Arc<dyn Kind> {
    config::kind(
        About {
            kind: KIND,
            name: "Trello",
            description: "Adds each lead as a card to a list.",
            example: json!({
                "apiKey": "00000000000000000000000000000000", "token": "ATTA0000000000000000", "listId": "000000000000000000000000"
            }),
            rate_limit: RateLimit::new(7, RateUnit::Second, 20),
            setup_guide: "1. Open <https://trello.com/power-ups/admin>, choose *New*, and *Generate a new API key*: that is `apiKey`.\n\
                2. Beside the key choose *Token* and *Allow*: that is `token`. It needs to read and write.\n\
                3. Open any card of the list, add `.json` to its address, and look for `idList`: that is `listId`.",
            docs_url: "https://developer.atlassian.com/cloud/trello/guides/rest-api/api-introduction/",
        },
        SLOTS,
        TrelloTransport,
    )
}

struct TrelloTransport(Config, Templates);

vendor::transport_without_secrets!(TrelloTransport);

#[async_trait]
impl Transport for TrelloTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let Config {
            api_key,
            token,
            list_id,
        } = &self.0;
        let task = match SHEET.task(&self.1, job).await {
            Ok(task) => task,
            Err(attempted) => return attempted,
        };
        let body = json!({"idList": list_id, "name": task.title, "desc": task.text, "pos": "top"});
        let credentials = format!(r#"OAuth oauth_consumer_key="{api_key}", oauth_token="{token}""#);
        let headers = vendor::json_with(AUTHORIZATION, &credentials);
        // Trello says why in plain text, which the log has anyway.
        let judge = |answer: &_| vendor::judge_api("Trello", answer, now, |_| None);
        vendor::post_to(egress, CARDS, headers, &body, judge).await
    }
}

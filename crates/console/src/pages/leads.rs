//! `/admin/clients/{client}/leads`: who has written, searched, and as a table for other programs.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sensei_domain::ClientId;
use serde_json::Value;

use crate::asked::{Asked, Ids, with_query};
use crate::delivery_filter::instant;
use crate::failure::Failure;
use crate::live::Live;
use crate::page::{Frame, items, show, show_with};
use crate::session::Viewer;
use crate::shown::LeadShown;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/leads", get(list))
        .route("/clients/{client}/leads.csv", get(export))
}

/// Which leads are shown, as it was typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct LeadFilter {
    q: String,
    suspected: String,
    since: String,
    until: String,
}

#[derive(Template)]
#[template(path = "leads.html", blocks = ["live"])]
struct LeadsPage {
    frame: Frame,
    live: Live,
    client: ClientId,
    asked: LeadFilter,
    leads: Vec<LeadShown>,
    refused: Option<String>,
    is_first: bool,
    newest: String,
    next: Option<String>,
    export: String,
}

impl LeadFilter {
    fn read(asked: &Asked) -> Self {
        let text = |name| asked.text(name).to_owned();
        Self {
            q: text("q"),
            suspected: text("suspected"),
            since: text("since"),
            until: text("until"),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the page's address keeps it.
    fn pairs(&self) -> [(&'static str, &str); 4] {
        [
            ("q", &self.q),
            ("suspected", &self.suspected),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    /// As the API is asked for it.
    fn parameters(&self) -> [(&'static str, String); 4] {
        [
            ("q", self.q.clone()),
            ("suspected", self.suspected.clone()),
            ("since", instant(&self.since)),
            ("until", instant(&self.until)),
        ]
    }
}

async fn list(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let frame = Frame::of_client(&viewer, client, "leads").await?;
    let filter = LeadFilter::read(&asked);
    let (now, cursor) = (state.now(), asked.text("cursor"));
    let parameters = filter.parameters();
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let more = [("cursor", cursor), ("limit", "50")];
    let path = with_query(&format!("/v1/clients/{client}/leads"), parameters.chain(more));
    let (answer, refused) = match viewer.api.get(&path).await {
        Ok(answer) => (answer, None),
        Err(refused) if refused.status == StatusCode::BAD_REQUEST => (Value::Null, Some(refused.detail)),
        Err(refused) => return Err(refused.into()),
    };
    let here = format!("/admin/clients/{client}/leads");
    let leads = items(&answer).iter().map(|lead| LeadShown::of(lead, client, now));
    let next = answer["nextCursor"].as_str();
    let page = LeadsPage {
        frame: frame.done(asked.given("done")),
        live: Live::leads(client),
        client,
        leads: leads.collect(),
        refused,
        is_first: cursor.is_empty(),
        newest: with_query(&here, filter.pairs()),
        next: next.map(|next| with_query(&here, filter.pairs().into_iter().chain([("cursor", next)]))),
        export: with_query(&format!("{here}.csv"), filter.pairs()),
        asked: filter,
    };
    if page.refused.is_some() {
        return Ok(show_with(StatusCode::BAD_REQUEST, &page));
    }
    Ok(match asked.text("part") {
        "live" => show(&page.as_live()),
        _ => show(&page),
    })
}

/// The API's file as it comes.
async fn export(viewer: Viewer, Ids(client): Ids<ClientId>, asked: Asked) -> Result<Response, Failure> {
    let filter = LeadFilter::read(&asked);
    let parameters = filter.parameters();
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let path = with_query(&format!("/v1/clients/{client}/leads.csv"), parameters);
    let answer = viewer.api.file(&path).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"leads-{client}.csv\""),
        ),
    ];
    Ok((headers, answer.into_body()).into_response())
}

//! `/admin/clients/{client}/deliveries/redeliver`: all that a filter shows, once it is known how many that is.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_domain::{ClientId, Timestamp};
use serde_json::{Value, json};

use crate::asked::{Asked, Ids, with_query};
use crate::delivery_filter::{DeliveryFilter, STATES};
use crate::failure::Failure;
use crate::form::Form;
use crate::moment::Moment;
use crate::page::{Frame, items, show, show_with, text};
use crate::session::Viewer;
use crate::shown::{Destinations, is_test, sentence};
use crate::state::ConsoleState;

/// Beyond this nobody counts: it is "more than".
const COUNTED: usize = 2_000;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/deliveries/redeliver", get(ask).post(begin))
}

#[derive(Template)]
#[template(path = "redeliver_many.html")]
struct RedeliverManyPage {
    frame: Frame,
    client: ClientId,
    filter: DeliveryFilter,
    /// `12`, or `more than 2,000`.
    count: String,
    is_none: bool,
    state_words: &'static str,
    destination: String,
    /// From when to when, in words; and as the API takes it, so that what is confirmed is what was counted.
    span: String,
    since: String,
    until: String,
    back: String,
    refused: Option<String>,
}

async fn ask(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    asked: Asked,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let filter = DeliveryFilter::read(&asked);
    let page = page(&viewer, client, filter, &state).await?;
    Ok(show(&page))
}

async fn page(
    viewer: &Viewer,
    client: ClientId,
    filter: DeliveryFilter,
    state: &ConsoleState,
) -> Result<RedeliverManyPage, Failure> {
    let mut frame = Frame::of_client(viewer, client, "deliveries").await?;
    frame.title = format!("Redeliver many · {}", frame.title);
    if let Some(why) = filter.not_recoverable() {
        return Err(Failure::BadForm(why.to_owned()));
    }
    let destinations = Destinations::of(&viewer.api, client).await?;
    let (since, until) = filter.span(state.now());
    let (count, is_more) = count(viewer, client, &filter, (&since, &until)).await?;
    let chosen = destinations.choices();
    let chosen = chosen.iter().find(|(id, _)| *id == filter.destination_id);
    let states = STATES.iter().find(|(name, _)| *name == filter.state);
    Ok(RedeliverManyPage {
        frame,
        client,
        count: if is_more {
            "more than 2,000".to_owned()
        } else {
            count.to_string()
        },
        is_none: count == 0,
        state_words: states.map_or("", |(_, words)| words),
        destination: match chosen {
            Some((_, name)) => name.clone(),
            None if filter.destination_id.is_empty() => "Any that is active".to_owned(),
            None => "A deleted destination".to_owned(),
        },
        span: in_words(&since, &until),
        back: with_query(&format!("/admin/clients/{client}/deliveries"), filter.pairs()),
        since,
        until,
        filter,
        refused: None,
    })
}

/// How many there are, and whether there are more than are counted. Of many, if nothing but the state is asked for, it is what the statistics
/// say, which count test sends as well.
async fn count(
    viewer: &Viewer,
    client: ClientId,
    filter: &DeliveryFilter,
    (since, until): (&str, &str),
) -> Result<(u64, bool), Failure> {
    let (mut counted, mut cursor) = (0, String::new());
    loop {
        let pairs = [
            ("state", filter.state.as_str()),
            ("destinationId", &filter.destination_id),
            ("since", since),
            ("until", until),
            ("cursor", &cursor),
            ("limit", "200"),
        ];
        let list = viewer
            .api
            .get(&with_query(&format!("/v1/clients/{client}/deliveries"), pairs))
            .await?;
        counted += items(&list).iter().filter(|delivery| !is_test(delivery)).count();
        match list["nextCursor"].as_str() {
            Some(next) if counted < COUNTED => next.clone_into(&mut cursor),
            Some(_) if filter.destination_id.is_empty() && since.is_empty() && until.is_empty() => break,
            next => return Ok((u64::try_from(counted).unwrap_or(u64::MAX), next.is_some())),
        }
    }
    let stats = viewer.api.get(&format!("/v1/clients/{client}/stats")).await?;
    Ok((stats["deliveries"][&filter.state].as_u64().unwrap_or_default(), false))
}

fn in_words(since: &str, until: &str) -> String {
    let moment = |text: &str| text.parse::<Timestamp>().ok().map(|at| Moment::new(at, at).absolute);
    match (moment(since), moment(until)) {
        (None, None) => "At any time until now".to_owned(),
        (Some(since), None) => format!("Since {since}"),
        (None, Some(until)) => format!("Before {until}"),
        (Some(since), Some(until)) => format!("From {since} until {until}"),
    }
}

async fn begin(Ids(client): Ids<ClientId>, State(state): State<ConsoleState>, form: Form) -> Result<Response, Failure> {
    let filter = DeliveryFilter::of(|name| form.text(name));
    let given = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let (since, until) = filter.span(state.now());
    let body = json!({
        "state": filter.state,
        "destinationId": given(&filter.destination_id),
        "since": given(&since),
        "until": given(&until),
    });
    let path = format!("/v1/clients/{client}/deliveries/redeliver");
    match form.viewer.api.post(&path, &body).await {
        Ok(begun) => {
            let to = format!(
                "/admin/clients/{client}/recoveries/{}?done=recovering",
                text(&begun, "id")
            );
            Ok(Redirect::to(&to).into_response())
        }
        Err(refused) if matches!(refused.status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
            let page = page(&form.viewer, client, filter, &state).await?;
            let words = Some(sentence(&refused.detail));
            Ok(show_with(refused.status, &RedeliverManyPage { refused: words, ..page }))
        }
        Err(refused) => Err(refused.into()),
    }
}

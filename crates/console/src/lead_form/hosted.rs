//! `/forms/{clientId}`: the form as a page of its own, which works without script.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sensei_domain::ClientId;
use sha2::{Digest, Sha256};

use super::filled::{self, Sent};
use super::gate;
use super::shown::{Form, Texts};
use crate::state::ConsoleState;

const STYLE: &str = include_str!("../../assets/lead_form.css");

#[derive(Template)]
#[template(path = "lead_form.html")]
struct FormPage<'a> {
    client: ClientId,
    form: &'a Form,
    /// Why it wasn't sent, in the client's words.
    trouble: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "lead_form_sent.html")]
struct SentPage<'a> {
    client: ClientId,
    form: &'a Form,
}

#[derive(Template)]
#[template(path = "lead_form_none.html")]
struct NonePage {
    is_gone: bool,
}

/// Why there is no form to show.
pub(super) struct NoForm(StatusCode);

impl IntoResponse for NoForm {
    fn into_response(self) -> Response {
        let page = NonePage {
            is_gone: self.0 == StatusCode::NOT_FOUND,
        };
        page_of(self.0, &page)
    }
}

/// Whose form it is; what isn't an id is nobody's.
pub(super) struct Of(ClientId);

impl<S: Send + Sync> FromRequestParts<S> for Of {
    type Rejection = NoForm;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoForm> {
        let path = Path::<ClientId>::from_request_parts(parts, state).await;
        path.map(|Path(client)| Self(client))
            .map_err(|_| NoForm(StatusCode::NOT_FOUND))
    }
}

pub(super) async fn show(State(state): State<ConsoleState>, Of(client): Of) -> Result<Response, NoForm> {
    let form = read(&state, client).await?;
    let page = FormPage {
        client,
        form: &form,
        trouble: None,
    };
    Ok(framed(&state, client, page_of(StatusCode::OK, &page)).await)
}

pub(super) async fn send(
    State(state): State<ConsoleState>,
    Of(client): Of,
    parts: Parts,
    body: Bytes,
) -> Result<Response, NoForm> {
    let mut form = read(&state, client).await?;
    let sent = Sent::read(&body);
    let lead = filled::fill(&mut form, &sent);
    // The form that the visitor has filled in, not the one that was just read.
    let token = std::mem::replace(&mut form.token, sent.text(filled::TOKEN).to_owned());
    let status = match lead {
        None => StatusCode::UNPROCESSABLE_ENTITY,
        Some(lead) => {
            // Sent twice, it is one.
            let key = Sha256::new()
                .chain_update(&form.token)
                .chain_update([0])
                .chain_update(lead.to_string());
            let key = URL_SAFE_NO_PAD.encode(key.finalize());
            let headers = [
                ("sensei-form-token", &*form.token),
                // What it is doesn't matter, and not every text is a header.
                (
                    "sensei-form-trap",
                    if sent.text(filled::TRAP).is_empty() {
                        ""
                    } else {
                        "filled"
                    },
                ),
                ("idempotency-key", &*key),
            ];
            gate::capture(state.api(), &parts, client, &headers, &lead).await
        }
    };
    if status == StatusCode::CREATED {
        return Ok(Redirect::to(&format!("/forms/{client}/sent")).into_response());
    }
    if form.token.is_empty() {
        form.token = token;
    }
    let Texts { wrong, failed, .. } = &form.texts;
    let is_wrong = form.fields.iter().any(|field| field.wrong.is_some());
    let page = FormPage {
        client,
        form: &form,
        trouble: Some(if is_wrong { wrong } else { failed }),
    };
    Ok(framed(&state, client, page_of(status, &page)).await)
}

pub(super) async fn sent(State(state): State<ConsoleState>, Of(client): Of) -> Result<Response, NoForm> {
    let form = read(&state, client).await?;
    let page = SentPage { client, form: &form };
    Ok(framed(&state, client, page_of(StatusCode::OK, &page)).await)
}

/// Its looks: a file of its own, since nothing in the page may style it.
pub(super) async fn style(State(state): State<ConsoleState>, Of(client): Of) -> Result<Response, NoForm> {
    let theme = read(&state, client).await?.theme;
    let own = format!(
        ":root {{ --accent: {}; --on-accent: {}; --radius: {}px; }}\n{STYLE}",
        theme.accent, theme.on_accent, theme.radius
    );
    Ok(([(header::CONTENT_TYPE, "text/css; charset=utf-8")], own).into_response())
}

async fn read(state: &ConsoleState, client: ClientId) -> Result<Form, NoForm> {
    let form = gate::form(state.api(), client).await.map_err(NoForm)?;
    let form = form.ok_or(NoForm(StatusCode::NOT_FOUND))?;
    Form::read(form).ok_or(NoForm(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Where the client's own pages may stand around it: those that may capture its leads, if it has named them, and its product's.
async fn framed(state: &ConsoleState, client: ClientId, mut page: Response) -> Response {
    match state.store().settings(client).await {
        Ok(Some(settings)) => {
            let ancestors = settings.allowed_origins.iter().chain(&settings.frame_ancestors);
            gate::allow_framing(&mut page, ancestors);
        }
        Ok(None) => {}
        // It can be filled in all the same, by itself.
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "who may frame a form isn't known"
        ),
    }
    page
}

fn page_of(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a form's page can't be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

//! `/v1/forms/{clientId}`: what a page needs to show a client's lead form. Anybody may ask.

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::options;
use sensei_domain::{ClientId, LeadForm};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cors;
use crate::form_schema::{FormFieldSchema, FormTextsSchema};
use crate::gate;
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .route("/v1/forms/{clientId}", options(cors::preflight))
        // Here, since it isn't a way to anything.
        .route("/v1/clients/{clientId}/leads", options(cors::preflight))
}

/// How a form looks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PublicFormTheme)]
struct ThemeView {
    #[schema(example = "#1d4ed8")]
    accent: String,
    /// What can be read on the accent.
    #[schema(example = "#ffffff")]
    on_accent: &'static str,
    radius: u32,
    /// `auto`, `light` or `dark`.
    #[schema(example = "auto")]
    scheme: &'static str,
}

/// A client's lead form, to be filled in once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PublicForm)]
struct FormView {
    #[schema(value_type = String, format = Uuid)]
    client_id: ClientId,
    /// The language of its texts.
    #[schema(example = "en")]
    lang: String,
    /// Which way they are written: `ltr` or `rtl`.
    #[schema(example = "ltr")]
    dir: &'static str,
    #[schema(value_type = Vec<FormFieldSchema>)]
    fields: serde_json::Value,
    #[schema(value_type = FormTextsSchema)]
    texts: serde_json::Value,
    theme: ThemeView,
    /// To be sent with the lead as `sensei-form-token`: good for one lead, from 2 seconds on to 12 hours.
    token: String,
}

impl FormView {
    fn new(client_id: ClientId, form: &LeadForm, token: String) -> Self {
        let theme = form.theme();
        Self {
            client_id,
            lang: form.lang().to_owned(),
            dir: form.dir(),
            fields: serde_json::to_value(form.fields()).expect("texts become JSON"),
            texts: serde_json::to_value(form.texts()).expect("texts become JSON"),
            theme: ThemeView {
                accent: theme.accent.clone(),
                on_accent: theme.on_accent(),
                radius: theme.radius,
                scheme: theme.scheme.name(),
            },
            token,
        }
    }
}

/// Read a lead form
///
/// What a page shows, and a token that shows later that the lead came from it. No key is needed; a browser's page must be of an origin that
/// the client allows.
#[utoipa::path(get, path = "/v1/forms/{clientId}", tag = "leads", operation_id = "readForm", security(()),
    params(("clientId" = Uuid, Path, description = "Whose form")),
    responses((status = OK, description = "The form", body = FormView)))]
async fn read(
    PathId(client_id): PathId<ClientId>,
    _: NoQuery,
    State(state): State<ApiState>,
    parts: Parts,
) -> Result<Response, Problem> {
    let (form, _) = gate::allowed(&parts, &state, client_id).await?;
    let origin = gate::origin_of(&parts);
    if !form.is_enabled() {
        return Err(Problem::not_found("form").readable_by(origin));
    }
    let view = FormView::new(client_id, &form, state.store().form_token(client_id));
    let mut response = Json(view).into_response();
    cors::readable(response.headers_mut(), origin);
    Ok(response)
}

//! `/v1/clients/{clientId}/settings`: what the client's Settings page shows and changes.

use axum::Json;
use axum::extract::State;
use sensei_domain::{ClientId, DestinationId, Fields, LeadForm, Timestamp, WebOrigin, WebhookUrl};
use sensei_persistence::{Settings, SettingsChange};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::JsonBody;
use crate::form_schema::LeadFormSchema;
use crate::origins;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

/// Sites of one client.
const ORIGINS_MAX: usize = 50;
/// Products that show a client's view in their pages.
const ANCESTORS_MAX: usize = 20;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read, change))
}

/// What changes; what is absent stays.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingsChange)]
#[expect(dead_code, reason = "documents what `change` reads field by field")]
struct SettingsChangeBody {
    /// Where leads are sent from now on. Null or empty: nowhere; the destination is deleted and what is pending for
    /// it is cancelled.
    #[schema(example = "https://hooks.acme.example/leads")]
    lead_webhook_url: Option<String>,
    /// Whether webhooks carry a lead's custom fields, as `data.custom`.
    #[schema(nullable = false)]
    include_custom_fields: Option<bool>,
    /// Whether the client's destinations also hear of their own troubles. Takes an admin's key.
    #[schema(nullable = false)]
    operational_events: Option<bool>,
    /// Where web pages may come from that capture leads with a publishable key; empty or null: anywhere, but then only our own form's leads
    /// are delivered without being looked at.
    #[schema(max_items = 50, example = json!(["https://www.acme.example"]))]
    allowed_origins: Option<Vec<String>>,
    /// Another lead form, whole; null: the default one.
    form: Option<LeadFormSchema>,
    /// Origins of the pages that may embed the client's own view of the console; empty or null: none. Takes an admin's key.
    #[schema(max_items = 20, example = json!(["https://app.acme.example"]))]
    frame_ancestors: Option<Vec<String>>,
}

/// A client's settings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub(crate) struct SettingsView {
    #[schema(value_type = String, format = Uuid)]
    client_id: ClientId,
    /// Where leads are sent; null: nowhere.
    #[schema(required, value_type = Option<String>, example = "https://hooks.acme.example/leads")]
    lead_webhook_url: Option<WebhookUrl>,
    /// The destination behind the URL.
    #[schema(required, value_type = Option<String>, format = Uuid)]
    destination_id: Option<DestinationId>,
    /// Whether webhooks carry a lead's custom fields, as `data.custom`.
    include_custom_fields: bool,
    /// Whether the client's destinations also hear of their own troubles.
    operational_events: bool,
    /// Where web pages may come from that capture leads with a publishable key.
    #[schema(value_type = Vec<String>, example = json!(["https://www.acme.example"]))]
    allowed_origins: Vec<WebOrigin>,
    /// The lead form, with all its parts.
    #[schema(value_type = LeadFormSchema)]
    form: LeadForm,
    /// Origins of the pages that may embed the client's own view of the console.
    #[schema(value_type = Vec<String>, example = json!(["https://app.acme.example"]))]
    frame_ancestors: Vec<WebOrigin>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        let Settings {
            client_id,
            lead_webhook_url,
            destination_id,
            include_custom_fields,
            operational_events,
            allowed_origins,
            form,
            frame_ancestors,
            updated_at,
        } = settings;
        Self {
            client_id,
            lead_webhook_url,
            destination_id,
            include_custom_fields,
            operational_events,
            allowed_origins,
            form,
            frame_ancestors,
            updated_at,
        }
    }
}

/// Read a client's settings
#[utoipa::path(get, path = "/v1/clients/{clientId}/settings", tag = "settings", operation_id = "readSettings",
    params(("clientId" = Uuid, Path, description = "The client")),
    responses((status = OK, description = "The settings", body = SettingsView)))]
async fn read(access: ClientAccess, _: NoQuery, State(state): State<ApiState>) -> Result<Json<SettingsView>, Problem> {
    let settings = state.store().settings(access.client_id).await?;
    settings
        .map(|settings| Json(settings.into()))
        .ok_or_else(Problem::unknown_client)
}

/// Change a client's settings
///
/// They are in force when this answers. A new URL after an emptied one is a new destination with a new secret;
/// a changed URL keeps both.
#[utoipa::path(patch, path = "/v1/clients/{clientId}/settings", tag = "settings", operation_id = "changeSettings",
    params(("clientId" = Uuid, Path, description = "The client")),
    request_body = SettingsChangeBody,
    responses((status = OK, description = "The settings as they are now", body = SettingsView)))]
async fn change(
    access: ClientAccess,
    _: NoQuery,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Json<SettingsView>, Problem> {
    let mut fields = Fields::new(&body.value)?;
    if fields.is_present("operationalEvents") || fields.is_present("frameAncestors") {
        access.require_admin()?;
    }
    let is_url_changed = fields.is_present("leadWebhookUrl");
    let lead_webhook_url = state.webhook_url(&mut fields, "leadWebhookUrl");
    let include_custom_fields = fields.optional_bool("includeCustomFields");
    let operational_events = fields.optional_bool("operationalEvents");
    let allowed_origins = fields.value("allowedOrigins");
    let allowed_origins = allowed_origins.map(|list| origins::read(list, "/allowedOrigins", ORIGINS_MAX));
    let allowed_origins = allowed_origins.and_then(|list| fields.nested(list));
    let form = fields.value("form").map(|form| LeadForm::from_json_at(form, "/form"));
    let form = form.and_then(|form| fields.nested(form));
    let frame_ancestors = fields.value("frameAncestors");
    let frame_ancestors = frame_ancestors.map(|list| origins::read(list, "/frameAncestors", ANCESTORS_MAX));
    let frame_ancestors = frame_ancestors.and_then(|list| fields.nested(list));
    fields.finish()?;

    let lead_webhook_url = is_url_changed.then_some(lead_webhook_url);
    let change = SettingsChange {
        lead_webhook_url,
        include_custom_fields,
        operational_events,
        allowed_origins,
        form,
        frame_ancestors,
    };
    let settings = state
        .store()
        .change_settings(access.client_id, change, &access.actor())
        .await?;
    settings
        .map(|settings| Json(settings.into()))
        .ok_or_else(Problem::unknown_client)
}

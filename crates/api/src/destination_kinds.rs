//! `/v1/destination-kinds`: which kinds of destinations there are, and what each needs.

use axum::Json;
use axum::extract::State;
use sensei_dispatcher::{Descriptor, Slot};
use sensei_domain::RateLimit;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::SecretAccess;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::schema;
use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The kinds that there are.
#[derive(Serialize, ToSchema)]
#[schema(as = DestinationKinds)]
struct KindsView {
    items: Vec<KindView>,
}

/// A kind of destination.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationKind)]
struct KindView {
    /// Its name in a destination's `kind`.
    #[schema(example = "webhook")]
    kind: &'static str,
    /// Its name for people.
    #[schema(example = "Webhook")]
    name: &'static str,
    /// What it does.
    description: &'static str,
    /// JSON Schema (2020-12) of a destination's `config`.
    #[schema(value_type = Object)]
    config_schema: Value,
    /// The fields of the config that are never shown again; `auth/password` is one within another, `secretHeaders/*` all within one.
    secret_fields: Vec<String>,
    /// A config that could be one, without real secrets.
    #[schema(value_type = Object)]
    example: Value,
    /// The limit that a destination of this kind has unless it is given another, by what its receiver allows.
    #[schema(schema_with = schema::rate_limit, required)]
    rate_limit: Option<RateLimit>,
    /// What of its requests a destination's `template` may fill.
    template_slots: Vec<SlotView>,
    /// How to set the receiver up and where to find what the config asks for, in Markdown.
    setup_guide: &'static str,
    /// Where to read on.
    docs_url: &'static str,
}

/// A place in a kind's requests that a template may fill.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateSlot)]
struct SlotView {
    /// Its key in a destination's `template`.
    #[schema(example = "title")]
    name: &'static str,
    /// What it is at the receiver.
    description: &'static str,
    /// Whether it holds a template that makes a text, one that makes JSON, or an object of texts by the names of the receiver's fields.
    #[schema(pattern = "^(text|json|fields)$")]
    form: &'static str,
    /// Characters at most; a longer text is cut.
    limit: usize,
    /// What is sent without a template, written as one, where that can be.
    #[schema(required)]
    default: Option<&'static str>,
}

impl From<&Slot> for SlotView {
    fn from(slot: &Slot) -> Self {
        Self {
            name: slot.name,
            description: slot.description,
            form: slot.form.name(),
            limit: slot.limit,
            default: slot.default,
        }
    }
}

impl KindView {
    fn of(descriptor: &Descriptor, slots: &[Slot]) -> Self {
        Self {
            kind: descriptor.kind,
            name: descriptor.name,
            description: descriptor.description,
            config_schema: descriptor.config_schema.clone(),
            secret_fields: descriptor.secret_fields.clone(),
            example: descriptor.example.clone(),
            rate_limit: descriptor.rate_limit,
            template_slots: slots.iter().map(SlotView::from).collect(),
            setup_guide: descriptor.setup_guide,
            docs_url: descriptor.docs_url,
        }
    }
}

/// List kinds of destinations
///
/// With the JSON Schema of each one's config. Takes any secret key.
#[utoipa::path(get, path = "/v1/destination-kinds", tag = "destinations", operation_id = "listDestinationKinds",
    responses((status = OK, description = "All kinds", body = KindsView)))]
async fn list(_: SecretAccess, _: NoQuery, State(state): State<ApiState>) -> Result<Json<KindsView>, Problem> {
    let items = state
        .kinds()
        .map(|descriptor| KindView::of(descriptor, state.registry().slots(descriptor.kind)));
    let items = items.collect();
    Ok(Json(KindsView { items }))
}

//! The OpenAPI document: made of the very routes that are served, committed as `docs/openapi.json`.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::idempotency;
use crate::problem::{ProblemError, ProblemView};
use crate::state::ApiState;
use crate::webhook::{LeadCreatedBody, LeadDataBody, webhooks};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sensei Webhooks", description = "Captures leads and delivers them to the client's own systems.\n\nErrors are `application/problem+json` (RFC 9457) with a stable `type`. Lists answer a page and the cursor of the next one. Unknown fields and parameters are errors."),
    components(schemas(ProblemView, ProblemError, LeadCreatedBody, LeadDataBody)),
    modifiers(&BearerKey),
    security(("key" = [])),
    tags(
        (name = "clients", description = "Customers of Sensei"),
        (name = "settings", description = "What a client's Settings page shows"),
        (name = "leads", description = "What visitors left"),
        (name = "destinations", description = "Where events are sent"),
        (name = "hooks", description = "Subscriptions that an app makes by itself"),
        (name = "deliveries", description = "The log of what was sent"),
        (name = "recoveries", description = "Work on many deliveries: sent again, replayed, discarded"),
        (name = "operator", description = "How everything stands, over all clients"),
        (name = "keys", description = "Who may call"),
        (name = "health", description = "How the service is; no key needed"),
        (name = "webhooks", description = "What receivers get"),
    )
)]
struct Document;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let description =
            "A secret key (`sk_…`: an admin's, or one client's), or to capture leads a publishable one (`pk_…`)";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The API's routes, each with its documentation.
pub(crate) fn documented_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(crate::clients::routes())
        .merge(crate::settings::routes())
        .merge(crate::leads::routes())
        .merge(crate::leads_batch::routes())
        .merge(crate::leads_csv::routes())
        .merge(crate::destinations::routes())
        .merge(crate::destination_secrets::routes())
        .merge(crate::destination_test::routes())
        .merge(crate::destination_preview::routes())
        .merge(crate::destination_kinds::routes())
        .merge(crate::hooks::routes())
        .merge(crate::deliveries::routes())
        .merge(crate::stats::routes())
        .merge(crate::stream::routes())
        .merge(crate::recoveries::routes())
        .merge(crate::keys::routes())
        .merge(crate::operator::routes())
        .merge(crate::audit_log::routes())
        .merge(crate::health::routes())
        .routes(routes!(document))
}

/// The OpenAPI document of the API, with the webhook that receivers get.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = documented_routes().into_openapi();
    document.webhooks = Some(webhooks());
    for item in document.paths.paths.values_mut() {
        item.post.iter_mut().for_each(document_idempotency);
        operations(item).for_each(document_problems);
    }
    document
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "openapi", security(()),
    responses((status = OK, description = "The OpenAPI document", body = Object)))]
async fn document(_: crate::query::NoQuery) -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi().to_json().expect("the document is JSON"));
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .flatten()
}

/// Adds the header that makes a POST safe to repeat, which every one takes.
fn document_idempotency(operation: &mut Operation) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let key = ParameterBuilder::new()
        .name(idempotency::HEADER.as_str())
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Chosen by you, e.g. a UUID: visible ASCII. An equal request within 24 hours gets the answer of the first",
        ))
        .schema(Some(
            text().min_length(Some(1)).max_length(Some(idempotency::MAX_LENGTH)),
        ));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(RefOr::T(key.build()));
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            let replayed = HeaderBuilder::new()
                .schema(Some(text()))
                .description(Some("`true` on the answer of an equal request before"));
            response
                .headers
                .insert(idempotency::REPLAYED.to_string(), RefOr::T(replayed.build()));
        }
    }
}

/// Adds the problems that every operation of its sort can meet.
fn document_problems(operation: &mut Operation) {
    let is_public = operation.security.is_some();
    let is_in_path = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    };
    let has_id = operation.parameters.iter().flatten().any(is_in_path);
    let has_body = operation.request_body.is_some();
    let problems = [
        (
            "400",
            true,
            "A part of the path, the query, a header or the body can't be understood",
        ),
        ("401", !is_public, "No key, or one that isn't valid"),
        ("403", !is_public, "The key may not do this"),
        ("404", has_id, "There is no such thing, or it is another client's"),
        ("413", has_body, "The body is too large"),
        ("415", has_body, "The body isn't declared to be JSON"),
        ("422", has_body, "Fields of the body aren't what they must be"),
        (
            "503",
            !is_public,
            "The service is unavailable for the moment; `retry-after` says how long",
        ),
        ("default", true, "Another problem"),
    ];
    for (status, _, description) in problems.into_iter().filter(|&(_, can_happen, _)| can_happen) {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    }
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

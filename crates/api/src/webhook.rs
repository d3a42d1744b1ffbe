//! The webhook that receivers get, as the OpenAPI document shows it.

use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, HttpMethod, Ref, Required, ResponseBuilder};

/// A lead was captured. Sent to the client's Lead Webhook URL, byte for byte the same at every attempt.
#[derive(ToSchema)]
#[schema(as = LeadCreated)]
#[expect(dead_code, reason = "documents what `sensei_domain::LeadCreated` writes")]
pub(crate) struct LeadCreatedBody {
    /// Always `lead.created`.
    #[schema(example = "lead.created")]
    event: String,
    /// When the lead was captured: UTC, milliseconds.
    #[schema(format = DateTime, example = "2024-11-24T10:30:00.000Z")]
    timestamp: String,
    data: LeadDataBody,
}

/// The lead.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LeadData)]
#[expect(dead_code, reason = "documents what `sensei_domain::LeadCreated` writes")]
pub(crate) struct LeadDataBody {
    #[schema(format = Uuid)]
    id: String,
    #[schema(example = "John Doe")]
    name: String,
    #[schema(example = "john@example.com")]
    email: String,
    #[schema(required, example = "+1234567890")]
    phone: Option<String>,
    #[schema(required, example = "I need a quote for enterprise plan")]
    message: Option<String>,
    #[schema(format = Uuid)]
    client_id: String,
    /// The client's name when the lead was captured.
    #[schema(example = "Acme Corp")]
    client_name: String,
    #[schema(required)]
    session_id: Option<String>,
    /// The lead's custom fields, only if the client's settings ask for them.
    #[schema(value_type = Object, required = false)]
    custom: Option<()>,
}

/// What is sent, and what the receiver is to answer.
pub(crate) fn webhooks() -> Paths {
    let header = |name: &str, description: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
    };
    let body = Content::new(Some(Ref::from_schema_name("LeadCreated")));
    let operation = OperationBuilder::new()
        .operation_id(Some("leadCreated"))
        .tag("webhooks")
        .summary(Some("A lead was captured"))
        .description(Some(
            "Posted to the client's Lead Webhook URL, at least once: tell repetitions by `webhook-id`. Verify the \
             signature with the destination's secret (Standard Webhooks).",
        ))
        .parameter(header("webhook-id", "The event's id, the same at every attempt."))
        .parameter(header(
            "webhook-timestamp",
            "When this attempt was made, in seconds since 1970.",
        ))
        .parameter(header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` in base64.",
        ))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", body)
                .required(Some(Required::True))
                .build(),
        ))
        .response(
            "2XX",
            ResponseBuilder::new().description(
                "Received. Any other answer is a failed attempt: logged, and not repeated under the policy `none`.",
            ),
        );
    PathsBuilder::new()
        .path("lead.created", PathItem::new(HttpMethod::Post, operation))
        .build()
}

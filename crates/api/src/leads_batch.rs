//! `/v1/clients/{clientId}/leads/batch`: capturing many leads, with an answer for each.
//!
//! Valid leads are captured, together and durably; invalid ones are reported and touch nothing. That
//! suits whoever sends a batch: one mistyped address among a thousand must not hold up the others.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{ClientId, Faults, Fields, LeadId, NewLead};
use sensei_persistence::{CaptureLead, CaptureRequest, Idempotency};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::{BATCH_LIMIT, JsonBody};
use crate::idempotency::{self, IdempotencyKey};
use crate::leads::{LeadView, NewLeadBody};
use crate::problem::{Problem, ProblemError};
use crate::query::NoQuery;
use crate::state::ApiState;

/// As the contract says.
const LEADS_MAX: usize = 1_000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(capture))
}

/// Leads to capture.
#[derive(ToSchema)]
#[schema(as = LeadBatch)]
#[expect(dead_code, reason = "documents what `capture` reads")]
struct LeadBatchBody {
    #[schema(min_items = 1, max_items = 1000)]
    leads: Vec<NewLeadBody>,
}

/// What became of each lead.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LeadBatchAnswer)]
struct BatchView {
    /// How many leads were captured.
    captured: usize,
    /// How many were not.
    rejected: usize,
    /// One answer a lead, in the order they were sent.
    items: Vec<BatchItem>,
}

/// What became of one lead of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = LeadBatchItem)]
enum BatchItem {
    /// It was captured.
    Captured {
        /// 201.
        #[schema(minimum = 201, maximum = 201)]
        status: u16,
        lead: Box<LeadView>,
    },
    /// It was not, and touched nothing.
    Rejected {
        /// 422.
        #[schema(minimum = 422, maximum = 422)]
        status: u16,
        /// All that is wrong with it; pointers lead into the whole body.
        errors: Vec<ProblemError>,
    },
}

/// The path that idempotency keys of batches are kept under.
fn path(client_id: ClientId) -> String {
    format!("/v1/clients/{client_id}/leads/batch")
}

/// Capture many leads
///
/// Up to 1,000 at once. The valid ones are captured, durable together when this answers; the others are reported,
/// each with what is wrong, so look at `rejected`. Correct and send those again by themselves. With an `Idempotency-Key` the whole request
/// can be repeated safely for 24 hours. It takes a secret key: a page's form is for one lead.
#[utoipa::path(post, path = "/v1/clients/{clientId}/leads/batch", tag = "leads", operation_id = "captureLeads",
    params(("clientId" = Uuid, Path, description = "Whose leads they are")),
    request_body = LeadBatchBody,
    responses((status = OK, description = "One answer a lead", body = BatchView)))]
async fn capture(
    access: ClientAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody<BATCH_LIMIT>,
) -> Result<Response, Problem> {
    let client_id = access.client_id;
    let values = leads_of(&body.value)?;
    let captured_at = state.now();
    let mut leads = Vec::with_capacity(values.len());
    let items = values.iter().enumerate().map(|(index, value)| {
        match NewLead::from_json_at(value, &format!("/leads/{index}")) {
            Ok(lead) => {
                let id = LeadId::new(captured_at);
                let view = Box::new(LeadView::of_new(id, captured_at, &lead));
                leads.push(CaptureLead { id, lead });
                BatchItem::Captured {
                    status: StatusCode::CREATED.as_u16(),
                    lead: view,
                }
            }
            Err(faults) => BatchItem::Rejected {
                status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
                errors: faults.into_vec().into_iter().map(ProblemError::from).collect(),
            },
        }
    });
    let items = items.collect::<Vec<_>>();
    let view = BatchView {
        captured: leads.len(),
        rejected: items.len() - leads.len(),
        items,
    };
    let answer = idempotency::answer(StatusCode::OK, &view);
    let idempotency = key.request(path(client_id), || body.fingerprint());
    let idempotency = idempotency.map(|request| Idempotency {
        request,
        answer: answer.clone(),
    });
    // Without a single valid lead too: whether the client exists and the key is new is for the store to say.
    let request = CaptureRequest {
        client_id,
        leads,
        captured_at,
        idempotency,
    };
    Ok(idempotency::respond_captured(
        state.store().capture(request).await?,
        answer,
    ))
}

fn leads_of(body: &Value) -> Result<&[Value], Faults> {
    let mut fields = Fields::new(body)?;
    let leads = match fields.value("leads") {
        Some(Value::Array(leads)) if (1..=LEADS_MAX).contains(&leads.len()) => leads.as_slice(),
        Some(Value::Array(leads)) => {
            fields.fault(
                "leads",
                format!("must hold 1 to {LEADS_MAX} leads, not {}", leads.len()),
            );
            &[]
        }
        Some(_) => {
            fields.fault("leads", "must be an array of leads");
            &[]
        }
        None => {
            fields.fault("leads", "is required");
            &[]
        }
    };
    fields.finish()?;
    Ok(leads)
}

//! `/v1/clients/{clientId}/leads`: capturing one lead, and what was captured.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use sensei_domain::{ClientId, LeadId, NewLead, Suspicion, Timestamp};
use sensei_persistence::{Answer, CaptureLead, CaptureRequest, Idempotency, KeyedRequest, Lead, Suspected};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{CaptureAccess, ClientAccess};
use crate::body::JsonBody;
use crate::idempotency::{self, IdempotencyKey};
use crate::lead_query::{LeadParameters, LeadsQuery};
use crate::leads_from_pages;
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type LeadList = List<LeadView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(capture, list))
        .routes(routes!(read, erase))
}

/// What a visitor left. An empty optional field is the same as an absent one.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewLead)]
#[expect(dead_code, reason = "documents what `NewLead::from_json` reads")]
pub(crate) struct NewLeadBody {
    /// Full name; surrounding white space is dropped.
    #[schema(min_length = 1, max_length = 200, example = "John Doe")]
    name: String,
    /// Email address.
    #[schema(max_length = 254, format = Email, example = "john@example.com")]
    email: String,
    /// Phone number, kept as typed.
    #[schema(max_length = 40, example = "+1234567890")]
    phone: Option<String>,
    /// What the visitor wrote.
    #[schema(max_length = 10_000, example = "I need a quote for enterprise plan")]
    message: Option<String>,
    /// The chat session it came from.
    #[schema(max_length = 200, example = "session-7f3a")]
    session_id: Option<String>,
    /// Further fields of the client's own form: at most 50 keys and 8 KiB. Sent only if the client's settings say so.
    #[schema(value_type = Option<Object>, example = json!({"budget": "10k"}))]
    custom: Option<Map<String, Value>>,
}

/// A captured lead. An erased one keeps its id and times only.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Lead)]
pub(crate) struct LeadView {
    #[schema(value_type = String, format = Uuid)]
    id: LeadId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null once erased.
    #[schema(required, example = "John Doe")]
    name: Option<String>,
    /// Null once erased.
    #[schema(required, example = "john@example.com")]
    email: Option<String>,
    #[schema(required)]
    phone: Option<String>,
    #[schema(required)]
    message: Option<String>,
    #[schema(required)]
    session_id: Option<String>,
    #[schema(required, value_type = Option<Object>)]
    custom: Option<Map<String, Value>>,
    /// When its personal data was erased.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    erased_at: Option<Timestamp>,
    /// Why it is kept back instead of being delivered; null: it isn't, or was released.
    #[schema(required)]
    suspected: Option<SuspectedView>,
}

/// Why a lead is kept back: it may be no person's.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SuspectedLead)]
pub(crate) struct SuspectedView {
    /// `hidden-field-filled`, `too-fast`, `no-form`, `foreign-form`, `form-expired`, `form-reused`.
    #[schema(value_type = Vec<String>, example = json!(["too-fast"]))]
    reasons: Vec<Suspicion>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl LeadView {
    /// The lead as it will be when it is captured.
    pub(crate) fn of_new(id: LeadId, captured_at: Timestamp, lead: &NewLead) -> Self {
        Self {
            id,
            created_at: captured_at,
            name: Some(lead.name().to_owned()),
            email: Some(lead.email().as_str().to_owned()),
            phone: lead.phone().map(str::to_owned),
            message: lead.message().map(str::to_owned),
            session_id: lead.session_id().map(str::to_owned),
            custom: lead.custom().cloned(),
            erased_at: None,
            suspected: None,
        }
    }

    /// The same lead, kept back for these reasons, if there are any.
    pub(crate) fn suspected(mut self, reasons: &[Suspicion], at: Timestamp) -> Self {
        self.suspected = (!reasons.is_empty()).then(|| SuspectedView {
            reasons: reasons.to_vec(),
            at,
        });
        self
    }
}

impl From<Lead> for LeadView {
    fn from(lead: Lead) -> Self {
        let Lead {
            id,
            name,
            email,
            phone,
            message,
            session_id,
            custom,
            created_at,
            erased_at,
            suspected,
            ..
        } = lead;
        let is_kept = erased_at.is_none();
        let (name, email) = (is_kept.then_some(name), is_kept.then_some(email));
        Self {
            id,
            created_at,
            name,
            email,
            phone,
            message,
            session_id,
            custom,
            erased_at,
            suspected: suspected.map(|Suspected { reasons, at }| SuspectedView { reasons, at }),
        }
    }
}

/// A lead as it came in a request.
pub(crate) struct NewCapture {
    client_id: ClientId,
    pub(crate) lead: NewLead,
    keyed: Option<KeyedRequest>,
}

impl NewCapture {
    /// Reads a request; what can't be read of it is told in the order in which it is looked at.
    fn read(
        client_id: ClientId,
        is_from_page: bool,
        query: Result<NoQuery, Problem>,
        key: Result<IdempotencyKey, Problem>,
        body: Result<JsonBody, Problem>,
    ) -> Result<Self, Problem> {
        query?;
        let (key, body) = (key?, body?);
        Ok(Self {
            client_id,
            lead: NewLead::from_json(&body.value)?,
            keyed: key.request(path(client_id, is_from_page), || body.fingerprint()),
        })
    }

    /// What is asked of the store, and what is answered once it is done.
    pub(crate) fn request(
        self,
        id: LeadId,
        suspicions: &[Suspicion],
        captured_at: Timestamp,
    ) -> (CaptureRequest, Answer) {
        let Self { client_id, lead, keyed } = self;
        let view = LeadView::of_new(id, captured_at, &lead).suspected(suspicions, captured_at);
        let answer = idempotency::answer(StatusCode::CREATED, &view);
        let idempotency = keyed.map(|request| Idempotency {
            request,
            answer: answer.clone(),
        });
        let request = CaptureRequest {
            client_id,
            leads: vec![CaptureLead { id, lead }],
            captured_at,
            idempotency,
        };
        (request, answer)
    }
}

/// The path that idempotency keys of single leads are kept under. Anybody can read a page's key and choose the idempotency key of a server's
/// lead, which would then be answered with his own: pages have a space of their own.
fn path(client_id: ClientId, is_from_page: bool) -> String {
    let space = if is_from_page { "#page" } else { "" };
    format!("/v1/clients/{client_id}/leads{space}")
}

/// Capture a lead
///
/// The lead and its deliveries are on disk when this answers, and the webhook is on its way. With an
/// `Idempotency-Key` the request can be repeated safely for 24 hours: an equal one gets the first one's answer, with the
/// header `idempotency-replayed: true`.
///
/// A publishable key is enough, from a page of an origin that the client allows. Such leads are limited per address and per client (429); the
/// same lead twice within a minute is one; and those that seem to be no person's are kept and marked (`suspected`), and not delivered until
/// they are released. Send the token of the form as `sensei-form-token`, and as `sensei-form-trap` what was filled into a field that people don't see.
#[utoipa::path(post, path = "/v1/clients/{clientId}/leads", tag = "leads", operation_id = "captureLead",
    params(("clientId" = Uuid, Path, description = "Whose lead it is")),
    request_body = NewLeadBody,
    responses((status = CREATED, description = "The lead, durable", body = LeadView)))]
async fn capture(
    CaptureAccess { client_id, page }: CaptureAccess,
    query: Result<NoQuery, Problem>,
    key: Result<IdempotencyKey, Problem>,
    State(state): State<ApiState>,
    body: Result<JsonBody, Problem>,
) -> Response {
    let new = NewCapture::read(client_id, page.is_some(), query, key, body);
    let captured = match page {
        None => capture_at_once(new, &state).await,
        Some(page) => leads_from_pages::capture(new, page, state).await,
    };
    captured.unwrap_or_else(Problem::into_response)
}

async fn capture_at_once(new: Result<NewCapture, Problem>, state: &ApiState) -> Result<Response, Problem> {
    let captured_at = state.now();
    let (request, answer) = new?.request(LeadId::new(captured_at), &[], captured_at);
    Ok(idempotency::respond_captured(
        state.store().capture(request).await?,
        answer,
    ))
}

/// List leads
///
/// Newest first. What few leads have in them is looked for for a bounded time: a page may have fewer items than asked for, or none, and a
/// cursor with which to go on.
#[utoipa::path(get, path = "/v1/clients/{clientId}/leads", tag = "leads", operation_id = "listLeads",
    params(("clientId" = Uuid, Path, description = "Whose leads"), LeadParameters, Paging),
    responses((status = OK, description = "A page of leads", body = LeadList)))]
async fn list(
    access: ClientAccess,
    LeadsQuery { filter, paging }: LeadsQuery,
    State(state): State<ApiState>,
) -> Result<Json<LeadList>, Problem> {
    state.client(access.client_id).await?;
    let page = state
        .store()
        .find_leads(access.client_id, &filter, paging.shown())
        .await?;
    Ok(Json(List::new(page.leads, page.next)))
}

/// Read a lead
#[utoipa::path(get, path = "/v1/clients/{clientId}/leads/{leadId}", tag = "leads", operation_id = "readLead",
    params(("clientId" = Uuid, Path, description = "Whose lead"), ("leadId" = Uuid, Path, description = "The lead")),
    responses((status = OK, description = "The lead", body = LeadView)))]
async fn read(
    access: ClientAccess,
    PathId(lead_id): PathId<LeadId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<Json<LeadView>, Problem> {
    let lead = state.store().lead(access.client_id, lead_id).await?;
    lead.map(|lead| Json(lead.into()))
        .ok_or_else(|| Problem::not_found("lead"))
}

/// Erase a lead
///
/// Its personal data is removed from everything kept about it, and what is pending for it is cancelled. Its id and
/// its deliveries' log stay.
#[utoipa::path(delete, path = "/v1/clients/{clientId}/leads/{leadId}", tag = "leads", operation_id = "eraseLead",
    params(("clientId" = Uuid, Path, description = "Whose lead"), ("leadId" = Uuid, Path, description = "The lead")),
    responses((status = NO_CONTENT, description = "The lead's personal data is erased")))]
async fn erase(
    access: ClientAccess,
    PathId(lead_id): PathId<LeadId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<StatusCode, Problem> {
    let is_erased = state
        .store()
        .erase_lead(access.client_id, lead_id, &access.actor())
        .await?;
    if is_erased {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("lead"))
    }
}

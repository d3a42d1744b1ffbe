//! `/v1/clients/{clientId}/hooks`: destinations that an app makes and deletes by itself (REST hooks, as Zapier wants them).
//!
//! A hook is a destination, of the kind that its URL is one of: it is seen, paused and redelivered to like any other, and has its id.
//! It is known by its name, which is made of its kind and URL: so equal subscriptions are one, however many come at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{
    ClientId, DestinationId, DestinationName, Faults, Fields, LeadCreated, LeadData, LeadId, NewLead, RetryPolicy,
};
use sensei_persistence::{ChangeError, Client, Destination, DestinationChange, Lead, LeadFilter, NewDestination, Page};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::JsonBody;
use crate::idempotency::{self, IdempotencyKey};
use crate::path_id::PathId;
use crate::problem::{Problem, ProblemView};
use crate::problem_kind::ProblemKind;
use crate::query::NoQuery;
use crate::state::ApiState;

/// Kinds that a URL can be one of, the one for any URL last.
const KINDS: [&str; 3] = ["zapier", "make", "webhook"];
/// Events that an app's author sees when he sets it up.
const SAMPLES: usize = 3;
/// Leads among which those are looked for that aren't erased.
const LOOKED_AT: u32 = 50;
/// Destinations that are looked at in one go.
const PAGE: u32 = 200;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(subscribe))
        .routes(routes!(sample))
        .routes(routes!(unsubscribe))
}

/// Where events go from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hook)]
struct HookView {
    /// Of the destination that it is.
    #[schema(value_type = String, format = Uuid)]
    id: DestinationId,
    /// What it is sent.
    #[schema(example = "lead.created")]
    event: &'static str,
}

/// An app that wants events.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewHook)]
#[expect(dead_code, reason = "documents what is read by hand")]
struct NewHookBody {
    /// Where they are sent by POST.
    #[schema(example = "https://hooks.zapier.com/hooks/standard/1234567/abcdef/")]
    target_url: String,
    /// All that there is.
    #[schema(nullable = false, pattern = "^lead\\.created$", default = "lead.created")]
    event: Option<String>,
}

/// Subscribe a URL
///
/// Makes a destination of it, which gets the client's leads from now on. The same URL again is the same subscription: 200
/// instead of 201. When the receiver answers 410, it is sent nothing more.
#[utoipa::path(post, path = "/v1/clients/{clientId}/hooks", tag = "hooks", operation_id = "subscribeHook",
    params(("clientId" = Uuid, Path, description = "Whose leads")),
    request_body = NewHookBody,
    responses((status = CREATED, description = "The subscription", body = HookView),
        (status = OK, description = "The subscription that the URL has already, resumed if it was paused or disabled", body = HookView),
        (status = CONFLICT, description = "Its destination has another URL by now, or the client has as many destinations as it may",
            body = ProblemView, content_type = "application/problem+json")))]
async fn subscribe(
    access: ClientAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let new = new_hook(&body.value, &state)?;
    let actor = access.actor();
    let request = key.request(path(access.client_id), || body.fingerprint());
    let answer = |made: &Destination| idempotency::answer(StatusCode::CREATED, &HookView::of(made));
    let made = state
        .store()
        .create_destination(access.client_id, &new, request.as_ref(), answer, &actor)
        .await;
    match made {
        Ok(made) => Ok(idempotency::respond(made)),
        Err(ChangeError::NameTaken) => {
            let known = known(access.client_id, &new, &state).await?;
            // Who subscribes wants events, whatever had stopped them.
            let resume = DestinationChange {
                is_paused: Some(false),
                ..DestinationChange::default()
            };
            let resumed = state
                .store()
                .change_destination(access.client_id, known.id, &resume, &actor)
                .await?;
            let answer = idempotency::answer(StatusCode::OK, &HookView::of(&resumed));
            let kept = state.store().keep_answer(access.client_id, request.as_ref(), answer);
            Ok(idempotency::respond(kept.await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// Unsubscribe
///
/// Deletes the destination; what is pending for it is cancelled.
#[utoipa::path(delete, path = "/v1/clients/{clientId}/hooks/{destinationId}", tag = "hooks", operation_id = "unsubscribeHook",
    params(("clientId" = Uuid, Path, description = "Whose leads"), ("destinationId" = Uuid, Path, description = "The subscription, by the id of its destination")),
    responses((status = NO_CONTENT, description = "Nothing more is sent")))]
async fn unsubscribe(
    access: ClientAccess,
    PathId(hook_id): PathId<DestinationId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<StatusCode, Problem> {
    let found = state.store().destination(access.client_id, hook_id).await?;
    let is_hook = found.is_some_and(|found| DestinationName::is_hooks(&found.name));
    let is_deleted = is_hook
        && state
            .store()
            .delete_destination(access.client_id, hook_id, &access.actor())
            .await?;
    is_deleted
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(|| Problem::not_found("hook"))
}

/// Sample events
///
/// The newest leads as they are sent, three at most, for whoever sets an app up; a made-up one where there is none yet.
#[utoipa::path(get, path = "/v1/clients/{clientId}/hooks/sample", tag = "hooks", operation_id = "sampleHook",
    params(("clientId" = Uuid, Path, description = "Whose leads")),
    responses((status = OK, description = "Events, the newest first", body = Vec<Object>)))]
async fn sample(access: ClientAccess, _: NoQuery, State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let client = state.client(access.client_id).await?;
    let (sent, newest) = (
        LeadFilter {
            suspected: Some(false),
            ..LeadFilter::default()
        },
        Page {
            limit: LOOKED_AT,
            before: None,
        },
    );
    let found = state.store().find_leads(access.client_id, &sent, newest).await?;
    let leads = found.leads.iter().filter(|lead| lead.erased_at.is_none()).take(SAMPLES);
    let mut events = leads.map(|lead| json!(event(lead, &client))).collect::<Vec<_>>();
    if events.is_empty() {
        let (now, lead) = (state.now(), NewLead::sample());
        let custom = client.include_custom_fields;
        events.push(json!(LeadCreated::new(
            LeadId::new(now),
            now,
            &lead,
            client.id,
            &client.name,
            custom
        )));
    }
    Ok(Json(Value::Array(events)))
}

/// The path that idempotency keys of hooks are kept under.
fn path(client_id: ClientId) -> String {
    format!("/v1/clients/{client_id}/hooks")
}

impl HookView {
    const fn of(destination: &Destination) -> Self {
        Self {
            id: destination.id,
            event: LeadCreated::EVENT,
        }
    }
}

fn new_hook(body: &Value, state: &ApiState) -> Result<NewDestination, Faults> {
    let mut fields = Fields::new(body)?;
    if !fields.is_present("targetUrl") {
        fields.fault("targetUrl", "is required");
    }
    let url = state.webhook_url(&mut fields, "targetUrl");
    if fields.value("event").is_some_and(|event| event != LeadCreated::EVENT) {
        fields.fault("event", format!("must be {}", LeadCreated::EVENT));
    }
    let url = match (fields.finish(), url) {
        (Ok(()), Some(url)) => url,
        (Ok(()), None) => return Err(Faults::one("/targetUrl", "must not be empty")),
        (Err(faults), _) => return Err(faults),
    };
    let config = json!({"url": url.as_str()});
    let fits = |kind: &'static str| Some((kind, state.config(kind, &config, None).ok()?.0));
    let Some((kind, config)) = KINDS.into_iter().find_map(fits) else {
        return Err(Faults::one("/targetUrl", "can't be used"));
    };
    Ok(NewDestination {
        kind: kind.to_owned(),
        name: name(kind, url.as_str()),
        config,
        template: None,
        retry: RetryPolicy::Standard,
        rate_limit: state.descriptor(kind).and_then(|descriptor| descriptor.rate_limit),
        ordered: false,
        filter: None,
    })
}

/// The name of a kind's and URL's hook. The URL is a secret, so no more than a part of its hash is shown.
fn name(kind: &str, url: &str) -> DestinationName {
    let hash: [u8; 32] = Sha256::digest(format!("{kind}\0{url}")).into();
    let beginning = hash.first_chunk::<8>().expect("it is longer");
    DestinationName::of_hook(u64::from_be_bytes(*beginning))
}

/// The hook that has the name already.
async fn known(client_id: ClientId, new: &NewDestination, state: &ApiState) -> Result<Arc<Destination>, Problem> {
    let name = new.name.as_str();
    let mut before = None;
    loop {
        let page = Page { limit: PAGE, before };
        let destinations = state.store().destinations(client_id, page).await?;
        if let Some(known) = destinations.iter().find(|known| known.name == name) {
            let is_same = known.kind == new.kind && known.config.at("url") == new.config.at("url");
            return is_same.then(|| Arc::clone(known)).ok_or_else(changed);
        }
        match destinations.last() {
            Some(last) if destinations.len() == PAGE as usize => before = Some(last.id.as_uuid()),
            _ => return Err(changed()),
        }
    }
}

/// It was made for the URL, and isn't there for it any more.
fn changed() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        "the destination of this hook has another URL now, or is being deleted: delete it, then subscribe again",
    )
}

/// A lead as it is sent.
fn event<'a>(lead: &'a Lead, client: &'a Client) -> LeadCreated<'a> {
    LeadCreated {
        event: LeadCreated::EVENT.into(),
        timestamp: lead.created_at,
        data: LeadData {
            id: lead.id,
            name: (&*lead.name).into(),
            email: (&*lead.email).into(),
            phone: lead.phone.as_deref().map(Into::into),
            message: lead.message.as_deref().map(Into::into),
            client_id: client.id,
            client_name: (&*client.name).into(),
            session_id: lead.session_id.as_deref().map(Into::into),
            custom: lead
                .custom
                .as_ref()
                .filter(|_| client.include_custom_fields)
                .map(std::borrow::Cow::Borrowed),
        },
    }
}

//! `/v1/clients/{clientId}/destinations/{destinationId}/test`: a sample lead, sent now, to see whether it arrives.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use sensei_dispatcher::{Sample, TestTurn};
use sensei_domain::{DeliveryId, DestinationId, EventId, LeadCreated, LeadId, NewLead};
use sensei_persistence::{
    Actor, Answer, Attempt, ChangeError, Client, Delivery, Destination, KeyedRequest, Once, TestSend,
};
use serde::Serialize;
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::ClientAccess;
use crate::body::empty_fingerprint;
use crate::deliveries::AttemptView;
use crate::idempotency::{self, IdempotencyKey};
use crate::path_id::PathId;
use crate::problem::{Problem, ProblemView};
use crate::query::NoQuery;
use crate::state::ApiState;

/// What a caller should wait, in seconds, when as many tests as may be are under way: most receivers answer within it.
const RETRY_AFTER: u16 = 5;
/// How long an equal request is waited for: beyond an attempt's deadline, and below the request's own.
const PATIENCE: Duration = Duration::from_secs(25);

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(test))
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestSend)]
struct TestView {
    /// Where the log shows it.
    #[schema(value_type = String, format = Uuid)]
    delivery_id: DeliveryId,
    /// The receiver sees it as `webhook-id`.
    #[schema(value_type = String, format = Uuid)]
    event_id: EventId,
    #[serde(flatten)]
    attempt: AttemptView,
}

/// Test a destination
///
/// Sends a sample lead now, whatever the destination's status, and answers with the attempt once it is over, 15 s at most:
/// also if the receiver refused it or couldn't be reached, which `outcome` and `error` say. The request is like any other
/// `lead.created`, with the header `sensei-test: true`. It is made once, and changes nothing about how the destination is
/// seen; the log shows it as a delivery without a lead, which can't be redelivered.
#[utoipa::path(post, path = "/v1/clients/{clientId}/destinations/{destinationId}/test", tag = "destinations",
    operation_id = "testDestination",
    params(("clientId" = Uuid, Path, description = "Whose destination"),
        ("destinationId" = Uuid, Path, description = "The destination")),
    responses((status = OK, description = "The attempt, as the delivery log shows it", body = TestView),
        (status = CONFLICT, description = "An equal request with this `Idempotency-Key` is still under way",
            body = ProblemView, content_type = "application/problem+json"),
        (status = TOO_MANY_REQUESTS, description = "A test of this destination, or as many tests as there may be, are \
            under way; `retry-after` says when to repeat", body = ProblemView,
            content_type = "application/problem+json")))]
async fn test(
    access: ClientAccess,
    PathId(destination_id): PathId<DestinationId>,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    let client_id = access.client_id;
    let request = key.request(access.destination_path(destination_id, "test"), empty_fingerprint);
    let mut key_turn = None;
    if let Some(request) = &request {
        let keys = &state.keys_under_way();
        let turn = keys.turn(client_id, &request.path, &request.key, PATIENCE).await;
        key_turn = Some(turn.ok_or_else(Problem::equal_under_way)?);
        if let Some(answer) = state.store().answered::<ChangeError>(client_id, request).await? {
            return Ok(idempotency::respond(Once::<()> { answer, done: None }));
        }
    }
    let client = state.client(client_id).await?;
    let destination = state.store().destination(client_id, destination_id).await?;
    let destination = destination.ok_or_else(|| Problem::not_found("destination"))?;
    let turn = state.tester().turn(destination_id);
    let turn = turn.map_err(|error| Problem::too_many(error.to_string(), RETRY_AFTER))?;
    let (tester, actor) = (state.tester().clone(), access.actor());
    // It is logged even if the caller goes away.
    let sent = tester.spawn(
        async move {
            let once = send(&state, turn, &client, destination, request.as_ref(), &actor).await;
            drop(key_turn);
            once
        }
        .in_current_span(),
    );
    let once = sent.await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a test send ended early");
        Problem::internal()
    })?;
    Ok(idempotency::respond(once?))
}

/// A sample lead of this client.
pub(crate) fn sample(state: &ApiState, client: &Client, destination: Arc<Destination>) -> Sample {
    let (now, lead) = (state.now(), NewLead::sample());
    let event = LeadCreated::new(
        LeadId::new(now),
        now,
        &lead,
        client.id,
        &client.name,
        client.include_custom_fields,
    );
    Sample {
        event_id: EventId::new(now),
        delivery_id: DeliveryId::new(now),
        destination,
        body: Bytes::from(event.to_bytes()),
    }
}

/// Sends the sample, and logs what came of it.
async fn send(
    state: &ApiState,
    turn: TestTurn,
    client: &Client,
    destination: Arc<Destination>,
    request: Option<&KeyedRequest>,
    actor: &Actor,
) -> Result<Once<(Delivery, Attempt)>, Problem> {
    let destination_id = destination.id;
    let sample = sample(state, client, destination);
    let event_id = sample.event_id;
    let (delivery_id, body) = (sample.delivery_id, sample.body.clone());
    let Some(attempt) = turn.attempt(sample).await else {
        return Err(Problem::not_ready(
            "the server is shutting down; the test may have been sent, and isn't in the log".to_owned(),
        ));
    };
    let sent = TestSend {
        delivery_id,
        event_id,
        destination_id,
        body,
        attempt,
    };
    state
        .store()
        .log_test(client.id, &sent, request, answer, actor)
        .await
        .map_err(not_logged)
}

fn answer((delivery, attempt): &(Delivery, Attempt)) -> Answer {
    let view = TestView {
        delivery_id: delivery.id,
        event_id: delivery.event_id,
        attempt: attempt.clone().into(),
    };
    idempotency::answer(StatusCode::OK, &view)
}

fn not_logged(error: ChangeError) -> Problem {
    match error {
        ChangeError::Store(error) if error.is_transient() => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a test was sent and could not be logged"
            );
            Problem::not_ready(
                "the test was sent, but couldn't be logged: the database can't be reached or written now. A repetition \
                 sends another"
                    .to_owned(),
            )
        }
        error => error.into(),
    }
}

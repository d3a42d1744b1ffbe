//! Test sends in the log: what somebody sent to try a destination, written down once its one attempt is over.
//!
//! Promises that event, delivery and attempt are there together or not at all, and that the delivery is final from its
//! birth: no sweep, lease or retry ever sees it. Its event is a `lead.created` without a lead, which nothing else is; by
//! that it is known, and neither redelivered nor replayed.

use bytes::Bytes;
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait};
use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationId, EventId, LeadCreated, Outcome, judge_alone};

use crate::attempt_row::{ATTEMPTS, attempt_values};
use crate::audit::{self, Actor};
use crate::clients;
use crate::connection::in_time;
use crate::deliveries;
use crate::entities::{attempts, deliveries as delivery_rows, events};
use crate::error::ChangeError;
use crate::idempotency::{self, Answer, KeyedRequest, Once};
use crate::job::{AttemptRecord, Lease};
use crate::multi_row::{self, Table};
use crate::records::{Attempt, Delivery};
use crate::store::Store;

/// A test send that is over.
#[derive(Debug)]
pub struct TestSend {
    /// Made by the caller, after the event's: retention relies on that order.
    pub delivery_id: DeliveryId,
    /// What the receiver saw as `webhook-id`.
    pub event_id: EventId,
    /// Where it went.
    pub destination_id: DestinationId,
    /// The sample's body, as it was sent.
    pub body: Bytes,
    /// What came of it.
    pub attempt: AttemptRecord,
}

impl Store {
    /// Writes a test send into the log, once for all requests with the same key: of the others' nothing is kept, and
    /// they get the answer of the first.
    pub async fn log_test(
        &self,
        client: ClientId,
        sent: &TestSend,
        request: Option<&KeyedRequest>,
        answer: impl FnOnce(&(Delivery, Attempt)) -> Answer,
        actor: &Actor,
    ) -> Result<Once<(Delivery, Attempt)>, ChangeError> {
        let logging = async {
            let transaction = self.connections().begin().await?;
            if !clients::lock_shared(&transaction, client).await? {
                return Err(ChangeError::UnknownClient);
            }
            let effect = Box::pin(async {
                write(&transaction, client, sent).await?;
                let destination = sent.destination_id;
                let now = self.now();
                audit::log(
                    &transaction,
                    now,
                    actor,
                    "destination.tested",
                    Some(client),
                    destination,
                )
                .await?;
                read(&transaction, sent).await
            });
            let once = idempotency::once(&transaction, self.shared(), Some(client), request, effect, answer).await?;
            transaction.commit().await?;
            if sent.attempt.outcome == Outcome::Delivered {
                self.shared().may_be_back(sent.destination_id);
            }
            Ok(once)
        };
        in_time(Box::pin(logging)).await
    }
}

/// Whether this event was made for a test send.
pub(crate) fn is_sample(event: &events::Model) -> bool {
    event.lead_id.is_none() && event.event_type == LeadCreated::EVENT
}

async fn write(transaction: &DatabaseTransaction, client: ClientId, sent: &TestSend) -> Result<(), DbErr> {
    let client = client.as_uuid();
    let attempt = &sent.attempt;
    let (begun_at, ended_at) = (attempt.started_at, attempt.started_at.after(attempt.duration));
    let failure = judge_alone(&attempt.outcome);
    let state = failure.map_or(DeliveryState::Succeeded, |_| DeliveryState::Failed);
    let event_table = Table {
        name: "events",
        columns: ["id", "client_id", "type", "body", "created_at"],
        constants: &[],
    };
    let event = [
        sent.event_id.as_uuid().into(),
        client.into(),
        LeadCreated::EVENT.into(),
        sent.body.to_vec().into(),
        begun_at.as_millis().into(),
    ];
    multi_row::insert(transaction, &event_table, vec![event]).await?;
    let delivery_table = Table {
        name: "deliveries",
        columns: [
            "id",
            "client_id",
            "event_id",
            "destination_id",
            "state",
            "attempt_count",
            "scheduled_attempts",
            "failure_reason",
            "created_at",
            "completed_at",
        ],
        constants: &[],
    };
    let delivery = [
        sent.delivery_id.as_uuid().into(),
        client.into(),
        sent.event_id.as_uuid().into(),
        sent.destination_id.as_uuid().into(),
        state.name().into(),
        1_i64.into(),
        0_i64.into(),
        failure.map(|reason| reason.name().to_owned()).into(),
        begun_at.as_millis().into(),
        ended_at.as_millis().into(),
    ];
    multi_row::insert(transaction, &delivery_table, vec![delivery]).await?;
    let row = attempt_values(sent.delivery_id.as_uuid(), 1, client, Lease::draw(), attempt);
    multi_row::insert(transaction, &ATTEMPTS, vec![row]).await
}

/// Reads it as the log shows it.
async fn read(transaction: &DatabaseTransaction, sent: &TestSend) -> Result<(Delivery, Attempt), ChangeError> {
    let id = sent.delivery_id.as_uuid();
    let missing = || DbErr::RecordNotFound("a test send that was just written".to_owned());
    let delivery = delivery_rows::Entity::find_by_id(id).one(transaction).await?;
    let attempt = attempts::Entity::find_by_id((id, 1)).one(transaction).await?;
    Ok((
        deliveries::delivery(delivery.ok_or_else(missing)?)?,
        deliveries::attempt(attempt.ok_or_else(missing)?)?,
    ))
}

//! A batch of leads as it is born: the rows of leads, events and deliveries, and the places that were found in lanes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Value};
use sensei_domain::{
    ClientId, DeliveryId, DeliveryState, DestinationId, DestinationStatus, EventId, LeadCreated, LeadId,
    Standing as Schedule, Timestamp, Trigger,
};

use super::{CaptureLead, CaptureRequest};
use crate::directory::{Addressee, Bound};
use crate::job::{Handover, Job, Lease, Place};
use crate::multi_row::{self, Sql, Table, chunk};
use crate::store::Shared;

/// The rows of a batch, and the places that were found for its deliveries.
pub(super) struct Births {
    handover: Option<Arc<dyn Handover>>,
    now: Timestamp,
    lease: Lease,
    begun: Instant,
    leased_until: Instant,
    lease_ends: Timestamp,
    pub(super) rows: Rows,
    pub(super) filled: Vec<(Box<dyn Place>, Job)>,
    pub(super) left_behind: BTreeSet<DestinationId>,
}

#[derive(Default)]
pub(super) struct Rows {
    leads: Vec<[Value; 9]>,
    events: Vec<[Value; 6]>,
    deliveries: Vec<[Value; 11]>,
}

impl Births {
    pub(super) fn new(shared: &Shared, begun: Instant, now: Timestamp) -> Self {
        Self {
            handover: shared.handover(),
            now,
            lease: Lease::draw(),
            begun,
            leased_until: begun + shared.lease,
            lease_ends: now.after(shared.lease),
            rows: Rows::default(),
            filled: Vec::new(),
            left_behind: BTreeSet::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        request: &CaptureRequest,
        CaptureLead { id, lead }: &CaptureLead,
        addressee: &Addressee,
    ) {
        let client = request.client_id;
        let (event_id, at) = (EventId::new(request.captured_at), request.captured_at);
        let event = LeadCreated::new(*id, at, lead, client, &addressee.name, addressee.include_custom_fields);
        let body = event.to_bytes();
        let custom = lead
            .custom()
            .map(|custom| serde_json::Value::Object(custom.clone()).to_string());
        self.rows.leads.push([
            id.as_uuid().into(),
            client.as_uuid().into(),
            lead.name().into(),
            lead.email().as_str().into(),
            lead.phone().into(),
            lead.message().into(),
            lead.session_id().into(),
            custom.into(),
            at.as_millis().into(),
        ]);
        self.rows.events.push([
            event_id.as_uuid().into(),
            client.as_uuid().into(),
            id.as_uuid().into(),
            LeadCreated::EVENT.into(),
            body.clone().into(),
            at.as_millis().into(),
        ]);
        let body = Bytes::from(body);
        for bound in addressee.destinations.iter() {
            self.add_delivery(client, *id, event_id, bound, &body);
        }
    }

    fn add_delivery(&mut self, client: ClientId, lead_id: LeadId, event_id: EventId, bound: &Bound, body: &Bytes) {
        let delivery_id = DeliveryId::new(self.now);
        let handover = self.handover.as_ref();
        let is_held = bound
            .destination
            .as_ref()
            .is_some_and(|destination| destination.status != DestinationStatus::Active);
        let place =
            handover
                .zip(bound.destination.as_ref().filter(|_| !is_held))
                .and_then(|(handover, destination)| {
                    let place = handover.reserve(destination, body.len())?;
                    Some((place, Arc::clone(destination)))
                });
        let (state, due_at, lease) = if is_held {
            (DeliveryState::Held, None, None)
        } else if place.is_some() {
            let lease = self.lease.as_column();
            (DeliveryState::Pending, Some(self.lease_ends), Some(lease))
        } else {
            (DeliveryState::Pending, Some(self.now), None)
        };
        self.rows.deliveries.push([
            delivery_id.as_uuid().into(),
            client.as_uuid().into(),
            event_id.as_uuid().into(),
            lead_id.as_uuid().into(),
            bound.id.as_uuid().into(),
            state.name().into(),
            due_at.map(Timestamp::as_millis).into(),
            lease.into(),
            0_i64.into(),
            0_i64.into(),
            self.now.as_millis().into(),
        ]);
        match place {
            Some((place, destination)) => self.filled.push((
                place,
                Job {
                    delivery_id,
                    event_id,
                    lease: self.lease,
                    leased_until: self.leased_until,
                    read_at: self.begun,
                    destination,
                    body: body.clone(),
                    trigger: Trigger::First,
                    attempts: 0,
                    standing: Schedule {
                        scheduled_attempt: 1,
                        ours_since: None,
                    },
                },
            )),
            None if is_held => {}
            None => {
                self.left_behind.insert(bound.id);
            }
        }
    }
}

const LEADS: Table<9> = Table {
    name: "leads",
    columns: [
        "id",
        "client_id",
        "name",
        "email",
        "phone",
        "message",
        "session_id",
        "custom",
        "created_at",
    ],
};
const EVENTS: Table<6> = Table {
    name: "events",
    columns: ["id", "client_id", "lead_id", "type", "body", "created_at"],
};
const DELIVERIES: Table<11> = Table {
    name: "deliveries",
    columns: [
        "id",
        "client_id",
        "event_id",
        "lead_id",
        "destination_id",
        "state",
        "due_at",
        "lease",
        "attempt_count",
        "scheduled_attempts",
        "created_at",
    ],
};

impl Rows {
    pub(super) async fn insert(self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let backend = transaction.get_database_backend();
        let (mut leads, mut events) = (self.leads.into_iter(), self.events.into_iter());
        let mut deliveries = self.deliveries.into_iter();
        // A statement is a way to the database and back: three go together. On SQLite where they have as many rows.
        let as_many = deliveries.len() == leads.len();
        let together = as_many || (backend == DatabaseBackend::Postgres && deliveries.len() > 0);
        while together && leads.len() > 0 {
            let size = chunk(backend, leads.len());
            let mut all = Sql::new(backend, "");
            LEADS.insert(&mut all, leads.by_ref().take(size));
            all.then();
            EVENTS.insert(&mut all, events.by_ref().take(size));
            all.then();
            let of_these = if as_many { size } else { deliveries.len() };
            DELIVERIES.insert(&mut all, deliveries.by_ref().take(of_these));
            all.execute(transaction).await?;
        }
        multi_row::insert(transaction, &LEADS, leads).await?;
        multi_row::insert(transaction, &EVENTS, events).await?;
        multi_row::insert(transaction, &DELIVERIES, deliveries).await
    }
}

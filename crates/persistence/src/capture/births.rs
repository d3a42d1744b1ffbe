//! A batch of leads as it is born: what will be in its rows, and the places that were found in lanes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sea_orm::Value;
use sensei_domain::{
    ClientId, DeliveryId, DeliveryState, DestinationId, DestinationStatus, EventId, LeadCreated, LeadId, Mismatch,
    Standing as Schedule, Suspicion, Timestamp, Trigger,
};

use super::foregone::Foregone;
use super::rows::Born;
use super::{CaptureLead, CaptureRequest};
use crate::checkpoints::Checkpoints;
use crate::directory::{Addressee, Bound};
use crate::job::{Handover, Job, Lease, Place};
use crate::store::Shared;
use crate::suspected;
use crate::unmatched;

/// The rows of a batch, and the places that were found for its deliveries.
pub(super) struct Births {
    handover: Option<Arc<dyn Handover>>,
    now: Timestamp,
    lease: Lease,
    begun: Instant,
    leased_until: Instant,
    lease_ends: Timestamp,
    checkpoints: Checkpoints,
    pub(super) rows: Vec<Born>,
    /// Deliveries that a filter keeps from being attempted.
    pub(super) unmatched: Vec<[Value; 11]>,
    /// Leads that are kept back, and why.
    pub(super) suspected: Vec<([Value; 9], [Value; 4])>,
    pub(super) filled: Vec<(Box<dyn Place>, Job)>,
    pub(super) left_behind: BTreeSet<DestinationId>,
}

impl Births {
    pub(super) fn new(shared: &Arc<Shared>, begun: Instant, now: Timestamp) -> Self {
        Self {
            handover: shared.handover(),
            now,
            lease: Lease::draw(),
            begun,
            leased_until: begun + shared.lease,
            lease_ends: now.after(shared.lease),
            checkpoints: Checkpoints::of(Arc::clone(shared)),
            rows: Vec::new(),
            unmatched: Vec::new(),
            suspected: Vec::new(),
            filled: Vec::new(),
            left_behind: BTreeSet::new(),
        }
    }

    /// `foregone`: what filters have said of these leads already.
    pub(super) fn add(&mut self, request: &CaptureRequest, foregone: Option<&Foregone>, addressee: &Arc<Addressee>) {
        for (number, lead) in request.leads.iter().enumerate() {
            let said = foregone.and_then(|foregone| foregone.of(number, addressee));
            self.add_lead(request.client_id, request.captured_at, lead, said, addressee);
        }
    }

    /// Leads that are kept back: there is no event of them, and no delivery.
    pub(super) fn add_suspected(&mut self, request: &CaptureRequest, reasons: &[Suspicion]) {
        let (client, at) = (request.client_id, request.captured_at);
        for lead in &request.leads {
            let why = [
                lead.id.as_uuid().into(),
                client.as_uuid().into(),
                suspected::to_column(reasons).into(),
                at.as_millis().into(),
            ];
            self.suspected.push((lead_row(client, at, lead), why));
        }
    }

    /// A lead that was kept back, as if it were captured now.
    pub(super) fn add_released(&mut self, client: ClientId, lead: &CaptureLead, addressee: &Addressee) {
        self.add_lead(client, self.now, lead, None, addressee);
    }

    fn add_lead(
        &mut self,
        client: ClientId,
        at: Timestamp,
        captured: &CaptureLead,
        said: Option<&[Option<Mismatch>]>,
        addressee: &Addressee,
    ) {
        let CaptureLead { id, lead } = captured;
        let event_id = EventId::new(at);
        let event = LeadCreated::new(*id, at, lead, client, &addressee.name, addressee.include_custom_fields);
        let body = event.to_bytes();
        let event_row = [
            event_id.as_uuid().into(),
            client.as_uuid().into(),
            id.as_uuid().into(),
            LeadCreated::EVENT.into(),
            body.clone().into(),
            at.as_millis().into(),
        ];
        let body = Bytes::from(body);
        let (mut deliveries, mut seen) = (Vec::with_capacity(addressee.destinations.len()), None);
        for (number, bound) in addressee.destinations.iter().enumerate() {
            let mismatch = match said {
                Some(said) => said.get(number).cloned().flatten(),
                None => mismatch(bound, &event, &mut seen),
            };
            match mismatch {
                None => deliveries.push(self.delivery(client, *id, event_id, bound, &body)),
                Some(why) => self
                    .unmatched
                    .push(unmatched::row(client, event_id, *id, bound.id, &why, self.now)),
            }
        }
        self.rows.push(Born {
            lead: lead_row(client, at, captured),
            event: event_row,
            deliveries,
        });
    }

    /// The row of a delivery, which takes its place if there is one.
    fn delivery(
        &mut self,
        client: ClientId,
        lead_id: LeadId,
        event_id: EventId,
        bound: &Bound,
        body: &Bytes,
    ) -> [Value; 9] {
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
        let row = [
            delivery_id.as_uuid().into(),
            client.as_uuid().into(),
            event_id.as_uuid().into(),
            lead_id.as_uuid().into(),
            bound.id.as_uuid().into(),
            state.name().into(),
            due_at.map(Timestamp::as_millis).into(),
            lease.into(),
            self.now.as_millis().into(),
        ];
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
                    checkpoints: self.checkpoints.clone(),
                },
            )),
            None if is_held => {}
            None => {
                self.left_behind.insert(bound.id);
            }
        }
        row
    }
}

fn lead_row(client: ClientId, at: Timestamp, CaptureLead { id, lead }: &CaptureLead) -> [Value; 9] {
    let custom = lead
        .custom()
        .map(|custom| serde_json::Value::Object(custom.clone()).to_string());
    [
        id.as_uuid().into(),
        client.as_uuid().into(),
        lead.name().into(),
        lead.email().as_str().into(),
        lead.phone().into(),
        lead.message().into(),
        lead.session_id().into(),
        custom.into(),
        at.as_millis().into(),
    ]
}

/// Why a destination's filter keeps a lead from it. What filters see of the event is made for the first of them.
fn mismatch(bound: &Bound, event: &LeadCreated<'_>, seen: &mut Option<serde_json::Value>) -> Option<Mismatch> {
    bound
        .filter()?
        .judge(seen.get_or_insert_with(|| event.to_value()))
        .err()
}

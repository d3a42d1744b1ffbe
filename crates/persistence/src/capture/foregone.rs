//! Filters judged before a batch: by the caller's own task, so that nobody else's lead waits for a costly one.
//!
//! What is judged is what was read before; where a client has changed since, the batch judges itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sensei_domain::{LeadCreated, Mismatch};

use super::CaptureRequest;
use crate::directory::{Addressee, Directory};

/// How long a caller's task judges before it lets others run. Most filters take some microseconds, and to yield after
/// each costs more than they do.
const SLICE: Duration = Duration::from_micros(200);

/// What the filters of a client's destinations say of a request's leads.
#[derive(Debug)]
pub(super) struct Foregone {
    addressee: Arc<Addressee>,
    /// Of each lead, for each destination.
    leads: Vec<Vec<Option<Mismatch>>>,
}

impl Foregone {
    /// `None` if no filter is known of this client.
    pub(super) async fn judge(request: &CaptureRequest, directory: &Directory) -> Option<Self> {
        let addressee = directory.known(request.client_id)?;
        if addressee.destinations.iter().all(|bound| bound.filter().is_none()) {
            return None;
        }
        let mut resumed = Instant::now();
        let mut leads = Vec::with_capacity(request.leads.len());
        for lead in &request.leads {
            let (name, custom) = (&addressee.name, addressee.include_custom_fields);
            let event = LeadCreated::new(
                lead.id,
                request.captured_at,
                &lead.lead,
                request.client_id,
                name,
                custom,
            );
            let event = event.to_value();
            let mut mismatches = Vec::with_capacity(addressee.destinations.len());
            for bound in &addressee.destinations {
                let Some(filter) = bound.filter() else {
                    mismatches.push(None);
                    continue;
                };
                mismatches.push(filter.judge(&event).err());
                if resumed.elapsed() >= SLICE {
                    tokio::task::yield_now().await;
                    resumed = Instant::now();
                }
            }
            leads.push(mismatches);
        }
        Some(Self { addressee, leads })
    }

    /// What was said of a lead, if its client is still the same.
    pub(super) fn of(&self, lead: usize, addressee: &Arc<Addressee>) -> Option<&[Option<Mismatch>]> {
        let is_same = Arc::ptr_eq(&self.addressee, addressee);
        self.leads.get(lead).filter(|_| is_same).map(Vec::as_slice)
    }
}

//! What Zapier and Make have in common: the event's body as it is, signed, to a URL that is a secret.

use async_trait::async_trait;
use sensei_domain::Timestamp;
use sensei_persistence::Job;

use super::vendor::{self, CapabilityUrl, Judged};
use super::webhook;
use crate::egress::{Answer, Egress};
use crate::template::{Slot, Templates};
use crate::transport::{Attempted, Transport};

/// What such a service is sent.
pub(super) const SLOTS: &[Slot] = &[webhook::BODY];

/// A transport to such a URL.
#[derive(Debug)]
pub(super) struct Hook {
    url: CapabilityUrl,
    judge: fn(&Answer, Timestamp) -> Judged,
    templates: Templates,
}

impl Hook {
    pub(super) fn new(url: &str, judge: fn(&Answer, Timestamp) -> Judged, templates: Templates) -> Self {
        Self {
            url: CapabilityUrl::new(url),
            judge,
            templates,
        }
    }
}

#[async_trait]
impl Transport for Hook {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let body = match webhook::body(&self.templates, job).await {
            Ok(body) => body,
            Err(attempted) => return attempted,
        };
        let (headers, judge) = (webhook::headers(job, now, &body), self.judge);
        let attempted = vendor::post(egress, self.url.as_url(), headers, body, |answer| judge(answer, now));
        attempted.await.sent_to(self.url.shown())
    }
}

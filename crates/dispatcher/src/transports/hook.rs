//! What Zapier and Make have in common: the event's body as it is, signed, to a URL that is a secret.

use async_trait::async_trait;
use sensei_domain::Timestamp;
use sensei_persistence::Job;

use super::vendor::{self, CapabilityUrl, Judged};
use super::webhook;
use crate::egress::{Answer, Egress};
use crate::transport::{Attempted, Transport};

/// A transport to such a URL.
#[derive(Debug)]
pub(super) struct Hook {
    url: CapabilityUrl,
    judge: fn(&Answer, Timestamp) -> Judged,
}

impl Hook {
    pub(super) fn new(url: &str, judge: fn(&Answer, Timestamp) -> Judged) -> Self {
        Self {
            url: CapabilityUrl::new(url),
            judge,
        }
    }
}

#[async_trait]
impl Transport for Hook {
    async fn deliver(&self, job: &Job, now: Timestamp, egress: &Egress) -> Attempted {
        let (headers, judge) = (webhook::headers(job, now), self.judge);
        let attempted = vendor::post(egress, self.url.as_url(), headers, job.body.clone(), |answer| {
            judge(answer, now)
        });
        attempted.await.sent_to(self.url.shown())
    }
}

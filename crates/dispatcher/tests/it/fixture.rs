//! What the tests send, and by what.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::Method;
use hyper::header::HeaderMap;
use sensei_dispatcher::{Answer, Attempted, Call, Egress, EgressOptions, Failure, Transport};
use sensei_domain::{
    ClientId, Clock, DeliveryId, DestinationId, DestinationStatus, EventId, RetryPolicy, SignatureVersion, Signer,
    Standing, SystemClock, Trigger,
};
use sensei_persistence::{Checkpoints, Destination, DestinationConfig, Job, Lease};
use serde_json::Value;

/// A deadline long enough for a busy machine, short enough for a test that waits for it.
pub(crate) const SHORT: Duration = Duration::from_millis(1_200);

/// Nothing allowed.
pub(crate) fn strict() -> Egress {
    Egress::new(EgressOptions::default()).expect("TLS and DNS can be set up")
}

/// Loopback of both families allowed.
pub(crate) fn to_loopback() -> Egress {
    with(loopback())
}

pub(crate) fn with(options: EgressOptions) -> Egress {
    Egress::new(options).expect("TLS and DNS can be set up")
}

pub(crate) fn loopback() -> EgressOptions {
    EgressOptions {
        allow: vec![
            "127.0.0.0/8".parse().expect("a range"),
            "::1/128".parse().expect("a range"),
        ],
        ..EgressOptions::default()
    }
}

pub(crate) async fn post(egress: &Egress, url: &str) -> Result<Answer, Failure> {
    let url = url.parse().expect(url);
    let call = Call {
        method: Method::POST,
        url: &url,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        ends: None,
    };
    egress.send(call).await
}

/// A lead, written a little otherwise than we write it: who sends it as it is must send it so.
const LEAD: &str = "{\"event\" :\t\"lead.created\",\"timestamp\":\"2024-11-24T10:30:00.000Z\",\"data\":{\
    \"id\":\"0193a2b5-0000-7000-8000-000000000001\",\"name\":\"Zoë \u{1f980} \\\"Q\\\"\",\"email\":\"zoe@example.com\",\
    \"phone\":null,\"message\":null,\"clientId\":\"d454991a-eddb-4e81-959d-87c868e050ca\",\"clientName\":\"Acme Corp\",\
    \"sessionId\":null}}";

/// A job for a destination of this kind.
pub(crate) fn job(kind: &str, config: Value, trigger: Trigger) -> Job {
    let now = SystemClock.now();
    let destination = Destination {
        id: DestinationId::new(now),
        client_id: ClientId::new(now),
        kind: kind.to_owned(),
        name: "lead-webhook".to_owned(),
        status: DestinationStatus::Active,
        status_reason: None,
        status_since: now,
        version: 1,
        config: DestinationConfig::new(config, []),
        template: None,
        retry: RetryPolicy::None,
        rate_limit: None,
        ordered: false,
        filter: None,
        secret: Signer::generate(SignatureVersion::V1),
        previous_secret: None,
        created_at: now,
        updated_at: now,
    };
    Job {
        delivery_id: DeliveryId::new(now),
        event_id: EventId::new(now),
        lease: Lease::draw(),
        leased_until: Instant::now() + Duration::from_mins(1),
        read_at: Instant::now(),
        destination: Arc::new(destination),
        body: Bytes::from_static(LEAD.as_bytes()),
        trigger,
        attempts: 0,
        standing: Standing {
            scheduled_attempt: 1,
            ours_since: None,
        },
        checkpoints: Checkpoints::in_memory(),
    }
}

/// Attempts that are dropped, each at a later await, and then one that isn't.
pub(crate) async fn deliver_after_drops(transport: &dyn Transport, job: &Job, egress: &Egress) -> Attempted {
    for polls in 0..30 {
        let mut attempt = pin!(transport.deliver(job, SystemClock.now(), egress));
        for _ in 0..polls {
            if attempt.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    transport.deliver(job, SystemClock.now(), egress).await
}

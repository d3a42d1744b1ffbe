//! The bare limit of this machine: the same client posting straight to the same receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;

use crate::client::{self, closed_loop, open_loop_of};
use crate::loaded::acknowledgement;
use crate::percentiles::{Percentiles, float};
use crate::receiver::Receiver;

const CONNECTING: Duration = Duration::from_millis(500);

/// Connections of the client that posts at a steady rate.
const STEADY_CONNECTIONS: usize = 64;

/// How many POSTs a second arrive, with nothing in between.
pub(crate) async fn bare(time: Duration, in_flight: usize) -> Result<f64> {
    let receiver = Receiver::start().await?;
    let request = straight_to(&receiver, in_flight)?;
    // Connections are made, as they are for the system.
    closed_loop(CONNECTING, in_flight, request.clone()).await?;
    let (before, start) = (receiver.count(), Instant::now());
    let posted = closed_loop(time, in_flight, request).await?;
    posted.all_acknowledged()?;
    Ok(rate(receiver.count() - before, start.elapsed()))
}

/// How long POSTs at a steady rate take, with nothing in between.
pub(crate) async fn bare_steady(time: Duration, rate: u32) -> Result<Percentiles> {
    let receiver = Receiver::start().await?;
    let request = straight_to(&receiver, STEADY_CONNECTIONS)?;
    closed_loop(CONNECTING, STEADY_CONNECTIONS, request.clone()).await?;
    let posted = open_loop_of(time, rate, move |_| request()).await?;
    posted.all_acknowledged()?;
    Ok(acknowledgement(&posted))
}

fn straight_to(
    receiver: &Receiver,
    connections: usize,
) -> Result<impl Fn() -> (RequestBuilder, Option<u128>) + Clone + Send + Sync + 'static> {
    let client = client::new(connections)?;
    let url = receiver.url(0);
    let number = Arc::new(AtomicU64::new(1));
    Ok(move || {
        let lead = u128::from(number.fetch_add(1, Ordering::Relaxed));
        let request = client.post(&url).header(CONTENT_TYPE, "application/json");
        (request.body(payload(lead)), Some(lead))
    })
}

/// Events a second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    float(count) / time.as_secs_f64()
}

/// What the system would deliver, to the byte but for the ids.
fn payload(lead: u128) -> String {
    let id = format!("00000000-0000-7000-8000-{lead:012x}");
    format!(
        r#"{{"event":"lead.created","timestamp":"2024-11-24T10:30:00.000Z","data":{{"id":"{id}","name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan","clientId":"d454991a-eddb-4e81-959d-87c868e050ca","clientName":"Acme Corp","sessionId":"0193a2b5-0000-7000-8000-000000000000"}}}}"#
    )
}

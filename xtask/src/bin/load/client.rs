//! The client: a closed loop of requests in flight over kept-alive connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};

use crate::process::Processors;

/// Longer than any answer should take: a request that hangs must not hang the measurement.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// A lead that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    pub(crate) lead: u128,
    /// When its request was sent.
    pub(crate) sent: Instant,
    /// How long the acknowledgement took.
    pub(crate) took: Duration,
}

/// What a closed loop has seen.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Requests that weren't answered with success.
    pub(crate) refused: usize,
    /// What one of them was answered.
    pub(crate) refusal: Option<String>,
    /// What the host of the machine took of the time meanwhile, in percent (an open loop's).
    pub(crate) stolen: f64,
}

impl Posted {
    fn refuse(&mut self, error: &anyhow::Error) {
        self.refused += 1;
        self.refusal.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Fails if a request was refused.
    pub(crate) fn all_acknowledged(&self) -> Result<()> {
        let why = self.refusal.as_deref().unwrap_or_default();
        ensure!(self.refused == 0, "{} leads were refused: {why}", self.refused);
        Ok(())
    }
}

/// A client that keeps its connections.
pub(crate) fn new(connections: usize) -> Result<Client> {
    // Only http is spoken, but without a TLS configuration reqwest would ask for the process's default.
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(Policy::none())
        .timeout(REQUEST_DEADLINE)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(connections);
    Ok(client.build()?)
}

/// Sends requests for this long, as many at a time as told, and waits for the last answers.
///
/// `request` makes one; `read` finds the lead in a successful answer.
pub(crate) async fn closed_loop(
    time: Duration,
    in_flight: usize,
    request: impl Fn() -> (RequestBuilder, Option<u128>) + Send + Sync + 'static,
) -> Result<Posted> {
    let request = Arc::new(request);
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let request = Arc::clone(&request);
        tasks.spawn(async move {
            let mut posted = Posted::default();
            while Instant::now() < end {
                let (request, known) = request();
                let sent = Instant::now();
                match post(request, known).await {
                    Ok(lead) => posted.acknowledged.push(Acknowledged {
                        lead,
                        sent,
                        took: sent.elapsed(),
                    }),
                    Err(error) => posted.refuse(&error),
                }
            }
            posted
        });
    }
    let mut all = Posted::default();
    while let Some(posted) = tasks.join_next().await {
        let posted = posted.context("a task of the client has failed")?;
        all.acknowledged.extend(posted.acknowledged);
        all.refused += posted.refused;
        all.refusal = all.refusal.or(posted.refusal);
    }
    Ok(all)
}

/// Sends so many requests a second for this long, whether the ones before are answered or not: a lead counts as sent
/// when it should have been, so that a system that stands still is seen to (coordinated omission). Its `took` does too.
pub(crate) async fn open_loop(
    time: Duration,
    rate: u32,
    request: impl Fn(usize) -> RequestBuilder + Send + 'static,
) -> Result<Posted> {
    open_loop_of(time, rate, move |number| (request(number), None)).await
}

/// As [`open_loop`]; `request` also knows the lead, or it is read in the answer.
pub(crate) async fn open_loop_of(
    time: Duration,
    rate: u32,
    request: impl Fn(usize) -> (RequestBuilder, Option<u128>) + Send + 'static,
) -> Result<Posted> {
    let (start, period) = (Instant::now(), Duration::from_secs(1) / rate);
    let processors = Processors::now()?;
    let mut tasks = tokio::task::JoinSet::new();
    let count = u32::try_from(time.as_nanos() / period.as_nanos())?;
    for number in 0..count {
        let sent = start + period * number;
        // A timer is late by up to a millisecond, though what it waits for be past.
        if sent > Instant::now() {
            tokio::time::sleep_until(sent.into()).await;
        }
        let (request, known) = request(usize::try_from(number)?);
        tasks.spawn(async move {
            let lead = post(request, known).await?;
            anyhow::Ok(Acknowledged {
                lead,
                sent,
                took: sent.elapsed(),
            })
        });
    }
    let mut all = Posted::default();
    while let Some(posted) = tasks.join_next().await {
        match posted.context("a task of the client has failed")? {
            Ok(lead) => all.acknowledged.push(lead),
            Err(error) => all.refuse(&error),
        }
    }
    all.stolen = Processors::now()?.stolen_since(processors);
    Ok(all)
}

/// Sends one request; which lead it was, if that isn't known, is read in the answer.
async fn post(request: RequestBuilder, known: Option<u128>) -> Result<u128> {
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(
        status == StatusCode::CREATED || status == StatusCode::OK,
        "answered {status} {}",
        String::from_utf8_lossy(&body)
    );
    known
        .or_else(|| lead_id_after(br#""id":""#, &body))
        .context("the answer has no id")
}

/// The UUID after a text, read without parsing the rest: the client's own work should not be what is measured.
pub(crate) fn lead_id_after(text: &[u8], body: &[u8]) -> Option<u128> {
    let start = body.windows(text.len()).position(|window| window == text)? + text.len();
    let digits = body.get(start..start + 36)?;
    let mut id = 0;
    for digit in digits.iter().filter(|digit| **digit != b'-') {
        id = id << 4 | u128::from(char::from(*digit).to_digit(16)?);
    }
    Some(id)
}

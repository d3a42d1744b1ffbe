//! An idle system: one request in flight, and what comes after silence.

use std::time::Duration;

use anyhow::Result;
use xtask::figures::Figure;

use crate::client::{Posted, open_loop};
use crate::loaded::{WARM_UP, acknowledgement, delivery, post, whole};
use crate::percentiles::milliseconds;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::{PATIENCE, System};

pub(crate) const ABOUT: (&str, &str) = (
    "An idle system",
    "One request in flight at a time. Then nine times two seconds of silence and the first lead of a client that was made before \
     it, whose destination was never sent to: *first acknowledgement* and *first delivery*.",
);

const QUIET: Duration = Duration::from_secs(2);
const FIRSTS: usize = 9;
/// Milliseconds.
const P50_BAR: f64 = 1.5;
const P99_BAR: f64 = 4.0;
const FIRST_P50_BAR: f64 = 3.0;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let mut clients = vec![system.client("Acme Corp", &receiver.url(0)).await?];
    post(&clients, WARM_UP, 1).await?;
    let alone = post(&clients, setup.arguments.time(), 1).await?;
    system.nothing_pending().await?;

    let mut firsts = Posted::default();
    for number in 0..FIRSTS {
        let client = system
            .client(&format!("first {number}"), &receiver.url(number + 1))
            .await?;
        clients.push(client.clone());
        // The silence is what is measured: there is nothing to wait for.
        tokio::time::sleep(QUIET).await;
        let before = receiver.count();
        let posted = open_loop(Duration::from_secs(1), 1, move |_| client.lead()).await?;
        posted.all_acknowledged()?;
        firsts.acknowledged.extend(posted.acknowledged);
        receiver.wait_for(before + 1, PATIENCE).await?;
    }
    system.nothing_pending().await?;

    let [p50, p99] = acknowledgement(&alone).figures("acknowledgement");
    let mut figures = vec![p50.at_most(P50_BAR), p99.at_most(P99_BAR)];
    figures.extend(delivery(&alone, &receiver).figures("delivery"));
    let first = acknowledgement(&firsts);
    figures.push(milliseconds("first acknowledgement, p50", first.p50));
    let first = delivery(&firsts, &receiver);
    figures.push(milliseconds("first delivery, p50", first.p50).at_most(FIRST_P50_BAR));
    figures.push(milliseconds("first delivery, longest", first.most));
    figures.extend(whole(&clients, &receiver, &[&alone, &firsts], 1).await?);
    Ok(figures)
}

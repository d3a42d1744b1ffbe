//! Latencies of a system that is busy but not full, alone and beside others' trouble.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use sensei_test_support::{Fault, FaultServer};
use xtask::figures::Figure;

use super::beside::{Checkpoints, Search, failed_attempts, old_attempts, start_retaining};
use super::history_rows::{History, caught_up, fill, from_the_beginning};
use super::ratio::UNTIL_ALL_WORKS;
use crate::api::Api;
use crate::client::{Posted, open_loop};
use crate::loaded::{acknowledgement, delivery, whole};
use crate::measure::bare_steady;
use crate::percentiles::{count, milliseconds, stolen};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "Latency under a steady load",
    "1,000 leads a second, in turn to 50 clients whose receiver answers at once, each sent when it is due whether the ones before are answered or not, \
     and counted from then; with 100,000 deliveries in the log, whole, and half a minute of such a load before: charts and words of what comes are worked on. \
     First the client posts straight to the receiver, as often: what is the machine's own. Then to the system, alone. Then while somebody goes through the console's pages, searches for words that all leads have and that none has, and pages through the log, \
     50 ms after each page. Then beside 20 dead destinations (half refuse connections, half never answer) that get 100 leads a second more, from eight \
     seconds before: the first attempts to those that hang reach their deadline meanwhile. Then, after a start with such settings, while retention removes \
     old leads with all that is known of them. Checkpoints are counted: SQLite's run by themselves, PostgreSQL is asked for one three seconds after the last.",
);

const CLIENTS: usize = 50;
const RATE: u32 = 1_000;
const DEAD: usize = 20;
const DEAD_RATE: u32 = 100;
const HISTORY: History = History {
    deliveries: 100_000,
    deliveries_a_lead: 1,
    has_bodies: true,
};
/// Before it is measured: the first attempts to those that hang reach their deadline of 15 s meanwhile.
const DEAD_FOR: Duration = Duration::from_secs(8);
/// After a start.
const WARM_UP: Duration = Duration::from_secs(2);
/// What must have gone on meanwhile, or it wasn't measured.
const PAGES_BAR: f64 = 50.0;
const REMOVED_BAR: f64 = 10.0;
/// Milliseconds.
const P99_BAR: f64 = 15.0;
const P999_BAR: f64 = 50.0;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let mut system = System::start(setup).await?;
    let receiver = Receiver::start().await?;
    let clients = system.clients("client", CLIENTS, |number| receiver.url(number)).await?;
    system.end().await?;
    fill(&system, HISTORY).await?;
    from_the_beginning(&system).await?;
    system.start_again().await?;
    caught_up(&system).await?;
    let clients: Vec<_> = clients.iter().map(|client| client.at(&system.url())).collect();
    let time = setup.arguments.time();
    let mut all = vec![steady(&clients, RATE, UNTIL_ALL_WORKS).await?];
    let checkpoints = Checkpoints::watch(&system).await?;
    let mut figures = Vec::new();
    let bare = bare_steady(time, RATE).await?;
    for (name, time) in [("p50", bare.p50), ("p99", bare.p99), ("p99.9", bare.p999)] {
        figures.push(milliseconds(format!("straight to the receiver, {name}"), time));
    }
    let alone = steady(&clients, RATE, time).await?;
    settled(&receiver, &all, &alone).await?;
    figures.extend(acknowledgement(&alone).figures("alone, acknowledgement"));
    figures.extend(latencies("alone", &alone, &receiver));
    all.push(alone);

    let searching = Search::begin(clients[0].clone());
    let searched = steady(&clients, RATE, time).await?;
    settled(&receiver, &all, &searched).await?;
    let pages = searching.stop().await?;
    figures.extend(latencies("beside a search of the log", &searched, &receiver));
    figures.push(count("pages that were looked at meanwhile", pages).at_least(PAGES_BAR));
    all.push(searched);

    let (refusing, hanging) = (refusing_url()?, FaultServer::start(Fault::BlackHole));
    let url = |number: usize| {
        if number.is_multiple_of(2) {
            refusing.clone()
        } else {
            hanging.url()
        }
    };
    let dead = system.clients("dead", DEAD, url).await?;
    let to_dead = tokio::spawn(async move { steady(&dead, DEAD_RATE, DEAD_FOR + time).await });
    all.push(steady(&clients, RATE, DEAD_FOR).await?);
    let failed_before = failed_attempts(&system).await?;
    let beside = steady(&clients, RATE, time).await?;
    to_dead.await??.all_acknowledged()?;
    settled(&receiver, &all, &beside).await?;
    let failed = failed_attempts(&system).await?;
    let [failed, timed_out] = [0, 1].map(|kind| failed[kind].saturating_sub(failed_before[kind]));
    figures.extend(latencies("beside 20 dead destinations", &beside, &receiver));
    figures.push(count("their failed attempts meanwhile", failed).at_least(1.0));
    figures.push(count("those that ended at the deadline", timed_out).at_least(1.0));
    all.push(beside);

    let before = old_attempts(&system).await?;
    start_retaining(&mut system).await?;
    let clients: Vec<_> = clients.iter().map(|client| client.at(&system.url())).collect();
    all.push(steady(&clients, RATE, WARM_UP).await?);
    let posted = steady(&clients, RATE, time).await?;
    settled(&receiver, &all, &posted).await?;
    let removed = before.saturating_sub(old_attempts(&system).await?);
    figures.extend(latencies("beside retention", &posted, &receiver));
    figures.push(count("attempts that retention removed meanwhile", removed).at_least(REMOVED_BAR));
    all.push(posted);

    figures.push(count("checkpoints meanwhile", checkpoints.count()).at_least(1.0));
    let posted: Vec<_> = all.iter().collect();
    figures.extend(whole(&clients, &receiver, &posted, 1).await?);
    Ok(figures)
}

async fn steady(clients: &[Api], rate: u32, time: Duration) -> Result<Posted> {
    let clients = clients.to_vec();
    open_loop(time, rate, move |number| clients[number % clients.len()].lead()).await
}

/// Waits until all leads have come, those before and these.
async fn settled(receiver: &Receiver, before: &[Posted], now: &Posted) -> Result<()> {
    let all = before.iter().chain([now]).map(|posted| posted.acknowledged.len()).sum();
    receiver.wait_for(all, crate::system::PATIENCE).await
}

fn latencies(beside: &str, posted: &Posted, receiver: &Receiver) -> [Figure; 5] {
    let of = delivery(posted, receiver);
    [
        milliseconds(format!("{beside}, delivery, p50"), of.p50),
        milliseconds(format!("{beside}, delivery, p99"), of.p99).at_most(P99_BAR),
        milliseconds(format!("{beside}, delivery, p99.9"), of.p999).at_most(P999_BAR),
        milliseconds(format!("{beside}, delivery, longest"), of.most),
        stolen(format!("{beside}, taken by the machine's host"), posted.stolen),
    ]
}

/// A URL of a port that nobody listens on: it was free a moment ago.
fn refusing_url() -> Result<String> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(format!("http://{address}/hook"))
}

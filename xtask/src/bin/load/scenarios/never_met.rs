//! Whether the first leads of a client that was never met wait behind hundreds of receivers that hang, none of which was ever met
//! before either: nothing is known of any, so that nothing tells them apart.

use std::time::Duration;

use anyhow::Result;
use sensei_test_support::{Fault, FaultServer};
use serde_json::json;
use xtask::figures::Figure;

use crate::client::open_loop;
use crate::loaded::delivery;
use crate::percentiles::{count, milliseconds};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::{PATIENCE, System};

const CLIENTS: usize = 6;
const DESTINATIONS_EACH: usize = 50;
const LEADS_EACH: u32 = 8;
/// Those of the new client, and so many a second.
const FIRST_LEADS: usize = 8;
const RATE: u32 = 20;
/// Milliseconds.
const BAR: f64 = 100.0;

pub(super) async fn measure(setup: &Setup<'_>) -> Result<[Figure; 3]> {
    let system = System::start(setup).await?;
    let (receiver, hanging) = (Receiver::start().await?, FaultServer::start(Fault::BlackHole));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = system.client_without_webhook(&format!("hanging {number}")).await?;
        for number in 0..DESTINATIONS_EACH {
            let name = format!("destination {number}");
            client
                .add_destination(&name, &hanging.url(), &json!({ "policy": "none" }))
                .await?;
        }
        clients.push(client);
    }
    let new = system.client("never met", &receiver.url(0)).await?;
    let rate = LEADS_EACH * u32::try_from(CLIENTS)?;
    let to_hanging = open_loop(Duration::from_secs(1), rate, move |number| {
        clients[number % clients.len()].lead()
    })
    .await?;
    to_hanging.all_acknowledged()?;
    let time = Duration::from_secs(1) * u32::try_from(FIRST_LEADS)? / RATE;
    let posted = open_loop(time, RATE, move |_| new.lead()).await?;
    posted.all_acknowledged()?;
    receiver.wait_for(posted.acknowledged.len(), PATIENCE).await?;
    let of = delivery(&posted, &receiver);
    Ok([
        count(
            "connections of 300 destinations that hang, none met before",
            hanging.connections(),
        ),
        milliseconds("first leads of a client that was never met, p50", of.p50),
        milliseconds("first leads of a client that was never met, longest", of.most).at_most(BAR),
    ])
}

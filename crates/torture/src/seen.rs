//! What came of a life once it is over: its requests and its attempts, so that each belongs to one life.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use crate::database::Attempts;
use crate::explain::{Life, added};
use crate::fault::End;
use crate::world::{PATIENCE, Server, World, hex, text};

/// Requests that came to a tenant's receiver: by lead, then by webhook-id.
pub(crate) type Received = BTreeMap<String, BTreeMap<String, usize>>;

/// Takes down what a life, whose process is dead now, has left.
pub(crate) async fn see(world: &mut World, end: End) -> Result<()> {
    let reader = world.database.read().await?;
    let now = reader.attempts().await?;
    reader.close().await?;
    let mut life = Life {
        is_cut: end == End::Killed,
        ..Life::default()
    };
    let nothing = BTreeMap::new();
    for tenant in &mut world.tenants {
        let Server::Recording(receiver) = &tenant.server else {
            // It breaks off before it is known what was asked.
            continue;
        };
        receiver.settled(PATIENCE).await?;
        let mut requests = BTreeMap::<String, usize>::new();
        for request in receiver.take() {
            let (lead, event) = (text(&request.json()["data"]["id"]), request.webhook_id().to_owned());
            *requests.entry(hex(&event)).or_default() += 1;
            *tenant.received.entry(lead).or_default().entry(event).or_default() += 1;
        }
        let client = hex(&tenant.client);
        let of = |attempts: &'_ Attempts| attempts.get(&client).unwrap_or(&nothing).clone();
        let events = added(&requests, &of(&world.attempts), &of(&now)).map_err(|gone| anyhow!(gone))?;
        life.events.extend(events);
    }
    world.attempts = now;
    world.seen.push(life);
    Ok(())
}

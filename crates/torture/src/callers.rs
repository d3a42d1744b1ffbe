//! Callers who post leads, and remember what they were told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use sensei_test_support::Api;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{ADMIN_KEY, World, text};

/// A caller rests so long between two leads.
const REST: Duration = Duration::from_millis(10);

impl World {
    /// Callers at work for every tenant until they are stopped.
    pub(crate) fn load(&self, address: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = self.tenants.iter().enumerate().map(|(index, tenant)| {
            let api = Api::new(address, ADMIN_KEY);
            let path = format!("/v1/clients/{}/leads", tenant.client);
            let (stop, told) = (Arc::clone(&stop), Arc::<Mutex<Told>>::default());
            // A receiver that fails gets one lead a life: with a queue of them, it would only be its breaker that is tested.
            let is_once = !tenant.manner.must_receive();
            let task = tokio::spawn(call(api, path, is_once, stop, Arc::clone(&told)));
            (index, told, task)
        });
        Load {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// Takes down what callers were told.
    pub(crate) async fn note(&mut self, load: Load) -> Result<()> {
        load.stop.store(true, Ordering::SeqCst);
        for (index, told, task) in load.tasks {
            task.await.context("a caller panicked")?;
            let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
            self.tenants[index].acknowledged.extend(told.acknowledged);
            self.cut += told.cut;
            for (what, count) in told.refused {
                *self.refused.entry(what).or_default() += count;
            }
        }
        Ok(())
    }
}

/// Callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<(usize, Arc<Mutex<Told>>, JoinHandle<()>)>,
}

impl Load {
    /// How many leads were acknowledged until now.
    pub(crate) fn acknowledged(&self) -> usize {
        let count = |told: &Mutex<Told>| told.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.len();
        self.tasks.iter().map(|(_, told, _)| count(told)).sum()
    }
}

/// What one caller was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<String>,
    refused: BTreeMap<(u16, String), usize>,
    cut: usize,
}

async fn call(api: Api, path: String, is_once: bool, stop: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let lead = json!({"name": "John Doe", "email": "john@example.com", "message": "m".repeat(500)});
    while !stop.load(Ordering::SeqCst) {
        let answer = api.post(&path, &lead).await;
        {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(answer) if answer.status == 201 => {
                    told.acknowledged.push(text(&answer.json["id"]));
                    if is_once {
                        return;
                    }
                }
                Ok(answer) => {
                    *told
                        .refused
                        .entry((answer.status, text(&answer.json["type"])))
                        .or_default() += 1;
                }
                Err(_) => told.cut += 1,
            }
        }
        tokio::time::sleep(REST).await;
    }
}

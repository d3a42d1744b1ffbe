//! Callers who post leads as fast as they are answered, and remember which were acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Binary, Received, Receiver};
use serde_json::{Value, json};

pub(crate) const ADMIN_KEY: &str = "sk_test_0123456789abcdefghijklmnopqrstuvwxyz";
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// The binary, set up so that it may deliver to this machine.
pub(crate) fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_sensei"))
        .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
        .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
}

/// Creates Acme Corp, with a Lead Webhook URL or none; answers with the client's id.
pub(crate) async fn create_client(api: &Api, url: Option<&str>) -> Result<String> {
    let answer = api
        .post("/v1/clients", &json!({"name": "Acme Corp", "leadWebhookUrl": url}))
        .await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.json["id"].as_str().context("a client has an id")?.to_owned())
}

/// What callers were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: BTreeSet<String>,
    /// Other answers, counted by status and problem type.
    pub(crate) refused: BTreeMap<(u16, String), usize>,
    /// Requests without an answer.
    pub(crate) cut: usize,
}

/// Some callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    told: Arc<Mutex<Told>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts callers who post to a client until they are stopped; each gives up at the first cut connection
    /// if `until_cut`.
    pub(crate) fn start(address: SocketAddr, client: &str, callers: usize, until_cut: bool) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let told = Arc::new(Mutex::new(Told::default()));
        let api = Api::new(address, ADMIN_KEY);
        let path = format!("/v1/clients/{client}/leads");
        let tasks = (0..callers).map(|caller| {
            let (api, path) = (api.clone(), path.clone());
            let (stop, acknowledged, told) = (Arc::clone(&stop), Arc::clone(&acknowledged), Arc::clone(&told));
            tokio::spawn(async move {
                let lead = json!({"name": "John Doe", "email": format!("john{caller}@example.com")});
                while !stop.load(Ordering::SeqCst) {
                    let answer = api.post(&path, &lead).await;
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    match answer {
                        Ok(answer) if answer.status == 201 => {
                            told.acknowledged.insert(text(&answer.json["id"]));
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => {
                            *told
                                .refused
                                .entry((answer.status, text(&answer.json["type"])))
                                .or_default() += 1;
                        }
                        Err(_) => {
                            told.cut += 1;
                            if until_cut {
                                return;
                            }
                        }
                    }
                }
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
            acknowledged,
            told,
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Looks at what callers were told until now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until so many leads were acknowledged.
    pub(crate) async fn wait_acknowledged(&self, wanted: usize) -> Result<()> {
        until("leads to be acknowledged", || self.acknowledged() >= wanted).await
    }

    /// Ends the callers after their present request, and says what they were told.
    pub(crate) async fn stop(self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("a caller doesn't panic");
        }
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        ensure!(Instant::now() < deadline, "waited {LIMIT:?} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The webhook ids that each lead came with.
pub(crate) fn by_lead(received: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut leads = BTreeMap::<String, Vec<String>>::new();
    for request in received {
        leads
            .entry(text(&request.json()["data"]["id"]))
            .or_default()
            .push(request.webhook_id().to_owned());
    }
    leads
}

/// Waits until every acknowledged lead has come, then says how many requests were repeats. Each repeat must have the
/// webhook id of the first.
pub(crate) async fn all_delivered(receiver: &Receiver, acknowledged: &BTreeSet<String>) -> Result<usize> {
    let mut seen = 0;
    let mut missing = acknowledged.clone();
    let arrived = until("every acknowledged lead to be delivered", || {
        let received = receiver.received();
        for request in &received[seen..] {
            missing.remove(&text(&request.json()["data"]["id"]));
        }
        seen = received.len();
        missing.is_empty()
    });
    if let Err(error) = arrived.await {
        anyhow::bail!("{error}: {} of {} are missing", missing.len(), acknowledged.len());
    }
    let mut repeats = 0;
    for (lead, ids) in by_lead(&receiver.received()) {
        ensure!(
            ids.iter().all(|id| *id == ids[0]),
            "lead {lead} came with different webhook ids: {ids:?}"
        );
        repeats += ids.len() - 1;
    }
    Ok(repeats)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

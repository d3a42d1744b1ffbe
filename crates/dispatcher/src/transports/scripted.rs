//! A kind that answers from a script and remembers its attempts, to test what drives transports.
//!
//! No network: what it is sent stays in memory. It can hold its attempts until they are released, so that
//! a test sees how many run at once without waiting for a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sensei_domain::{DeliveryId, DestinationId, EventId, Outcome, Timestamp, Trigger};
use sensei_persistence::Job;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::egress::{Egress, Failure};
use crate::transport::{Attempted, ConfigError, Descriptor, Kind, Transport};

/// What the next attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ends with this outcome.
    Answer(Outcome),
    /// Is delivered; nothing more is wanted for so long.
    Rest(Duration),
    /// Ends as if no answer came in time.
    TimedOut,
    /// Panics.
    Panic,
}

/// An attempt as the script saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedAttempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The event it carried.
    pub event_id: EventId,
    /// Where it went.
    pub destination_id: DestinationId,
    /// The destination's version.
    pub version: i64,
    /// Why it was made.
    pub trigger: Trigger,
    /// When it began.
    pub at: Timestamp,
}

/// The kind: clones share the script and the memory. Without a script every attempt is delivered.
#[derive(Debug, Clone)]
pub struct Scripted {
    descriptor: Arc<Descriptor>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    memory: Mutex<Memory>,
    begun: watch::Sender<usize>,
    ended: watch::Sender<usize>,
    held: watch::Sender<Hold>,
}

/// Whose attempts don't end.
#[derive(Debug, Clone, Copy)]
enum Hold {
    Nobody,
    All,
    One(DestinationId),
}

#[derive(Debug, Default)]
struct Memory {
    script: VecDeque<Step>,
    /// Goes before the script.
    always: HashMap<DestinationId, Step>,
    attempts: Vec<ScriptedAttempt>,
    running: HashMap<DestinationId, usize>,
    most_at_once: usize,
}

impl Scripted {
    /// The kind `scripted`.
    pub fn new() -> Self {
        Self::named("scripted")
    }

    /// As [`Scripted::new`] under another name, where a test needs several.
    pub fn named(kind: &'static str) -> Self {
        Self {
            descriptor: Arc::new(Descriptor {
                kind,
                name: "Scripted",
                description: "Answers from a script, for tests.",
                config_schema: json!({}),
                secret_fields: Vec::new(),
                example: json!({}),
                rate_limit: None,
                setup_guide: "",
                docs_url: "",
            }),
            shared: Arc::new(Shared {
                memory: Mutex::default(),
                begun: watch::Sender::new(0),
                ended: watch::Sender::new(0),
                held: watch::Sender::new(Hold::Nobody),
            }),
        }
    }

    /// Adds steps for the attempts to come, one each; after the last, attempts are delivered.
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.shared.memory().script.extend(steps);
    }

    /// Answers all attempts to this destination so, whatever the script says, until it is told otherwise.
    pub fn always(&self, destination: DestinationId, step: Step) {
        self.shared.memory().always.insert(destination, step);
    }

    /// Lets attempts begin but not end, until [`Scripted::release`].
    pub fn hold(&self) {
        self.shared.held.send_replace(Hold::All);
    }

    /// Lets attempts to this destination begin but not end, until [`Scripted::release`].
    pub fn hold_only(&self, destination: DestinationId) {
        self.shared.held.send_replace(Hold::One(destination));
    }

    /// Lets attempts end.
    pub fn release(&self) {
        self.shared.held.send_replace(Hold::Nobody);
    }

    /// The attempts that began, in their order.
    pub fn attempts(&self) -> Vec<ScriptedAttempt> {
        self.shared.memory().attempts.clone()
    }

    /// How many attempts are under way.
    pub fn running(&self) -> usize {
        self.shared.memory().running.values().sum()
    }

    /// The most that were under way at once to any one destination.
    pub fn most_at_once(&self) -> usize {
        self.shared.memory().most_at_once
    }

    /// Waits until so many attempts have begun since the start.
    pub async fn until_begun(&self, count: usize) {
        until(&self.shared.begun, count).await;
    }

    /// Waits until so many attempts have ended since the start, by whatever way.
    pub async fn until_ended(&self, count: usize) {
        until(&self.shared.ended, count).await;
    }
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new()
    }
}

impl Kind for Scripted {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn bind(&self, _config: &Value) -> Result<Box<dyn Transport>, ConfigError> {
        Ok(Box::new(ScriptedTransport(Arc::clone(&self.shared))))
    }
}

#[derive(Debug)]
struct ScriptedTransport(Arc<Shared>);

#[async_trait]
impl Transport for ScriptedTransport {
    async fn deliver(&self, job: &Job, now: Timestamp, _egress: &Egress) -> Attempted {
        let (step, _running) = self.0.begin(job, now);
        let mut held = self.0.held.subscribe();
        let is_free = |held: &Hold| match *held {
            Hold::Nobody => true,
            Hold::All => false,
            Hold::One(destination) => destination != job.destination.id,
        };
        held.wait_for(is_free).await.expect("the sender lives as long as self");
        match step {
            Step::Answer(outcome) => Attempted {
                outcome,
                status_code: None,
                error: (outcome != Outcome::Delivered).then(|| format!("scripted: {}", outcome.name())),
                response_snippet: None,
                request_url: None,
                strain: None,
                pause: None,
                is_unsent: false,
            },
            Step::Rest(time) => Attempted {
                pause: Some(time),
                error: None,
                is_unsent: false,
                ..Attempted::unsent(String::new())
            },
            Step::TimedOut => Attempted::unanswered(&Failure::Timeout {
                after: Duration::from_secs(15),
            }),
            Step::Panic => panic!("the script says so"),
        }
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, job: &Job, now: Timestamp) -> (Step, Running) {
        let mut memory = self.memory();
        memory.attempts.push(ScriptedAttempt {
            delivery_id: job.delivery_id,
            event_id: job.event_id,
            destination_id: job.destination.id,
            version: job.destination.version,
            trigger: job.trigger,
            at: now,
        });
        let running = memory.running.entry(job.destination.id).or_default();
        *running += 1;
        let at_once = *running;
        memory.most_at_once = memory.most_at_once.max(at_once);
        let step = match memory.always.get(&job.destination.id) {
            Some(&step) => step,
            None => memory.script.pop_front().unwrap_or(Step::Answer(Outcome::Delivered)),
        };
        drop(memory);
        self.begun.send_modify(|count| *count += 1);
        (step, Running(Arc::clone(self), job.destination.id))
    }
}

/// An attempt under way. Its drop is its end, also when it panics or is cancelled.
struct Running(Arc<Shared>, DestinationId);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(running) = self.0.memory().running.get_mut(&self.1) {
            *running -= 1;
        }
        self.0.ended.send_modify(|count| *count += 1);
    }
}

async fn until(counter: &watch::Sender<usize>, wanted: usize) {
    let mut count = counter.subscribe();
    count
        .wait_for(|count| *count >= wanted)
        .await
        .expect("the sender lives as long as the borrow");
}

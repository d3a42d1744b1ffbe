//! Capturing leads: a lead, its event and its deliveries, durable together before the answer.
//!
//! Promises the *lease at birth*: a place in the destination's lane is asked for before the insert. With
//! one, the delivery is born leased and handed over by the task that committed it; without, it is
//! born due, and the sweeper of any process finds it. Either way the row alone is enough to
//! deliver it, whatever dies.

mod at_once;
mod births;
mod foregone;
mod release;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::DbErr;
use sensei_domain::{ClientId, DestinationId, LeadId, NewLead, Suspicion, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use self::births::Births;
use self::foregone::Foregone;
pub use self::release::ReleaseError;
use crate::directory::Reading;
use crate::error::StoreError;
use crate::group_commit::Batched;
use crate::idempotency::{self, Answer, Idempotency, Standing};
use crate::job::{Job, Place};
use crate::store::{Shared, Store};

/// Leads of one request, captured together or not at all.
#[derive(Debug)]
pub struct CaptureRequest {
    /// Whose leads they are.
    pub client_id: ClientId,
    /// The leads.
    pub leads: Vec<CaptureLead>,
    /// The moment that the events will tell.
    pub captured_at: Timestamp,
    /// What makes the request safe to repeat.
    pub idempotency: Option<Idempotency>,
}

/// A lead with the id it will have.
#[derive(Debug)]
pub struct CaptureLead {
    /// Made by the caller, so that he can write the answer beforehand.
    pub id: LeadId,
    /// What the visitor left.
    pub lead: NewLead,
}

/// What became of a capture.
#[derive(Debug, PartialEq, Eq)]
pub enum Captured {
    /// The leads are on disk, with their deliveries.
    Now,
    /// An equal request took effect before; this was its answer.
    Before(Answer),
}

/// Why leads weren't captured. Nothing was written, but for [`StoreError::Unavailable`], where it is unknown.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such client.
    #[error("there is no such client")]
    UnknownClient,
    /// The idempotency key came with another body before.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// More leads wait than can be kept.
    #[error("too many leads wait to be stored")]
    Overloaded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A batch that has waited for longer goes in a transaction: that one is over when its time is.
const PROMPT: Duration = Duration::from_millis(500);

type Answered = Result<Captured, CaptureError>;

/// A request in the queue, with its caller.
#[derive(Debug)]
pub(crate) struct Pending {
    request: CaptureRequest,
    foregone: Option<Foregone>,
    /// Why the leads are kept back; nothing: they aren't.
    suspicions: Vec<Suspicion>,
    caller: oneshot::Sender<Answered>,
    _room: OwnedSemaphorePermit,
}

impl Pending {
    /// Whether it takes more than the leads' own rows.
    fn is_particular(&self) -> bool {
        self.request.idempotency.is_some() || !self.suspicions.is_empty()
    }
}

impl Store {
    /// Captures leads. They are on disk when this answers, and stay even if the caller stops waiting.
    pub async fn capture(&self, request: CaptureRequest) -> Answered {
        let foregone = Foregone::judge(&request, &self.shared().directory).await;
        self.enqueue(request, foregone, Vec::new()).await
    }

    /// As [`Store::capture`], but the leads are only kept, until somebody [releases](Store::release_lead) them. Without a reason they are
    /// delivered like any other.
    pub async fn capture_suspected(&self, request: CaptureRequest, suspicions: Vec<Suspicion>) -> Answered {
        if suspicions.is_empty() {
            return self.capture(request).await;
        }
        self.enqueue(request, None, suspicions).await
    }

    async fn enqueue(
        &self,
        request: CaptureRequest,
        foregone: Option<Foregone>,
        suspicions: Vec<Suspicion>,
    ) -> Answered {
        let (meters, leads) = (&self.shared().meters, request.leads.len());
        let weight = u32::try_from(leads.max(1)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(self.room_for_leads()).try_acquire_many_owned(weight) else {
            meters.refused_overload(leads);
            return Err(CaptureError::Overloaded);
        };
        let (caller, answer) = oneshot::channel();
        let pending = Pending {
            request,
            foregone,
            suspicions,
            caller,
            _room: room,
        };
        match self.captures().try_send(pending) {
            Ok(()) => answer.await.unwrap_or(Err(CaptureError::Store(StoreError::Closed))),
            Err(mpsc::error::TrySendError::Full(_)) => {
                meters.refused_overload(leads);
                Err(CaptureError::Overloaded)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                meters.refused_unavailable(leads);
                Err(CaptureError::Store(StoreError::Closed))
            }
        }
    }
}

/// The task that commits captures.
pub(crate) struct Captures {
    shared: Arc<Shared>,
}

/// What a committed batch leaves to do.
#[derive(Default)]
pub(crate) struct Done {
    answers: Vec<Option<Answered>>,
    filled: Vec<(Box<dyn Place>, Job)>,
    left_behind: BTreeSet<DestinationId>,
}

impl Done {
    fn new(answers: Vec<Option<Answered>>, births: Births) -> Self {
        Self {
            answers,
            filled: births.filled,
            left_behind: births.left_behind,
        }
    }
}

impl Captures {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Writes a batch in one statement, which is a transaction by itself: each is a way to the database and
    /// back, and while one commits, all others wait. `None`, and nothing is written, where more is to be looked at: keys, or
    /// clients that aren't there or have changed since they were read, or leads that are suspected; on SQLite also clients
    /// that weren't read yet, those with a filter or with several destinations, and larger batches.
    async fn write_at_once(&self, items: &[Pending], clients: &[ClientId]) -> Result<Option<Done>, DbErr> {
        let (connection, directory) = (&self.shared.connections.committer, &self.shared.directory);
        let is_sqlite = self.shared.connections.is_sqlite();
        let is_large = is_sqlite && items.iter().map(Self::weight).sum::<usize>() > at_once::FEW;
        if is_large || items.iter().any(Pending::is_particular) {
            return Ok(None);
        }
        let begun = Instant::now();
        let addressees = if is_sqlite {
            directory.kept(clients)
        } else {
            directory.read_ahead(connection, clients).await?
        };
        let is_simple = !is_sqlite || addressees.values().all(|addressee| at_once::is_simple(addressee));
        if begun.elapsed() > PROMPT || !is_simple {
            return Ok(None);
        }
        let mut births = Births::new(&self.shared, Instant::now(), self.shared.clock.now());
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let Some(addressee) = addressees.get(&item.request.client_id) else {
                return Ok(None);
            };
            births.add(&item.request, item.foregone.as_ref(), addressee);
            answers.push(Some(Ok(Captured::Now)));
        }
        if births.rows.is_empty() {
            return Ok(None);
        }
        let (born, unmatched) = (std::mem::take(&mut births.rows), std::mem::take(&mut births.unmatched));
        let is_written = if is_sqlite {
            unmatched.is_empty() && at_once::write_rows(connection, born, &addressees).await?
        } else {
            at_once::write_statements(connection, born, unmatched, &addressees).await?
        };
        Ok(is_written.then(|| Done::new(answers, births)))
    }
}

#[async_trait]
impl Batched for Captures {
    type Item = Pending;
    type Done = Done;

    async fn write(&self, items: &[Pending]) -> Result<Done, DbErr> {
        let requests = items.iter().map(|item| &item.request).collect::<Vec<_>>();
        let clients = requests
            .iter()
            .map(|request| request.client_id)
            .collect::<BTreeSet<_>>();
        let clients = clients.into_iter().collect::<Vec<_>>();
        if let Some(done) = self.write_at_once(items, &clients).await? {
            return Ok(done);
        }
        // The leases' age counts from before what they are based on was read.
        let (begun, now) = (Instant::now(), self.shared.clock.now());
        let transaction = self.shared.connections.begin_batch().await?;
        let directory = &self.shared.directory;
        let addressees = directory.addressees(&transaction, &clients, Reading::Committed).await?;

        // A request for a client that doesn't exist must not leave its key behind.
        let keys = requests.iter().map(|request| {
            (
                request.client_id,
                request
                    .idempotency
                    .as_ref()
                    .filter(|_| addressees.contains_key(&request.client_id)),
            )
        });
        let keys = keys.collect::<Vec<_>>();
        let standings = idempotency::claim(&transaction, directory.master_keys(), &keys, now).await?;

        let mut births = Births::new(&self.shared, begun, now);
        let mut answers = Vec::with_capacity(items.len());
        for (item, standing) in items.iter().zip(standings) {
            answers.push(Some(match (addressees.get(&item.request.client_id), standing) {
                (None, _) => Err(CaptureError::UnknownClient),
                (_, Standing::Reused) => Err(CaptureError::KeyReused),
                (_, Standing::Answered(answer)) => Ok(Captured::Before(answer)),
                (Some(_), Standing::Fresh) if !item.suspicions.is_empty() => {
                    births.add_suspected(&item.request, &item.suspicions);
                    Ok(Captured::Now)
                }
                (Some(addressee), Standing::Fresh) => {
                    births.add(&item.request, item.foregone.as_ref(), addressee);
                    Ok(Captured::Now)
                }
            }));
        }
        let (rows, unmatched) = (std::mem::take(&mut births.rows), std::mem::take(&mut births.unmatched));
        rows::insert(&transaction, rows, unmatched).await?;
        rows::insert_suspected(&transaction, std::mem::take(&mut births.suspected)).await?;
        transaction.commit().await?;
        Ok(Done::new(answers, births))
    }

    fn committed(&self, items: Vec<Pending>, done: Done) {
        for (place, job) in done.filled {
            place.fill(job);
        }
        self.shared.left_behind(done.left_behind);
        for (item, answer) in items.into_iter().zip(done.answers) {
            if let Some(answer) = answer {
                if matches!(answer, Ok(Captured::Now)) {
                    self.shared.meters.captured(item.request.leads.len());
                }
                // Who has hung up has his lead delivered all the same.
                let _ = item.caller.send(answer);
            }
        }
    }

    /// Nothing is tried again: the senders are told, and they know best whether to repeat.
    fn failed(&self, items: Vec<Pending>, error: &StoreError) -> Vec<Pending> {
        let source = error as &dyn std::error::Error;
        tracing::error!(
            error = source,
            requests = items.len(),
            "leads could not be stored; their senders are told"
        );
        for item in items {
            self.shared.meters.refused_unavailable(item.request.leads.len());
            let _ = item.caller.send(Err(CaptureError::Store(error.clone())));
        }
        Vec::new()
    }

    fn measured(&self, leads: usize, took: Duration) {
        self.shared.meters.capture_batches.add(leads, took);
    }

    fn weight(item: &Pending) -> usize {
        item.request.leads.len()
    }
}

//! Whatever happens, in whatever order: what stays true of every delivery.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use sensei_domain::RecoveryState;
use sensei_domain::{ClientId, DeliveryId, DeliveryState, DestinationId, FailureReason, Outcome, Trigger, Verdict};
use sensei_persistence::{Actor, DestinationChange, Job, NewRecovery, Store};
use uuid::Uuid;

use crate::destinations::{named, new_destination};
use crate::fixtures::{ALL, LEASE, TestDatabase, acme, capture, deliveries, soon};
use crate::lanes::{DELIVERED, REFUSED, claim_all, record, retry};
use crate::tallies;
use crate::test_sends;

/// What may happen next. Indexes wrap around what there is.
#[derive(Debug, Clone, Copy)]
enum Event {
    Capture,
    /// All that is due is leased.
    Claim,
    /// An attempt ends, be its lease its own or long somebody else's.
    End(usize, End),
    /// Time goes by: leases run out, retries become due.
    Wait(Duration),
    /// The process ends and another begins: the leases are a dead one's.
    Reopen,
    Pause,
    Resume,
    Redeliver(usize),
    RedeliverMany(DeliveryState),
    /// Recoveries come on.
    Advance,
    /// What changed is added up, and what is due about destinations is done.
    Tidy,
    /// What is held for an active destination is released.
    Free,
    Erase(usize),
    /// What was captured before a destination existed is sent to it.
    Replay(usize),
    /// What is held for a destination is cancelled.
    Discard(usize),
    /// Somebody tries a destination.
    Test(usize, Outcome),
    /// Another destination.
    Add,
    /// One destination less, if that leaves one.
    Delete(usize),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Delivered,
    Failed,
    Retried,
    Gone,
    Ours,
    OursForADay,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let end = prop_oneof![
        Just(End::Delivered),
        Just(End::Failed),
        Just(End::Retried),
        Just(End::Gone),
        Just(End::Ours),
        Just(End::OursForADay),
    ];
    let tested = prop_oneof![Just(Outcome::Delivered), Just(Outcome::Gone)];
    let event = prop_oneof![
        2 => Just(Event::Capture),
        4 => Just(Event::Claim),
        6 => (any::<usize>(), end).prop_map(|(which, end)| Event::End(which, end)),
        2 => prop_oneof![Just(Duration::from_secs(1)), Just(LEASE), Just(Duration::from_hours(1))].prop_map(Event::Wait),
        1 => Just(Event::Reopen),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        4 => any::<usize>().prop_map(Event::Redeliver),
        1 => prop_oneof![Just(DeliveryState::Failed), Just(DeliveryState::Succeeded)].prop_map(Event::RedeliverMany),
        2 => Just(Event::Advance),
        1 => Just(Event::Tidy),
        2 => Just(Event::Free),
        1 => any::<usize>().prop_map(Event::Erase),
        1 => any::<usize>().prop_map(Event::Replay),
        1 => any::<usize>().prop_map(Event::Discard),
        1 => (any::<usize>(), tested).prop_map(|(which, outcome)| Event::Test(which, outcome)),
        1 => Just(Event::Add),
        1 => any::<usize>().prop_map(Event::Delete),
    ];
    vec(event, 40..120)
}

/// A delivery's row, and how many attempts of it are logged up to which number.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    state: String,
    due_at: Option<i64>,
    lease: Option<i64>,
    attempt_count: i64,
    scheduled_attempts: i64,
    prior_state: Option<String>,
    prior_due_at: Option<i64>,
    completed_at: Option<i64>,
    logged: i64,
    last_number: Option<i64>,
    is_test: bool,
}

impl Row {
    /// Where it stands but for a redelivery.
    fn home(&self) -> &str {
        self.prior_state.as_deref().unwrap_or(&self.state)
    }

    /// What is true of every row at any time.
    fn check(&self) {
        let is_pending = self.state == "pending";
        assert_eq!(self.due_at.is_some(), is_pending, "due only when pending: {self:?}");
        assert!(self.lease.is_none() || is_pending, "leased only when pending: {self:?}");
        assert!(
            self.prior_state.is_none() || is_pending,
            "redelivered only when pending: {self:?}"
        );
        let waited = self.prior_state.as_deref() == Some("pending");
        assert_eq!(self.prior_due_at.is_some(), waited, "{self:?}");
        let is_final = matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled");
        assert!(self.completed_at.is_some() || !is_final, "{self:?}");
        assert_eq!(
            (self.logged, self.last_number.unwrap_or(0)),
            (self.attempt_count, self.attempt_count),
            "no gap"
        );
    }

    /// What one event may make of it.
    fn check_move(&self, after: &Self, is_asked: bool) {
        if self.is_test {
            assert_eq!(self, after, "final from its birth");
            return;
        }
        let was_redelivered = self.prior_state.is_some();
        let may = match (self.home(), after.home()) {
            (from, to) if from == to => true,
            ("pending", _) | ("held", "pending" | "cancelled") => true,
            ("failed", "succeeded") => was_redelivered,
            _ => false,
        };
        assert!(may, "{self:?} became {after:?}");
        assert!(
            was_redelivered || after.prior_state.is_none() || is_asked,
            "nobody asked for it: {self:?} became {after:?}"
        );
        if was_redelivered {
            assert_eq!(
                self.scheduled_attempts, after.scheduled_attempts,
                "outside the schedule"
            );
            if after.prior_state.is_none() && after.state == "pending" {
                assert_eq!(after.due_at, self.prior_due_at, "the retry that was left is left");
            }
        }
    }
}

struct World {
    database: TestDatabase,
    connection: DatabaseConnection,
    store: Store,
    client: ClientId,
    /// Attempts that have begun and not ended, some under leases that ran out.
    begun: Vec<Job>,
    seen: HashMap<DeliveryId, Row>,
}

impl World {
    async fn new(database: TestDatabase) -> Self {
        let store = database.open().await;
        let client = acme(&store).await.id;
        let connection = database.connection().await;
        Self {
            database,
            connection,
            store,
            client,
            begun: Vec::new(),
            seen: HashMap::new(),
        }
    }

    async fn happens(&mut self, event: Event) {
        match event {
            Event::Capture => drop(capture(&self.store, self.client).await),
            Event::Claim => {
                for job in claim_all(&self.store).await {
                    let before = &self.seen[&job.delivery_id];
                    assert!(!before.is_test, "a test is never sent again");
                    let is_manual = job.trigger == Trigger::Manual;
                    assert_eq!(is_manual, before.prior_state.is_some(), "{before:?}");
                    assert!(is_manual || !matches!(before.home(), "succeeded" | "failed" | "cancelled"));
                    self.begun.push(job);
                }
            }
            Event::End(which, end) => {
                if !self.begun.is_empty() {
                    let job = self.begun.remove(which % self.begun.len());
                    record(&self.store, &job, self.verdict(end)).await;
                }
            }
            Event::Wait(time) => self.database.clock.advance(time),
            Event::Reopen => {
                soon(self.store.close()).await;
                self.store = self.database.open().await;
            }
            Event::Pause => self.set_paused(true).await,
            Event::Resume => self.set_paused(false).await,
            Event::Redeliver(which) => {
                let all = deliveries(&self.store, self.client).await;
                if !all.is_empty() {
                    let id = all[which % all.len()].id;
                    // It may be refused: what counts is what became of the row.
                    drop(self.store.redeliver(self.client, id, &Actor::System).await);
                }
            }
            Event::RedeliverMany(state) => {
                let (destination_id, since, until) = (None, None, None);
                self.start(NewRecovery::Redeliver {
                    state,
                    destination_id,
                    since,
                    until,
                    completed_since: None,
                })
                .await;
            }
            Event::Replay(which) => {
                let (destination_id, since, until) = (self.one_of_the_living(which).await, None, None);
                self.start(NewRecovery::Replay {
                    destination_id,
                    since,
                    until,
                })
                .await;
            }
            Event::Discard(which) => {
                let destination_id = self.one_of_the_living(which).await;
                self.start(NewRecovery::Discard { destination_id }).await;
            }
            Event::Test(which, outcome) => {
                let sent = test_sends::sent(&self.store, self.client, self.one_of_the_living(which).await, outcome);
                test_sends::log(&self.store, self.client, &sent, None)
                    .await
                    .expect("logged");
            }
            Event::Add => self.add().await,
            Event::Delete(which) => self.delete(which).await,
            Event::Advance => drop(self.advance().await),
            Event::Tidy => {
                soon(self.store.fold_tallies()).await.expect("added up");
                soon(self.store.keep_health()).await.expect("looked at");
            }
            Event::Free => drop(soon(self.store.free_held()).await.expect("released")),
            Event::Erase(which) => {
                let all = deliveries(&self.store, self.client).await;
                let leads = all.iter().filter_map(|one| one.lead_id).collect::<Vec<_>>();
                if !leads.is_empty() {
                    let lead = leads[which % leads.len()];
                    self.store
                        .erase_lead(self.client, lead, &Actor::System)
                        .await
                        .expect("erased");
                }
            }
        }
        let is_asked = matches!(event, Event::Redeliver(_) | Event::Advance);
        self.check(is_asked).await;
    }

    fn verdict(&self, end: End) -> (Outcome, Verdict) {
        let soon = |seconds| self.store.now().after(Duration::from_secs(seconds));
        match end {
            End::Delivered => DELIVERED,
            End::Failed => REFUSED,
            End::Retried => retry(soon(300)),
            End::Gone => (Outcome::Gone, Verdict::Failed(FailureReason::DestinationGone)),
            End::Ours => (Outcome::Ours, Verdict::NotCounted { at: soon(1) }),
            End::OursForADay => (Outcome::Ours, Verdict::Failed(FailureReason::Ours)),
        }
    }

    async fn advance(&self) -> bool {
        Box::pin(soon(self.store.advance_recoveries())).await.expect("a step")
    }

    async fn living(&self) -> Vec<DestinationId> {
        let living = self.store.destinations(self.client, ALL).await.expect("read");
        living.iter().map(|destination| destination.id).collect()
    }

    async fn set_paused(&self, is_paused: bool) {
        let change = DestinationChange {
            is_paused: Some(is_paused),
            ..DestinationChange::default()
        };
        for id in self.living().await {
            let changed = self.store.change_destination(self.client, id, &change, &Actor::System);
            Box::pin(changed).await.expect("changed");
        }
    }

    /// It may be refused, as while an equal one runs.
    async fn start(&self, recovery: NewRecovery) {
        drop(self.store.start_recovery(self.client, recovery, &Actor::System).await);
    }

    async fn one_of_the_living(&self, which: usize) -> DestinationId {
        let living = self.living().await;
        living[which % living.len()]
    }

    async fn add(&self) {
        // Later than what was captured.
        self.database.clock.advance(Duration::from_millis(1));
        let new = new_destination(&self.store.now().as_millis().to_string());
        let made = self
            .store
            .create_destination(self.client, &new, None, named, &Actor::System);
        Box::pin(made).await.expect("made");
    }

    async fn delete(&self, which: usize) {
        if self.living().await.len() > 1 {
            let id = self.one_of_the_living(which).await;
            let deleted = self.store.delete_destination(self.client, id, &Actor::System);
            assert!(Box::pin(deleted).await.expect("deleted"));
        }
    }

    async fn check(&mut self, is_asked: bool) {
        let sql = "SELECT d.*, (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id) AS logged, \
                   (SELECT max(number) FROM attempts a WHERE a.delivery_id = d.id) AS last_number FROM deliveries d";
        let statement = Statement::from_string(self.connection.get_database_backend(), sql);
        let mut bound = HashSet::new();
        for row in self.connection.query_all_raw(statement).await.expect("read") {
            let [event, destination] =
                ["event_id", "destination_id"].map(|name| row.try_get::<Uuid>("", name).expect("an id"));
            assert!(
                bound.insert((event, destination)),
                "an event goes to a destination once"
            );
            let id = DeliveryId::from_uuid(row.try_get("", "id").expect("an id"));
            let row = Row {
                state: row.try_get("", "state").expect("a text"),
                due_at: row.try_get("", "due_at").expect("a number"),
                lease: row.try_get("", "lease").expect("a number"),
                attempt_count: row.try_get("", "attempt_count").expect("a number"),
                scheduled_attempts: row.try_get("", "scheduled_attempts").expect("a number"),
                prior_state: row.try_get("", "prior_state").expect("a text"),
                prior_due_at: row.try_get("", "prior_due_at").expect("a number"),
                completed_at: row.try_get("", "completed_at").expect("a number"),
                logged: row.try_get("", "logged").expect("a number"),
                last_number: row.try_get("", "last_number").expect("a number"),
                is_test: row.try_get::<Option<Uuid>>("", "lead_id").expect("an id").is_none(),
            };
            row.check();
            if let Some(before) = self.seen.get(&id) {
                before.check_move(&row, is_asked);
            }
            self.seen.insert(id, row);
        }
        let waits = "SELECT count(*) FROM deliveries WHERE (state = 'held' OR state = 'pending') AND destination_id IN \
                     (SELECT id FROM destinations WHERE deleted_at IS NOT NULL)";
        let statement = Statement::from_string(self.connection.get_database_backend(), waits);
        let row = self
            .connection
            .query_one_raw(statement)
            .await
            .expect("read")
            .expect("a row");
        let waiting: i64 = row.try_get_by_index(0).expect("a number");
        assert_eq!(waiting, 0, "nothing waits for a destination that is gone");
        tallies::are_exact(&self.store, &self.connection).await;
    }

    /// Once nothing more happens to them, all deliveries and recoveries come to their end.
    async fn ends(&mut self) {
        self.set_paused(false).await;
        for _ in 0..100 {
            self.happens(Event::Wait(Duration::from_hours(1))).await;
            self.happens(Event::Advance).await;
            self.happens(Event::Free).await;
            self.happens(Event::Claim).await;
            while !self.begun.is_empty() {
                self.happens(Event::End(0, End::Delivered)).await;
            }
            let recoveries = self.store.recoveries(self.client, ALL).await.expect("read");
            let is_running = recoveries.iter().any(|one| one.state == RecoveryState::Running);
            if !is_running && self.seen.values().all(|row| row.state != "pending") {
                return;
            }
        }
        panic!("it comes to no end: {:#?}", self.seen);
    }
}

/// What happens to deliveries keeps to their states, and to what is counted of them.
fn play(database: TestDatabase, events: Vec<Event>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(database).await;
        for event in events {
            Box::pin(world.happens(event)).await;
        }
        Box::pin(world.ends()).await;
        soon(world.store.close()).await;
    });
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_happens_deliveries_keep_to_their_states(events in events()) {
        play(TestDatabase::sqlite(), events);
    }
}

proptest! {
    #![proptest_config(Config { cases: 5, max_shrink_iters: 50, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_happens_deliveries_keep_to_their_states_on_postgres(events in events()) {
        if let Some(database) = TestDatabase::postgres() {
            play(database, events);
        }
    }
}

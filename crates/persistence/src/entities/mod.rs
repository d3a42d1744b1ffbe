//! The tables as sea-orm entities. The migrations are the truth; these follow.

pub(crate) mod api_keys;
pub(crate) mod attempts;
pub(crate) mod audit_log;
pub(crate) mod checkpoints;
pub(crate) mod clients;
pub(crate) mod deliveries;
pub(crate) mod destination_health;
pub(crate) mod destinations;
pub(crate) mod events;
pub(crate) mod idempotency_keys;
pub(crate) mod leads;
pub(crate) mod recoveries;
#[cfg(test)]
pub(crate) mod rollups;
pub(crate) mod sessions;
pub(crate) mod suspected_leads;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sea_orm::EntityTrait;
    use sensei_domain::{ClientId, LeadId, ManualClock, NewLead, Outcome, Suspicion, Timestamp, Verdict};
    use sensei_test_support::PostgresServer;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        Actor, Answer, AttemptRecord, CaptureLead, CaptureRequest, Claim, DatabaseUrl, Idempotency, KeyedRequest,
        MasterKey, NewClient, NewRecovery, Recording, Store, StoreOptions,
    };

    async fn suspect(store: &Store, client_id: ClientId) {
        let suspected = CaptureRequest {
            client_id,
            leads: vec![CaptureLead {
                id: LeadId::new(store.now()),
                lead: NewLead::sample(),
            }],
            captured_at: store.now(),
            idempotency: None,
        };
        let kept = store.capture_suspected(suspected, vec![Suspicion::NoForm]).await;
        kept.expect("captured");
    }

    #[expect(clippy::too_many_lines, reason = "a table after the other")]
    /// Every table, filled by the store and read by its entity: each column is there, and of its type.
    async fn every_column_of_every_entity_is_read(database: DatabaseUrl) {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let (master_key, clock) = (MasterKey::generate(), ManualClock::at(now));
        let options = StoreOptions {
            database,
            master_key,
            previous_master_key: None,
            lease: Duration::from_mins(1),
            clock: Arc::new(clock.clone()),
        };
        let store = Store::open(options).await.expect("an empty database opens");
        let new = NewClient {
            name: "Acme Corp".parse().expect("a name"),
            lead_webhook_url: Some("https://example.com/".parse().expect("a URL")),
        };
        let created = store.create_client(new, &Actor::System).await.expect("created");
        let lead = serde_json::json!({"name": "J", "email": "j@example.com", "custom": {"a": 1}});
        let lead = NewLead::from_json(&lead).expect("a lead");
        let idempotency = Idempotency {
            request: KeyedRequest {
                key: "k".to_owned(),
                method: "POST",
                path: "/".to_owned(),
                fingerprint: [7; 32],
            },
            answer: Answer {
                status: 201,
                body: "{}".into(),
                holds_secret: true,
            },
        };
        let request = CaptureRequest {
            client_id: created.client.id,
            leads: vec![CaptureLead {
                id: LeadId::new(now),
                lead,
            }],
            captured_at: now,
            idempotency: Some(idempotency),
        };
        store.capture(request).await.expect("captured");
        suspect(&store, created.client.id).await;
        let destination_id = created.settings.destination_id.expect("it has a URL");
        let claimed = store
            .claim(
                &[Claim {
                    destination_id,
                    room: 1,
                }],
                |_| false,
                |_, _| Some(()),
            )
            .await
            .expect("claimed");
        let (job, ()) = &claimed[0].jobs[0];
        job.reach("{}").await.expect("kept");
        let (place, stored) = oneshot::channel::<()>();
        store.record(Recording {
            delivery_id: job.delivery_id,
            lease: job.lease,
            known: job.known(),
            attempt: AttemptRecord {
                trigger: job.trigger,
                destination_version: job.destination.version,
                started_at: now,
                duration: Duration::from_millis(3),
                outcome: Outcome::Delivered,
                status_code: Some(200),
                error: Some("e".to_owned()),
                response_snippet: Some("s".to_owned()),
                request_url: Some("u".to_owned()),
                is_unsent: false,
            },
            verdict: Verdict::Succeeded,
            place: Box::new(place),
        });
        stored.await.expect_err("a place is dropped once the outcome is stored");

        let access = store
            .authenticate(&created.publishable_key.text)
            .await
            .expect("read")
            .expect("a key");
        store.begin_session(access).await.expect("begun");
        let discard = NewRecovery::Discard { destination_id };
        let started = store.start_recovery(created.client.id, discard, &Actor::System);
        started.await.expect("started");

        clock.advance(Duration::from_mins(1));
        while store.roll_up().await.expect("added up") {}

        let reader = &store.connections().reader;
        macro_rules! rows {
            ($($entity:ident)+) => {
                [$($entity::Entity::find().all(reader).await.expect(stringify!($entity)).len()),+]
            };
        }
        assert_eq!(
            rows!(clients destinations events deliveries attempts checkpoints suspected_leads rollups),
            [1; 8]
        );
        assert_eq!(
            rows!(leads api_keys idempotency_keys recoveries sessions audit_log),
            [2, 1, 1, 1, 1, 4]
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_column_of_every_entity_is_read_from_sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        every_column_of_every_entity_is_read(DatabaseUrl::Sqlite(folder.path().join("sensei.db"))).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_column_of_every_entity_is_read_from_postgres() {
        let Some(server) = PostgresServer::shared() else { return };
        let database = server.database();
        every_column_of_every_entity_is_read(DatabaseUrl::Postgres(database.url().to_owned())).await;
    }
}

//! SQLite's write-ahead log goes back into the file while leads are captured, and begins anew.

use std::path::Path;

use sensei_domain::{LeadId, NewLead};
use sensei_persistence::{CaptureLead, CaptureRequest, DatabaseUrl};
use serde_json::json;

use crate::fixtures::{TestDatabase, acme, soon};

/// Some thirty thousand pages.
const LEADS: usize = 6_000;
const TOGETHER: usize = 20;
/// Pages. The writer alone would begin the log anew with 24,000.
const LONGEST: i32 = 18_000;
/// So many may wait to go back, however slow the disk is: more than it takes to begin with that, so that what is written never waits for all of it.
const WAITING: i32 = 3_000;

/// Pages in the log, and how many of them are back in the file.
async fn pages(database: &TestDatabase) -> (i32, i32) {
    let rows = database.rows("PRAGMA wal_checkpoint(NOOP)").await;
    let number = |place| rows[0].try_get_by_index(place).expect("a number");
    (number(1), number(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_goes_back_into_the_file_and_the_log_begins_anew() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let client = acme(&store).await;
    let lead = json!({"name": "John Doe", "email": "john@example.com", "message": "long ".repeat(1_990)});
    let lead = NewLead::from_json(&lead).expect("a lead");
    for _ in 0..LEADS / TOGETHER {
        let at = store.now();
        let leads = (0..TOGETHER).map(|_| CaptureLead {
            id: LeadId::new(at),
            lead: lead.clone(),
        });
        let request = CaptureRequest {
            client_id: client.id,
            leads: leads.collect(),
            captured_at: at,
            idempotency: None,
        };
        store.capture(request).await.expect("captured");
        let all = soon(async {
            loop {
                let (all, back) = pages(&database).await;
                if all - back < WAITING {
                    return all;
                }
            }
        });
        let all = all.await;
        assert!(all < LONGEST, "{all} pages in the log");
    }
    let DatabaseUrl::Sqlite(file) = &database.url else {
        panic!("it is SQLite");
    };
    assert!(
        file.metadata().expect("a file").len() > 60 << 20,
        "that much was written"
    );
    soon(store.close()).await;
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    assert!(!Path::new(&log).exists(), "all of it is in the file");
}

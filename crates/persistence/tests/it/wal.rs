//! SQLite's write-ahead log goes back into the file while leads are captured, and begins anew.

use std::path::Path;

use sensei_domain::{LeadId, NewLead};
use sensei_persistence::{CaptureLead, CaptureRequest, DatabaseUrl};
use serde_json::json;

use crate::fixtures::{TestDatabase, acme, soon};

const MEGABYTE: u64 = 1 << 20;
/// More than the writer alone would put back, which is 64 MB.
const WRITTEN: u64 = 40 * MEGABYTE;
const LONGEST: u64 = 32 * MEGABYTE;

fn length(path: &Path) -> u64 {
    path.metadata().expect("a file").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_goes_back_into_the_file_and_the_log_begins_anew() {
    let database = TestDatabase::sqlite();
    let store = database.open().await;
    let client = acme(&store).await;
    let DatabaseUrl::Sqlite(file) = &database.url else {
        panic!("it is SQLite");
    };
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    let lead = json!({"name": "John Doe", "email": "john@example.com", "message": "long ".repeat(1_990)});
    let lead = NewLead::from_json(&lead).expect("a lead");
    let captured = async {
        while length(file) < WRITTEN {
            let at = store.now();
            let leads = (0..20).map(|_| CaptureLead {
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
            let length = length(log.as_ref());
            assert!(length < LONGEST, "{length} bytes of log");
        }
    };
    soon(captured).await;
    soon(store.close()).await;
    assert!(!Path::new(&log).exists(), "all of it is in the file");
}

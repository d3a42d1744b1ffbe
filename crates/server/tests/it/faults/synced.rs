//! An acknowledged lead is on the disk, not only in the system's cache. A kill doesn't show that, so the system calls
//! are watched.

use std::process::Command;

use anyhow::Result;
use sensei_test_support::{Api, Process};
use serde_json::json;

use super::load::{ADMIN_KEY, LIMIT, binary, create_client};

const LEADS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_is_synced_before_each_acknowledgement() -> Result<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "strace is not installed, and with CI=true no test may be skipped"
        );
        eprintln!("SKIPPED: strace is not installed (apt-get install strace)");
        return Ok(());
    }
    let binary = binary();
    let trace = binary.directory().join("trace");
    let mut command = Command::new("strace");
    // -D: strace is the grandchild, so that the process we start and kill is the program itself.
    command
        .args([
            "-D",
            "-f",
            "-y",
            "-s",
            "16",
            "-e",
            "trace=fsync,fdatasync,write,writev,sendto,sendmsg",
            "-o",
        ])
        .arg(&trace);
    command.arg(binary.command().get_program());
    binary.prepare(&mut command);
    let mut process = Process::spawn(command)?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    // Without a URL there are no deliveries, so that every sync is a capture's.
    let client = create_client(&api, None).await?;
    for number in 0..LEADS {
        let lead = json!({"name": format!("Lead {number}"), "email": "john@example.com"});
        assert_eq!(
            api.post(&format!("/v1/clients/{client}/leads"), &lead).await?.status,
            201
        );
    }
    process.terminate()?;
    process.wait_exit(LIMIT).await?;

    let trace = std::fs::read_to_string(&trace)?;
    let (mut acknowledged, mut is_synced) = (0, false);
    for line in trace.lines() {
        // "fdatasync(9</…/sensei.db-wal>) = 0", or, of a thread that was interrupted, "<... fdatasync resumed>) = 0".
        if line.contains("sync") && line.ends_with("= 0") && (line.contains("-wal>") || line.contains("resumed>")) {
            is_synced = true;
        } else if line.contains("HTTP/1.1 201") {
            assert!(is_synced, "acknowledgement {acknowledged} came before the sync: {line}");
            (acknowledged, is_synced) = (acknowledged + 1, false);
        }
    }
    // The client's own creation is one more.
    assert_eq!(acknowledged, LEADS + 1);
    Ok(())
}

//! A backup that is made while leads flow is whole, and one that can't be made leaves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result};
use sensei_test_support::{Api, Binary, Receiver};

use super::load::{ADMIN_KEY, LIMIT, Load, all_delivered, binary, create_client, text};

const CALLERS: usize = 16;
const LEADS_BEFORE: usize = 300;

/// Runs `sensei backup` on a database.
fn back_up(database: &str, to: &Path) -> Result<Output> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei"))
        .env("DATABASE_URL", database)
        .arg("backup")
        .arg(to.display().to_string());
    Ok(binary.command().output()?)
}

/// All leads of a client.
async fn leads(api: &Api, client: &str) -> Result<BTreeSet<String>> {
    let (mut leads, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = api
            .get(&format!("/v1/clients/{client}/leads?limit=200{cursor}"))
            .await?
            .json;
        let items = page["items"].as_array().context("a list")?;
        leads.extend(items.iter().map(|lead| text(&lead["id"])));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(leads),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_under_load_has_every_lead_that_was_acknowledged_before() -> Result<()> {
    let (first, receiver) = (binary(), Receiver::start());
    let data = first.directory().join("data");
    let database = format!("sqlite://{}", data.join("sensei.db").display());
    let mut process = first.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let client = create_client(&Api::new(address, ADMIN_KEY), Some(&receiver.url())).await?;
    let load = Load::start(address, &client, CALLERS, false);
    load.wait_acknowledged(LEADS_BEFORE).await?;

    let second = binary();
    let copied_to = second.directory().join("data");
    fs::create_dir(&copied_to)?;
    let copy = copied_to.join("sensei.db");
    let before = load.look(|told| told.acknowledged.clone());
    let output = tokio::task::spawn_blocking({
        let copy = copy.clone();
        move || back_up(&database, &copy)
    });
    let output = output.await??;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout)?;
    let size = fs::metadata(&copy)?.len();
    assert!(said.contains(&format!("{size} bytes")), "{said}");
    assert_eq!(fs::metadata(&copy)?.permissions().mode() & 0o777, 0o600);
    load.wait_acknowledged(load.acknowledged() + CALLERS).await?;
    let after = load.stop().await;
    assert!(
        after.refused.is_empty() && after.cut == 0,
        "the server went on: {after:?}"
    );
    drop(process);

    fs::copy(data.join("master.key"), copied_to.join("master.key"))?;
    let mut process = second.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let restored = leads(&api, &client).await?;
    assert!(before.is_subset(&restored), "{} of {}", restored.len(), before.len());
    assert!(restored.is_subset(&after.acknowledged));
    all_delivered(&receiver, &restored).await?;
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let stats = api.get(&format!("/v1/clients/{client}/stats")).await?.json;
        if stats["deliveries"]["succeeded"] == restored.len() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{stats} of {}", restored.len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

#[test]
fn a_backup_that_cannot_be_made_says_why_and_leaves_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite://{}", path(name).display());
    fs::write(path("old.db"), "of yesterday")?;
    fs::write(path("letter.txt"), "Dear Sir or Madam".repeat(100))?;
    let cases = [
        (
            "postgres://sensei:hunter2@127.0.0.1:1/leads".to_owned(),
            "new.db",
            "pg_dump",
        ),
        (url("absent.db"), "new.db", "absent.db isn't there"),
        (url("letter.txt"), "old.db", "old.db is there already"),
        (url("letter.txt"), "no/new.db", "no/new.db.unfinished can't be written"),
        (url("letter.txt"), "new.db", "the database can't be copied"),
    ];
    for (database, to, why) in cases {
        let output = back_up(&database, &path(to))?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
        let left = fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name()));
        let left = left.collect::<Result<BTreeSet<_>>>()?;
        assert_eq!(left, ["letter.txt".into(), "old.db".into()].into(), "{why}");
        assert_eq!(fs::read_to_string(path("old.db"))?, "of yesterday");
    }
    Ok(())
}

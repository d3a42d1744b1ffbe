//! Secrets of every kind on the real program: used, changed while leads flow, and found nowhere.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sensei_test_support::{Api, MailServer};
use serde_json::{Value, json};
use wiremock::Request;

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};
use crate::stand_in::{StandIn, address, holds, kinds, lead_number};

const SECRET: &str = "5ec7e75ec7e75ec7e75ec7e75ec7e75e";
const CHANGED: &str = "c4a26edc4a26edc4a26edc4a26edc4a2";
const KINDS: usize = 16;

async fn lead(api: &Api, client: &str, number: u32) -> Result<()> {
    let lead = json!({"name": "Jane Doe", "email": address(number)});
    let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(())
}

async fn until_succeeded(api: &Api, client: &str, wanted: usize) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let stats = api.get(&format!("/v1/clients/{client}/stats")).await?.json;
        if stats["deliveries"]["succeeded"].as_u64() == Some(wanted as u64) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{stats} of {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Which vendors got which leads with this secret.
fn arrived(requests: &[Request], secret: &str) -> BTreeSet<(String, u32)> {
    let with = requests.iter().filter(|request| {
        let headers = request.headers.values();
        holds(request.url.path(), secret)
            || headers
                .filter_map(|value| value.to_str().ok())
                .any(|value| holds(value, secret))
    });
    let leads = with.filter_map(|request| {
        let vendor = request.url.path().split('/').nth(1).unwrap_or_default();
        let number = lead_number(&String::from_utf8_lossy(&request.body))?;
        Some((vendor.to_owned(), number))
    });
    leads.collect()
}

/// What may be nowhere: the secrets, and how they are sent.
fn forbidden() -> Vec<String> {
    let sent = |secret: &str| {
        let pairs = [
            format!("any:{secret}-us21"),
            format!("ann@acme.example:{secret}"),
            format!("\0leads\0{secret}"),
        ];
        pairs
            .map(|pair| STANDARD.encode(pair))
            .into_iter()
            .chain([secret.to_owned()])
    };
    sent(SECRET).chain(sent(CHANGED)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_every_kind_are_used_and_found_nowhere() -> Result<()> {
    let (stub, mail) = (StandIn::default().serve().await, MailServer::start());
    let binary = binary().env("SENSEI_VENDORS_AT", stub.uri()).env("SENSEI_LOG", "trace");
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let mut destinations = Vec::new();
    for (kind, config) in kinds(SECRET, &stub, mail.address().port()) {
        let body = json!({"kind": kind, "name": kind, "config": config, "rateLimit": null});
        let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
        ensure!(made.status == 201, "{kind}: {made:?}");
        ensure!(made.json["config"].to_string().contains("********"), "{made:?}");
        destinations.push(format!("/v1/clients/{client}/destinations/{}", text(&made.json["id"])));
    }
    ensure!(destinations.len() == KINDS, "every kind");
    for number in 0..3 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 3 * KINDS).await?;
    for (destination, (kind, config)) in destinations.iter().zip(kinds(CHANGED, &stub, mail.address().port())) {
        let changed = api.patch(destination, &json!({"config": config})).await?;
        ensure!(changed.status == 200, "{kind}: {changed:?}");
        let renamed = json!({"name": format!("again {kind}"), "config": changed.json["config"]});
        let renamed = api.patch(destination, &renamed).await?;
        ensure!(renamed.status == 200, "{kind}: the mask leaves the secret: {renamed:?}");
        let tried = api.post(&format!("{destination}/test"), &json!({})).await?;
        ensure!(tried.json["outcome"] == "delivered", "{kind}: {tried:?}");
    }
    for number in 3..6 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 7 * KINDS).await?;
    let answers = [
        api.get(&format!("/v1/clients/{client}/destinations")).await?.json,
        api.get(&format!("/v1/clients/{client}/deliveries?limit=200"))
            .await?
            .json,
    ];

    let requests = stub.received_requests().await.context("they are kept")?;
    // All but the mail, which has its own server.
    for (secret, numbers) in [(SECRET, [0, 1, 2]), (CHANGED, [3, 4, 5])] {
        let arrived = arrived(&requests, secret);
        let wanted = (KINDS - 1) * numbers.len();
        let found = arrived.iter().filter(|(_, number)| numbers.contains(number)).count();
        assert_eq!((found, arrived.len()), (wanted, wanted), "{secret}: {arrived:?}");
    }
    for mail in mail.mails() {
        let number = lead_number(&String::from_utf8_lossy(&mail.data));
        let secret = if number.is_some_and(|number| number < 3) {
            SECRET
        } else {
            CHANGED
        };
        let login = mail.login.context("it logs in")?;
        assert!(holds(&login, secret), "{login}");
    }

    let (mut files, forbidden) = (0, forbidden());
    for entry in walk(binary.directory())? {
        let bytes = std::fs::read(&entry)?;
        files += 1;
        for secret in &forbidden {
            let found = bytes
                .windows(secret.len())
                .position(|window| window == secret.as_bytes());
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(100)..bytes.len().min(at + 100)];
                panic!(
                    "{} holds a secret: {}",
                    entry.display(),
                    String::from_utf8_lossy(around)
                );
            }
        }
    }
    assert!(files >= 3, "the database, its log and the key");
    let log = process.output();
    assert!(log.len() > 10_000, "it is at its most talkative");
    for shown in [log, Value::from(answers.to_vec()).to_string()] {
        for line in shown.lines() {
            assert!(forbidden.iter().all(|secret| !line.contains(secret)), "{line}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_is_changed_while_leads_flow_works_from_the_next_attempt_on() -> Result<()> {
    let (vendors, mail) = (StandIn::that_takes_only(CHANGED), MailServer::start());
    let stub = vendors.serve().await;
    let binary = binary().env("SENSEI_VENDORS_AT", stub.uri());
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let token_kinds = [
        "hubspot",
        "pipedrive",
        "mailchimp",
        "kit",
        "asana",
        "trello",
        "linear",
        "clickup",
        "jira",
    ];
    let of = |secret: &str| {
        let kinds = kinds(secret, &stub, mail.address().port()).into_iter();
        kinds.filter(|(kind, _)| token_kinds.contains(kind)).collect::<Vec<_>>()
    };
    let mut destinations = Vec::new();
    for (kind, config) in of(SECRET) {
        let retry = json!({"policy": "custom", "delays": vec!["1s"; 20]});
        let body = json!({"kind": kind, "name": kind, "config": config, "retry": retry, "rateLimit": null});
        let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
        ensure!(made.status == 201, "{kind}: {made:?}");
        destinations.push(format!("/v1/clients/{client}/destinations/{}", text(&made.json["id"])));
    }
    for number in 0..5 {
        lead(&api, &client, number).await?;
    }
    let deadline = Instant::now() + LIMIT;
    while vendors.refused() < 2 * destinations.len() {
        ensure!(Instant::now() < deadline, "{} refused", vendors.refused());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (destination, (kind, config)) in destinations.iter().zip(of(CHANGED)) {
        let changed = api.patch(destination, &json!({"config": config})).await?;
        ensure!(changed.status == 200, "{kind}: {changed:?}");
    }
    let refused = vendors.refused();
    for number in 5..10 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 10 * destinations.len()).await?;
    // What was under way at the change may have been refused; what began after it wasn't.
    let late = vendors.refused() - refused;
    ensure!(
        late <= 5 * destinations.len(),
        "{late} attempts had the old token still"
    );
    let requests = stub.received_requests().await.context("they are kept")?;
    let old = arrived(&requests, SECRET);
    assert!(
        old.iter().all(|(_, number)| *number < 5),
        "a lead that came after the change was sent with the old token: {old:?}"
    );
    Ok(())
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

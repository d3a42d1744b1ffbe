//! The kinds of vendors on the real program, a stub in the vendors' place: leads arrive, a changed secret is used from the next attempt
//! on, and no secret is found in the database's files or the log.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::Api;
use serde_json::{Value, json};
use wiremock::matchers::{any, body_string, header, method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};

const SECRET: &str = "S3CRETS3CRETS3CRET";
const CHANGED: &str = "CHANGEDCHANGEDCHANGED";
const TOKEN: &str = "TOKENTOKENTOKENTOKEN";

/// The kinds with a URL that is a secret.
fn urls(secret: &str) -> [(&'static str, String); 4] {
    [
        ("zapier", format!("https://hooks.zapier.com/hooks/catch/1/{secret}/")),
        ("make", format!("https://hook.eu2.make.com/{secret}")),
        ("slack", format!("https://hooks.slack.com/services/T0/B0/{secret}")),
        ("discord", format!("https://discord.com/api/webhooks/1/{secret}")),
    ]
}

/// Vendors that take everything.
async fn vendors() -> MockServer {
    let stub = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path_regex(
            "^/(hooks.zapier.com|hook.eu2.make.com|hooks.slack.com|discord.com)/",
        ))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&stub)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(418))
        .mount(&stub)
        .await;
    stub
}

async fn lead(api: &Api, client: &str, number: usize) -> Result<()> {
    let lead = json!({"name": format!("Jane {number}"), "email": "jane@example.com"});
    let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(())
}

async fn until_succeeded(api: &Api, client: &str, deliveries: usize) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let log = api
            .get(&format!("/v1/clients/{client}/deliveries?limit=200"))
            .await?
            .json;
        let items = log["items"].as_array().context("a list")?.clone();
        let succeeded = items.iter().filter(|delivery| delivery["state"] == "succeeded").count();
        if succeeded == deliveries {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{succeeded} of {deliveries}: {items:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Which vendors got which leads with this secret.
fn arrived(requests: &[Request], secret: &str) -> BTreeSet<(String, String)> {
    let with = requests.iter().filter(|request| request.url.path().contains(secret));
    let names = with.flat_map(|request| {
        let vendor = request.url.path().split('/').nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let numbers = (0..20).filter(move |number| {
            body.contains(&format!("Jane {number}\"")) || body.contains(&format!("Jane {number} "))
        });
        numbers.map(move |number| (vendor.clone(), number.to_string()))
    });
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_vendors_are_used_and_found_nowhere() -> Result<()> {
    let stub = vendors().await;
    let binary = binary().env("SENSEI_VENDORS_AT", stub.uri()).env("SENSEI_LOG", "trace");
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let mut destinations = Vec::new();
    for (kind, url) in urls(SECRET) {
        let body = json!({"kind": kind, "name": kind, "config": {"url": url}});
        let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
        ensure!(made.status == 201, "{made:?}");
        assert_eq!(made.json["config"], json!({"url": "********"}));
        destinations.push(format!("/v1/clients/{client}/destinations/{}", text(&made.json["id"])));
    }
    for number in 0..3 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 12).await?;
    for (destination, (_, url)) in destinations.iter().zip(urls(CHANGED)) {
        let changed = api.patch(destination, &json!({"config": {"url": url}})).await?;
        ensure!(changed.status == 200, "{changed:?}");
        let renamed = json!({"name": format!("again {}", text(&changed.json["name"])), "config": {"url": "********"}});
        let renamed = api.patch(destination, &renamed).await?;
        ensure!(renamed.status == 200, "the mask leaves the secret: {renamed:?}");
        let tried = api.post(&format!("{destination}/test"), &json!({})).await?;
        ensure!(tried.json["outcome"] == "delivered", "{tried:?}");
    }
    for number in 3..6 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 24 + destinations.len()).await?;
    let answers = [
        api.get(&format!("/v1/clients/{client}/destinations")).await?.json,
        api.get(&format!("/v1/clients/{client}/deliveries")).await?.json,
    ];

    let requests = stub.received_requests().await.context("they are kept")?;
    assert_eq!(arrived(&requests, SECRET).len(), 12, "each vendor has each lead");
    assert_eq!(
        arrived(&requests, CHANGED).len(),
        12,
        "by the new secret from the change on"
    );

    found_nowhere(&[SECRET, CHANGED], binary.directory(), &process.output(), &answers)
}

/// Looks for secrets in the files of a process, in its log at its most talkative, and in answers of the API.
fn found_nowhere(secrets: &[&str], folder: &std::path::Path, log: &str, answers: &[Value]) -> Result<()> {
    let mut files = 0;
    for entry in walk(folder)? {
        let bytes = std::fs::read(&entry)?;
        files += 1;
        for secret in secrets {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{} holds a secret", entry.display());
        }
    }
    assert!(files >= 3, "the database, its log and the key");
    assert!(log.len() > 10_000, "it is at its most talkative");
    for shown in [log.to_owned(), Value::from(answers.to_vec()).to_string()] {
        for line in shown.lines() {
            assert!(secrets.iter().all(|secret| !line.contains(secret)), "{line}");
        }
    }
    Ok(())
}

/// A token endpoint for one client's credentials, and a receiver for its token and a key.
async fn receiver_with_tokens() -> MockServer {
    let stub = MockServer::start().await;
    let form = format!("grant_type=client_credentials&client_id=acme&client_secret={SECRET}");
    Mock::given(path("/token"))
        .and(body_string(form))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": TOKEN, "expires_in": 3600})))
        .mount(&stub)
        .await;
    Mock::given(path("/hook"))
        .and(method("PUT"))
        .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
        .and(header("x-api-key", CHANGED))
        .respond_with(ResponseTemplate::new(204))
        .mount(&stub)
        .await;
    stub
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_webhook_are_used_and_found_nowhere() -> Result<()> {
    let stub = receiver_with_tokens().await;
    let binary = binary().env("SENSEI_LOG", "trace");
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let config = |secret: &str, key: &str| {
        json!({
            "url": format!("{}/hook", stub.uri()), "method": "PUT", "secretHeaders": {"X-Api-Key": key},
            "auth": {
                "type": "oauth2ClientCredentials", "tokenUrl": format!("{}/token", stub.uri()), "clientId": "acme",
                "clientSecret": secret, "credentialsIn": "body"
            }
        })
    };
    let body = json!({"kind": "webhook", "name": "CRM", "config": config(SECRET, CHANGED)});
    let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
    ensure!(made.status == 201, "{made:?}");
    assert_eq!(made.json["config"], config("********", "********"));
    for number in 0..40 {
        lead(&api, &client, number).await?;
    }
    until_succeeded(&api, &client, 40).await?;
    let requests = stub.received_requests().await.context("they are kept")?;
    let asked = requests.iter().filter(|request| request.url.path() == "/token").count();
    assert_eq!((asked, requests.len()), (1, 41), "one token for all");
    let answers = [
        api.get(&format!("/v1/clients/{client}/destinations")).await?.json,
        api.get(&format!("/v1/clients/{client}/deliveries")).await?.json,
    ];
    found_nowhere(
        &[SECRET, CHANGED, TOKEN],
        binary.directory(),
        &process.output(),
        &answers,
    )
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

//! One client with every kind of destination, on the real program: each vendor fails now and then, the program is killed in the middle,
//! and in the end every receiver has every lead.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sensei_test_support::{Api, MailServer};
use serde_json::{Value, json};

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text, until};
use crate::stand_in::{StandIn, address, kinds, lead_number};

const SECRET: &str = "5ec7e75ec7e75ec7e75ec7e75ec7e75e";
const LEADS: u32 = 1_000;
const A_REQUEST: u32 = 100;
/// As long as many retries need on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

async fn capture(api: &Api, client: &str, numbers: std::ops::Range<u32>) -> Result<()> {
    let leads =
        numbers.map(|number| json!({"name": "Jane Doe", "email": address(number), "message": "I need a quote"}));
    let body = json!({"leads": leads.collect::<Vec<_>>()});
    let answer = api.post(&format!("/v1/clients/{client}/leads/batch"), &body).await?;
    ensure!(answer.status < 300, "{answer:?}");
    let items = answer.json["items"].as_array().cloned().unwrap_or_default();
    let captured = items.iter().filter(|item| item["status"] == 201).count();
    ensure!(captured == A_REQUEST as usize, "{captured}: {answer:?}");
    Ok(())
}

async fn counts(api: &Api, client: &str) -> Result<Value> {
    let stats = api.get(&format!("/v1/clients/{client}/stats")).await?;
    Ok(stats.json["deliveries"].clone())
}

async fn until_succeeded(api: &Api, client: &str, wanted: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counts = counts(api, client).await?;
        if counts["succeeded"].as_u64() >= Some(wanted as u64) {
            return Ok(());
        }
        ensure!(counts["failed"] == 0, "{counts}");
        ensure!(Instant::now() < deadline, "{counts} of {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receiver_ends_with_every_lead() -> Result<()> {
    let (vendors, mail) = (StandIn::that_fails_each(10), MailServer::start());
    mail.answer_each(10, "RCPT", "451 4.3.0 try again");
    mail.answer_each(20, "DATA.", "452 4.3.1 taken, but I say full");
    let stub = vendors.serve().await;
    let binary = binary().env("SENSEI_VENDORS_AT", stub.uri());
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let client = create_client(&api, None).await?;
    let kinds = kinds(SECRET, &stub, mail.address().port());
    ensure!(kinds.len() == 16, "every kind");
    let known = api.get("/v1/destination-kinds").await?.json;
    let known = known["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|kind| text(&kind["kind"]));
    let tried = kinds
        .iter()
        .map(|(kind, _)| (*kind).to_owned())
        .collect::<BTreeSet<_>>();
    assert_eq!(known.collect::<BTreeSet<_>>(), tried);
    for (kind, config) in &kinds {
        let retry = json!({"policy": "custom", "delays": vec!["1s"; 12]});
        let body = json!({"kind": kind, "name": kind, "config": config, "retry": retry, "rateLimit": null});
        let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
        ensure!(made.status == 201, "{kind}: {made:?}");
    }
    let all = usize::try_from(LEADS)? * kinds.len();
    for first in (0..LEADS / 2).step_by(A_REQUEST as usize) {
        capture(&api, &client, first..first + A_REQUEST).await?;
    }
    until_succeeded(&api, &client, all / 4).await?;
    process.kill();
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    for first in (LEADS / 2..LEADS).step_by(A_REQUEST as usize) {
        capture(&api, &client, first..first + A_REQUEST).await?;
    }
    until_succeeded(&api, &client, all).await?;
    let counts = counts(&api, &client).await?;
    let expected = json!({"pending": 0, "held": 0, "succeeded": all, "failed": 0, "cancelled": 0});
    assert_eq!(counts, expected, "in the log all succeeded");

    let numbers = (0..LEADS).collect::<BTreeSet<_>>();
    let accounts = vendors.accounts().clone();
    assert_eq!(
        accounts.len(),
        kinds.len() - 1,
        "and the mail server: {:?}",
        accounts.keys()
    );
    for (vendor, account) in &accounts {
        assert_eq!(
            account.leads.keys().copied().collect::<BTreeSet<_>>(),
            numbers,
            "{vendor}"
        );
        let twice = account.leads.values().filter(|ids| ids.len() > 1).count();
        assert_eq!(twice, 0, "{vendor}: a repeat has the id of the first");
    }
    let pipedrive = &accounts["api.pipedrive.com"];
    assert_eq!(pipedrive.persons.iter().copied().collect::<BTreeSet<_>>(), numbers);
    let made = [
        pipedrive.persons.len(),
        pipedrive.person_leads.len(),
        pipedrive.notes.len(),
    ];
    assert_eq!(made, [1_000; 3], "nothing of it twice");
    let mails = mail.mails();
    let ids = mails.iter().map(|mail| {
        let text = String::from_utf8_lossy(&mail.data).into_owned();
        let id = text.split("Message-ID: ").nth(1).and_then(|rest| rest.lines().next());
        (
            lead_number(&text).unwrap_or(u32::MAX),
            id.unwrap_or_default().to_owned(),
        )
    });
    let ids = ids.collect::<BTreeSet<_>>();
    assert_eq!(ids.iter().map(|(number, _)| *number).collect::<BTreeSet<_>>(), numbers);
    assert_eq!(ids.len(), 1_000, "a repeat has the Message-ID of the first");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_two_calls_of_an_attempt_makes_nothing_twice() -> Result<()> {
    for (method, path) in [
        ("POST", "/api.pipedrive.com/api/v2/persons"),
        ("POST", "/api.pipedrive.com/v1/leads"),
        ("POST", "/api.pipedrive.com/v1/notes"),
    ] {
        let vendors = StandIn::that_hangs_at(method, path);
        let stub = vendors.serve().await;
        let binary = binary().env("SENSEI_VENDORS_AT", stub.uri());
        let mut process = binary.start()?;
        let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
        let client = create_client(&api, None).await?;
        let body = json!({"kind": "pipedrive", "name": "CRM", "config": {"apiToken": SECRET}});
        let made = api.post(&format!("/v1/clients/{client}/destinations"), &body).await?;
        ensure!(made.status == 201, "{made:?}");
        let lead = json!({"name": "Jane Doe", "email": address(1), "message": "I need a quote"});
        let captured = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
        ensure!(captured.status == 201, "{captured:?}");
        until("the call that isn't answered", || vendors.hangs()).await?;
        process.kill();
        let mut process = binary.start()?;
        let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
        until_succeeded(&api, &client, 1).await?;
        let accounts = vendors.accounts();
        let account = &accounts["api.pipedrive.com"];
        let made = [account.persons.len(), account.person_leads.len(), account.notes.len()];
        assert_eq!(made, [1; 3], "{method} {path}");
    }
    Ok(())
}

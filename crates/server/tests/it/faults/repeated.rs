//! Requests that are repeated over the death of the process: one effect, equal answers.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use sensei_test_support::{Api, ApiAnswer, Receiver};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::load::{ADMIN_KEY, LIMIT, all_delivered, binary, create_client, text};

const CALLERS: usize = 100;
/// After how many answers each process is killed: during the commit, before anybody is told, and later.
const KILLED_AFTER: [usize; 6] = [0, 1, 2, 10, 50, 99];

/// Lets many post the same at once, and calls `answered` after each answer; the answers that came.
async fn at_once(api: &Api, path: &str, body: &Value, key: &str, mut answered: impl FnMut(usize)) -> Vec<ApiAnswer> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (api, path, body, key) = (api.clone(), path.to_owned(), body.clone(), key.to_owned());
        callers.spawn(async move { api.post_once(&path, &body, &key).await });
    }
    let mut answers = Vec::new();
    answered(0);
    while let Some(answer) = callers.join_next().await {
        if let Ok(answer) = answer.expect("a caller doesn't panic") {
            answers.push(answer);
            answered(answers.len());
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_requests_over_a_kill_and_restart_are_one_lead_with_equal_answers() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let mut address = process.wait_ready(LIMIT).await?;
    let client = create_client(&Api::new(address, ADMIN_KEY), Some(&receiver.url())).await?;
    let path = format!("/v1/clients/{client}/leads");
    let mut captured = BTreeSet::new();
    for (round, killed_after) in KILLED_AFTER.into_iter().enumerate() {
        let lead = json!({"name": "John Doe", "email": format!("john{round}@example.com")});
        let key = format!("round-{round}");
        let kill = |answers| {
            if answers == killed_after {
                process.kill();
            }
        };
        let mut answers = at_once(&Api::new(address, ADMIN_KEY), &path, &lead, &key, kill).await;
        // Fewer may have been answered than it was to be killed after.
        process.kill();
        process = binary.start()?;
        address = process.wait_ready(LIMIT).await?;
        let after = at_once(&Api::new(address, ADMIN_KEY), &path, &lead, &key, |_| {}).await;
        ensure!(after.len() == CALLERS, "all are answered by the process that lives");
        answers.extend(after);
        for answer in &answers {
            ensure!(answer.status == 201, "{answer:?}");
            assert_eq!(answer.json, answers[0].json, "round {round}");
        }
        captured.insert(text(&answers[0].json["id"]));
    }
    assert_eq!(captured.len(), KILLED_AFTER.len());

    let listed = Api::new(address, ADMIN_KEY)
        .get(&format!("{path}?limit=200"))
        .await?
        .json;
    let listed = listed["items"].as_array().expect("a list").iter();
    let listed = listed.map(|lead| text(&lead["id"])).collect::<Vec<_>>();
    assert_eq!(listed.len(), KILLED_AFTER.len(), "one lead a key");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), captured);
    all_delivered(&receiver, &captured).await?;
    let delivered = receiver.received();
    assert!(
        delivered
            .iter()
            .all(|request| captured.contains(&text(&request.json()["data"]["id"])))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_clients_key_is_the_same_over_a_kill_and_restart() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let body = json!({"name": "Acme Corp"});
    let before = Api::new(address, ADMIN_KEY)
        .post_once("/v1/clients", &body, "k")
        .await?;
    process.kill();
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let api = Api::new(address, ADMIN_KEY);
    let after = api.post_once("/v1/clients", &body, "k").await?;
    assert_eq!((after.status, &after.json), (201, &before.json));
    let clients = api.get("/v1/clients").await?;
    assert_eq!(clients.json["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

//! What receivers answer, and what the log of the real program says of it: under the default policy one attempt each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Certificate, Fault, FaultServer, Receiver, TestRoot};
use serde_json::{Value, json};

use crate::faults::{ADMIN_KEY, LIMIT, binary, create_client, text};

/// Posts a lead to a new client with this URL, and waits until its delivery is over.
pub(crate) async fn delivered(api: &Api, url: &str) -> Result<Value> {
    let client = create_client(api, Some(url)).await?;
    let lead = json!({"name": "John Doe", "email": "john@example.com"});
    let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let log = format!("/v1/clients/{client}/deliveries");
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let delivery = api.get(&log).await?.json["items"][0].take();
        if delivery["state"] != "pending" {
            return Ok(api.get(&format!("{log}/{}", text(&delivery["id"]))).await?.json);
        }
        ensure!(tokio::time::Instant::now() < deadline, "still pending: {delivery}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_attempt_and_logged_in_words() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    for status in [200, 201, 204, 299, 301, 400, 404, 410, 429, 500] {
        let receiver = Receiver::start();
        receiver.set_status(status);
        receiver.set_header("location", "https://elsewhere.example/hook?token=secret");
        receiver.set_header("retry-after", "1");
        let delivery = delivered(&api, &receiver.url()).await?;
        let attempt = &delivery["attempts"][0];
        let is_success = (200..300).contains(&status);
        assert_eq!(
            delivery["state"],
            if is_success { "succeeded" } else { "failed" },
            "{status}"
        );
        assert_eq!(
            (delivery["attemptCount"].as_u64(), &attempt["statusCode"]),
            (Some(1), &json!(status))
        );
        assert_eq!(attempt["error"].is_null(), is_success, "{status}: {attempt}");
        if !is_success {
            let error = text(&attempt["error"]);
            assert!(
                error.contains(&status.to_string()) && !error.contains("secret"),
                "{status}: {error}"
            );
            assert!(!delivery["failureReason"].is_null(), "{status}");
        }
        assert_eq!(receiver.count(), 1, "{status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_one_attempt_and_logged_in_words() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let nobody = {
        let mut receiver = Receiver::start();
        receiver.stop();
        receiver.url()
    };
    let hanging = FaultServer::start(Fault::BlackHole);
    let nonsense = FaultServer::start(Fault::Garbage);
    let informal = FaultServer::start(Fault::Raw(b"HTTP/1.1 199 Nonsense\r\n\r\n".to_vec()));
    let stranger = FaultServer::start_tls(&TestRoot::new(), Certificate::Good, None);
    let cases = [
        (nobody, "refused the connection"),
        (hanging.url(), "no answer within 15 s"),
        (nonsense.url(), "isn't valid HTTP"),
        (informal.url(), "closed the connection"),
        (stranger.url(), "certificate"),
    ];
    let api = &api;
    let checks = cases.map(|(url, words)| async move {
        let delivery = delivered(api, &url).await?;
        let attempt = delivery["attempts"].as_array().context("a list")?;
        ensure!(attempt.len() == 1 && delivery["state"] == "failed", "{delivery}");
        ensure!(text(&attempt[0]["error"]).contains(words), "{words}: {delivery}");
        ensure!(
            attempt[0]["statusCode"].is_null() && attempt[0]["outcome"] == "unavailable",
            "{delivery}"
        );
        anyhow::Ok(())
    });
    let [refused, hanging, nonsense, informal, stranger] = checks;
    tokio::try_join!(refused, hanging, nonsense, informal, stranger)?;
    Ok(())
}

/// Two destinations of one client; what one of them filters out reaches the other alone.
#[tokio::test(flavor = "multi_thread")]
async fn lead_that_does_not_match_a_filter_is_not_sent_and_logged_in_words() -> Result<()> {
    let binary = binary();
    let mut process = binary.start()?;
    let api = Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY);
    let (all, sales) = (Receiver::start(), Receiver::start());
    let client = create_client(&api, Some(&all.url())).await?;
    let filter = json!({"all": [
        {"path": "data.phone", "exists": true},
        {"path": "data.message", "contains": "enterprise", "ignoreCase": true},
    ]});
    let destination = json!({"kind": "webhook", "name": "Sales", "config": {"url": sales.url()}, "filter": filter});
    let made = api
        .post(&format!("/v1/clients/{client}/destinations"), &destination)
        .await?;
    ensure!(made.status == 201 && made.json["filter"] == filter, "{made:?}");
    let lead =
        |message: &str| json!({"name": "John Doe", "email": "john@example.com", "phone": "+1", "message": message});
    for lead in [lead("I need a secret quote"), lead("The Enterprise plan, please")] {
        let answer = api.post(&format!("/v1/clients/{client}/leads"), &lead).await?;
        ensure!(answer.status == 201, "{answer:?}");
    }
    let log = format!(
        "/v1/clients/{client}/deliveries?destinationId={}",
        text(&made.json["id"])
    );
    let deadline = tokio::time::Instant::now() + LIMIT;
    while (all.count(), sales.count()) != (2, 1) {
        ensure!(
            tokio::time::Instant::now() < deadline,
            "{} and {}",
            all.count(),
            sales.count()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unmatched = api.get(&format!("{log}&state=cancelled")).await?.json["items"][0].take();
    assert_eq!(
        text(&unmatched["failureReason"]),
        "not matched: data.message doesn't contain \"enterprise\" (in any case)"
    );
    assert_eq!(
        (&unmatched["attemptCount"], &unmatched["dueAt"]),
        (&json!(0), &Value::Null)
    );
    assert!(!unmatched["completedAt"].is_null(), "{unmatched}");
    assert_eq!(sales.count(), 1, "what matches is all that is sent");
    Ok(())
}

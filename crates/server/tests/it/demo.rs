//! `sensei demo`, the real program.

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Binary, http_client};
use serde_json::json;

use crate::faults::LIMIT;

#[test]
fn demo_shows_the_whole_journey_and_leaves_nothing() -> Result<()> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).arg("demo").arg("--once");
    let output = binary.command().output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    for shown in [
        "Client Acme Corp is created",
        "POST /leads",
        "content-type: application/json",
        "webhook-id: ",
        "webhook-timestamp: ",
        "webhook-signature: v1,",
        "user-agent: Sensei-Webhooks/",
        r#"{"event":"lead.created","timestamp":""#,
        r#""name":"John Doe","email":"john@example.com","phone":"+1234567890","message":"I need a quote for enterprise plan""#,
        "\nsignature verified\n",
        " succeeded\n  attempt 1 at ",
        "delivered, answered 200 in ",
    ] {
        assert!(stdout.contains(shown), "{shown:?} is missing in:\n{stdout}{stderr}");
    }
    assert_eq!(
        std::fs::read_dir(binary.directory())?.count(),
        0,
        "nothing is left in the working directory"
    );
    Ok(())
}

#[tokio::test]
async fn demo_leads_to_the_console_and_the_form_and_prints_what_arrives() -> Result<()> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).arg("demo");
    let mut process = binary.start()?;
    process.wait_output("Ctrl-C ends.", LIMIT).await?;
    let output = process.output();
    let link = |part: &str| {
        let mut lines = output.lines();
        lines
            .find(|line| line.starts_with("http://") && line.contains(part))
            .map(str::to_owned)
    };
    let entry = link("/admin/sign-in/").context("a link to the console")?;
    let form = link("/forms/").context("a link to the form")?;
    let client = form.rsplit('/').next().context("the form is a client's")?;

    let http = http_client();
    // Who has the link is signed in, and is led to the live log.
    let entered = http.get(&entry).send().await?;
    ensure!(
        entered.url().path() == "/admin/sign-in",
        "without a cookie: {}",
        entered.url()
    );
    let log = format!("/admin/clients/{client}/deliveries");
    ensure!(
        entered
            .url()
            .query()
            .is_some_and(|query| query.contains(&log.replace('/', "%2F"))),
        "{}",
        entered.url()
    );

    let key = output.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next());
    let address = entry
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default();
    let api = Api::new(address.parse()?, key.context("the key is in the curl line")?);
    let jane = json!({"name": "Jane", "email": "jane@example.com"});
    let captured = api.post(&format!("/v1/clients/{client}/leads"), &jane).await?;
    ensure!(captured.status == 201, "{captured:?}");
    process
        .wait_output_after("\"name\":\"Jane\"", "\nsignature verified\n", LIMIT)
        .await?;
    Ok(())
}

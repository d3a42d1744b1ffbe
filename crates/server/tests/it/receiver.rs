//! `sensei receiver`, the real program.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use sensei_domain::{Clock, SigningSecret, SystemClock};
use sensei_test_support::{Binary, Process, http_client};

use crate::faults::{LIMIT, until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = r#"{"event":"lead.created","data":{"name":"Zoë \"Z\""}}"#;

async fn start(arguments: &[&str]) -> Result<(Binary, Process, SocketAddr)> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei"))
        .arg("receiver")
        .arg("--port")
        .arg("0");
    let binary = arguments.iter().fold(binary, |binary, argument| binary.arg(*argument));
    let mut process = binary.start()?;
    process.wait_output("listening on http://", LIMIT).await?;
    until("the address to be printed", || process.address().is_some()).await?;
    let address = process.address().context("it is printed")?;
    Ok((binary, process, address))
}

async fn post(address: SocketAddr, id: &str, signature: &str) -> Result<u16> {
    let request = http_client()
        .post(format!("http://{address}/hook?x=1"))
        .header("webhook-id", id)
        .header("webhook-timestamp", SystemClock.now().as_seconds().to_string())
        .header("webhook-signature", signature)
        .body(BODY);
    Ok(request.send().await?.status().as_u16())
}

#[tokio::test]
async fn receiver_prints_requests_and_verifies_signatures() -> Result<()> {
    let (_binary, mut process, address) = start(&["--secret", SECRET, "--status", "503"]).await?;
    let secret: SigningSecret = SECRET.parse()?;
    let signature = secret.sign("msg_1", SystemClock.now().as_seconds(), BODY.as_bytes());
    assert_eq!(post(address, "msg_1", &signature).await?, 503);
    process.wait_output("\nsignature verified\n", LIMIT).await?;
    let output = process.output();
    for shown in [
        "POST /hook?x=1\n",
        "webhook-id: msg_1\n",
        &format!("webhook-signature: {signature}\n"),
        BODY,
    ] {
        assert!(output.contains(shown), "{shown:?} is missing in:\n{output}");
    }

    // The signature is another message's.
    post(address, "msg_2", &signature).await?;
    process.wait_output("signature NOT verified: ", LIMIT).await?;

    http_client()
        .post(format!("http://{address}/"))
        .body("plain")
        .send()
        .await?;
    process
        .wait_output("signature NOT verified: the header webhook-id is missing", LIMIT)
        .await?;

    process.terminate()?;
    assert!(process.wait_exit(LIMIT).await?.success());
    Ok(())
}

#[tokio::test]
async fn receiver_without_a_secret_says_that_nothing_is_verified() -> Result<()> {
    let (_binary, mut process, address) = start(&[]).await?;
    assert_eq!(post(address, "msg_1", "v1,AAAA").await?, 200);
    process
        .wait_output("signature not verified: no --secret given", LIMIT)
        .await
}

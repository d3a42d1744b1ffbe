//! `sensei demo`, the real program.

use anyhow::Result;
use sensei_test_support::Binary;

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

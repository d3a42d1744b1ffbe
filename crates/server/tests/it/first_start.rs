//! The first admin key.

use anyhow::{Context, Result};
use sensei_test_support::{Api, Binary, http_client};

use crate::faults::LIMIT;

const BLOCK: &str = "This is the first start";

fn printed_key(output: &str) -> Option<&str> {
    output.lines().map(str::trim).find(|line| line.starts_with("sk_"))
}

#[tokio::test]
async fn first_start_prints_an_admin_key_and_later_ones_do_not() -> Result<()> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei"));
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let output = process.output();
    assert_eq!(output.matches(BLOCK).count(), 1, "{output}");
    let key = printed_key(&output).context("a key is printed")?.to_owned();
    assert_eq!(Api::new(address, &key).get("/v1/clients").await?.status, 200);
    let link = output
        .lines()
        .map(str::trim)
        .find(|line| line.contains("/admin/sign-in/"));
    let entered = http_client()
        .get(link.context("a link that signs in is printed")?)
        .send()
        .await?;
    // Without the cookie that it sets, one is asked again for the page that it leads to.
    assert_eq!(
        entered.url().query().map(|query| query.starts_with("next=%2Fadmin")),
        Some(true),
        "{}",
        entered.url()
    );
    assert_eq!(Api::new(address, "sk_another").get("/v1/clients").await?.status, 401);
    process.kill();

    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let output = process.output();
    assert!(!output.contains(BLOCK) && printed_key(&output).is_none(), "{output}");
    assert_eq!(
        Api::new(address, &key).get("/v1/clients").await?.status,
        200,
        "the key of the first start is still good"
    );
    Ok(())
}

#[tokio::test]
async fn chosen_admin_key_works_at_every_start_and_is_not_printed() -> Result<()> {
    let key = "sk_chosen_by_the_operator";
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).env("SENSEI_ADMIN_KEY", key);
    for _ in 0..2 {
        let mut process = binary.start()?;
        let address = process.wait_ready(LIMIT).await?;
        assert_eq!(Api::new(address, key).get("/v1/clients").await?.status, 200);
        assert!(
            !process.output().contains(key) && !process.output().contains(BLOCK),
            "{}",
            process.output()
        );
        process.terminate()?;
        assert!(process.wait_exit(LIMIT).await?.success(), "{}", process.output());
    }
    Ok(())
}

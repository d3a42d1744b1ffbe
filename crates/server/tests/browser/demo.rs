//! The first minute: `sensei demo`, and what it leads to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Binary, Browser, By};

use crate::world::LIMIT;

/// What comes sooner is taken for a program's.
const FILLING: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn the_first_minute() -> Result<()> {
    let Some(visitor) = Browser::start().await else {
        return Ok(());
    };
    let owner = Browser::start().await.context("there is one")?;
    let started = Instant::now();
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).arg("demo");
    let mut demo = binary.start()?;
    demo.wait_output("Ctrl-C ends.", LIMIT).await?;
    let output = demo.output();
    let link = |part: &str| {
        let mut lines = output.lines();
        let line = lines.find(|line| line.starts_with("http://") && line.contains(part));
        line.map(str::to_owned)
            .with_context(|| format!("no link to {part} in {output}"))
    };
    owner.open(&link("/admin/sign-in/")?).await?;
    owner.reads("John Doe").await?;
    owner.sees(By::Css("[data-live-is=on]")).await?;

    visitor.open(&link("/forms/")?).await?;
    visitor.fill(By::Field("Your name"), "Jane Roe").await?;
    visitor.fill(By::Field("Email address"), "jane@example.com").await?;
    tokio::time::sleep(FILLING).await;
    visitor.click(By::Button("Send")).await?;
    visitor.reads("Thank you.").await?;

    owner.reads("Jane Roe").await?;
    demo.wait_output("\"name\":\"Jane Roe\"", LIMIT).await?;
    demo.wait_output_after("\"name\":\"Jane Roe\"", "\nsignature verified\n", LIMIT)
        .await?;
    ensure!(
        started.elapsed() < Duration::from_mins(1),
        "it took {:?}",
        started.elapsed()
    );
    Ok(())
}

//! A short run of the published fault test, on the binary of this build. `cargo xtask torture` makes the long one.

use std::io::Write as _;

use anyhow::{Result, ensure};
use sensei_torture::{DatabaseKind, Options, run};

/// Fixed, so that a run that fails can be made again: `cargo xtask torture -- --seed …` makes the same plan.
const SEED: u64 = 20_261_125;

async fn short(database: DatabaseKind, kills: usize) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let options = Options {
        program: env!("CARGO_BIN_EXE_sensei").into(),
        directory: directory.path().to_owned(),
        database,
        kills,
        each: 1,
        only: None,
        seed: SEED,
        room: 64 << 20,
    };
    writeln!(std::io::stderr(), "torture on {database}, seed {SEED}")?;
    let run = run(&options).await?;
    println!("{}", run.text);
    ensure!(run.adds_up, "seed {SEED}: it doesn't add up:\n{}", run.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_torture_on_sqlite_adds_up() -> Result<()> {
    Box::pin(short(DatabaseKind::Sqlite, 6)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_torture_on_postgresql_adds_up() -> Result<()> {
    Box::pin(short(DatabaseKind::Postgres, 6)).await
}

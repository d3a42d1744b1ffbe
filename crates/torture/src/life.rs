//! One life of the process: it starts, works, is hurt, and ends.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sensei_test_support::{PostgresServer, Process};

use crate::callers::Load;
use crate::database::Database;
use crate::fault::{End, Fault, Plan};
use crate::manner::Manner;
use crate::seen::see;
use crate::world::{PATIENCE, Server, World};

/// The longest delay of a sync on a slow disk, in microseconds.
const SLOW_SYNC: u32 = 50_000;
/// The clock jumps by so many seconds at most.
pub(crate) const LARGEST_JUMP: u64 = 7_200;

/// Lets the process live as planned, and takes down what callers were told.
pub(crate) async fn live(world: &mut World, number: usize, plan: &Plan) -> Result<()> {
    if plan.fault == Fault::ReadOnly {
        refuse_to_start(world).await?;
    }
    if let Some(shim) = &world.shim {
        shim.calm()?;
        if plan.fault == Fault::SlowDisk {
            shim.slow_disk(SLOW_SYNC)?;
        }
    }
    for tenant in &world.tenants {
        if let (Manner::Flapping, Server::Recording(receiver)) = (tenant.manner, &tenant.server) {
            receiver.set_status(if number.is_multiple_of(2) { 200 } else { 503 });
        }
    }
    let (mut process, address) = world.start().await?;
    let load = world.load(address);
    tokio::time::sleep(plan.times[0]).await;
    hurt(world, &process, &load, plan)
        .await
        .with_context(|| format!("life {number}: {plan:?}\n{}", process.output()))?;
    tokio::time::sleep(plan.times[1]).await;
    match plan.end {
        End::Killed => process.kill(),
        End::Terminated => {
            process.terminate()?;
            let status = process.wait_exit(PATIENCE).await?;
            ensure!(
                status.success(),
                "asked to end, it ended with {status}:\n{}",
                process.output()
            );
        }
    }
    world.lives.push((plan.fault, plan.end));
    world.note(load).await?;
    see(world, plan.end)
        .await
        .with_context(|| format!("after life {number}: {plan:?}"))
}

async fn hurt(world: &World, process: &Process, load: &Load, plan: &Plan) -> Result<()> {
    match plan.fault {
        Fault::None | Fault::SlowDisk | Fault::ReadOnly => {}
        Fault::Stopped => {
            process.signal("STOP")?;
            tokio::time::sleep(plan.lasts).await;
            process.signal("CONT")?;
        }
        Fault::FullDisk => {
            let volume = world.volume.as_ref().context("a volume can be full")?;
            volume.fill()?;
            tokio::time::sleep(plan.lasts).await;
            volume.empty()?;
            serves_again(load).await?;
        }
        Fault::ClockJump => {
            let shim = world.shim.as_ref().context("a clock can jump")?;
            let seconds = i64::try_from(plan.drawn % (2 * LARGEST_JUMP))? - i64::try_from(LARGEST_JUMP)?;
            shim.jump(seconds)?;
            tokio::time::sleep(plan.lasts).await;
            shim.jump(0)?;
        }
        Fault::DatabaseStopped => away(world, load, plan, PostgresServer::stop).await?,
        Fault::DatabaseKilled => away(world, load, plan, PostgresServer::crash).await?,
        Fault::ConnectionsCut => {
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
            server(world)?.psql("postgres", sql)?;
            serves_again(load).await?;
        }
    }
    Ok(())
}

fn server(world: &World) -> Result<&PostgresServer> {
    match &world.database {
        Database::Server(server) => Ok(server),
        Database::File { .. } => bail!("a file has no server"),
    }
}

/// The server ends, and comes back after a while.
async fn away(world: &World, load: &Load, plan: &Plan, end: impl FnOnce(&PostgresServer)) -> Result<()> {
    let server = server(world)?;
    tokio::task::block_in_place(|| end(server));
    tokio::time::sleep(plan.lasts).await;
    tokio::task::block_in_place(|| server.restart());
    serves_again(load).await
}

/// Without a restart of the process, once the fault is over.
async fn serves_again(load: &Load) -> Result<()> {
    let (before, deadline) = (load.acknowledged(), Instant::now() + PATIENCE);
    while load.acknowledged() <= before {
        ensure!(
            Instant::now() < deadline,
            "nothing is acknowledged though the fault is over"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A database that can't be written is refused in words, and left as it is.
async fn refuse_to_start(world: &mut World) -> Result<()> {
    let volume = world.volume.as_ref().context("a volume can be read-only")?;
    volume.set_read_only(true)?;
    let mut process = world.spawn()?;
    let ended = process.wait_exit(PATIENCE).await;
    volume.set_read_only(false)?;
    let status = ended?;
    ensure!(!status.success(), "it started on a database that can't be written");
    ensure!(
        process.output().contains("error"),
        "it doesn't say why it didn't start:\n{}",
        process.output()
    );
    Ok(())
}

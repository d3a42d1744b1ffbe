//! The `sensei` program: reads its arguments and settings, runs one command, says in words what went wrong.
//!
//! Exit codes: 0 done, 1 the command failed, 2 the arguments or the configuration are wrong.

mod backup;
mod cli;
mod client;
mod demo;
mod listening;
mod logging;
mod receive;
mod rotate;
mod serve;
mod show_config;
mod sign_in_link;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sensei::{Config, ConfigError};

use cli::{Cli, Command, SecretsCommand};

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            let is_config = error.chain().any(<dyn std::error::Error>::is::<ConfigError>);
            ExitCode::from(if is_config { WRONG_USAGE } else { FAILED })
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        None => serve::run(cli.settings.load()?).await,
        Some(Command::Serve(settings)) => serve::run(settings.load()?).await,
        Some(Command::Migrate(settings)) => migrate(settings.load()?).await,
        Some(Command::Backup(arguments)) => backup::run(arguments).await,
        Some(Command::Config(settings)) => show_config::run(&settings.sources()),
        Some(Command::Secrets(SecretsCommand::Rotate(settings))) => rotate::run(settings.load()?).await,
        Some(Command::SignInLink(arguments)) => sign_in_link::run(arguments).await,
        Some(Command::Receiver(arguments)) => receive::run(arguments).await,
        Some(Command::Demo(arguments)) => demo::run(arguments).await,
        Some(Command::Openapi) => print_openapi(),
    }
}

async fn migrate(config: Config) -> Result<()> {
    logging::start(&config)?;
    sensei::migrate(&config).await?;
    writeln!(std::io::stdout(), "the schema of {} is up to date", config.database)?;
    Ok(())
}

fn print_openapi() -> Result<()> {
    let text = sensei_api::openapi()
        .to_pretty_json()
        .context("the description isn't JSON")?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

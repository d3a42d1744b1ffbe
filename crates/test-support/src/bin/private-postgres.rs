//! Starts one private PostgreSQL for many test processes, prints its URL, and ends with its standard input.
//!
//! A program and not a call, so that xtask needs none of this crate's dependencies and is compiled at once.

use std::io::{Read, Write};
use std::process::ExitCode;

use sensei_test_support::{PostgresOptions, PostgresServer};

fn main() -> ExitCode {
    // Says itself that it is missing, and panics where nothing may be skipped.
    let Some(server) = PostgresServer::own(&PostgresOptions::default()) else {
        return ExitCode::SUCCESS;
    };
    let printed = writeln!(std::io::stdout(), "{}", server.base_url()).and_then(|()| std::io::stdout().flush());
    if printed.is_err() {
        return ExitCode::FAILURE;
    }
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    drop(server);
    ExitCode::SUCCESS
}

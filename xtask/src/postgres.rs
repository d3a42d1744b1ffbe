//! One private PostgreSQL for all test processes of a run: cargo-nextest starts one a test.

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::target;

/// Names the server to the tests (`sensei_test_support::SERVER_VARIABLE`).
pub(crate) const SERVER_VARIABLE: &str = "SENSEI_TEST_POSTGRES";

/// A server that ends with this value.
#[derive(Debug)]
pub(crate) struct Postgres {
    program: Child,
    url: String,
}

impl Postgres {
    /// Starts the server unless the environment names one already; `None` where PostgreSQL isn't installed, which is
    /// said loudly.
    ///
    /// The program is built with the tests: they come first.
    ///
    /// # Errors
    /// Where nothing may be skipped (`CI=true`) and PostgreSQL is missing.
    pub(crate) fn start() -> Result<Option<Self>> {
        if env::var_os(SERVER_VARIABLE).is_some() {
            return Ok(None);
        }
        let mut program = Command::new(target().join("debug/private-postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C ends us; the program then ends the server in peace.
            .process_group(0)
            .spawn()
            .context("private-postgres could not be started")?;
        let mut url = String::new();
        let output = program.stdout.take().context("stdout was asked for")?;
        BufReader::new(output).read_line(&mut url)?;
        if url.is_empty() {
            let status = program.wait()?;
            ensure!(status.success(), "PostgreSQL could not be started ({status})");
            return Ok(None);
        }
        Ok(Some(Self {
            program,
            url: url.trim_end().to_owned(),
        }))
    }

    /// Where it is, as the tests want it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        self.program.wait().ok();
    }
}

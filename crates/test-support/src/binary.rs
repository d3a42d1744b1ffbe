//! The real `sensei` program as a process of its own, to be started, killed and started again on the same data.
//!
//! Promises that no process outlives its [`Process`] value. Takes nothing of our environment that would
//! configure it, and lets it choose its port (`SENSEI_LISTEN=127.0.0.1:0`), which it prints.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the program prints when it takes requests, followed by its address.
const LISTENING: &str = "listening on http://";
/// What it prints when it serves metrics.
const METRICS: &str = "metrics on http://";
const POLL: Duration = Duration::from_millis(10);

/// The program, its directory and its environment. Each [`Binary::start`] runs it on the same data.
#[derive(Debug)]
pub struct Binary {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: TempDir,
}

impl Binary {
    /// The program at this path (a test passes `env!("CARGO_BIN_EXE_sensei")`), in a new temporary directory.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("sensei-")
            .tempdir()
            .expect("a temporary directory can be made");
        Self::in_directory(program, directory)
    }

    /// As [`Binary::new`], in a directory of the caller's choice (a benchmark wants a real disk).
    pub fn in_directory(program: impl Into<PathBuf>, directory: TempDir) -> Self {
        // Tests that look at metrics choose an address for them.
        let environment = [("SENSEI_LISTEN", "127.0.0.1:0"), ("SENSEI_ADMIN_LISTEN", "off")];
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment,
            directory,
        }
    }

    /// Sets an environment variable for the program.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set_env(name, value);
        self
    }

    /// As [`Binary::env`], from the next start on.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The program's working directory: `data/sensei.db` lies in it unless the environment says otherwise.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command as it would be run, for a test that runs it under another program (`strace`).
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        self.prepare(&mut command);
        command
    }

    /// Gives a command the program's directory and environment, nothing of ours.
    pub fn prepare(&self, command: &mut Command) {
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("SENSEI_") || name == "DATABASE_URL" {
                command.env_remove(&*name);
            }
        }
        // What a program leaves that is killed goes with its directory.
        command.env("TMPDIR", self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.directory.path()).stdin(Stdio::null());
    }

    /// Starts the program. See [`Process::wait_ready`].
    pub fn start(&self) -> Result<Process> {
        Process::spawn(self.command())
    }
}

/// A running program, killed when this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a command made by [`Binary::command`] and gathers what it prints.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} could not be started", command.get_program().display()))?;
        let output = Arc::new(Mutex::new(String::new()));
        gather(child.stdout.take().context("stdout was asked for")?, &output);
        gather(child.stderr.take().context("stderr was asked for")?, &output);
        Ok(Self { child, output })
    }

    /// Waits until the program has printed its address and answers `GET /healthz` with 200.
    ///
    /// # Errors
    /// If it ends or the time is over, with everything that it has printed.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<SocketAddr> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(address) = self.address()
                && is_healthy(address).await
            {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the program ended with {status} before it was ready:\n{}",
                    self.output()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "not ready after {limit:?}:\n{}",
                self.output()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The address that the program has printed, e.g. `127.0.0.1:40123`, once it has.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address_after(LISTENING)
    }

    /// The address at which the program has said that it serves metrics, once it has.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.address_after(METRICS)
    }

    fn address_after(&self, text: &str) -> Option<SocketAddr> {
        let output = self.output();
        let (_, rest) = output.split_once(text)?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c)))?;
        rest[..end].parse().ok()
    }

    /// `http://` and the address.
    ///
    /// # Panics
    /// If the program hasn't printed it yet: [`Process::wait_ready`] comes first.
    pub fn url(&self) -> String {
        format!(
            "http://{}",
            self.address()
                .expect("the program is ready, so it has printed its address")
        )
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed until now, standard output and error as they came.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends the process a signal by its name, e.g. `STOP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.id().to_string();
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$0\"", &id, name])
            .status()?;
        ensure!(status.success(), "process {id} could not be sent {name}");
        Ok(())
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// If it hasn't when the time is over, with everything that it has printed.
    pub async fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "still running after {limit:?}:\n{}",
                self.output()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the program has printed a text.
    ///
    /// # Errors
    /// If it ends or the time is over, with everything that it has printed.
    pub async fn wait_output(&mut self, text: &str, limit: Duration) -> Result<()> {
        self.wait_output_after("", text, limit).await
    }

    /// As [`Process::wait_output`], of a text that comes after another one's first.
    ///
    /// # Errors
    /// If it ends or the time is over, with everything that it has printed.
    pub async fn wait_output_after(&mut self, first: &str, text: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            // Asked before the output is read: what was printed last is then in it, or will be soon.
            let ended = self.child.try_wait()?.is_some();
            if self
                .output()
                .split_once(first)
                .is_some_and(|(_, rest)| rest.contains(text))
            {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{text:?} not printed after {limit:?} (ended: {ended}):\n{}",
                self.output()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a stream to its end on a thread of its own, so that the program never waits for us.
fn gather(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

async fn is_healthy(address: SocketAddr) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), answer).await, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200"))
}

//! What `cargo xtask profile` measures: the scenario of one client while `perf` looks at the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::samples::{self, Sample};
use xtask::stage_table::{self, FILE, Profile};

use crate::loaded::{Loaded, WARM_UP, load, post};
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::system::System;
use crate::{Arguments, DatabaseKind, machine};

/// Samples a second of CPU time: not a round number, so that they don't fall in with what happens each millisecond.
const FREQUENCY: &str = "997";
/// CPU time, which every machine can sample, virtual ones too; cycles can't be counted on all.
const EVENT: &str = "cpu-clock";
/// Bytes of each stack: futures within futures nest deep.
const CALL_GRAPH: &str = "dwarf,16384";
/// Before the load ends, so that only the steady part is looked at.
const EARLIER: Duration = Duration::from_secs(1);
/// More than this part without a stage, and the rules are to be looked at.
const UNKNOWN: f64 = 0.05;

/// Writes a table a database into the page. Always true: there are no bars.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    // As it is now: the page itself will be a change.
    let origin = machine::origin(arguments)?;
    for &database in &arguments.database {
        let name = database.name();
        eprintln!("\n▶ profile on {name}");
        let (loaded, text) = measure(arguments, database).await?;
        let samples = samples::read(&text);
        see_that_they_tell(&samples)?;
        let profile = Profile {
            samples: &samples,
            system_micros: loaded.micros_a_lead(loaded.cpu.server)?,
            database_micros: loaded.cpu.database.map(|time| loaded.micros_a_lead(time)).transpose()?,
        };
        let table = stage_table::table(&profile);
        let (_, processor) = origin.machine.first().context("a machine has a processor")?;
        let table = format!(
            "{table}\n{} samples at {:.0} leads/s; {processor}; commit {}; {}.",
            samples.len(),
            loaded.rate,
            origin.commit,
            origin.date,
        );
        println!("\n{table}");
        let page = fs::read_to_string(FILE).with_context(|| format!("{FILE} can't be read"))?;
        let page = stage_table::replaced(&page, name, &table).with_context(|| FILE.to_owned())?;
        fs::write(FILE, page).with_context(|| format!("{FILE} can't be written"))?;
    }
    Ok(true)
}

/// Loads a new system with leads of one client, as the scenario does; and what perf has seen, as text.
async fn measure(arguments: &Arguments, database: DatabaseKind) -> Result<(Loaded, String)> {
    let setup = Setup {
        arguments,
        program: &arguments.program,
        database,
    };
    let (time, in_flight) = (arguments.time(), arguments.in_flight);
    let system = System::start(&setup).await?;
    let receiver = Receiver::start().await?;
    let clients = [system.client("Acme Corp", &receiver.url(0)).await?];
    post(&clients, WARM_UP, in_flight).await?;
    system.nothing_pending().await?;
    let directory = tempfile::Builder::new()
        .prefix("profile-")
        .tempdir_in(&arguments.directory)?;
    let perf = Perf::start(system.process(), directory.path(), time.saturating_sub(EARLIER))?;
    let loaded = load(&system, &clients, &receiver, time, in_flight).await?;
    loaded.posted.all_acknowledged()?;
    Ok((loaded, perf.finish()?))
}

/// Fails where they can't tell what the system does; says so where they tell less than they should.
fn see_that_they_tell(samples: &[Sample]) -> Result<()> {
    ensure!(!samples.is_empty(), "perf has no sample of the system");
    ensure!(
        samples.iter().any(|sample| sample.is_in_kernel),
        "perf may not look into the kernel, which does a good part of the work: run this as root, or set \
         kernel.perf_event_paranoid to 1 at most"
    );
    let unknown = stage_table::unknown(samples);
    if unknown > UNKNOWN {
        eprintln!(
            "of {:.0} % no stage is known: do the rules in xtask/src/stages.rs still name our functions?",
            unknown * 100.0
        );
    }
    Ok(())
}

/// A perf that looks at a process, for as long as it was told.
struct Perf {
    program: Child,
    file: PathBuf,
}

impl Perf {
    fn start(process: u32, directory: &Path, time: Duration) -> Result<Self> {
        let file = directory.join("perf.data");
        let program = Command::new("perf")
            .args([
                "record",
                "--event",
                EVENT,
                "--call-graph",
                CALL_GRAPH,
                "--freq",
                FREQUENCY,
            ])
            // Else it copies our binary into the user's folder.
            .args(["--no-buildid", "--no-buildid-cache"])
            .arg("--output")
            .arg(&file)
            .args([
                "--pid",
                &process.to_string(),
                "--",
                "sleep",
                &time.as_secs_f64().to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("perf can't be run; is it installed?")?;
        Ok(Self { program, file })
    }

    /// What it has seen, as `samples` reads it.
    fn finish(self) -> Result<String> {
        let output = self.program.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "perf record ended with {}:\n{printed}",
            output.status
        );
        let output = Command::new("perf")
            // Functions that were inlined would be looked up one by one, for minutes; their callers tell as much.
            .args(["script", "--no-inline", "--fields", "comm,ip,sym", "--input"])
            .arg(&self.file)
            .output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "perf script ended with {}:\n{printed}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

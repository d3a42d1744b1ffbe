//! What processes have used, and what the machine's host has taken, from `/proc` (Linux only).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A tick of `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);
/// Fields of `/proc/PID/stat` counted from the one after the program's name (proc(5)).
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const CHILDREN_USER_TIME: usize = 13;
const CHILDREN_SYSTEM_TIME: usize = 14;

/// The CPU time that a process has used.
pub(crate) fn cpu_time(process: u32) -> Result<Duration> {
    let fields = stat(process)?;
    Ok(TICK * (number(&fields, USER_TIME)? + number(&fields, SYSTEM_TIME)?))
}

/// The CPU time that a process and its children have used, those that have ended included.
pub(crate) fn family_cpu_time(process: u32) -> Result<Duration> {
    let fields = stat(process)?;
    let ended = TICK * (number(&fields, CHILDREN_USER_TIME)? + number(&fields, CHILDREN_SYSTEM_TIME)?);
    let mut sum = cpu_time(process)? + ended;
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while we look.
        if parent(child).is_ok_and(|parent| parent == process) {
            sum += cpu_time(child).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// A process's parent.
pub(crate) fn parent(process: u32) -> Result<u32> {
    number(&stat(process)?, PARENT)
}

/// The most memory that a process has had, in MiB (`VmHWM`).
pub(crate) fn peak_memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("a status has its VmHWM")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}

/// The time of all processors since the machine's start, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    /// Something ran, or wanted to.
    wanted: u64,
    /// It wanted to, and the host ran something else: steal time, as a virtual machine is told.
    stolen: u64,
}

impl Processors {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
        let fields = line.context("a stat has a line of all processors")?.split_whitespace();
        let ticks = fields.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        // Those of guests are in the first ones already.
        let [
            user,
            nice,
            system,
            _idle,
            _waiting,
            interrupts,
            soft_interrupts,
            stolen,
            ..,
        ] = ticks[..]
        else {
            bail!("a stat has eight fields");
        };
        Ok(Self {
            wanted: user + nice + system + interrupts + soft_interrupts + stolen,
            stolen,
        })
    }

    /// Of the time that was wanted since then, the part that was stolen, in percent. The kernel's count of it may go back a little.
    #[expect(clippy::cast_precision_loss, reason = "a share isn't exact")]
    pub(crate) fn stolen_since(self, before: Self) -> f64 {
        let wanted = self.wanted.saturating_sub(before.wanted).max(1);
        100.0 * self.stolen.saturating_sub(before.stolen) as f64 / wanted as f64
    }
}

/// The fields after the program's name, which may itself hold spaces.
fn stat(process: u32) -> Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat
        .rsplit_once(')')
        .context("a stat has the program's name in parentheses")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

fn number(fields: &[String], index: usize) -> Result<u32> {
    Ok(fields.get(index).context("a stat has its fields")?.parse()?)
}

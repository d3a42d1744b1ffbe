//! The figures of a run, and their medians, for a person to read.

use std::time::Duration;

/// What one run has measured.
#[derive(Debug)]
pub(crate) struct Run {
    /// POSTs a second without the system, just before.
    pub(crate) bare_before: f64,
    /// And just after.
    pub(crate) bare_after: f64,
    pub(crate) system: System,
}

/// What the system has done.
#[derive(Debug)]
pub(crate) struct System {
    /// Distinct leads at the receiver, a second.
    pub(crate) rate: f64,
    /// Leads acknowledged under load.
    pub(crate) leads: usize,
    /// Requests under load that weren't.
    pub(crate) refused: usize,
    pub(crate) acknowledgement: Percentiles,
    /// From the request sent to the webhook received.
    pub(crate) delivery: Percentiles,
    pub(crate) acknowledgement_alone: Percentiles,
    pub(crate) delivery_alone: Percentiles,
    /// CPU time a lead, the server's.
    pub(crate) cpu: Duration,
    /// CPU time a lead, `PostgreSQL`'s.
    pub(crate) database_cpu: Option<Duration>,
    /// MiB.
    pub(crate) peak_memory: f64,
    /// Webhooks that came more than once.
    pub(crate) duplicates: usize,
    /// Acknowledged leads that never came.
    pub(crate) lost: usize,
    /// Acknowledged leads that the log doesn't have as succeeded.
    pub(crate) unrecorded: usize,
}

/// The median and what one in a hundred exceeds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Percentiles {
    /// Of some durations; zero if there are none.
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |hundredths: usize| {
            durations
                .get(durations.len() * hundredths / 100)
                .copied()
                .unwrap_or_default()
        };
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

impl Run {
    /// End to end as a part of the bare limit.
    fn ratio(&self) -> f64 {
        self.system.rate / self.bare()
    }

    fn bare(&self) -> f64 {
        f64::midpoint(self.bare_before, self.bare_after)
    }

    /// Whether every acknowledged lead came, came once, and is in the log.
    pub(crate) fn is_whole(&self) -> bool {
        self.system.duplicates == 0 && self.system.lost == 0 && self.system.unrecorded == 0
    }
}

/// Prints one run.
pub(crate) fn print_run(number: usize, run: &Run) {
    let system = &run.system;
    println!("run {number}");
    println!(
        "  bare               {:>9.0} /s   (before {:.0}, after {:.0})",
        run.bare(),
        run.bare_before,
        run.bare_after
    );
    println!(
        "  end to end         {:>9.0} /s   ({} leads, {} refused)",
        system.rate, system.leads, system.refused
    );
    println!("  ratio              {:>9.3}", run.ratio());
    print_percentiles("acknowledgement", &system.acknowledgement);
    print_percentiles("delivery", &system.delivery);
    print_percentiles("ack., 1 in flight", &system.acknowledgement_alone);
    print_percentiles("del., 1 in flight", &system.delivery_alone);
    println!("  CPU a lead         {:>9} µs", system.cpu.as_micros());
    if let Some(cpu) = system.database_cpu {
        println!("  PostgreSQL's       {:>9} µs", cpu.as_micros());
    }
    println!("  peak memory        {:>9.1} MiB", system.peak_memory);
    println!(
        "  duplicates {}, lost {}, not in the log {}",
        system.duplicates, system.lost, system.unrecorded
    );
}

/// Prints a line.
pub(crate) fn print_percentiles(name: &str, percentiles: &Percentiles) {
    let [p50, p99] = [percentiles.p50, percentiles.p99].map(|duration| duration.as_secs_f64() * 1_000.0);
    println!("  {name:<18} {p50:>9.2} ms p50, {p99:.2} ms p99");
}

/// Prints the medians of all runs.
pub(crate) fn print_medians(runs: &[Run]) {
    let median = |figure: fn(&Run) -> f64| {
        let mut figures: Vec<_> = runs.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    println!(
        "median of {}: bare {:.0}/s, end to end {:.0}/s, ratio {:.3}, ack p50 {:.2} ms, p99 {:.2} ms, {:.0} µs a lead, {:.0} MiB",
        runs.len(),
        median(Run::bare),
        median(|run| run.system.rate),
        median(Run::ratio),
        median(|run| run.system.acknowledgement.p50.as_secs_f64() * 1_000.0),
        median(|run| run.system.acknowledgement.p99.as_secs_f64() * 1_000.0),
        median(|run| run.system.cpu.as_secs_f64() * 1_000_000.0),
        median(|run| run.system.peak_memory),
    );
}

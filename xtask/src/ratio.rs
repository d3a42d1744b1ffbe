//! The committed ratio that CI's short benchmark is held to: its file, and whether a ratio is too low.

use anyhow::{Context, Result};

/// Where the ratio is, from the workspace's root. `cargo xtask bench --all --report …` writes it.
pub const FILE: &str = "xtask/bench-ratio.txt";
/// The part of the committed ratio that must be reached.
pub const PART: f64 = 0.7;
/// How often it is tried. The best counts: a busy neighbour makes the system slow, none makes it fast, so that a build
/// that reaches the ratio once can, and one that has really become slower doesn't in any try.
pub const TRIES: usize = 3;

/// What the file says.
pub fn text(ratio: f64, commit: &str) -> String {
    format!(
        "# SQLite, end to end, as a part of the bare limit. Written by `cargo xtask bench --all --report docs/benchmarks.md`.\n\
         # Measured at commit {commit}.\n{ratio:.3}\n"
    )
}

/// The ratio in the file.
pub fn read(text: &str) -> Result<f64> {
    let line = text.lines().find(|line| !line.starts_with('#'));
    let ratio: f64 = line.context("no ratio in it")?.trim().parse()?;
    anyhow::ensure!(ratio.is_finite() && ratio > 0.0, "{ratio} is no ratio");
    Ok(ratio)
}

/// The least that passes.
pub fn least(committed: f64) -> f64 {
    committed * PART
}

/// Whether the best of some tries is good enough. None isn't.
pub fn is_reached(tries: &[f64], committed: f64) -> bool {
    tries.iter().any(|ratio| *ratio >= least(committed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_that_is_too_low_fails() {
        for (tries, reached) in [
            (&[0.100][..], true),
            (&[0.0701], true),
            (&[0.0699], false),
            (&[0.02, 0.03, 0.069], false),
            (&[0.02, 0.03, 0.071], true),
            (&[f64::NAN], false),
            (&[], false),
        ] {
            assert_eq!(is_reached(tries, 0.1), reached, "{tries:?}");
        }
    }

    #[test]
    fn the_file_is_read_as_it_is_written() -> Result<()> {
        assert!((read(&text(0.1234, "0123abc"))? - 0.123).abs() < 1e-9);
        for text in ["", "# only words\n", "fast\n", "NaN\n", "0\n", "-1\n"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        Ok(())
    }

    #[test]
    fn the_committed_file_has_a_ratio() -> Result<()> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("a root")?;
        let text = std::fs::read_to_string(root.join(FILE))?;
        let ratio = read(&text)?;
        assert!(ratio < 1.0, "nothing is faster than the bare limit: {ratio}");
        Ok(())
    }
}

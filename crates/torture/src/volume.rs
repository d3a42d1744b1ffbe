//! The disk that the database lies on: a small filesystem of its own, so that it can be full or read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const BALLAST: &str = "ballast";

/// An ext4 filesystem in a file, mounted; unmounted when dropped. Needs root.
#[derive(Debug)]
pub(crate) struct Volume {
    mounted: PathBuf,
}

impl Volume {
    /// Makes one of so many bytes and mounts it below a directory.
    pub(crate) fn mount(directory: &Path, size: u64) -> Result<Self> {
        let (image, mounted) = (directory.join("volume.img"), directory.join("volume"));
        fs::File::create(&image)?.set_len(size)?;
        fs::create_dir(&mounted)?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).args([&image, &mounted]))?;
        Ok(Self { mounted })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> Result<()> {
        use std::io::Write as _;
        let mut ballast = fs::File::create(self.mounted.join(BALLAST))?;
        for size in [1 << 20, 4096, 1] {
            let piece = vec![7_u8; size];
            while ballast.write_all(&piece).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.mounted.join(BALLAST))?)
    }

    /// Refuses or takes writes. Nobody may have a file open.
    pub(crate) fn set_read_only(&self, is_read_only: bool) -> Result<()> {
        let option = if is_read_only { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", option]).arg(&self.mounted))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.mounted)) {
            eprintln!("{error:#}: {} may be mounted still", self.mounted.display());
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("{program} can't be run"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program}: {}", said.trim());
    Ok(())
}

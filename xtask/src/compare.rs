//! `cargo xtask bench --compare REV`: the release binary of another commit, to be measured in turn with ours.
//!
//! A commit never changes, so its binary is kept, in `target/compare`. What it is built of is kept there too, for the next
//! one; its sources lie in a git worktree for as long as the build takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{cargo, root, succeed, target};

/// The option, taken out of the tool's arguments.
const OPTION: &str = "--compare";

/// Another build.
#[derive(Debug)]
pub(crate) struct Other {
    /// Its binary.
    pub(crate) program: PathBuf,
    /// What the report calls it.
    pub(crate) name: String,
}

/// Builds the revision that the arguments name, if they do, and leaves the rest of them.
pub(crate) fn take(arguments: &mut Vec<String>) -> Result<Option<Other>> {
    let Some(revision) = take_option(arguments)? else {
        return Ok(None);
    };
    let commit = git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]);
    let commit = commit.with_context(|| format!("{revision} is no commit of this repository"))?;
    let name = commit.get(..12).unwrap_or(&commit).to_owned();
    let folder = target().join("compare");
    let program = folder.join(format!("sensei-{commit}"));
    if !program.exists() {
        fs::create_dir_all(&folder)?;
        build(&commit, &folder, &program).with_context(|| format!("{revision} could not be built"))?;
    }
    Ok(Some(Other { program, name }))
}

/// `--compare REV` or `--compare=REV`.
fn take_option(arguments: &mut Vec<String>) -> Result<Option<String>> {
    let is_option = |argument: &String| argument == OPTION || argument.starts_with("--compare=");
    let Some(at) = arguments.iter().position(is_option) else {
        return Ok(None);
    };
    let option = arguments.remove(at);
    let revision = match option.split_once('=') {
        Some((_, revision)) => revision.to_owned(),
        None if at < arguments.len() => arguments.remove(at),
        None => String::new(),
    };
    if revision.is_empty() || revision.starts_with('-') {
        bail!("{OPTION} needs a revision, e.g. {OPTION} HEAD~1");
    }
    ensure!(!arguments.iter().any(is_option), "{OPTION} can be given once");
    Ok(Some(revision))
}

fn build(commit: &str, folder: &Path, program: &Path) -> Result<()> {
    let tree = folder.join("tree");
    // One that an interrupted build has left.
    remove(&tree);
    let path = tree.to_str().context("the target folder's path is no text")?;
    git(&["worktree", "add", "--detach", "--force", path, commit])?;
    let built_in = folder.join("build");
    let built = succeed(
        cargo(&["build", "--release", "--package", "sensei", "--bin", "sensei"])
            .current_dir(&tree)
            .env("CARGO_TARGET_DIR", &built_in),
    );
    remove(&tree);
    built?;
    // Whole or not at all: a copy that was interrupted must not be taken for the binary.
    let unfinished = program.with_extension("unfinished");
    fs::copy(built_in.join("release/sensei"), &unfinished)?;
    fs::rename(&unfinished, program)?;
    Ok(())
}

fn remove(tree: &Path) {
    fs::remove_dir_all(tree).ok();
    git(&["worktree", "prune"]).ok();
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output();
    let output = output.context("git could not be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        errors.trim()
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_revision_is_taken_and_the_rest_left() -> Result<()> {
        for (given, revision, left) in [
            (&["--seconds", "5"][..], None, &["--seconds", "5"][..]),
            (&["--compare", "HEAD~1"], Some("HEAD~1"), &[]),
            (
                &["--runs", "2", "--compare", "main", "--seconds", "5"],
                Some("main"),
                &["--runs", "2", "--seconds", "5"],
            ),
            (&["--compare=main", "--runs", "2"], Some("main"), &["--runs", "2"]),
        ] {
            let mut arguments = texts(given);
            assert_eq!(take_option(&mut arguments)?.as_deref(), revision, "{given:?}");
            assert_eq!(arguments, texts(left), "{given:?}");
        }
        Ok(())
    }

    #[test]
    fn a_revision_that_is_missing_or_none_is_refused() {
        for given in [
            &["--compare"][..],
            &["--compare="],
            &["--compare", "--runs", "2"],
            &["--compare", "a", "--compare", "b"],
        ] {
            assert!(take_option(&mut texts(given)).is_err(), "{given:?}");
        }
        let error = take(&mut texts(&["--compare", "no-such-revision"])).expect_err("there is none");
        assert!(
            format!("{error:#}").contains("no-such-revision is no commit"),
            "{error:#}"
        );
    }
}

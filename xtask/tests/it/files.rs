//! How source files look: short, and each says at its top what it is for.

use std::path::{Path, PathBuf};

use crate::metadata::root;

const MOST_LINES: usize = 400;

#[test]
fn every_file_begins_with_its_purpose() {
    for file in sources() {
        let text = read(&file);
        assert!(
            text.starts_with("//! "),
            "{} must begin with its purpose (//! …)",
            file.display()
        );
    }
}

#[test]
fn every_file_is_short() {
    for file in sources() {
        let text = read(&file);
        let product = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let is_test = file.iter().any(|part| part == "tests");
        assert!(
            is_test || product < MOST_LINES,
            "{} has {product} lines without its tests",
            file.display()
        );
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = ["crates", "migrations", "xtask"]
        .map(|folder| root().join(folder))
        .to_vec();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 10, "the sources are found");
    files
}

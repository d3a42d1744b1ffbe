//! What is vendored for these tests is what was published.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

#[test]
fn vendored_files_are_as_they_were_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/vendored");
    let listed = fs::read_to_string(folder.join("VENDORED.md")).expect("a list");
    let hash = Sha256::digest(crate::audit::AXE.as_bytes());
    let hash = hash
        .iter()
        .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
    let line = listed.lines().find(|line| line.contains("| axe-4.14.1.min.js |"));
    assert!(line.is_some_and(|line| line.contains(&hash)), "it is {hash}");
    assert!(
        fs::read_to_string(folder.join("axe-LICENSE"))
            .expect("its licence")
            .starts_with("Mozilla Public License, version 2.0")
    );
}

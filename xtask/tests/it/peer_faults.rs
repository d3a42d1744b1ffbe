//! The table of docs/peer-faults.md: each fault names tests that exist.

use std::path::Path;

use crate::metadata::root;

const FAULTS: usize = 13;

/// The tests that a row names: `` `file` `name` ``.
fn named(row: &str) -> Vec<(&str, &str)> {
    let tests = row.trim_end_matches('|').rsplit('|').next().expect("a last column");
    let ticked = tests.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    ticked.chunks(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Whether a file has this test: marked as one, or listed for both databases.
fn has_test(text: &str, name: &str) -> bool {
    let lines = text.lines().collect::<Vec<_>>();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else {
        return false;
    };
    let is_marked = at > 0 && (lines[at - 1].starts_with("#[tokio::test") || lines[at - 1] == "#[test]");
    is_marked || lines.iter().any(|line| line.trim() == format!("{name},"))
}

#[test]
fn each_fault_of_peers_has_its_tests() {
    let page = std::fs::read_to_string(root().join("docs/peer-faults.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut number = 0;
    for row in rows {
        number += 1;
        assert!(row.starts_with(&format!("| {number} |")), "{row}");
        let tests = named(row);
        assert!(!tests.is_empty(), "{row}");
        for (file, name) in tests {
            let text = std::fs::read_to_string(root().join(Path::new(file)));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(has_test(&text, name), "{file} has no test {name}");
        }
    }
    assert_eq!(number, FAULTS, "a row a fault");
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    let text = "#[test]\nfn here() {}\n\nfn helper() {}\non_both!(\n    both,\n);\nasync fn both(database) {}";
    for (name, expected) in [("here", true), ("both", true), ("helper", false), ("gone", false)] {
        assert_eq!(has_test(text, name), expected, "{name}");
    }
}

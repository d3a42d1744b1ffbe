//! Patterns of filters: regular expressions that are compiled to a table when they are saved.
//!
//! Matching then reads each byte of a text once, whatever the pattern: engines that work without such a table, or make it
//! as they go, take some hundred times as long for the worst patterns. What would need a large table is refused. So that tables are small,
//! and quickly made, `\d`, `\w`, `\s` and `\b` are about ASCII characters, and letters of any case are found by making the text and the
//! pattern lower case, not by classes of letters.

use std::error::Error;
use std::sync::Arc;

use regex_automata::dfa::dense::{BuildError, Builder, Config, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// Bytes of a table, and of what is worked with to make it. A word takes about one thousand; found by trial: a table of this size is
/// made, or refused, within two milliseconds.
const LARGEST_TABLE: usize = 64 * 1024;
/// Bytes of what a table is made of.
const LARGEST_PROGRAM: usize = 32 * 1024;
const DEEPEST: u32 = 16;

/// A pattern that is looked for anywhere in a text.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    table: Arc<DFA<Vec<u32>>>,
}

impl Pattern {
    /// Compiles a pattern; for `ignore_case` it is to be looked for in lower case. An error says what the pattern must not be.
    pub(super) fn new(source: &str, ignore_case: bool) -> Result<Self, String> {
        let source = plain(source, ignore_case)?;
        let program = thompson::Config::new()
            .nfa_size_limit(Some(LARGEST_PROGRAM))
            .which_captures(WhichCaptures::None);
        let table = Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(LARGEST_TABLE))
            .determinize_size_limit(Some(LARGEST_TABLE));
        let table = Builder::new()
            // A message has lines, and who looks for words in it doesn't think of them.
            .syntax(syntax::Config::new().nest_limit(DEEPEST).dot_matches_new_line(true))
            .thompson(program)
            .configure(table)
            .build(&source)
            .map_err(|error| told(&error))?;
        Ok(Self { table: Arc::new(table) })
    }

    /// Whether it is found in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        let found = self.table.try_search_fwd(&input);
        found
            .expect("the table has a start for this, and no byte at which it gives up")
            .is_some()
    }
}

/// The pattern less what takes large tables or long to compile.
fn plain(source: &str, ignore_case: bool) -> Result<String, String> {
    let mut plain = String::with_capacity(2 * source.len());
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(&escaped)) => {
                characters.next();
                match escaped {
                    'd' => plain.push_str("[0-9]"),
                    'D' => plain.push_str("[^0-9]"),
                    'w' => plain.push_str("[0-9A-Za-z_]"),
                    'W' => plain.push_str("[^0-9A-Za-z_]"),
                    's' => plain.push_str("[[:space:]]"),
                    'S' => plain.push_str("[^[:space:]]"),
                    'b' => plain.push_str(r"(?-u:\b)"),
                    'n' | 'r' | 't' => plain.extend(['\\', escaped]),
                    '<' | '>' => return Err(format!("must not use \\{escaped}")),
                    escaped if escaped.is_ascii_punctuation() => plain.extend(['\\', escaped]),
                    other => {
                        return Err(format!(
                            "must not use \\{other}: there are \\d, \\w, \\s, \\D, \\W, \\S, \\b, \\n, \\r, \\t, and \\ before a sign"
                        ));
                    }
                }
            }
            ('(', Some('?')) => {
                characters.next();
                if characters.next() != Some(':') {
                    return Err("must not use (? but for (?:".to_owned());
                }
                plain.push_str("(?:");
            }
            (other, _) if ignore_case => plain.extend(other.to_lowercase()),
            (other, _) => plain.push(other),
        }
    }
    Ok(plain)
}

/// What is wrong with a pattern, in one line and without repeating it.
fn told(error: &BuildError) -> String {
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let told = last.to_string();
    // The parser's message has several lines, of which the last says what is wrong; no other error has such.
    match told.rsplit_once("error: ") {
        Some((_, what)) => format!("must be a regular expression ({})", what.trim_end()),
        None => "must be simpler: its table would be too large".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere_in_a_text() {
        for (pattern, ignore_case, text, expected) in [
            ("quote|offer", false, "an offer, please", true),
            ("quote|offer", false, "An Offer", false),
            ("QUOTE|offer", true, "An Offer".to_lowercase().as_str(), true),
            (r"^\+41 ?\d{2}\b", false, "+41 79 000", true),
            (r"^\+41 ?\d{2}\b", false, "+41 790", false),
            (r"\bplan\b", false, "the plan.", true),
            (r"\bplan\b", false, "planet", false),
            ("need.*quote", false, "I need\na quote", true),
            (r"[\d-]+[^\W\s]", false, "-7-a", true),
            ("É", true, "é", true),
            (r"\$ ?\d+k\.", false, "about $ 50k.", true),
            ("(?:ab){2}$", false, "xabab", true),
            ("日.語", false, "日本語", true),
        ] {
            let compiled = Pattern::new(pattern, ignore_case).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_in(text), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_would_be_a_large_one_is_named() {
        let large = "must be simpler: its table would be too large";
        let escapes = r"must not use \p: there are \d, \w, \s, \D, \W, \S, \b, \n, \r, \t, and \ before a sign";
        for (pattern, expected) in [
            ("(", "must be a regular expression (unclosed group)"),
            (
                "a{2,1}",
                "must be a regular expression (invalid repetition count range, the start must be <= the end)",
            ),
            (
                "*",
                "must be a regular expression (repetition operator missing expression)",
            ),
            (
                "\\",
                "must be a regular expression (incomplete escape sequence, reached end of pattern prematurely)",
            ),
            (
                r"[\b]",
                "must be a regular expression (invalid escape sequence found in character class)",
            ),
            (
                &format!("{}a{}", "(".repeat(17), ")".repeat(17)),
                "must be a regular expression (exceed the maximum number of nested parentheses/brackets (16))",
            ),
            (r"\pL", escapes),
            ("(?i)a", "must not use (? but for (?:"),
            ("(?<name>a)", "must not use (? but for (?:"),
            (r"\<a", r"must not use \<"),
            ("((a{100}){100}){100}", large),
            ("[ab]*a[ab]{30}", large),
            ("(.*a){100}", large),
            (&".*".repeat(99), large),
            ("(.|..|...|a.|b.|é.)*x.{0,12}y", large),
            ("(((a?){30}){30}){30}", large),
        ] {
            assert_eq!(Pattern::new(pattern, false).expect_err(pattern), expected, "{pattern}");
            Pattern::new(pattern, true).expect_err(pattern);
        }
    }
}

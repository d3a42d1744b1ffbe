//! JSON for people: with line breaks, and otherwise as it was sent.

/// JSON with line breaks. Keys keep their order, numbers and escapes their form; what isn't JSON stays readable.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut characters = json.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                out.push('"');
                let mut is_escaped = false;
                for character in characters.by_ref() {
                    out.push(character);
                    match character {
                        _ if is_escaped => is_escaped = false,
                        '\\' => is_escaped = true,
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    // A body that is nothing but brackets doesn't grow by the square of its length.
    out.extend(std::iter::repeat_n("  ", depth.min(20)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_white_space_changes() {
        for (json, shown) in [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (
                r#"{"b":1.0,"a":[true,null]}"#,
                "{\n  \"b\": 1.0,\n  \"a\": [\n    true,\n    null\n  ]\n}",
            ),
            (
                r#"{"a":"{\"x\":[1, 2]}\\"}"#,
                "{\n  \"a\": \"{\\\"x\\\":[1, 2]}\\\\\"\n}",
            ),
            ("<script>", "<script>"),
            ("\"open", "\"open"),
        ] {
            assert_eq!(pretty(json), shown, "{json}");
        }
    }

    #[test]
    fn deep_nesting_stays_small() {
        let deep = "[".repeat(10_000);
        assert!(pretty(&deep).len() < 60 * deep.len());
    }
}

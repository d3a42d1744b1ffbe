//! Texts from outside, made so that both databases take them.
//!
//! What a receiver answered may be anything. PostgreSQL refuses U+0000 in a text, and a log entry has
//! a size. Making it fit loses a little of the text, so that it never costs the outcome.

/// The text without U+0000, cut to at most so many bytes between two characters.
pub(crate) fn storable(text: &str, at_most: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(at_most));
    for character in text.chars() {
        let character = if character == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        if kept.len() + character.len_utf8() > at_most {
            break;
        }
        kept.push(character);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_holds_no_nul() {
        let cases = [
            ("", 4, ""),
            ("abcd", 4, "abcd"),
            ("abcde", 4, "abcd"),
            ("abcé", 4, "abc"),
            ("a\0b", 9, "a\u{fffd}b"),
        ];
        for (text, at_most, expected) in cases {
            assert_eq!(storable(text, at_most), expected, "{text:?}");
        }
    }
}

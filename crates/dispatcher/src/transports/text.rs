//! Text that a visitor typed, made fit for a receiver: escaped for its markup, and cut to its limits.

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// A text of at most so many characters after escaping; a cut never goes through a character or an escape.
pub(super) fn escaped(text: &str, limit: usize, escape: fn(char, &mut String)) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut left = limit;
    // As long as it must be cut here.
    let mut kept = 0;
    for character in text.chars().filter(|&character| is_text(character)) {
        let before = whole.len();
        escape(character, &mut whole);
        let length = whole[before..].chars().count();
        if length > left {
            whole.truncate(kept);
            whole.push(CUT);
            return whole;
        }
        left -= length;
        if left > 0 {
            kept = whole.len();
        }
    }
    whole
}

/// A text of at most so many characters.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    escaped(text, limit, |character, out| out.push(character))
}

/// A text with a backslash before whatever Markdown could take for its own: links that show another text above all.
pub(crate) fn markdown(text: &str, limit: usize) -> String {
    escaped(text, limit, |character, out| {
        if matches!(
            character,
            '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '(' | ')' | '#' | '-' | '@' | '!'
        ) {
            out.push('\\');
        }
        out.push(character);
    })
}

/// A text as HTML that shows it, line by line.
pub(crate) fn html(text: &str, limit: usize) -> String {
    escaped(text, limit, |character, out| match character {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\n' => out.push_str("<br>"),
        other => out.push(other),
    })
}

/// Neither control characters nor those that reorder what is around them: a name must not make the rest read otherwise.
fn is_text(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        other => !other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn doubled(character: char, out: &mut String) {
        out.push('\\');
        out.push(character);
    }

    #[test]
    fn cut_is_shown_and_goes_through_nothing() {
        assert_eq!(cut("Zoë", 3), "Zoë");
        assert_eq!(cut("Zoës", 3), "Zo…");
        assert_eq!(cut("a\u{202e}b\r\nc\u{0}", 9), "ab\nc");
        assert_eq!(escaped("abc", 6, doubled), "\\a\\b\\c");
        assert_eq!(escaped("abcd", 6, doubled), "\\a\\b…");
        assert_eq!(escaped("ab", 1, doubled), "…");
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_its_limit(text in any::<String>(), limit in 1_usize..40) {
            for made in [cut(&text, limit), escaped(&text, limit, doubled)] {
                prop_assert!(made.chars().count() <= limit, "{made}");
            }
        }
    }
}

//! What a text field may hold.

/// The rule of a text field. U+0000 is never allowed: PostgreSQL can't store it.
#[derive(Debug, Clone, Copy)]
pub struct TextRule {
    /// At most this many characters (Unicode scalar values).
    pub max: usize,
    /// Whether surrounding white space is dropped before anything else is looked at.
    pub trimmed: bool,
    /// Whether control characters (Unicode category Cc) are allowed: a message has lines, a name hasn't.
    pub multiline: bool,
}

impl TextRule {
    /// A text of one line, trimmed.
    pub const fn line(max: usize) -> Self {
        Self {
            max,
            trimmed: true,
            multiline: false,
        }
    }

    /// A text kept as it was typed, lines and all.
    pub const fn as_typed(max: usize) -> Self {
        Self {
            max,
            trimmed: false,
            multiline: true,
        }
    }

    /// The text as it will be kept, or what is wrong with it. That it may not be empty is for others to say.
    pub(crate) fn apply(self, text: &str) -> Result<&str, String> {
        let text = if self.trimmed { text.trim() } else { text };
        if text.contains('\0') {
            return Err("must not contain the character U+0000".to_owned());
        }
        if !self.multiline && text.chars().any(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        // Counting is needed only for texts that could be too long.
        if text.len() > self.max {
            let length = text.chars().count();
            if length > self.max {
                return Err(format!("must be at most {} characters long, not {length}", self.max));
            }
        }
        Ok(text)
    }
}

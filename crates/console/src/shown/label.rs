//! How a thing stands: an icon and words, and a colour that only repeats them.

/// How a thing stands, for the macro `label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// The class of the style sheet: `good`, `warn`, `bad` or none.
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) words: String,
}

impl Label {
    pub(crate) fn good(words: impl Into<String>) -> Self {
        Self::new("good", "✓", words)
    }

    pub(crate) fn warn(words: impl Into<String>) -> Self {
        Self::new("warn", "!", words)
    }

    pub(crate) fn bad(words: impl Into<String>) -> Self {
        Self::new("bad", "✕", words)
    }

    /// Neither good nor bad.
    pub(crate) fn plain(icon: &'static str, words: impl Into<String>) -> Self {
        Self::new("", icon, words)
    }

    pub(crate) fn new(class: &'static str, icon: &'static str, words: impl Into<String>) -> Self {
        Self {
            class,
            icon,
            words: words.into(),
        }
    }
}

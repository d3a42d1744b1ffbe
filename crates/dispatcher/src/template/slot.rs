//! Slots: the places in a kind's requests that a template may fill.

/// A text of at most so many characters, in which nothing is the receiver's markup.
pub(crate) type Escape = fn(&str, usize) -> String;
/// Says of a field's name what is wrong with it.
pub(crate) type CheckName = fn(&str) -> Result<(), &'static str>;

/// A place in a kind's requests that a template may fill.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Its key in a destination's `template`.
    pub name: &'static str,
    /// What it is at the receiver, in a sentence.
    pub description: &'static str,
    /// What is made of templates there.
    pub form: Form,
    /// Characters at most; a longer text is cut.
    pub limit: usize,
    /// What is sent without a template, written as one, where that can be.
    pub default: Option<&'static str>,
}

/// What is made of templates in a slot.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// A text. What is put in for an expression is escaped by this, what stands around it isn't.
    Text(Escape),
    /// JSON: an expression becomes a value of it.
    Json,
    /// A text for each of the receiver's fields, by their names, which this judges.
    Fields(CheckName),
}

impl Form {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Json => "json",
            Self::Fields(_) => "fields",
        }
    }
}

impl Slot {
    /// A slot for a text.
    pub(crate) const fn text(name: &'static str, description: &'static str, limit: usize, escape: Escape) -> Self {
        Self {
            name,
            description,
            form: Form::Text(escape),
            limit,
            default: None,
        }
    }

    /// A slot for texts by the names of the receiver's fields.
    pub(crate) const fn fields(description: &'static str, limit: usize, check: CheckName) -> Self {
        Self {
            name: "fields",
            description,
            form: Form::Fields(check),
            limit,
            default: None,
        }
    }

    /// A slot for what is sent instead of the event.
    pub(crate) const fn body(description: &'static str) -> Self {
        Self {
            name: "body",
            description,
            form: Form::Json,
            limit: super::program::LONGEST_OUTPUT,
            default: None,
        }
    }

    /// With what is sent otherwise.
    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }
}

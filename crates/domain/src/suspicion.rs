//! Why a lead that came from a web page may be no person's.

use crate::named::named;

/// A reason to keep a lead back until somebody has looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suspicion {
    /// A field was filled in that people don't see.
    HiddenFieldFilled,
    /// It came sooner after the form than people type.
    TooFast,
    /// Nothing shows that it came from a page with the form.
    NoForm,
    /// What it shows isn't of a form of this client.
    ForeignForm,
    /// The form was too old.
    FormExpired,
    /// The form was sent before, with another lead.
    FormReused,
}

named!(Suspicion {
    HiddenFieldFilled = "hidden-field-filled",
    TooFast = "too-fast",
    NoForm = "no-form",
    ForeignForm = "foreign-form",
    FormExpired = "form-expired",
    FormReused = "form-reused",
});

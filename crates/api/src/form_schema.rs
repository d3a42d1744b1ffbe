//! What the documentation says of a client's lead form. The domain reads it.

use utoipa::ToSchema;

/// A client's lead form. In a change, what is absent is as in the default form.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LeadForm)]
#[expect(dead_code, reason = "documents what the domain reads")]
pub(crate) struct LeadFormSchema {
    /// Whether there is one: at `/forms/{clientId}`, and for `/embed.js`.
    #[schema(nullable = false, default = true)]
    enabled: Option<bool>,
    /// The language of its texts, a language tag.
    #[schema(nullable = false, example = "en")]
    lang: Option<String>,
    /// What it asks for, in order: name and email, and what else is wanted.
    #[schema(max_items = 30, nullable = false)]
    fields: Option<Vec<FormFieldSchema>>,
    #[schema(nullable = false)]
    texts: Option<FormTextsSchema>,
    #[schema(nullable = false)]
    theme: Option<FormThemeSchema>,
}

/// A field of a form.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FormField)]
#[expect(dead_code, reason = "documents what the domain reads")]
pub(crate) struct FormFieldSchema {
    /// `name`, `email`, `phone`, `message`, or a key of the lead's custom fields: letters, digits, `-` and `_`.
    #[schema(max_length = 40, example = "budget")]
    name: String,
    /// What the visitor is asked.
    #[schema(max_length = 200, example = "Your budget")]
    label: String,
    /// Whether the form can't be sent without; name and email always are.
    #[schema(nullable = false)]
    required: Option<bool>,
    /// `text`, `email`, `tel`, `textarea`, `select` or `checkbox`.
    #[schema(nullable = false, example = "select")]
    r#type: Option<String>,
    /// What can be chosen, of a `select`.
    #[schema(nullable = false, max_items = 50)]
    options: Option<Vec<String>>,
}

/// What a form says: plain texts. An empty one isn't shown; in a change, an absent one is in English.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FormTexts)]
#[expect(dead_code, reason = "documents what the domain reads")]
pub(crate) struct FormTextsSchema {
    #[schema(nullable = false)]
    title: Option<String>,
    #[schema(nullable = false)]
    intro: Option<String>,
    #[schema(nullable = false)]
    submit: Option<String>,
    #[schema(nullable = false)]
    sending: Option<String>,
    #[schema(nullable = false)]
    sent: Option<String>,
    #[schema(nullable = false)]
    failed: Option<String>,
    #[schema(nullable = false)]
    retry: Option<String>,
    #[schema(nullable = false)]
    offline: Option<String>,
    #[schema(nullable = false)]
    wrong: Option<String>,
    #[schema(nullable = false)]
    required: Option<String>,
    #[schema(nullable = false)]
    invalid: Option<String>,
    #[schema(nullable = false)]
    optional: Option<String>,
}

/// How a form looks.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FormTheme)]
#[expect(dead_code, reason = "documents what the domain reads")]
pub(crate) struct FormThemeSchema {
    /// The colour of the button.
    #[schema(nullable = false, pattern = "^#[0-9a-fA-F]{6}$", example = "#1d4ed8")]
    accent: Option<String>,
    /// How round corners are, in pixels.
    #[schema(nullable = false, maximum = 32)]
    radius: Option<u32>,
    /// `auto` (as the visitor's system is), `light` or `dark`.
    #[schema(nullable = false, example = "auto")]
    scheme: Option<String>,
}

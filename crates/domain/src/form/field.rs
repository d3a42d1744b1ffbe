//! What a lead form asks for.

use serde::Serialize;
use serde_json::Value;

use crate::faults::Faults;
use crate::fields::Fields;
use crate::named::named;
use crate::text::TextRule;

const NAME_MAX: usize = 40;
const LABEL: TextRule = TextRule::line(200);
const OPTION: TextRule = TextRule::line(100);
const OPTIONS_MAX: usize = 50;
/// What a visitor may type into a field of the client's own: several of them are within what a lead may have.
const CUSTOM_LENGTH: usize = 2_000;

/// One thing that a form asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormField {
    name: String,
    label: String,
    required: bool,
    #[serde(rename = "type")]
    kind: FormFieldKind,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
}

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormFieldKind {
    /// A line.
    Text,
    /// A line that is an email address.
    Email,
    /// A line that is a phone number.
    Tel,
    /// Several lines.
    Textarea,
    /// One of some texts.
    Select,
    /// A box to tick: in the lead it is `true`, or absent.
    Checkbox,
}

named!(FormFieldKind {
    Text = "text",
    Email = "email",
    Tel = "tel",
    Textarea = "textarea",
    Select = "select",
    Checkbox = "checkbox",
});

impl FormField {
    /// What a form asks for that nobody has changed.
    pub(super) fn defaults() -> Vec<Self> {
        let field = |name: &str, label: &str| Self {
            name: name.to_owned(),
            label: label.to_owned(),
            required: is_of_every_lead(name),
            kind: usual(name),
            options: Vec::new(),
        };
        vec![
            field("name", "Your name"),
            field("email", "Email address"),
            field("phone", "Phone number"),
            field("message", "Message"),
        ]
    }

    pub(super) fn from_json_at(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let mut fields = Fields::at(value, pointer)?;
        let name = fields
            .required_text("name", TextRule::line(NAME_MAX))
            .unwrap_or_default();
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name {
            fields.fault(
                "name",
                "must be letters, digits, - and _: it is the field's key in the lead",
            );
        }
        let label = fields.required_text("label", LABEL).unwrap_or_default().to_owned();
        // A lead without them can't be captured, whatever the settings say.
        let required = fields.optional_bool("required").unwrap_or(false) || is_of_every_lead(name);
        let mut kind = usual(name);
        if let Some(given) = fields.parsed::<FormFieldKind>("type") {
            if is_free(name) || given == kind {
                kind = given;
            } else {
                fields.fault("type", format!("must be {} for this field", kind.name()));
            }
        }
        let options = match fields.value("options") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(options)) => read_options(&mut fields, options),
            Some(_) => {
                fields.fault("options", "must be an array of texts");
                Vec::new()
            }
        };
        if kind == FormFieldKind::Select && fields.value("options").is_none_or(Value::is_null) {
            fields.fault("options", "is required: what can be chosen");
        } else if kind != FormFieldKind::Select && !options.is_empty() {
            fields.fault("options", "is only for fields of the type select");
        }
        fields.finish()?;
        Ok(Self {
            name: name.to_owned(),
            label,
            required,
            kind,
            options,
        })
    }

    /// Its key in the lead: `name`, `email`, `phone`, `message`, or one of the client's own, which is then among the lead's custom fields.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the visitor is asked.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether the form can't be sent without.
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// How it is filled in.
    pub const fn kind(&self) -> FormFieldKind {
        self.kind
    }

    /// What can be chosen.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// Whether it goes among the lead's custom fields.
    pub fn is_custom(&self) -> bool {
        is_free(&self.name)
    }

    /// How many characters may be typed: for a lead's own fields what a lead may have.
    pub fn max_length(&self) -> usize {
        match &*self.name {
            "name" => 200,
            "email" => 254,
            "phone" => 40,
            "message" => 10_000,
            _ => CUSTOM_LENGTH,
        }
    }
}

fn read_options(fields: &mut Fields<'_>, options: &[Value]) -> Vec<String> {
    if !(1..=OPTIONS_MAX).contains(&options.len()) {
        fields.fault(
            "options",
            format!("must hold 1 to {OPTIONS_MAX} texts, not {}", options.len()),
        );
        return Vec::new();
    }
    let texts = options.iter().map(|option| {
        let text = option.as_str().and_then(|text| OPTION.apply(text).ok());
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    });
    let texts = texts.collect::<Option<Vec<_>>>();
    texts.unwrap_or_else(|| {
        fields.fault("options", format!("must hold texts of 1 to {} characters", OPTION.max));
        Vec::new()
    })
}

fn is_of_every_lead(name: &str) -> bool {
    matches!(name, "name" | "email")
}

/// Whether a field may be of any kind.
fn is_free(name: &str) -> bool {
    !matches!(name, "name" | "email" | "phone" | "message")
}

fn usual(name: &str) -> FormFieldKind {
    match name {
        "email" => FormFieldKind::Email,
        "phone" => FormFieldKind::Tel,
        "message" => FormFieldKind::Textarea,
        _ => FormFieldKind::Text,
    }
}

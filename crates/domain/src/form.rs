//! A client's lead form: its fields, words and looks, as the client's settings have them.

mod field;
mod texts;
mod theme;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

pub use field::{FormField, FormFieldKind};
pub use texts::FormTexts;
pub use theme::{FormScheme, FormTheme};

use crate::faults::Faults;
use crate::fields::Fields;
use crate::text::TextRule;

/// A person fills in no more.
const FIELDS_MAX: usize = 30;
/// Languages that are written so, in the script that is usual for them.
const RIGHT_TO_LEFT: [&str; 10] = ["ar", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur"];
/// The longest language tags in use have fewer characters (RFC 5646, section 4.4.1).
const LANG: TextRule = TextRule::line(35);

/// A client's lead form, valid by its making. Its default asks for name, email, phone and message, in English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadForm {
    /// Whether there is one.
    enabled: bool,
    lang: String,
    fields: Vec<FormField>,
    texts: FormTexts,
    theme: FormTheme,
}

impl Default for LeadForm {
    fn default() -> Self {
        Self {
            enabled: true,
            lang: "en".to_owned(),
            fields: FormField::defaults(),
            texts: FormTexts::default(),
            theme: FormTheme::default(),
        }
    }
}

impl LeadForm {
    /// Reads `{enabled?, lang?, fields?, texts?, theme?}`, which stands at a JSON pointer of a larger document; null is the default. What is
    /// absent is as in the default. All faults are told at once.
    pub fn from_json_at(value: &Value, pointer: &str) -> Result<Self, Faults> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let mut form = Self::default();
        let mut fields = Fields::at(value, pointer)?;
        form.enabled = fields.optional_bool("enabled").unwrap_or(true);
        if let Some(lang) = fields.optional_text("lang", LANG) {
            if is_language_tag(lang) {
                lang.clone_into(&mut form.lang);
            } else {
                fields.fault("lang", "must be a language tag, e.g. en, de or pt-BR");
            }
        }
        match fields.value("fields") {
            None | Some(Value::Null) => {}
            Some(list) => {
                let read = read_fields(list, &format!("{pointer}/fields"));
                form.fields = fields.nested(read).unwrap_or_default();
            }
        }
        if let Some(texts) = fields.value("texts").filter(|texts| !texts.is_null()) {
            let read = FormTexts::from_json_at(texts, &format!("{pointer}/texts"));
            form.texts = fields.nested(read).unwrap_or_default();
        }
        if let Some(theme) = fields.value("theme").filter(|theme| !theme.is_null()) {
            let read = FormTheme::from_json_at(theme, &format!("{pointer}/theme"));
            form.theme = fields.nested(read).unwrap_or_default();
        }
        fields.finish()?;
        Ok(form)
    }

    /// Whether the form is there to be filled in.
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The language of its words, a tag as in RFC 5646.
    pub fn lang(&self) -> &str {
        &self.lang
    }

    /// Which way that is written: `ltr` or `rtl`.
    pub fn dir(&self) -> &'static str {
        let language = self.lang.split('-').next().unwrap_or_default().to_ascii_lowercase();
        if RIGHT_TO_LEFT.contains(&&*language) {
            "rtl"
        } else {
            "ltr"
        }
    }

    /// What it asks for, in order.
    pub fn fields(&self) -> &[FormField] {
        &self.fields
    }

    /// What it says.
    pub const fn texts(&self) -> &FormTexts {
        &self.texts
    }

    /// How it looks.
    pub const fn theme(&self) -> &FormTheme {
        &self.theme
    }
}

fn read_fields(list: &Value, pointer: &str) -> Result<Vec<FormField>, Faults> {
    let Value::Array(list) = list else {
        return Err(Faults::one(pointer, "must be an array of fields"));
    };
    if list.len() > FIELDS_MAX {
        let detail = format!("must hold at most {FIELDS_MAX} fields, not {}", list.len());
        return Err(Faults::one(pointer, detail));
    }
    let (mut read, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    let mut names = BTreeSet::new();
    for (index, value) in list.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        match FormField::from_json_at(value, &at) {
            Ok(field) if names.insert(field.name().to_owned()) => read.push(field),
            Ok(_) => faults.extend(Faults::one(format!("{at}/name"), "is another field's name").into_vec()),
            Err(wrong) => faults.extend(wrong.into_vec()),
        }
    }
    if faults.is_empty() {
        for name in ["name", "email"] {
            if !names.contains(name) {
                let detail = format!("must hold a field named {name}: a lead has one");
                faults.extend(Faults::one(pointer, detail).into_vec());
            }
        }
    }
    Faults::of(faults).map_or(Ok(read), Err)
}

/// Letters, then groups of letters and digits; what the groups mean is not looked at.
fn is_language_tag(text: &str) -> bool {
    let mut groups = text.split('-');
    let is_language =
        |group: &str| (2..=8).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_more =
        |group: &str| (1..=8).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    groups.next().is_some_and(is_language) && groups.all(is_more)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(value: &Value) -> Vec<(String, String)> {
        let faults = LeadForm::from_json_at(value, "/form").expect_err("a faulty form");
        let faults = faults.into_vec().into_iter();
        faults.map(|fault| (fault.pointer, fault.detail)).collect()
    }

    #[test]
    fn a_form_is_written_as_it_is_read() {
        let default = LeadForm::default();
        let written = serde_json::to_value(&default).expect("JSON");
        assert_eq!(LeadForm::from_json_at(&written, "").as_ref(), Ok(&default));
        for empty in [
            json!({}),
            json!(null),
            json!({"fields": null, "texts": null, "theme": {}}),
        ] {
            assert_eq!(LeadForm::from_json_at(&empty, "").as_ref(), Ok(&default));
        }

        let own = json!({
            "enabled": false, "lang": "pt-BR",
            "fields": [
                {"name": "email", "label": "E-mail"},
                {"name": "name", "label": "Nome"},
                {"name": "budget", "label": "Orçamento", "required": true, "type": "select", "options": ["1k", "10k"]},
                {"name": "consent", "label": "Aceito", "required": true, "type": "checkbox"},
            ],
            "texts": {"title": "Fale conosco", "submit": "Enviar"},
            "theme": {"accent": "#0a7F5a", "radius": 0, "scheme": "dark"},
        });
        let form = LeadForm::from_json_at(&own, "/form").expect("a form");
        assert!(!form.is_enabled() && form.lang() == "pt-BR" && form.dir() == "ltr");
        let arabic = LeadForm::from_json_at(&json!({"lang": "ar-EG"}), "").expect("a form");
        assert_eq!(arabic.dir(), "rtl");
        let shown = form
            .fields()
            .iter()
            .map(|field| (field.name(), field.kind(), field.is_required()));
        let expected = [
            ("email", FormFieldKind::Email, true),
            ("name", FormFieldKind::Text, true),
            ("budget", FormFieldKind::Select, true),
            ("consent", FormFieldKind::Checkbox, true),
        ];
        assert!(shown.eq(expected));
        assert_eq!(
            (&*form.texts().title, &*form.texts().retry),
            ("Fale conosco", "Try again")
        );
        assert_eq!(form.theme().accent, "#0a7f5a");
        let written = serde_json::to_value(&form).expect("JSON");
        assert_eq!(LeadForm::from_json_at(&written, "/form"), Ok(form));
    }

    #[test]
    fn all_that_is_wrong_is_named_by_its_place() {
        let wrong = json!({
            "enabled": 1, "lang": "english language",
            "fields": [
                {"name": "na me", "label": ""},
                {"name": "email", "label": "E", "type": "select"},
                {"name": "x", "label": "X", "type": "colour", "wrong": 1},
                {"name": "y", "label": "Y", "options": ["a"]},
                {"name": "z", "label": "Z", "type": "select", "options": null},
            ],
            "texts": {"titel": "x", "intro": 5}, "theme": {"accent": "red", "radius": 99, "scheme": "neon"},
        });
        let places = faults(&wrong).into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(
            places,
            [
                "/form/enabled",
                "/form/lang",
                "/form/fields/0/name",
                "/form/fields/0/label",
                "/form/fields/1/type",
                "/form/fields/2/type",
                "/form/fields/2/wrong",
                "/form/fields/3/options",
                "/form/fields/4/options",
                "/form/texts/intro",
                "/form/texts/titel",
                "/form/theme/accent",
                "/form/theme/radius",
                "/form/theme/scheme",
            ]
        );
    }

    #[test]
    fn a_form_asks_for_what_a_lead_must_have_and_for_nothing_twice() {
        assert_eq!(
            faults(&json!({"fields": [{"name": "name", "label": "N"}]})),
            [(
                "/form/fields".to_owned(),
                "must hold a field named email: a lead has one".to_owned()
            )]
        );
        let twice = json!({"fields": [{"name": "email", "label": "E"}, {"name": "email", "label": "E"}]});
        assert_eq!(faults(&twice)[0].0, "/form/fields/1/name");
        let many = json!({"fields": vec![json!({}); 31]});
        assert_eq!(faults(&many)[0].1, "must hold at most 30 fields, not 31");
        assert_eq!(faults(&json!([]))[0].0, "/form");
    }
}

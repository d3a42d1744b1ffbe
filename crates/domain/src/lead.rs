//! A lead as it comes in: parsed once, valid from then on.

use serde_json::{Map, Value, json};

use crate::email::EmailAddress;
use crate::faults::{Faults, escape};
use crate::fields::Fields;
use crate::text::TextRule;

const NAME: TextRule = TextRule::line(200);
const PHONE: TextRule = TextRule::line(40);
const MESSAGE: TextRule = TextRule::as_typed(10_000);
const SESSION_ID: TextRule = TextRule::line(200);
const CUSTOM_MAX_KEYS: usize = 50;
const CUSTOM_MAX_BYTES: usize = 8 * 1024;

/// What a visitor left, valid by its making.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLead {
    name: String,
    email: EmailAddress,
    phone: Option<String>,
    message: Option<String>,
    session_id: Option<String>,
    custom: Option<Map<String, Value>>,
}

impl NewLead {
    /// Reads `{name, email, phone?, message?, sessionId?, custom?}`. All faults are told at once.
    pub fn from_json(value: &Value) -> Result<Self, Faults> {
        Self::from_json_at(value, "")
    }

    /// As [`NewLead::from_json`], for a lead that stands at a JSON pointer of a larger document.
    pub fn from_json_at(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let mut fields = Fields::at(value, pointer)?;
        let name = fields.required_text("name", NAME).map(str::to_owned);
        let email = fields.required_text("email", TextRule::line(usize::MAX));
        let email = email.and_then(|email| fields.parse("email", email));
        let phone = fields.optional_text("phone", PHONE).map(str::to_owned);
        let message = fields.optional_text("message", MESSAGE).map(str::to_owned);
        let session_id = fields.optional_text("sessionId", SESSION_ID).map(str::to_owned);
        let custom = custom(&mut fields);
        fields.finish()?;
        let (Some(name), Some(email)) = (name, email) else {
            unreachable!("an absent required field is a fault, and faults end the reading above");
        };
        Ok(Self {
            name,
            email,
            phone,
            message,
            session_id,
            custom,
        })
    }

    /// What a test send carries: nobody's data, at a domain that is kept for examples (RFC 2606).
    pub fn sample() -> Self {
        let sample = json!({
            "name": "Sample Lead",
            "email": "sample.lead@example.com",
            "phone": "+1 555 0100",
            "message": "This is a test of your webhook. Nobody has left these details.",
            "custom": {"sample": true},
        });
        Self::from_json(&sample).expect("the sample is a valid lead")
    }

    /// Full name: 1 to 200 characters, trimmed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Email address.
    pub const fn email(&self) -> &EmailAddress {
        &self.email
    }

    /// Phone number as typed, at most 40 characters.
    pub fn phone(&self) -> Option<&str> {
        self.phone.as_deref()
    }

    /// What the visitor wrote, at most 10,000 characters.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The chat session it came from, at most 200 characters.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// Further fields of the client's own form: at most 50, and 8 KiB as JSON.
    pub const fn custom(&self) -> Option<&Map<String, Value>> {
        self.custom.as_ref()
    }
}

fn custom(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let custom = match fields.value("custom")? {
        Value::Null => return None,
        Value::Object(custom) => custom,
        _ => {
            fields.fault("custom", "must be a JSON object");
            return None;
        }
    };
    if custom.len() > CUSTOM_MAX_KEYS {
        fields.fault(
            "custom",
            format!("must have at most {CUSTOM_MAX_KEYS} fields, not {}", custom.len()),
        );
    }
    let bytes = serde_json::to_string(custom).map_or(usize::MAX, |text| text.len());
    if bytes > CUSTOM_MAX_BYTES {
        // At the longest of them, where a form has a field that can be made shorter.
        let length = |value: &Value| serde_json::to_string(value).map_or(0, |text| text.len());
        let longest = custom.iter().max_by_key(|(_, value)| length(value));
        let longest = longest.map_or_else(String::new, |(key, _)| escape(key));
        fields.fault_below(
            "custom",
            &longest,
            &format!("is too long: all of custom must be at most {CUSTOM_MAX_BYTES} bytes of JSON, not {bytes}"),
        );
    }
    if let Some(key) = custom
        .iter()
        .find(|(key, value)| key.contains('\0') || has_nul(value))
        .map(|(key, _)| key)
    {
        // The pointer is built here, since the key isn't the name of one of our fields.
        fields.fault_below(
            "custom",
            &escape(&key.replace('\0', "\u{fffd}")),
            "must not contain the character U+0000",
        );
    }
    (!custom.is_empty()).then(|| custom.clone())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(value: &Value) -> Vec<(String, String)> {
        let faults = NewLead::from_json(value).expect_err("a faulty lead");
        faults
            .into_vec()
            .into_iter()
            .map(|fault| (fault.pointer, fault.detail))
            .collect()
    }

    #[test]
    fn a_whole_lead_is_read() {
        let lead = NewLead::from_json(&json!({
            "name": "  Zoë O'Brien 🦀 ", "email": "zoe@example.com", "phone": "+1 (234) 567-890 ext. 5",
            "message": "Two\nlines, \"quoted\"", "sessionId": "s-1", "custom": {"budget": 5000, "tags": ["a"]}
        }))
        .expect("a valid lead");
        assert_eq!(lead.name(), "Zoë O'Brien 🦀");
        assert_eq!(lead.email().as_str(), "zoe@example.com");
        assert_eq!(lead.phone(), Some("+1 (234) 567-890 ext. 5"));
        assert_eq!(lead.message(), Some("Two\nlines, \"quoted\""));
        assert_eq!(lead.session_id(), Some("s-1"));
        assert_eq!(lead.custom().map(Map::len), Some(2));
    }

    #[test]
    fn absent_null_and_empty_optional_fields_are_the_same() {
        let plain = NewLead::from_json(&json!({"name": "A", "email": "a@b.co"})).expect("valid");
        for empty in [json!(null), json!(""), json!("  ")] {
            let lead = json!({"name": "A", "email": "a@b.co", "phone": empty, "message": empty, "sessionId": empty});
            assert_eq!(NewLead::from_json(&lead).expect("valid"), plain);
        }
        let custom = json!({"name": "A", "email": "a@b.co", "custom": {}});
        assert_eq!(NewLead::from_json(&custom).expect("valid"), plain);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let lead =
            json!({"name": null, "email": "nonsense", "phone": 5, "message": "a\u{0}b", "emial": 1, "custom": []});
        assert_eq!(
            faults(&lead),
            [
                ("/name", "must not be null"),
                ("/email", "must be an email address, e.g. john@example.com"),
                ("/phone", "must be a string, not a number"),
                ("/message", "must not contain the character U+0000"),
                ("/custom", "must be a JSON object"),
                (
                    "/emial",
                    "is not a known field (known: name, email, phone, message, sessionId, custom)"
                ),
            ]
            .map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()))
        );
    }

    #[test]
    fn lengths_are_counted_in_characters_and_limits_are_exact() {
        let cases = [
            ("name", 200, "é"),
            ("phone", 40, "1"),
            ("message", 10_000, "🦀"),
            ("sessionId", 200, "s"),
        ];
        for (field, max, character) in cases {
            let mut lead = json!({"name": "A", "email": "a@b.co"});
            lead[field] = character.repeat(max).into();
            NewLead::from_json(&lead).unwrap_or_else(|faults| panic!("{field}: {faults}"));
            lead[field] = character.repeat(max + 1).into();
            let expected = format!("must be at most {max} characters long, not {}", max + 1);
            assert_eq!(faults(&lead), [(format!("/{field}"), expected)]);
        }
    }

    #[test]
    fn of_very_many_unknown_fields_some_are_named() {
        let mut lead = json!({"name": "A", "email": "a@b.co"});
        for key in 0..1_000 {
            lead[format!("k{key:03}")] = json!(0);
        }
        let faults = faults(&lead);
        assert_eq!((faults.len(), faults[0].0.as_str()), (21, "/k000"));
        let more = "has 980 more that are not known fields";
        assert_eq!(faults[20], (String::new(), more.to_owned()));
    }

    #[test]
    fn custom_fields_are_bounded_in_number_and_size() {
        let lead = |custom: Value| json!({"name": "A", "email": "a@b.co", "custom": custom});
        let many = |count: usize| (0..count).map(|key| (key.to_string(), json!(1))).collect::<Map<_, _>>();
        NewLead::from_json(&lead(many(50).into())).expect("50 are allowed");
        assert_eq!(
            faults(&lead(many(51).into()))[0].1,
            "must have at most 50 fields, not 51"
        );
        // {"a":"…"} has 8 bytes beside the text.
        NewLead::from_json(&lead(json!({"a": "x".repeat(8_184)}))).expect("8 KiB are allowed");
        assert_eq!(
            faults(&lead(json!({"a": "x".repeat(8_185)})))[0].1,
            "is too long: all of custom must be at most 8192 bytes of JSON, not 8193"
        );
        let two = json!({"a": "x".repeat(4_000), "b/c": "y".repeat(5_000)});
        assert_eq!(faults(&lead(two))[0].0, "/custom/b~1c", "the longest");
        assert_eq!(faults(&lead(json!({"a/b": {"c": ["\u{0}"]}})))[0].0, "/custom/a~1b");
    }

    #[test]
    fn control_characters_are_for_messages_only() {
        for (field, allowed) in [
            ("name", false),
            ("phone", false),
            ("sessionId", false),
            ("message", true),
        ] {
            let mut lead = json!({"name": "A", "email": "a@b.co"});
            lead[field] = "a\tb".into();
            assert_eq!(NewLead::from_json(&lead).is_ok(), allowed, "{field}");
        }
    }

    #[test]
    fn whatever_is_no_object_is_refused() {
        for value in [json!(null), json!([]), json!("lead"), json!(7)] {
            assert_eq!(faults(&value)[0].0, "");
        }
        let at = NewLead::from_json_at(&json!({"name": ""}), "/leads/3")
            .expect_err("faulty")
            .into_vec();
        assert_eq!(
            at.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(),
            ["/leads/3/name", "/leads/3/email"]
        );
    }
}

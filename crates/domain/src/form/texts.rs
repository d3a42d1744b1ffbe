//! What a lead form says, in the client's language.

use serde::Serialize;
use serde_json::Value;

use crate::faults::Faults;
use crate::fields::Fields;
use crate::text::TextRule;

const TEXT: TextRule = TextRule {
    max: 1_000,
    trimmed: true,
    multiline: true,
};

macro_rules! texts {
    ($($(#[$doc:meta])* $field:ident: $name:literal = $default:literal;)+) => {
        /// What a form says. Plain texts, never markup.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct FormTexts {
            $($(#[$doc])* pub $field: String,)+
        }

        impl Default for FormTexts {
            fn default() -> Self {
                Self { $($field: $default.to_owned(),)+ }
            }
        }

        impl FormTexts {
            pub(super) fn from_json_at(value: &Value, pointer: &str) -> Result<Self, Faults> {
                let mut fields = Fields::at(value, pointer)?;
                // An empty text is one that the client doesn't want; an absent one is ours.
                $(let $field = match fields.value($name) {
                    None | Some(Value::Null) => $default.to_owned(),
                    Some(_) => fields.optional_text($name, TEXT).unwrap_or_default().to_owned(),
                };)+
                fields.finish()?;
                Ok(Self { $($field,)+ })
            }
        }
    };
}

texts! {
    /// Above the form.
    title: "title" = "Contact us";
    /// Below the title.
    intro: "intro" = "";
    /// On the button.
    submit: "submit" = "Send";
    /// While it is being sent.
    sending: "sending" = "Sending…";
    /// Once it is.
    sent: "sent" = "Thank you. Your message has been sent.";
    /// When it couldn't be: nothing that was typed is lost.
    failed: "failed" = "Your message could not be sent yet. Nothing you typed is lost: please try again.";
    /// On the button that sends it once more.
    retry: "retry" = "Try again";
    /// While there is no network.
    offline: "offline" = "You seem to be offline. Your message will be sent as soon as you are back.";
    /// Above a form with something wrong in it.
    wrong: "wrong" = "Please correct the marked fields.";
    /// At a field that must be filled in and isn't.
    required: "required" = "Please fill this in.";
    /// At a field with something else in it than is asked for.
    invalid: "invalid" = "Please check this.";
    /// Behind the label of a field that may stay empty.
    optional: "optional" = "optional";
}

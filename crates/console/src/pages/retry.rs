//! A retry policy as a form has it: one of three, and the delays of one's own.

use sensei_domain::{Faults, RetryPolicy, STANDARD_DELAYS, format_duration};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::form::Form;
use crate::page::text;

/// The fields of `fields.html`'s `retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetryFields {
    /// `none`, `standard` or `custom`.
    pub(crate) policy: String,
    /// As they are typed: `5s, 5m, 1h`.
    pub(crate) delays: String,
}

impl RetryFields {
    pub(crate) fn new(policy: &str) -> Self {
        Self {
            policy: policy.to_owned(),
            delays: String::new(),
        }
    }

    /// As the API shows a policy.
    pub(crate) fn of(retry: &Value) -> Self {
        let delays = retry["delays"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            policy: text(retry, "policy").to_owned(),
            delays: delays.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        }
    }

    pub(crate) fn typed(form: &Form) -> Self {
        Self {
            policy: form.text("retry").to_owned(),
            delays: form.text("retryDelays").to_owned(),
        }
    }

    /// As the API takes it. The delays of another policy are what was typed before it was chosen.
    pub(crate) fn to_json(&self) -> Value {
        let mut retry = json!({"policy": self.policy});
        if self.policy == "custom" {
            let delays = self.delays.split([',', ';', ' ', '\n']).map(str::trim);
            retry["delays"] = delays.filter(|delay| !delay.is_empty()).collect();
        }
        retry
    }

    /// What is wrong with it, before anything is changed.
    pub(crate) fn faults(&self, pointer: &str) -> Option<Faults> {
        RetryPolicy::from_json(&self.to_json(), pointer).err()
    }

    /// The standard policy in words.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) fn standard(&self) -> String {
        let delays = STANDARD_DELAYS.iter().map(|delay| format_duration(*delay));
        delays.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_as_people_separate_them() {
        let mut fields = RetryFields::new("custom");
        for typed in ["5s, 5m,1h", "5s 5m 1h", "5s;\n5m; 1h,"] {
            typed.clone_into(&mut fields.delays);
            assert_eq!(
                fields.to_json(),
                json!({"policy": "custom", "delays": ["5s", "5m", "1h"]})
            );
        }
        assert_eq!(RetryFields::of(&fields.to_json()).delays, "5s, 5m, 1h");
        assert_eq!(fields.faults("/retry"), None);
        for wrong in ["", "5 minutes", "8d"] {
            wrong.clone_into(&mut fields.delays);
            let faults = fields.faults("/retry").expect("faults");
            assert!(faults.iter().all(|fault| fault.pointer.starts_with("/retry/delays")));
        }
        "none".clone_into(&mut fields.policy);
        assert_eq!(fields.to_json(), json!({"policy": "none"}));
    }
}

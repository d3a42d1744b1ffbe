//! What each kind makes of templates for its slots.

use sensei_dispatcher::{Form, Kind};
use sensei_domain::Outcome;
use serde_json::{Map, Value, json};
use wiremock::MockServer;

use super::hostile::body_of;
use super::{all, event, sample};

/// This template in every slot of a kind.
pub(super) fn filled(kind: &dyn Kind, source: &str) -> Value {
    let slots = kind.slots().iter().map(|slot| {
        let template = match slot.form {
            Form::Text(_) => source.into(),
            Form::Json => {
                let expression = source.replace("}} {{", "~ ' ' ~");
                format!("{{\"text\": {expression}}}").into()
            }
            Form::Fields(_) => json!({"CUSTOM": source}),
        };
        (slot.name.to_owned(), template)
    });
    Value::Object(slots.collect::<Map<_, _>>())
}

#[tokio::test]
async fn every_slot_is_filled() {
    for vendor in all() {
        let name = vendor.kind_name();
        for slot in vendor.kind.slots() {
            let mut template = filled(&*vendor.kind, "{{ data.name }} {{ data.clientName }}");
            template
                .as_object_mut()
                .expect("an object")
                .retain(|key, _| key == slot.name);
            let body = event(&sample(), "Acme Corp");
            let requests = vendor.requests_by(&vendor.example(), &template, body).await;
            let sent = requests.iter().filter(|request| !request.body.is_empty()).map(body_of);
            let sent = Value::from(sent.collect::<Vec<_>>()).to_string();
            assert!(sent.contains("\"Jane Doe Acme Corp\""), "{name} {}: {sent}", slot.name);
        }
    }
}

#[tokio::test]
async fn a_template_that_fails_fails_the_attempt_with_its_line_and_nothing_is_sent() {
    for vendor in all() {
        let source = "\n{{ data.name | round }}";
        let template = filled(&*vendor.kind, source);
        let stub = MockServer::start().await;
        let body = event(&sample(), "Acme Corp");
        let attempted = vendor.deliver_by(&stub, &vendor.example(), &template, body).await;
        assert_eq!(
            attempted.outcome,
            Outcome::Rejected,
            "{}: {attempted:?}",
            vendor.kind_name()
        );
        let error = attempted.error.expect("words");
        assert!(
            error.starts_with("the template `") && error.contains(", line 2: "),
            "{error}"
        );
        assert!(
            stub.received_requests()
                .await
                .is_some_and(|requests| requests.is_empty())
        );
    }
}

//! Every kind by the form of its schema: chosen, filled, saved and opened again.

use axum::http::Method;
use serde_json::{Value, json};

use super::{client, plain, read, submit};
use crate::app::{ADMIN, TestConsole};

/// The fields of a form that an example config fills.
fn filled(config: &Value) -> Vec<(String, String)> {
    let fields = config.as_object().expect("an object").iter();
    let fields = fields.map(|(key, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(lines) => lines
                .iter()
                .map(|line| line.as_str().expect("a text"))
                .collect::<Vec<_>>()
                .join("\r\n"),
            other => panic!("{key}: {other}"),
        };
        (format!("config/{key}"), value)
    });
    fields.collect()
}

#[tokio::test]
async fn every_kinds_example_can_be_made_by_its_form_and_its_secrets_are_never_shown() {
    let console = TestConsole::new().await;
    let (id, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let kinds = console.api(Method::GET, "/v1/destination-kinds", None).await;
    let kinds = kinds["items"].as_array().expect("kinds");
    assert_eq!(kinds.len(), 16);
    let cards = browser.get(&format!("{list}/new")).await;
    for kind in kinds {
        let name = kind["kind"].as_str().expect("a name");
        let form = format!("{list}/new/{name}");
        let cards = cards.expect(200);
        assert!(cards.contains(&format!("href=\"{form}\"")), "{name}");
        assert!(cards.contains(kind["docsUrl"].as_str().expect("a URL")), "{name}");

        let page = browser.get(&form).await;
        let body = page.expect(200);
        let schema = &kind["configSchema"];
        for key in schema["properties"].as_object().expect("fields").keys() {
            assert!(
                body.contains(&format!("name=\"config/{key}\""))
                    || body.contains(&format!("name=\"config/{key}.key.0\"")),
                "{name}: {key}"
            );
        }
        let mut example = kind["example"].clone();
        if name == "email" {
            // The example's is a number of zeros, as some ids of others are.
            example["password"] = "of-the-mailbox".into();
        }
        let mut fields = filled(&example);
        fields.push(("name".to_owned(), format!("{name} <i>one</i>")));
        fields.push(("retry".to_owned(), "standard".to_owned()));
        let limit = &kind["rateLimit"];
        if limit.is_object() {
            assert!(
                body.contains(&format!("name=\"requests\" value=\"{}\"", limit["requests"])),
                "{name}"
            );
            fields.push(("requests".to_owned(), limit["requests"].to_string()));
            fields.push(("burst".to_owned(), limit["burst"].to_string()));
        }
        fields.push(("per".to_owned(), limit["per"].as_str().unwrap_or("second").to_owned()));
        let checked = submit(&browser, &form, &format!("{form}/check"), &fields).await;
        assert!(
            checked.expect(200).contains("This can be saved."),
            "{name}: {}",
            checked.body
        );
        assert!(checked.body.contains("What a sample lead would be"), "{name}");
        let made = submit(&browser, &form, &form, &fields).await;
        let page = made.leads_to().split('?').next().expect("a path").to_owned();

        let saved = read(&console, &page).await;
        let mut shown = example;
        let mut secrets = Vec::new();
        for field in kind["secretFields"].as_array().expect("fields") {
            let field = field.as_str().expect("a name");
            if let Some(secret) = shown.get_mut(field) {
                secrets.push(secret.as_str().expect("a secret").to_owned());
                *secret = "********".into();
            }
        }
        assert_eq!((&saved["config"], &saved["rateLimit"]), (&shown, limit), "{name}");
        assert_eq!((&saved["template"], &saved["filter"]), (&Value::Null, &Value::Null));
        for path in [
            list.clone(),
            page.clone(),
            format!("{page}/edit"),
            format!("{page}/preview"),
            format!("{page}/delete"),
            format!("/admin/clients/{id}/settings"),
        ] {
            let shown = browser.get(&path).await;
            let shown = shown.expect(200);
            assert!(!shown.contains("<i>one"), "{name} {path}");
            for secret in &secrets {
                assert!(!shown.contains(secret), "{name} {path} shows {secret}: {shown}");
            }
        }
        // Saved as it is opened, it stays as it is.
        let mut again = fields.clone();
        for (field, value) in &mut again {
            if secrets.contains(value) && field.starts_with("config/") {
                "********".clone_into(value);
            }
        }
        again.push(("version".to_owned(), saved["version"].to_string()));
        let edit = format!("{page}/edit");
        let kept = submit(&browser, &edit, &edit, &again).await;
        assert_eq!(kept.leads_to(), format!("{page}?done=saved"), "{name}");
        assert_eq!(read(&console, &page).await["config"], saved["config"], "{name}");
    }
}

#[tokio::test]
async fn a_webhooks_choices_maps_and_secrets_are_kept() {
    let console = TestConsole::new().await;
    let (_, list) = client(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let form = format!("{list}/new/webhook");
    let mut fields = plain(&[
        ("name", "CRM"),
        ("retry", "custom"),
        ("retryDelays", "5s"),
        ("config/url", "http://127.0.0.1:9/a"),
        ("config/method", "PUT"),
        ("config/auth", "basic"),
        ("config/auth@basic/username", "ann"),
        ("config/auth@basic/password", "top-secret"),
        // Of another choice: it doesn't count.
        ("config/auth@bearer/token", "unused-token"),
        ("config/headers.key.0", "X-Team"),
        ("config/headers.value.0", "sales"),
        ("config/secretHeaders.key.0", "X-Token"),
        ("config/secretHeaders.value.0", "hidden-value"),
        ("requests", "30"),
        ("per", "minute"),
        ("burst", ""),
        ("ordered", "yes"),
        ("filterMode", "all"),
        ("filter.path.1", "data.message"),
        ("filter.operator.1", "contains"),
        ("filter.value.1", "enterprise"),
        ("filter.ignoreCase.1", "yes"),
        ("template/body", "{\"who\": {{ data.name }}}"),
    ]);
    let made = submit(&browser, &form, &form, &fields).await;
    let page = made.leads_to().split('?').next().expect("a path").to_owned();
    let saved = read(&console, &page).await;
    assert_eq!(
        saved["config"],
        json!({"url": "http://127.0.0.1:9/a", "method": "PUT",
            "auth": {"type": "basic", "username": "ann", "password": "********"},
            "headers": {"X-Team": "sales"}, "secretHeaders": {"X-Token": "********"}})
    );
    assert_eq!(
        saved["filter"],
        json!({"all": [{"path": "data.message", "contains": "enterprise", "ignoreCase": true}]})
    );
    assert_eq!(
        saved["rateLimit"],
        json!({"requests": 30, "per": "minute", "burst": 30})
    );
    assert_eq!(saved["template"], json!({"body": "{\"who\": {{ data.name }}}"}));
    assert_eq!(saved["ordered"], true);

    let edit = format!("{page}/edit");
    let body = browser.get(&edit).await.body;
    assert!(!body.contains("top-secret") && !body.contains("hidden-value") && !body.contains("unused-token"));
    for shown in [
        "value=\"sales\"",
        "value=\"ann\"",
        "value=\"enterprise\"",
        "value=\"basic\" selected",
        "{&#34;who&#34;: {{ data.name }}}",
    ] {
        assert!(body.contains(shown), "{shown}: {body}");
    }
    // Elsewhere: the secrets must be given again, and that is said by each.
    for (name, value) in &mut fields {
        match name.as_str() {
            "config/url" => "http://127.0.0.2:9/a".clone_into(value),
            "config/auth@basic/password" | "config/secretHeaders.value.0" => "********".clone_into(value),
            _ => {}
        }
    }
    fields.push(("version".to_owned(), saved["version"].to_string()));
    let page_again = submit(&browser, &edit, &edit, &fields).await;
    let body = page_again.expect(422);
    assert!(
        body.contains("id=\"config-auth-basic-password-wrong\">must be given again"),
        "{body}"
    );
    assert_eq!(read(&console, &page).await, saved);
}

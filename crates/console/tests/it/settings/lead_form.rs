//! The lead form, as it is set on the page of its own.

use serde_json::json;

use super::{client, own, settings};
use crate::app::{ADMIN, TestConsole};

#[tokio::test]
async fn a_lead_form_is_set_by_its_page() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let to = format!("{path}/form");
    let browser = own(&console, &id).await;
    assert!(browser.get(&path).await.body.contains(&to));
    let page = browser.get(&to).await;
    let body = page.expect(200);
    assert!(
        body.contains("&lt;script src=\"http://console.example/embed.js\""),
        "{body}"
    );
    assert!(body.contains(&format!("data-client=\"{id}\"")), "{body}");
    let before = settings(&console, &id).await;

    let fields = [
        ("enabled", "yes"),
        ("allowedOrigins", "https://www.acme.example\r\nhttps://acme.example"),
        ("lang", "de"),
        ("field.name.0", "email"),
        ("field.label.0", "E-Mail"),
        ("field.type.0", "email"),
        ("field.name.2", "name"),
        ("field.label.2", "Name"),
        ("field.type.2", "text"),
        ("field.options.2", "left over"),
        ("field.name.3", "budget"),
        ("field.label.3", "Budget <i>"),
        ("field.type.3", "select"),
        ("field.required.3", "yes"),
        ("field.options.3", "1k\r\n10k"),
        ("text.title", "Sprechen Sie uns an"),
        ("text.submit", "Senden"),
        ("accent", "#0a7f5a"),
        ("radius", "0"),
        ("scheme", "dark"),
    ];
    let saved = browser.submit(&to, &to, &fields).await;
    assert_eq!(saved.leads_to(), format!("{to}?done=saved"));
    let set = settings(&console, &id).await;
    assert_eq!(
        set["allowedOrigins"],
        json!(["https://www.acme.example", "https://acme.example"])
    );
    let form = &set["form"];
    assert_eq!((&form["enabled"], &form["lang"]), (&json!(true), &json!("de")));
    let names = form["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| &field["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["email", "name", "budget"]);
    assert_eq!(form["fields"][2]["options"], json!(["1k", "10k"]));
    assert_eq!(form["texts"]["title"], "Sprechen Sie uns an");
    assert_eq!(
        form["theme"],
        json!({"accent": "#0a7f5a", "radius": 0, "scheme": "dark"})
    );
    let body = browser.get(saved.leads_to()).await.body;
    assert!(
        body.contains("Saved.") && body.contains("Budget &#60;i&#62;") && body.contains("1k\n10k</textarea>"),
        "{body}"
    );

    let mut wrong = fields.to_vec();
    for (name, value) in &mut wrong {
        match *name {
            "allowedOrigins" => *value = "http://acme.example",
            "field.name.3" => *value = "na me",
            "lang" => *value = "the german language",
            "accent" => *value = "red",
            "radius" => *value = "round",
            _ => {}
        }
    }
    let page = browser.submit(&to, &to, &wrong).await;
    let body = page.expect(422);
    for id in ["origins", "field-2", "lang", "accent", "radius"] {
        assert!(body.contains(&format!("id=\"{id}-wrong\">")), "{id}: {body}");
    }
    for typed in [
        "value=\"na me\"",
        "value=\"red\"",
        "value=\"round\"",
        ">http://acme.example<",
    ] {
        assert!(body.contains(typed), "{typed}: {body}");
    }
    assert_eq!(settings(&console, &id).await, set);
    assert_ne!(before, set);

    let (_, others) = client(&console, "Other").await;
    browser.get(&format!("{others}/form")).await.expect(404);
    // A publishable key comes with the line to copy.
    let admin = console.signed_in(ADMIN).await;
    let key = [("name", "page"), ("kind", "publishable")];
    let made = admin.submit(&path, &format!("{path}/keys"), &key).await;
    assert!(made.expect(200).contains("data-key=\"pk_"), "{}", made.body);
}

#[tokio::test]
async fn a_lead_form_shows_another_row_without_saving() {
    let console = TestConsole::new().await;
    let (id, path) = client(&console, "Acme").await;
    let to = format!("{path}/form");
    let browser = console.signed_in(ADMIN).await;
    let before = settings(&console, &id).await;
    let rows = |body: &str| body.matches("name=\"field.name.").count();
    let shown = rows(browser.get(&to).await.expect(200));
    let numbers = (0..shown).map(|row| format!("field.name.{row}")).collect::<Vec<_>>();
    let mut fields = vec![("more", "fields"), ("field.label.0", "Who \"are\" you?")];
    fields.extend(numbers.iter().map(|name| (name.as_str(), "")));
    let more = browser.submit(&to, &to, &fields).await;
    let body = more.expect(200);
    assert_eq!(rows(body), shown + 1);
    assert!(body.contains("value=\"Who &#34;are&#34; you?\""), "{body}");
    assert_eq!(settings(&console, &id).await, before);
}

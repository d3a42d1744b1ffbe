//! Options that can never work, and their schema, which says so too.

use sensei_dispatcher::{Kind as _, Webhook};
use serde_json::{Value, json};

use super::{bind, config, table};

/// Choices that can never work, and what is said of them.
fn wrong_choices() -> Vec<(Value, &'static str)> {
    let oauth = |field: &str, value: Value| {
        let mut auth = json!({
            "type": "oauth2ClientCredentials", "tokenUrl": "https://example.com/token", "clientId": "id", "clientSecret": "S3CRET"
        });
        auth[field] = value;
        json!({ "auth": auth })
    };
    vec![
        (
            json!({"method": "GET"}),
            "/method must be \"POST\", \"PUT\" or \"PATCH\"",
        ),
        (json!({"method": "post"}), "/method must be"),
        (json!({"method": 7}), "/method must be a string"),
        (json!({"body": "xml"}), "/body must be \"json\", \"form\""),
        (json!({"auth": "S3CRET"}), "/auth must be a JSON object"),
        (json!({"auth": {}}), "/auth/type is required"),
        (
            json!({"auth": {"type": "digest"}}),
            "/auth/type must be \"basic\", \"bearer\" or",
        ),
        (
            json!({"auth": {"type": "basic", "password": "S3CRET"}}),
            "/auth/username is required",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a:b", "password": "S3CRET"}}),
            "/auth/username must not contain a colon",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a", "password": "S3CRET\n"}}),
            "/auth/password must not contain control",
        ),
        (
            json!({"auth": {"type": "basic", "username": "a", "token": "S3CRET"}}),
            "/auth/token is not a known field",
        ),
        (json!({"auth": {"type": "bearer"}}), "/auth/token is required"),
        (
            json!({"auth": {"type": "bearer", "token": "Bearer S3CRET"}}),
            "/auth/token must be visible ASCII without spaces",
        ),
        (
            json!({"auth": {"type": "bearer", "token": "S3CRET\u{e9}"}}),
            "/auth/token must be visible ASCII",
        ),
        (
            oauth("tokenUrl", json!("ftp://example.com")),
            "/auth/tokenUrl must begin with https://",
        ),
        (oauth("tokenUrl", json!(null)), "/auth/tokenUrl must not be null"),
        (oauth("clientId", json!("")), "/auth/clientId must not be empty"),
        (oauth("clientSecret", json!(7)), "/auth/clientSecret must be a string"),
        (
            oauth("credentialsIn", json!("query")),
            "/auth/credentialsIn must be \"header\" or \"body\"",
        ),
        (oauth("scopes", json!("a")), "/auth/scopes is not a known field"),
        (json!({"header": {}}), "/header is not a known field"),
    ]
}

/// Headers that can never work, and what is said of them.
fn wrong_headers() -> Vec<(Value, &'static str)> {
    let many = |count: u32| {
        let headers = (0..count).map(|number| (format!("x-{number}"), json!("S3CRET")));
        headers.collect::<serde_json::Map<_, _>>()
    };
    let header = |name: &str, value: &str| json!({"secretHeaders": {name: value}});
    vec![
        (
            json!({"headers": [{"name": "X", "value": "S3CRET"}]}),
            "/headers must be an object of names and values",
        ),
        (json!({"secretHeaders": "S3CRET"}), "/secretHeaders must be an object"),
        (
            json!({"secretHeaders": {"x-a": 7}}),
            "/secretHeaders/x-a must be a string",
        ),
        (
            json!({"secretHeaders": {"x-a": null}}),
            "/secretHeaders/x-a must be a string",
        ),
        (header("", "S3CRET"), "/secretHeaders/ must be a header's name"),
        (header("x a", "S3CRET"), "/secretHeaders/x a must be a header's name"),
        (
            header("x/a~b", "S3CRET"),
            "/secretHeaders/x~1a~0b must be a header's name",
        ),
        (header("x\r\nhost", "S3CRET"), "must be a header's name"),
        (header("x-a", ""), "/secretHeaders/x-a must be visible ASCII"),
        (header("x-a", " S3CRET"), "/secretHeaders/x-a must be visible ASCII"),
        (
            header("x-a", "S3CRET\r\nhost: a"),
            "/secretHeaders/x-a must be visible ASCII",
        ),
        (
            header("x-a", "S3CRET\u{e9}"),
            "/secretHeaders/x-a must be visible ASCII",
        ),
        (header("Host", "S3CRET"), "/secretHeaders/Host must not be given"),
        (header("content-length", "1"), "/secretHeaders/content-length must not"),
        (
            header("Content-Type", "text/plain"),
            "/secretHeaders/Content-Type must not",
        ),
        (header("transfer-encoding", "chunked"), "must not be given"),
        (header("Connection", "close"), "must not be given"),
        (header("User-Agent", "S3CRET"), "must not be given"),
        (header("Webhook-Id", "S3CRET"), "must not be given"),
        (header("webhook-anything", "S3CRET"), "must not be given"),
        (header("Sensei-Test", "true"), "must not be given"),
        (header("ce-id", "S3CRET"), "must not be given"),
        (
            json!({"headers": {"Authorization": "S3CRET"}}),
            "/headers/Authorization must be among secretHeaders",
        ),
        (
            json!({"headers": {"cookie": "S3CRET"}}),
            "/headers/cookie must be among secretHeaders",
        ),
        (
            json!({"headers": {"X-A": "S3CRET", "x-a": "b"}}),
            "/headers/x-a must be given once",
        ),
        (
            json!({"headers": {"X-A": "b"}, "secretHeaders": {"x-a": "S3CRET"}}),
            "/secretHeaders/x-a must be given once",
        ),
        (
            json!({"secretHeaders": {"authorization": "S3CRET"}, "auth": {"type": "bearer", "token": "S3CRET"}}),
            "/secretHeaders/authorization must not be given beside auth",
        ),
        (json!({ "secretHeaders": many(21) }), "/headers must be at most 20"),
        // More than a map of headers could hold.
        (json!({ "headers": many(40_000) }), "/headers must be at most 20"),
        (
            json!({ "secretHeaders": many(40_000) }),
            "/headers must have at most 4096 bytes",
        ),
        (
            json!({"secretHeaders": {"x-a": "S3CRET".repeat(700)}}),
            "/headers must have at most 4096 bytes",
        ),
    ]
}

#[test]
fn options_that_can_never_work_are_refused_by_their_names_without_what_was_given() {
    let kind = Webhook::new();
    for (options, words) in wrong_choices().into_iter().chain(wrong_headers()) {
        let refused = kind.bind(&config("https://example.com/", &options));
        let refused = refused.expect_err(&options.to_string()).to_string();
        assert!(refused.contains(words), "{options}: {refused}");
        assert!(!refused.contains("S3CRET"), "{refused}");
    }
}

#[test]
fn its_schema_takes_what_it_takes() {
    let schema = &Webhook::new().descriptor().config_schema.clone();
    let oauth = json!({"auth": {
        "type": "oauth2ClientCredentials", "tokenUrl": "https://example.com/token", "clientId": "id", "clientSecret": "s",
        "scope": "a b", "credentialsIn": "body"
    }});
    let all = table().into_iter().map(|(options, _)| options).chain([oauth]);
    for options in all {
        let config = config("https://example.com/", &options);
        bind(&config);
        assert!(jsonschema::is_valid(schema, &config), "{config}");
    }
    for wrong in [
        json!({"method": "GET"}),
        json!({"body": "xml"}),
        json!({"headers": {"x": 1}}),
        json!({"auth": {"type": "bearer", "username": "a"}}),
        json!({"auth": {"type": "digest"}}),
        json!({"header": {}}),
    ] {
        assert!(
            !jsonschema::is_valid(schema, &config("https://example.com/", &wrong)),
            "{wrong}"
        );
    }
}

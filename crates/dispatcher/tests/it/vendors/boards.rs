//! Task boards: Asana, Trello, Linear, ClickUp and Jira.

use sensei_domain::Outcome;
use serde_json::{Value, json};

use super::{AGAIN, Answer, DELIVERED, Vendor, after, answer, event, kind, sample};

const REJECTED: Outcome = Outcome::Rejected;
const UNSEEN: &str = "all of it; it is from the vendor's reference";

pub(super) fn all() -> [Vendor; 5] {
    [
        Vendor {
            kind: kind("asana"),
            host: "app.asana.com",
            method: "POST",
            path: "/api/1.0/tasks",
            way: None,
            others: &[],
            answers: ASANA,
            unseen: UNSEEN,
        },
        Vendor {
            kind: kind("trello"),
            host: "api.trello.com",
            method: "POST",
            path: "/1/cards",
            way: None,
            others: &[],
            answers: TRELLO,
            unseen: UNSEEN,
        },
        Vendor {
            kind: kind("linear"),
            host: "api.linear.app",
            method: "POST",
            path: "/graphql",
            way: None,
            others: &[],
            answers: LINEAR,
            unseen: UNSEEN,
        },
        Vendor {
            kind: kind("clickup"),
            host: "api.clickup.com",
            method: "POST",
            path: "/api/v2/list/900000000000/task",
            way: None,
            others: &[],
            answers: CLICKUP,
            unseen: UNSEEN,
        },
        Vendor {
            kind: kind("jira"),
            host: "acme.atlassian.net",
            method: "POST",
            path: "/rest/api/3/issue",
            way: None,
            others: &[],
            answers: JIRA,
            unseen: UNSEEN,
        },
    ]
}

const TOO_MANY: Answer = Answer {
    status: 429,
    headers: &[("retry-after", "30")],
    body: "",
    outcome: after(30),
    words: "429",
};
const UNAUTHORIZED: Answer = answer(401, "", REJECTED, "make a new one");
const FORBIDDEN: Answer = answer(403, "", REJECTED, "the scopes of the guide");
const NOT_FOUND: Answer = answer(404, "", REJECTED, "check the ids");
const BROKEN: Answer = answer(500, "", AGAIN, "500");
const AWAY: Answer = answer(503, "", AGAIN, "503");

const ASANA: &[Answer] = &[
    answer(201, r#"{"data": {"gid": "1"}}"#, DELIVERED, ""),
    TOO_MANY,
    BROKEN,
    AWAY,
    answer(
        400,
        r#"{"errors": [{"message": "projects: Not a recognized ID: 1"}]}"#,
        REJECTED,
        "projects: Not a recognized ID: 1",
    ),
    UNAUTHORIZED,
    answer(
        402,
        r#"{"errors": [{"message": "Payment Required"}]}"#,
        REJECTED,
        "Payment Required",
    ),
    FORBIDDEN,
    NOT_FOUND,
];

const TRELLO: &[Answer] = &[
    answer(200, r#"{"id": "1"}"#, DELIVERED, ""),
    TOO_MANY,
    BROKEN,
    AWAY,
    answer(400, "invalid value for idList", REJECTED, "it refused the request"),
    UNAUTHORIZED,
    NOT_FOUND,
];

const LINEAR: &[Answer] = &[
    answer(200, r#"{"data": {"issueCreate": {"success": true}}}"#, DELIVERED, ""),
    answer(
        200,
        r#"{"data": {"issueCreate": {"success": false}}}"#,
        AGAIN,
        "not that it made the issue",
    ),
    answer(
        200,
        r#"{"errors": [{"message": "Entity not found: Team"}]}"#,
        REJECTED,
        "but: Entity not found: Team",
    ),
    answer(
        200,
        r#"{"errors": [{"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED"}}]}"#,
        AGAIN,
        "too many requests",
    ),
    answer(
        400,
        r#"{"errors": [{"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED"}}]}"#,
        AGAIN,
        "too many requests",
    ),
    answer(
        200,
        r#"{"data": null, "errors": [{"message": "Internal server error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}"#,
        AGAIN,
        "a fault of its own",
    ),
    answer(
        400,
        r#"{"errors": [{"message": "Variable is invalid"}]}"#,
        REJECTED,
        "Variable is invalid",
    ),
    UNAUTHORIZED,
    BROKEN,
    AWAY,
];

const CLICKUP: &[Answer] = &[
    answer(200, r#"{"id": "1"}"#, DELIVERED, ""),
    TOO_MANY,
    BROKEN,
    AWAY,
    answer(
        400,
        r#"{"err": "List ID invalid", "ECODE": "INPUT_003"}"#,
        REJECTED,
        "List ID invalid",
    ),
    UNAUTHORIZED,
    NOT_FOUND,
];

const JIRA: &[Answer] = &[
    answer(201, r#"{"id": "1", "key": "SALES-7"}"#, DELIVERED, ""),
    TOO_MANY,
    BROKEN,
    AWAY,
    answer(
        400,
        r#"{"errorMessages": [], "errors": {"project": "valid project is required"}}"#,
        REJECTED,
        "project: valid project is required",
    ),
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
];

/// What each sends for the sample: the header with its secret, and the body.
fn expected(kind: &str) -> (&'static str, Value) {
    let lines = "Name: Jane Doe\nEmail: jane@example.com\nPhone: +15550100\n\nI need a quote\n\n\
                 lead 0193a2b5-0000-7000-8000-000000000001 · 2024-11-24T10:30:00.000Z";
    let escaped = lines
        .replace("jane@", "jane\\@")
        .replace("lead 0193a2b5-0000-7000-8000-", r"lead 0193a2b5\-0000\-7000\-8000\-");
    let task = "New lead: Jane Doe";
    match kind {
        "asana" => (
            "Bearer 2/0000000000000000/xxxxxxxx",
            json!({"data": {"name": task, "notes": lines, "projects": ["1200000000000000"]}}),
        ),
        "trello" => (
            r#"OAuth oauth_consumer_key="00000000000000000000000000000000", oauth_token="ATTA0000000000000000""#,
            json!({"idList": "000000000000000000000000", "name": task, "desc": escaped, "pos": "top"}),
        ),
        "linear" => (
            "lin_api_XXXXXXXX",
            json!({
                "query": "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { url } } }",
                "variables": {"input": {
                    "teamId": "00000000-0000-0000-0000-000000000000", "title": task, "description": escaped,
                }},
            }),
        ),
        "clickup" => (
            "pk_00000000_XXXXXXXXXXXXXXXX",
            json!({"name": task, "markdown_description": escaped}),
        ),
        _ => {
            let text = |text: &str| json!({"type": "text", "text": text});
            let line = || json!({"type": "hardBreak"});
            let content = lines.lines().enumerate().flat_map(|(index, words)| {
                let break_before = (index > 0).then(line);
                break_before.into_iter().chain((!words.is_empty()).then(|| text(words)))
            });
            let paragraph = json!({"type": "paragraph", "content": content.collect::<Vec<_>>()});
            (
                "Basic c2FsZXNAYWNtZS5leGFtcGxlOkFUQVRUMDAwMDAwMDAwMA==",
                json!({"fields": {
                    "project": {"key": "SALES"}, "issuetype": {"name": "Task"}, "summary": task,
                    "description": {"type": "doc", "version": 1, "content": [paragraph]},
                }}),
            )
        }
    }
}

#[tokio::test]
async fn task_is_what_a_board_shows() {
    for vendor in all() {
        let request = vendor.request(&vendor.example(), event(&sample(), "Acme Corp")).await;
        let (authorization, body) = expected(vendor.kind_name());
        assert_eq!(
            request.headers["authorization"],
            authorization,
            "{}",
            vendor.kind_name()
        );
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(
            request.body_json::<Value>().expect("JSON"),
            body,
            "{}",
            vendor.kind_name()
        );
    }
}

#[tokio::test]
async fn clickup_says_when_its_limit_begins_anew() {
    let [_, _, _, clickup, _] = all();
    let reset = unix_seconds() + 40;
    let stub = wiremock::MockServer::start().await;
    let limited = wiremock::ResponseTemplate::new(429).insert_header("x-ratelimit-reset", reset.to_string());
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(limited)
        .mount(&stub)
        .await;
    let attempted = clickup
        .deliver(&stub, &clickup.example(), event(&sample(), "Acme Corp"))
        .await;
    let Outcome::Unavailable {
        retry_after: Some(wait),
    } = attempted.outcome
    else {
        panic!("{attempted:?}")
    };
    assert!((30..=40).contains(&wait.as_secs()), "{wait:?}");
}

/// Unix time in seconds.
fn unix_seconds() -> i64 {
    use sensei_domain::{Clock as _, SystemClock};
    SystemClock.now().as_seconds()
}

#[test]
fn jiras_site_is_a_name_and_no_encoded_one() {
    let [.., jira] = all();
    for site in ["xn--a", "acme.evil", "-acme", "acme-", "ACME", "acme/..", "a@b"] {
        let mut config = jira.example();
        config["site"] = site.into();
        let refused = jira.kind.bind(&config).expect_err(site).to_string();
        assert!(refused.contains("/site must be the first part"), "{refused}");
    }
}

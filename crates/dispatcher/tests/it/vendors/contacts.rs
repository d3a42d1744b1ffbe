//! Contacts and mailing lists: HubSpot, Mailchimp and Kit.

use sensei_domain::Outcome;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{AGAIN, Answer, DELIVERED, Vendor, after, answer, event, kind, sample};

const REJECTED: Outcome = Outcome::Rejected;

pub(super) fn all() -> [Vendor; 3] {
    [hubspot(), mailchimp(), kit()]
}

fn hubspot() -> Vendor {
    Vendor {
        kind: kind("hubspot"),
        host: "api.hubapi.com",
        method: "POST",
        path: "/crm/v3/objects/contacts/batch/upsert",
        way: None,
        others: &[],
        answers: HUBSPOT,
        unseen: "which categories of errors in an answer of 207 pass, and that `message` is a property of every account",
    }
}

fn mailchimp() -> Vendor {
    Vendor {
        kind: kind("mailchimp"),
        host: "us21.api.mailchimp.com",
        method: "PUT",
        // The MD5 of jane@example.com.
        path: "/3.0/lists/0000000000/members/9e26471d35a78862c17e467d87cddedf",
        way: None,
        others: &[],
        answers: MAILCHIMP,
        unseen: "the title `Member In Compliance State`",
    }
}

fn kit() -> Vendor {
    Vendor {
        kind: kind("kit"),
        host: "api.kit.com",
        method: "POST",
        path: "/v4/subscribers",
        way: None,
        others: &[],
        answers: KIT,
        unseen: "201 for a new and 200 for a known subscriber, and the form of 422",
    }
}

const UNAUTHORIZED: Answer = answer(401, "", REJECTED, "make a new one");
const NOT_FOUND: Answer = answer(404, "", REJECTED, "check the ids");
const BROKEN: Answer = answer(500, "", AGAIN, "500");

const HUBSPOT: &[Answer] = &[
    answer(
        200,
        r#"{"status": "COMPLETE", "results": [{"id": "1"}]}"#,
        DELIVERED,
        "",
    ),
    answer(201, "", DELIVERED, ""),
    answer(
        207,
        r#"{"status": "COMPLETE", "numErrors": 0, "errors": []}"#,
        DELIVERED,
        "",
    ),
    answer(207, r#"{"status": "COMPLETE", "errors": []}"#, DELIVERED, ""),
    answer(207, r#"{"numErrors": 1}"#, AGAIN, "it kept nothing"),
    answer(207, r#"{"status": "COMPL"#, AGAIN, "it kept nothing"),
    answer(
        207,
        r#"{"numErrors": 1, "errors": [{"category": "VALIDATION_ERROR", "message": "Property client does not exist"}]}"#,
        REJECTED,
        "Property client does not exist",
    ),
    answer(
        207,
        r#"{"numErrors": 1, "errors": [{"category": "RATE_LIMITS", "message": "You have reached your limit"}]}"#,
        AGAIN,
        "You have reached your limit",
    ),
    answer(
        400,
        r#"{"category": "VALIDATION_ERROR", "message": "Email is invalid"}"#,
        REJECTED,
        "Email is invalid",
    ),
    UNAUTHORIZED,
    answer(403, "", REJECTED, "the scopes of the guide"),
    answer(409, r#"{"category": "CONFLICT", "message": "Conflict"}"#, AGAIN, "409"),
    answer(423, "", AGAIN, "423"),
    Answer {
        status: 477,
        headers: &[("retry-after", "3600")],
        body: "",
        outcome: after(3_600),
        words: "477",
    },
    Answer {
        status: 429,
        headers: &[("retry-after", "10")],
        body: "",
        outcome: after(10),
        words: "429",
    },
    BROKEN,
];

const MAILCHIMP: &[Answer] = &[
    answer(200, r#"{"status": "pending"}"#, DELIVERED, ""),
    answer(
        400,
        r#"{"title": "Invalid Resource", "detail": "jane@example.com has signed up to a lot of lists very recently"}"#,
        AGAIN,
        "added to many lists of late",
    ),
    answer(
        400,
        r#"{"title": "Forgotten Email Not Subscribed", "detail": "was permanently deleted"}"#,
        REJECTED,
        "deleted for good",
    ),
    answer(
        400,
        r#"{"title": "Member In Compliance State", "detail": ""}"#,
        REJECTED,
        "unsubscribed or bounces",
    ),
    answer(
        400,
        r#"{"title": "Invalid Resource", "detail": "Please provide a valid email address."}"#,
        REJECTED,
        "Invalid Resource: Please provide a valid email address.",
    ),
    UNAUTHORIZED,
    answer(403, "", REJECTED, "another data center"),
    NOT_FOUND,
    answer(429, "", AGAIN, "429"),
    BROKEN,
];

const KIT: &[Answer] = &[
    answer(200, r#"{"subscriber": {"id": 1}}"#, DELIVERED, ""),
    answer(201, r#"{"subscriber": {"id": 1}}"#, DELIVERED, ""),
    answer(
        422,
        r#"{"errors": ["Email address is invalid"]}"#,
        REJECTED,
        "Email address is invalid",
    ),
    UNAUTHORIZED,
    answer(403, "", REJECTED, "403"),
    NOT_FOUND,
    answer(429, "Retry later", after(60), "429"),
    BROKEN,
];

#[tokio::test]
async fn contact_is_what_the_lead_says() {
    let request =
        |vendor: Vendor, config: Value| async move { vendor.request(&config, event(&sample(), "Acme Corp")).await };
    let mut config = hubspot().example();
    config["clientProperty"] = "agency_client".into();
    let sent = request(hubspot(), config).await;
    assert_eq!(
        sent.headers["authorization"],
        "Bearer pat-eu1-00000000-0000-0000-0000-000000000000"
    );
    let properties = json!({
        "email": "jane@example.com", "firstname": "Jane", "lastname": "Doe", "phone": "+15550100",
        "message": "I need a quote", "agency_client": "Acme Corp",
    });
    let expected = json!({"inputs": [{"idProperty": "email", "id": "jane@example.com", "properties": properties}]});
    assert_eq!(sent.body_json::<Value>().expect("JSON"), expected);

    let sent = request(mailchimp(), mailchimp().example()).await;
    assert_eq!(sent.url.query(), Some("skip_merge_validation=true"));
    assert_eq!(
        sent.headers["authorization"],
        "Basic YW55OjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLXVzMjE="
    );
    let expected = json!({
        "email_address": "jane@example.com", "status_if_new": "pending",
        "merge_fields": {"FNAME": "Jane", "LNAME": "Doe", "PHONE": "+15550100"},
    });
    assert_eq!(sent.body_json::<Value>().expect("JSON"), expected);

    let sent = request(kit(), kit().example()).await;
    assert_eq!(sent.headers["x-kit-api-key"], "kit_00000000000000000000000000000000");
    let expected = json!({
        "email_address": "jane@example.com", "first_name": "Jane", "state": "inactive",
        "fields": {"last_name": "Doe", "phone": "+15550100"},
    });
    assert_eq!(sent.body_json::<Value>().expect("JSON"), expected);
}

#[tokio::test]
async fn member_is_found_whatever_the_case_of_his_address() {
    let lead = json!({"name": "Jane Doe", "email": "Jane@Example.com"});
    let sent = mailchimp()
        .request(&mailchimp().example(), event(&lead, "Acme Corp"))
        .await;
    assert!(sent.url.path().ends_with(mailchimp().path), "{}", sent.url);
}

#[tokio::test]
async fn contact_that_is_there_is_brought_up_to_date() {
    let vendor = hubspot();
    let stub = MockServer::start().await;
    let conflict = json!({"category": "CONFLICT", "message": "Contact already exists. Existing ID: 123"});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(409).set_body_json(conflict))
        .expect(1)
        .mount(&stub)
        .await;
    let properties = json!({
        "email": "jane@example.com", "firstname": "Jane", "lastname": "Doe", "phone": "+15550100", "message": "I need a quote",
    });
    Mock::given(method("PATCH"))
        .and(path("/api.hubapi.com/crm/v3/objects/contacts/123"))
        .and(body_json(json!({ "properties": properties })))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&stub)
        .await;
    let attempted = vendor
        .deliver(&stub, &vendor.example(), event(&sample(), "Acme Corp"))
        .await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
    stub.verify().await;
}

#[tokio::test]
async fn subscriber_is_added_to_the_form_once_he_is_there() {
    let vendor = kit();
    let mut config = vendor.example();
    config["formId"] = "77".into();
    let form = "/api.kit.com/v4/forms/77/subscribers";
    for (subscribed, added, outcome) in [(200, 200, DELIVERED), (201, 404, REJECTED), (500, 200, AGAIN)] {
        let stub = MockServer::start().await;
        Mock::given(path("/api.kit.com/v4/subscribers"))
            .respond_with(ResponseTemplate::new(subscribed))
            .expect(1)
            .mount(&stub)
            .await;
        Mock::given(path(form))
            .and(body_json(json!({"email_address": "jane@example.com"})))
            .respond_with(ResponseTemplate::new(added))
            .expect(u64::from(subscribed != 500))
            .mount(&stub)
            .await;
        let attempted = vendor.deliver(&stub, &config, event(&sample(), "Acme Corp")).await;
        assert_eq!(attempted.outcome, outcome, "{attempted:?}");
        stub.verify().await;
    }
}

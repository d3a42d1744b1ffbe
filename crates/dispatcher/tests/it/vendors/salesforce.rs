//! Salesforce: by REST, with tokens that end, and by the form.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{AGAIN, Answer, DELIVERED, Other, Vendor, answer, event, kind, sample};
use sensei_domain::Outcome;

const REJECTED: Outcome = Outcome::Rejected;
const TOKEN: &str = "/acme.my.salesforce.com/services/oauth2/token";
const LEAD: &str = "/services/data/v67.0/sobjects/Lead/Sensei_Lead_Id__c/0193a2b5-0000-7000-8000-000000000001";

pub(super) fn rest() -> Vendor {
    Vendor {
        kind: kind("salesforce"),
        host: "acme.my.salesforce.com",
        method: "PATCH",
        path: LEAD,
        way: Some(("REST", || kind("salesforce").descriptor().example.clone())),
        others: &[Other {
            method: "POST",
            path: TOKEN,
            status: 200,
            body: r#"{"access_token": "00D!t0", "instance_url": "https://acme.my.salesforce.com"}"#,
        }],
        answers: REST,
        unseen: "300 for several matches, and the code `DUPLICATES_DETECTED`",
    }
}

pub(super) fn form() -> Vendor {
    Vendor {
        kind: kind("salesforce"),
        host: "webto.salesforce.com",
        method: "POST",
        path: "/servlet/servlet.WebToLead",
        way: Some(("Web-to-Lead", || json!({"orgId": "00D000000000001"}))),
        others: &[],
        answers: FORM,
        unseen: "the header `Is-Processed`",
    }
}

const REST: &[Answer] = &[
    answer(201, r#"{"id": "00Q1", "success": true, "errors": []}"#, DELIVERED, ""),
    answer(200, r#"{"id": "00Q1", "success": true, "errors": []}"#, DELIVERED, ""),
    answer(204, "", DELIVERED, ""),
    answer(
        300,
        r#"["/services/data/v67.0/sobjects/Lead/00Q1"]"#,
        REJECTED,
        "make its field unique",
    ),
    answer(
        400,
        r#"[{"message": "Required fields are missing", "errorCode": "REQUIRED_FIELD_MISSING", "fields": ["Title"]}]"#,
        REJECTED,
        "Required fields are missing (Title)",
    ),
    answer(
        400,
        r#"[{"message": "Use one of these records?", "errorCode": "DUPLICATES_DETECTED", "fields": []}]"#,
        REJECTED,
        "Use one of these records?",
    ),
    answer(
        400,
        r#"[{"message": "unable to obtain exclusive access to this record", "errorCode": "UNABLE_TO_LOCK_ROW", "fields": []}]"#,
        AGAIN,
        "somebody else was changing a record of it",
    ),
    answer(
        400,
        r#"[{"message": "The flow failed: UNABLE_TO_LOCK_ROW: unable to obtain exclusive access", "errorCode": "CANNOT_EXECUTE_FLOW_TRIGGER"}]"#,
        AGAIN,
        "somebody else was changing a record of it",
    ),
    answer(
        401,
        r#"[{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]"#,
        REJECTED,
        "make a new one",
    ),
    answer(
        403,
        r#"[{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]"#,
        AGAIN,
        "the day's requests are used up",
    ),
    answer(
        403,
        r#"[{"message": "insufficient access", "errorCode": "INSUFFICIENT_ACCESS"}]"#,
        REJECTED,
        "403",
    ),
    answer(404, "", REJECTED, "404"),
    answer(503, "", AGAIN, "503"),
];

const FORM: &[Answer] = &[
    answer(200, "", DELIVERED, "accepted, unconfirmed"),
    Answer {
        status: 200,
        headers: &[(
            "is-processed",
            "true Exception:common.exception.SalesforceGenericException",
        )],
        body: "",
        outcome: REJECTED,
        words: "it didn't keep the lead",
    },
    answer(404, "", REJECTED, "check the organisation's id"),
    answer(429, "", AGAIN, "429"),
    answer(503, "", AGAIN, "503"),
];

#[tokio::test]
async fn lead_is_what_the_visitor_said() {
    let sent = rest().requests(&rest().example(), event(&sample(), "Acme Corp")).await;
    let [token, lead] = sent.as_slice() else {
        panic!("{} requests", sent.len())
    };
    assert_eq!(
        String::from_utf8_lossy(&token.body),
        "grant_type=refresh_token&refresh_token=5Aep0000000000000000&client_id=3MVG9000000000000000\
         &client_secret=0000000000000000"
    );
    assert_eq!(lead.headers["authorization"], "Bearer 00D!t0");
    let expected = json!({
        "FirstName": "Jane", "LastName": "Doe", "Company": "Acme Corp", "Email": "jane@example.com", "Phone": "+15550100",
        "Description": "I need a quote", "LeadSource": "Web",
    });
    assert_eq!(lead.body_json::<Value>().expect("JSON"), expected);

    let sent = form().request(&form().example(), event(&sample(), "Acme Corp")).await;
    assert_eq!(sent.url.query(), Some("encoding=UTF-8"));
    assert_eq!(
        String::from_utf8_lossy(&sent.body),
        "oid=00D000000000001&first_name=Jane&last_name=Doe&company=Acme+Corp&email=jane%40example.com\
         &phone=%2B15550100&description=I+need+a+quote&lead_source=Web"
    );
}

#[tokio::test]
async fn address_that_is_too_long_begins_the_description() {
    let domain = format!("{}.example.com", "a".repeat(63));
    let (longest, too_long) = (format!("jane@{domain}"), format!("janet@{domain}"));
    assert_eq!(longest.len(), 80);
    let quote = "I need a quote";
    let cases = [
        (&longest, json!(quote), json!(longest), json!(quote)),
        (
            &too_long,
            json!(quote),
            Value::Null,
            json!(format!("{too_long}\n\n{quote}")),
        ),
        (&too_long, Value::Null, Value::Null, json!(too_long)),
    ];
    for (email, message, told_email, description) in cases {
        let lead = json!({"name": "Jane Doe", "email": email, "message": message});
        let sent = rest().requests(&rest().example(), event(&lead, "Acme Corp")).await;
        let told = sent[1].body_json::<Value>().expect("JSON");
        assert_eq!((&told["Email"], &told["Description"]), (&told_email, &description));

        let sent = form().request(&form().example(), event(&lead, "Acme Corp")).await;
        let fields = url::form_urlencoded::parse(&sent.body).collect::<HashMap<_, _>>();
        let told = ["email", "description"].map(|name| fields.get(name).map(|text| &**text));
        assert_eq!(told, [told_email.as_str(), description.as_str()]);
    }
}

#[tokio::test]
async fn lead_without_an_external_id_is_made() {
    let vendor = rest();
    let mut config = vendor.example();
    let fields = config.as_object_mut().expect("an object");
    fields.remove("externalIdField");
    fields.remove("refreshToken");
    let stub = MockServer::start().await;
    vendor.others[0].mount(&stub).await;
    Mock::given(method("POST"))
        .and(path("/acme.my.salesforce.com/services/data/v67.0/sobjects/Lead"))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&stub)
        .await;
    let attempted = vendor.deliver(&stub, &config, event(&sample(), "Acme Corp")).await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
    let requests = stub.received_requests().await.expect("they are kept");
    assert!(
        requests[0]
            .body
            .starts_with(b"grant_type=client_credentials&client_id=")
    );
}

#[tokio::test]
async fn token_that_has_ended_is_asked_for_anew_within_the_attempt() {
    let vendor = rest();
    let stub = MockServer::start().await;
    let asked = AtomicU32::new(0);
    Mock::given(path(TOKEN))
        .respond_with(move |_: &Request| {
            let token = format!("t{}", asked.fetch_add(1, Ordering::Relaxed));
            ResponseTemplate::new(200).set_body_json(json!({"access_token": token, "expires_in": 3600}))
        })
        .mount(&stub)
        .await;
    let good = Mock::given(method("PATCH"))
        .and(header("authorization", "Bearer t0"))
        .respond_with(ResponseTemplate::new(204))
        .mount_as_scoped(&stub)
        .await;
    let transport = vendor.kind.bind(&vendor.example()).expect("a good config");
    let mut job = crate::fixture::job("salesforce", vendor.example(), sensei_domain::Trigger::First);
    job.body = event(&sample(), "Acme Corp");
    let egress = crate::fixture::with(sensei_dispatcher::EgressOptions {
        vendors_at: Some(stub.uri().parse().expect("a URL")),
        ..crate::fixture::loopback()
    });
    let now = sensei_domain::Timestamp::from_millis(1_800_000_000_000);
    assert_eq!(transport.deliver(&job, now, &egress).await.outcome, DELIVERED);
    drop(good);
    Mock::given(header("authorization", "Bearer t1"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&stub)
        .await;
    Mock::given(header("authorization", "Bearer t0"))
        .respond_with(ResponseTemplate::new(401))
        .expect(1)
        .mount(&stub)
        .await;
    let later = now.after(std::time::Duration::from_mins(1));
    let attempted = transport.deliver(&job, later, &egress).await;
    assert_eq!(attempted.outcome, DELIVERED, "{attempted:?}");
    stub.verify().await;
}

#[test]
fn two_ways_are_not_mixed() {
    let kind = kind("salesforce");
    let cases = [
        (
            json!({}),
            vec![
                "/instance is required, unless there is an orgId",
                "/clientId",
                "/clientSecret",
            ],
        ),
        (
            json!({"instance": "acme.my.salesforce.com", "clientId": "a"}),
            vec!["/clientSecret is required, unless there is an orgId"],
        ),
        (
            json!({"orgId": "00D000000000001", "instance": "acme.my.salesforce.com"}),
            vec!["/orgId is for Web-to-Lead"],
        ),
        (
            json!({"orgId": "00D000000000001", "externalIdField": "A__c", "refreshToken": "a"}),
            vec!["/externalIdField is for REST", "/refreshToken is for REST"],
        ),
        (json!({"orgId": "0000"}), vec!["/orgId must be an organisation's id"]),
    ];
    for (config, words) in cases {
        let refused = kind.bind(&config).expect_err("refused").to_string();
        assert!(words.iter().all(|word| refused.contains(word)), "{config}: {refused}");
    }
    for evil in [
        "evil.example",
        "acme.my.salesforce.com.evil.example",
        "evil.example/acme.my.salesforce.com",
        "a@acme.my.salesforce.com",
        "acme.my.salesforce.com:8443",
        "acme.my-salesforce.com",
        "acme.my.salesforce.com\n",
        ".my.salesforce.com",
        "xn--0.my.salesforce.com",
    ] {
        let config = json!({"instance": evil, "clientId": "a", "clientSecret": "b"});
        let refused = kind.bind(&config).expect_err(evil).to_string();
        assert!(refused.contains("/instance must be the host"), "{evil}: {refused}");
    }
}

//! Zapier and Make, which take an event's body as it is.

use sensei_domain::Outcome;

use super::{AGAIN, Answer, DELIVERED, Vendor, after, answer, event, kind, sample};

pub(super) fn zapier() -> Vendor {
    Vendor {
        kind: kind("zapier"),
        host: "hooks.zapier.com",
        method: "POST",
        path: "/hooks/catch/0000000/xxxxxxx/",
        way: None,
        others: &[],
        answers: ZAPIER,
        unseen: "the keys of the answer to a success",
    }
}

pub(super) fn make() -> Vendor {
    Vendor {
        kind: kind("make"),
        host: "hook.eu2.make.com",
        method: "POST",
        path: "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        way: None,
        others: &[],
        answers: MAKE,
        unseen: "the answer `Accepted`, 400 for a full queue, 410 for an inactive webhook",
    }
}

const ZAPIER: &[Answer] = &[
    answer(200, r#"{"status": "success", "id": "1"}"#, DELIVERED, ""),
    answer(200, "", DELIVERED, ""),
    answer(202, "", AGAIN, "202"),
    answer(404, "", AGAIN, "404"),
    answer(410, "", Outcome::Gone, "the Zap was removed"),
    Answer {
        status: 429,
        headers: &[("retry-after", "60")],
        body: "",
        outcome: after(60),
        words: "429",
    },
    answer(500, "", AGAIN, "500"),
];

const MAKE: &[Answer] = &[
    answer(200, "Accepted", DELIVERED, ""),
    answer(400, "Queue is full.", AGAIN, "its queue may be full"),
    answer(404, "", Outcome::Gone, "isn't there or is inactive"),
    answer(410, "", Outcome::Gone, "isn't there or is inactive"),
    answer(429, "", AGAIN, "429"),
    answer(500, "Scenario failed to initialize.", AGAIN, "500"),
];

#[tokio::test]
async fn body_is_the_event_as_it_is_and_signed() {
    for vendor in [zapier(), make()] {
        let body = event(&sample(), "Acme Corp");
        let request = vendor.request(&vendor.example(), body.clone()).await;
        assert_eq!(request.body, body);
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(
            request.headers.contains_key("webhook-signature"),
            "{}",
            vendor.kind_name()
        );
    }
}

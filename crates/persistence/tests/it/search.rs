//! Leads by their words: found whether they are in the index yet or not, and found no more once they are erased or forgotten.

use std::time::Duration;

use sensei_domain::{ClientId, LeadId};
use sensei_persistence::{Actor, CaptureLead, CaptureRequest, LeadFilter, Page, Retention, Store};
use serde_json::{Value, json};

use crate::fixtures::{ALL, TestDatabase, create, id_of_another_process, lead, on_both, request, soon};

on_both!(
    leads_are_found_by_what_they_say,
    what_is_searched_for_has_no_meaning_but_its_words,
    pages_of_what_is_found_have_each_lead_once,
    a_rare_word_is_found_among_many_that_begin_like_it,
    each_lead_is_indexed_once_however_many_follow,
    erased_lead_leaves_no_word,
    forgotten_and_deleted_leads_leave_no_word,
    leads_are_filtered_by_time,
    a_clock_that_is_put_back_loses_no_lead,
    what_is_in_the_index_and_not_yet_passed_is_found_once,
);

pub(crate) async fn capture(store: &Store, client: ClientId, json: &Value) -> LeadId {
    capture_as(store, client, LeadId::new(store.now()), json).await
}

async fn capture_as(store: &Store, client: ClientId, id: LeadId, json: &Value) -> LeadId {
    let request = CaptureRequest {
        client_id: client,
        leads: vec![CaptureLead { id, lead: lead(json) }],
        captured_at: store.now(),
        idempotency: None,
    };
    soon(store.capture(request)).await.expect("captured");
    id
}

pub(crate) async fn find(store: &Store, client: ClientId, text: &str) -> Vec<LeadId> {
    let filter = LeadFilter {
        text: Some(text.to_owned()),
        ..LeadFilter::default()
    };
    let page = store.find_leads(client, &filter, ALL).await.expect("searched");
    assert_eq!(page.next, None);
    page.leads.into_iter().map(|lead| lead.id).collect()
}

pub(crate) async fn index(database: &TestDatabase, store: &Store) {
    database.clock.advance(Duration::from_mins(1));
    while store.index_leads().await.expect("indexed") {}
}

/// All that is kept of words, as text.
pub(crate) async fn kept(database: &TestDatabase) -> String {
    let sql = if database.is_sqlite() {
        "SELECT hex(block) FROM lead_words_data"
    } else {
        "SELECT CAST(words AS TEXT) FROM lead_words"
    };
    database.texts(sql).await.join("\n")
}

/// Whether a word is kept; all words here are told from others by their end, as the index keeps what they begin with only once.
pub(crate) async fn keeps(database: &TestDatabase, word: &str) -> bool {
    let kept = kept(database).await;
    if database.is_sqlite() {
        let hex = word.bytes().map(|byte| format!("{byte:02X}"));
        kept.contains(&hex.collect::<Vec<_>>().concat())
    } else {
        kept.contains(word)
    }
}

async fn leads_are_found_by_what_they_say(database: &TestDatabase) {
    let store = database.open().await;
    let (acme, other) = (
        create(&store, "Acme Corp", None).await.client.id,
        create(&store, "Other Inc", None).await.client.id,
    );
    let anna = json!({"name": "Anna Müller", "email": "Anna.M@example.com", "phone": "+49 30 1234567",
                      "message": "I need a quote for the ENTERPRISE plan"});
    let anna = capture(&store, acme, &anna).await;
    let bert = capture(
        &store,
        acme,
        &json!({"name": "Bert Anders", "email": "bert@example.org"}),
    )
    .await;
    // A lead that names another client's word is that client's no more than others.
    let foreign = json!({"name": "Anna", "email": "anna.m@example.com",
                         "message": format!("clientclientclient{} quote", acme.to_string().replace('-', ""))});
    let foreign = capture(&store, other, &foreign).await;
    for round in 0..2 {
        for (text, found) in [
            ("anna", vec![anna]),
            ("ANNA muller", vec![anna]),
            ("an", vec![bert, anna]),
            ("müll", vec![anna]),
            ("quote enter", vec![anna]),
            ("nter", vec![]),
            ("1234567", vec![anna]),
            ("example", vec![bert, anna]),
            ("example.org", vec![bert]),
            ("anna.m@example.com", vec![anna]),
            ("anna.m@", vec![anna]),
            ("m@example.com", vec![]),
            ("bert nobody", vec![]),
            ("…", vec![]),
        ] {
            assert_eq!(find(&store, acme, text).await, found, "{text}, round {round}");
        }
        assert_eq!(find(&store, other, "anna quote").await, [foreign]);
        index(database, &store).await;
    }
    // Some in the index, some not.
    let newest = capture(&store, acme, &json!({"name": "Anna Neu", "email": "neu@example.com"})).await;
    assert_eq!(find(&store, acme, "anna").await, [newest, anna]);
}

async fn what_is_searched_for_has_no_meaning_but_its_words(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let id = capture(&store, client, &json!({"name": "OR NEAR x", "email": "x@example.com"})).await;
    index(database, &store).await;
    for text in [
        "\"",
        "*",
        "a\" OR \"x",
        "words:x",
        "x NOT y",
        "^x",
        "(x",
        "x)",
        "x & !y",
        "x:*",
        "'x",
        "\\x",
        "x | y",
        "{x}",
        "-x",
        "%",
        "_",
    ] {
        let found = find(&store, client, text).await;
        assert!(found.is_empty() || found == [id], "{text}");
    }
    assert_eq!(find(&store, client, "x or near").await, [id]);
    assert_eq!(find(&store, client, "x AND").await, []);
    assert_eq!(find(&store, client, &"x ".repeat(100)).await, [id]);
}

async fn pages_of_what_is_found_have_each_lead_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let mut captured = Vec::new();
    for number in 0..30 {
        if number == 20 {
            index(database, &store).await;
        }
        let name = ["Anna", "Bert"][number % 2];
        let id = capture(&store, client, &json!({"name": name, "email": "x@example.com"})).await;
        if name == "Anna" {
            captured.push(id);
        }
    }
    captured.reverse();
    for limit in [1, 4, 7, 15, 16] {
        let filter = LeadFilter {
            text: Some("ann".to_owned()),
            ..LeadFilter::default()
        };
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = store
                .find_leads(client, &filter, Page { limit, before })
                .await
                .expect("searched");
            seen.extend(page.leads.iter().map(|lead| lead.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, captured, "in pages of {limit}");
    }
}

async fn a_rare_word_is_found_among_many_that_begin_like_it(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let mut captured = request(client, store.now(), 1_300);
    let (mut rare, mut common) = (Vec::new(), Vec::new());
    for (number, captured) in captured.leads.iter_mut().enumerate() {
        let (name, ids) = if number % 600 == 7 {
            ("Johnson", &mut rare)
        } else {
            ("Johanna", &mut common)
        };
        captured.lead = lead(&json!({"name": name, "email": "x@example.com"}));
        ids.insert(0, captured.id);
    }
    soon(store.capture(captured)).await.expect("captured");
    index(database, &store).await;
    assert_eq!(find(&store, client, "johnson").await, rare);
    assert_eq!(paged(&store, client, "johns", 2).await, rare);
    assert_eq!(paged(&store, client, "johanna example", 200).await, common);
    assert_eq!(find(&store, client, "johnsons").await, []);
}

async fn each_lead_is_indexed_once_however_many_follow(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    for _ in 0..3 {
        soon(store.capture(request(client, store.now(), 150)))
            .await
            .expect("captured");
        database.clock.advance(Duration::from_mins(1));
    }
    let followers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { while store.index_leads().await.expect("indexed") {} })
    });
    for follower in followers.collect::<Vec<_>>() {
        soon(follower).await.expect("it doesn't panic");
    }
    let count = if database.is_sqlite() {
        "SELECT count(*) FROM searchable_leads"
    } else {
        "SELECT count(*) FROM lead_words"
    };
    assert_eq!(database.number(count).await, 450);
    assert_eq!(find(&store, client, "john quote").await.len(), 450);
}

async fn erased_lead_leaves_no_word(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let secret = json!({"name": "Xaveria Qqq", "email": "xaveria@example.com", "message": "zzyzx"});
    let id = capture(&store, client, &secret).await;
    let other = capture(&store, client, &json!({"name": "Anna", "email": "anna@example.com"})).await;
    index(database, &store).await;
    assert!(keeps(database, "averia").await && keeps(database, "zyzx").await);
    assert!(store.erase_lead(client, id, &Actor::System).await.expect("erased"));
    assert!(!keeps(database, "averia").await && !keeps(database, "zyzx").await);
    assert_eq!(find(&store, client, "xaveria").await, []);
    assert_eq!(find(&store, client, "example").await, [other]);
    // One that isn't in the index yet never comes there.
    let id = capture(&store, client, &secret).await;
    assert_eq!(find(&store, client, "xaveria").await, [id]);
    assert!(store.erase_lead(client, id, &Actor::System).await.expect("erased"));
    assert_eq!(find(&store, client, "xaveria").await, []);
    index(database, &store).await;
    assert!(!keeps(database, "averia").await);
}

async fn forgotten_and_deleted_leads_leave_no_word(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let kept = create(&store, "Other Inc", None).await.client.id;
    let week = Duration::from_hours(7 * 24);
    capture(&store, client, &json!({"name": "Xaveria", "email": "x@example.com"})).await;
    index(database, &store).await;
    database.clock.advance(2 * week);
    let newer = capture(&store, client, &json!({"name": "Zzyzxa", "email": "z@example.com"})).await;
    let others = capture(&store, kept, &json!({"name": "Qwertz", "email": "q@example.com"})).await;
    index(database, &store).await;
    let retention = Retention {
        leads: Some(week),
        ..Retention::default()
    };
    store.forget_old(&retention).await.expect("forgotten");
    assert!(!keeps(database, "averia").await && keeps(database, "zyzxa").await);
    assert_eq!(find(&store, client, "example").await, [newer]);
    assert!(store.delete_client(client, &Actor::System).await.expect("deleted"));
    assert!(!keeps(database, "zyzxa").await && keeps(database, "wertz").await);
    assert_eq!(find(&store, kept, "qwertz").await, [others]);
}

async fn leads_are_filtered_by_time(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let began = store.now();
    let mut captured = Vec::new();
    for _ in 0..4 {
        captured.push(capture(&store, client, &json!({"name": "Anna", "email": "x@example.com"})).await);
        database.clock.advance(Duration::from_hours(3));
    }
    let at = |hours| Some(began.after(Duration::from_hours(hours)));
    for text in [None, Some("anna".to_owned())] {
        for (since, until, found) in [
            (None, None, vec![3, 2, 1, 0]),
            (at(3), None, vec![3, 2, 1]),
            (at(4), at(9), vec![2]),
            (None, at(3), vec![0]),
            (at(20), None, vec![]),
        ] {
            let filter = LeadFilter {
                suspected: None,
                text: text.clone(),
                since,
                until,
            };
            let page = store.find_leads(client, &filter, ALL).await.expect("searched");
            let expected = found
                .into_iter()
                .map(|index: usize| captured[index])
                .collect::<Vec<_>>();
            let found = page.leads.iter().map(|lead| lead.id).collect::<Vec<_>>();
            assert_eq!(found, expected, "{filter:?}");
        }
        while store.index_leads().await.expect("indexed") {}
    }
}

async fn a_clock_that_is_put_back_loses_no_lead(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let mut captured = Vec::new();
    let anna = json!({"name": "Anna", "email": "anna@example.com"});
    // More than a step takes back.
    for _ in 0..3 {
        soon(store.capture(request(client, store.now(), 90)))
            .await
            .expect("captured");
        captured.push(capture(&store, client, &anna).await);
        database.clock.advance(Duration::from_mins(10));
    }
    index(database, &store).await;
    database.clock.put_back(Duration::from_mins(26));
    // Ids of a process never go back; those of the next one do.
    let between = capture_as(&store, client, id_of_another_process(store.now()), &anna).await;
    captured.push(between);
    while store.index_leads().await.expect("indexed") {}
    captured.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(find(&store, client, "anna").await, captured);
    // All are in the index again, and pages of it are in order.
    for _ in 0..20 {
        index(database, &store).await;
    }
    assert_eq!(find(&store, client, "anna").await, captured);
    assert_eq!(paged(&store, client, "anna", 1).await, captured);
    let count = if database.is_sqlite() {
        "SELECT count(*) FROM searchable_leads"
    } else {
        "SELECT count(*) FROM lead_words"
    };
    assert_eq!(database.number(count).await, 274);
    // Each of them still goes.
    assert!(store.erase_lead(client, between, &Actor::System).await.expect("erased"));
    captured.retain(|id| *id != between);
    assert_eq!(find(&store, client, "anna").await, captured);
}

/// All that is found, in pages.
async fn paged(store: &Store, client: ClientId, text: &str, limit: u32) -> Vec<LeadId> {
    let filter = LeadFilter {
        text: Some(text.to_owned()),
        ..LeadFilter::default()
    };
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = Page { limit, before };
        let page = store.find_leads(client, &filter, page).await.expect("searched");
        seen.extend(page.leads.iter().map(|lead| lead.id));
        before = page.next;
        if before.is_none() {
            return seen;
        }
    }
}

async fn what_is_in_the_index_and_not_yet_passed_is_found_once(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", None).await.client.id;
    let began = store.now().as_millis() - 1;
    let anna = json!({"name": "Anna", "email": "anna@example.com"});
    let (older, newer) = (
        capture(&store, client, &anna).await,
        capture(&store, client, &anna).await,
    );
    index(database, &store).await;
    // As whoever reads sees it who has read the position before the follower's step, and the index after it.
    let back = format!("UPDATE store_facts SET value = '{began}' WHERE name = 'search.until'");
    database.execute(&back).await;
    assert_eq!(find(&store, client, "anna").await, [newer, older]);
    assert_eq!(paged(&store, client, "anna", 1).await, [newer, older]);
}

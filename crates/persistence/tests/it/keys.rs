//! API keys.

use std::time::Duration;

use sensei_domain::{ClientId, KeyId};
use sensei_persistence::{Access, Actor, DatabaseUrl, KeyKind, NewKey, Revocation, Scope};

use crate::fixtures::{ALL, TestDatabase, URL, acme, create, on_both, soon};

on_both!(
    key_gives_what_it_was_made_for,
    revoked_key_is_refused_at_once,
    of_two_keys_that_revoke_each_other_one_is_left,
    only_the_hash_of_a_key_is_stored,
    admin_key_from_outside_is_ensured_once,
    last_use_is_noted_to_the_minute,
    key_of_an_unknown_client_is_not_made,
    signing_secret_is_not_in_the_database_in_plain,
);

fn new(kind: KeyKind, scope: Scope) -> NewKey {
    NewKey {
        kind,
        scope,
        name: "for a test".to_owned(),
    }
}

async fn key_gives_what_it_was_made_for(database: &TestDatabase) {
    let store = database.open().await;
    let client = acme(&store).await;
    let cases = [
        (KeyKind::Secret, Scope::Admin, "sk_"),
        (KeyKind::Secret, Scope::Client(client.id), "sk_"),
        (KeyKind::Publishable, Scope::Client(client.id), "pk_"),
    ];
    for (kind, scope, prefix) in cases {
        let created = store
            .create_key(new(kind, scope), &Actor::System)
            .await
            .expect("made")
            .expect("made");
        assert!(
            created.text.starts_with(prefix) && created.text.len() == 3 + 43,
            "{} characters",
            created.text.len()
        );
        assert!(created.text.starts_with(&created.key.prefix) && created.key.prefix.len() == 8);
        for _ in 0..2 {
            let access = store.authenticate(&created.text).await.expect("read");
            assert_eq!(
                access,
                Some(Access {
                    key_id: created.key.id,
                    kind,
                    scope
                })
            );
        }
        let mut listed = store.keys(None, ALL).await.expect("listed");
        listed.retain(|key| key.id == created.key.id);
        assert_eq!((listed[0].kind, listed[0].client_id), (kind, created.key.client_id));
        assert!(!format!("{created:?}").contains(&created.text));
    }
    for wrong in ["", "sk_", "sk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\0"] {
        assert_eq!(store.authenticate(wrong).await.expect("read"), None, "{wrong:?}");
    }
}

async fn revoked_key_is_refused_at_once(database: &TestDatabase) {
    let store = database.open().await;
    let created = store
        .create_key(new(KeyKind::Secret, Scope::Admin), &Actor::System)
        .await
        .expect("made");
    let created = created.expect("made");
    assert!(store.authenticate(&created.text).await.expect("read").is_some());
    assert!(store.has_admin_key().await.expect("read"));
    let revoke = |id| store.revoke_key(id, &Actor::System);
    assert_eq!(revoke(created.key.id).await.expect("revoked"), Revocation::Done);
    assert_eq!(store.authenticate(&created.text).await.expect("read"), None);
    let twice = revoke(created.key.id).await.expect("no error");
    let unknown = revoke(KeyId::new(store.now())).await.expect("no error");
    assert_eq!((twice, unknown), (Revocation::Unknown, Revocation::Unknown));
    assert!(!store.has_admin_key().await.expect("read"));
    assert!(store.keys(None, ALL).await.expect("listed").is_empty());
}

async fn of_two_keys_that_revoke_each_other_one_is_left(database: &TestDatabase) {
    let store = database.open().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = store
            .create_key(new(KeyKind::Secret, Scope::Admin), &Actor::System)
            .await;
        ids.push(created.expect("made").expect("made").key.id);
    }
    let (first, second) = (Actor::Key(ids[0]), Actor::Key(ids[1]));
    let (by_first, by_second) = tokio::join!(store.revoke_key(ids[1], &first), store.revoke_key(ids[0], &second));
    let mut came = [by_first.expect("no error"), by_second.expect("no error")];
    came.sort_unstable_by_key(|came| *came != Revocation::Done);
    assert_eq!(came, [Revocation::Done, Revocation::ByRevoked]);
    assert_eq!(store.keys(None, ALL).await.expect("listed").len(), 1);
}

async fn only_the_hash_of_a_key_is_stored(database: &TestDatabase) {
    let store = database.open().await;
    let created = store
        .create_key(new(KeyKind::Secret, Scope::Admin), &Actor::System)
        .await
        .expect("made");
    let text = created.expect("made").text;
    let stored = database.rows("SELECT hash, prefix FROM api_keys").await;
    let hash: Vec<u8> = stored[0].try_get_by_index(0).expect("a hash");
    assert_eq!(hash.len(), 32);
    assert!(
        !plain_bytes(database, &store)
            .await
            .iter()
            .any(|bytes| contains(bytes, &text.as_bytes()[3..]))
    );
}

async fn admin_key_from_outside_is_ensured_once(database: &TestDatabase) {
    let store = database.open().await;
    assert!(!store.has_admin_key().await.expect("read"));
    for _ in 0..2 {
        store
            .ensure_admin_key("sk_chosen-by-the-operator")
            .await
            .expect("ensured");
    }
    assert!(store.has_admin_key().await.expect("read"));
    let [key] = &store.keys(None, ALL).await.expect("listed")[..] else {
        panic!("one key")
    };
    let access = store.authenticate("sk_chosen-by-the-operator").await.expect("read");
    assert_eq!(
        access,
        Some(Access {
            key_id: key.id,
            kind: KeyKind::Secret,
            scope: Scope::Admin
        })
    );
    store.revoke_key(key.id, &Actor::System).await.expect("revoked");
    store
        .ensure_admin_key("sk_chosen-by-the-operator")
        .await
        .expect("ensured");
    assert!(
        store
            .authenticate("sk_chosen-by-the-operator")
            .await
            .expect("read")
            .is_none(),
        "revoked stays revoked"
    );
}

async fn last_use_is_noted_to_the_minute(database: &TestDatabase) {
    let store = database.open().await;
    store.ensure_admin_key("sk_used").await.expect("ensured");
    database.clock.advance(Duration::from_millis(61_234));
    store.authenticate("sk_used").await.expect("read").expect("known");
    // What is under way is written before the store is closed.
    soon(store.close()).await;
    let [key] = &database.open().await.keys(None, ALL).await.expect("listed")[..] else {
        panic!("one key")
    };
    let used = key.last_used_at.expect("noted").as_millis();
    assert_eq!(used, database.clock_millis() - database.clock_millis() % 60_000);
}

async fn key_of_an_unknown_client_is_not_made(database: &TestDatabase) {
    let store = database.open().await;
    let scope = Scope::Client(ClientId::new(store.now()));
    let created = store
        .create_key(new(KeyKind::Secret, scope), &Actor::System)
        .await
        .expect("no error");
    assert!(created.is_none());
    assert_eq!(database.number("SELECT count(*) FROM api_keys").await, 0);
}

async fn signing_secret_is_not_in_the_database_in_plain(database: &TestDatabase) {
    let store = database.open().await;
    let client = create(&store, "Acme Corp", Some(URL)).await.client;
    let secret = store.destinations(client.id, ALL).await.expect("read")[0]
        .secret
        .expose();
    let plain = secret.strip_prefix("whsec_").expect("a prefix").as_bytes();
    let stored = plain_bytes(database, &store).await;
    assert!(
        stored.iter().any(|bytes| contains(bytes, b"Acme Corp")),
        "it was looked for in the right place"
    );
    assert!(!stored.iter().any(|bytes| contains(bytes, plain)));
}

/// All that is stored: SQLite's files, or PostgreSQL's rows as text.
async fn plain_bytes(database: &TestDatabase, store: &sensei_persistence::Store) -> Vec<Vec<u8>> {
    if let DatabaseUrl::Sqlite(path) = &database.url {
        soon(store.close()).await;
        let folder = path.parent().expect("a folder");
        let files = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path());
        return files.map(|file| std::fs::read(file).expect("a file")).collect();
    }
    let sql = "SELECT CAST(c.* AS text) FROM clients c UNION ALL SELECT CAST(d.* AS text) FROM destinations d \
               UNION ALL SELECT CAST(k.* AS text) FROM api_keys k UNION ALL SELECT CAST(a.* AS text) FROM audit_log a";
    database.texts(sql).await.into_iter().map(String::into_bytes).collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

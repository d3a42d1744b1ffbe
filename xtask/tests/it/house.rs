//! The line of crates: who may depend on whom, and what may never be built in.

use std::collections::BTreeSet;

use crate::metadata::Metadata;

/// Each crate with those of ours that it may depend on. One way only.
const LINE: &[(&str, &[&str])] = &[
    ("sensei-domain", &[]),
    ("sensei-migrations", &[]),
    ("sensei-persistence", &["sensei-domain", "sensei-migrations"]),
    ("sensei-dispatcher", &["sensei-domain", "sensei-persistence"]),
    (
        "sensei-api",
        &["sensei-domain", "sensei-persistence", "sensei-dispatcher"],
    ),
    ("sensei-console", &["sensei-domain", "sensei-persistence"]),
    (
        "sensei",
        &[
            "sensei-domain",
            "sensei-persistence",
            "sensei-dispatcher",
            "sensei-api",
            "sensei-console",
        ],
    ),
    ("sensei-test-support", &[]),
    ("sensei-torture", &["sensei-test-support"]),
    (
        "xtask",
        &[
            "sensei-domain",
            "sensei-persistence",
            "sensei-dispatcher",
            "sensei-test-support",
        ],
    ),
];

#[test]
fn crates_depend_one_way_only() {
    let metadata = Metadata::read();
    let ours = metadata.workspace();
    let named: BTreeSet<_> = LINE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, named, "each crate of the workspace has its place in the line");
    for (name, allowed) in LINE {
        for dependency in metadata.dependencies(name).intersection(&ours) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn domain_is_pure() {
    let metadata = Metadata::read();
    let direct = metadata.dependencies("sensei-domain");
    let list = [
        "base64",
        "chrono",
        "ed25519-dalek",
        "email_address",
        "hmac",
        "rand",
        "regex-automata",
        "serde",
        "serde_json",
        "sha2",
        "subtle",
        "thiserror",
        "url",
        "uuid",
        "zeroize",
    ];
    assert_eq!(direct.iter().map(String::as_str).collect::<Vec<_>>(), list);
    let all = metadata.built_of("sensei-domain");
    for impure in [
        "tokio",
        "mio",
        "http",
        "hyper",
        "axum",
        "reqwest",
        "sqlx-core",
        "sea-orm",
        "sea-query",
    ] {
        assert!(
            !all.contains(impure),
            "the domain has no runtime, no SQL and no HTTP: {impure}"
        );
    }
}

#[test]
fn tls_has_one_provider() {
    let versions = Metadata::read().versions();
    for banned in ["openssl-sys", "openssl", "native-tls", "aws-lc-sys", "aws-lc-rs"] {
        assert!(
            !versions.contains_key(banned),
            "{banned} is built: some crate's default features are on"
        );
    }
}

#[test]
fn what_must_be_one_is_built_once() {
    let versions = Metadata::read().versions();
    for single in [
        "reqwest",
        "rustls",
        "ring",
        "sqlx-core",
        "sea-orm",
        "hyper",
        "axum",
        "tokio",
    ] {
        let built = versions
            .get(single)
            .unwrap_or_else(|| panic!("{single} isn't built: is the name still right?"));
        assert_eq!(built.len(), 1, "{single} is built in several versions: {built:?}");
    }
}

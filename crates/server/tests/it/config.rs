//! The configuration: its layers, its rules, and what it says when they are broken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sensei::config::{ConfigFault, SETTINGS};
use sensei::{Config, LogFormat, Sources};
use tempfile::TempDir;

fn env(variables: &[(&str, &str)]) -> Sources {
    let env = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Sources {
        env,
        ..Sources::default()
    }
}

fn file(text: &str) -> (TempDir, Sources) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sensei.toml");
    std::fs::write(&path, text).expect("a file in it");
    (
        folder,
        Sources {
            file: Some(path),
            ..Sources::default()
        },
    )
}

fn faults(sources: &Sources) -> Vec<String> {
    let error = Config::load(sources).expect_err("a wrong configuration");
    error.faults().iter().map(ToString::to_string).collect()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// What is in force, less where it comes from.
fn values(sources: &Sources) -> Vec<(&'static str, Option<String>)> {
    let effective = Config::effective(sources).expect("a valid configuration");
    effective
        .into_iter()
        .map(|effective| (effective.setting.name, effective.value))
        .collect()
}

#[test]
fn documented_defaults_are_the_defaults() {
    let path = repository("crates/server/config.default.toml");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(
        values(&Sources {
            file: Some(path),
            ..Sources::default()
        }),
        values(&Sources::default())
    );
    let guide = std::fs::read_to_string(repository("docs/configuration.md")).expect("the guide is there");
    for setting in SETTINGS {
        let line = format!("{} = ", setting.name);
        assert!(
            text.lines()
                .any(|found| found.trim_start_matches("# ").starts_with(&line)),
            "{line}"
        );
        assert!(text.contains(setting.variable), "{}", setting.variable);
        assert!(
            guide.contains(&format!("| `{}` | `{}` |", setting.name, setting.variable)),
            "{}",
            setting.name
        );
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let (_folder, mut sources) = file("listen = \"127.0.0.1:1\"\nlease = \"61s\"\nlog_format = \"json\"");
    sources.env = env(&[("SENSEI_LISTEN", "127.0.0.1:2"), ("SENSEI_LEASE", "62s")]).env;
    sources.flags = vec![("listen", "127.0.0.1:3".to_owned())];
    let config = Config::load(&sources).expect("valid");
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.lease, Duration::from_secs(62));
    assert_eq!(config.log_format, LogFormat::Json);

    let origins: Vec<_> = Config::effective(&sources)
        .expect("valid")
        .into_iter()
        .filter(|effective| ["listen", "lease", "log_format", "queue", "admin_key"].contains(&effective.setting.name))
        .map(|effective| effective.origin)
        .collect();
    let file = sources.file.expect("given").display().to_string();
    assert_eq!(
        origins.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [
            Some("the flag --listen"),
            Some("the environment variable SENSEI_LEASE"),
            Some("default"),
            None,
            Some(file.as_str())
        ]
    );
}

#[test]
fn file_may_use_numbers_truths_and_lists() {
    let (_folder, sources) = file(
        "egress_allow = [\"127.0.0.0/8\", \"::1\"]\negress_allow_http = true\nlane_concurrency = 8\nroles = [\"all\"]",
    );
    let config = Config::load(&sources).expect("valid");
    let networks: Vec<_> = config.egress.allow.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["127.0.0.0/8", "::1/128"]);
    assert!(config.egress.allow_http);
    assert_eq!(config.limits.lane_concurrency, 8);
    let config = Config::load(&env(&[("SENSEI_EGRESS_ALLOW", "127.0.0.0/8, 10.0.0.0/8")])).expect("valid");
    assert_eq!(config.egress.allow.len(), 2);
}

#[test]
fn unknown_names_are_faults_that_name_the_nearest() {
    let cases = [
        ("SENSEI_LISTN", "SENSEI_LISTEN"),
        ("SENSEI_LISTEN_", "SENSEI_LISTEN"),
        ("SENSEI_DATABASE_URL", "DATABASE_URL"),
        ("SENSEI_EGRES_ALOW", "SENSEI_EGRESS_ALLOW"),
        ("SENSEI_ADMINKEY", "SENSEI_ADMIN_KEY"),
        ("SENSEI_log_format", "SENSEI_LOG_FORMAT"),
    ];
    for (name, nearest) in cases {
        let expected = format!("{name}, set by the environment, is no setting: did you mean {nearest}?");
        assert_eq!(faults(&env(&[(name, "x")])), [expected]);
    }
    let (_folder, sources) = file("listne = \"127.0.0.1:1\"\n[lane]\nconcurrency = 3");
    let file = sources.file.clone().expect("given").display().to_string();
    let mut found = faults(&sources);
    found.sort();
    assert_eq!(
        found[1],
        format!("listne, set by {file}, is no setting: did you mean listen?")
    );
    assert!(
        found[0].starts_with(&format!("lane, set by {file}, is no setting")),
        "{found:?}"
    );
}

#[test]
fn variables_of_others_and_of_tests_are_none_of_ours() {
    let sources = env(&[
        ("SENSEI_TEST_POSTGRES", "postgres://x"),
        ("LISTEN", "x"),
        ("PATH", "/bin"),
        ("SENSEI_LOG", ""),
    ]);
    assert_eq!(values(&sources), values(&Sources::default()));
}

#[test]
fn values_that_cannot_be_used_are_faults() {
    let cases = [
        ("SENSEI_LISTEN", "8080", "must be an address and a port"),
        ("SENSEI_LISTEN", "localhost:8080", "must be an address and a port"),
        (
            "SENSEI_ADMIN_LISTEN",
            "9090",
            "must be an address and a port, e.g. 127.0.0.1:9090, or off",
        ),
        ("DATABASE_URL", "mysql://x", "must begin with sqlite:// or postgres://"),
        ("DATABASE_URL", "sqlite://:memory:", "needs the path of a file"),
        ("SENSEI_LEASE", "24s", "must be at least 25 s"),
        ("SENSEI_LEASE", "60", "must be a whole number and a unit"),
        ("SENSEI_QUEUE", "nats://127.0.0.1", "no NATS queue yet"),
        ("SENSEI_QUEUE_PREFIX", "a.b", "letters, digits"),
        ("SENSEI_QUEUE", "redis", "must be memory"),
        ("SENSEI_ROLES", "api", "must be all"),
        ("SENSEI_ADMIN_KEY", "sk_short", "must begin with sk_"),
        (
            "SENSEI_ADMIN_KEY",
            "a long one without its prefix",
            "must begin with sk_",
        ),
        ("SENSEI_MASTER_KEY", "c2hvcnQ=", "must be 32 bytes in base64"),
        ("SENSEI_PREVIOUS_MASTER_KEY", "c2hvcnQ=", "must be 32 bytes in base64"),
        (
            "SENSEI_TRUSTED_PROXIES",
            "10.0.0.0/33",
            "must be networks in CIDR notation",
        ),
        ("SENSEI_EGRESS_ALLOW", "localhost", "must be networks in CIDR notation"),
        (
            "SENSEI_EGRESS_ALLOW",
            "127.0.0.0/33",
            "must be networks in CIDR notation",
        ),
        ("SENSEI_EGRESS_ALLOW_HTTP", "yes", "must be true or false"),
        ("SENSEI_VENDORS_AT", "here", "must be a URL"),
        ("SENSEI_LOG", "sensei=loud", "must be a filter"),
        ("SENSEI_LOG_FORMAT", "xml", "must be text or json"),
        ("SENSEI_LANE_CAPACITY", "0", "must be a number from 1"),
        ("SENSEI_LANE_CONCURRENCY", "-1", "must be a number from 1"),
        ("SENSEI_TOTAL_CAPACITY", "1e3", "must be a number from 1"),
        ("SENSEI_TOTAL_CONCURRENCY", "many", "must be a number from 1"),
        (
            "SENSEI_KEEP_ATTEMPTS",
            "23h",
            "must be forever, or a duration of at least 1d",
        ),
        (
            "SENSEI_KEEP_DELIVERIES",
            "never",
            "must be forever, or a duration of at least 1d",
        ),
        (
            "SENSEI_KEEP_LEADS",
            "1h",
            "must be forever, or a duration of at least 1d",
        ),
        ("SENSEI_KEEP_EVERY", "10ms", "must be a duration of at least 1s"),
    ];
    for (variable, value, reason) in cases {
        let found = faults(&env(&[(variable, value)]));
        let [fault] = found.as_slice() else {
            panic!("{variable}={value}: {found:?}")
        };
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.variable == variable)
            .expect("known")
            .name;
        let beginning = format!("{setting}, set by the environment variable {variable}, ");
        assert!(
            fault.starts_with(&beginning) && fault.contains(reason),
            "{variable}={value}: {fault}"
        );
    }
    for setting in SETTINGS {
        let checked = cases.iter().any(|(variable, ..)| *variable == setting.variable);
        assert!(checked, "a wrong {} is in the table", setting.name);
    }
}

#[test]
fn metrics_are_served_at_the_default_address_at_another_or_nowhere() {
    let at = |sources: &Sources| Config::load(sources).expect("valid").admin_listen;
    let default = at(&Sources::default()).expect("somewhere");
    assert_eq!((default.address.port(), default.is_chosen), (9090, false));
    let chosen = at(&env(&[("SENSEI_ADMIN_LISTEN", "127.0.0.1:9090")])).expect("somewhere");
    assert_eq!((chosen.address.port(), chosen.is_chosen), (9090, true));
    assert_eq!(at(&env(&[("SENSEI_ADMIN_LISTEN", "off")])), None);
    for text in ["admin_listen = \"\"", "admin_listen = \"off\""] {
        let (_folder, sources) = file(text);
        assert_eq!(at(&sources), None, "{text}");
    }
}

#[test]
fn shortest_lease_leaves_time_to_store_the_outcome() {
    let config = Config::load(&env(&[("SENSEI_LEASE", "25s")])).expect("valid");
    assert_eq!(config.lease, Duration::from_secs(25));
}

#[test]
fn all_faults_are_reported_at_once() {
    let (_folder, mut sources) = file("lease = \"1s\"\nlisten = [\"a\"]\nunknown = 1");
    sources.env = env(&[("SENSEI_QUEUE", "x"), ("SENSEI_NONE", "x")]).env;
    assert_eq!(faults(&sources).len(), 5, "{:?}", faults(&sources));
}

#[test]
fn file_that_is_named_must_be_there_and_be_toml() {
    let sources = Sources {
        file: Some(PathBuf::from("/nowhere/sensei.toml")),
        ..Sources::default()
    };
    let error = Config::load(&sources).expect_err("no file");
    assert!(matches!(error.faults(), [ConfigFault::File { .. }]), "{error}");
    assert!(
        error.to_string().starts_with("/nowhere/sensei.toml can't be read: "),
        "{error}"
    );
    let (_folder, sources) = file("listen = ");
    let error = Config::load(&sources).expect_err("no TOML");
    assert!(matches!(error.faults(), [ConfigFault::Syntax { .. }]), "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let secrets = [
        ("SENSEI_ADMIN_KEY", "sk_hunter2hunter2hunter2"),
        ("SENSEI_MASTER_KEY", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="),
        (
            "SENSEI_PREVIOUS_MASTER_KEY",
            "aHVudGVyM2h1bnRlcjNodW50ZXIzaHVudGVyM2h1bnQ=",
        ),
        ("DATABASE_URL", "postgres://sensei:hunter2@localhost/leads"),
    ];
    let sources = env(&secrets);
    let shown = format!("{:?} {:?}", Config::load(&sources).expect("valid"), values(&sources));
    let wrong = env(&[
        ("SENSEI_ADMIN_KEY", "hunter2"),
        ("SENSEI_MASTER_KEY", "hunter2"),
        ("SENSEI_PREVIOUS_MASTER_KEY", "hunter2"),
        ("DATABASE_URL", "hunter2"),
    ]);
    let wrong = faults(&wrong);
    assert_eq!(wrong.len(), 4);
    for (_, secret) in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(
        !shown.contains("hunter2") && !wrong.concat().contains("hunter2"),
        "{shown} {wrong:?}"
    );
}

#[test]
fn master_key_lies_beside_the_database() {
    let cases = [
        ("sqlite://data/sensei.db", "data/master.key"),
        ("sqlite:///var/lib/sensei/leads.db", "/var/lib/sensei/master.key"),
        ("sqlite://leads.db", "master.key"),
        ("postgres://localhost/leads", "data/master.key"),
    ];
    for (database, file) in cases {
        let config = Config::load(&env(&[("DATABASE_URL", database)])).expect("valid");
        assert_eq!(config.master_key_file(), Path::new(file), "{database}");
        let previous = format!("{file}.previous");
        assert_eq!(config.previous_master_key_file(), Path::new(&previous), "{database}");
    }
}

#[test]
fn a_syntax_error_tells_the_place_and_not_the_line() {
    let (_folder, sources) = file("listen = \"127.0.0.1:1\"\nadmin_key = sk_without_its_quotes");
    let error = Config::load(&sources).expect_err("not TOML").to_string();
    assert!(
        error.contains("is not valid TOML") && error.contains("line 2"),
        "{error}"
    );
    assert!(!error.contains("sk_without"), "{error}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_our_name_are_not_ours() {
    let sources = env(&[
        ("SENSEI_WEBHOOKS_SERVICE_HOST", "10.0.0.1"),
        ("SENSEI_WEBHOOKS_SERVICE_PORT_HTTP", "80"),
        ("SENSEI_WEBHOOKS_PORT", "tcp://10.0.0.1:80"),
        ("SENSEI_WEBHOOKS_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SENSEI_SERVICE_HOST", "10.0.0.1"),
        ("SENSEI_PORT", "tcp://10.0.0.1:80"),
        ("SENSEI_PORT_80_TCP_ADDR", "10.0.0.1"),
    ]);
    Config::load(&sources).expect("valid");
}

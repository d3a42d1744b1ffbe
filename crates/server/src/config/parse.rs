//! From a setting's text to its type, with the rules that each must keep.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use sensei_dispatcher::{ATTEMPT_DEADLINE, EgressOptions, Limits};
use sensei_domain::{WebhookUrl, parse_duration};
use sensei_persistence::{DatabaseUrl, MasterKey, Retention};
use tracing_subscriber::EnvFilter;

use super::error::ConfigFault;
use super::layers::{DEFAULT_ORIGIN, Given};
use super::{AdminKey, AdminListen, Config, LogFormat};

/// What must be left of a lease when an attempt ends at its deadline: its outcome has to be stored, and
/// clocks differ (docs/architecture.md: an attempt starts only if it ends before its lease).
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// An admin key can do everything: no word that somebody guesses.
const ADMIN_KEY_LENGTH: usize = 16;
const ADMIN_KEY_PREFIX: &str = "sk_";
/// Shorter, and somebody who looks on Monday misses what happened on Friday.
const SHORTEST_KEPT: Duration = Duration::from_hours(24);
/// A pass that finds nothing still looks.
const SHORTEST_ROUND: Duration = Duration::from_secs(1);
const MOST_AT_A_TIME: usize = 100_000;

/// Parses all settings, adding what is wrong to the faults; `None` only if there are some.
pub(super) fn config(values: &[Given], faults: &mut Vec<ConfigFault>) -> Option<Config> {
    let mut reader = Reader { values, faults };
    let listen = reader.read("listen", |text| {
        text.parse()
            .map_err(|_| "must be an address and a port, e.g. 127.0.0.1:8080".to_owned())
    });
    let admin_is_chosen = reader.origin("admin_listen") != DEFAULT_ORIGIN;
    let admin_listen = reader.read("admin_listen", |text| admin_listen(text, admin_is_chosen));
    let trusted_proxies = reader.read("trusted_proxies", networks);
    let database = reader.read("database_url", |text| {
        text.parse::<DatabaseUrl>().map_err(|error| error.to_string())
    });
    let lease = reader.read("lease", lease);
    reader.read("queue", queue);
    reader.read("queue_prefix", queue_prefix);
    reader.read("roles", roles);
    let admin_key = reader.read("admin_key", admin_key);
    let master_key = reader.read("master_key", encryption_key);
    let previous_master_key = reader.read("previous_master_key", encryption_key);
    let allow = reader.read("egress_allow", networks);
    let allow_http = reader.read("egress_allow_http", truth);
    let vendors_at = reader.read("vendors_at", |text| {
        text.parse::<WebhookUrl>()
            .map(|url| url.as_url().clone())
            .map_err(|error| error.to_string())
    });
    let log = reader.read("log", log_filter);
    let log_format = reader.read("log_format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    });
    let lane_capacity = reader.read("lane_capacity", count);
    let lane_concurrency = reader.read("lane_concurrency", count);
    let total_capacity = reader.read("total_capacity", count);
    let total_concurrency = reader.read("total_concurrency", count);
    let keep_attempts = reader.read("keep_attempts", kept);
    let keep_deliveries = reader.read("keep_deliveries", kept);
    let keep_leads = reader.read("keep_leads", kept);
    let keep_every = reader.read("keep_every", every);

    Some(Config {
        listen: listen?,
        admin_listen: admin_listen?,
        trusted_proxies: trusted_proxies?,
        database: database?,
        lease: lease?,
        admin_key,
        master_key,
        previous_master_key,
        egress: EgressOptions {
            allow: allow?,
            allow_http: allow_http?,
            vendors_at,
            ..EgressOptions::default()
        },
        limits: Limits {
            lane_capacity: lane_capacity?,
            lane_concurrency: lane_concurrency?,
            total_capacity: total_capacity?,
            total_concurrency: total_concurrency?,
            ..Limits::default()
        },
        retention: Retention {
            attempts: keep_attempts?,
            deliveries: keep_deliveries?,
            leads: keep_leads?,
            every: keep_every?,
        },
        log: log?,
        log_format: log_format?,
    })
}

/// A database's URL as it may be shown.
pub(super) fn without_credentials(text: &str) -> String {
    text.parse::<DatabaseUrl>()
        .map_or_else(|_| String::new(), |url| url.to_string())
}

struct Reader<'a> {
    values: &'a [Given],
    faults: &'a mut Vec<ConfigFault>,
}

impl Reader<'_> {
    /// Where a setting was set, in words.
    fn origin(&self, name: &str) -> &str {
        let given = self.values.iter().find(|given| given.setting.name == name);
        given.map_or("", |given| &given.origin)
    }

    /// The setting's value; `None` if it isn't set or is wrong, which is then a fault.
    fn read<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let given = self.values.iter().find(|given| given.setting.name == name)?;
        match parse(given.text.trim()) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.faults.push(ConfigFault::Invalid {
                    name,
                    origin: given.origin.clone(),
                    detail,
                });
                None
            }
        }
    }
}

/// `None`: nowhere.
fn admin_listen(text: &str, is_chosen: bool) -> Result<Option<AdminListen>, String> {
    if matches!(text, "" | "off") {
        return Ok(None);
    }
    match text.parse() {
        Ok(address) => Ok(Some(AdminListen { address, is_chosen })),
        Err(_) => Err("must be an address and a port, e.g. 127.0.0.1:9090, or off".to_owned()),
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text).map_err(|error| error.to_string())?;
    let least = ATTEMPT_DEADLINE + LEASE_MARGIN;
    if lease >= least {
        return Ok(lease);
    }
    Err(format!(
        "must be at least {} s: an attempt may take {} s, and {} s must be left to store its outcome",
        least.as_secs(),
        ATTEMPT_DEADLINE.as_secs(),
        LEASE_MARGIN.as_secs()
    ))
}

fn queue(text: &str) -> Result<(), String> {
    match text {
        "memory" => Ok(()),
        _ if text.starts_with("nats://") => Err("must be memory: this version has no NATS queue yet".to_owned()),
        _ => Err("must be memory".to_owned()),
    }
}

/// A part of a subject: without what separates and matches subjects.
fn queue_prefix(text: &str) -> Result<(), String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_plain && !text.is_empty() {
        return Ok(());
    }
    Err("must be letters, digits, - and _".to_owned())
}

fn roles(text: &str) -> Result<(), String> {
    if text == "all" {
        return Ok(());
    }
    Err("must be all: every process of this version captures, delivers and sweeps".to_owned())
}

fn admin_key(text: &str) -> Result<AdminKey, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with(ADMIN_KEY_PREFIX) && text.len() >= ADMIN_KEY_LENGTH && is_plain {
        return Ok(AdminKey(text.to_owned()));
    }
    Err(format!(
        "must begin with {ADMIN_KEY_PREFIX}, have at least {ADMIN_KEY_LENGTH} characters and no spaces, \
         e.g. {ADMIN_KEY_PREFIX} followed by the output of: openssl rand -hex 32"
    ))
}

fn encryption_key(text: &str) -> Result<MasterKey, String> {
    text.parse()
        .map_err(|_| "must be 32 bytes in base64, e.g. from: openssl rand -base64 32".to_owned())
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(network)
        .collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        format!("must be networks in CIDR notation, e.g. 127.0.0.0/8, separated by commas: {text:?} is none")
    })
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST_AT_A_TIME) => Ok(count),
        _ => Err(format!("must be a number from 1 to {MOST_AT_A_TIME}")),
    }
}

/// `None`: for ever.
fn kept(text: &str) -> Result<Option<Duration>, String> {
    if text == "forever" {
        return Ok(None);
    }
    match parse_duration(text) {
        Ok(kept) if kept >= SHORTEST_KEPT => Ok(Some(kept)),
        _ => Err("must be forever, or a duration of at least 1d, e.g. 30d".to_owned()),
    }
}

fn every(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(every) if every >= SHORTEST_ROUND => Ok(every),
        _ => Err("must be a duration of at least 1s, e.g. 1h".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "must be a filter such as info or info,sensei_dispatcher=debug: {error}"
        )),
    }
}

//! The settings by name: what they are called in the file, the environment and on the command line.

use sensei_dispatcher::Limits;

/// One setting. Its name in the file is also its name in errors and in the output of `sensei config`.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the file.
    pub name: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// Whether its value is never shown. A secret is no flag either: others can read a process's arguments.
    pub is_secret: bool,
    /// Whether it may be a list in the file (a text with commas otherwise).
    pub is_list: bool,
}

impl Setting {
    /// Its flag without the dashes, e.g. `egress-allow`; none for a secret.
    pub fn flag(&self) -> Option<String> {
        (!self.is_secret).then(|| self.name.replace('_', "-"))
    }

    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its value where nothing is set.
    pub(crate) fn default(&self) -> Option<String> {
        let limits = Limits::default();
        let text = match self.name {
            "listen" => "127.0.0.1:8080".to_owned(),
            "admin_listen" => "127.0.0.1:9090".to_owned(),
            "database_url" => "sqlite://data/sensei.db".to_owned(),
            "lease" => "60s".to_owned(),
            "queue" => "memory".to_owned(),
            "queue_prefix" => "sensei".to_owned(),
            "roles" => "all".to_owned(),
            "trusted_proxies" | "egress_allow" => String::new(),
            "egress_allow_http" => "false".to_owned(),
            "log" => "info,sqlx=warn,hickory_resolver=warn".to_owned(),
            "log_format" => "text".to_owned(),
            "lane_capacity" => limits.lane_capacity.to_string(),
            "lane_concurrency" => limits.lane_concurrency.to_string(),
            "total_capacity" => limits.total_capacity.to_string(),
            "total_concurrency" => limits.total_concurrency.to_string(),
            "keep_attempts" => "30d".to_owned(),
            "keep_deliveries" => "90d".to_owned(),
            "keep_leads" => "forever".to_owned(),
            "keep_every" => "1h".to_owned(),
            _ => return None,
        };
        Some(text)
    }
}

/// Every setting there is, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    plain("listen", "SENSEI_LISTEN"),
    plain("admin_listen", "SENSEI_ADMIN_LISTEN"),
    list("trusted_proxies", "SENSEI_TRUSTED_PROXIES"),
    plain("database_url", "DATABASE_URL"),
    plain("lease", "SENSEI_LEASE"),
    plain("queue", "SENSEI_QUEUE"),
    plain("queue_prefix", "SENSEI_QUEUE_PREFIX"),
    list("roles", "SENSEI_ROLES"),
    secret("admin_key", "SENSEI_ADMIN_KEY"),
    secret("master_key", "SENSEI_MASTER_KEY"),
    secret("previous_master_key", "SENSEI_PREVIOUS_MASTER_KEY"),
    list("egress_allow", "SENSEI_EGRESS_ALLOW"),
    plain("egress_allow_http", "SENSEI_EGRESS_ALLOW_HTTP"),
    plain("vendors_at", "SENSEI_VENDORS_AT"),
    plain("log", "SENSEI_LOG"),
    plain("log_format", "SENSEI_LOG_FORMAT"),
    plain("lane_capacity", "SENSEI_LANE_CAPACITY"),
    plain("lane_concurrency", "SENSEI_LANE_CONCURRENCY"),
    plain("total_capacity", "SENSEI_TOTAL_CAPACITY"),
    plain("total_concurrency", "SENSEI_TOTAL_CONCURRENCY"),
    plain("keep_attempts", "SENSEI_KEEP_ATTEMPTS"),
    plain("keep_deliveries", "SENSEI_KEEP_DELIVERIES"),
    plain("keep_leads", "SENSEI_KEEP_LEADS"),
    plain("keep_every", "SENSEI_KEEP_EVERY"),
];

const fn plain(name: &'static str, variable: &'static str) -> Setting {
    Setting {
        name,
        variable,
        is_secret: false,
        is_list: false,
    }
}

const fn list(name: &'static str, variable: &'static str) -> Setting {
    Setting {
        name,
        variable,
        is_secret: false,
        is_list: true,
    }
}

const fn secret(name: &'static str, variable: &'static str) -> Setting {
    Setting {
        name,
        variable,
        is_secret: true,
        is_list: false,
    }
}

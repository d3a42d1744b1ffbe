//! The configuration: defaults < file < environment < flags, parsed into types that can't be wrong.
//!
//! Promises that every fault is reported at once, each with the setting's name and where it was set, that
//! an unknown name is a fault and not silence, and that no secret is shown. A configuration is only
//! data: [`crate::Sensei::start`] makes it a running system.

mod error;
mod layers;
mod parse;
mod settings;

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use sensei_dispatcher::{EgressOptions, Limits};
use sensei_persistence::{DatabaseUrl, MasterKey, Retention};

pub use error::{ConfigError, ConfigFault};
pub use settings::{SETTINGS, Setting};

use layers::Layers;

/// The file that is read when it is there and no other is named.
pub const DEFAULT_FILE: &str = "sensei.toml";

/// Everything that can be chosen about a Sensei Webhooks server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where metrics are served; `None`: nowhere.
    pub admin_listen: Option<AdminListen>,
    /// Proxies whose word is taken for the address that a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// Where leads are kept.
    pub database: DatabaseUrl,
    /// For how long a process holds a delivery before another may take it.
    pub lease: Duration,
    /// The first admin key, if it is chosen by the operator; otherwise one is made at the first start.
    pub admin_key: Option<AdminKey>,
    /// What secrets in the database are encrypted with; otherwise the key kept in [`Config::master_key_file`].
    pub master_key: Option<MasterKey>,
    /// What some may still be encrypted with, while the master key takes its place; otherwise the key kept in
    /// [`Config::previous_master_key_file`], if it is there.
    pub previous_master_key: Option<MasterKey>,
    /// What webhooks may reach beyond public https addresses.
    pub egress: EgressOptions,
    /// How much is delivered at a time.
    pub limits: Limits,
    /// For how long things are kept.
    pub retention: Retention,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// How it is written.
    pub log_format: LogFormat,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminListen {
    /// The address.
    pub address: SocketAddr,
    /// Whether somebody chose it: the default one may be taken by somebody else, and is then done without.
    pub is_chosen: bool,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// An API key that the operator chose. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey(String);

impl AdminKey {
    /// The key in clear text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminKey(hidden)")
    }
}

/// Where settings come from. Empty by default: then every setting has its default.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file; it must be there.
    pub file: Option<PathBuf>,
    /// Environment variables, others than ours included.
    pub env: Vec<(String, String)>,
    /// Settings by name, as given on the command line.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// What this process was given: the named file or else `sensei.toml` if it is there, the environment, the flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let file = file.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()));
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let env = env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file, env, flags }
    }
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Which one.
    pub setting: &'static Setting,
    /// Its value as the file would have it; without credentials; `None` if there is none or it is a secret.
    pub value: Option<String>,
    /// Where it was set, in words; `None`: nowhere.
    pub origin: Option<String>,
}

impl Config {
    /// Reads the configuration from its sources.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Ok(Layers::gather(sources).parse()?.0)
    }

    /// Every setting with its value and where that was set, for a person to read.
    pub fn effective(sources: &Sources) -> Result<Vec<Effective>, ConfigError> {
        let (_, values) = Layers::gather(sources).parse()?;
        Ok(layers::effective(&values))
    }

    /// Where the master key is kept if it isn't given: beside the database, in `./data` if that is a server.
    pub fn master_key_file(&self) -> PathBuf {
        let folder = self.database.sqlite_path().and_then(|file| file.parent());
        match (folder, &self.database) {
            (Some(folder), _) => folder.join("master.key"),
            (None, DatabaseUrl::Sqlite(_)) => PathBuf::from("master.key"),
            (None, DatabaseUrl::Postgres(_)) => PathBuf::from("data/master.key"),
        }
    }

    /// Where the previous master key is looked for if neither is given: beside the other.
    pub fn previous_master_key_file(&self) -> PathBuf {
        self.master_key_file().with_extension("key.previous")
    }
}

/// What is in force where nothing is set. The paths are relative to the working directory.
impl Default for Config {
    fn default() -> Self {
        Self::load(&Sources::default()).expect("the defaults are valid: a test loads them")
    }
}

//! The command line. A setting's flag has its name with dashes; secrets have none.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sensei::config::{Config, ConfigError, Sources};
use sensei_domain::{ClientId, SigningSecret};
use url::Url;

/// Captures leads and delivers them to webhooks.
#[derive(Debug, Parser)]
#[command(name = "sensei", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and deliver (the default)
    Serve(SettingFlags),
    /// Bring the database's schema up to date
    Migrate(SettingFlags),
    /// Copy the SQLite database into a file, while a server uses it
    ///
    /// The copy is one moment of the database, whole. With PostgreSQL use its own programs.
    Backup(BackupArguments),
    /// Show the configuration in force and where each setting comes from
    Config(SettingFlags),
    /// Look after the secrets in the database
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Print a link that signs in to the console of a running server, asked with the admin key of the environment
    SignInLink(SignInLinkArguments),
    /// Receive webhooks: print each request and verify its signature
    Receiver(ReceiverArguments),
    /// Show the whole journey of a lead on a throw-away database
    Demo(DemoArguments),
    /// Print the OpenAPI description
    #[command(hide = true)]
    Openapi,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Encrypt with the new master key what the previous one still encrypts
    ///
    /// May be ended at any moment and run again, and beside servers on PostgreSQL that have both keys. With SQLite a server has the
    /// database for itself: it does the same by itself when it is started with both keys. Ends with 0 once the previous key isn't needed
    /// any more. Without the setting, the keys are in the files master.key and master.key.previous beside the database.
    Rotate(SettingFlags),
}

/// Settings, over those of the environment and the file.
#[derive(Debug, Args)]
pub(crate) struct SettingFlags {
    /// The file with settings [default: sensei.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the API listens, e.g. 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where metrics are served, e.g. 127.0.0.1:9090, or off
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Proxies before this server whose x-forwarded-for is believed, e.g. 10.0.0.0/8
    #[arg(long, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,
    /// Where leads are kept: sqlite://… or postgres://…
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// For how long a process holds a delivery, e.g. 60s
    #[arg(long, value_name = "DURATION")]
    lease: Option<String>,
    /// What carries ready work: memory
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// How the names of a shared queue's streams and subjects begin
    #[arg(long, value_name = "PREFIX")]
    queue_prefix: Option<String>,
    /// What this process does: all
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
    /// Networks that webhooks may reach though they aren't public, e.g. 127.0.0.0/8
    #[arg(long, value_name = "NETWORKS")]
    egress_allow: Option<String>,
    /// Whether webhooks may go to public addresses by plain http
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    egress_allow_http: Option<String>,
    /// Stands in for the hosts of vendors, to try things without them
    #[arg(long, value_name = "URL")]
    vendors_at: Option<String>,
    /// What is logged, e.g. info or info,sqlx=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How it is written: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Deliveries in memory for one destination
    #[arg(long, value_name = "COUNT")]
    lane_capacity: Option<String>,
    /// Attempts at a time for one destination
    #[arg(long, value_name = "COUNT")]
    lane_concurrency: Option<String>,
    /// Deliveries in memory for all destinations
    #[arg(long, value_name = "COUNT")]
    total_capacity: Option<String>,
    /// Attempts at a time for all destinations
    #[arg(long, value_name = "COUNT")]
    total_concurrency: Option<String>,
    /// For how long attempts are kept, e.g. 30d, or forever
    #[arg(long, value_name = "DURATION")]
    keep_attempts: Option<String>,
    /// For how long deliveries that are done, and events, are kept
    #[arg(long, value_name = "DURATION")]
    keep_deliveries: Option<String>,
    /// For how long leads are kept
    #[arg(long, value_name = "DURATION")]
    keep_leads: Option<String>,
    /// How often what is old is removed
    #[arg(long, value_name = "DURATION")]
    keep_every: Option<String>,
}

impl SettingFlags {
    /// The configuration with these flags on top.
    pub(crate) fn load(self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }

    /// Where the configuration comes from.
    pub(crate) fn sources(self) -> Sources {
        let flags = [
            ("listen", self.listen),
            ("admin_listen", self.admin_listen),
            ("trusted_proxies", self.trusted_proxies),
            ("database_url", self.database_url),
            ("lease", self.lease),
            ("queue", self.queue),
            ("queue_prefix", self.queue_prefix),
            ("roles", self.roles),
            ("egress_allow", self.egress_allow),
            ("egress_allow_http", self.egress_allow_http),
            ("vendors_at", self.vendors_at),
            ("log", self.log),
            ("log_format", self.log_format),
            ("lane_capacity", self.lane_capacity),
            ("lane_concurrency", self.lane_concurrency),
            ("total_capacity", self.total_capacity),
            ("total_concurrency", self.total_concurrency),
            ("keep_attempts", self.keep_attempts),
            ("keep_deliveries", self.keep_deliveries),
            ("keep_leads", self.keep_leads),
            ("keep_every", self.keep_every),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        Sources::of_process(self.config, flags)
    }
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The file to write, which isn't there yet
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct SignInLinkArguments {
    /// Whose own view it opens, and nothing else [default: everything]
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<ClientId>,
    /// Where the server is reached, as the browser will
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: Url,
    /// For how long it opens: 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) expires_in: String,
    /// A file that holds a secret key, instead of the admin key of the environment
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiverArguments {
    /// The port to listen on (0: a free one)
    #[arg(long)]
    pub(crate) port: u16,
    /// The signing secret of the destination, to verify signatures with
    #[arg(long, value_name = "whsec_…")]
    pub(crate) secret: Option<SigningSecret>,
    /// The status of every answer
    #[arg(long, default_value = "200", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: u16,
    /// The address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) listen: IpAddr,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// End after the lead has arrived instead of waiting for Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use sensei::config::SETTINGS;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_but_the_secret_ones_has_its_flag() {
        let command = Cli::command();
        let flags: Vec<_> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|flag| *flag != "config")
            .collect();
        let settings: Vec<_> = SETTINGS.iter().filter_map(sensei::config::Setting::flag).collect();
        assert_eq!(flags, settings);
    }

    #[test]
    fn a_flag_sets_the_setting_of_its_name() {
        for setting in SETTINGS {
            let Some(flag) = setting.flag() else { continue };
            let cli = Cli::try_parse_from(["sensei", &format!("--{flag}"), "text"]).expect("a flag with its value");
            assert_eq!(cli.settings.sources().flags, [(setting.name, "text".to_owned())]);
        }
    }
}

//! What a run works on: the program, its disk, the receivers of every kind, and what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use sensei_test_support::{Api, Binary, FaultServer, Process, Receiver};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{Attempts, Database, DatabaseKind};
use crate::explain::Life;
use crate::fault::{End, Fault};
use crate::manner::Manner;
use crate::run::Options;
use crate::seen::Received;
use crate::shim::Shim;
use crate::volume::Volume;

pub(crate) const ADMIN_KEY: &str = "sk_of_the_torture_on_loopback";
/// Longer than anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// As short as leases may be, so that those of the dead on PostgreSQL are soon over.
const LEASE: &str = "25s";

/// A tenant's receiver.
#[derive(Debug)]
pub(crate) enum Server {
    Recording(Receiver),
    Faulty(FaultServer),
    Mended,
}

/// A client with a receiver, and the leads that were acknowledged for it.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) manner: Manner,
    pub(crate) server: Server,
    pub(crate) client: String,
    pub(crate) acknowledged: BTreeSet<String>,
    /// The requests that came until now.
    pub(crate) received: Received,
}

/// Everything of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) lives: Vec<(Fault, End)>,
    /// Answers that weren't 201, by status and problem.
    pub(crate) refused: BTreeMap<(u16, String), usize>,
    pub(crate) cut: usize,
    pub(crate) shim: Option<Shim>,
    /// What each life left.
    pub(crate) seen: Vec<Life>,
    /// The log as it was after the last life.
    pub(crate) attempts: Attempts,
    pub(crate) volume: Option<Volume>,
    pub(crate) database: Database,
    binary: Binary,
    /// After the volume, which is unmounted first.
    _directory: TempDir,
}

impl World {
    /// `None` where PostgreSQL is wanted and isn't installed.
    pub(crate) fn new(options: &Options) -> Result<Option<Self>> {
        let directory = tempfile::Builder::new()
            .prefix("torture-")
            .tempdir_in(&options.directory)?;
        let binary = Binary::in_directory(&options.program, tempfile::Builder::new().tempdir_in(directory.path())?);
        let shim = skipping("slow disk and clock jumps", Shim::compile(directory.path()));
        let (volume, database) = match options.database {
            DatabaseKind::Sqlite => {
                let volume = Volume::mount(directory.path(), options.room);
                let volume = skipping("full and read-only disks", volume);
                let folder = volume.as_ref().map_or_else(|| directory.path(), Volume::path);
                let database = Database::File {
                    path: folder.join("sensei.db"),
                    copy: directory.path().join("copy.db"),
                };
                (volume, database)
            }
            DatabaseKind::Postgres => match Database::server()? {
                Some(database) => (None, database),
                None => return Ok(None),
            },
        };
        let binary = binary
            .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
            .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
            .env("SENSEI_LOG", "error")
            .env("SENSEI_LEASE", LEASE)
            .env("DATABASE_URL", database.url());
        let tenants = Manner::ALL.into_iter().map(|manner| Tenant {
            manner,
            server: manner.start(),
            client: String::new(),
            acknowledged: BTreeSet::new(),
            received: Received::new(),
        });
        Ok(Some(Self {
            tenants: tenants.collect(),
            lives: Vec::new(),
            refused: BTreeMap::new(),
            cut: 0,
            seen: Vec::new(),
            attempts: Attempts::new(),
            binary: match &shim {
                Some(shim) => shim.preload(binary),
                None => binary,
            },
            shim,
            volume,
            database,
            _directory: directory,
        }))
    }

    /// The faults that this machine has the means for, and this database can have.
    pub(crate) fn means(&self) -> Vec<Fault> {
        let is_server = matches!(self.database, Database::Server(_));
        Fault::ALL
            .into_iter()
            .filter(|fault| match fault {
                Fault::None | Fault::Stopped => true,
                Fault::ClockJump => self.shim.is_some(),
                // The disk is the process's own, or the server's.
                Fault::SlowDisk => self.shim.is_some() && !is_server,
                Fault::FullDisk | Fault::ReadOnly => self.volume.is_some(),
                Fault::DatabaseStopped | Fault::DatabaseKilled | Fault::ConnectionsCut => is_server,
            })
            .collect()
    }

    pub(crate) fn spawn(&self) -> Result<Process> {
        self.binary.start()
    }

    /// Starts the program and waits until it takes requests.
    pub(crate) async fn start(&mut self) -> Result<(Process, SocketAddr)> {
        let mut process = self.spawn()?;
        let address = process.wait_ready(PATIENCE).await?;
        if self.tenants[0].client.is_empty() {
            self.create_tenants(&Api::new(address, ADMIN_KEY)).await?;
        }
        Ok((process, address))
    }

    async fn create_tenants(&mut self, api: &Api) -> Result<()> {
        for tenant in &mut self.tenants {
            let url = match &tenant.server {
                Server::Recording(receiver) => receiver.url(),
                Server::Faulty(server) => server.url(),
                Server::Mended => continue,
            };
            let body = json!({"name": format!("{:?}", tenant.manner), "leadWebhookUrl": url});
            let created = api.post("/v1/clients", &body).await?;
            ensure!(created.status == 201, "{created:?}");
            tenant.client = text(&created.json["id"]);
            if tenant.manner.must_receive() {
                let settings = api.get(&format!("/v1/clients/{}/settings", tenant.client)).await?;
                let destination = text(&settings.json["destinationId"]);
                let path = format!("/v1/clients/{}/destinations/{destination}", tenant.client);
                let retry = json!({"retry": {"policy": "custom", "delays": vec!["1s"; 20]}});
                let changed = api.patch(&path, &retry).await?;
                ensure!(changed.status == 200, "{changed:?}");
            }
        }
        Ok(())
    }

    /// Lets every receiver take what it is sent from now on.
    pub(crate) fn mend(&mut self) -> Result<()> {
        for tenant in &mut self.tenants {
            match &tenant.server {
                Server::Recording(receiver) => {
                    receiver.set_status(200);
                    receiver.set_delay(Duration::ZERO);
                }
                Server::Faulty(server) => {
                    let address = server.address();
                    // The old one lets go of the address first.
                    tenant.server = Server::Mended;
                    tenant.server = Server::Recording(Receiver::start_on(address)?);
                }
                Server::Mended => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An id as 32 digits.
pub(crate) fn hex(id: &str) -> String {
    id.replace('-', "")
}

/// Loud: a test's harness would keep what `eprintln` says to itself.
fn skipping<T>(what: &str, means: Result<T>) -> Option<T> {
    let said = means.inspect_err(|error| drop(writeln!(std::io::stderr(), "SKIPPED: {what}: {error:#}")));
    said.ok()
}

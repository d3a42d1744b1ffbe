//! What a run works on: the program, its disk, the receivers of every kind, and what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sensei_test_support::{Api, Binary, Fault as Answer, FaultServer, Process, Receiver};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::fault::{End, Fault};
use crate::shim::Shim;
use crate::volume::Volume;

pub(crate) const ADMIN_KEY: &str = "sk_of_the_torture_on_loopback";
/// Longer than anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// A caller rests so long between two leads.
const REST: Duration = Duration::from_millis(10);

/// How a tenant's receiver behaves until it is mended at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Steady,
    Slow,
    Flapping,
    Failing,
    Gone,
    Hanging,
    Resetting,
    Lying,
    CutShort,
}

impl Manner {
    const ALL: [Self; 9] = [
        Self::Steady,
        Self::Slow,
        Self::Flapping,
        Self::Failing,
        Self::Gone,
        Self::Hanging,
        Self::Resetting,
        Self::Lying,
        Self::CutShort,
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Steady => "answers 200",
            Self::Slow => "answers 200 after 300 ms",
            Self::Flapping => "answers 200 in one life, 503 in the next",
            Self::Failing => "answers 500",
            Self::Gone => "answers 410",
            Self::Hanging => "never answers",
            Self::Resetting => "resets the connection",
            Self::Lying => "answers what isn't HTTP",
            Self::CutShort => "answers 200 and cuts the body short",
        }
    }

    /// Whether every lead must reach it: its destination retries until it does.
    pub(crate) const fn must_receive(self) -> bool {
        matches!(self, Self::Steady | Self::Slow | Self::Flapping)
    }

    fn start(self) -> Server {
        let fault = match self {
            Self::Hanging => Some(Answer::BlackHole),
            Self::Resetting => Some(Answer::Reset),
            Self::Lying => Some(Answer::Garbage),
            Self::CutShort => Some(Answer::ShortBody),
            _ => None,
        };
        if let Some(fault) = fault {
            return Server::Faulty(FaultServer::start(fault));
        }
        let receiver = Receiver::start();
        match self {
            Self::Slow => receiver.set_delay(Duration::from_millis(300)),
            Self::Failing => receiver.set_status(500),
            Self::Gone => receiver.set_status(410),
            _ => {}
        }
        Server::Recording(receiver)
    }
}

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
    pub(crate) volume: Option<Volume>,
    binary: Binary,
    database: PathBuf,
    /// After the volume, which is unmounted first.
    _directory: TempDir,
}

impl World {
    pub(crate) fn new(program: &Path, directory: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("torture-").tempdir_in(directory)?;
        let binary = Binary::in_directory(program, tempfile::Builder::new().tempdir_in(directory.path())?);
        let shim = skipping("slow disk and clock jumps", Shim::compile(directory.path()));
        let volume = skipping("full and read-only disks", Volume::mount(directory.path()));
        let folder = volume.as_ref().map_or_else(|| directory.path(), Volume::path);
        let database = folder.join("sensei.db");
        let binary = binary
            .env("SENSEI_ADMIN_KEY", ADMIN_KEY)
            .env("SENSEI_EGRESS_ALLOW", "127.0.0.0/8")
            .env("SENSEI_LOG", "error")
            .env("DATABASE_URL", format!("sqlite://{}", database.display()));
        let tenants = Manner::ALL.into_iter().map(|manner| Tenant {
            manner,
            server: manner.start(),
            client: String::new(),
            acknowledged: BTreeSet::new(),
        });
        Ok(Self {
            tenants: tenants.collect(),
            lives: Vec::new(),
            refused: BTreeMap::new(),
            cut: 0,
            binary: match &shim {
                Some(shim) => shim.preload(binary),
                None => binary,
            },
            shim,
            volume,
            database,
            _directory: directory,
        })
    }

    /// The faults that this machine has the means for.
    pub(crate) fn means(&self) -> Vec<Fault> {
        Fault::ALL
            .into_iter()
            .filter(|fault| match fault {
                Fault::None | Fault::Stopped => true,
                Fault::SlowDisk | Fault::ClockJump => self.shim.is_some(),
                Fault::FullDisk | Fault::ReadOnly => self.volume.is_some(),
            })
            .collect()
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
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

    /// Callers at work for every tenant until they are stopped.
    pub(crate) fn load(&self, address: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = self.tenants.iter().enumerate().map(|(index, tenant)| {
            let api = Api::new(address, ADMIN_KEY);
            let path = format!("/v1/clients/{}/leads", tenant.client);
            let (stop, told) = (Arc::clone(&stop), Arc::<Mutex<Told>>::default());
            // A receiver that fails gets one lead a life: with a queue of them, it would only be its breaker that is tested.
            let is_once = !tenant.manner.must_receive();
            let task = tokio::spawn(call(api, path, is_once, stop, Arc::clone(&told)));
            (index, told, task)
        });
        Load {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// Takes down what callers were told.
    pub(crate) async fn note(&mut self, load: Load) -> Result<()> {
        load.stop.store(true, Ordering::SeqCst);
        for (index, told, task) in load.tasks {
            task.await.context("a caller panicked")?;
            let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
            self.tenants[index].acknowledged.extend(told.acknowledged);
            self.cut += told.cut;
            for (what, count) in told.refused {
                *self.refused.entry(what).or_default() += count;
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

/// Callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<(usize, Arc<Mutex<Told>>, JoinHandle<()>)>,
}

impl Load {
    /// How many leads were acknowledged until now.
    pub(crate) fn acknowledged(&self) -> usize {
        let count = |told: &Mutex<Told>| told.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.len();
        self.tasks.iter().map(|(_, told, _)| count(told)).sum()
    }
}

/// What one caller was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<String>,
    refused: BTreeMap<(u16, String), usize>,
    cut: usize,
}

async fn call(api: Api, path: String, is_once: bool, stop: Arc<AtomicBool>, told: Arc<Mutex<Told>>) {
    let lead = json!({"name": "John Doe", "email": "john@example.com", "message": "m".repeat(500)});
    while !stop.load(Ordering::SeqCst) {
        let answer = api.post(&path, &lead).await;
        {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(answer) if answer.status == 201 => {
                    told.acknowledged.push(text(&answer.json["id"]));
                    if is_once {
                        return;
                    }
                }
                Ok(answer) => {
                    *told
                        .refused
                        .entry((answer.status, text(&answer.json["type"])))
                        .or_default() += 1;
                }
                Err(_) => told.cut += 1,
            }
        }
        tokio::time::sleep(REST).await;
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn skipping<T>(what: &str, means: Result<T>) -> Option<T> {
    means.inspect_err(|error| eprintln!("SKIPPED: {what}: {error:#}")).ok()
}

//! The two clients behind [`Egress`], and the one deadline around each request.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Method, redirect, retry};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use sensei_domain::WebhookUrl;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::answer::Answer;
use super::failure::Failure;
use super::own_address::OwnAddresses;
use super::policy::{Approach, Policy, Refusal};
use super::recorder::{Recorded, Recorder};
use super::resolver::{Dns, VettingResolver};
use super::tls;

/// For a whole attempt: name, connection, TLS, request, answer with its body.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);

/// What every request of ours says it comes from.
pub const USER_AGENT: &str = concat!("Sensei-Webhooks/", env!("CARGO_PKG_VERSION"));

/// Node's servers close idle connections after 5 s. A request that meets the close is lost, and without a
/// retry so is its lead.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// At least as many as attempts to one host run at once, else each of the others connects anew.
const IDLE_PER_HOST: usize = 256;

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct EgressOptions {
    /// Addresses that may be reached though they aren't public, by plain http too (`SENSEI_EGRESS_ALLOW`).
    pub allow: Vec<IpNet>,
    /// Whether plain http may be used to public addresses (`SENSEI_EGRESS_ALLOW_HTTP`).
    pub allow_http: bool,
    /// Stands in for the hosts of vendors (Slack, Discord, …), for tests and trials: what is for `https://host/path` is sent to
    /// `/host/path` there.
    pub vendors_at: Option<Url>,
    /// DNS servers to ask. Empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Root certificates to trust besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// For a whole request, the answer's body included. Two thirds of it are for the connection.
    pub deadline: Duration,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            allow_http: false,
            vendors_at: None,
            dns_servers: Vec::new(),
            extra_roots: Vec::new(),
            deadline: ATTEMPT_DEADLINE,
        }
    }
}

/// A request to send.
#[derive(Debug)]
pub struct Call<'a> {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: &'a Url,
    /// Its headers; `user-agent` is added.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// When it must be over, if not one [deadline](Egress::deadline) from now: an attempt of several requests has one for all.
    pub ends: Option<Instant>,
}

/// There is no way out.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A root certificate can't be used, or TLS has no cipher.
    #[error("can't set TLS up")]
    Tls(#[from] rustls::Error),
    /// The resolver can't be built.
    #[error("can't set the DNS resolver up: {0}")]
    Dns(String),
    /// A client can't be built.
    #[error("can't build an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// The only way out. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Shared>, Option<Recorder>);

struct Shared {
    policy: Arc<Policy>,
    vendors_at: Option<Url>,
    https: Way,
    http: Way,
    tls: Arc<ClientConfig>,
    deadline: Duration,
    connect_timeout: Duration,
}

/// A client and the resolver that it connects by, which also vets what the client doesn't resolve.
struct Way {
    client: Client,
    resolver: VettingResolver,
}

impl Egress {
    /// Reads the system's root certificates and DNS settings, and builds the clients.
    pub fn new(options: EgressOptions) -> Result<Self, EgressError> {
        let tls = tls::client_config(&options.extra_roots)?;
        let dns = Dns::new(&options.dns_servers).map_err(|error| EgressError::Dns(error.to_string()))?;
        let policy = Arc::new(Policy {
            allow: options.allow,
            allow_http: options.allow_http,
        });
        let connect_timeout = options.deadline * 2 / 3;
        let own = OwnAddresses::new();
        let way = |encrypted| {
            let resolver = VettingResolver {
                dns: dns.clone(),
                policy: Arc::clone(&policy),
                own,
                encrypted,
            };
            let client = builder(tls.clone(), resolver.clone(), connect_timeout)
                .https_only(encrypted)
                .build()?;
            Ok::<_, reqwest::Error>(Way { client, resolver })
        };
        let shared = Arc::new(Shared {
            https: way(true)?,
            http: way(false)?,
            tls: Arc::new(tls.clone()),
            policy,
            vendors_at: options.vendors_at,
            deadline: options.deadline,
            connect_timeout,
        });
        Ok(Self(shared, None))
    }

    /// One by which nothing leaves: the first request is kept there, and each ends as a failure.
    pub(crate) fn recording(&self) -> (Self, Recorder) {
        let recorder = Recorder::default();
        (Self(Arc::clone(&self.0), Some(recorder.clone())), recorder)
    }

    /// Where requests are kept instead of being sent, if they are.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.1.as_ref()
    }

    /// Judges a URL by what it says, without looking its name up: for a good message to whoever typed it. That it
    /// passes doesn't mean that its address may be reached.
    pub fn check(&self, url: &WebhookUrl) -> Result<(), Refusal> {
        self.0.policy.check(url.as_url())
    }

    /// The addresses of a host that an https request could connect to now; all of them are vetted.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let resolved = self.0.https.resolver.resolve_name(host).await;
        resolved.map_err(|error| Failure::of_resolving(&error))
    }

    /// What decides where a connection may lead.
    pub(super) fn guard(&self, encrypted: bool) -> (&VettingResolver, &Policy) {
        let way = if encrypted { &self.0.https } else { &self.0.http };
        (&way.resolver, &self.0.policy)
    }

    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.tls)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.0.connect_timeout
    }

    /// How long one request may take, its answer's body included.
    pub fn deadline(&self) -> Duration {
        self.0.deadline
    }

    /// Sends one request, once: no redirect is followed, nothing is sent again. Safe to drop at any await.
    ///
    /// # Errors
    /// If there is no answer. An answer of any status is an `Ok`.
    pub async fn send(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let Call {
            method,
            url,
            headers,
            body,
            ends,
        } = call;
        let shared = &*self.0;
        shared.policy.check(url).map_err(Failure::Blocked)?;
        if let Some(recorder) = &self.1 {
            let method = method.to_string();
            recorder.keep(Recorded { method, headers, body });
            return Err(Failure::Ours("it is a preview".to_owned()));
        }
        let way = if url.scheme() == "https" {
            &shared.https
        } else {
            &shared.http
        };
        way.vet_literal(url).map_err(Failure::Blocked)?;

        let ends = ends.unwrap_or_else(|| Instant::now() + shared.deadline);
        let request = way.client.request(method, url.clone()).headers(headers).body(body);
        let response = timeout_at(ends, request.send())
            .await
            .map_err(|_| Failure::Timeout { after: shared.deadline })?
            .map_err(|error| Failure::of(&error, shared.connect_timeout))?;
        way.watch(url, response.remote_addr());
        Ok(Answer::read(response, ends).await)
    }

    /// As [`Egress::send`], to a host that a kind knows, not one that a client chose: where something stands in for those, to that.
    pub async fn send_to_vendor(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let Some(base) = self.0.vendors_at.as_ref().filter(|_| self.1.is_none()) else {
            return self.send(call).await;
        };
        let mut url = base.clone();
        let host = call.url.host_str().unwrap_or_default();
        url.set_path(&format!(
            "{}/{host}{}",
            base.path().trim_end_matches('/'),
            call.url.path()
        ));
        url.set_query(call.url.query());
        self.send(Call { url: &url, ..call }).await
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("policy", &self.0.policy)
            .field("deadline", &self.0.deadline)
            .finish_non_exhaustive()
    }
}

impl Way {
    /// A client asks its resolver for names only, never for a host that is an address already.
    fn vet_literal(&self, url: &Url) -> Result<(), Refusal> {
        let address: IpAddr = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let approach = Approach {
            encrypted: self.resolver.encrypted,
            local_name: false,
        };
        self.resolver.vet(url.host_str().unwrap_or_default(), address, approach)
    }

    /// An alarm, not a guard: by now the request has been sent.
    fn watch(&self, url: &Url, remote: Option<SocketAddr>) {
        let Some(remote) = remote else { return };
        let approach = Approach {
            encrypted: self.resolver.encrypted,
            local_name: false,
        };
        if self.resolver.policy.vet(remote.ip(), approach).is_err() {
            tracing::error!(host = url.host_str(), %remote, "a request reached an address that isn't allowed");
        }
    }
}

fn builder(tls: ClientConfig, resolver: VettingResolver, connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        // A proxy from the environment would dial anything for us.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
}

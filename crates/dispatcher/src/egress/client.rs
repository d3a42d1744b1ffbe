//! The two ways behind [`Egress`], and the one deadline around each request.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, Uri};
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use sensei_domain::WebhookUrl;
use tokio::time::{Instant, timeout_at};
use tokio_util::either::Either;
use url::{Host, Position, Url};

use super::answer::Answer;
use super::connection::{Connection, Unanswered};
use super::dial;
use super::failure::Failure;
use super::idle::Idle;
use super::own_address::OwnAddresses;
use super::policy::{Approach, Policy, Refusal};
use super::recorder::{Recorded, Recorder};
use super::resolver::{Dns, VettingResolver};
use super::tls;

/// For a whole attempt: name, connection, TLS, request, answer with its body.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);

/// What every request of ours says it comes from.
pub const USER_AGENT: &str = concat!("Sensei-Webhooks/", env!("CARGO_PKG_VERSION"));

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

/// How requests of one scheme leave: the resolver that connections are made by, which also vets what isn't resolved, and those that are kept.
struct Way {
    resolver: VettingResolver,
    /// `None` for plain http.
    tls: Option<Arc<ClientConfig>>,
    connect_timeout: Duration,
    idle: Idle,
}

impl Egress {
    /// Reads the system's root certificates and DNS settings, and opens no connection yet.
    pub fn new(options: EgressOptions) -> Result<Self, EgressError> {
        let tls = tls::client_config(&options.extra_roots)?;
        let dns = Dns::new(&options.dns_servers).map_err(|error| EgressError::Dns(error.to_string()))?;
        let policy = Arc::new(Policy {
            allow: options.allow,
            allow_http: options.allow_http,
        });
        let connect_timeout = options.deadline * 2 / 3;
        let own = OwnAddresses::new();
        let way = |tls: Option<ClientConfig>| Way {
            resolver: VettingResolver {
                dns: dns.clone(),
                policy: Arc::clone(&policy),
                own,
                encrypted: tls.is_some(),
            },
            tls: tls.map(Arc::new),
            connect_timeout,
            idle: Idle::default(),
        };
        let mut https = tls.clone();
        https.alpn_protocols = vec![b"http/1.1".to_vec()];
        let shared = Arc::new(Shared {
            https: way(Some(https)),
            http: way(None),
            tls: Arc::new(tls),
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
        let request = request(method, url, headers, body)?;
        let answered = timeout_at(ends, way.send(url, request)).await;
        let answered = answered.map_err(|_elapsed| Failure::Timeout { after: shared.deadline })?;
        let (response, mut connection) = answered?;
        let answer = Answer::read(response, &mut connection, ends).await;
        if answer.is_whole {
            way.idle.put(host_and_port(url), connection).await;
        }
        Ok(answer)
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

    /// Sends a request over a connection that is kept, or a new one. The caller has a deadline.
    async fn send(
        &self,
        url: &Url,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        // What was closed meanwhile without having taken anything is no attempt.
        while let Some(mut kept) = self.idle.take(host_and_port(url)).await {
            request = match kept.send(request).await {
                Ok(response) => return Ok((response, kept)),
                Err(Unanswered {
                    unsent: Some(unsent), ..
                }) => unsent,
                Err(Unanswered { error, .. }) => return Err(Failure::of(&error)),
            };
        }
        let connecting = timeout_at(Instant::now() + self.connect_timeout, self.connect(url)).await;
        let after = self.connect_timeout;
        let mut connection = connecting.map_err(|_elapsed| Failure::ConnectTimeout { after })??;
        match connection.send(request).await {
            Ok(response) => Ok((response, connection)),
            Err(Unanswered { error, .. }) => Err(Failure::of(&error)),
        }
    }

    /// Connects to an address that was vetted: the URL's own, or one that its name has now.
    async fn connect(&self, url: &Url) -> Result<Connection, Failure> {
        let none = || Failure::Ours("it can't be built".to_owned());
        let (host, port) = url.host().zip(url.port_or_known_default()).ok_or_else(none)?;
        let addresses = match host {
            Host::Ipv4(address) => vec![address.into()],
            Host::Ipv6(address) => vec![address.into()],
            Host::Domain(name) => {
                let resolved = self.resolver.resolve_name(name).await;
                resolved.map_err(|error| Failure::of_resolving(&error))?
            }
        };
        let broken = |error| Failure::of_socket(&error, true, self.connect_timeout);
        let stream = dial::connect(&addresses, port).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let socket = match &self.tls {
            None => Either::Left(stream),
            Some(tls) => {
                let handshake = dial::shake_hands(Arc::clone(tls), host.to_owned(), stream, self.connect_timeout);
                Either::Right(Box::new(handshake.await?))
            }
        };
        Connection::over(socket).await.map_err(|error| Failure::of(&error))
    }
}

/// A request as it goes over a connection: its path, and the host among its headers.
fn request(method: Method, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let none = || Failure::Ours("it can't be built".to_owned());
    let path = Bytes::copy_from_slice(url[Position::BeforePath..Position::AfterQuery].as_bytes());
    let host = HeaderValue::from_str(host_and_port(url)).map_err(|_| none())?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(path).map_err(|_| none())?;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(USER_AGENT));
    headers.insert(header::HOST, host);
    Ok(request)
}

/// `example.com`, `example.com:8443`, `[::1]:8080`.
fn host_and_port(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

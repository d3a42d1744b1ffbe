//! Names to addresses, all of them vetted: what connections are made by.
//!
//! A name is refused if *any* of its addresses is: a name that is half public and half private is an attack
//! or a mistake. hickory and not the system's resolver, because `getaddrinfo` can't be cancelled and occupies
//! a blocking thread. `/etc/hosts` and `/etc/resolv.conf` are read once, at the start. Search domains aren't used.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{ResolverBuilder, TokioResolver};

use super::own_address::OwnAddresses;
use super::policy::{Approach, LOCALHOST, Policy, Refusal, is_local_name, is_localhost};

/// For a name and all its addresses.
const BUDGET: Duration = Duration::from_secs(5);
/// For one question to one server, so that two of them fit into the budget.
const PER_QUESTION: Duration = Duration::from_secs(2);
/// A receiver that moves is found again this fast, whatever its records say.
const KEPT_AT_MOST: Duration = Duration::from_mins(5);
/// A name that was just created is found this fast.
const MISSING_KEPT_AT_MOST: Duration = Duration::from_secs(10);
/// Questions under way on one connection; more are answered "busy".
const QUESTIONS_AT_ONCE: usize = 1_024;
/// More addresses of a name aren't tried.
const MOST_OF_A_FAMILY: usize = 3;

/// Why a name has no address for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("no such name")]
    NotFound,
    #[error("no address")]
    NoAddress,
    #[error("no answer in time")]
    TimedOut,
    #[error("{0}")]
    Failed(String),
}

/// Looks names up and lets through what the policy lets through.
#[derive(Debug, Clone)]
pub(super) struct VettingResolver {
    pub(super) dns: Dns,
    pub(super) policy: Arc<Policy>,
    pub(super) own: OwnAddresses,
    pub(super) encrypted: bool,
}

impl VettingResolver {
    pub(super) async fn resolve_name(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let approach = Approach {
            encrypted: self.encrypted,
            local_name: is_local_name(name),
        };
        if is_localhost(name) {
            // Fixed by RFC 6761, so the family that isn't allowed can be left out instead of refusing both.
            let allowed = LOCALHOST.into_iter().filter(|&address| self.policy.allows(address));
            let allowed: Vec<_> = allowed.collect();
            return if allowed.is_empty() {
                Err(ResolveError::Refused(Refusal::LocalName))
            } else {
                Ok(allowed)
            };
        }
        let addresses = self.dns.look_up(name).await?;
        for &address in &addresses {
            self.vet(name, address, approach).map_err(ResolveError::Refused)?;
        }
        Ok(addresses)
    }

    /// Vets an address that the host resolved to, or is. The log alone says which one was refused.
    pub(super) fn vet(&self, host: &str, address: IpAddr, approach: Approach) -> Result<(), Refusal> {
        self.policy
            .vet(address, approach)
            .and_then(|()| {
                if !self.policy.allows(address) && self.own.contain(address) {
                    return Err(Refusal::Address {
                        what: "an address of this machine",
                    });
                }
                Ok(())
            })
            .inspect_err(|refusal| tracing::info!(host, %address, ?refusal, "an address was refused"))
    }
}

/// The DNS, shared by both ways out so that they share its cache.
#[derive(Clone)]
pub(super) struct Dns(TokioResolver);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

impl Dns {
    /// Asks the given servers; without any, those of the system.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let mut builder = if servers.is_empty() {
            of_system()
        } else {
            of_servers(servers)
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = PER_QUESTION;
        options.attempts = 1;
        options.positive_max_ttl = Some(KEPT_AT_MOST);
        options.negative_max_ttl = Some(MISSING_KEPT_AT_MOST);
        options.max_active_requests = QUESTIONS_AT_ONCE;
        Ok(Self(builder.build()?))
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let mut fqdn = Name::from_ascii(name).map_err(|_| ResolveError::NotFound)?;
        fqdn.set_fqdn(true);
        let lookup = tokio::time::timeout(BUDGET, self.0.lookup_ip(fqdn))
            .await
            .map_err(|_| ResolveError::TimedOut)?
            .map_err(|error| explain(&error))?;
        let addresses = few(lookup.iter());
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress);
        }
        Ok(addresses)
    }
}

/// The first of each family. Who has a name may let it have thousands of addresses, and each that is tried is a socket.
fn few(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut v4, mut v6) = (0, 0);
    let is_one = |address: &IpAddr| {
        let seen = if address.is_ipv4() { &mut v4 } else { &mut v6 };
        *seen += 1;
        *seen <= MOST_OF_A_FAMILY
    };
    addresses.filter(is_one).collect()
}

fn of_servers(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn of_system() -> ResolverBuilder<TokioRuntimeProvider> {
    TokioResolver::builder_tokio().unwrap_or_else(|error| {
        // As the C library does without a resolv.conf.
        tracing::warn!(%error, "the system's DNS servers aren't known: asking 127.0.0.1");
        of_servers(&[(Ipv4Addr::LOCALHOST, 53).into()])
    })
}

fn explain(error: &NetError) -> ResolveError {
    match error {
        NetError::Timeout => ResolveError::TimedOut,
        NetError::Dns(DnsError::NoRecordsFound(missing)) => match missing.response_code {
            ResponseCode::NXDomain => ResolveError::NotFound,
            ResponseCode::NoError => ResolveError::NoAddress,
            code => ResolveError::Failed(code.to_string()),
        },
        other => ResolveError::Failed(other.to_string()),
    }
}

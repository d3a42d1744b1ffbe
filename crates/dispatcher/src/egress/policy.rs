//! What may be reached, decided without looking anything up.
//!
//! An address that the operator allowed may be reached by plain http and at any port. A name that belongs to a
//! local network may lead to allowed addresses only. Everything else must be public, and https unless
//! the operator allows http.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use super::address::is_public;

/// Ports below 1024 that web servers use.
const LOW_PORTS: [u16; 2] = [80, 443];

/// Ports from 1024 that other services use: databases, queues, container engines, and the
/// "bad ports" of the Fetch standard (section 2.9).
const FOREIGN_PORTS: &[u16] = &[
    1433, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 4222, 5060, 5061, 5432,
    5672, 5900, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10080, 10250,
    11211, 27017,
];

/// Why a URL may not be used. Its text follows the field's name ("must …") and is for whoever typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither http nor https.
    #[error("must begin with https://")]
    Scheme,
    /// A user name or a password.
    #[error("must not hold a user name or password")]
    Credentials,
    /// Something after `#`.
    #[error("must not have a fragment (what follows #)")]
    Fragment,
    /// No host.
    #[error("must name a host")]
    NoHost,
    /// http where only https may be used.
    #[error(
        "must begin with https:// (plain http leads only to addresses in SENSEI_EGRESS_ALLOW, unless SENSEI_EGRESS_ALLOW_HTTP=true)"
    )]
    PlainHttp,
    /// A port that isn't a web server's.
    #[error("must not use port {port} (web servers use 443, 80, 8443 or another one from 1024)")]
    Port {
        /// The port.
        port: u16,
    },
    /// An address that isn't public.
    #[error("must not lead to {what}, unless SENSEI_EGRESS_ALLOW allows it (e.g. SENSEI_EGRESS_ALLOW=127.0.0.0/8)")]
    Address {
        /// What the address is for, with its article.
        what: &'static str,
    },
    /// A name that means something in a local network only.
    #[error(
        "must not be a name of the local network, unless SENSEI_EGRESS_ALLOW allows its address (e.g. SENSEI_EGRESS_ALLOW=127.0.0.0/8)"
    )]
    LocalName,
}

/// What a request is, as far as the choice of addresses goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Approach {
    pub(super) encrypted: bool,
    pub(super) local_name: bool,
}

/// The operator's rules.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) allow: Vec<IpNet>,
    pub(super) allow_http: bool,
}

impl Policy {
    /// Judges a URL by what it says. What its name resolves to is judged by [`Policy::vet`], address by address.
    pub(super) fn check(&self, url: &Url) -> Result<(), Refusal> {
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(Refusal::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        match url.host().ok_or(Refusal::NoHost)? {
            Host::Ipv4(address) => self.check_address(address.into(), encrypted, url),
            Host::Ipv6(address) => self.check_address(address.into(), encrypted, url),
            Host::Domain(name) => self.check_name(name, encrypted, url),
        }
    }

    fn check_address(&self, address: IpAddr, encrypted: bool, url: &Url) -> Result<(), Refusal> {
        let approach = Approach {
            encrypted,
            local_name: false,
        };
        self.vet(address, approach)?;
        if self.allows(address) {
            return Ok(());
        }
        check_port(url)
    }

    fn check_name(&self, name: &str, encrypted: bool, url: &Url) -> Result<(), Refusal> {
        if name.trim_end_matches('.').is_empty() {
            return Err(Refusal::NoHost);
        }
        if is_localhost(name) {
            let reachable = LOCALHOST.iter().any(|&address| self.allows(address));
            return if reachable { Ok(()) } else { Err(Refusal::LocalName) };
        }
        if is_local_name(name) {
            return if self.allow.is_empty() {
                Err(Refusal::LocalName)
            } else {
                Ok(())
            };
        }
        if !encrypted && !self.allow_http && self.allow.is_empty() {
            return Err(Refusal::PlainHttp);
        }
        check_port(url)
    }

    /// Judges an address that a request is about to connect to.
    pub(super) fn vet(&self, address: IpAddr, approach: Approach) -> Result<(), Refusal> {
        if self.allows(address) {
            return Ok(());
        }
        is_public(address).map_err(|denied| Refusal::Address { what: denied.what })?;
        if approach.local_name {
            return Err(Refusal::LocalName);
        }
        if !approach.encrypted && !self.allow_http {
            return Err(Refusal::PlainHttp);
        }
        Ok(())
    }

    /// Whether the operator named this address. Only `::ffff:0:0/96` counts as the IPv4 address that it
    /// embeds: the system connects to that very one. Other embeddings lead through a translator.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.iter().any(|range| range.contains(&address))
    }
}

/// What `localhost` and the names below it stand for, wherever they are asked (RFC 6761, section 6.3).
pub(super) const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether a name is `localhost` or below it.
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a name means something in a local network only (`metadata.google.internal` among them).
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit_once('.') {
        None => true,
        Some((_, last)) => ["localhost", "internal", "local"].contains(&last),
    }
}

fn check_port(url: &Url) -> Result<(), Refusal> {
    let port = url.port_or_known_default().ok_or(Refusal::Scheme)?;
    let is_fine = LOW_PORTS.contains(&port) || (port >= 1024 && !FOREIGN_PORTS.contains(&port));
    if is_fine { Ok(()) } else { Err(Refusal::Port { port }) }
}

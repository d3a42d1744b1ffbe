//! Connections for what isn't HTTP: to a mail server. The same guard, at the same place: where the connection is made.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::client::Egress;
use super::failure::Failure;
use super::policy::{Approach, Refusal};

/// What mail servers listen at; an address that the operator allowed, at any port.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2525];

impl Egress {
    /// Connects to a mail server. `encrypted`: nothing that matters is said before [`Egress::encrypt`].
    pub(crate) async fn dial(
        &self,
        host: &Host<String>,
        port: u16,
        encrypted: bool,
        ends: Instant,
    ) -> Result<TcpStream, Failure> {
        let (resolver, policy) = self.guard(encrypted);
        let approach = Approach {
            encrypted,
            local_name: false,
        };
        let literal = |address: IpAddr| {
            let vetted = resolver.vet(&address.to_string(), address, approach);
            vetted.map(|()| vec![address]).map_err(Failure::Blocked)
        };
        let timeout = self.connect_timeout();
        let ends = ends.min(Instant::now() + timeout);
        let addresses = match host {
            Host::Ipv4(address) => literal((*address).into())?,
            Host::Ipv6(address) => literal((*address).into())?,
            Host::Domain(name) => {
                let resolved = resolver.resolve_name(name).await;
                resolved.map_err(|error| Failure::of_resolving(&error))?
            }
        };
        let mut failure = Failure::Dns("the host's name has no address (DNS)");
        for address in addresses {
            if !policy.allows(address) && !MAIL_PORTS.contains(&port) {
                return Err(Failure::Blocked(Refusal::Port { port }));
            }
            match timeout_at(ends, TcpStream::connect(SocketAddr::new(address, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = Failure::of_socket(&error, true, timeout),
                Err(_elapsed) => return Err(Failure::ConnectTimeout { after: timeout }),
            }
        }
        Err(failure)
    }

    /// Encrypts a connection to this host, whose certificate must be good.
    pub(crate) async fn encrypt(
        &self,
        host: &Host<String>,
        stream: TcpStream,
        ends: Instant,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = match host {
            Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| Failure::Dns("the host's name can't be one of a certificate"))?,
        };
        let connector = TlsConnector::from(self.tls());
        let handshake = timeout_at(ends, connector.connect(name, stream)).await;
        let timeout = self.deadline();
        let handshake = handshake.map_err(|_elapsed| Failure::Timeout { after: timeout })?;
        handshake.map_err(|error: io::Error| Failure::of_socket(&error, false, timeout))
    }
}

//! Connections for what isn't HTTP: to a mail server. The same guard, at the same place: where the connection is made.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
    /// Connects to a mail server, at the first of its addresses that answers in its share of the time. `encrypted`: nothing that
    /// matters is said before [`Egress::encrypt`].
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
        for (tried, &address) in addresses.iter().enumerate() {
            if !policy.allows(address) && !MAIL_PORTS.contains(&port) {
                return Err(Failure::Blocked(Refusal::Port { port }));
            }
            let now = Instant::now();
            let until = now + share(ends.saturating_duration_since(now), addresses.len() - tried);
            match timeout_at(until, TcpStream::connect(SocketAddr::new(address, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = Failure::of_socket(&error, true, timeout),
                Err(_elapsed) => failure = Failure::ConnectTimeout { after: timeout },
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

/// How much of the time that is left an address may take, so that one that is silent leaves as much to each of the others.
fn share(left: Duration, addresses_left: usize) -> Duration {
    left / u32::try_from(addresses_left).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_addresses_leave_the_others_as_much() {
        let mut left = Duration::from_secs(9);
        for addresses_left in [3, 2, 1] {
            assert_eq!(share(left, addresses_left), Duration::from_secs(3));
            left = left.saturating_sub(share(left, addresses_left));
        }
        assert_eq!(share(left, 1), Duration::ZERO);
        assert_eq!(
            share(Duration::from_secs(9), 1),
            Duration::from_secs(9),
            "the last one has the rest"
        );
    }
}

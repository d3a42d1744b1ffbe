//! Connections: to a receiver, and to a mail server. The guard stands here, where the connection is made.

use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::client::Egress;
use super::failure::Failure;
use super::policy::{Approach, Refusal};

/// What mail servers listen at; an address that the operator allowed, at any port.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2525];
/// How long an address is tried alone before the next one is tried beside it (RFC 8305, section 8: 250 ms).
const START: Duration = Duration::from_millis(250);

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
        let is_foreign = |&address: &IpAddr| !policy.allows(address) && !MAIL_PORTS.contains(&port);
        if addresses.iter().any(is_foreign) {
            return Err(Failure::Blocked(Refusal::Port { port }));
        }
        let connected = timeout_at(ends, connect(&addresses, port)).await;
        let connected = connected.map_err(|_elapsed| Failure::ConnectTimeout { after: timeout })?;
        connected.map_err(|error| Failure::of_socket(&error, true, timeout))
    }

    /// Encrypts a connection to this host, whose certificate must be good.
    pub(crate) async fn encrypt(
        &self,
        host: &Host<String>,
        stream: TcpStream,
        ends: Instant,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let timeout = self.deadline();
        let handshake = timeout_at(ends, shake_hands(self.tls(), host.clone(), stream, timeout)).await;
        handshake.map_err(|_elapsed| Failure::Timeout { after: timeout })?
    }
}

/// Encrypts a connection to a host, whose certificate must be good.
pub(super) async fn shake_hands(
    tls: Arc<ClientConfig>,
    host: Host<String>,
    stream: TcpStream,
    timeout: Duration,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = match host {
        Host::Ipv4(address) => ServerName::from(IpAddr::from(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::from(address)),
        Host::Domain(name) => {
            ServerName::try_from(name).map_err(|_| Failure::Dns("the host's name can't be one of a certificate"))?
        }
    };
    let handshake = TlsConnector::from(tls).connect(name, stream).await;
    handshake.map_err(|error: io::Error| Failure::of_socket(&error, false, timeout))
}

/// Connects to the first of these addresses that answers. Each has a start over the next, and the next begins at once when it fails
/// (as in RFC 8305, section 5). When none does, what an address answered is told rather than that this host
/// has no way to another one, as to IPv6: that says nothing of the receiver.
pub(super) async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut left = addresses.iter();
    let mut trying = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = left.next();
        trying.extend(next.map(|&address| TcpStream::connect(SocketAddr::new(address, port))));
        let wait = async {
            if left.len() > 0 {
                sleep(START).await;
            } else {
                pending::<()>().await;
            }
        };
        tokio::select! {
            connected = trying.next() => match connected {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) if is_of_receiver(&error) || !is_of_receiver(&failed) => failed = error,
                Some(Err(_)) => {}
                None => return Err(failed),
            },
            () = wait => {}
        }
    }
}

/// Whether somebody at the address, or on the way to it, gave it for an answer, or nobody did.
fn is_of_receiver(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut};
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | ConnectionAborted | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// Nobody listens there.
    const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        for addresses in [vec![HERE], vec![NOBODY, HERE], vec![NOBODY, NOBODY, HERE, NOBODY]] {
            let stream = connect(&addresses, port).await.expect("connected");
            assert_eq!(stream.peer_addr().expect("an address").ip(), HERE);
        }
        let refused = connect(&[NOBODY, NOBODY], port).await.expect_err("nobody");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        connect(&[], port).await.expect_err("no address");
    }

    #[tokio::test]
    async fn what_the_receiver_says_is_told_rather_than_that_there_is_no_way_to_another_address() {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        // A multicast group: no connection can be made to one, from wherever.
        let nowhere = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
        let alone = connect(&[nowhere], port).await.expect_err("no way");
        assert!(!is_of_receiver(&alone), "{alone:?}");
        for addresses in [[NOBODY, nowhere], [nowhere, NOBODY]] {
            let refused = connect(&addresses, port).await.expect_err("nobody");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_silent_doesnt_keep_the_next_one_waiting() {
        let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        // Its queue is full, so that it answers nobody.
        let silent = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 8));
        let full = tokio::net::TcpSocket::new_v4().expect("a socket");
        full.bind((silent, port).into()).expect("its address");
        let full = full.listen(1).expect("a listener");
        let mut waiting = Vec::new();
        while let Ok(connected) = tokio::time::timeout(START, TcpStream::connect(SocketAddr::new(silent, port))).await {
            waiting.push(connected.expect("a place in the queue"));
        }
        let stream = connect(&[silent, HERE], port).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("an address").ip(), HERE);
        drop((full, waiting));
    }
}

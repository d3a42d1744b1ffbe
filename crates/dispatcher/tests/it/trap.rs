//! A listener that nobody may reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Listens without accepting: the system keeps every connection until it is counted, closed ones too.
pub(crate) struct Trap(TcpListener);

impl Trap {
    pub(crate) fn set() -> Self {
        Self::set_on(Ipv4Addr::LOCALHOST.into())
    }

    pub(crate) fn set_on(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port is free");
        listener.set_nonblocking(true).expect("any listener can");
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it listens")
    }

    /// How many connections came since the last time.
    pub(crate) fn connections(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

#[tokio::test]
async fn a_trap_counts_connections_even_closed_ones() {
    let trap = Trap::set();
    assert_eq!(trap.connections(), 0);
    for _ in 0..2 {
        drop(
            tokio::net::TcpStream::connect(trap.address())
                .await
                .expect("it listens"),
        );
    }
    assert_eq!(trap.connections(), 2);
    assert_eq!(trap.connections(), 0);
}

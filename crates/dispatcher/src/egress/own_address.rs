//! Whether an address is this machine's own, which a public address can be.
//!
//! Asked by binding a socket to it: the system allows that for its own addresses only, it needs no
//! privilege, and it is never out of date.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address for documentation (RFC 5737): nobody's.
const NOBODYS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// Knows this machine's addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnAddresses {
    can_tell: bool,
}

impl OwnAddresses {
    /// On a system that binds to any address (`ip_nonlocal_bind`) nothing can be told apart, so nothing is ours.
    pub(super) fn new() -> Self {
        Self {
            can_tell: !can_bind(NOBODYS),
        }
    }

    pub(super) fn contain(self, address: IpAddr) -> bool {
        self.can_tell && can_bind(address)
    }
}

fn can_bind(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_a_strangers_address_is_not() {
        let own = OwnAddresses { can_tell: true };
        assert!(own.contain(Ipv4Addr::LOCALHOST.into()));
        assert!(!own.contain(NOBODYS));
        let blind = OwnAddresses { can_tell: false };
        assert!(!blind.contain(Ipv4Addr::LOCALHOST.into()));
    }
}

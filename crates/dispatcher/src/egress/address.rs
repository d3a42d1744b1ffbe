//! Which addresses are public: a pure function over one table.
//!
//! The ranges are the IANA special-purpose registries (RFC 6890 and its updates), plus what clouds keep for
//! themselves. An IPv6 address that embeds an IPv4 one is refused whatever it embeds, but for NAT64 under its
//! well-known prefix: hosts behind DNS64 see every IPv4 receiver so, hence it is judged by what it embeds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address isn't public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Denied {
    /// What the address is for, with its article: "a loopback address".
    pub what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8, what: &'static str) -> (IpNet, &'static str) {
    (IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)), what)
}

const fn v6(segments: [u16; 4], prefix: u8, what: &'static str) -> (IpNet, &'static str) {
    let [a, b, c, d] = segments;
    let first = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
    (IpNet::V6(Ipv6Net::new_assert(first, prefix)), what)
}

/// What isn't public; the first match says what it is.
pub(super) const DENIED: &[(IpNet, &str)] = &[
    v4(0, 0, 0, 0, 8, "an address of \"this network\""),
    v4(10, 0, 0, 0, 8, "a private address"),
    v4(172, 16, 0, 0, 12, "a private address"),
    v4(192, 168, 0, 0, 16, "a private address"),
    // Alibaba's metadata service is among them (100.100.100.200).
    v4(100, 64, 0, 0, 10, "a provider's internal address"),
    v4(127, 0, 0, 0, 8, "a loopback address"),
    // The metadata services of most clouds.
    v4(169, 254, 0, 0, 16, "a link-local address"),
    v4(192, 0, 0, 0, 24, "an address for protocols"),
    v4(192, 0, 2, 0, 24, "an address for documentation"),
    v4(198, 51, 100, 0, 24, "an address for documentation"),
    v4(203, 0, 113, 0, 24, "an address for documentation"),
    v4(192, 88, 99, 0, 24, "a 6to4 relay"),
    v4(198, 18, 0, 0, 15, "an address for benchmarks"),
    v4(224, 0, 0, 0, 4, "a multicast address"),
    v4(240, 0, 0, 0, 4, "a reserved address"),
    // Public unicast by its number, yet Azure's own service on every machine there.
    v4(168, 63, 129, 16, 32, "a cloud's internal address"),
    v6([0x64, 0xff9b, 1, 0], 48, "a local NAT64 address"),
    // Unspecified, loopback, IPv4-mapped, IPv4-compatible, SIIT, ISATAP under the empty prefix.
    v6([0, 0, 0, 0], 8, "an address that stands for another one"),
    v6([0x100, 0, 0, 0], 64, "a discard-only address"),
    v6([0x100, 0, 0, 1], 64, "a dummy address"),
    // Teredo and ORCHID among them.
    v6([0x2001, 0, 0, 0], 23, "an address for protocols"),
    v6([0x2001, 0xdb8, 0, 0], 32, "an address for documentation"),
    v6([0x3fff, 0, 0, 0], 20, "an address for documentation"),
    v6([0x2002, 0, 0, 0], 16, "a 6to4 address"),
    v6([0x5f00, 0, 0, 0], 16, "a segment routing address"),
    // Metadata services of AWS (fd00:ec2::254) and Google (fd20:ce::254) among them.
    v6([0xfc00, 0, 0, 0], 7, "a private address"),
    v6([0xfe80, 0, 0, 0], 10, "a link-local address"),
    v6([0xfec0, 0, 0, 0], 10, "a site-local address"),
    v6([0xff00, 0, 0, 0], 8, "a multicast address"),
];

/// Says whether anybody may be reached at this address without the operator's leave.
pub fn is_public(address: IpAddr) -> Result<(), Denied> {
    let judged = match address {
        IpAddr::V6(v6) => embedded_by_nat64(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match DENIED.iter().find(|(range, _)| range.contains(&judged)) {
        Some(&(_, what)) => Err(Denied { what }),
        None => Ok(()),
    }
}

/// The IPv4 address behind `64:ff9b::/96` (RFC 6052, section 2.1).
fn embedded_by_nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

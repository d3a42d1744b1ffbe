//! Whose request it is, by address: the peer's, or what trusted proxies before us say of theirs.
//!
//! Anybody can write `x-forwarded-for`. Each proxy adds the address that it was called from to its end, so it is read from there, for as
//! long as the one who said it is trusted.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address; `None` where the router is served without telling its peers' addresses.
pub(crate) fn client_address(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let mut address = peer.ip().to_canonical();
    let said = parts.headers.get_all(FORWARDED_FOR).iter().rev();
    let said = said.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    for before in said {
        if !is_trusted(address, trusted) {
            break;
        }
        match str::from_utf8(before).ok().and_then(|before| forwarded(before.trim())) {
            Some(before) => address = before,
            // A proxy that is trusted and says nonsense: he is the last who is known.
            None => break,
        }
    }
    Some(address)
}

/// The peer, if it seems to be a proxy of the operator's that nobody has said to trust: it says for whom it asks, from an address that
/// no visitor has who comes over the internet.
pub(crate) fn unnamed_proxy(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let address = peer.ip().to_canonical();
    let is_one = parts.headers.contains_key(FORWARDED_FOR) && is_private(address) && !is_trusted(address, trusted);
    is_one.then_some(address)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local(),
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// An address, perhaps with a port, as some proxies write it.
fn forwarded(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use axum::http::HeaderValue;

    use super::*;

    fn trusted() -> [IpNet; 2] {
        ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"))
    }

    fn parts(peer: Option<&str>, said: &[&str]) -> Parts {
        let mut request = Request::new(());
        if let Some(peer) = peer {
            let peer = peer.parse::<SocketAddr>().expect("an address");
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        for said in said {
            request.headers_mut().append(
                FORWARDED_FOR,
                HeaderValue::from_bytes(said.as_bytes()).expect("a header's value"),
            );
        }
        request.into_parts().0
    }

    fn address(peer: Option<&str>, said: &[&str]) -> Option<String> {
        client_address(&parts(peer, said), &trusted()).map(|address| address.to_string())
    }

    #[test]
    fn a_private_peer_that_asks_for_others_is_a_proxy_that_nobody_named() {
        for (peer, said, is_one) in [
            (None, &["198.51.100.1"][..], false),
            (Some("172.17.0.1:1"), &["198.51.100.1"], true),
            (Some("192.168.1.2:1"), &["198.51.100.1"], true),
            (Some("127.0.0.1:1"), &["198.51.100.1"], true),
            (Some("[::ffff:172.17.0.1]:1"), &["198.51.100.1"], true),
            (Some("[::1]:1"), &["2001:db8::2"], true),
            (Some("[fc00::1]:1"), &["2001:db8::2"], true),
            // It asks for itself.
            (Some("172.17.0.1:1"), &[], false),
            // It is named.
            (Some("10.1.2.3:1"), &["198.51.100.1"], false),
            (Some("[fd00::1]:1"), &["2001:db8::2"], false),
            // Anybody on the internet may write it.
            (Some("203.0.113.7:1"), &["198.51.100.1"], false),
            (Some("[2001:db8::1]:1"), &["2001:db8::2"], false),
        ] {
            let found = unnamed_proxy(&parts(peer, said), &trusted());
            assert_eq!(found.is_some(), is_one, "{peer:?} {said:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let (visitor, proxy) = ("203.0.113.7:1", "10.1.2.3:1");
        for (peer, said, expected) in [
            (None, &["198.51.100.1"][..], None),
            (Some(visitor), &[], Some("203.0.113.7")),
            (Some(visitor), &["198.51.100.1"], Some("203.0.113.7")),
            (Some(proxy), &[], Some("10.1.2.3")),
            (Some(proxy), &["198.51.100.1"], Some("198.51.100.1")),
            // What the visitor wrote himself stands before what our proxy has added.
            (Some(proxy), &["1.1.1.1, 198.51.100.1"], Some("198.51.100.1")),
            (
                Some(proxy),
                &["1.1.1.1", "198.51.100.1, 10.9.9.9"],
                Some("198.51.100.1"),
            ),
            (Some(proxy), &["10.0.0.1,10.0.0.2"], Some("10.0.0.1")),
            (Some(proxy), &["1.1.1.1", "\u{ff}, 198.51.100.1"], Some("198.51.100.1")),
            (Some(proxy), &["1.1.1.1", "\u{ff}"], Some("10.1.2.3")),
            (Some(proxy), &["198.51.100.1:8080"], Some("198.51.100.1")),
            (Some(proxy), &["[2001:db8::1]:443"], Some("2001:db8::1")),
            (Some(proxy), &["unknown"], Some("10.1.2.3")),
            (Some("[::ffff:10.1.2.3]:1"), &["198.51.100.1"], Some("198.51.100.1")),
            (Some("[fd00::1]:1"), &["2001:db8::2"], Some("2001:db8::2")),
        ] {
            assert_eq!(address(peer, said).as_deref(), expected, "{peer:?} {said:?}");
        }
    }
}

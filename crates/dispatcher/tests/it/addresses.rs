//! The deny list, range by range and in every spelling of IPv6, against a list of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sensei_dispatcher::is_public;

const V4_RANGES: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];

/// `::/8` holds `64:ff9b::/96` too, which is judged by the IPv4 address in it.
const V6_RANGES: [&str; 21] = [
    "::/8",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

fn v4_ranges() -> impl Iterator<Item = Ipv4Net> {
    V4_RANGES.iter().map(|text| text.parse().expect(text))
}

fn v6_ranges() -> impl Iterator<Item = Ipv6Net> {
    V6_RANGES.iter().map(|text| text.parse().expect(text))
}

fn is_listed(address: IpAddr) -> bool {
    let nat64: Ipv6Net = "64:ff9b::/96".parse().expect("a range");
    match address {
        IpAddr::V4(v4) => v4_ranges().any(|range| range.contains(&v4)),
        IpAddr::V6(v6) if nat64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            is_listed(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(v6) => v6_ranges().any(|range| range.contains(&v6)),
    }
}

fn neighbours(range: IpNet) -> Vec<IpAddr> {
    match range {
        IpNet::V4(range) => {
            let before = u32::from(range.network()).checked_sub(1);
            let after = u32::from(range.broadcast()).checked_add(1);
            before
                .into_iter()
                .chain(after)
                .map(|bits| Ipv4Addr::from(bits).into())
                .collect()
        }
        IpNet::V6(range) => {
            let before = u128::from(range.network()).checked_sub(1);
            let after = u128::from(range.broadcast()).checked_add(1);
            before
                .into_iter()
                .chain(after)
                .map(|bits| Ipv6Addr::from(bits).into())
                .collect()
        }
    }
}

#[test]
fn each_range_is_denied_from_its_first_to_its_last_address_and_no_further() {
    let ranges = v4_ranges().map(IpNet::V4).chain(v6_ranges().map(IpNet::V6));
    let mut public = 0;
    for range in ranges {
        for address in [range.network(), range.broadcast()] {
            assert!(is_public(address).is_err(), "{address} of {range}");
        }
        for address in neighbours(range) {
            assert_eq!(
                is_public(address).is_err(),
                is_listed(address),
                "{address} beside {range}"
            );
            public += usize::from(!is_listed(address));
        }
    }
    // Most neighbours are public: the claim above isn't about denied ones only.
    assert!(public >= 40, "{public}");
}

#[test]
fn well_known_public_addresses_pass() {
    let addresses = [
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::",
        "2001:4860:4860::8888",
        "2003::",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "64:ff9b::8.8.8.8",
    ];
    for text in addresses {
        let address = text.parse().expect(text);
        assert_eq!(is_public(address), Ok(()), "{text}");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_no_way_in() {
    let denied = v4_ranges().flat_map(|range| [range.network(), range.broadcast()]);
    for v4 in denied {
        for (name, v6) in clothes(v4) {
            assert!(is_public(v6.into()).is_err(), "{v4} as {name}: {v6}");
        }
    }
    // Of the embeddings only NAT64 leads to public addresses.
    for (name, v6) in clothes(Ipv4Addr::new(8, 8, 8, 8)) {
        assert_eq!(is_public(v6.into()).is_ok(), name == "NAT64", "{name}: {v6}");
    }
}

fn clothes(v4: Ipv4Addr) -> [(&'static str, Ipv6Addr); 9] {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    [
        ("mapped", v4.to_ipv6_mapped()),
        ("compatible", Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low)),
        ("SIIT", Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low)),
        ("ISATAP", Ipv6Addr::new(0, 0, 0, 0, 0, 0x5efe, high, low)),
        ("NAT64", Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
        ("local NAT64", Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low)),
        ("6to4", Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
        (
            "Teredo server",
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !0x0808, !0x0808),
        ),
        // A Teredo client's address is stored inverted (RFC 4380, section 4).
        (
            "Teredo client",
            Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low),
        ),
    ]
}

proptest::proptest! {
    #[test]
    fn any_address_is_judged_as_the_list_says(bits: u128, v4: u32) {
        for address in [IpAddr::V6(bits.into()), IpAddr::V4(v4.into()), IpAddr::V6((bits >> 120 << 120 | u128::from(v4)).into())] {
            proptest::prop_assert_eq!(is_public(address).is_err(), is_listed(address), "{}", address);
        }
    }
}

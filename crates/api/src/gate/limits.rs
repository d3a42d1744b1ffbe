//! How often web pages may capture leads: per address and per client, in bounded memory.
//!
//! A token bucket each, kept as the one moment at which it would be full again (GCRA). A process counts by itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sensei_domain::{ClientId, Timestamp};

/// Of one address: a person sends one or two, an office behind one address some more.
const OF_ADDRESS: Bucket = Bucket {
    size: 30,
    refill: Duration::from_secs(2),
};
/// Of one client's forms, from all addresses.
const OF_FORMS: Bucket = Bucket {
    size: 600,
    refill: Duration::from_millis(100),
};
/// Of one client, of what shows no form of ours that is yet to be sent: whoever floods it keeps no visitor of a form out.
const OF_OTHERS: Bucket = Bucket {
    size: 300,
    refill: Duration::from_millis(200),
};
/// Buckets that are kept. Beyond it, addresses that nothing is known of share one.
const KEPT: usize = 100_000;
/// A clock that was set back makes nobody wait longer.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How often full buckets are looked for where there are too many.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    size: u32,
    /// For one token.
    refill: Duration,
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    /// All addresses for which there is no room.
    OtherAddresses,
    /// With a form, or without.
    Client(ClientId, bool),
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// When each is full again; one that is full already needn't be kept.
    full_at: HashMap<Source, Timestamp>,
    pruned_at: Option<Timestamp>,
}

impl Limits {
    /// Takes the tokens for a lead; else says how long there are none.
    pub(super) fn take(
        &self,
        address: Option<IpAddr>,
        (client, has_form): (ClientId, bool),
        now: Timestamp,
    ) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.prune(now);
        let of_address = address.map(|address| buckets.known(Source::Address(network(address))));
        let of_client = (
            Source::Client(client, has_form),
            if has_form { OF_FORMS } else { OF_OTHERS },
        );
        let sources = [of_address.map(|source| (source, OF_ADDRESS)), Some(of_client)];
        let mut filled = Vec::with_capacity(sources.len());
        for (source, bucket) in sources.into_iter().flatten() {
            filled.push((source, buckets.after(source, bucket, now)?));
        }
        buckets.full_at.extend(filled);
        Ok(())
    }
}

impl Buckets {
    /// When a bucket would be full again after this; else how long it is empty.
    fn after(&self, source: Source, bucket: Bucket, now: Timestamp) -> Result<Timestamp, Duration> {
        let full_at = self.full_at.get(&source).map_or(now, |full_at| (*full_at).max(now));
        let full_at = full_at.min(now.after(LONGEST_WAIT));
        let wait = full_at.since(now).saturating_sub(bucket.refill * (bucket.size - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        Ok(full_at.after(bucket.refill))
    }

    fn known(&self, source: Source) -> Source {
        if self.full_at.len() < KEPT || self.full_at.contains_key(&source) {
            source
        } else {
            Source::OtherAddresses
        }
    }

    fn prune(&mut self, now: Timestamp) {
        let is_late = self
            .pruned_at
            .is_none_or(|pruned_at| now.since(pruned_at) >= PRUNE_EVERY || pruned_at > now);
        if self.full_at.len() >= KEPT && is_late {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.pruned_at = Some(now);
        }
    }
}

/// An address of IPv6 is one of 2^64 that its owner has.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(NOW).after(Duration::from_millis(millis))
    }

    fn address(text: &str) -> Option<IpAddr> {
        let address = text.parse().ok();
        assert!(address.is_some(), "{text} is an address");
        address
    }

    #[test]
    fn an_address_sends_some_at_once_and_then_as_they_come_again() {
        let (limits, client) = (Limits::default(), (ClientId::new(at(0)), true));
        let take = |millis| limits.take(address("203.0.113.7"), client, at(millis));
        for number in 0..30 {
            assert_eq!(take(0), Ok(()), "{number}");
        }
        assert_eq!(take(0), Err(Duration::from_secs(2)));
        assert_eq!(take(1_999), Err(Duration::from_millis(1)));
        assert_eq!(take(2_000), Ok(()));
        assert!(take(2_000).is_err());
        // Others aren't concerned, and what is refused isn't counted.
        assert_eq!(limits.take(address("203.0.113.8"), client, at(2_000)), Ok(()));
        assert_eq!(limits.take(None, client, at(2_000)), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one() {
        let (limits, client) = (Limits::default(), (ClientId::new(at(0)), true));
        for number in 0..30 {
            let own = format!("2001:db8:0:1::{number}");
            assert_eq!(limits.take(address(&own), client, at(0)), Ok(()));
        }
        assert!(limits.take(address("2001:db8:0:1:ffff::1"), client, at(0)).is_err());
        assert!(limits.take(address("2001:db8:0:2::1"), client, at(0)).is_ok());
    }

    #[test]
    fn a_client_is_limited_whatever_the_addresses() {
        let (limits, client) = (Limits::default(), (ClientId::new(at(0)), true));
        let sent = (0..1_000).filter(|number| {
            let own = format!("10.0.{}.{}", number / 250, number % 250);
            limits.take(address(&own), client, at(0)).is_ok()
        });
        assert_eq!(sent.count(), 600);
        // What shows no form has less, and takes nothing from those that do.
        let without = (client.0, false);
        let sent = (0..1_000).filter(|_| limits.take(None, without, at(0)).is_ok());
        assert_eq!(sent.count(), 300);
        assert!(limits.take(None, client, at(100)).is_ok());
        let other = (ClientId::new(at(1)), true);
        assert!(limits.take(address("10.0.0.1"), other, at(0)).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let limits = Limits::default();
        // Each a client of its own, so that no client's limit is met.
        let client = |number: u32| (ClientId::from_uuid(uuid::Uuid::from_u128(u128::from(number))), true);
        let sent = (0..60_000_u32).filter(|number| {
            let own = IpAddr::V4((0x0a00_0000 + number).into());
            limits.take(Some(own), client(*number), at(0)).is_ok()
        });
        // Two buckets each; those that there is no room for share one.
        assert_eq!(sent.count(), KEPT / 2 + 30);
        let kept = || limits.0.lock().unwrap_or_else(PoisonError::into_inner).full_at.len();
        assert_eq!(kept(), KEPT + 1 + 30);
        let known = limits.take(address("10.0.0.0"), client(0), at(0));
        assert_eq!(known, Ok(()), "the known keep their turn");
        // Once they are full again, they are forgotten.
        limits
            .take(address("192.0.2.1"), client(0), at(600_000))
            .expect("there is room again");
        assert_eq!(kept(), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out_for_long() {
        let (limits, client) = (Limits::default(), (ClientId::new(at(0)), true));
        let day = 24 * 60 * 60 * 1_000;
        assert_eq!(limits.take(None, client, at(day)), Ok(()));
        let wait = limits.take(None, client, at(0)).expect_err("it seems far away");
        assert!(wait <= LONGEST_WAIT, "{wait:?}");
    }
}

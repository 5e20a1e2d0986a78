//! How many connections one address may open.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use amphi_shared_session::RateLimit;
use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{ADDRESSES_MAX, CONNECTS_BURST_MAX, CONNECTS_PER_S_MAX};

/// New connections per address (per /64 for IPv6, which one customer has at least). This machine's own addresses are
/// not counted: a proxy in front of it speaks for many.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    limits: HashMap<IpAddr, RateLimit>,
}

impl Addresses {
    /// Takes one connection; when there are too many, says after how long one more is welcome.
    pub(crate) fn check(&mut self, address: IpAddr, now: Micros) -> Result<(), Micros> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Ok(());
        }
        let key = network(address);
        if self.limits.len() == ADDRESSES_MAX && !self.limits.contains_key(&key) {
            // Simpler than to look for the oldest, and no worse: who has that many addresses is not held by this limit.
            self.limits.clear();
        }
        let limit = || RateLimit::new(CONNECTS_PER_S_MAX, CONNECTS_BURST_MAX);
        self.limits.entry(key).or_insert_with(limit).check(now)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros::from_secs(1_763_000_000);

    fn drain(addresses: &mut Addresses, address: &str) -> u32 {
        (0..).take_while(|_| addresses.check(address.parse().unwrap(), NOW).is_ok()).count() as u32
    }

    #[test]
    fn each_address_has_its_own_allowance() {
        let mut addresses = Addresses::default();
        assert_eq!(drain(&mut addresses, "192.0.2.1"), CONNECTS_BURST_MAX);
        assert_eq!(drain(&mut addresses, "::ffff:192.0.2.1"), 0);
        assert_eq!(drain(&mut addresses, "192.0.2.2"), CONNECTS_BURST_MAX);
        assert_eq!(drain(&mut addresses, "2001:db8::1"), CONNECTS_BURST_MAX);
        assert_eq!(drain(&mut addresses, "2001:db8::ffff:1"), 0);
        let wait = addresses.check("192.0.2.1".parse().unwrap(), NOW).unwrap_err();
        assert_eq!(addresses.check("192.0.2.1".parse().unwrap(), NOW + wait), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_this_machine_is_not_in_it() {
        let mut addresses = Addresses::default();
        for n in 0..3 * ADDRESSES_MAX as u32 {
            addresses.check(IpAddr::V4(n.into()), NOW).unwrap();
            assert!(addresses.limits.len() <= ADDRESSES_MAX);
        }
        for _ in 0..2 * CONNECTS_BURST_MAX {
            addresses.check("127.0.0.9".parse().unwrap(), NOW).unwrap();
        }
    }
}

//! The table against a slow exact model that keeps every address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::{DeviceIndex, Span, Time};

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const HANDSHAKE: Cost = Cost(1);
const FAILED_PROOF: Cost = Cost(20);

fn config(cells: usize) -> CostConfig {
    CostConfig {
        cells,
        budget: Cost(200),
        paid_per_s: Cost(20),
        devices_per_budget: 16,
        block_budgets: 16,
        device_window: Span::from_secs(600),
    }
}

pub(super) fn table(cells: usize) -> CostTable {
    CostTable::new(config(cells), *b"a key of a test.")
}

pub(super) fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn subnet(block: u16, number: u16, host: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, block, number, 0, 0, 0, host).into()
}

/// What every neighbourhood owes, exactly, in a map that grows.
#[derive(Default)]
struct Exact(BTreeMap<Neighbourhood, u64>);

impl Exact {
    fn charge(&mut self, of: Neighbourhood, weight: Span, most: Span, now: Time) {
        let paid_at = self.0.entry(of).or_default();
        let charged = ((*paid_at).max(now.0) + weight.0).min(now.0 + most.0);
        *paid_at = (*paid_at).max(charged);
    }

    fn owed(&self, of: Neighbourhood, now: Time) -> Span {
        Span(self.0.get(&of).map_or(0, |paid_at| paid_at.saturating_sub(now.0)))
    }
}

#[derive(Debug, Clone)]
struct Event {
    after_us: u64,
    address: IpAddr,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Charge(Cost),
    Verified(DeviceIndex),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let address = prop_oneof![
        (0u32..40).prop_map(address),
        (0u16..3, 0u16..8, 0u16..2).prop_map(|(block, number, host)| subnet(block, number, host)),
    ];
    let what = prop_oneof![
        6 => (0u32..60).prop_map(|cost| What::Charge(Cost(cost))),
        1 => (0u32..500).prop_map(|device| What::Verified(DeviceIndex(device))),
    ];
    let event = (0..2 * SECOND, address, what).prop_map(|(after_us, address, what)| Event {
        after_us,
        address,
        what,
    });
    prop::collection::vec(event, 1..300)
}

proptest! {
    #[test]
    fn no_address_ever_looks_cheaper_than_it_was(events in events(), cells in 0u32..8) {
        let table = table(1 << cells);
        let (mut exact, mut now) = (Exact::default(), Time(0));
        for event in events {
            now = now + Span(event.after_us);
            let own = Neighbourhood::of(event.address);
            match event.what {
                What::Verified(device) => table.verified(event.address, device, now),
                What::Charge(cost) => {
                    for (of, budgets) in [(Some(own), 1), (own.around(), 16)] {
                        let Some(of) = of else { continue };
                        let weight = table.weight_us(table.devices(of, now), budgets, cost);
                        exact.charge(of, weight, Span(2 * table.budget().0), now);
                    }
                    table.charge(event.address, cost, now);
                }
            }
            for of in exact.0.keys() {
                prop_assert!(table.owed(*of, now) >= exact.owed(*of, now), "{of:?}");
            }
            let standing = table.standing(event.address, now);
            if exact.owed(own, now) > table.budget() {
                prop_assert_eq!(standing, AddressStanding::Exhausted);
            }
        }
        // Whatever it was, everybody is in budget again once the surplus over one budget is paid.
        let healed = now + table.budget();
        for number in 0..40 {
            prop_assert_eq!(table.standing(address(number), healed), AddressStanding::InBudget);
        }
    }

    #[test]
    fn a_table_with_room_is_exact(events in events()) {
        let table = table(1 << 16);
        let (mut exact, mut now) = (Exact::default(), Time(0));
        for event in events {
            now = now + Span(event.after_us);
            let own = Neighbourhood::of(event.address);
            let What::Charge(cost) = event.what else { continue };
            exact.charge(own, table.weight_us(0, 1, cost), Span(2 * table.budget().0), now);
            table.charge(event.address, cost, now);
            prop_assert_eq!(table.owed(own, now), exact.owed(own, now));
        }
    }
}

#[test]
fn few_of_the_innocent_look_exhausted_while_thousands_flood() {
    let table = table(1 << 16);
    let now = Time(SECOND);
    for flooder in 0..5_000 {
        (0..21).for_each(|_| table.charge(address(flooder), FAILED_PROOF, now));
    }
    assert!((4_500..=5_000).contains(&table.exhausted_cells(now)));
    let exhausted =
        |number: &u32| table.standing(address(*number), now) == AddressStanding::Exhausted;
    assert_eq!((0..5_000).filter(exhausted).count(), 5_000);
    // In each row one in thirteen is taken, so four at once are one in thirty thousand.
    let innocent = 1_000_000..1_100_000;
    let wrong = innocent.filter(exhausted).count();
    assert!(wrong <= 20, "{wrong} of 100000");
}

#[test]
fn a_thousand_honest_phones_behind_one_address_stay_in_budget() {
    let table = table(1 << 16);
    let shared = address(1);
    // Three hundred new phones a second; each proves itself when ten others have begun.
    for phone in 0..1_000_u32 {
        let now = Time(u64::from(phone) * SECOND / 300);
        table.charge(shared, HANDSHAKE, now);
        let owed = table.owed(Neighbourhood::of(shared), now);
        assert!(owed.0 * 2 < table.budget().0, "phone {phone}: {owed}");
        if let Some(proven) = phone.checked_sub(10) {
            table.verified(shared, DeviceIndex(proven), now);
        }
    }
    // They go on at that rate for a minute, though every tenth fails at its first try with a bad proof.
    for turn in 0..18_000_u64 {
        let now = Time(4 * SECOND + turn * SECOND / 300);
        table.charge(shared, HANDSHAKE, now);
        if turn % 10 == 0 {
            table.charge(shared, FAILED_PROOF, now);
        }
        table.verified(shared, DeviceIndex(u32::try_from(turn % 1_000).unwrap()), now);
        assert_eq!(table.standing(shared, now), AddressStanding::InBudget, "turn {turn}");
    }
}

#[test]
fn one_device_buys_no_more_than_one_devices_share() {
    let table = table(1 << 16);
    for _ in 0..10_000 {
        table.verified(address(1), DeviceIndex(7), Time(0));
    }
    let exhausting = |from: IpAddr| {
        let charge = |_: &u32| {
            table.charge(from, HANDSHAKE, Time(0));
            table.standing(from, Time(0)) == AddressStanding::Exhausted
        };
        (1..).find(charge).unwrap()
    };
    assert_eq!(exhausting(address(2)), 201);
    assert_eq!(exhausting(address(1)), 213);
}

#[test]
fn devices_count_for_one_window_at_least_and_two_at_most() {
    let table = table(1 << 16);
    let from = address(1);
    (0..100).for_each(|device| table.verified(from, DeviceIndex(device), Time(300 * SECOND)));
    let devices = |second: u64| table.devices(Neighbourhood::of(from), Time(second * SECOND));
    assert!((66..150).contains(&devices(300)), "{}", devices(300));
    assert_eq!(devices(1_199), devices(300));
    assert_eq!(devices(1_200), 0);
}

#[test]
fn a_block_of_ipv6_has_many_budgets_and_its_subnets_one_each() {
    let table = table(1 << 16);
    let standing = |address| table.standing(address, Time(0));
    (0..250).for_each(|_| table.charge(subnet(1, 1, 1), HANDSHAKE, Time(0)));
    assert_eq!(standing(subnet(1, 1, 9)), AddressStanding::Exhausted, "the same /64");
    assert_eq!(standing(subnet(1, 2, 1)), AddressStanding::InBudget, "the same /48");
    for number in 100..4_000 {
        table.charge(subnet(1, number, 1), HANDSHAKE, Time(0));
    }
    assert_eq!(standing(subnet(1, 9_999, 1)), AddressStanding::Exhausted, "walking through a /48");
    assert_eq!(standing(subnet(2, 1, 1)), AddressStanding::InBudget, "another /48");
}

#[test]
fn charges_of_several_threads_are_all_kept() {
    let table = table(1 << 4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..40).for_each(|_| table.charge(address(1), HANDSHAKE, Time(0))));
        }
    });
    assert_eq!(table.owed(Neighbourhood::of(address(1)), Time(0)), Span(160 * 50_000));
}

#[test]
fn keys_that_differ_put_addresses_together_differently() {
    let shared = |key: [u8; 16]| {
        let table = CostTable::new(config(4), key);
        (0..300).for_each(|_| table.charge(address(0), HANDSHAKE, Time(0)));
        let owes =
            |number: &u32| table.owed(Neighbourhood::of(address(*number)), Time(0)) > Span(0);
        (1..500).filter(owes).collect::<Vec<_>>()
    };
    assert_ne!(shared([1; 16]), shared([2; 16]));
}

//! What survives: the real gateway is killed, its disk forgets what was not synced, fills up or fails; whoever was told
//! `received` is in the journal and in the feed afterwards, once, and a resend across the crash is told `duplicate`.
//!
//! Every run is driven by a seed. `KENTONGAN_SEED=N cargo test -p gateway --test crash` repeats one; the kernel's
//! scheduling is not part of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its setup fails"
)]

mod disk;
mod house;
mod ledger;
#[expect(dead_code, reason = "shared with other tests")]
mod random;
mod sender;

use std::time::Duration;

use disk::{Disk, Fault};
use house::House;
use ledger::Ledger;
use random::Random;

/// Kills in the test of killing alone.
const KILLS: u32 = 50;
/// Power losses.
const POWER_LOSSES: u32 = 20;
/// A gateway lives at most so long under load before it is killed.
const LIFE_MAX: Duration = Duration::from_millis(150);

/// Kills the gateway under load `kills` times. After each start, before new load, everything promised must be there.
async fn kill_under_load(house: &House, disk: &Disk, random: &mut Random, kills: u32) -> Ledger {
    let ledger = Ledger::new();
    for kill in 0..kills {
        let life = random.below(LIFE_MAX);
        if kill % 5 == 4 {
            // At any instant: also while it starts.
            let starting = house.spawn(disk.environment());
            tokio::time::sleep(life).await;
            starting.kill().await;
            disk.lose_power();
        }
        let gateway = house.serve(disk.environment()).await;
        ledger.assert_kept(&gateway.ready, kill);
        let load = sender::load(house, &gateway.ready, &ledger);
        tokio::select! {
            () = load => panic!("the load ended by itself"),
            () = tokio::time::sleep(life) => {}
        }
        gateway.kill().await;
        disk.lose_power();
    }
    ledger
}

/// Settles what is open, then compares what was promised with the journal and with the feed.
async fn assert_settled(house: &House, disk: &Disk, ledger: &Ledger) {
    let gateway = house.serve(disk.environment()).await;
    sender::settle(house, &gateway.ready, ledger).await;
    sender::resend_settled(house, &gateway.ready, ledger, 100).await;
    ledger.assert_kept(&gateway.ready, u32::MAX);
    ledger.assert_fed(house, &gateway.ready).await;
    gateway.kill().await;
}

#[tokio::test(flavor = "current_thread")]
async fn keeps_every_promise_across_fifty_kills() {
    let (house, mut random) = (House::build(), Random::seeded());
    let disk = Disk::honest(&house);
    let ledger = kill_under_load(&house, &disk, &mut random, KILLS).await;
    assert!(ledger.settled() > 100, "too little load: {} settled", ledger.settled());
    assert_settled(&house, &disk, &ledger).await;
}

#[tokio::test(flavor = "current_thread")]
async fn keeps_every_promise_when_power_is_lost() {
    let (house, mut random) = (House::build(), Random::seeded());
    let disk = Disk::forgetful(&house, random.next());
    let ledger = kill_under_load(&house, &disk, &mut random, POWER_LOSSES).await;
    assert!(ledger.settled() > 100, "too little load: {} settled", ledger.settled());
    assert_settled(&house, &disk, &ledger).await;
}

/// The test of the test: on a disk that only pretends to sync, the same check must find promises broken.
#[tokio::test(flavor = "current_thread")]
async fn the_check_notices_a_disk_that_lies() {
    let house = House::build();
    let disk = Disk::lying(&house);
    let ledger = Ledger::new();
    let gateway = house.serve(disk.environment()).await;
    sender::press(house.devices(), &gateway.ready, &ledger, 50).await;
    assert_eq!(ledger.settled(), 50);
    assert_eq!(ledger.missing(&gateway.ready), 0);
    gateway.kill().await;
    disk.lose_power();
    let gateway = house.serve(disk.environment()).await;
    assert_eq!(ledger.missing(&gateway.ready), 50);
    gateway.kill().await;
}

/// From the fault on nothing is received, the process says why and ends; on a mended disk nothing is lost.
async fn stops_and_starts_again(fault: Fault, reason: &str) {
    let house = House::build();
    let disk = Disk::forgetful(&house, 1);
    let ledger = Ledger::new();
    let gateway = house.serve(disk.environment()).await;
    sender::press(house.devices(), &gateway.ready, &ledger, 50).await;
    assert_eq!(ledger.settled(), 50);

    disk.fail(fault);
    sender::press(house.devices(), &gateway.ready, &ledger, 20).await;
    assert_eq!(ledger.settled(), 50, "received on a disk that fails");
    let ended = gateway.ended().await;
    assert!(ended.code().is_some_and(|code| code != 0), "{ended}");
    let log = house.log();
    assert!(log.contains(reason), "{log}");

    // What could not be synced is dropped by the system; a promise made about it after the restart must hold.
    disk.mend(fault);
    let gateway = house.serve(disk.environment()).await;
    ledger.assert_kept(&gateway.ready, 0);
    sender::settle(&house, &gateway.ready, &ledger).await;
    assert_eq!(ledger.settled(), 70);
    gateway.kill().await;
    disk.lose_power();
    assert_settled(&house, &disk, &ledger).await;
}

#[tokio::test(flavor = "current_thread")]
async fn stops_when_the_disk_is_full_and_loses_nothing() {
    stops_and_starts_again(Fault::Full, "the disk is full").await;
}

#[tokio::test(flavor = "current_thread")]
async fn stops_when_a_sync_fails_and_loses_nothing() {
    stops_and_starts_again(Fault::Sync, "the disk failed to sync").await;
}

//! What the registry on disk promises: one key for an id, nothing half done, nothing secret kept.

use pipeline::{Agencies, Agency, ZoneId};
use protocol::Category;

use super::*;
use crate::registry::{Limits, Sight, Subscriber, TokenHash};

const NOW: Time = Time(1_700_000_000_000_000);

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn enrolment(id: u8) -> Enrolment<'static> {
    Enrolment {
        id: DeviceId([id; 16]),
        key: DeviceKey::Es256([id; 64]),
        label: Some("gate"),
        owner: None,
        batch: Some("2026-01"),
        site: site_at(-79_666_200, 1_126_326_000),
        vouched: false,
    }
}

fn list(store: &Store, after: Option<DeviceId>, limit: Option<u32>) -> Vec<Listed> {
    let mut listed = vec![];
    let each = |device| -> Result<(), StoreError> {
        listed.push(device);
        Ok(())
    };
    store.list(after, limit, each).unwrap();
    listed
}

#[test]
fn a_device_is_listed_as_it_was_enrolled() {
    let (_folder, mut store) = open();
    assert_eq!(store.add(&enrolment(1), NOW).unwrap(), Enrolled::Added);
    let listed = list(&store, None, None);
    let expected = Listed {
        id: DeviceId([1; 16]),
        key: DeviceKey::Es256([1; 64]),
        label: Some("gate".to_owned()),
        owner: None,
        batch: Some("2026-01".to_owned()),
        site: enrolment(1).site,
        vouched: false,
        enrolled_at: NOW,
        revoked_at: None,
    };
    assert_eq!(listed, [expected]);
    assert_eq!(store.device_count().unwrap(), 1);
}

#[test]
fn enrolling_again_keeps_what_is_not_stated_and_refuses_another_key() {
    let (_folder, mut store) = open();
    store.add(&enrolment(1), NOW).unwrap();
    let bare = Enrolment { label: None, batch: None, site: None, ..enrolment(1) };
    assert_eq!(store.add(&bare, NOW).unwrap(), Enrolled::Unchanged);
    let relabelled = Enrolment { label: Some("door"), ..bare };
    assert_eq!(store.add(&relabelled, NOW).unwrap(), Enrolled::Updated);
    let listed = list(&store, None, None);
    assert_eq!(listed[0].label.as_deref(), Some("door"));
    assert_eq!(listed[0].batch.as_deref(), Some("2026-01"));
    assert_eq!(listed[0].site, enrolment(1).site);

    let other = Enrolment { key: DeviceKey::EdDsa([1; 32]), ..enrolment(1) };
    assert!(matches!(store.add(&other, NOW), Err(StoreError::OtherKey(id)) if id == other.id));
    assert_eq!(list(&store, None, None), listed);
}

#[test]
fn lists_page_by_the_last_id() {
    let (_folder, mut store) = open();
    for id in [5, 3, 8] {
        store.add(&enrolment(id), NOW).unwrap();
    }
    let ids = |after: Option<u8>, limit| -> Vec<u8> {
        let after = after.map(|id| DeviceId([id; 16]));
        list(&store, after, limit).iter().map(|device| device.id.0[0]).collect()
    };
    assert_eq!(ids(None, Some(2)), [5, 3]);
    assert_eq!(ids(Some(3), Some(2)), [8]);
    let unknown = store.list::<StoreError>(Some(DeviceId([1; 16])), None, |_| Ok(()));
    assert!(matches!(unknown, Err(StoreError::UnknownDevice(_))));
}

#[test]
fn revoking_counts_once_and_survives_enrolling_again() {
    let (_folder, mut store) = open();
    store.add(&enrolment(1), NOW).unwrap();
    let id = DeviceId([1; 16]);
    assert!(store.revoke(id, NOW).unwrap());
    assert!(!store.revoke(id, Time(NOW.0 + 5_000)).unwrap());
    store.add(&Enrolment { label: Some("door"), ..enrolment(1) }, NOW).unwrap();
    assert_eq!(list(&store, None, None)[0].revoked_at, Some(NOW));
    let unknown = DeviceId([2; 16]);
    assert!(
        matches!(store.revoke(unknown, NOW), Err(StoreError::UnknownDevice(id)) if id == unknown)
    );
}

#[test]
fn subscribers_are_listed_and_removed() {
    let (_folder, mut store) = open();
    let subscriber = Subscriber {
        id: SubscriberId([7; 16]),
        zones: vec![ZoneId::new("klojen"), ZoneId::new("sukun")],
        limits: Limits {
            agencies: Agencies::NONE.with(Agency::Fire).with(Agency::CounterTerrorism),
            categories: [Category::Fire, Category::Explosive].into_iter().collect(),
            sight: Sight::Coarse,
        },
        expires_at: Time(NOW.0 + 1_000_000),
    };
    store.add_subscriber(&subscriber, TokenHash::of("t"), NOW).unwrap();
    assert_eq!(store.subscribers().unwrap(), [(subscriber.clone(), NOW)]);
    let damage = "UPDATE subscriber SET agencies = 'fire,navy'";
    store.connection.execute(damage, []).unwrap();
    assert!(matches!(store.subscribers(), Err(StoreError::DamagedSubscriber(_))));
    store.remove_subscriber(subscriber.id).unwrap();
    assert_eq!(store.subscribers().unwrap(), []);
    assert!(matches!(
        store.remove_subscriber(subscriber.id),
        Err(StoreError::UnknownSubscriber(_))
    ));
}

#[test]
fn the_views_for_people_can_be_read() {
    let (_folder, mut store) = open();
    store.add(&enrolment(0xa5), NOW).unwrap();
    let read = "SELECT device_id, alg, batch, enrolled_at FROM devices";
    let row: (String, String, String, String) = store
        .connection
        .query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    assert_eq!(row.0, "a5".repeat(16));
    assert_eq!((row.1.as_str(), row.2.as_str()), ("es256", "2026-01"));
    assert_eq!(row.3, "2023-11-14T22:13:20.000Z");
}

#[test]
fn a_later_layout_is_refused() {
    let (folder, store) = open();
    store.connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    assert!(
        matches!(Store::open(folder.path()), Err(StoreError::OtherLayout { found }) if found == VERSION + 1)
    );
}

#[test]
fn a_word_for_a_device_stays_and_one_name_is_one_owner() {
    let (folder, mut store) = open();
    let owned = |id, owner| Enrolment { owner: Some(owner), ..enrolment(id) };
    store.add(&owned(1, "Siti"), NOW).unwrap();
    store.add(&Enrolment { vouched: true, ..owned(2, "Siti") }, NOW).unwrap();
    store.add(&Enrolment { batch: Some("2026-02"), ..owned(3, "Budi") }, NOW).unwrap();
    let loaded = crate::registry::load(folder.path()).unwrap();
    let origin = |id| loaded.registry.get(&DeviceId([id; 16])).unwrap().enrolment;
    assert_eq!(origin(1).owner, origin(2).owner);
    assert_ne!(origin(1).owner, origin(3).owner);
    assert_eq!(origin(1).batch, Some(BatchIndex(0)));
    assert_eq!(origin(3).batch, Some(BatchIndex(1)));
    assert_eq!([1, 2, 3].map(|id| origin(id).trusted_from), [NOW, Time(0), NOW]);
    let batches: Vec<_> = loaded
        .registry
        .batches()
        .iter()
        .map(|batch| (batch.name.to_string(), batch.devices))
        .collect();
    assert_eq!(batches, [("2026-01".to_owned(), 2), ("2026-02".to_owned(), 1)]);

    assert_eq!(store.add(&owned(2, "Siti"), NOW).unwrap(), Enrolled::Unchanged);
    let vouched = Enrolment { vouched: true, ..owned(1, "Siti") };
    assert_eq!(store.add(&vouched, NOW).unwrap(), Enrolled::Updated);
    assert_eq!(store.add(&owned(1, "Siti"), NOW).unwrap(), Enrolled::Unchanged);
    let found = store.find(DeviceId([1; 16])).unwrap().unwrap();
    assert_eq!((found.vouched, found.owner.as_deref()), (true, Some("Siti")));
    assert_eq!(store.find(DeviceId([9; 16])).unwrap(), None);
}

//! A population on disk: read back as it was, refused where it was changed, private where it is secret.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use p256::ecdsa::signature::Verifier as _;
use protocol::Algorithm;
use simulator::{Overrides, Population, Scenario, Seed, Timeline};

fn written(dir: &Path) -> (Scenario, Population) {
    let size = Overrides { devices: Some(60), presses: Some(30) };
    let scenario = Scenario::load("quake-malang").unwrap().resized(size).unwrap();
    let population = Population::generate(&scenario, Seed(9));
    population.write(dir).unwrap();
    (scenario, population)
}

#[test]
fn what_is_read_is_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (scenario, population) = written(dir.path());
    let read = Population::read(dir.path()).unwrap();
    assert_eq!(read.devices(), population.devices());
    assert_eq!((read.scenario(), read.seed()), ("quake-malang", Seed(9)));
    assert_eq!(read.presses(), 30);
    for index in 0..60 {
        assert_eq!(read.key(index), population.key(index));
        assert!(read.key(index).is_some());
    }
    assert!(read.key(60).is_none());
    let timeline = |population| Timeline::generate(&scenario, population, Seed(9)).sha256();
    assert_eq!(timeline(&read), timeline(&population));
}

#[test]
fn keys_sign_and_their_public_halves_verify() {
    let dir = tempfile::tempdir().unwrap();
    let (_, population) = written(dir.path());
    for index in 0..60 {
        let key = population.key(index).unwrap();
        let public = key.public().as_bytes();
        match key.algorithm() {
            Algorithm::Es256 => {
                let signing = p256::ecdsa::SigningKey::from_slice(key.secret()).unwrap();
                let signature: p256::ecdsa::Signature = signing.sign(b"press");
                assert_eq!((public.len(), public[0]), (65, 4), "SEC1, not compressed");
                let verifying = p256::ecdsa::VerifyingKey::from_sec1_bytes(public).unwrap();
                verifying.verify(b"press", &signature).unwrap();
            }
            Algorithm::EdDsa => {
                let signature = SigningKey::from_bytes(key.secret()).sign(b"press");
                let verifying = VerifyingKey::from_bytes(public.try_into().unwrap()).unwrap();
                verifying.verify_strict(b"press", &signature).unwrap();
            }
        }
    }
}

#[test]
fn devices_file_is_what_gateways_import() {
    let dir = tempfile::tempdir().unwrap();
    let (_, population) = written(dir.path());
    let mut reader = csv::Reader::from_path(dir.path().join("devices.csv")).unwrap();
    let header = reader.headers().unwrap().iter().collect::<Vec<_>>().join(",");
    assert_eq!(header, "device_id,alg,public_key,label,owner,batch,lat,lon");
    let mut rows = 0;
    for (row, device) in reader.records().zip(population.devices()) {
        let row = row.unwrap();
        assert_eq!(&row[0], device.id.to_string());
        assert_eq!(&row[1], device.algorithm().name());
        assert!(row[3].starts_with("TEST "), "the label says that the key proves nothing");
        let e7 = |text: &str| text.replacen('.', "", 1).parse::<i32>().ok();
        let site = (e7(&row[6]), e7(&row[7]));
        match device.algorithm() {
            Algorithm::Es256 => assert_eq!(site, (None, None)),
            Algorithm::EdDsa => {
                let place = &device.place;
                assert_eq!(site, (Some(place.lat_e7()), Some(place.lon_e7())));
            }
        }
        rows += 1;
    }
    assert_eq!(rows, 60);
}

#[test]
fn secrets_are_for_their_owner_even_over_an_older_file() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.csv");
    fs::write(&keys, "older").unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    written(dir.path());
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn changed_or_absent_files_are_refused_with_their_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["keys.csv", "devices.csv", "population.json"] {
        written(dir.path());
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes.push(b'x');
        fs::write(&path, bytes).unwrap();
        let error = Population::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("make it anew"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = Population::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

//! What the seal promises: both ways through, nothing altered, nothing swapped, and no nonce for two plaintexts.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use aes_gcm::Aes128Gcm;
use proptest::prelude::*;
use protocol::{
    Algorithm, Counters, DeviceId, Epoch, Iv, Kind, Message, Nonce, RECEIPT_LEN_MAX, Realm,
    Receipt, SIGNED_LEN_MAX, SealedUp, Status, UnixMillis, assemble, assemble_up,
};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

use crate::{EpochKeys, EpochSecret, OpenError, SealError, SealKeys};

const REALM: Realm = Realm([7; 16]);
const EPOCH: Epoch = Epoch(3);
const DEVICE: DeviceId = DeviceId([9; 16]);
const OTHER: DeviceId = DeviceId([8; 16]);

fn gateway(epoch: Epoch) -> EpochKeys {
    EpochKeys::new(REALM, epoch, &EpochSecret::new(&[5; EpochSecret::LEN]))
}

fn signed_by(device: &DeviceId, message: &[u8]) -> Vec<u8> {
    assemble(Algorithm::EdDsa, device, message, &[1; 64])
}

/// Sealed by `DEVICE`, whatever `signed` is.
fn sealed(signed: &[u8]) -> Vec<u8> {
    gateway(EPOCH).device(&DEVICE).seal_up(EPOCH, &DEVICE, signed).unwrap()
}

fn open(sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    gateway(EPOCH).open_up(&SealedUp::parse(sealed)?)
}

fn iv_of(sealed: &[u8]) -> Iv {
    SealedUp::parse(sealed).unwrap().iv
}

#[test]
fn typical_press_has_the_length_that_is_promised() {
    let message = [0xa0; 46];
    let signed = signed_by(&DEVICE, &message);
    assert_eq!((signed.len(), sealed(&signed).len()), (139, 197));
}

#[test]
fn gateway_opens_what_the_device_sealed_and_the_device_what_it_is_answered() {
    let signed = signed_by(&DEVICE, b"press");
    let sealed = sealed(&signed);
    assert_eq!(open(&sealed), Ok(signed.clone()));
    let keys = SealKeys::from_bytes(&gateway(EPOCH).device(&DEVICE).to_bytes());
    assert_eq!(keys, gateway(EPOCH).device(&DEVICE));
    assert_eq!(keys.open_up(&SealedUp::parse(&sealed).unwrap()), Ok(signed));
    let request = iv_of(&sealed);
    let answer = keys.seal_down(&request, b"receipt").unwrap();
    assert_eq!(keys.open_down(&request, &answer), Ok(b"receipt".to_vec()));
}

#[test]
fn every_bit_flipped_in_turn_is_refused() {
    let message = sealed(&signed_by(&DEVICE, b"press"));
    let keys = gateway(EPOCH).device(&DEVICE);
    let request = iv_of(&message);
    let answer = keys.seal_down(&request, b"receipt").unwrap();
    for bit in 0..message.len() * 8 {
        let mut flipped = message.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&flipped).is_err(), "message, bit {bit}");
    }
    for bit in 0..answer.len() * 8 {
        let mut flipped = answer.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.open_down(&request, &flipped).is_err(), "receipt, bit {bit}");
    }
}

#[test]
fn seal_holds_for_one_realm_epoch_device_and_secret_only() {
    let message = sealed(&signed_by(&DEVICE, b"press"));
    let message = SealedUp::parse(&message).unwrap();
    let secret = EpochSecret::new(&[5; EpochSecret::LEN]);
    let other_secret = EpochSecret::new(&[6; EpochSecret::LEN]);
    let gateways = [
        EpochKeys::new(Realm([0; 16]), EPOCH, &secret),
        EpochKeys::new(REALM, Epoch(4), &secret),
        EpochKeys::new(REALM, EPOCH, &other_secret),
    ];
    for gateway in gateways {
        assert_eq!(gateway.open_up(&message), Err(OpenError::Unauthentic), "{gateway:?}");
    }
    let claimed = [SealedUp { device: OTHER, ..message }, SealedUp { epoch: Epoch(4), ..message }];
    for message in claimed {
        assert_eq!(gateway(EPOCH).open_up(&message), Err(OpenError::Unauthentic), "{message:?}");
    }
}

#[test]
fn receipt_opens_for_its_own_request_only() {
    let keys = gateway(EPOCH).device(&DEVICE);
    let answer = keys.seal_down(&Iv([1; 12]), b"receipt").unwrap();
    assert_eq!(keys.open_down(&Iv([2; 12]), &answer), Err(OpenError::Unauthentic));
}

#[test]
fn nonce_that_a_device_chose_itself_is_refused_though_its_tag_holds() {
    let signed = signed_by(&DEVICE, b"press");
    let keys = gateway(EPOCH).device(&DEVICE);
    let iv = Iv([0; 12]);
    let additional_data = protocol::additional_data_up(EPOCH, &DEVICE);
    let ciphertext = crate::seal::encrypt(&keys.k_up, &iv, &additional_data, &signed).unwrap();
    let chosen = assemble_up(EPOCH, &DEVICE, &iv, &ciphertext);
    assert_eq!(open(&chosen), Err(OpenError::Nonce));
    let additional_data = protocol::additional_data_down(&iv);
    let ciphertext = crate::seal::encrypt(&keys.k_down, &iv, &additional_data, b"receipt").unwrap();
    let chosen = protocol::assemble_down(&iv, &ciphertext);
    assert_eq!(keys.open_down(&iv, &chosen), Err(OpenError::Nonce));
}

#[test]
fn another_devices_press_cannot_be_sealed() {
    let stolen = sealed(&signed_by(&OTHER, b"press"));
    assert_eq!(open(&stolen), Err(OpenError::OtherDevice));
    assert!(matches!(open(&sealed(b"not signed")), Err(OpenError::Envelope(_))));
}

#[test]
fn what_nobody_would_read_is_not_sealed() {
    let keys = gateway(EPOCH).device(&DEVICE);
    let seal_up = |len: usize| keys.seal_up(EPOCH, &DEVICE, &vec![1; len]);
    let seal_down = |len: usize| keys.seal_down(&Iv([1; 12]), &vec![1; len]);
    for (len, bound) in [(1, true), (SIGNED_LEN_MAX, true), (SIGNED_LEN_MAX + 1, false), (0, false)]
    {
        assert_eq!(seal_up(len).err(), (!bound).then_some(SealError::Length(len)));
    }
    for (len, bound) in
        [(1, true), (RECEIPT_LEN_MAX, true), (RECEIPT_LEN_MAX + 1, false), (0, false)]
    {
        assert_eq!(seal_down(len).err(), (!bound).then_some(SealError::Length(len)));
    }
}

#[test]
fn debug_text_holds_no_key() {
    let secret = EpochSecret::new(&[0xaa; EpochSecret::LEN]);
    let keys = EpochKeys::new(REALM, EPOCH, &secret);
    let text = format!("{secret:?} {keys:?} {:?}", keys.device(&DEVICE));
    assert_eq!(text, "EpochSecret(..) EpochKeys(Epoch(3), ..) SealKeys(..)");
}

/// Both keep their keys in a form of their own, and wipe it behind a feature only.
#[test]
fn ciphers_and_hashes_are_wiped_when_they_go() {
    fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<Aes128Gcm>();
    is_wiped::<Sha256>();
}

#[test]
fn longest_receipt_is_smaller_than_the_shortest_message() {
    let message = Message::new(Kind::Heartbeat, Counters::new(0, 0)).encode();
    let shortest = sealed(&signed_by(&DEVICE, &message));
    let keys = gateway(EPOCH).device(&DEVICE);
    let longest = keys.seal_down(&iv_of(&shortest), &[1; RECEIPT_LEN_MAX]).unwrap();
    assert_eq!((shortest.len(), longest.len()), (159, 137));
}

/// What happens to a button, and what its gateway answers.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody presses; the button draws a nonce and counts.
    Press([u8; 8]),
    /// The last press again, byte by byte.
    Resend,
    /// The button forgets its counters.
    Reset,
    /// The button starts again and keeps its counters.
    Restart,
    /// Its clock says this, and it says that it is alive.
    Heartbeat(u64),
    /// The gateway answers the last message, by this clock.
    Answer(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Few values, so that they come again.
        (0_u8..3).prop_map(|nonce| Step::Press([nonce; 8])),
        Just(Step::Resend),
        Just(Step::Reset),
        Just(Step::Restart),
        (0_u64..3).prop_map(Step::Heartbeat),
        (1_u8..=4, 0_u64..3).prop_map(|(status, clock)| Step::Answer(status, clock)),
    ]
}

/// Which plaintext each nonce met, and what the button would remember.
struct Button {
    keys: SealKeys,
    counters: (u32, u32),
    last: Vec<u8>,
    met: BTreeMap<(bool, [u8; 12]), Vec<u8>>,
    /// Every different content, with what it is bound to.
    contents: BTreeMap<(bool, Vec<u8>), [u8; 12]>,
}

impl Button {
    fn new() -> Self {
        let keys = gateway(EPOCH).device(&DEVICE);
        let message = Message::raise(Counters::new(0, 0), Nonce([0; 8])).encode();
        let last = signed_by(&DEVICE, &message);
        Self { keys, counters: (0, 0), last, met: BTreeMap::new(), contents: BTreeMap::new() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Press(nonce) => self.send(|counters| Message::raise(counters, Nonce(*nonce))),
            Step::Heartbeat(clock) => self.send(|counters| Message {
                device_clock: Some(UnixMillis(*clock)),
                ..Message::new(Kind::Heartbeat, counters)
            }),
            Step::Resend => self.seal(),
            Step::Reset => self.counters = (0, 0),
            Step::Restart => self.counters = (self.counters.0 + 1, 0),
            Step::Answer(status, clock) => self.answer(*status, *clock),
        }
    }

    fn send(&mut self, message: impl FnOnce(Counters) -> Message<'static>) {
        self.counters.1 += 1;
        let counters = Counters::new(self.counters.0, self.counters.1);
        self.last = signed_by(&DEVICE, &message(counters).encode());
        self.seal();
    }

    fn seal(&mut self) {
        let sealed = self.keys.seal_up(EPOCH, &DEVICE, &self.last).unwrap();
        self.meet(true, iv_of(&sealed), self.last.clone(), self.last.clone());
    }

    fn answer(&mut self, status: u8, clock: u64) {
        let status = Status::from_wire(u64::from(status)).unwrap();
        let receipt = Receipt::new(status, UnixMillis(clock)).encode();
        let request = iv_of(&self.keys.seal_up(EPOCH, &DEVICE, &self.last).unwrap());
        let sealed = self.keys.seal_down(&request, &receipt).unwrap();
        let iv = protocol::SealedDown::parse(&sealed).unwrap().iv;
        // Under one nonce the tag must not cover other additional data either, so the request counts as content.
        self.meet(false, iv, receipt.clone(), [request.0.as_slice(), &receipt].concat());
    }

    fn meet(&mut self, up: bool, iv: Iv, plaintext: Vec<u8>, content: Vec<u8>) {
        assert_eq!(self.contents.entry((up, content.clone())).or_insert(iv.0), &iv.0);
        let first = self.met.entry((up, iv.0)).or_insert_with(|| content.clone());
        assert_eq!(*first, content, "one nonce, two contents");
        assert!(content.ends_with(&plaintext));
    }
}

proptest! {
    #[test]
    fn no_nonce_meets_two_plaintexts(steps in prop::collection::vec(step(), 1..60)) {
        let mut button = Button::new();
        steps.iter().for_each(|step| button.take(step));
    }

    #[test]
    fn whatever_is_signed_comes_through(
        secret in any::<[u8; 32]>(),
        device in any::<[u8; 16]>(),
        epoch in any::<u8>(),
        message in prop::collection::vec(any::<u8>(), 0..1_000),
        receipt in prop::collection::vec(any::<u8>(), 1..=RECEIPT_LEN_MAX),
    ) {
        let (device, epoch) = (DeviceId(device), Epoch(epoch));
        let gateway = EpochKeys::new(REALM, epoch, &EpochSecret::new(&secret));
        let keys = gateway.device(&device);
        let signed = signed_by(&device, &message);
        let sealed = keys.seal_up(epoch, &device, &signed).unwrap();
        prop_assert_eq!(keys.seal_up(epoch, &device, &signed).unwrap(), sealed.clone());
        let parts = SealedUp::parse(&sealed).unwrap();
        prop_assert_eq!((parts.epoch, parts.device), (epoch, device));
        prop_assert_eq!(gateway.open_up(&parts), Ok(signed));
        let answer = keys.seal_down(&parts.iv, &receipt).unwrap();
        prop_assert!(answer.len() < sealed.len());
        prop_assert_eq!(keys.open_down(&parts.iv, &answer), Ok(receipt));
    }
}

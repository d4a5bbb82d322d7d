//! What a button does with one signed message: sends one datagram up to six times, until a receipt opens.
//!
//! No socket and no clock: [`SealedSend`] says what to send and when, counted from the first send on, and is told what was
//! sent and what came. Every copy is the same, byte for byte. Whatever does not open is as if it had not come, so nobody
//! can end a press from the outside. Only a receipt that settles the message, or refuses it for good, ends the sending.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use protocol::{CoapReply, CoapRequest, DeviceId, Epoch, Iv, Receipt, SealedUp, Token};

use crate::{SealError, SealKeys};

/// Sends of one datagram, the first included.
pub const SENDS_MAX: u32 = 6;
/// Pause after the first send. A receipt takes one round trip and one disk sync.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause that a gateway can ask for, counted from the last send. Anything above would let one wrong number silence
/// a press, and anything counted from a refusal would let whoever repeats it put off the next send for ever.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What a device is given to seal with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSeal {
    /// Which secret its keys come from.
    pub epoch: Epoch,
    /// Who it is.
    pub device: DeviceId,
    /// Its keys.
    pub keys: SealKeys,
}

/// One signed message on its way.
#[derive(Clone)]
pub struct SealedSend {
    keys: SealKeys,
    request: Iv,
    datagram: Vec<u8>,
    sends: u32,
    sent_at: Duration,
    pause: Duration,
    /// When to send next; nothing once the message is settled.
    due: Option<Duration>,
}

impl SealedSend {
    /// The sending of `signed`, a message of the device whose `seal` this is.
    ///
    /// # Errors
    /// When `signed` is empty or longer than a signed message may be.
    pub fn new(seal: &DeviceSeal, signed: &[u8]) -> Result<Self, SealError> {
        let sealed = seal.keys.seal_up(seal.epoch, &seal.device, signed)?;
        let request = SealedUp::parse(&sealed).map_err(|_| SealError::Length(signed.len()))?.iv;
        let [high, low, ..] = request.0;
        // Any id will do: the receipt is bound to its request by the seal.
        let message_id = u16::from_be_bytes([high, low]);
        let datagram = CoapRequest { message_id, token: Token::EMPTY, payload: &sealed }.encode();
        Ok(Self {
            keys: seal.keys.clone(),
            request,
            datagram,
            sends: 0,
            sent_at: Duration::ZERO,
            pause: PAUSE_FIRST,
            due: Some(Duration::ZERO),
        })
    }

    /// What to send, the same every time.
    #[must_use]
    pub fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// When to send next, counted from the beginning; nothing once there is no more to send. After the last send it pays
    /// to listen for as long as [`listen_until`](Self::listen_until) says.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.due.filter(|_| self.sends < SENDS_MAX)
    }

    /// When nothing more is to be waited for; nothing once the message is settled.
    #[must_use]
    pub fn listen_until(&self) -> Option<Duration> {
        self.due.filter(|_| self.sends == SENDS_MAX)
    }

    /// The datagram was sent, at `now`.
    pub fn sent(&mut self, now: Duration) {
        if self.due().is_some() {
            self.sent_at = now;
            self.due = Some(now.saturating_add(self.pause));
            self.pause = self.pause * 3 / 2;
            self.sends += 1;
        }
    }

    /// A datagram came, at `now`: the receipt in it, if it is one for this message.
    pub fn read(&mut self, datagram: &[u8], now: Duration) -> Option<Receipt> {
        let reply = CoapReply::parse(datagram).ok()?;
        let bytes = self.keys.open_down(&self.request, reply.payload).ok()?;
        // A later gateway may have more to say behind it; the receipt counts all the same.
        let (receipt, _) = Receipt::decode(&bytes).ok()?;
        let is_final = receipt.reason.is_some_and(|reason| reason.is_permanent());
        if receipt.status.is_durable() || is_final {
            self.due = None;
        } else if let Some(asked_ms) = receipt.retry_after_ms {
            let asked = now.saturating_add(Duration::from_millis(asked_ms));
            let latest = self.sent_at.saturating_add(RETRY_AFTER_MAX);
            self.due = self.due.map(|due| due.max(asked.min(latest)));
        }
        Some(receipt)
    }
}

impl fmt::Debug for SealedSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSend({} sends, due {:?}, ..)", self.sends, self.due)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use protocol::{Algorithm, Realm, Reason, Status, UnixMillis, assemble};

    use super::*;
    use crate::{EpochKeys, EpochSecret};

    const DEVICE: DeviceId = DeviceId([9; 16]);
    const EPOCH: Epoch = Epoch(3);

    fn gateway() -> EpochKeys {
        EpochKeys::new(Realm([7; 16]), EPOCH, &EpochSecret::new(&[5; EpochSecret::LEN]))
    }

    fn press() -> SealedSend {
        let seal = DeviceSeal { epoch: EPOCH, device: DEVICE, keys: gateway().device(&DEVICE) };
        SealedSend::new(&seal, &assemble(Algorithm::EdDsa, &DEVICE, b"press", &[1; 64])).unwrap()
    }

    /// What a gateway answers to this datagram.
    fn answer(datagram: &[u8], receipt: &Receipt) -> Vec<u8> {
        let request = CoapRequest::parse(datagram).unwrap();
        let sealed = SealedUp::parse(request.payload).unwrap();
        assert!(gateway().open_up(&sealed).is_ok());
        let keys = gateway().device(&sealed.device);
        request.reply(&keys.seal_down(&sealed.iv, &receipt.encode()).unwrap()).encode()
    }

    fn receipt(status: Status) -> Receipt {
        Receipt::new(status, UnixMillis(1_800_000_000_000))
    }

    #[test]
    fn same_datagram_goes_out_six_times_at_the_times_that_the_page_says() {
        let mut press = press();
        let first = press.datagram().to_vec();
        let mut times = vec![];
        while let Some(due) = press.due() {
            assert_eq!(press.listen_until(), None);
            assert_eq!(press.datagram(), first);
            times.push(due.as_millis());
            press.sent(due);
        }
        assert_eq!(times, [0, 1_000, 2_500, 4_750, 8_125, 13_187]);
        assert_eq!(press.listen_until().map(|until| until.as_millis()), Some(20_781));
    }

    #[test]
    fn late_send_moves_what_follows() {
        let mut press = press();
        press.sent(Duration::from_secs(7));
        assert_eq!(press.due(), Some(Duration::from_secs(8)));
    }

    #[test]
    fn receipt_of_a_copy_on_disk_ends_it() {
        for status in [Status::Received, Status::Duplicate, Status::Held] {
            let mut press = press();
            press.sent(Duration::ZERO);
            let reply = answer(press.datagram(), &receipt(status));
            assert!(reply.len() < press.datagram().len());
            assert_eq!(press.read(&reply, Duration::ZERO), Some(receipt(status)));
            assert_eq!((press.due(), press.listen_until()), (None, None));
        }
    }

    #[test]
    fn refusal_ends_it_only_where_it_is_for_good() {
        let clock = UnixMillis(1);
        let mut press = press();
        press.sent(Duration::ZERO);
        let unproven = Receipt::refused(Reason::Unproven, clock);
        let reply = answer(press.datagram(), &unproven);
        assert_eq!(press.read(&reply, Duration::ZERO), Some(unproven));
        assert_eq!(press.due(), Some(Duration::from_secs(1)));
        for (asked_ms, wait) in [(10, 1), (5_000, 5), (u64::MAX, 30)] {
            let mut press = press.clone();
            let refusal = Receipt {
                retry_after_ms: Some(asked_ms),
                ..Receipt::refused(Reason::Overloaded, clock)
            };
            let reply = answer(press.datagram(), &refusal);
            assert_eq!(press.read(&reply, Duration::ZERO), Some(refusal));
            assert_eq!(press.due(), Some(Duration::from_secs(wait)), "{asked_ms}");
        }
        let revoked = Receipt::refused(Reason::Revoked, clock);
        let reply = answer(press.datagram(), &revoked);
        assert_eq!(press.read(&reply, Duration::ZERO), Some(revoked));
        assert_eq!(press.due(), None);
    }

    #[test]
    fn refusal_that_is_repeated_puts_nothing_off() {
        let mut press = press();
        press.sent(Duration::from_secs(2));
        let overloaded = Receipt {
            retry_after_ms: Some(20_000),
            ..Receipt::refused(Reason::Overloaded, UnixMillis(1))
        };
        let reply = answer(press.datagram(), &overloaded);
        for (now, due) in [(3, 23), (10, 30), (22, 32), (31, 32), (90, 32)] {
            assert_eq!(press.read(&reply, Duration::from_secs(now)), Some(overloaded));
            assert_eq!(press.due(), Some(Duration::from_secs(due)), "{now}");
        }
        press.sent(Duration::from_secs(32));
        assert_eq!(press.due(), Some(Duration::from_millis(33_500)));
    }

    #[test]
    fn what_does_not_open_changes_nothing_and_what_follows_a_receipt_is_passed_over() {
        let mut press = press();
        press.sent(Duration::ZERO);
        let good = answer(press.datagram(), &receipt(Status::Received));
        let keys = gateway().device(&DEVICE);
        let other = keys.seal_down(&Iv([0; 12]), &receipt(Status::Received).encode()).unwrap();
        let other = CoapReply { message_id: 1, token: Token::EMPTY, payload: &other }.encode();
        let request = press.datagram().to_vec();
        for datagram in [&good[..good.len() - 1], &other, &request, &[0x70, 0, 0, 1], &[]] {
            assert_eq!(press.read(datagram, Duration::ZERO), None);
            assert_eq!(press.due(), Some(Duration::from_secs(1)));
        }
        let followed = [receipt(Status::Received).encode(), vec![0xa0]].concat();
        let followed = keys.seal_down(&press.request, &followed).unwrap();
        let followed =
            CoapReply { message_id: 1, token: Token::EMPTY, payload: &followed }.encode();
        assert!(press.read(&followed, Duration::ZERO).is_some());
    }
}

//! Keys: what an epoch's secret becomes for one device, and the keyed hashes that are its nonces.
//!
//! HKDF (RFC 5869) with SHA-256 is written out over HMAC, because it is two lines of it, and because the first of its
//! three blocks is all that a gateway spends on junk. Everything here is wiped when it goes, and nothing of it shows in
//! debug text.

use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::{DeviceId, Epoch, Iv, Realm};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Salt of the extraction: separates this use of a secret from every other.
const SALT: &[u8] = b"kentongan/seal/1";
/// Domain separation of a device's keys.
const DEVICE_CONTEXT: &[u8] = b"kentongan/device/1";
/// What HMAC with SHA-256 pads its keys to, in bytes.
const HMAC_KEY_LEN: usize = 64;

/// A block of HKDF's output.
pub(crate) type Block = Zeroizing<[u8; 32]>;

/// The secret of one epoch: 32 random bytes that only gateways know.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochSecret([u8; Self::LEN]);

impl EpochSecret {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The secret in `bytes`, of which the caller wipes its own copy.
    #[must_use]
    pub fn new(bytes: &[u8; Self::LEN]) -> Self {
        Self(*bytes)
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

/// What a gateway keeps of one epoch: enough to derive the keys of every device in it.
#[derive(Clone)]
pub struct EpochKeys {
    realm: Realm,
    epoch: Epoch,
    /// HMAC keyed with the pseudorandom key of HKDF, made once.
    expand: Hmac<Sha256>,
}

impl EpochKeys {
    /// The keys of `epoch` in `realm`.
    #[must_use]
    pub fn new(realm: Realm, epoch: Epoch, secret: &EpochSecret) -> Self {
        let pseudorandom = hash(SALT, &[&secret.0]);
        Self { realm, epoch, expand: keyed(&*pseudorandom) }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The keys of `device`: all that it is given.
    #[must_use]
    pub fn device(&self, device: &DeviceId) -> SealKeys {
        let encryption = self.encryption(device);
        let nonces_up = self.nonces_up(device, &encryption);
        let nonces_down = self.block(device, &*nonces_up, 3);
        SealKeys::from_blocks([&encryption, &nonces_up, &nonces_down])
    }

    /// The first block: both encryption keys.
    pub(crate) fn encryption(&self, device: &DeviceId) -> Block {
        self.block(device, &[], 1)
    }

    /// The second block: the key that hashes what the device seals.
    pub(crate) fn nonces_up(&self, device: &DeviceId, encryption: &Block) -> Block {
        self.block(device, &**encryption, 2)
    }

    /// Block `number` of HKDF-Expand, which follows `previous`.
    fn block(&self, device: &DeviceId, previous: &[u8], number: u8) -> Block {
        let mut hmac = self.expand.clone();
        for part in [previous, DEVICE_CONTEXT, self.realm.as_bytes(), &[self.epoch.0]] {
            hmac.update(part);
        }
        hmac.update(device.as_bytes());
        hmac.update(&[number]);
        finish(hmac)
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKeys({:?}, ..)", self.epoch)
    }
}

/// The keys of one device in one epoch.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SealKeys {
    /// Encrypts what the device sends.
    pub(crate) k_up: [u8; 16],
    /// Encrypts what the gateway answers.
    pub(crate) k_down: [u8; 16],
    /// Hashes what the device sends into its nonce.
    pub(crate) v_up: [u8; 32],
    /// Hashes what the gateway answers into its nonce.
    pub(crate) v_down: [u8; 32],
}

impl SealKeys {
    /// Length in bytes.
    pub const LEN: usize = 96;

    /// The keys in the `bytes` that a device was given, of which the caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut blocks = [Block::default(), Block::default(), Block::default()];
        for (block, bytes) in blocks.iter_mut().zip(bytes.chunks_exact(32)) {
            block.copy_from_slice(bytes);
        }
        Self::from_blocks(blocks.each_ref())
    }

    /// The bytes that a device is given. Whoever has them can read and forge its seal, never its signature.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let parts = [&self.k_up[..], &self.k_down, &self.v_up, &self.v_down];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }

    fn from_blocks([encryption, nonces_up, nonces_down]: [&Block; 3]) -> Self {
        let [k_up, k_down] = halves(encryption);
        Self { k_up: *k_up, k_down: *k_down, v_up: **nonces_up, v_down: **nonces_down }
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(..)")
    }
}

/// The two encryption keys in the first block.
pub(crate) fn halves(encryption: &Block) -> [Zeroizing<[u8; 16]>; 2] {
    let (up, down) = encryption.split_at(16);
    [up, down].map(|half| {
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(half);
        key
    })
}

/// The nonce of what is made of `parts`: its keyed hash, cut to the length of a nonce.
pub(crate) fn nonce(key: &[u8; 32], parts: &[&[u8]]) -> Iv {
    let hash = hash(key, parts);
    let mut iv = [0; Iv::LEN];
    iv.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
    Iv(iv)
}

/// HMAC-SHA256 over all of `parts`.
fn hash(key: &[u8], parts: &[&[u8]]) -> Block {
    let mut hmac = keyed(key);
    parts.iter().for_each(|part| hmac.update(part));
    finish(hmac)
}

/// HMAC with this key, which is at most [`HMAC_KEY_LEN`] bytes long: padded with zeros (RFC 2104 section 2).
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    debug_assert!(key.len() <= HMAC_KEY_LEN, "a longer key would have to be hashed first");
    let mut padded = Zeroizing::new([0; HMAC_KEY_LEN]);
    padded.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new((&*padded).into())
}

fn finish(hmac: Hmac<Sha256>) -> Block {
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

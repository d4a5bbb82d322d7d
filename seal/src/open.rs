//! Opening: what a gateway makes of a sealed message, and a device of a sealed receipt.
//!
//! A tag that holds is not enough. The nonce must be the hash of what was opened: a device that chose nonces by itself,
//! a counter or a constant, would sooner or later seal two plaintexts under one and give its key away, and a receipt is
//! told from another by its request's nonce alone. Such a device never gets a receipt, so it is found on the bench and
//! not in the field. And the device outside must be the one that signed inside, or one device's seal could be spent on
//! copies of another's presses.

use alloc::vec::Vec;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use protocol::{
    Envelope, EnvelopeError, Iv, SealedDown, SealedError, SealedUp, additional_data_down,
    additional_data_up,
};

use crate::keys::{halves, nonce};
use crate::{EpochKeys, SealKeys};

/// Why nothing was opened. Whoever sent the bytes is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not the layout of a sealed message or receipt.
    #[error(transparent)]
    Layout(#[from] SealedError),
    /// The tag does not hold: another key, another epoch, another request, or altered bytes.
    #[error("seal is not authentic")]
    Unauthentic,
    /// The nonce is not the hash of the content.
    #[error("nonce does not belong to the content")]
    Nonce,
    /// What was sealed is no signed message.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The device that sealed is not the device that signed.
    #[error("sealed by one device and signed by another")]
    OtherDevice,
}

impl EpochKeys {
    /// Opens what a device has sealed in this epoch: the signed message, whose signature is yet to be checked. Junk costs
    /// one block of key derivation and one tag.
    ///
    /// # Errors
    /// When the seal does not hold, or holds around something other than a message of the same device.
    pub fn open_up(&self, sealed: &SealedUp<'_>) -> Result<Vec<u8>, OpenError> {
        let encryption = self.encryption(&sealed.device);
        let [k_up, _] = halves(&encryption);
        let signed = decrypt_up(&k_up, sealed)?;
        let v_up = self.nonces_up(&sealed.device, &encryption);
        check_up(sealed, &v_up, signed)
    }
}

impl SealKeys {
    /// The same, by the device's own keys.
    ///
    /// # Errors
    /// When the seal does not hold, or holds around something other than a message of the same device.
    pub fn open_up(&self, sealed: &SealedUp<'_>) -> Result<Vec<u8>, OpenError> {
        let signed = decrypt_up(&self.k_up, sealed)?;
        check_up(sealed, &self.v_up, signed)
    }

    /// Opens the `sealed` receipt of the request with nonce `request`.
    ///
    /// # Errors
    /// When it is no receipt of that request by a gateway that has these keys.
    pub fn open_down(&self, request: &Iv, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let SealedDown { iv, ciphertext } = SealedDown::parse(sealed)?;
        let receipt = decrypt(&self.k_down, &iv, &additional_data_down(request), ciphertext)?;
        if nonce(&self.v_down, &[&request.0, &receipt]) == iv {
            Ok(receipt)
        } else {
            Err(OpenError::Nonce)
        }
    }
}

fn decrypt_up(key: &[u8; 16], sealed: &SealedUp<'_>) -> Result<Vec<u8>, OpenError> {
    let additional_data = additional_data_up(sealed.epoch, &sealed.device);
    decrypt(key, &sealed.iv, &additional_data, sealed.ciphertext)
}

/// What was sealed, if its nonce and its device are the ones outside. Neither comparison guards a secret: whoever gets
/// here holds the device's key.
fn check_up(sealed: &SealedUp<'_>, v_up: &[u8; 32], signed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    if nonce(v_up, &[&signed]) != sealed.iv {
        return Err(OpenError::Nonce);
    }
    if Envelope::parse(&signed)?.device == sealed.device {
        Ok(signed)
    } else {
        Err(OpenError::OtherDevice)
    }
}

fn decrypt(key: &[u8; 16], iv: &Iv, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, OpenError> {
    let cipher = Aes128Gcm::new(key.into());
    cipher.decrypt((&iv.0).into(), Payload { msg, aad }).map_err(|_| OpenError::Unauthentic)
}

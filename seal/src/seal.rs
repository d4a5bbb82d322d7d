//! Sealing: a signed message on its way up, a receipt on its way down.
//!
//! Equal input gives equal bytes. A nonce meets one plaintext only, because it is a hash of that plaintext.

use alloc::vec::Vec;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use protocol::{
    DeviceId, Epoch, Iv, RECEIPT_LEN_MAX, SIGNED_LEN_MAX, additional_data_down, additional_data_up,
    assemble_down, assemble_up,
};

use crate::SealKeys;
use crate::keys::nonce;

/// Why bytes cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Nothing, or more than a signed message or a receipt may have: no gateway or device would read it.
    #[error("cannot seal {0} bytes")]
    Length(usize),
}

impl SealKeys {
    /// The datagram's payload for a `signed` message of `device`, whose keys of `epoch` these are.
    ///
    /// # Errors
    /// When `signed` is empty or longer than a signed message may be.
    pub fn seal_up(
        &self,
        epoch: Epoch,
        device: &DeviceId,
        signed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        check_len(signed, SIGNED_LEN_MAX)?;
        let iv = nonce(&self.v_up, &[signed]);
        let ciphertext = encrypt(&self.k_up, &iv, &additional_data_up(epoch, device), signed)?;
        Ok(assemble_up(epoch, device, &iv, &ciphertext))
    }

    /// The datagram's payload for a `receipt` that answers the request with nonce `request`.
    ///
    /// # Errors
    /// When `receipt` is empty or longer than a receipt may be.
    pub fn seal_down(&self, request: &Iv, receipt: &[u8]) -> Result<Vec<u8>, SealError> {
        check_len(receipt, RECEIPT_LEN_MAX)?;
        let iv = nonce(&self.v_down, &[&request.0, receipt]);
        let ciphertext = encrypt(&self.k_down, &iv, &additional_data_down(request), receipt)?;
        Ok(assemble_down(&iv, &ciphertext))
    }
}

fn check_len(plaintext: &[u8], max: usize) -> Result<(), SealError> {
    let fits = (1..=max).contains(&plaintext.len());
    fits.then_some(()).ok_or(SealError::Length(plaintext.len()))
}

/// The ciphertext and its tag.
pub(crate) fn encrypt(
    key: &[u8; 16],
    iv: &Iv,
    aad: &[u8],
    msg: &[u8],
) -> Result<Vec<u8>, SealError> {
    let cipher = Aes128Gcm::new(key.into());
    let sealed = cipher.encrypt((&iv.0).into(), Payload { msg, aad });
    sealed.map_err(|_| SealError::Length(msg.len()))
}

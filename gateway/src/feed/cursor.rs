//! Feed cursors: a place in the journal, sealed so that it tells its holder nothing.
//!
//! A journal cursor counts every message of the city; two of them, read a minute apart, would tell a subscriber for one
//! zone how much happens in all the others (DESIGN.md section 3). So the `id:` of an event is one AES-128 block under a
//! key that only this deployment has: equal only for the equal place, otherwise unrelated. It is not a secret and not a
//! credential: what a cursor may read is decided by the token, at every read.

use std::sync::atomic::{AtomicU16, Ordering};

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use pipeline::Cursor;

/// Length of a sealed cursor in text: 16 bytes as lower-case hexadecimal.
pub(crate) const SEALED_LEN: usize = 32;

/// Proves that a block was sealed here: a block under another key shows these with a chance of 2^-48.
const CHECK: [u8; 6] = *b"cursor";

/// Why text is not a cursor of this feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not 32 hexadecimal digits: send an `id:` back exactly as it was received.
    #[error("a cursor has 32 hexadecimal digits")]
    Garbled,
    /// Sealed under another key: it was given out by another deployment, or made up.
    #[error("this cursor was not given out by this deployment")]
    Foreign,
}

/// Seals cursors and opens them again.
pub struct CursorCodec {
    cipher: Aes128,
    passed: AtomicU16,
}

impl CursorCodec {
    /// A codec under the deployment's cursor key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { cipher: Aes128::new(&Array::from(key)), passed: AtomicU16::new(0) }
    }

    /// The `id:` of the event at `cursor`: always the same text for the same place.
    #[must_use]
    pub(crate) fn seal(&self, cursor: Cursor) -> [u8; SEALED_LEN] {
        self.seal_salted(cursor, 0)
    }

    /// An `id:` for a subscriber who was given everything up to `cursor`, when no event of his carries it.
    ///
    /// Salted, so that two of them do not tell whether anything happened elsewhere between them.
    #[must_use]
    pub(super) fn seal_passed(&self, cursor: Cursor) -> [u8; SEALED_LEN] {
        self.seal_salted(cursor, self.passed.fetch_add(1, Ordering::Relaxed) | 1 << 15)
    }

    fn seal_salted(&self, cursor: Cursor, salt: u16) -> [u8; SEALED_LEN] {
        let mut plain = [0; 16];
        let (place, rest) = plain.split_at_mut(8);
        let (salted, check) = rest.split_at_mut(2);
        place.copy_from_slice(&cursor.0.to_be_bytes());
        salted.copy_from_slice(&salt.to_be_bytes());
        check.copy_from_slice(&CHECK);
        let mut block = Array::from(plain);
        self.cipher.encrypt_block(&mut block);
        super::text::hex(&block.into())
    }

    /// The place that `text` names.
    ///
    /// # Errors
    /// When the text is no sealed cursor, or one of another deployment.
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        let mut bytes = [0; 16];
        let canonical = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if !canonical || hex::decode_to_slice(text, &mut bytes).is_err() {
            return Err(CursorError::Garbled);
        }
        let mut block = Array::from(bytes);
        self.cipher.decrypt_block(&mut block);
        let plain: [u8; 16] = block.into();
        let [p0, p1, p2, p3, p4, p5, p6, p7, _, _, check @ ..] = plain;
        if check != CHECK {
            return Err(CursorError::Foreign);
        }
        Ok(Cursor(u64::from_be_bytes([p0, p1, p2, p3, p4, p5, p6, p7])))
    }
}

impl std::fmt::Debug for CursorCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorCodec(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(sealed: [u8; SEALED_LEN]) -> String {
        String::from_utf8(sealed.to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed(cursor: u64, key: [u8; 16]) {
            let codec = CursorCodec::new(key);
            let sealed = text(codec.seal(Cursor(cursor)));
            prop_assert_eq!(codec.open(&sealed), Ok(Cursor(cursor)));
            let passed = text(codec.seal_passed(Cursor(cursor)));
            prop_assert_eq!(codec.open(&passed), Ok(Cursor(cursor)));
            prop_assert_ne!(sealed, passed);
        }

        #[test]
        fn refuses_what_another_key_sealed(cursor: u64, key: [u8; 16], other: [u8; 16]) {
            prop_assume!(key != other);
            let foreign = text(CursorCodec::new(other).seal(Cursor(cursor)));
            prop_assert_eq!(CursorCodec::new(key).open(&foreign), Err(CursorError::Foreign));
        }

        #[test]
        fn never_panics_on_text(garbage in ".{0,64}") {
            prop_assert!(CursorCodec::new([1; 16]).open(&garbage).is_err());
        }
    }

    #[test]
    fn sealed_form_is_fixed() {
        // Checked with an independent AES: 0000000000000001 0000 637572736f72 under 000102..0f.
        let codec = CursorCodec::new(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        assert_eq!(text(codec.seal(Cursor(1))), "b2156fdf0920699750706fbd302071f2");
    }

    #[test]
    fn consecutive_places_look_unrelated() {
        let codec = CursorCodec::new([7; 16]);
        let bits = |cursor| {
            let sealed = text(codec.seal(Cursor(cursor)));
            u128::from_str_radix(&sealed, 16).unwrap()
        };
        let differing: u32 = (1..=1_000).map(|at| (bits(at) ^ bits(at + 1)).count_ones()).sum();
        // Half of 128 bits, as of two random blocks; the mean of a thousand strays by 0.2 bits.
        assert!((63_000..=65_000).contains(&differing), "{differing}");
    }

    #[test]
    fn says_how_text_fails_to_be_a_cursor() {
        let codec = CursorCodec::new([7; 16]);
        let good = text(codec.seal(Cursor(5)));
        for garbled in ["", "5", &good[1..], &good.to_uppercase(), &format!("{good}0"), "é"] {
            assert_eq!(codec.open(garbled), Err(CursorError::Garbled), "{garbled}");
        }
        assert_eq!(codec.open(&"0".repeat(32)), Err(CursorError::Foreign));
    }
}

//! Public keys of devices: read once at enrolment, checked there, and kept in the form that verification needs.
//!
//! A key that proves nothing is refused: points off the curve, and the small-order Ed25519 keys, for which anybody can
//! make signatures. No message is verified here.

use ed25519_dalek::VerifyingKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use protocol::Algorithm;

/// A device's public key, with the algorithm that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKey {
    /// A point of P-256: x, then y, each 32 bytes, big-endian.
    Es256([u8; 64]),
    /// An Ed25519 key (RFC 8032 section 5.1.5).
    EdDsa([u8; 32]),
}

/// Why bytes are not the public key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not as long as keys of this algorithm are. Export the key as `device public` does.
    #[error("public_key of {len} bytes is not one for {}; {}", algorithm.name(), expected(*algorithm))]
    Length {
        /// What it should be for.
        algorithm: Algorithm,
        /// How long it is.
        len: usize,
    },
    /// Right length, but no key has these bytes. A byte was lost or changed.
    #[error("public_key is not a point of the curve")]
    NotAPoint,
    /// Anybody can sign for this key. Make another one.
    #[error("public_key is weak: anybody could sign for it")]
    Weak,
}

fn expected(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => "SEC1 has 33 bytes (compressed) or 65 (uncompressed)",
        Algorithm::EdDsa => "Ed25519 has 32 bytes",
    }
}

impl DeviceKey {
    /// The key in `bytes`: SEC1 compressed or uncompressed for ES256, RFC 8032 for EdDSA.
    ///
    /// # Errors
    /// If the length is wrong, the point is not on the curve, or the key is weak.
    pub fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let length_error = KeyError::Length { algorithm, len: bytes.len() };
        match (algorithm, bytes.len()) {
            (Algorithm::Es256, 33 | 65) => {
                let key =
                    p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
                let point = key.to_sec1_point(false);
                let coordinates = point.as_bytes().get(1..).and_then(|xy| xy.try_into().ok());
                coordinates.map(Self::Es256).ok_or(KeyError::NotAPoint)
            }
            (Algorithm::EdDsa, 32) => {
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| length_error)?;
                let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
                if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self::EdDsa(bytes)) }
            }
            _ => Err(length_error),
        }
    }

    /// The key that was stored as these bytes, which were checked before they were stored.
    #[must_use]
    pub fn from_stored(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Es256 => bytes.try_into().ok().map(Self::Es256),
            Algorithm::EdDsa => bytes.try_into().ok().map(Self::EdDsa),
        }
    }

    /// The bytes to store: x and y, or the Ed25519 key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Es256(coordinates) => coordinates,
            Self::EdDsa(key) => key,
        }
    }

    /// The algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The key as others write it: SEC1 uncompressed (65 bytes), or the Ed25519 key.
    #[must_use]
    pub fn to_public_bytes(&self) -> Vec<u8> {
        match self {
            Self::Es256(coordinates) => [&[0x04], coordinates.as_slice()].concat(),
            Self::EdDsa(key) => key.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator of P-256 (SEC 2 section 2.4.2).
    const GENERATOR: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                             4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    /// The base point of Ed25519.
    const BASE: &str = "5866666666666666666666666666666666666666666666666666666666666666";

    fn parse(algorithm: Algorithm, text: &str) -> Result<DeviceKey, KeyError> {
        DeviceKey::parse(algorithm, &hex::decode(text).unwrap())
    }

    #[test]
    fn compressed_and_uncompressed_are_the_same_key() {
        let whole = parse(Algorithm::Es256, GENERATOR).unwrap();
        let compressed = format!("03{}", &GENERATOR[2..66]);
        assert_eq!(parse(Algorithm::Es256, &compressed), Ok(whole));
        assert_eq!(hex::encode(whole.to_public_bytes()), GENERATOR);
        assert_eq!(DeviceKey::from_stored(Algorithm::Es256, whole.as_bytes()), Some(whole));
        let base = parse(Algorithm::EdDsa, BASE).unwrap();
        assert_eq!(hex::encode(base.to_public_bytes()), BASE);
        assert_eq!(DeviceKey::from_stored(Algorithm::EdDsa, base.as_bytes()), Some(base));
        assert_eq!(DeviceKey::from_stored(Algorithm::Es256, base.as_bytes()), None);
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        let mut off = GENERATOR.to_owned();
        off.replace_range(128..130, "00");
        assert_eq!(parse(Algorithm::Es256, &off), Err(KeyError::NotAPoint));
        // Of all x, about half lie on the curve; this one does not.
        let no_root = format!("02{}", "0".repeat(63) + "1");
        assert_eq!(parse(Algorithm::Es256, &no_root), Err(KeyError::NotAPoint));
        let not_a_key = format!("02{}", "0".repeat(62));
        assert_eq!(parse(Algorithm::EdDsa, &not_a_key), Err(KeyError::NotAPoint));
    }

    #[test]
    fn small_order_keys_are_refused() {
        for weak in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        ] {
            assert_eq!(parse(Algorithm::EdDsa, weak), Err(KeyError::Weak), "{weak}");
        }
    }

    #[test]
    fn a_key_of_another_length_says_what_was_expected() {
        for (algorithm, len) in [
            (Algorithm::Es256, 0),
            (Algorithm::Es256, 32),
            (Algorithm::Es256, 64),
            (Algorithm::EdDsa, 33),
        ] {
            let error = DeviceKey::parse(algorithm, &vec![2; len]).unwrap_err();
            assert_eq!(error, KeyError::Length { algorithm, len });
        }
        assert_eq!(
            parse(Algorithm::EdDsa, "00").unwrap_err().to_string(),
            "public_key of 1 bytes is not one for eddsa; Ed25519 has 32 bytes"
        );
    }
}

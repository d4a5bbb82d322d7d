//! A device's signing key: made, kept in PKCS#8 PEM, and used to sign.
//!
//! Two algorithms, fixed per device at enrolment: ES256 (what secure hardware in phones can do) and Ed25519. The files
//! are the ones that `openssl` and Python's `cryptography` write and read. A key never prints itself. The ECDSA nonce
//! and new keys take their randomness from the operating system; nothing else here is random.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{KeypairBytes, spki::der::pem::LineEnding};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, PrivateKeyInfoRef, SecretDocument};
use protocol::Algorithm;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// Length of a raw secret and of a signature's halves, in bytes, for both algorithms.
const SECRET_LEN: usize = 32;
const SIGNATURE_LEN: usize = 64;
/// The PEM label of an unencrypted PKCS#8 key (RFC 7468 section 10).
const PEM_LABEL: &str = "PRIVATE KEY";

/// A signing key. The P-256 scalar and the Ed25519 seed are erased from memory when it is dropped; the copy that
/// `ring` signs with is not, because `ring` offers no way to.
pub struct Key {
    inner: Inner,
    public: Vec<u8>,
}

enum Inner {
    Es256 { secret: Box<p256::SecretKey>, pair: Box<EcdsaKeyPair> },
    EdDsa(Box<ed25519_dalek::SigningKey>),
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not one PEM block: give the file that `device keygen` or `openssl genpkey` wrote.
    #[error("not a PEM file with one key in it")]
    NotPem,
    /// A PEM block, but of another kind. Convert it: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`.
    #[error(
        "PEM block is {0:?}, expected \"PRIVATE KEY\"; convert it with: openssl pkcs8 -topk8 -nocrypt"
    )]
    Label(String),
    /// The block does not hold a PKCS#8 key.
    #[error("PEM block does not hold a PKCS#8 private key")]
    NotPkcs8,
    /// A PKCS#8 key of an algorithm that devices here do not use; make one with `device keygen`.
    #[error("key has algorithm {0}; only P-256 and Ed25519 are used here")]
    OtherAlgorithm(String),
    /// The secret is out of range for its curve, or does not belong to the public key beside it.
    #[error("secret is not a valid {} key", .0.name())]
    Invalid(Algorithm),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    NoRandomness,
}

/// Why a key file could not be read or written. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be opened, read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file at fault.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file was read and holds no usable key.
    #[error("{path}: {error}")]
    Key {
        /// The file at fault.
        path: String,
        /// What is wrong in it.
        error: KeyError,
    },
}

/// The signature could not be made, because the operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness to sign with")]
pub struct SignError;

impl Key {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        // A random string is above the order of P-256 once in 2^32 times; then the next one is taken.
        for _ in 0..8 {
            random.fill(secret.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
            if let Ok(key) = Self::from_secret(algorithm, &secret) {
                return Ok(key);
            }
        }
        Err(KeyError::NoRandomness)
    }

    /// The key with this raw secret: the P-256 scalar (big-endian) or the Ed25519 seed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when a P-256 scalar is zero or not below the order of the curve.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8; SECRET_LEN]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Es256 => {
                let secret = p256::SecretKey::from_slice(secret)
                    .map_err(|_| KeyError::Invalid(Algorithm::Es256))?;
                Self::es256(secret)
            }
            Algorithm::EdDsa => Ok(Self::eddsa(ed25519_dalek::SigningKey::from_bytes(secret))),
        }
    }

    /// Reads an unencrypted PKCS#8 key in PEM.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(text).map_err(|_| KeyError::NotPem)?;
        if label != PEM_LABEL {
            return Err(KeyError::Label(label.to_owned()));
        }
        let info =
            PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::NotPkcs8)?;
        let oid = info.algorithm.oid;
        if oid == ed25519_dalek::pkcs8::ALGORITHM_OID {
            let key = ed25519_dalek::SigningKey::from_pkcs8_der(document.as_bytes())
                .map_err(|_| KeyError::Invalid(Algorithm::EdDsa))?;
            Ok(Self::eddsa(key))
        } else if oid == p256::elliptic_curve::ALGORITHM_OID {
            let secret = p256::SecretKey::from_pkcs8_der(document.as_bytes())
                .map_err(|_| KeyError::Invalid(Algorithm::Es256))?;
            Self::es256(secret)
        } else {
            Err(KeyError::OtherAlgorithm(oid.to_string()))
        }
    }

    /// This key as unencrypted PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if the key cannot be written as DER, which no key of these algorithms causes.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let algorithm = self.algorithm();
        let pem = match &self.inner {
            Inner::Es256 { secret, .. } => secret.to_pkcs8_pem(LineEnding::LF),
            // Without the public key: that is version 1 of the format, which every openssl reads; version 2 is not.
            Inner::EdDsa(key) => {
                let mut bytes = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
                let pem = bytes.to_pkcs8_pem(LineEnding::LF);
                bytes.secret_key.fill(0);
                pem
            }
        };
        pem.map_err(|_| KeyError::Invalid(algorithm))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no usable key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = fs::read_to_string(path).map_err(|error| KeyFileError::io(path, error))?;
        let text = Zeroizing::new(text);
        Self::from_pem(&text)
            .map_err(|error| KeyFileError::Key { path: path.display().to_string(), error })
    }

    /// Writes a key file that only its owner can read. A file that exists is never replaced.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let pem = self
            .to_pem()
            .map_err(|error| KeyFileError::Key { path: path.display().to_string(), error })?;
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| KeyFileError::io(path, error))
    }

    /// What this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.inner {
            Inner::Es256 { .. } => Algorithm::Es256,
            Inner::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// The public key: 65 bytes (SEC1, uncompressed: 0x04, x, y) for ES256, 32 bytes (RFC 8032) for Ed25519.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// [`public`](Self::public) in lower-case hexadecimal, as enrolment files carry it.
    #[must_use]
    pub fn public_hex(&self) -> String {
        hex::encode(&self.public)
    }

    /// The signature over `bytes`: r and s of 32 bytes each for ES256, R and s for Ed25519.
    ///
    /// # Errors
    /// ES256 needs a random number for each signature; the error says that there was none.
    pub fn sign(&self, bytes: &[u8]) -> Result<[u8; SIGNATURE_LEN], SignError> {
        match &self.inner {
            Inner::Es256 { pair, .. } => {
                let signature = pair.sign(&SystemRandom::new(), bytes).map_err(|_| SignError)?;
                signature.as_ref().try_into().map_err(|_| SignError)
            }
            Inner::EdDsa(key) => Ok(key.sign(bytes).to_bytes()),
        }
    }

    fn es256(secret: p256::SecretKey) -> Result<Self, KeyError> {
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        let scalar = Zeroizing::new(secret.to_bytes());
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &scalar,
            &public,
            &SystemRandom::new(),
        )
        .map_err(|_| KeyError::Invalid(Algorithm::Es256))?;
        Ok(Self { inner: Inner::Es256 { secret: Box::new(secret), pair: Box::new(pair) }, public })
    }

    fn eddsa(key: ed25519_dalek::SigningKey) -> Self {
        let public = key.verifying_key().to_bytes().to_vec();
        Self { inner: Inner::EdDsa(Box::new(key)), public }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.algorithm().name(), self.public_hex())
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_pem(text)
    }
}

impl KeyFileError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.display().to_string(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl genpkey` 3.0 for this test, used nowhere; public halves as `openssl pkey -pubout` gives them.
    const OPENSSL_ES256: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgt/irFKHavYEgen6j\n\
WF0AjQNwGs7r90fxCkEvUVoDskuhRANCAAT3xesMK1/JAhSzU7SrC7JuvZpCAr/2\n\
nWuFTY7/iO4FNvhWyK/0elYXzkxkpfp+np7bHC3LJaPSyUKQgn+koNAR\n\
-----END PRIVATE KEY-----\n";
    const OPENSSL_ES256_PUBLIC: &str = "\
        04f7c5eb0c2b5fc90214b353b4ab0bb26ebd9a4202bff69d6b854d8eff88ee0536\
        f856c8aff47a5617ce4c64a5fa7e9e9edb1c2dcb25a3d2c94290827fa4a0d011";
    const OPENSSL_EDDSA: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIEhHSHYWRddYvVjP8uIJGX+7zm9aDsNsRW0YxO+7ACVE\n\
-----END PRIVATE KEY-----\n";
    const OPENSSL_EDDSA_PUBLIC: &str =
        "63e2a5ad1ac936b7378d6d112d6e7d9d3fe0d3c4ef21241f0e693c9709324044";

    #[test]
    fn reads_what_openssl_writes_and_writes_it_back_alike() {
        for (algorithm, pem, public) in [
            (Algorithm::Es256, OPENSSL_ES256, OPENSSL_ES256_PUBLIC),
            (Algorithm::EdDsa, OPENSSL_EDDSA, OPENSSL_EDDSA_PUBLIC),
        ] {
            let key: Key = pem.parse().unwrap();
            assert_eq!((key.algorithm(), key.public_hex().as_str()), (algorithm, public));
            assert_eq!(key.to_pem().unwrap().as_str(), pem);
        }
    }

    #[test]
    fn a_file_is_for_its_owner_alone_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let key = Key::generate(algorithm).unwrap();
            key.write_new(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(Key::read(&path).unwrap().public(), key.public());
            let error = key.write_new(&path).unwrap_err();
            assert!(error.to_string().contains("key.pem"), "{error}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        let error = |text: &str| Key::from_pem(text).unwrap_err();
        assert_eq!(error("no key"), KeyError::NotPem);
        let old = OPENSSL_ES256.replace("PRIVATE KEY", "EC PRIVATE KEY");
        assert_eq!(error(&old), KeyError::Label("EC PRIVATE KEY".into()));
        let junk = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        assert_eq!(error(junk), KeyError::NotPkcs8);
        let x25519 = OPENSSL_EDDSA.replace("K2Vw", "K2Vu");
        assert_eq!(error(&x25519), KeyError::OtherAlgorithm("1.3.101.110".into()));
        for secret in [[0; 32], [0xff; 32]] {
            let refused = Key::from_secret(Algorithm::Es256, &secret).unwrap_err();
            assert_eq!(refused, KeyError::Invalid(Algorithm::Es256));
        }
    }

    #[test]
    fn debug_text_holds_no_secret() {
        let key = Key::from_secret(Algorithm::EdDsa, &[0x5a; 32]).unwrap();
        assert_eq!(format!("{key:?}"), format!("Key(eddsa, {})", key.public_hex()));
    }
}

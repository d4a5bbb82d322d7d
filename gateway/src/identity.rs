//! What makes this gateway itself: its realm, its certificate and the key that hides its feed cursors.
//!
//! What configuration does not state is made at the first start and kept in the data directory, for the owner only; it
//! is the same at every later start. A realm that differs from the kept one is refused, because message ids of one
//! journal must all be of one realm.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::Realm;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::{AlertConfig, Config, OperatorConfig};
use crate::files;

/// Names that a development certificate is good for.
const DEVELOPMENT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const REALM_FILE: &str = "realm";
const CERTIFICATE_FILE: &str = "certificate.pem";
const PRIVATE_KEY_FILE: &str = "private_key.pem";
const CURSOR_KEY_FILE: &str = "cursor.key";

/// What this gateway is known by.
pub struct Identity {
    /// The deployment.
    pub realm: Realm,
    /// The certificate and what is between it and its root.
    pub certificate_chain: Vec<CertificateDer<'static>>,
    /// The certificate's key.
    pub private_key: PrivateKeyDer<'static>,
    /// Where the certificate lies: what a client of a development certificate must trust.
    pub certificate_path: PathBuf,
    /// The secret that makes feed cursors opaque.
    pub cursor_key: [u8; 16],
    /// The secret by which addresses share the table of what they cost. Another one at every start, so that nobody can
    /// learn over months who shares a place with whom.
    pub address_key: [u8; 16],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("realm", &self.realm)
            .field("certificate_path", &self.certificate_path)
            .finish_non_exhaustive()
    }
}

/// Why a gateway has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system refused. Check the data directory, who owns it and whether the disk is full.
    #[error("cannot keep {path}: {source}")]
    File {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A kept value is damaged. Restore the file; removing it makes another one, which devices do not know.
    #[error("{path} does not hold 32 hexadecimal digits")]
    NotHex {
        /// The damaged file.
        path: PathBuf,
    },
    /// The data directory belongs to another deployment. Configure its realm, or another data directory.
    #[error("realm {configured} is configured, but {path} says {kept}")]
    OtherRealm {
        /// By the configuration.
        configured: Realm,
        /// By the data directory.
        kept: Realm,
        /// The file that says so.
        path: PathBuf,
    },
    /// The file holds no usable PEM. Check which file is configured as what.
    #[error("cannot use {path}: {what}")]
    Pem {
        /// Certificate or private key.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No certificate or random number could be made.
    #[error("cannot make {0}")]
    Make(String),
}

impl Identity {
    /// The identity that `config` and its data directory state. Makes what is missing.
    ///
    /// # Errors
    /// If something can be neither read nor made, or if configuration and data directory disagree.
    pub fn open(config: &Config) -> Result<Self, IdentityError> {
        let folder = &config.data_dir;
        files::create_private_folder(folder).map_err(file_error(folder))?;
        let realm = open_realm(&folder.join(REALM_FILE), config.realm)?;
        let cursor_key = open_hex(&folder.join(CURSOR_KEY_FILE), None)?;
        let (certificate_path, key_path) =
            match (&config.alert.certificate, &config.alert.private_key) {
                (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
                _ => open_development_certificate(folder)?,
            };
        let (certificate_chain, private_key) = read_pair(&certificate_path, &key_path)?;
        Ok(Self {
            realm,
            certificate_chain,
            private_key,
            certificate_path,
            cursor_key,
            address_key: random()?,
        })
    }
}

/// Whether the configured certificate can be used with its key. Makes nothing; without one there is nothing to check.
///
/// # Errors
/// If a file holds no usable PEM, or if they do not belong together.
pub fn check_certificate(alert: &AlertConfig) -> Result<(), IdentityError> {
    match (&alert.certificate, &alert.private_key) {
        (Some(certificate), Some(key)) => read_pair(certificate, key).map(drop),
        _ => Ok(()),
    }
}

/// The certificate that operators see, and its key; nothing if they are served without.
///
/// # Errors
/// If a file holds no usable PEM, or if they do not belong together.
pub fn operator_certificate(operator: &OperatorConfig) -> Result<Option<Pair>, IdentityError> {
    match (&operator.certificate, &operator.private_key) {
        (Some(certificate), Some(key)) => read_pair(certificate, key).map(Some),
        _ => Ok(None),
    }
}

/// A certificate with what is between it and its root, and its key.
pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn open_realm(path: &Path, configured: Option<Realm>) -> Result<Realm, IdentityError> {
    let kept = Realm(open_hex(path, configured.map(|realm| realm.0))?);
    match configured {
        Some(configured) if configured != kept => {
            Err(IdentityError::OtherRealm { configured, kept, path: path.to_owned() })
        }
        _ => Ok(kept),
    }
}

/// The sixteen bytes kept at `path`; if nothing is, `wanted`, or random ones, are kept from now on.
fn open_hex(path: &Path, wanted: Option<[u8; 16]>) -> Result<[u8; 16], IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let kept = text.trim_end().parse::<Realm>();
            kept.map(|kept| kept.0).map_err(|_| IdentityError::NotHex { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = wanted.map_or_else(random, Ok)?;
            let text = format!("{}\n", hex::encode(bytes));
            files::replace(path, text.as_bytes()).map_err(file_error(path))?;
            tracing::info!(path = %path.display(), "made at the first start");
            Ok(bytes)
        }
        Err(source) => Err(IdentityError::File { path: path.to_owned(), source }),
    }
}

fn open_development_certificate(folder: &Path) -> Result<(PathBuf, PathBuf), IdentityError> {
    let certificate = folder.join(CERTIFICATE_FILE);
    let key = folder.join(PRIVATE_KEY_FILE);
    // The key is written first: without a certificate a first start did not end. A certificate without its key is
    // not replaced, because clients may trust it.
    if !certificate.try_exists().map_err(file_error(&certificate))? {
        let make = |error: rcgen::Error| IdentityError::Make(format!("a certificate: {error}"));
        let names = DEVELOPMENT_NAMES.map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(make)?;
        let key_text = made.signing_key.serialize_pem();
        files::replace(&key, key_text.as_bytes()).map_err(file_error(&key))?;
        files::replace(&certificate, made.cert.pem().as_bytes())
            .map_err(file_error(&certificate))?;
        tracing::info!(path = %certificate.display(), "made a development certificate");
    }
    tracing::warn!(
        path = %certificate.display(),
        "using a self-signed certificate for development, good for localhost only; \
         set alert.certificate and alert.private_key before real use"
    );
    Ok((certificate, key))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(pem_error(path))?;
    let chain: Vec<_> = certificates.collect::<Result<_, _>>().map_err(pem_error(path))?;
    if chain.is_empty() { Err(pem_error(path)("it holds no certificate")) } else { Ok(chain) }
}

fn read_pair(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let chain = read_chain(certificate)?;
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(pem_error(key))?;
    check_pair(&chain, &private_key).map_err(pem_error(key))?;
    Ok((chain, private_key))
}

fn check_pair(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'_>,
) -> Result<(), rustls::Error> {
    let provider = rustls::crypto::ring::default_provider();
    let key = provider.key_provider.load_private_key(key.clone_key())?;
    CertifiedKey::new(chain.to_vec(), key).keys_match()
}

fn random() -> Result<[u8; 16], IdentityError> {
    let mut bytes = [0; 16];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(IdentityError::Make("a random number".to_owned())),
    }
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> IdentityError {
    move |source| IdentityError::File { path: path.to_owned(), source }
}

fn pem_error<E: ToString>(path: &Path) -> impl Fn(E) -> IdentityError {
    move |error| IdentityError::Pem { path: path.to_owned(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config_in(folder: &Path) -> Config {
        Config { data_dir: folder.join("data"), ..Config::default() }
    }

    #[test]
    fn the_first_start_makes_what_later_starts_find() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        let first = Identity::open(&config).unwrap();
        let later = Identity::open(&config).unwrap();
        assert_eq!(first.realm, later.realm);
        assert_eq!(first.cursor_key, later.cursor_key);
        assert_eq!(first.certificate_chain, later.certificate_chain);
        assert_eq!(first.certificate_path, config.data_dir.join("certificate.pem"));
        assert_ne!(first.realm.0, first.cursor_key);
        assert_eq!(fs::metadata(&config.data_dir).unwrap().permissions().mode() & 0o777, 0o700);
        let mut count = 0;
        for entry in fs::read_dir(&config.data_dir).unwrap() {
            let entry = entry.unwrap();
            count += 1;
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
        }
        assert_eq!(count, 4);
    }

    #[test]
    fn a_data_directory_of_another_realm_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (Realm([7; 16]), Realm([8; 16]));
        let config = Config { realm: Some(ours), ..config_in(folder.path()) };
        assert_eq!(Identity::open(&config).unwrap().realm, ours);
        assert_eq!(Identity::open(&config_in(folder.path())).unwrap().realm, ours);
        let config = Config { realm: Some(other), ..config };
        assert!(matches!(
            Identity::open(&config),
            Err(IdentityError::OtherRealm { configured, kept, .. }) if configured == other && kept == ours
        ));
    }

    #[test]
    fn damaged_files_are_refused_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        Identity::open(&config).unwrap();
        let realm = config.data_dir.join("realm");
        fs::write(&realm, "not hex").unwrap();
        assert!(matches!(Identity::open(&config), Err(IdentityError::NotHex { .. })));
        assert_eq!(fs::read_to_string(&realm).unwrap(), "not hex");
    }

    #[test]
    fn a_first_start_that_was_cut_short_is_made_up_for_but_a_lost_key_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_in(folder.path());
        let first = Identity::open(&config).unwrap();
        fs::remove_file(&first.certificate_path).unwrap();
        let second = Identity::open(&config).unwrap();
        assert_ne!(first.certificate_chain, second.certificate_chain);
        fs::remove_file(config.data_dir.join("private_key.pem")).unwrap();
        assert!(matches!(Identity::open(&config), Err(IdentityError::Pem { .. })));
    }

    #[test]
    fn a_configured_certificate_is_used_only_with_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| {
            let config = Config { data_dir: folder.path().join(name), ..Config::default() };
            Identity::open(&config).unwrap().certificate_path
        });
        let mut config = config_in(folder.path());
        config.alert.certificate = Some(one.clone());
        config.alert.private_key = Some(one.with_file_name("private_key.pem"));
        assert_eq!(Identity::open(&config).unwrap().certificate_path, one);
        config.alert.private_key = Some(two.with_file_name("private_key.pem"));
        assert!(matches!(Identity::open(&config), Err(IdentityError::Pem { .. })));
        config.alert.private_key = Some(two);
        assert!(matches!(Identity::open(&config), Err(IdentityError::Pem { .. })));
    }
}

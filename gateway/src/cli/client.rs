//! A request to the operator's side of a gateway, and its answer: JSON, or a stream of events.
//!
//! A connection for one request, over TLS where the address says so; an answer is bounded in time and in size. It knows no
//! operation.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long an answer may take: a decision waits for the disk, a rare alert for a search.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer, in bytes: a full page is well below.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Whom the system trusts, where nothing else is named.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A gateway's operators' interface.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) operator: Uri,
    pub(super) token: String,
    pub(super) ca: Option<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The address is no URL of an interface. Write one like `https://gateway.example:8480`.
    #[error("{0} is not an address like https://gateway.example:8480")]
    Address(String),
    /// Nobody answers there, or the connection broke.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where.
        address: Authority,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates that are trusted cannot be read. Name a PEM file with `--ca`.
    #[error("cannot read certificates from {path}: {what}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The host's name cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] InvalidDnsNameError),
    /// The request cannot be written: a token with characters that a header does not hold.
    #[error("the request cannot be written: {0}")]
    Request(#[from] axum::http::Error),
    /// What came back is no HTTP.
    #[error("the answer cannot be understood: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is broken off, longer than any, or no JSON.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    /// Nothing came back in time. A decision may have been made: ask the audit.
    #[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// The gateway refuses.
    #[error("{title}: {detail}")]
    Refused {
        /// Whether the same may be asked for again in a moment.
        again: bool,
        /// In a few words.
        title: String,
        /// Why, and what to do.
        detail: String,
    },
}

impl ClientError {
    /// Whether the same request may go well in a moment: nobody was there, or too busy.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Http(_) | Self::Answer(_) | Self::Timeout => true,
            Self::Refused { again, .. } => *again,
            Self::Address(_)
            | Self::Roots { .. }
            | Self::Tls(_)
            | Self::Name(_)
            | Self::Request(_) => false,
        }
    }
}

impl Client {
    /// Asks for `path` (with its query); sends `body` if there is one.
    ///
    /// # Errors
    /// If there is no answer, or if it is a refusal.
    pub(super) async fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        match timeout(ANSWER_TIMEOUT, self.exchange(path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Timeout),
        }
    }

    async fn exchange(&self, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let mut request = self.request(path)?;
        let text = body.map(Value::to_string);
        if text.is_some() {
            *request.method_mut() = Method::POST;
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let response = self.send(request.map(|()| Full::from(text.unwrap_or_default()))).await?;
        answer(response).await
    }

    /// Opens the stream of events at `path`, behind the event `after` if there is one.
    ///
    /// # Errors
    /// If there is no answer, or if it is a refusal.
    pub(super) async fn follow(
        &self,
        path: &str,
        after: Option<&str>,
    ) -> Result<Incoming, ClientError> {
        let mut request = self.request(path)?;
        if let Some(after) = after {
            let after = HeaderValue::from_str(after).map_err(axum::http::Error::from)?;
            request.headers_mut().insert("last-event-id", after);
        }
        let opening = self.send(request.map(|()| Full::default()));
        let response = match timeout(ANSWER_TIMEOUT, opening).await {
            Ok(response) => response?,
            Err(_) => return Err(ClientError::Timeout),
        };
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        Err(match timeout(ANSWER_TIMEOUT, answer(response)).await {
            Ok(Err(refused)) => refused,
            Ok(Ok(_)) => ClientError::Answer("it is no stream".to_owned()),
            Err(_) => ClientError::Timeout,
        })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let (authority, tls) = self.address()?;
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let unreachable = |source| ClientError::Unreachable { address: authority.clone(), source };
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        if tls {
            let connector = TlsConnector::from(Arc::new(trusting(self.ca.as_deref())?));
            let name = ServerName::try_from(host.to_owned())?;
            let stream = connector.connect(name, stream).await.map_err(unreachable)?;
            send(stream, request).await
        } else {
            send(stream, request).await
        }
    }

    /// Where, and whether over TLS.
    fn address(&self) -> Result<(&Authority, bool), ClientError> {
        let address = || ClientError::Address(self.operator.to_string());
        let authority = self.operator.authority().ok_or_else(address)?;
        match self.operator.scheme_str() {
            Some("http") => Ok((authority, false)),
            Some("https") => Ok((authority, true)),
            _ => Err(address()),
        }
    }

    fn request(&self, path: &str) -> Result<Request<()>, ClientError> {
        let request = Request::get(path)
            .header(header::HOST, self.address()?.0.as_str())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        Ok(request.body(())?)
    }
}

/// The response; its body is read as long as the connection's task is driven, which ends with it.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error, if there is one, comes out of the request or the body too.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// The answer as JSON.
async fn answer(response: Response<Incoming>) -> Result<Value, ClientError> {
    let status = response.status();
    let unread = |error: &dyn ToString| ClientError::Answer(error.to_string());
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| unread(&error))?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).map_err(|error| unread(&error))?;
    if status == StatusCode::OK {
        return Ok(answer);
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Err(ClientError::Refused {
        again: status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS,
        title: text("title"),
        detail: text("detail"),
    })
}

/// TLS that trusts the certificates in `ca`, or those that the system trusts.
fn trusting(ca: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let path = ca.unwrap_or(Path::new(SYSTEM_ROOTS));
    let unreadable = |what: String| ClientError::Roots { path: path.to_owned(), what };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        // One that cannot be used is passed over: of the system's many, some are older than what is understood.
        drop(roots.add(certificate));
    }
    if roots.is_empty() {
        return Err(unreadable("it holds none that can be used".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

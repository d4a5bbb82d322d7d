//! The datagram around a seal: the little of CoAP (RFC 7252) that a button needs, read strictly.
//!
//! [`CoapRequest::parse`] reads a confirmable `POST /a` with a payload, [`CoapReply::parse`] the acknowledgement that
//! carries its answer; `encode` writes each. Everything else is met with silence, and [`Silence`] says which, for
//! counters. Nothing is allocated while reading: a library that keeps options in lists costs an allocation for each, and
//! junk can have a thousand of them (docs/decisions/0010-own-coap-reader.md). Message id and token are echoed and mean
//! nothing here.

use alloc::vec::Vec;
use core::fmt;

use crate::SEALED_LEN_MAX;

/// Longest datagram that is read, in bytes: the longest sealed message behind a header, a token, the path and its marker.
/// Options that a library adds take from it.
pub const DATAGRAM_LEN_MAX: usize =
    HEADER_LEN + Token::LEN_MAX + PATH_OPTION.len() + 1 + SEALED_LEN_MAX;

/// Options in a request that are still looked at. Libraries write up to four: host, port, path, content format.
const OPTIONS_MAX: usize = 8;

/// Version, type and token length; code; message id (RFC 7252 section 3).
const HEADER_LEN: usize = 4;
const VERSION: u8 = 1;
const CONFIRMABLE: u8 = 0;
const ACKNOWLEDGEMENT: u8 = 2;
const EMPTY: u8 = 0x00;
const POST: u8 = 0x02;
/// 2.04, what answers a POST that made no resource (RFC 7252 section 5.8.2).
const CHANGED: u8 = 0x44;
const PAYLOAD_MARKER: u8 = 0xff;

/// The only resource.
const PATH: &[u8] = b"a";
/// The path as an option: delta 11, one byte.
const PATH_OPTION: [u8; 2] = [0xb1, b'a'];

// RFC 7252 section 5.10, RFC 7641, RFC 7959.
const URI_HOST: u16 = 3;
const OBSERVE: u16 = 6;
const URI_PORT: u16 = 7;
const URI_PATH: u16 = 11;
const BLOCK2: u16 = 23;
const BLOCK1: u16 = 27;
const PROXY_URI: u16 = 35;
const PROXY_SCHEME: u16 = 39;

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Silence {
    /// More than [`DATAGRAM_LEN_MAX`] bytes.
    #[error("longer than a datagram may be")]
    TooLarge,
    /// No CoAP of version 1, or cut off, or with a length that is reserved.
    #[error("not CoAP")]
    Malformed,
    /// An empty message: CoAP's ping.
    #[error("a ping")]
    Ping,
    /// An acknowledgement or a reset, or an answer: nothing was asked.
    #[error("nobody asked")]
    Unasked,
    /// Sent without wanting to be told that it arrived.
    #[error("not confirmable")]
    NotConfirmable,
    /// A method other than POST.
    #[error("not a POST")]
    Method,
    /// A path other than `/a`.
    #[error("another path")]
    Path,
    /// Wants to be told of changes (RFC 7641).
    #[error("wants to observe")]
    Observe,
    /// Wants to send or be sent a part at a time (RFC 7959).
    #[error("block-wise")]
    Blockwise,
    /// Wants to be passed on.
    #[error("wants a proxy")]
    Proxy,
    /// An option that must be understood and is not.
    #[error("a critical option that is not known")]
    Critical,
    /// More options than any button has a use for.
    #[error("too many options")]
    Options,
    /// No payload.
    #[error("no payload")]
    NoPayload,
}

impl Silence {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::TooLarge,
        Self::Malformed,
        Self::Ping,
        Self::Unasked,
        Self::NotConfirmable,
        Self::Method,
        Self::Path,
        Self::Observe,
        Self::Blockwise,
        Self::Proxy,
        Self::Critical,
        Self::Options,
        Self::NoPayload,
    ];

    /// The name that metrics and the page use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Ping => "ping",
            Self::Unasked => "unasked",
            Self::NotConfirmable => "not_confirmable",
            Self::Method => "method",
            Self::Path => "path",
            Self::Observe => "observe",
            Self::Blockwise => "blockwise",
            Self::Proxy => "proxy",
            Self::Critical => "critical_option",
            Self::Options => "options",
            Self::NoPayload => "no_payload",
        }
    }
}

/// What a sender recognises the answer by: 0 to 8 bytes of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl Token {
    /// Longest token, in bytes.
    pub const LEN_MAX: usize = 8;
    /// No token.
    pub const EMPTY: Self = Self { bytes: [0; Self::LEN_MAX], len: 0 };

    /// This token; nothing if it is too long.
    #[must_use]
    pub fn new(token: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LEN_MAX];
        bytes.get_mut(..token.len())?.copy_from_slice(token);
        u8::try_from(token.len()).ok().map(|len| Self { bytes, len })
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:02x?})", self.as_bytes())
    }
}

/// A request: what a button sends. Its payload is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoapRequest<'a> {
    /// Echoed in the answer.
    pub message_id: u16,
    /// Echoed in the answer.
    pub token: Token,
    /// What was posted, never empty.
    pub payload: &'a [u8],
}

impl<'a> CoapRequest<'a> {
    /// Reads a confirmable `POST /a` with a payload.
    ///
    /// # Errors
    /// When it is anything else, which is not answered.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Silence> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(Silence::TooLarge);
        }
        let Frame { kind, code, message_id, token, rest } = Frame::read(datagram)?;
        match (kind, code) {
            (CONFIRMABLE, EMPTY) => return Err(Silence::Ping),
            (CONFIRMABLE, POST) => {}
            (ACKNOWLEDGEMENT.., _) | (_, EMPTY | 0x20..) => return Err(Silence::Unasked),
            (CONFIRMABLE, _) => return Err(Silence::Method),
            _ => return Err(Silence::NotConfirmable),
        }
        let payload = read_request_options(rest)?;
        Ok(Self { message_id, token, payload })
    }

    /// The datagram of this request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Head { kind: CONFIRMABLE, code: POST };
        write(&head, self.message_id, &self.token, &PATH_OPTION, self.payload)
    }

    /// The answer to this request.
    #[must_use]
    pub fn reply<'b>(&self, payload: &'b [u8]) -> CoapReply<'b> {
        CoapReply { message_id: self.message_id, token: self.token, payload }
    }
}

/// The answer to a request: an acknowledgement that carries it (2.04 Changed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoapReply<'a> {
    /// The request's.
    pub message_id: u16,
    /// The request's.
    pub token: Token,
    /// The sealed receipt, never empty.
    pub payload: &'a [u8],
}

impl<'a> CoapReply<'a> {
    /// Reads an answer; whether it belongs to a request is the seal's to say.
    ///
    /// # Errors
    /// When it is anything but an acknowledgement with an answer and a payload.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Silence> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(Silence::TooLarge);
        }
        let Frame { kind, code, message_id, token, rest } = Frame::read(datagram)?;
        if (kind, code) != (ACKNOWLEDGEMENT, CHANGED) {
            return Err(Silence::Unasked);
        }
        let mut options = Options::new(rest);
        while let Some(option) = options.next()? {
            if option.is_critical() {
                return Err(Silence::Critical);
            }
        }
        options.payload().map(|payload| Self { message_id, token, payload })
    }

    /// The datagram of this answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Head { kind: ACKNOWLEDGEMENT, code: CHANGED };
        write(&head, self.message_id, &self.token, &[], self.payload)
    }
}

/// The payload behind the options of a request, if these are a button's.
fn read_request_options(rest: &[u8]) -> Result<&[u8], Silence> {
    let mut options = Options::new(rest);
    let mut paths = 0;
    while let Some(option) = options.next()? {
        match option.number {
            URI_PATH if option.value == PATH => paths += 1,
            URI_PATH => return Err(Silence::Path),
            // Which of its names the gateway was called by is no matter.
            URI_HOST | URI_PORT => {}
            OBSERVE => return Err(Silence::Observe),
            BLOCK1 | BLOCK2 => return Err(Silence::Blockwise),
            PROXY_URI | PROXY_SCHEME => return Err(Silence::Proxy),
            _ if option.is_critical() => return Err(Silence::Critical),
            _ => {}
        }
    }
    if paths == 1 { options.payload() } else { Err(Silence::Path) }
}

/// What stands before the options.
struct Frame<'a> {
    kind: u8,
    code: u8,
    message_id: u16,
    token: Token,
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(datagram: &'a [u8]) -> Result<Self, Silence> {
        let (head, rest) = datagram.split_first_chunk().ok_or(Silence::Malformed)?;
        let [first, code, high, low]: [u8; HEADER_LEN] = *head;
        let (version, kind, token_len) = (first >> 6, first >> 4 & 0x03, first & 0x0f);
        let split = rest.split_at_checked(usize::from(token_len)).ok_or(Silence::Malformed)?;
        let (token, rest) = split;
        let token = Token::new(token).ok_or(Silence::Malformed)?;
        // RFC 7252 section 4.1: an empty message is the header and nothing else.
        let is_whole = code != EMPTY || datagram.len() == HEADER_LEN;
        if version == VERSION && is_whole {
            Ok(Self { kind, code, message_id: u16::from_be_bytes([high, low]), token, rest })
        } else {
            Err(Silence::Malformed)
        }
    }
}

struct CoapOption<'a> {
    number: u16,
    value: &'a [u8],
}

impl CoapOption<'_> {
    /// RFC 7252 section 5.4.1: whoever does not understand it must not act on the message.
    fn is_critical(&self) -> bool {
        self.number & 1 == 1
    }
}

/// The options that are left, and the payload behind them.
struct Options<'a> {
    rest: &'a [u8],
    number: u16,
    left: usize,
}

impl<'a> Options<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, number: 0, left: OPTIONS_MAX }
    }

    /// The next option; nothing at the payload's marker or at the end.
    fn next(&mut self) -> Result<Option<CoapOption<'a>>, Silence> {
        let Some((head, rest)) = self.rest.split_first() else { return Ok(None) };
        if *head == PAYLOAD_MARKER {
            return Ok(None);
        }
        self.left = self.left.checked_sub(1).ok_or(Silence::Options)?;
        let (delta, rest) = extended(head >> 4, rest)?;
        let (len, rest) = extended(head & 0x0f, rest)?;
        let split = rest.split_at_checked(usize::from(len)).ok_or(Silence::Malformed)?;
        let (value, rest) = split;
        self.number = self.number.checked_add(delta).ok_or(Silence::Malformed)?;
        self.rest = rest;
        Ok(Some(CoapOption { number: self.number, value }))
    }

    /// What follows the marker once all options are read. A marker with nothing behind it is an error (section 3).
    fn payload(self) -> Result<&'a [u8], Silence> {
        match self.rest.split_first() {
            None => Err(Silence::NoPayload),
            Some((_, [])) => Err(Silence::Malformed),
            Some((_, payload)) => Ok(payload),
        }
    }
}

/// A delta or length of four bits, with the bytes that may extend it (RFC 7252 section 3.1), and what follows them.
fn extended(nibble: u8, rest: &[u8]) -> Result<(u16, &[u8]), Silence> {
    match (nibble, rest) {
        (0..=12, _) => Ok((u16::from(nibble), rest)),
        (13, [byte, rest @ ..]) => Ok((u16::from(*byte) + 13, rest)),
        (14, [high, low, rest @ ..]) => {
            let value = u16::from_be_bytes([*high, *low]).checked_add(269);
            value.map(|value| (value, rest)).ok_or(Silence::Malformed)
        }
        _ => Err(Silence::Malformed),
    }
}

struct Head {
    kind: u8,
    code: u8,
}

fn write(head: &Head, message_id: u16, token: &Token, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let [high, low] = message_id.to_be_bytes();
    let first = VERSION << 6 | head.kind << 4 | token.len;
    [&[first, head.code, high, low], token.as_bytes(), options, &[PAYLOAD_MARKER], payload].concat()
}

//! What travels between a device and the gateway: messages, the signed envelope around them, receipts, the status items
//! that may follow one, and the seal around a datagram.
//!
//! Bytes become values here and values become bytes; nothing else happens. This crate holds no keys and checks no
//! signature: it yields the bytes to be verified ([`Envelope::to_be_signed`]) and says why bytes are not a message.
//! It reads no clock, allocates nothing while it decodes, and never panics on what came from outside.
//!
//! The wire format is written for strangers in `docs/protocol.md`.
#![no_std]

extern crate alloc;

mod canonical;
mod coap;
mod envelope;
mod ids;
mod labels;
mod message;
mod position;
mod reason;
mod receipt;
mod sealed;
mod status_item;
mod text;

pub use canonical::{CanonicalError, check_canonical};
pub use coap::{CoapReply, CoapRequest, DATAGRAM_LEN_MAX, Silence, Token};
pub use envelope::{Algorithm, Envelope, EnvelopeError, SIGNED_LEN_MAX, assemble, to_be_signed};
pub use ids::{AlertId, Boot, Counters, DeviceId, IdError, MessageId, Realm, Sequence, UnixMillis};
pub use labels::{Label, Labels};
pub use message::{
    Category, FIRMWARE_LEN_MAX, Kind, Message, MessageError, NOTE_LEN_MAX, Nonce, Percent,
};
pub use position::{Method, Position};
pub use reason::Reason;
pub use receipt::{RECEIPT_LEN_MAX, Receipt, ReceiptError, Status};
pub use sealed::{
    Epoch, Iv, SEAL_TAG_LEN, SEALED_LEN_MAX, SealedDown, SealedError, SealedUp,
    additional_data_down, additional_data_up, assemble_down, assemble_up,
};
pub use status_item::{Progress, STATUS_ITEM_LEN_MAX, StatusItem, StatusItemError};
pub use text::{SHORT_TEXT_LEN_MAX, ShortText};

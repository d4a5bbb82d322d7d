//! One message and its receipt over one stream of a connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use protocol::{Receipt, ReceiptError};
use quinn::{Chunk, ClosedStream, Connection, ConnectionError, ReadError, RecvStream, WriteError};

/// Bytes in which a receipt must have been found. Today's has at most 80; keys that are not known yet may make a later
/// one longer, and a person in danger is told about that one too.
const RECEIPT_READ_MAX: usize = 1_024;

/// Why there is no receipt from this stream. Another connection may still bring one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The connection was lost before the receipt came.
    #[error("connection lost: {0}")]
    Connection(ConnectionError),
    /// The gateway gave the stream up, with its code.
    #[error("the gateway gave the stream up (code {0})")]
    Reset(u64),
    /// The gateway did not take the message that was sent with the first packet. The connection stands: send again on
    /// it ([`exchange_early`] does).
    #[error("the gateway did not take early data")]
    ZeroRttRejected,
    /// The gateway ended the stream without a receipt.
    #[error("the gateway ended the stream without a receipt")]
    NoReceipt,
    /// What the gateway sent does not start with a receipt.
    #[error("what the gateway sent is no receipt: {0}")]
    Receipt(#[from] ReceiptError),
    /// The connection gave the stream up; it is not this stream's any more.
    #[error("stream is closed")]
    Closed,
}

impl From<ConnectionError> for ExchangeError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<ClosedStream> for ExchangeError {
    fn from(_: ClosedStream) -> Self {
        Self::Closed
    }
}

impl From<WriteError> for ExchangeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset(code.into_inner()),
            WriteError::ConnectionLost(error) => Self::Connection(error),
            WriteError::ClosedStream => Self::Closed,
            WriteError::ZeroRttRejected => Self::ZeroRttRejected,
        }
    }
}

impl From<ReadError> for ExchangeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code.into_inner()),
            ReadError::ConnectionLost(error) => Self::Connection(error),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead => Self::Closed,
            ReadError::ZeroRttRejected => Self::ZeroRttRejected,
        }
    }
}

/// Sends `signed` over its own stream of `connection` and returns the first receipt that comes back.
///
/// It waits as long as the connection lives; whoever has less patience drops the future. Nothing is sent twice.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(connection: &Connection, signed: Bytes) -> Result<Receipt, ExchangeError> {
    let (mut send, mut receive) = connection.open_bi().await?;
    // A stop is the gateway's way to say that it has read enough; what it answers is read all the same.
    match send.write_chunk(signed).await {
        Ok(()) => send.finish()?,
        Err(WriteError::Stopped(_)) => {}
        Err(error) => return Err(error.into()),
    }
    read_receipt(&mut receive).await
}

/// As [`exchange`], on a connection whose handshake may still be under way: if the gateway does not take early data,
/// the same bytes are sent again on the same connection.
///
/// # Errors
/// See [`ExchangeError`]; never [`ExchangeError::ZeroRttRejected`].
pub async fn exchange_early(
    connection: &Connection,
    signed: Bytes,
) -> Result<Receipt, ExchangeError> {
    match exchange(connection, signed.clone()).await {
        Err(ExchangeError::ZeroRttRejected) => exchange(connection, signed).await,
        outcome => outcome,
    }
}

/// Reads up to the end of the first receipt, and not for long beyond: a gateway may keep the stream open to report on
/// the alert.
async fn read_receipt(receive: &mut RecvStream) -> Result<Receipt, ExchangeError> {
    let mut bytes = Bytes::new();
    loop {
        let room = RECEIPT_READ_MAX - bytes.len();
        let chunk = receive.read_chunk(room, true).await?;
        let ended = chunk.is_none();
        append(&mut bytes, chunk);
        match Receipt::decode(&bytes) {
            Ok((receipt, _)) => {
                if !ended {
                    take_end(receive).await;
                }
                return Ok(receipt);
            }
            Err(_) if ended && bytes.is_empty() => return Err(ExchangeError::NoReceipt),
            Err(error) if ended || bytes.len() == RECEIPT_READ_MAX => return Err(error.into()),
            Err(_) => {}
        }
    }
}

fn append(bytes: &mut Bytes, chunk: Option<Chunk>) {
    match chunk {
        Some(chunk) if bytes.is_empty() => *bytes = chunk.bytes,
        Some(chunk) => *bytes = [&bytes[..], &chunk.bytes[..]].concat().into(),
        None => {}
    }
}

/// Takes the end of the stream if it has already come with the receipt, and does not wait for it. A stream that was read
/// to its end is let go without a further packet.
async fn take_end(receive: &mut RecvStream) {
    let mut rest = pin!(receive.read_chunk(RECEIPT_READ_MAX, true));
    poll_fn(|context| {
        let _either_way: Poll<_> = rest.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

//! One message and its receipt over one stream of a connection, and what the gateway tells behind it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{Buf, Bytes};
use protocol::{Receipt, ReceiptError, StatusItem, StatusItemError};
use quinn::{Chunk, ClosedStream, Connection, ConnectionError, ReadError, RecvStream, WriteError};

/// Bytes in which a receipt must have been found. Today's has at most 80; keys that are not known yet may make a later
/// one longer, and a person in danger is told about that one too. The same goes for a status item.
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
    /// What the gateway sent behind the receipt is no status item.
    #[error("what the gateway sent behind the receipt is no status item: {0}")]
    StatusItem(#[from] StatusItemError),
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

/// What a gateway tells behind a receipt. Dropping it tells the gateway that nothing more is wanted.
#[derive(Debug)]
pub struct Statuses {
    receive: RecvStream,
    /// What was read and is not told yet.
    unread: Bytes,
    ended: bool,
}

/// Sends `signed` over its own stream of `connection` and returns the first receipt that comes back.
///
/// It waits as long as the connection lives; whoever has less patience drops the future. Nothing is sent twice.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(connection: &Connection, signed: Bytes) -> Result<Receipt, ExchangeError> {
    exchange_and_follow(connection, signed).await.map(|(receipt, _)| receipt)
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
    exchange_early_and_follow(connection, signed).await.map(|(receipt, _)| receipt)
}

/// As [`exchange`], and leaves the stream open for what the gateway tells behind the receipt.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange_and_follow(
    connection: &Connection,
    signed: Bytes,
) -> Result<(Receipt, Statuses), ExchangeError> {
    let (mut send, receive) = connection.open_bi().await?;
    // A stop is the gateway's way to say that it has read enough; what it answers is read all the same.
    match send.write_chunk(signed).await {
        Ok(()) => send.finish()?,
        Err(WriteError::Stopped(_)) => {}
        Err(error) => return Err(error.into()),
    }
    read_receipt(receive).await
}

/// As [`exchange_early`], and leaves the stream open for what the gateway tells behind the receipt.
///
/// # Errors
/// See [`ExchangeError`]; never [`ExchangeError::ZeroRttRejected`].
pub async fn exchange_early_and_follow(
    connection: &Connection,
    signed: Bytes,
) -> Result<(Receipt, Statuses), ExchangeError> {
    match exchange_and_follow(connection, signed.clone()).await {
        Err(ExchangeError::ZeroRttRejected) => exchange_and_follow(connection, signed).await,
        outcome => outcome,
    }
}

/// Reads up to the end of the first receipt, and what has already come behind it: a stream that was read to its end is
/// let go without a further packet.
async fn read_receipt(receive: RecvStream) -> Result<(Receipt, Statuses), ExchangeError> {
    let mut statuses = Statuses { receive, unread: Bytes::new(), ended: false };
    loop {
        statuses.read().await?;
        let Statuses { unread, ended, .. } = &mut statuses;
        match Receipt::decode(unread) {
            Ok((receipt, rest)) => {
                unread.advance(unread.len() - rest.len());
                statuses.take_what_has_come().await;
                return Ok((receipt, statuses));
            }
            Err(_) if *ended && unread.is_empty() => return Err(ExchangeError::NoReceipt),
            Err(error) if *ended || unread.len() == RECEIPT_READ_MAX => return Err(error.into()),
            Err(_) => {}
        }
    }
}

impl Statuses {
    /// The next status item; nothing when the gateway has ended the stream. Items that this code does not know are passed
    /// over. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub async fn next(&mut self) -> Result<Option<StatusItem>, ExchangeError> {
        loop {
            match StatusItem::decode(&self.unread) {
                Ok((item, rest)) => {
                    self.unread.advance(self.unread.len() - rest.len());
                    if item.is_some() {
                        return Ok(item);
                    }
                }
                Err(StatusItemError::CutOff) if self.ended && self.unread.is_empty() => {
                    return Ok(None);
                }
                Err(StatusItemError::CutOff)
                    if !self.ended && self.unread.len() < RECEIPT_READ_MAX =>
                {
                    self.read().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&mut self) -> Result<(), ExchangeError> {
        let room = RECEIPT_READ_MAX.saturating_sub(self.unread.len());
        let chunk = self.receive.read_chunk(room, true).await?;
        self.append(chunk);
        Ok(())
    }

    fn append(&mut self, chunk: Option<Chunk>) {
        match chunk {
            Some(chunk) if self.unread.is_empty() => self.unread = chunk.bytes,
            Some(chunk) => self.unread = [&self.unread[..], &chunk.bytes[..]].concat().into(),
            None => self.ended = true,
        }
    }

    /// Takes what has already come with the receipt, the end above all, and does not wait for it. What is wrong with the
    /// stream shows when it is read next.
    async fn take_what_has_come(&mut self) {
        if self.ended || self.unread.len() >= RECEIPT_READ_MAX {
            return;
        }
        let room = RECEIPT_READ_MAX - self.unread.len();
        if let Some(chunk) = what_has_come(&mut self.receive, room).await {
            self.append(chunk);
        }
    }
}

/// A piece of the stream, or its end, if it is there.
async fn what_has_come(receive: &mut RecvStream, room: usize) -> Option<Option<Chunk>> {
    let mut piece = pin!(receive.read_chunk(room, true));
    poll_fn(|context| match piece.as_mut().poll(context) {
        Poll::Ready(Ok(chunk)) => Poll::Ready(Some(chunk)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    })
    .await
}

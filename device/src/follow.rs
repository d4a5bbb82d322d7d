//! What becomes of an alert, as long as its sender wants to know.
//!
//! The stream of the settling receipt is read on. A lost connection is made up for by sending the same bytes again: the
//! gateway answers that they are a duplicate and how far the alert is answered. A gateway that has no room for a follower
//! ends the stream; it is asked again after a while. What was told already is not told again.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Progress, Reason, Receipt, Status, StatusItem};
use tokio::time::sleep;

use crate::{Client, Delivered, SendError, Signed, Statuses};

/// Time after which a gateway that follows no further is asked again. Long: it has other things to do.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A press whose sender wants to know what becomes of it. Dropping it tells the gateway that nothing more is wanted.
#[derive(Debug)]
pub struct Following {
    client: Arc<Client>,
    signed: Signed,
    /// Nothing: the bytes have to be sent again.
    statuses: Option<Statuses>,
    receipt: Receipt,
    told: Option<Progress>,
    /// Connections lost since the last receipt.
    losses: u32,
}

impl Client {
    /// As [`send`](Self::send), and goes on following the alert. Whoever waits long wants
    /// [`Options::keep_alive`](crate::Options::keep_alive).
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn follow(
        self: &Arc<Self>,
        signed: &Signed,
    ) -> Result<(Delivered, Following), SendError> {
        let (delivered, statuses) = self.settle(signed).await?;
        let following = Following {
            client: Arc::clone(self),
            signed: signed.clone(),
            statuses: Some(statuses),
            receipt: delivered.receipt,
            told: None,
            losses: 0,
        };
        Ok((delivered, following))
    }
}

impl Following {
    /// The next step of the alert; nothing when it is resolved, or when nothing is ever told because it is held.
    ///
    /// # Errors
    /// When the gateway refuses the bytes for good. Everything else is waited for.
    pub async fn next(&mut self) -> Result<Option<StatusItem>, SendError> {
        loop {
            if self.is_over() {
                return Ok(None);
            }
            let Some(statuses) = &mut self.statuses else {
                self.ask_again().await?;
                continue;
            };
            match statuses.next().await {
                Ok(Some(item)) if self.told != Some(item.progress) => {
                    self.told = Some(item.progress);
                    self.losses = 0;
                    return Ok(Some(item));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.statuses = None;
                    sleep(ASK_AGAIN_AFTER).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the alert's stream is lost");
                    self.statuses = None;
                    self.losses = self.losses.saturating_add(1);
                    sleep(self.client.policy().failure(self.signed.id(), self.losses)).await;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        let held = self.receipt.status == Status::Held || self.receipt.call.is_some();
        held || self.told.is_some_and(Progress::is_last)
    }

    /// Sends the same bytes again.
    async fn ask_again(&mut self) -> Result<(), SendError> {
        match self.client.settle(&self.signed).await {
            Ok((Delivered { receipt, .. }, statuses)) => {
                self.receipt = receipt;
                self.statuses = Some(statuses);
            }
            Err(SendError::Refused { receipt, attempts })
                if receipt.reason.is_some_and(Reason::is_permanent) =>
            {
                return Err(SendError::Refused { receipt, attempts });
            }
            Err(error) => {
                tracing::debug!(%error, "the gateway cannot be asked again yet");
                self.losses = self.losses.saturating_add(1);
                sleep(self.client.policy().failure(self.signed.id(), self.losses)).await;
            }
        }
        Ok(())
    }
}

//! Webhooks on disk. Their secrets are kept whole, because a signature needs them.

use std::sync::Arc;

use pipeline::{Cursor, ZoneId};
use rusqlite::{Connection, Row, params};

use super::tokens::{read_limits, stored_agencies, stored_categories};
use super::{Store, StoreError, advance, from_stored, to_stored};
use crate::feed::Format;
use crate::registry::{Sight, Webhook, WebhookId, WebhookSecret};

const SELECT: &str = "SELECT webhook_id, url, allow_private, secret, agencies, categories, coarse, format, \
     attends, after, retries, created_at FROM webhook ORDER BY created_at, webhook_id";

impl Store {
    /// Lets events be posted to this webhook.
    ///
    /// # Errors
    /// If there are `limit` already, or if the file cannot be written.
    pub fn add_webhook(&mut self, webhook: &Webhook, limit: usize) -> Result<(), StoreError> {
        let transaction = self.change()?;
        let count: i64 =
            transaction.query_row("SELECT count(*) FROM webhook", [], |row| row.get(0))?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= limit {
            return Err(StoreError::WebhooksFull(limit));
        }
        advance(&transaction)?;
        transaction.execute(
            "INSERT INTO webhook VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                webhook.id.0,
                webhook.url.as_ref(),
                webhook.allow_private,
                webhook.secret.0,
                stored_agencies(&webhook.limits),
                stored_categories(&webhook.limits),
                webhook.limits.sight == Sight::Coarse,
                webhook.format.name(),
                webhook.attends,
                webhook.after.0.cast_signed(),
                webhook.retries,
                to_stored(webhook.created_at),
            ],
        )?;
        for zone in &webhook.zones {
            let insert = "INSERT OR IGNORE INTO webhook_zone VALUES (?1, ?2)";
            transaction.execute(insert, params![webhook.id.0, zone.as_str()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes a webhook: nothing is posted to it any more.
    ///
    /// # Errors
    /// If there is none with this id, or if the file cannot be written.
    pub fn remove_webhook(&mut self, id: WebhookId) -> Result<(), StoreError> {
        self.change_webhook(id, "DELETE FROM webhook WHERE webhook_id = ?1")
    }

    /// Asks to send a webhook's dead letters once more, and what waits for it at once.
    ///
    /// # Errors
    /// If there is none with this id, or if the file cannot be written.
    pub fn retry_webhook(&mut self, id: WebhookId) -> Result<(), StoreError> {
        self.change_webhook(id, "UPDATE webhook SET retries = retries + 1 WHERE webhook_id = ?1")
    }

    /// Every webhook, the oldest first.
    ///
    /// # Errors
    /// If the file cannot be read, or a row holds what no version of this program writes.
    pub fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        read_webhooks(&self.connection)
    }

    fn change_webhook(&mut self, id: WebhookId, statement: &str) -> Result<(), StoreError> {
        let transaction = self.change()?;
        advance(&transaction)?;
        if transaction.execute(statement, [id.0])? == 0 {
            return Err(StoreError::UnknownWebhook(id));
        }
        Ok(transaction.commit()?)
    }
}

/// Every webhook, the oldest first.
pub(in crate::registry) fn read_webhooks(
    connection: &Connection,
) -> Result<Vec<Webhook>, StoreError> {
    let mut statement = connection.prepare_cached(SELECT)?;
    let mut rows = statement.query([])?;
    let mut webhooks = vec![];
    while let Some(row) = rows.next()? {
        webhooks.push(read_webhook(connection, row)?);
    }
    Ok(webhooks)
}

fn read_webhook(connection: &Connection, row: &Row<'_>) -> Result<Webhook, StoreError> {
    let id = WebhookId(row.get(0)?);
    let (url, format): (String, String) = (row.get(1)?, row.get(7)?);
    let limits = read_limits(row, 4)?.ok_or(StoreError::DamagedWebhook(id))?;
    let format = Format::from_name(&format);
    let select = "SELECT zone FROM webhook_zone WHERE webhook_id = ?1 ORDER BY zone";
    let mut statement = connection.prepare_cached(select)?;
    let zones = statement.query_map([id.0], |row| Ok(ZoneId::new(row.get_ref(0)?.as_str()?)))?;
    Ok(Webhook {
        id,
        url: Arc::from(url),
        allow_private: row.get(2)?,
        secret: WebhookSecret(row.get(3)?),
        zones: zones.collect::<Result<_, _>>()?,
        limits,
        format: format.ok_or(StoreError::DamagedWebhook(id))?,
        attends: row.get(8)?,
        after: Cursor(row.get::<_, i64>(9)?.cast_unsigned()),
        retries: row.get(10)?,
        created_at: from_stored(row.get(11)?),
    })
}

//! Subscribers and operators on disk: who holds which token, of which zones, until when. Only hashes of tokens are kept.

use std::sync::Arc;

use pipeline::{Time, ZoneId};

use rusqlite::{Connection, Row, params};

use super::{Store, StoreError, advance, from_stored, to_stored};
use crate::registry::{Operator, Role, Subscriber, SubscriberId, TokenHash};

impl Store {
    /// Lets a subscriber in who has the token with this hash.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add_subscriber(
        &mut self,
        subscriber: &Subscriber,
        token: TokenHash,
        now: Time,
    ) -> Result<(), StoreError> {
        let transaction = self.change()?;
        advance(&transaction)?;
        transaction.execute(
            "INSERT INTO subscriber VALUES (?1, ?2, ?3, ?4)",
            params![subscriber.id.0, token.0, to_stored(now), to_stored(subscriber.expires_at)],
        )?;
        for zone in &subscriber.zones {
            let insert = "INSERT OR IGNORE INTO subscriber_zone VALUES (?1, ?2)";
            transaction.execute(insert, params![subscriber.id.0, zone.as_str()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes a subscriber: its token and its open feeds end.
    ///
    /// # Errors
    /// If there is none with this id, or if the file cannot be written.
    pub fn remove_subscriber(&mut self, id: SubscriberId) -> Result<(), StoreError> {
        let transaction = self.change()?;
        advance(&transaction)?;
        let delete = "DELETE FROM subscriber WHERE subscriber_id = ?1";
        if transaction.execute(delete, [id.0])? == 0 {
            return Err(StoreError::UnknownSubscriber(id));
        }
        Ok(transaction.commit()?)
    }

    /// Every subscriber, with when it was added.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn subscribers(&self) -> Result<Vec<(Subscriber, Time)>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT subscriber_id, expires_at, created_at FROM subscriber ORDER BY created_at",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut subscribers = vec![];
        for row in rows {
            let (id, expires_at, created_at): ([u8; 16], i64, i64) = row?;
            let zones = zones_of(&self.connection, SubscriberId(id))?;
            let subscriber =
                Subscriber { id: SubscriberId(id), zones, expires_at: from_stored(expires_at) };
            subscribers.push((subscriber, from_stored(created_at)));
        }
        Ok(subscribers)
    }

    /// Lets an operator in who has the token with this hash.
    ///
    /// # Errors
    /// If the name is taken, or if the file cannot be written.
    pub fn add_operator(
        &mut self,
        operator: &Operator,
        token: TokenHash,
        now: Time,
    ) -> Result<(), StoreError> {
        let transaction = self.change()?;
        advance(&transaction)?;
        let inserted = transaction.execute(
            "INSERT INTO operator VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING",
            params![
                operator.name.as_ref(),
                operator.role.name(),
                token.0,
                to_stored(now),
                to_stored(operator.expires_at)
            ],
        )?;
        if inserted == 0 {
            return Err(StoreError::OperatorExists(operator.name.to_string()));
        }
        for zone in &operator.zones {
            let insert = "INSERT OR IGNORE INTO operator_zone VALUES (?1, ?2)";
            transaction.execute(insert, params![operator.name.as_ref(), zone.as_str()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes an operator: the token counts no longer. What they decided stays.
    ///
    /// # Errors
    /// If there is none with this name, or if the file cannot be written.
    pub fn remove_operator(&mut self, name: &str) -> Result<(), StoreError> {
        let transaction = self.change()?;
        advance(&transaction)?;
        if transaction.execute("DELETE FROM operator WHERE name = ?1", [name])? == 0 {
            return Err(StoreError::UnknownOperator(name.to_owned()));
        }
        Ok(transaction.commit()?)
    }

    /// Every operator, with when it was added, in order of their names.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn operators(&self) -> Result<Vec<(Operator, Time)>, StoreError> {
        let select = "SELECT name, role, expires_at, created_at FROM operator ORDER BY name";
        let mut statement = self.connection.prepare(select)?;
        let mut rows = statement.query([])?;
        let mut operators = vec![];
        while let Some(row) = rows.next()? {
            let created_at = from_stored(row.get(3)?);
            operators.push((read_operator(&self.connection, row)?, created_at));
        }
        Ok(operators)
    }
}

/// Reads the columns `name, role, expires_at`, and the zones of that operator.
pub(in crate::registry) fn read_operator(
    connection: &Connection,
    row: &Row<'_>,
) -> Result<Operator, StoreError> {
    let (name, role): (String, String) = (row.get(0)?, row.get(1)?);
    let select = "SELECT zone FROM operator_zone WHERE name = ?1 ORDER BY zone";
    let mut statement = connection.prepare_cached(select)?;
    let zones = statement.query_map([&name], |row| Ok(ZoneId::new(row.get_ref(0)?.as_str()?)))?;
    let zones = zones.collect::<Result<_, _>>()?;
    let Some(role) = Role::from_name(&role) else {
        return Err(StoreError::DamagedOperator(name));
    };
    let expires_at = from_stored(row.get(2)?);
    Ok(Operator { name: Arc::from(name), role, zones, expires_at })
}

pub(in crate::registry) fn zones_of(
    connection: &Connection,
    id: SubscriberId,
) -> Result<Vec<ZoneId>, StoreError> {
    let select = "SELECT zone FROM subscriber_zone WHERE subscriber_id = ?1 ORDER BY zone";
    let mut statement = connection.prepare_cached(select)?;
    let zones = statement.query_map([id.0], |row| Ok(ZoneId::new(row.get_ref(0)?.as_str()?)))?;
    Ok(zones.collect::<Result<_, _>>()?)
}

//! Subscribers and operators on disk: who holds which token, of which zones, until when. Only hashes of tokens are kept.

use std::sync::Arc;

use pipeline::{Agencies, Agency, Categories, Time, ZoneId};
use protocol::Category;

use rusqlite::{Connection, Row, params};

use super::{Store, StoreError, advance, from_stored, to_stored};
use crate::registry::{Limits, Operator, Role, Sight, Subscriber, SubscriberId, TokenHash};

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
            "INSERT INTO subscriber VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                subscriber.id.0,
                token.0,
                to_stored(now),
                to_stored(subscriber.expires_at),
                stored_agencies(&subscriber.limits),
                stored_categories(&subscriber.limits),
                subscriber.limits.sight == Sight::Coarse,
            ],
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
            "SELECT subscriber_id, expires_at, agencies, categories, coarse, created_at FROM subscriber \
             ORDER BY created_at",
        )?;
        let mut rows = statement.query([])?;
        let mut subscribers = vec![];
        while let Some(row) = rows.next()? {
            let created_at = from_stored(row.get(5)?);
            subscribers.push((read_subscriber(&self.connection, row)?, created_at));
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
            "INSERT INTO operator VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (name) DO NOTHING",
            params![
                operator.name.as_ref(),
                operator.role.name(),
                token.0,
                to_stored(now),
                to_stored(operator.expires_at),
                stored_agencies(&operator.limits),
                stored_categories(&operator.limits),
                operator.limits.sight == Sight::Coarse,
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
        let select = "SELECT name, role, expires_at, agencies, categories, coarse, created_at \
             FROM operator ORDER BY name";
        let mut statement = self.connection.prepare(select)?;
        let mut rows = statement.query([])?;
        let mut operators = vec![];
        while let Some(row) = rows.next()? {
            let created_at = from_stored(row.get(6)?);
            operators.push((read_operator(&self.connection, row)?, created_at));
        }
        Ok(operators)
    }
}

/// Reads the columns `name, role, expires_at, agencies, categories, coarse`, and the zones of that operator.
pub(in crate::registry) fn read_operator(
    connection: &Connection,
    row: &Row<'_>,
) -> Result<Operator, StoreError> {
    let (name, role): (String, String) = (row.get(0)?, row.get(1)?);
    let select = "SELECT zone FROM operator_zone WHERE name = ?1 ORDER BY zone";
    let mut statement = connection.prepare_cached(select)?;
    let zones = statement.query_map([&name], |row| Ok(ZoneId::new(row.get_ref(0)?.as_str()?)))?;
    let zones = zones.collect::<Result<_, _>>()?;
    let (Some(role), Some(limits)) = (Role::from_name(&role), read_limits(row, 3)?) else {
        return Err(StoreError::DamagedOperator(name));
    };
    let expires_at = from_stored(row.get(2)?);
    Ok(Operator { name: Arc::from(name), role, zones, limits, expires_at })
}

/// Reads the columns `subscriber_id, expires_at, agencies, categories, coarse`, and the zones of that subscriber.
pub(in crate::registry) fn read_subscriber(
    connection: &Connection,
    row: &Row<'_>,
) -> Result<Subscriber, StoreError> {
    let id = SubscriberId(row.get(0)?);
    let Some(limits) = read_limits(row, 2)? else {
        return Err(StoreError::DamagedSubscriber(id));
    };
    let expires_at = from_stored(row.get(1)?);
    Ok(Subscriber { id, zones: zones_of(connection, id)?, limits, expires_at })
}

/// Reads the columns `agencies, categories, coarse`, the first of which is `first`; nothing if a name is not known.
pub(super) fn read_limits(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Limits>> {
    let agencies = named(row.get(first)?, Agency::from_name);
    let categories = named(row.get(first + 1)?, Category::from_name);
    let sight = if row.get(first + 2)? { Sight::Coarse } else { Sight::Exact };
    Ok(agencies.zip(categories).map(|(agencies, categories)| Limits {
        agencies: agencies.map_or(Agencies::ALL, Agencies::from_iter),
        categories: categories.map_or(Categories::ALL, Categories::from_iter),
        sight,
    }))
}

pub(super) fn stored_agencies(limits: &Limits) -> Option<String> {
    let names: Vec<_> = limits.agencies.iter().map(Agency::name).collect();
    (limits.agencies != Agencies::ALL).then(|| names.join(","))
}

pub(super) fn stored_categories(limits: &Limits) -> Option<String> {
    let names: Vec<_> = limits.categories.iter().map(Category::name).collect();
    (limits.categories != Categories::ALL).then(|| names.join(","))
}

/// What the names in `text` stand for, nothing where no limit is stored; no answer if one is not known.
fn named<T>(text: Option<String>, find: impl Fn(&str) -> Option<T>) -> Option<Option<Vec<T>>> {
    match text {
        None => Some(None),
        Some(text) => text.split(',').map(find).collect::<Option<Vec<T>>>().map(Some),
    }
}

fn zones_of(connection: &Connection, id: SubscriberId) -> Result<Vec<ZoneId>, StoreError> {
    let select = "SELECT zone FROM subscriber_zone WHERE subscriber_id = ?1 ORDER BY zone";
    let mut statement = connection.prepare_cached(select)?;
    let zones = statement.query_map([id.0], |row| Ok(ZoneId::new(row.get_ref(0)?.as_str()?)))?;
    Ok(zones.collect::<Result<_, _>>()?)
}

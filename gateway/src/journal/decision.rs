//! A decision as a row of `decisions`, and back.
//!
//! Both ways check what must hold, like those of a message. The raise that a promotion shows again is not stored twice:
//! the row names its place, and whoever reads the row fetches it from there. So it is with where whoever pressed was last:
//! no place is stored twice.

use std::borrow::Cow;
use std::sync::Arc;

use pipeline::{
    ACTOR_LEN_MAX, Act, Actor, Cursor, Decision, EVIDENCE_MAX, Posture, REASON_LEN_MAX, Rule,
    STRIKES_MAX, Time, Verdict,
};
use protocol::{AlertId, DeviceId};
use rusqlite::{Row, Statement, params};

use super::row::{ZoneNames, foreign, known, unsigned};
use super::standing::{evidence, evidence_text, notice, notice_text, standing, standing_text};

/// Appends to `decisions`; the parameters are those of [`insert`].
pub(super) const INSERT: &str = "INSERT INTO decisions (cursor, decided_at_us, act, operator, rule, device_id, alert_id, \
     alert_cursor, zone, verdict, until_us, reason, evidence, notice, standing, object) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
/// Reads behind cursor `?1`, up to `?2`, in the order that [`read`] expects.
pub(super) const SELECT_BETWEEN: &str = "SELECT cursor, decided_at_us, act, operator, rule, device_id, alert_id, \
     alert_cursor, zone, verdict, until_us, reason, evidence, notice, standing, object \
     FROM decisions WHERE cursor > ?1 AND cursor <= ?2 ORDER BY cursor";

/// What is wrong with a decision, whatever it follows, if anything is.
pub(super) fn problem(decision: &Decision) -> Option<&'static str> {
    let standing = decision.standing.as_ref();
    if standing.is_some() && decision.device.is_none() {
        return Some("it changes how a device stands and names none");
    }
    if standing.is_some_and(|standing| standing.strikes.len() > STRIKES_MAX) {
        return Some("it holds too many strikes");
    }
    if decision.evidence.len() > EVIDENCE_MAX {
        return Some("it rests on too many alerts");
    }
    if decision.reason.as_ref().is_some_and(|reason| reason.len() > REASON_LEN_MAX) {
        return Some("its reason is too long");
    }
    if let Actor::Operator(name) = &decision.actor
        && (name.is_empty() || name.len() > ACTOR_LEN_MAX)
    {
        return Some("its actor has no name, or one that is too long");
    }
    match decision.act {
        _ if decision.act.is_about_an_alert() && decision.alert.is_none() => {
            Some("it is about an alert and names none")
        }
        Act::Assign { ref to } if to.is_empty() || to.len() > ACTOR_LEN_MAX => {
            Some("it sends somebody without a name, or with one that is too long")
        }
        _ if decision.act.seen().is_some_and(|seen| seen >= decision.cursor) => {
            Some("it tells of a message that is not before it")
        }
        Act::Block { until } | Act::Probation { until } | Act::Drill { until }
            if i64::try_from(until.0).is_err() =>
        {
            Some("its end is beyond what the journal can hold")
        }
        _ => None,
    }
}

/// Inserts one decision; `decisions` is prepared from [`INSERT`].
pub(super) fn insert(decisions: &mut Statement<'_>, decision: &Decision) -> rusqlite::Result<()> {
    let (operator, rule) = match &decision.actor {
        Actor::Operator(name) => (Some(name.as_ref()), None),
        Actor::Rule(rule) => (None, Some(*rule as u8)),
    };
    let (verdict, until, told) = match &decision.act {
        Act::Verdict(verdict) | Act::Resolve(verdict) => (Some(*verdict as u8), None, None),
        Act::Block { until } | Act::Probation { until } | Act::Drill { until } => {
            (None, Some(until), None)
        }
        Act::Notice(notice) => (None, None, Some(notice_text(notice))),
        _ => (None, None, None),
    };
    decisions.execute(params![
        decision.cursor.0.cast_signed(),
        decision.decided_at.0.cast_signed(),
        decision.act.stored(),
        operator,
        rule,
        decision.device.as_ref().map(|device| device.as_bytes().as_slice()),
        decision.alert.as_ref().map(|(alert, _)| alert.as_bytes().as_slice()),
        decision.alert.map(|(_, cursor)| cursor.0.cast_signed()),
        decision.zone.as_str(),
        verdict,
        until.map(|until| until.0.cast_signed()),
        decision.reason.as_deref(),
        (!decision.evidence.is_empty()).then(|| evidence_text(&decision.evidence)),
        told,
        decision.standing.as_ref().map(standing_text),
        object(&decision.act),
    ])?;
    Ok(())
}

/// What an act names beside its alert.
pub(crate) fn object(act: &Act) -> Option<Cow<'_, str>> {
    match act {
        Act::Assign { to } => Some(Cow::Borrowed(to)),
        Act::Escalate { to } => to.as_ref().map(|to| Cow::Borrowed(to.as_str())),
        Act::Posture(posture) => Some(Cow::Borrowed(posture.name())),
        Act::Moving { seen } | Act::Quiet { seen } => Some(Cow::Owned(seen.0.to_string())),
        _ => None,
    }
}

/// Reads one row of [`SELECT_BETWEEN`], without the raise that it may have to show.
pub(super) fn read(row: &Row<'_>, zones: &mut ZoneNames) -> rusqlite::Result<Decision> {
    let alert = match row.get::<_, Option<[u8; 16]>>(6)? {
        Some(alert) => Some((AlertId(alert), Cursor(unsigned(row, 7)?))),
        None => None,
    };
    Ok(Decision {
        cursor: Cursor(unsigned(row, 0)?),
        decided_at: Time(unsigned(row, 1)?),
        actor: actor(row)?,
        act: act(row, zones)?,
        device: row.get::<_, Option<[u8; 16]>>(5)?.map(DeviceId),
        alert,
        zone: zones.get(row.get_ref(8)?.as_str().map_err(|_| foreign(8))?),
        reason: row.get::<_, Option<String>>(11)?.map(Arc::from),
        evidence: stated(row, 12, evidence)?.unwrap_or_default(),
        standing: stated(row, 14, standing)?,
        raise: None,
        place: None,
    })
}

fn actor(row: &Row<'_>) -> rusqlite::Result<Actor> {
    match row.get::<_, Option<String>>(3)? {
        Some(name) => Ok(Actor::Operator(Arc::from(name))),
        None => known(4, Rule::from_stored(unsigned(row, 4)?)).map(Actor::Rule),
    }
}

fn act(row: &Row<'_>, zones: &mut ZoneNames) -> rusqlite::Result<Act> {
    let object = row.get_ref(15)?.as_str_or_null().map_err(|_| foreign(15))?;
    let seen = || object.and_then(|line| line.parse().ok()).map(Cursor);
    match unsigned(row, 2)? {
        1 => known(9, Verdict::from_stored(unsigned(row, 9)?)).map(Act::Verdict),
        2 => Ok(Act::Block { until: Time(unsigned(row, 10)?) }),
        3 => Ok(Act::Unblock),
        4 => Ok(Act::Expire),
        5 => Ok(Act::Probation { until: Time(unsigned(row, 10)?) }),
        6 => Ok(Act::Appeal),
        7 => Ok(Act::Promote),
        8 => known(13, stated(row, 13, notice)?).map(Act::Notice),
        9 => Ok(Act::Acknowledge),
        10 => Ok(Act::Assign { to: known(15, object.map(Arc::from))? }),
        11 => known(9, Verdict::from_stored(unsigned(row, 9)?)).map(Act::Resolve),
        12 => Ok(Act::Reopen),
        13 => Ok(Act::Escalate { to: object.map(|id| zones.get(id)) }),
        14 => Ok(Act::Moving { seen: known(15, seen())? }),
        15 => Ok(Act::Quiet { seen: known(15, seen())? }),
        16 => Ok(Act::Drill { until: Time(unsigned(row, 10)?) }),
        17 => known(15, object.and_then(Posture::from_name)).map(Act::Posture),
        _ => Err(foreign(2)),
    }
}

/// What the text in `column` states, if there is any.
fn stated<T>(
    row: &Row<'_>,
    column: usize,
    read: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get::<_, Option<String>>(column)? {
        Some(text) => known(column, read(&text)).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pipeline::{Entry, Notice, Standing, ZoneId};
    use tempfile::TempDir;

    use super::*;
    use crate::config::JournalConfig;
    use crate::journal::testing::{decision, promotion, record, records};
    use crate::journal::{Journal, JournalError, Reader};

    const CONFIG: JournalConfig =
        JournalConfig { commit_records_max: 512, commit_wait: std::time::Duration::ZERO };

    fn folder() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        (dir, path)
    }

    #[test]
    fn every_act_and_actor_reads_back() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        let until = Time(1_900_000_000_000_000);
        let (batch, model) = (Some(Arc::from("2026-03")), Some(Arc::from("T3")));
        let acts = [
            Act::Verdict(Verdict::Accidental),
            Act::Block { until },
            Act::Unblock,
            Act::Expire,
            Act::Probation { until },
            Act::Appeal,
            Act::Acknowledge,
            Act::Assign { to: Arc::from("patrol 7") },
            Act::Resolve(Verdict::Genuine),
            Act::Reopen,
            Act::Escalate { to: Some(ZoneId::new("kota")) },
            Act::Escalate { to: None },
            Act::Moving { seen: Cursor(1) },
            Act::Quiet { seen: Cursor(1) },
            Act::Drill { until },
            Act::Posture(Posture::Special),
            Act::Notice(Notice { alerts: 7, batch, model: None }),
            Act::Notice(Notice { alerts: 9, batch: None, model }),
        ];
        let mut entries = records([1]);
        for (cursor, act) in (2..).zip(acts) {
            let raise = act.is_about_an_alert().then(|| Arc::new(record(1)));
            let place = act.seen().and_then(|_| record(1).stated().0);
            assert_eq!(place.is_some(), act.seen().is_some());
            entries.push(Decision { act, raise, place, ..decision(cursor, 1) }.into());
        }
        for (cursor, rule) in (entries.len() as u64 + 1..).zip(Rule::ALL) {
            let actor = Actor::Rule(*rule);
            let bare = Decision { actor, reason: None, raise: None, ..decision(cursor, 1) };
            let standing = Some(Standing::default());
            entries.push(Decision { act: Act::Expire, alert: None, standing, ..bare }.into());
        }
        journal.append(&entries).unwrap();
        let read = Reader::open(&path).unwrap().read_after(Cursor(0), usize::MAX).unwrap();
        assert_eq!(read, entries);
    }

    #[test]
    fn promotion_is_given_its_raise_from_the_journal() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        let bare = Decision { raise: None, ..promotion(2, 1) };
        let mut entries = vec![Entry::from(record(1)), bare.into()];
        journal.append(&entries).unwrap();
        journal.fill_raises(&mut entries).unwrap();
        assert_eq!(entries, [record(1).into(), promotion(2, 1).into()]);
    }

    #[test]
    fn refuses_a_decision_that_could_not_be_read_back() {
        let (_dir, path) = folder();
        let mut journal = Journal::open(&path, &CONFIG).unwrap();
        journal.append(&records([1])).unwrap();
        let good = decision(2, 1);
        let long = |len: usize| Some(Arc::from("x".repeat(len)));
        for wrong in [
            Decision { alert: None, ..good.clone() },
            Decision { device: None, ..good.clone() },
            Decision { alert: None, ..promotion(2, 1) },
            Decision { reason: long(REASON_LEN_MAX + 1), ..good.clone() },
            Decision { actor: Actor::Operator(Arc::from("")), ..good.clone() },
            Decision { act: Act::Block { until: Time(u64::MAX) }, ..good.clone() },
            Decision { act: Act::Quiet { seen: Cursor(2) }, ..good.clone() },
            Decision { evidence: vec![AlertId([1; 16]); 17], ..good.clone() },
        ] {
            let error = journal.append(&[wrong.into()]).unwrap_err();
            assert!(matches!(error, JournalError::Refused { .. }), "{error}");
        }
        let longest = Decision { reason: long(REASON_LEN_MAX), ..good };
        journal.append(&[longest.into()]).unwrap();
    }
}

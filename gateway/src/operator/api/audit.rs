//! `GET /v1/audit`: who decided what about which device or alert, when and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use pipeline::{Entry, Record};
use protocol::{AlertId, DeviceId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::query::{self, Paging};
use super::refusal::Refusal;
use super::{Api, sealed};
use crate::feed::decision_value;
use crate::search::DecisionQuery;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    since: Option<String>,
    until: Option<String>,
    device: Option<String>,
    alert: Option<String>,
    operator: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

/// Searches.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let caller = Caller::who_sees_alerts(&api, &headers)?;
    let asked: Asked = query::query(&uri)?;
    let period = (asked.since.as_deref(), asked.until.as_deref());
    let paging = Paging::new(asked.before.as_deref(), period, asked.limit, &api.codec)?;
    let wanted = DecisionQuery {
        before: paging.before,
        period: paging.period,
        device: asked.device.as_deref().map(query::id).transpose()?.map(DeviceId),
        alert: asked.alert.as_deref().map(query::id).transpose()?.map(AlertId),
        operator: asked.operator.as_deref().map(Arc::from),
        limit: paging.limit,
    };
    let codec = Arc::clone(&api.codec);
    let (decisions, next) = api
        .books
        .read(move |volumes| {
            let page = volumes.lookup.decisions(&wanted, |zone| caller.allows(zone))?;
            let scope = caller.scope();
            let in_scope = |raise: &Record| scope.admits(raise.agencies, Some(raise.category));
            let mut decisions = vec![];
            for cursor in page.decisions {
                if let Some(Entry::Decision(decision)) = volumes.journal.entry(cursor)?
                    && decision.raise.as_ref().is_none_or(|raise| in_scope(raise))
                {
                    decisions.extend(decision_value(&decision, caller.sight(), &codec).ok());
                }
            }
            Ok((decisions, page.next))
        })
        .await?;
    let mut answer = json!({ "decisions": decisions });
    if let (Some(next), Some(fields)) = (next, answer.as_object_mut()) {
        fields.insert("next".to_owned(), sealed(&api.codec, next).into());
    }
    Ok(Json(answer))
}

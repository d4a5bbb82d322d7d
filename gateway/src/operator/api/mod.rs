//! The operators' interface, HTTP and JSON under `/v1`: alerts and their answers, decisions, devices, zones, counters, and
//! its own description.
//!
//! It is given what a gateway knows (index, journal, registry), who may ask, and somebody who decides; it decides
//! nothing but who may see what. Every refusal is a problem document that says what is wrong and what to do. What each
//! operation takes and gives is `openapi.json`, which is served too and which the tests hold against this router.

mod alerts;
mod answer;
mod audit;
mod books;
mod caller;
mod decide;
mod decider;
mod devices;
mod live;
mod query;
mod refusal;
mod track;
mod zones;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use pipeline::{Cursor, Time, Zones};
use tokio::time::timeout;

use crate::feed::{CursorCodec, Problem, Streams};
use crate::registry::{Operators, Registry, Subscribers};
use books::Books;
use refusal::Refusal;

pub use decider::{Decider, Deciding};

/// What each operation takes and gives.
const OPENAPI: &str = include_str!("openapi.json");

/// No request here has a longer body, in bytes: a reason, and what stands around it.
const BODY_BYTES_MAX: usize = 4_096;

/// How long a body may take. Whoever sends one need have no token yet, and connections are few: subscribers use the same.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the interface is made of.
pub struct ApiParts {
    /// The index's file.
    pub search: PathBuf,
    /// The journal's file.
    pub journal: PathBuf,
    /// The folder of `registry.db`.
    pub data_dir: PathBuf,
    /// Every enrolled device.
    pub registry: Arc<Registry>,
    /// Who may ask.
    pub operators: Arc<Operators>,
    /// Who may read the feed only; told so.
    pub subscribers: Arc<Subscribers>,
    /// The zones in force.
    pub zones: Arc<ArcSwap<Zones>>,
    /// The deployment's cursor key.
    pub cursor_key: [u8; 16],
    /// Who decides.
    pub decider: Arc<dyn Decider>,
    /// The metrics as Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The gateway's clock: a token expires by it.
    pub now: Arc<dyn Fn() -> Time + Send + Sync>,
}

/// What every operation shares.
struct Api {
    books: Arc<Books>,
    registry: Arc<Registry>,
    operators: Arc<Operators>,
    subscribers: Arc<Subscribers>,
    zones: Arc<ArcSwap<Zones>>,
    codec: Arc<CursorCodec>,
    decider: Arc<dyn Decider>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    now: Arc<dyn Fn() -> Time + Send + Sync>,
}

/// Every path of the interface, as `openapi.json` names them, and who answers there.
fn routes() -> [(&'static str, MethodRouter<Arc<Api>>); 17] {
    [
        ("/v1/alerts", get(alerts::list)),
        ("/v1/alerts/{id}", get(alerts::show)),
        ("/v1/alerts/{id}/verdict", post(decide::verdict)),
        ("/v1/alerts/{id}/acknowledge", post(answer::acknowledge)),
        ("/v1/alerts/{id}/assign", post(answer::assign)),
        ("/v1/alerts/{id}/resolve", post(answer::resolve)),
        ("/v1/alerts/{id}/reopen", post(answer::reopen)),
        ("/v1/alerts/{id}/track", get(track::show)),
        ("/v1/zones", get(zones::list)),
        ("/v1/zones/{id}/drill", post(zones::drill)),
        ("/v1/zones/{id}/posture", post(zones::set_posture)),
        ("/v1/devices/{id}", get(devices::show)),
        ("/v1/devices/{id}/block", post(decide::block)),
        ("/v1/devices/{id}/unblock", post(decide::unblock)),
        ("/v1/devices/{id}/appeal", post(decide::appeal)),
        ("/v1/audit", get(audit::list)),
        ("/v1/live", get(live::show)),
    ]
}

/// The interface's routes.
pub(super) fn router(parts: ApiParts) -> Router {
    let api = Arc::new(Api {
        books: Books::new(parts.search, parts.journal, parts.data_dir),
        registry: parts.registry,
        operators: parts.operators,
        subscribers: parts.subscribers,
        zones: parts.zones,
        codec: Arc::new(CursorCodec::new(parts.cursor_key)),
        decider: parts.decider,
        metrics: parts.metrics,
        now: parts.now,
    });
    let routes = routes().into_iter();
    routes
        .fold(Router::new(), |router, (path, answering)| router.route(path, answering))
        .route("/v1/openapi.json", get(openapi))
        .with_state(api)
        .layer(middleware::from_fn(answer))
}

/// Marks the connection as alive, has the whole request before anybody answers it, and marks what was answered as not to
/// be kept by anybody between.
async fn answer(request: Request, next: Next) -> Response {
    // Held to the end, so that a decision that takes its time does not look like an idle connection.
    let _busy = request.extensions().get::<Streams>().map(Streams::busy);
    let (head, body) = request.into_parts();
    let mut response = match whole(body, BODY_TIMEOUT).await {
        Ok(body) => next.run(Request::from_parts(head, body.into())).await,
        Err(refusal) => refusal.into_response(),
    };
    // The only refusal that is not of our making: of a path that is no text.
    if response.status() == StatusCode::BAD_REQUEST && !is_problem(&response) {
        response = Refusal::Id.into_response();
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body, if it is not too long and is there in time.
async fn whole(body: Body, patience: Duration) -> Result<Bytes, Refusal> {
    match timeout(patience, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        // Or its client is gone, and reads no answer.
        Ok(Err(_)) => Err(Refusal::TooLong),
        Err(_) => Err(Refusal::TooSlow),
    }
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|media| media == Problem::MEDIA_TYPE)
}

/// The description; no secret, so without a token.
async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], OPENAPI).into_response()
}

/// A place as clients see it.
fn sealed(codec: &CursorCodec, cursor: Cursor) -> String {
    String::from_utf8_lossy(&codec.seal(cursor)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::Category;
    use serde_json::Value;

    use super::*;
    use crate::search::{AlertState, AnswerState};

    fn described() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[tokio::test]
    async fn body_must_end_within_its_length_and_its_time() {
        let whole = async |body| whole(body, Duration::ZERO).await;
        assert_eq!(whole(Body::empty()).await, Ok(Bytes::new()));
        let longest = vec![b' '; BODY_BYTES_MAX];
        assert_eq!(whole(longest.clone().into()).await, Ok(longest.clone().into()));
        assert_eq!(whole([longest, vec![b' ']].concat().into()).await, Err(Refusal::TooLong));
        let endless = futures_util::stream::pending::<Result<Bytes, std::convert::Infallible>>();
        assert_eq!(whole(Body::from_stream(endless)).await, Err(Refusal::TooSlow));
    }

    #[test]
    fn description_names_every_path_that_is_served_and_no_other() {
        let described = described();
        let paths: BTreeSet<_> =
            described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let served = routes().into_iter().map(|(path, _)| path);
        let served: BTreeSet<_> = served.chain(["/v1/openapi.json"]).collect();
        assert_eq!(paths, served);
    }

    #[test]
    fn description_knows_every_name_of_a_closed_set() {
        let described = described();
        let schemas = &described["components"]["schemas"];
        let names = |schema: &Value| -> Vec<String> {
            let names = schema["enum"].as_array().unwrap().iter();
            names.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let states = AlertState::ALL.map(AlertState::name);
        assert_eq!(names(&schemas["State"]), states);
        let answers = AnswerState::ALL.map(AnswerState::name);
        assert_eq!(names(&schemas["Answer"]), answers);
        let agencies: Vec<_> = pipeline::Agency::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names(&schemas["Alert"]["properties"]["agencies"]["items"]), agencies);
        let postures: Vec<_> = pipeline::Posture::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names(&schemas["Posture"]), postures);
        let risks: Vec<_> = pipeline::Risk::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names(&schemas["Zone"]["properties"]["risk"]), risks);
        let verdicts: Vec<_> = pipeline::Verdict::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names(&schemas["Verdict"]), verdicts);
        let categories = Category::ALL.map(Category::name);
        assert_eq!(names(&schemas["Alert"]["properties"]["category"]), categories);
        let acts = pipeline::Act::NAMES.map(|(_, name)| name);
        assert_eq!(names(&schemas["Decision"]["properties"]["act"]), acts);
        let rules: Vec<_> = pipeline::Rule::ALL.iter().map(|it| it.name()).collect();
        let actor = &schemas["Actor"]["oneOf"][1]["properties"]["rule"];
        assert_eq!(names(actor), rules);
    }
}

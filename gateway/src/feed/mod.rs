//! The feed: every synced alert and decision, to every subscriber who is entitled to its zone, in journal order, at least
//! once.
//!
//! A subscriber pulls by cursor; wake-ups carry no data, so nothing can be lost between them. Near the head it reads
//! the ring ([`Heads`]), where each event is encoded once for all streams of one [`Shape`]; further behind it reads the
//! journal. It is served as
//! server-sent events (HTML section 9.2) at `GET /v1/feed`.

mod access;
mod alerts;
mod attendance;
mod audience;
mod backlog;
mod cap;
mod chunk;
mod cursor;
mod decision;
mod entitlement;
mod event;
mod geojson;
mod head;
mod heads;
mod http;
mod incidents;
mod lag;
mod message;
mod place;
mod problem;
mod refusal;
mod shape;
mod stall;
mod state;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
mod text;

pub(crate) use attendance::Attending;
pub use attendance::{Attendance, Attended};
pub(crate) use audience::Audience;
pub use cursor::{CursorCodec, CursorError};
pub(crate) use decision::decision_value;
pub(crate) use entitlement::Entitlement;
pub use event::encode_event;
pub(crate) use geojson::Feature;
pub use heads::Heads;
pub(crate) use http::bearer;
pub use http::router;
pub(crate) use message::{Content, Flags, message_value};
pub(crate) use place::Place;
pub use problem::Problem;
pub use shape::{Format, Shape, View};
pub use stall::{BEATS_PER_TIMEOUT, Pulse, Stall, Streams};
pub use state::{Feed, FeedParts};
pub(crate) use text::time_text;

//! What is decided: the desk, the zones, and what strangers get, as state machines over values and time.
//!
//! Everything here is a function of its inputs. It is given verified messages, the current time and what the journal
//! and the index report; it yields records to append, receipts to send and questions to look up. It reads no clock,
//! socket, file, thread or random source, so the gateway and the simulator drive the same code (promise 10).

mod admission;
mod answer;
mod desk;
mod incident;
mod lane;
mod place;
pub mod policy;
mod record;
mod routing;
pub mod settings;
mod strangers;
mod time;
mod zones;

pub use admission::AdmissionSizes;
pub use answer::Answer;
pub use desk::{
    About, Arrival, Batch, DecisionAnswer, DecisionRefusal, Demand, Desk, DeskConfig, DeskSizes,
    Fleet, Found, Input, Output, Past, Reach, Recollected, Request, Ticket,
};
pub use incident::{Incidents, Raised};
pub use lane::{Grade, Hint, Lane};
pub use policy::Policy;
pub use record::{
    ACTOR_LEN_MAX, Act, Actor, BatchIndex, Carrier, Cursor, Decision, DeviceIndex, Disposition,
    EVIDENCE_MAX, Enrolment, Entry, Model, Notice, OwnerIndex, REASON_LEN_MAX, Record, Rule,
    STRIKES_MAX, Standing, Strike, Verdict,
};
pub use routing::{
    Agencies, Agency, AgencyRule, Area, Case, Categories, DeadlineRule, Neighbour, Posture,
    ROUTING_VARIABLE_PREFIX, Risk, Routing, Scope,
};
pub use strangers::{
    AddressStanding, Asking, Cost, CostConfig, CostTable, FairQueue, Ladder, LadderConfig, Load,
    Neighbourhood, Pushed, Step,
};
pub use time::{Span, Time};
pub use zones::{Zone, ZoneFault, ZoneId, ZoneIndex, ZonePlace, ZoneProblem, Zones};

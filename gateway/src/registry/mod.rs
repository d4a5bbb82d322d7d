//! Devices, subscribers and operators: who may raise an alert, who may read which, and who may decide.
//!
//! `registry.db` is the truth; the command line changes it through a [`Store`], also while a gateway runs.
//! [`Registry`], [`Subscribers`] and [`Operators`] are what a running gateway holds of it in memory; [`load`] makes them
//! and a [`Watcher`] keeps them up to date. Nothing here verifies a message.

mod device;
mod import;
mod key;
mod limits;
mod operator;
mod store;
mod subscriber;
mod token;
mod watcher;
mod webhook;

pub use device::{Device, Registry};
pub use import::{
    ImportError, ImportOptions, ImportReport, PROBLEMS_MAX, RowError, RowProblem, TEXT_LEN_MAX,
    check_text, parse_algorithm, parse_key, parse_place,
};
pub use key::{DeviceKey, KeyError};
pub use limits::{Limits, Sight};
pub use operator::{OPERATOR_BLOCK_MAX, Operator, Operators, Role};
pub use store::{Enrolled, Enrolment, Listed, REGISTRY_FILE, Store, StoreError};
pub use subscriber::{Subscriber, SubscriberId, Subscribers};
pub use token::{Holder, TokenError, TokenHash, Tokens};
pub use watcher::{Changes, Loaded, Watcher, load, read};
pub use webhook::{Webhook, WebhookId, WebhookSecret};

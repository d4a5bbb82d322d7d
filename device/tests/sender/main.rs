//! The client library and the command, against a gateway made for the purpose.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod command;
mod follow;
mod resend;
mod stub;

//! The headless unit: everything of a field terminal but keys, screen and sound devices.
//!
//! ```text
//!  WAV ─▶ mic ─▶ Opus ─┐                                                            ┌─▶ Opus ─▶ ear ─▶ WAV
//!                      ▼                                                            │
//!               UnitHandle::speak ─▶ driver: engine::Handset ─▶ outbox ─▶ QUIC      Heard (20 ms ticks)
//!                                           ▲                                       │
//!                                           └────────────── QUIC ◀── gateway        └── driver
//! ```
//!
//! [`Unit`] is one session-keeping terminal on a task of its own, driven in encoded frames, so that simulations run it
//! without a codec. [`mic`] and [`ear`] stand outside that task: coding must never delay it.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod config;
mod driver;
pub mod ear;
pub mod events;
mod gateways;
mod mail_lines;
pub mod mailbox;
pub mod mic;
mod outbox;
pub mod report;
mod session;
mod ticks;
pub mod unit;

#[cfg(test)]
mod config_tests;
#[cfg(test)]
mod session_tests;

pub use config::{ConfigError, UnitConfig};
pub use mailbox::{Draft, Mail, Mailbox, SendError};
pub use report::Report;
pub use unit::{End, Happened, Heard, PressError, Pressed, Settings, Unit, UnitHandle, What};

//! The field unit's terminal: what is seen, heard and asked for, and with the feature `window` what draws it.
//!
//! ```text
//!   keys, pointer, socket ──▶ ptt::Arbiter ─┐                    ┌─▶ screen: Face, volume, microphone
//!                                           ▼                    │
//!   client::What ─────────────────────▶ model::Model ────────────┤
//!   devices, lock, focus ─────────────▶     │                    └─▶ tones
//!                                           ▼
//!                                    Effect ──▶ client::UnitHandle
//! ```
//!
//! The logic owns neither clock nor device: gestures, facts and time go in, effects come out.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod describe;
pub mod model;
pub mod ptt;
pub mod sound;
pub mod terminal;
#[cfg(test)]
mod terminal_tests;
pub mod theme;
pub mod tones;
#[cfg(feature = "window")]
pub mod window;
pub mod words;

//! The gateway: configuration, driver, connections, status, records.
//!
//! In the data path this crate stands between the transport's connections and the engine's decisions. Around that core
//! lie the parts that voice never waits for: [`config`] and [`check`] before the start, [`console`], [`status`] and [`figures`] for
//! whoever watches, [`records`] and [`logging`] for whoever asks later.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod check;
pub mod cli;
pub mod config;
pub mod console;
mod dialling;
mod driver;
pub mod figures;
pub mod gateway;
mod kept;
mod ledger;
mod link;
mod lobby;
pub mod logging;
mod material;
mod metrics;
pub mod office;
mod operator;
#[cfg(test)]
mod operator_tests;
pub mod plan;
mod ports;
pub mod records;
pub mod redact;
mod refusals;
pub mod report;
mod run;
pub mod status;
mod status_client;
mod sweep;
mod trust_files;
mod wall;

pub use config::{Config, ConfigError, Loaded};

//! What only real processes prove: the command-line contract, signals, kill -9, files that change under a running gateway.
//!
//! Behaviour decides; times are printed. Every process is started here and ended by its own id. Needs both binaries:
//! `cargo build --workspace --bins`.

mod stage;

mod commands;
mod deaths;
mod figures;
mod flips;
mod messages;
mod operator;
mod relay;
mod talking;

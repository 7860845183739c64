//! Behaviour of the whole product over simulated QUIC in virtual time: real gateways, real units, seeded networks.

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod agreements;
mod allowed;
mod callers;
mod calls;
mod congestion;
mod crowded;
mod cuts;
mod dialling;
mod figures;
mod flips;
mod flooding;
mod hostile;
mod hostile_home;
mod hostile_peer;
mod lies;
mod life;
mod logs;
mod loss;
mod moves;
mod pauses;
mod peers;
#[cfg(feature = "planted")]
mod planted;
mod random;
mod scenes;
mod short_data;
mod splits;
mod star;
mod trust;
mod watch;

//! Floor control's promises: both tables as snapshots, the arbiter by scenario, against a naive model, and coupled with a
//! participant over queues.

mod arbiter;
mod bench;
mod coupled;
mod model;
mod participant;
mod tables;

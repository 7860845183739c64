//! Losses of a hop, and the earlier frames repeated against them.
//!
//! A hop lies between a unit and its gateway, or between two gateways; each has its own repeats. In the data path, by place:
//!
//! | where | what |
//! |---|---|
//! | the hop's receiver | a [`Meter`] counts the frames that did not come by themselves, and reports them |
//! | its sender | a [`Chooser`] makes 0, 1 or 2 [`Repeats`] of the reports, with hysteresis |
//! | its sender | a [`History`] keeps the last frames of the spurt, and puts them into the one that goes |
//! | the hop's receiver | takes repeats as frames; its [gate](crate::gate) lets each pass once |
//! | the link in between | a frame goes without its repeats where they would hold anything up: [`Line`](crate::sched::line::Line) |
//! | a border link | repeats get what the spurts leave of it, emergencies first: [`capacity::repeats`](crate::capacity::repeats) |

mod choice;
mod history;
mod meter;
#[cfg(test)]
mod tests;

pub use choice::{Chooser, Repeats};
pub use history::History;
pub use meter::Meter;

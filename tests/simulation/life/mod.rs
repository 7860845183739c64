//! The life of a seed: three countries, twelve units, a minute and more in which people talk while everything goes wrong, then
//! peace, in which all must be well again.
//!
//! Safety holds at any moment, under any fault: that is the watch. Liveness is asked for only when the faults have stopped: every
//! bridge active, every floor free, nobody waiting, no emergency left, and whoever speaks is heard by everybody.

pub(crate) mod generate;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod shrink;

pub(crate) use run::{Verdict, live};
pub(crate) use script::Script;

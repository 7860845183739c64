//! The hub's promises: two gateways, their units and the border between them, in virtual time without a network.

mod admission;
mod border;
mod calls;
mod emergency;
mod figures;
mod limits;
mod looking;
mod model;
mod net;
mod random;
mod records;
mod refusals;
mod repeats;
mod rights;
mod sessions;
mod unit;

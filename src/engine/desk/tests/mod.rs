//! Desks, ledgers and terminals in virtual time: one gateway, a border, a star of three, and everything at random.

mod borders;
mod net;
mod random;
mod site;
mod units;

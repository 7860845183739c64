//! Callers between their handshake and their welcome: how many a port bears with.
//!
//! Off the data path. A certificate lets its holder this far as often as he likes; a connection that never says hello costs
//! memory for 5 s. The bounds refuse whoever is beyond them, and count nobody who has a session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::Identity;

/// Callers of one port: all that handshakes at their highest pace bring within 2 s, far beyond what a hello takes.
const ALL_MAX: usize = 512;
/// Connections of one identity: one more than a link that breaks off again and again leaves behind.
const IDENTITY_MAX: usize = 4;

/// The callers of one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lobby(Arc<Mutex<BTreeMap<Identity, usize>>>);

impl Lobby {
    /// Lets a caller in, unless there is no room for it.
    pub(crate) fn enter(&self, identity: &Identity) -> Option<Waiting> {
        let mut inside = self.inside();
        let own = inside.get(identity).copied().unwrap_or_default();
        if own >= IDENTITY_MAX || inside.values().sum::<usize>() >= ALL_MAX {
            return None;
        }
        inside.insert(identity.clone(), own + 1);
        Some(Waiting { lobby: self.clone(), identity: identity.clone() })
    }

    /// Nothing panics while it is held.
    fn inside(&self) -> MutexGuard<'_, BTreeMap<Identity, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits; dropped when it has its session or is gone.
#[derive(Debug)]
pub(crate) struct Waiting {
    lobby: Lobby,
    identity: Identity,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut inside = self.lobby.inside();
        match inside.get_mut(&self.identity) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                inside.remove(&self.identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: usize) -> Identity {
        format!("nl/unit/u-{number}").parse().unwrap()
    }

    #[test]
    fn an_identity_waits_only_so_often_and_all_together_too() {
        let lobby = Lobby::default();
        let mut own: Vec<Waiting> = (0..IDENTITY_MAX).filter_map(|_| lobby.enter(&unit(0))).collect();
        assert_eq!(own.len(), IDENTITY_MAX);
        assert!(lobby.enter(&unit(0)).is_none(), "one identity");
        let others: Vec<Waiting> = (1..1_000).filter_map(|number| lobby.enter(&unit(number))).collect();
        assert_eq!(others.len(), ALL_MAX - IDENTITY_MAX);
        own.pop();
        assert!(lobby.enter(&unit(0)).is_some(), "a place was given back");
        drop((own, others));
        assert!(lobby.inside().is_empty());
    }
}

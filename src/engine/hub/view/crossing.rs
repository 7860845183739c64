//! Which border links the spurt of a view crosses.

use wire::SessionId;

use super::View;
use crate::hub::bridges::Far;

impl View {
    pub(super) fn renew_listeners(&mut self) {
        let far = self.far.values().filter(|far| self.carries(self.source, far)).map(|far| far.session);
        self.listeners = self.members.keys().copied().chain(far).collect();
    }

    /// Whether a spurt from that session is carried to a far side: agreed with it, and, if it came from another far side, listed
    /// under *onward* in the agreements with both.
    pub(super) fn carries(&self, source: Option<SessionId>, to: &Far) -> bool {
        let from = source.and_then(|session| self.far.get(&session)).filter(|from| from.session != to.session);
        to.hears_us() && from.is_none_or(|from| from.onward.contains(&to.authority) && to.onward.contains(&from.authority))
    }

    /// Whether nobody beyond the own side hears who talks on this session, although a bridge is there for that.
    pub(super) fn stays_on_own_side(&self, source: SessionId) -> bool {
        let crosses = self.far.contains_key(&source) || self.far.values().any(|far| self.carries(Some(source), far));
        self.is_bridged && !crosses
    }
}

//! The ids that were committed last, so that a report about a message that just came costs no question to the disk.

use std::collections::{BTreeMap, VecDeque};

use wire::data::MessageId;
use wire::data::keep::Known;

/// Ids that lie in memory; the oldest goes, and is asked for when it is needed.
const RECENT_MAX: usize = 8_192;

#[derive(Debug, Default)]
pub(super) struct Recent {
    known: BTreeMap<MessageId, Known>,
    order: VecDeque<MessageId>,
}

impl Recent {
    pub(super) fn insert(&mut self, known: Known) {
        if self.order.len() == RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(known.id);
        self.known.insert(known.id, known);
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Known> {
        self.known.get(&id)
    }
}

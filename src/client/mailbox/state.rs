//! What a unit knows of its short data: what is to be sent, what came and was not shown, and what is known already.

use std::collections::BTreeMap;

use wire::Identity;
use wire::data::keep::{Entry, Load, Page, Waiting};
use wire::data::{Body, Item, Lane, MessageId, Recipient};

use super::record::Record;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) expires_ms: u64,
    pub(super) urgent: bool,
    /// With whatever number: that of the stream is given when it goes.
    pub(super) item: Item,
    /// It is on the disk and may go.
    pub(super) ready: bool,
}

impl Out {
    /// The message it is or is about.
    pub(super) fn id(&self) -> Option<MessageId> {
        match &self.item.body {
            Body::Message(envelope) => envelope.open().ok().map(|message| message.id),
            Body::Report(report) => Some(report.id),
            Body::Certificate(_) | Body::Taken | Body::Refused(_) => None,
        }
    }

    /// Whether it is a message of ours.
    pub(super) fn is_message(&self) -> bool {
        matches!(self.item.body, Body::Message(_))
    }

    /// As the engine's outbox takes it; the bytes stay here.
    pub(super) fn waiting(&self, number: u64, me: &Identity) -> Option<Waiting> {
        let load = match &self.item.body {
            Body::Message(envelope) => Load::Message { id: self.id()?, to: envelope.to.clone(), hops: 0, status: None },
            Body::Report(report) => Load::Report(report.clone()),
            Body::Certificate(_) | Body::Taken | Body::Refused(_) => return None,
        };
        let outbox = Recipient::Identity(me.clone());
        let entry = Entry { outbox, urgent: self.urgent, sender: me.clone(), expires_ms: self.expires_ms, load };
        Some(Waiting { number, entry, kept: None })
    }
}

/// Everything, as the journal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) out: BTreeMap<u64, Out>,
    /// What came and was not shown, by the order of its coming.
    pub(super) came: BTreeMap<u64, (u64, Item)>,
    /// Ids that were taken: until when they are known, and their place in `came`, unless shown.
    pub(super) known: BTreeMap<MessageId, (u64, Option<u64>)>,
    pub(super) heard: BTreeMap<u64, u64>,
    pub(super) last: u64,
}

impl State {
    /// What the records say; what is known too long is left out.
    pub(super) fn of(records: Vec<Record>, now_ms: u64) -> Self {
        let mut state = Self::default();
        for record in records {
            state.apply(record);
        }
        state.out.values_mut().for_each(|out| out.ready = true);
        state.forget(now_ms);
        state
    }

    /// One thing happened.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Out { number, expires_ms, urgent, item } => {
                self.last = self.last.max(number);
                self.out.insert(number, Out { expires_ms, urgent, item, ready: false });
            }
            Record::Gone { number } => {
                self.last = self.last.max(number);
                self.out.remove(&number);
            }
            Record::Came { until_ms, item } => {
                let Body::Message(envelope) = &item.body else { return };
                let Ok(message) = envelope.open() else { return };
                self.last += 1;
                self.known.insert(message.id, (until_ms, Some(self.last)));
                self.came.insert(self.last, (until_ms, item));
            }
            Record::Shown { id, until_ms } => {
                if let Some((_, Some(place))) = self.known.insert(id, (until_ms, None)) {
                    self.came.remove(&place);
                }
            }
            Record::Heard { sum, until_ms } => {
                self.heard.insert(sum, until_ms);
            }
        }
    }

    /// Lets go of ids that no copy can come of any more.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.known.retain(|_, (until_ms, place)| place.is_some() || *until_ms > now_ms);
        self.heard.retain(|_, until_ms| *until_ms > now_ms);
    }

    /// The least records that say the same.
    pub(super) fn records(&self) -> Vec<Record> {
        let shown = self.known.iter().filter(|(_, (_, place))| place.is_none());
        let mut records: Vec<Record> = shown.map(|(id, (until_ms, _))| Record::Shown { id: *id, until_ms: *until_ms }).collect();
        records.extend(self.heard.iter().map(|(sum, until_ms)| Record::Heard { sum: *sum, until_ms: *until_ms }));
        // So that no number is given twice.
        records.push(Record::Gone { number: self.last });
        records.extend(self.out.iter().map(|(number, out)| {
            let (expires_ms, urgent, item) = (out.expires_ms, out.urgent, out.item.clone());
            Record::Out { number: *number, expires_ms, urgent, item }
        }));
        records.extend(self.came.values().map(|(until_ms, item)| Record::Came { until_ms: *until_ms, item: item.clone() }));
        records
    }

    /// What may go on a lane after that number.
    pub(super) fn page(&self, lane: Lane, after: u64, limit: usize, me: &Identity) -> Page {
        let of_lane = self.out.range(after.saturating_add(1)..).filter(|(_, out)| out.ready && Lane::of(out.urgent) == lane);
        let waiting = of_lane.filter_map(|(number, out)| out.waiting(*number, me)).take(limit).collect();
        Page { waiting, damaged: Vec::new() }
    }
}

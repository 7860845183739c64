//! One gateway in virtual time: a desk, a ledger that outlives it, and what is on its way between them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use store::{Ledger, Options};
use wire::data::keep::{Question, Reply, Write, sum};

use super::super::*;
use super::net::group;

/// Signs by a sum over the name of the authority: enough to tell who signed.
#[derive(Debug)]
pub(super) struct Ink {
    authority: Authority,
    pub(super) key: [u8; 32],
}

fn mark(authority: &Authority, signed: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&sum(&[authority.as_str().as_bytes(), signed]).to_be_bytes())
}

impl Seals for Ink {
    fn sign(&self, signed: &[u8]) -> Option<Signature> {
        Some(Signature { scheme: 0x0807, key: self.key, value: mark(&self.authority, signed) })
    }

    fn is_current(&self, signature: &Signature) -> bool {
        signature.key == self.key
    }

    fn is_authentic(&self, _session: SessionId, signer: &Authority, envelope: &Envelope) -> bool {
        envelope.signature.as_ref().is_some_and(|signature| signature.value == mark(signer, &envelope.signed))
    }
}

/// One gateway.
pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) desk: Desk<Ink>,
    pub(super) ledger: Ledger,
    pub(super) requests: VecDeque<(u64, Request)>,
    pub(super) replies: VecDeque<(u64, Reply)>,
    pub(super) events: Vec<Event>,
    pub(super) policy: Policy,
}

pub(super) enum Request {
    Write(Write),
    Ask(Question),
}

impl Site {
    /// A gateway of that authority with these talkgroups and an empty store.
    pub(super) fn new(name: &'static str, groups: &[&str], now: Now) -> Self {
        let (policy, ledger) =
            (policy(name, groups), Ledger::in_memory(Options { reserve_bytes: 0, ..Options::default() }).expect("a store"));
        let desk = Desk::new(policy.clone(), ink(name, 1), Standing::default(), now);
        Self { name, desk, ledger, requests: VecDeque::new(), replies: VecDeque::new(), events: Vec::new(), policy }
    }

    /// It dies and begins anew: what the disk has stays, what it was asked and had not begun is gone.
    pub(super) fn restart(&mut self, now: Now) {
        (self.requests, self.replies) = (VecDeque::new(), VecDeque::new());
        let standing = self.ledger.standing().expect("a standing");
        self.desk = Desk::new(self.policy.clone(), ink(self.name, 2), standing, now);
    }

    /// The disk does so many requests, one after the other.
    pub(super) fn disk(&mut self, most: usize) -> bool {
        let Self { ledger, requests, replies, .. } = self;
        let count = requests.len().min(most);
        for (token, request) in requests.drain(..count) {
            let reply = match request {
                Request::Write(write) => Reply::Written(ledger.commit(&[write]).pop().expect("an outcome")),
                Request::Ask(question) => match question {
                    Question::Page(place, limit) => Reply::Page(ledger.page(&place, limit).expect("a page")),
                    Question::Due(now_ms, limit) => Reply::Page(ledger.due(now_ms, limit).expect("a page")),
                    Question::NextDue => Reply::NextDue(ledger.next_due_ms().expect("a time")),
                    Question::Known(id) => Reply::Known(ledger.known(id).expect("a row")),
                    Question::Place(talkgroup, member, urgent) => Reply::Place(ledger.place(&talkgroup, &member, urgent).expect("a row")),
                    Question::Depth => Reply::Depth(ledger.depth().expect("a depth")),
                    Question::Standing => Reply::Standing(ledger.standing().expect("a standing")),
                    Question::Upkeep(now_ms, limit) => Reply::Upkeep(ledger.upkeep(now_ms, limit).expect("upkeep")),
                },
            };
            replies.push_back((token, reply));
        }
        count > 0
    }
}

fn policy(name: &'static str, groups: &[&str]) -> Policy {
    let room = || Room {
        send: vec![format!("{name}/unit/*").parse().expect("a pattern"), "*/dispatcher/*".parse().expect("a pattern")],
        retention: Room::RETENTION,
    };
    let peers = ["nl", "be", "de"].iter().filter(|other| **other != name);
    Policy {
        gateway: format!("{name}/gateway/gw-1").parse().expect("a name"),
        talkgroups: groups.iter().map(|name| (group(name), room())).collect(),
        peers: peers.map(|other| (other.parse().expect("a name"), format!("{other}/gateway/gw-1").parse().expect("a name"))).collect(),
        codes: BTreeMap::from([(("nl".parse().expect("a name"), "be".parse().expect("a name")), BTreeMap::from([(32_770, 32_801)]))]),
    }
}

fn ink(name: &str, key: u8) -> Ink {
    Ink { authority: name.parse().expect("a name"), key: [key; 32] }
}

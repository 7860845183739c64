//! Messages and names as short as a test can say them.

use gateway::plan::plan_of;
use wire::control::{Agreement, Floor, FloorBody, Granted, Holder, Idle, Message, Release, Request, Revoke, Sync, Taken, Talker};
use wire::{Epoch, Handle, Identity, Priority, RequestId, RevokeCause, Spurt, TalkgroupId, Tier};

use super::World;

/// An identity.
pub(crate) fn id(text: &str) -> Identity {
    text.parse().expect("an identity")
}

/// A talkgroup.
pub(crate) fn tg(text: &str) -> TalkgroupId {
    text.parse().expect("a talkgroup")
}

/// A talker of that name.
pub(crate) fn talker(identity: &str) -> Talker {
    Talker { identity: id(identity), alias: "liar".into(), agency: String::new() }
}

/// A floor message, about a party if one is named.
pub(crate) fn floor(talkgroup: &str, party: Option<&str>, body: FloorBody) -> Message {
    Message::Floor(Floor { talkgroup: tg(talkgroup), party: party.map(id), body })
}

/// A request in a tier, for a talker if one is named.
pub(crate) fn request(number: u32, tier: Tier, named: Option<&str>) -> FloorBody {
    let request = RequestId(number);
    FloorBody::Request(Request { request, priority: Priority::of(tier), talker: named.map(talker), continuing: None })
}

/// A release that names no frame.
pub(crate) fn release(number: u32) -> FloorBody {
    FloorBody::Release(Release { request: RequestId(number), last_seq: None, key_down: false })
}

/// A grant for half a minute.
pub(crate) fn granted(number: u32, spurt: Spurt, tier: Tier) -> FloorBody {
    FloorBody::Granted(Granted { request: RequestId(number), spurt, duration_s: 30, tier, own_side_only: false })
}

/// Somebody talks.
pub(crate) fn taken(spurt: Spurt, who: &str, tier: Tier) -> FloorBody {
    FloorBody::Taken(Taken { spurt, talker: talker(who), tier, via: None, elapsed_ms: 0 })
}

/// A spurt is over.
pub(crate) fn idle(spurt: Spurt, cause: Option<RevokeCause>) -> FloorBody {
    FloorBody::Idle(Idle { spurt, last_seq: None, cause, followed: false })
}

/// A grant is taken back at once.
pub(crate) fn revoke(number: u32, spurt: Spurt, cause: RevokeCause) -> FloorBody {
    FloorBody::Revoke(Revoke { request: RequestId(number), spurt, cause, grace_ms: 0 })
}

/// The words that a country configures with its peer.
pub(crate) fn words_between(world: &World, code: &str, peer: &str) -> Agreement {
    let bridges = plan_of(&world.config_of(code)).bridges;
    let with_peer = |words: &Agreement| [&words.home, &words.partner].iter().any(|side| side.authority.as_str() == peer);
    bridges.iter().map(|bridge| bridge.words()).find(with_peer).expect("an agreement with that peer")
}

/// Where a side of the talkgroup stands.
pub(crate) fn sync(talkgroup: &str, handle: u16, epoch: u8, holder: Option<Holder>) -> Message {
    Message::Sync(Box::new(Sync { talkgroup: tg(talkgroup), handle: Handle(handle), epoch: Epoch(epoch), holder, emergency: Vec::new() }))
}

/// Who is in emergency, or who ended the last one; a partner names nobody but the originator.
pub(crate) fn emergency(talkgroup: &str, active: bool, originator: &str, units: &[&str]) -> Message {
    let units = units.iter().copied().map(id).collect();
    Message::EmergencyState { talkgroup: tg(talkgroup), active, originator: id(originator), units }
}

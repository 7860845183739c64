//! Arbitrary values of everything that goes over the wire.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::{collection::vec, option::of};
use talkbridge_wire as wire;
use wire::control::*;
use wire::data;
use wire::datagram::{Datagram, Heartbeat, Repeat, Report, Voice};
use wire::{
    Authority, DenyCause, Epoch, Handle, Identity, Kind, Level, Priority, Reason, RequestId, RevokeCause, Seq, Spurt, TalkgroupId, Tier,
};

fn authority() -> impl Strategy<Value = Authority> {
    "[a-z0-9_][a-z0-9._-]{0,15}".prop_filter_map("a code", |text| text.parse().ok())
}

pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    let kind = prop_oneof![Just(Kind::Unit), Just(Kind::Dispatcher), Just(Kind::Gateway)];
    (authority(), kind, "[a-z0-9_][a-z0-9._-]{0,47}")
        .prop_filter_map("a name", |(authority, kind, name)| Some(Identity::new(authority, kind, name.parse().ok()?)))
}

fn talkgroup() -> impl Strategy<Value = TalkgroupId> {
    (authority(), "[a-z0-9_][a-z0-9._-]{0,47}")
        .prop_filter_map("a name", |(authority, name)| Some(TalkgroupId::new(authority, name.parse().ok()?)))
}

fn tier() -> impl Strategy<Value = Tier> {
    prop::sample::select(&Tier::ALL[..])
}

/// Texts for people up to their bound, in scripts of one to four bytes a character.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z \u{e9}\u{df}\u{20ac}]{0,30}", "[\u{3b1}\u{4e00}-\u{4e8f}\u{1f692}]{0,64}"]
}

fn spurt() -> impl Strategy<Value = Spurt> {
    any::<u32>().prop_map(Spurt::from_bits)
}

fn seq() -> impl Strategy<Value = Option<Seq>> {
    of(any::<u16>().prop_map(Seq))
}

fn priority() -> impl Strategy<Value = Priority> {
    (tier(), any::<bool>(), any::<u8>()).prop_map(|(tier, dispatcher, level)| Priority { tier, dispatcher, level: Level(level) })
}

fn talker() -> impl Strategy<Value = Talker> {
    (identity(), text(), text()).prop_map(|(identity, alias, agency)| Talker { identity, alias, agency })
}

fn taken() -> impl Strategy<Value = Taken> {
    (spurt(), talker(), tier(), of(authority()), any::<u32>()).prop_map(|(spurt, talker, tier, via, elapsed_ms)| Taken {
        spurt,
        talker,
        tier,
        via,
        elapsed_ms,
    })
}

fn far_side() -> impl Strategy<Value = FarSide> {
    (talkgroup(), authority(), any::<bool>()).prop_map(|(talkgroup, authority, present)| FarSide { talkgroup, authority, present })
}

fn request() -> impl Strategy<Value = Request> {
    (any::<u32>(), priority(), of(talker()), of(any::<u32>())).prop_map(|(request, priority, talker, continuing)| Request {
        request: RequestId(request),
        priority,
        talker,
        continuing,
    })
}

fn body() -> impl Strategy<Value = FloorBody> {
    let id = || any::<u32>().prop_map(RequestId);
    prop_oneof![
        request().prop_map(FloorBody::Request),
        (id(), spurt(), any::<u16>(), tier(), any::<bool>()).prop_map(|(request, spurt, duration_s, tier, own_side_only)| {
            FloorBody::Granted(Granted { request, spurt, duration_s, tier, own_side_only })
        }),
        (id(), prop::sample::select(DenyCause::ALL)).prop_map(|(request, cause)| FloorBody::Deny { request, cause }),
        (id(), any::<u8>()).prop_map(|(request, position)| FloorBody::Queued { request, position }),
        taken().prop_map(FloorBody::Taken),
        (spurt(), seq(), of(prop::sample::select(RevokeCause::ALL)), any::<bool>())
            .prop_map(|(spurt, last_seq, cause, followed)| FloorBody::Idle(Idle { spurt, last_seq, cause, followed })),
        (id(), seq(), any::<bool>()).prop_map(|(request, last_seq, key_down)| FloorBody::Release(Release { request, last_seq, key_down })),
        (id(), spurt(), prop::sample::select(RevokeCause::ALL), any::<u32>())
            .prop_map(|(request, spurt, cause, grace_ms)| FloorBody::Revoke(Revoke { request, spurt, cause, grace_ms })),
        id().prop_map(|request| FloorBody::Ack { request }),
    ]
}

fn floor() -> impl Strategy<Value = Floor> {
    (talkgroup(), of(identity()), body()).prop_map(|(talkgroup, party, body)| Floor { talkgroup, party, body })
}

fn agreement() -> impl Strategy<Value = Agreement> {
    let ceiling =
        (tier(), any::<u8>(), any::<bool>()).prop_map(|(tier, level, dispatcher)| Ceiling { tier, level: Level(level), dispatcher });
    let inbound =
        (any::<[bool; 3]>(), ceiling).prop_map(|([talk, short_data, emergency], ceiling)| Inbound { talk, short_data, emergency, ceiling });
    let outbound = any::<[bool; 3]>().prop_map(|[talk, short_data, emergency]| Outbound { talk, short_data, emergency });
    (text(), talkgroup(), talkgroup(), inbound, outbound, vec(authority(), 0..4))
        .prop_map(|(name, home, partner, inbound, outbound, onward)| Agreement { name, home, partner, inbound, outbound, onward })
}

fn affiliated() -> impl Strategy<Value = Affiliated> {
    let rights = (any::<[bool; 3]>(), any::<u8>()).prop_map(|([talk, emergency, peril], level)| Rights {
        talk,
        emergency,
        peril,
        level_max: Level(level),
    });
    let known = (spurt(), of(taken()), of(identity()), vec(far_side(), 0..3));
    (talkgroup(), any::<u16>(), text(), text(), rights, known).prop_map(|(talkgroup, handle, title, agency, rights, known)| {
        let (baseline, current, emergency, far_sides) = known;
        Affiliated { talkgroup, handle: Handle(handle), title, agency, rights, baseline, current, emergency, far_sides }
    })
}

fn sync() -> impl Strategy<Value = Sync> {
    let holder = (any::<u32>(), priority(), talker(), any::<u32>()).prop_map(|(request, priority, talker, elapsed_ms)| Holder {
        request: RequestId(request),
        priority,
        talker,
        elapsed_ms,
    });
    (talkgroup(), any::<u16>(), any::<u8>(), of(holder), vec(identity(), 0..3)).prop_map(|(talkgroup, handle, epoch, holder, emergency)| {
        Sync { talkgroup, handle: Handle(handle), epoch: Epoch(epoch), holder, emergency }
    })
}

/// Every control message.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let reason = || prop::sample::select(Reason::ALL);
    prop_oneof![
        (any::<u32>(), any::<u32>(), vec(any::<u32>(), 0..4)).prop_map(|(version_min, version_max, capabilities)| Message::Hello(Hello {
            version_min,
            version_max,
            capabilities
        })),
        (any::<u32>(), vec(any::<u32>(), 0..4), identity()).prop_map(|(version, capabilities, gateway)| Message::Welcome(Welcome {
            version,
            capabilities,
            gateway
        })),
        reason().prop_map(Message::Refused),
        talkgroup().prop_map(Message::Affiliate),
        affiliated().prop_map(|affiliated| Message::Affiliated(Box::new(affiliated))),
        (talkgroup(), reason()).prop_map(|(talkgroup, reason)| Message::AffiliateRefused(talkgroup, reason)),
        talkgroup().prop_map(Message::Deaffiliate),
        floor().prop_map(Message::Floor),
        (talkgroup(), of(identity())).prop_map(|(talkgroup, party)| Message::EmergencyEnd { talkgroup, party }),
        (talkgroup(), any::<bool>(), identity(), vec(identity(), 0..3))
            .prop_map(|(talkgroup, active, originator, units)| { Message::EmergencyState { talkgroup, active, originator, units } }),
        (talkgroup(), of(identity()), prop::sample::select(DenyCause::ALL))
            .prop_map(|(talkgroup, party, cause)| Message::EmergencyEndRefused { talkgroup, party, cause }),
        far_side().prop_map(Message::FarSide),
        vec(agreement(), 0..4).prop_map(Message::Agreements),
        sync().prop_map(|sync| Message::Sync(Box::new(sync))),
    ]
}

fn payload(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=max).prop_map(Bytes::from)
}

fn voice() -> impl Strategy<Value = Voice> {
    let repeats = vec((1u8..8, payload(40)).prop_map(|(back, payload)| Repeat { back, payload }), 0..=2);
    (any::<u16>(), spurt(), 8u16.., any::<[bool; 3]>(), tier(), repeats, payload(320)).prop_map(
        |(handle, spurt, seq, [first, last, encrypted], tier, repeats, payload)| Voice {
            handle: Handle(handle),
            spurt,
            seq: Seq(seq),
            first,
            last,
            tier,
            encrypted,
            repeats,
            payload,
        },
    )
}

/// Every datagram.
pub(crate) fn datagram() -> impl Strategy<Value = Datagram> {
    prop_oneof![
        voice().prop_map(Datagram::Voice),
        (any::<u32>(), any::<u32>()).prop_map(|(seq, echo)| Datagram::Heartbeat(Heartbeat { seq, echo })),
        any::<[u32; 3]>().prop_map(|[frames, lost, runs]| Datagram::Report(Report { frames, lost, runs })),
        floor().prop_map(|floor| Datagram::Emergency(Box::new(Message::Floor(floor)))),
    ]
}

// === Short data ===

fn recipient() -> impl Strategy<Value = data::Recipient> {
    prop_oneof![identity().prop_map(data::Recipient::Identity), talkgroup().prop_map(data::Recipient::Talkgroup)]
}

fn location() -> impl Strategy<Value = data::Location> {
    let accuracy = of(0..u32::MAX);
    (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000, accuracy, any::<u64>())
        .prop_filter_map("a place", |(north, east, accuracy, at_ms)| data::Location::new(north, east, accuracy, at_ms))
}

/// Every short-data message.
pub(crate) fn short_data() -> impl Strategy<Value = data::Message> {
    let content = prop_oneof![
        "[ -~\u{e9}\u{20ac}\u{1f692}\n]{1,80}".prop_map(data::Content::Text),
        any::<u16>().prop_map(data::Content::Status),
        location().prop_map(data::Content::Location),
        vec(any::<u8>(), 1..=80).prop_map(|bytes| data::Content::Binary(bytes.into())),
    ];
    let ids = (any::<[u8; 16]>(), of(any::<[u8; 16]>()), of(any::<[u8; 16]>()));
    let more = (any::<u64>(), 1..=data::LIFETIME_MAX_S, any::<[bool; 3]>());
    (ids, talker(), recipient(), more, content).prop_map(|((id, conversation, reply), from, to, more, content)| {
        let (sent_ms, lifetime_s, [urgent, delivered, read]) = more;
        data::Message {
            id: data::MessageId(id),
            from,
            to,
            sent_ms,
            lifetime_s,
            urgent,
            conversation: conversation.map(data::ConversationId),
            in_reply_to: reply.map(data::MessageId),
            wanted: data::Wanted { delivered, read },
            content,
        }
    })
}

/// Every item of a data stream.
pub(crate) fn item() -> impl Strategy<Value = data::Item> {
    let reason = || prop::sample::select(data::Undelivered::ALL);
    let signature = (any::<u16>(), any::<[u8; 32]>(), payload(data::SIGNATURE_MAX_BYTES))
        .prop_map(|(scheme, key, value)| data::Signature { scheme, key, value });
    let envelope = (short_data(), of(signature), recipient(), 0..=data::HOPS_MAX, of(any::<u16>()))
        .prop_map(|(message, signature, to, hops, status)| data::Envelope { signed: message.encode(), signature, to, hops, status });
    let disposition =
        prop_oneof![reason().prop_map(data::Disposition::Undelivered), Just(data::Disposition::Delivered), Just(data::Disposition::Read)];
    let report = (any::<[u8; 16]>(), recipient(), disposition, any::<u64>()).prop_map(|(id, about, disposition, at_ms)| data::Report {
        id: data::MessageId(id),
        about,
        disposition,
        at_ms,
    });
    let body = prop_oneof![
        envelope.prop_map(|envelope| data::Body::Message(Box::new(envelope))),
        report.prop_map(data::Body::Report),
        vec(payload(200).prop_filter("a certificate", |bytes| !bytes.is_empty()), 1..=data::CHAIN_MAX).prop_map(data::Body::Certificate),
        Just(data::Body::Taken),
        reason().prop_map(data::Body::Refused),
    ];
    (any::<u64>(), body).prop_map(|(number, body)| data::Item { number, body })
}

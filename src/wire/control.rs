//! Control messages as the house uses them: valid by construction, one enum for both kinds of sessions.
//!
//! [`Message::encode`] and [`Message::decode`] are the only way in and out; the protobuf types stay inside this crate.
//! Floor messages carry the names of TS 24.380 section 8.

use bytes::Bytes;
use prost::Message as _;

use crate::cause::{DenyCause, Reason, RevokeCause};
use crate::error::DecodeError;
use crate::ids::{Authority, Epoch, Handle, Identity, RequestId, Seq, Spurt, TalkgroupId};
use crate::priority::{Level, Priority, Tier};
use crate::proto;

/// One control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// First message of whoever dialled.
    Hello(Hello),
    /// The session exists.
    Welcome(Welcome),
    /// The session will not exist; final.
    Refused(Reason),
    /// A unit joins a talkgroup.
    Affiliate(TalkgroupId),
    /// It joined; what it must know to take part.
    Affiliated(Box<Affiliated>),
    /// It may not join.
    AffiliateRefused(TalkgroupId, Reason),
    /// A unit leaves a talkgroup.
    Deaffiliate(TalkgroupId),
    /// Floor control.
    Floor(Floor),
    /// Somebody asks the arbiter to end the group emergency.
    EmergencyEnd {
        /// Where.
        talkgroup: TalkgroupId,
        /// Who, between gateways; on a unit's session it is the unit.
        party: Option<Identity>,
    },
    /// The arbiter tells the group emergency's state.
    EmergencyState {
        /// Where.
        talkgroup: TalkgroupId,
        /// Whether it lasts.
        active: bool,
        /// The unit in emergency; on the end, who ended it.
        originator: Identity,
        /// Every unit in emergency, the first one first; between gateways.
        units: Vec<Identity>,
    },
    /// The arbiter does not end the group emergency for the one who asked.
    EmergencyEndRefused {
        /// Where.
        talkgroup: TalkgroupId,
        /// Who asked, between gateways.
        party: Option<Identity>,
        /// Why not.
        cause: DenyCause,
    },
    /// The gateway tells its units whether a bridged authority can be reached.
    FarSide(FarSide),
    /// All agreements that name the receiving peer; replaces the list sent before.
    Agreements(Vec<Agreement>),
    /// Opens a bridge, or opens it again after a cut.
    Sync(Box<Sync>),
}

/// What the dialling side knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest version it speaks.
    pub version_min: u32,
    /// Newest version it speaks.
    pub version_max: u32,
    /// Capability numbers (PROTOCOL.md); unknown ones are ignored.
    pub capabilities: Vec<u32>,
}

impl Hello {
    /// What this build speaks, without any capability.
    pub fn ours() -> Self {
        Self::knowing(&[])
    }

    /// The same with these capabilities: those that whoever says hello has switched on.
    pub fn knowing(capabilities: &[u32]) -> Self {
        Self { version_min: crate::VERSION, version_max: crate::VERSION, capabilities: capabilities.to_vec() }
    }

    /// The version both sides speak, if any.
    pub fn agree(&self) -> Option<u32> {
        (self.version_min..=self.version_max).contains(&crate::VERSION).then_some(crate::VERSION)
    }

    /// Those of our capabilities that it has, too.
    pub fn common(&self, ours: &[u32]) -> Vec<u32> {
        common(&self.capabilities, ours)
    }
}

fn common(theirs: &[u32], ours: &[u32]) -> Vec<u32> {
    ours.iter().filter(|number| theirs.contains(number)).copied().collect()
}

/// What the answering side chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version of this session.
    pub version: u32,
    /// Capabilities of both sides.
    pub capabilities: Vec<u32>,
    /// Who answers.
    pub gateway: Identity,
}

impl Welcome {
    /// Whether the answer to a hello with these capabilities may come from the gateway that was dialled.
    ///
    /// # Errors
    /// The reason to end the session with: the other side is at fault.
    pub fn check(&self, dialled: &Identity, offered: &[u32]) -> Result<(), Reason> {
        if self.gateway != *dialled {
            return Err(Reason::WrongGateway);
        }
        if self.version != crate::VERSION {
            return Err(Reason::VersionMismatch);
        }
        // Only what was offered may come back.
        let was_offered = self.capabilities.iter().all(|number| offered.contains(number));
        if was_offered { Ok(()) } else { Err(Reason::ProtocolViolation) }
    }
}

/// State of a talkgroup for a member that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliated {
    /// The talkgroup.
    pub talkgroup: TalkgroupId,
    /// Its number in this gateway's datagrams.
    pub handle: Handle,
    /// Title for people.
    pub title: String,
    /// Agency it belongs to, for people.
    pub agency: String,
    /// What the member may do.
    pub rights: Rights,
    /// Newest spurt number.
    pub baseline: Spurt,
    /// The talker, for late entry.
    pub current: Option<Taken>,
    /// The unit in emergency, if the group emergency lasts.
    pub emergency: Option<Identity>,
    /// Bridged authorities.
    pub far_sides: Vec<FarSide>,
}

/// What a member may do in a talkgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Ask for the floor.
    pub talk: bool,
    /// Raise an emergency.
    pub emergency: bool,
    /// Declare imminent peril.
    pub peril: bool,
    /// Highest level that counts.
    pub level_max: Level,
}

/// A floor control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Where; between gateways always the home's name.
    pub talkgroup: TalkgroupId,
    /// The unit concerned, between gateways.
    pub party: Option<Identity>,
    /// The message itself.
    pub body: FloorBody,
}

/// Bodies of floor control messages (TS 24.380 8.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FloorBody {
    /// Asks for the floor, or raises the tier of a request or spurt with the same id.
    Request(Request),
    /// Gives it.
    Granted(Granted),
    /// Refuses it.
    Deny {
        /// The request answered.
        request: RequestId,
        /// Why.
        cause: DenyCause,
    },
    /// It waits.
    Queued {
        /// The request answered.
        request: RequestId,
        /// Place in the queue, from 1.
        position: u8,
    },
    /// Somebody else talks.
    Taken(Taken),
    /// Nobody talks.
    Idle(Idle),
    /// Ends the own spurt, or takes a request back.
    Release(Release),
    /// Takes the grant back.
    Revoke(Revoke),
    /// The release was carried out.
    Ack {
        /// The request released.
        request: RequestId,
    },
}

/// Who talks, for people and records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Talker {
    /// The certified identity.
    pub identity: Identity,
    /// Name for people; empty if none.
    pub alias: String,
    /// Agency for people; empty if none.
    pub agency: String,
}

/// A floor request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub request: RequestId,
    /// The priority claimed.
    pub priority: Priority,
    /// Who asks, between gateways.
    pub talker: Option<Talker>,
    /// Talks already in a view that was cut off, for so many milliseconds: granted or denied, never queued.
    pub continuing: Option<u32>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The request answered.
    pub request: RequestId,
    /// Number of the spurt that begins.
    pub spurt: Spurt,
    /// How long the talker may still talk, in seconds.
    pub duration_s: u16,
    /// The tier in which it was granted.
    pub tier: Tier,
    /// Heard by the own side only.
    pub own_side_only: bool,
}

/// Who has the floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The spurt.
    pub spurt: Spurt,
    /// The talker.
    pub talker: Talker,
    /// Its tier.
    pub tier: Tier,
    /// The authority that relayed it, if not the talker's.
    pub via: Option<Authority>,
    /// How long the spurt lasts already, in milliseconds.
    pub elapsed_ms: u32,
}

/// The floor is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The spurt that ended.
    pub spurt: Spurt,
    /// Its last frame, if known.
    pub last_seq: Option<Seq>,
    /// Why it ended, if not by a release.
    pub cause: Option<RevokeCause>,
    /// Somebody else is granted at once: for a partner's records, not for its members.
    pub followed: bool,
}

impl Idle {
    /// Whether the talker was lost in mid-word: its voice, session, link, rights or room on the link ended.
    pub fn is_lost(&self) -> bool {
        use RevokeCause::{Disconnected, MediaGap, NoResources, NotAllowed, Superseded};
        matches!(self.cause, Some(MediaGap | Disconnected | Superseded | NotAllowed | NoResources))
    }
}

/// The talker ends its spurt or gives up its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The request released.
    pub request: RequestId,
    /// The last frame sent, if any.
    pub last_seq: Option<Seq>,
    /// The key is still held (answer to a revoke).
    pub key_down: bool,
}

/// The grant is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// The request whose grant ends.
    pub request: RequestId,
    /// The spurt that ends.
    pub spurt: Spurt,
    /// Why.
    pub cause: RevokeCause,
    /// Time to finish, in milliseconds; 0: it has ended.
    pub grace_ms: u32,
}

/// Whether a bridged authority can be reached from a talkgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarSide {
    /// The member's talkgroup.
    pub talkgroup: TalkgroupId,
    /// The authority on the other side.
    pub authority: Authority,
    /// Present or away.
    pub present: bool,
}

/// One side's words of an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The agreement's reference.
    pub name: String,
    /// The home talkgroup.
    pub home: TalkgroupId,
    /// The partner talkgroup.
    pub partner: TalkgroupId,
    /// What the receiver's side may do at the sender's.
    pub inbound: Inbound,
    /// What the sender lets out.
    pub outbound: Outbound,
    /// Authorities the home may pass this on to.
    pub onward: Vec<Authority>,
}

/// What the other side may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Talk.
    pub talk: bool,
    /// Send short data.
    pub short_data: bool,
    /// Raise an emergency.
    pub emergency: bool,
    /// The highest claim admitted.
    pub ceiling: Ceiling,
}

/// What this side lets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Voice.
    pub talk: bool,
    /// Short data.
    pub short_data: bool,
    /// Emergencies.
    pub emergency: bool,
}

/// The highest priority claim a bridge admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Highest tier.
    pub tier: Tier,
    /// Highest level; higher ones are clamped.
    pub level: Level,
    /// Whether dispatcher rank counts.
    pub dispatcher: bool,
}

/// Where one side of a bridge stands when a session begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The home's name of the talkgroup.
    pub talkgroup: TalkgroupId,
    /// The sender's number for it in datagrams.
    pub handle: Handle,
    /// Partner: its epoch; home: the one that holds from now on.
    pub epoch: Epoch,
    /// The sender's local talker.
    pub holder: Option<Holder>,
    /// Units in emergency: of the sender's side, if it is the partner; all that the home knows, if it is the home.
    pub emergency: Vec<Identity>,
}

/// A local talker named in *sync*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its request.
    pub request: RequestId,
    /// Its effective priority.
    pub priority: Priority,
    /// Who it is.
    pub talker: Talker,
    /// How long it talks, in milliseconds.
    pub elapsed_ms: u32,
}

impl Message {
    /// The message as protobuf, without the length in front.
    pub fn encode(&self) -> Bytes {
        proto::Control { body: Some(crate::convert::write(self)) }.encode_to_vec().into()
    }

    /// Reads one message; `None` for one that this version does not know (to be skipped).
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault, the session should end as malformed.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let control = proto::Control::decode(bytes).map_err(|e| DecodeError::Protobuf(e.to_string()))?;
        control.body.map_or(Ok(None), crate::convert::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_use_what_both_know() {
        assert_eq!(common(&[9, 2, 2, 7], &[1, 2, 7]), [2, 7]);
        assert_eq!(common(&[1, 2], &[]), [] as [u32; 0]);
        let hello = |version_min, version_max| Hello { version_min, version_max, capabilities: vec![1] };
        assert_eq!((hello(1, 3).agree(), hello(0, 0).agree(), hello(2, 9).agree()), (Some(crate::VERSION), None, None));
        assert_eq!((hello(1, 1).common(&[crate::SHORT_DATA]), hello(1, 1).common(&[])), (vec![1], vec![]));
    }

    #[test]
    fn a_welcome_is_believed_from_the_dialled_gateway_within_what_was_offered() {
        let gateway = |name: &str| format!("nl/gateway/{name}").parse::<Identity>().unwrap();
        let welcome = |version, capabilities: &[u32]| Welcome { version, capabilities: capabilities.to_vec(), gateway: gateway("gw-1") };
        assert_eq!((welcome(1, &[]).check(&gateway("gw-1"), &[]), welcome(1, &[1]).check(&gateway("gw-1"), &[1])), (Ok(()), Ok(())));
        assert_eq!(welcome(1, &[]).check(&gateway("gw-2"), &[]), Err(Reason::WrongGateway));
        assert_eq!(welcome(2, &[]).check(&gateway("gw-1"), &[]), Err(Reason::VersionMismatch));
        assert_eq!(welcome(1, &[77]).check(&gateway("gw-1"), &[1]), Err(Reason::ProtocolViolation));
    }
}

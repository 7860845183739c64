//! The closed lists of causes and reasons: one snake_case word and one pinned number each.
//!
//! Numbers 1 to 255 of deny and revoke follow TS 24.380 8.2.6.2 and 8.2.10.2 where that has the cause; ours
//! start at 16 (deny, revoke) so that they never collide. A number that a newer peer sends and we do not
//! know reads as `Other`.

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident, other = $other:ident, { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every member of the list, in the order of `--help`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in events, records and `--help`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The pinned number of the wire.
            pub fn to_code(self) -> u32 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// Reads the number of the wire; an unknown one is `Other`.
            pub fn from_code(code: u32) -> Self {
                match code { $($number => Self::$variant,)+ _ => Self::$other }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use closed_list;

closed_list!(
    /// Why a floor request was denied, or the end of a group emergency refused.
    DenyCause, other = Other, {
        /// Reserved, not sent by version 1: somebody talks and this request does not queue (#1).
        AnotherTalker = 1 "another_talker",
        /// Reserved, not sent by version 1: the gateway could not decide (#2).
        InternalError = 2 "internal_error",
        /// The talk limit was reached and the key is still held (#4).
        RetryAfter = 4 "retry_after",
        /// The member may listen but not talk (#5).
        ReceiveOnly = 5 "receive_only",
        /// The spurt would cross a border link that carries as many as it can (#6).
        NoResources = 6 "no_resources",
        /// 32 requests wait already (#7).
        QueueFull = 7 "queue_full",
        /// The unit has not joined the talkgroup.
        NotAffiliated = 16 "not_affiliated",
        /// The talkgroup does not exist here.
        UnknownTalkgroup = 17 "unknown_talkgroup",
        /// The unit has no emergency right here.
        EmergencyNotAllowed = 18 "emergency_not_allowed",
        /// The unit has no imminent-peril right here.
        PerilNotAllowed = 19 "peril_not_allowed",
        /// A dispatcher rank was claimed that the bridge does not admit.
        RankNotAllowed = 20 "rank_not_allowed",
        /// The bridge's agreement does not let the other side talk.
        BridgeForbids = 21 "bridge_forbids",
        /// The bridge is not active (one-sided, differing, outside its dates).
        BridgePending = 22 "bridge_pending",
        /// No answer came after all repeats.
        NoAnswer = 23 "no_answer",
        /// The session ended before an answer.
        Disconnected = 24 "disconnected",
        /// Requests come faster than the limit.
        RateLimited = 25 "rate_limited",
        /// Displaced while the two sides of a healed border settled on one talker.
        Displaced = 26 "displaced",
        /// A group emergency is ended by a unit that is in it, or by a dispatcher with the emergency right.
        EmergencyEndNotAllowed = 27 "emergency_end_not_allowed",
        /// A cause this version does not know (#255).
        Other = 255 "other",
    }
);

closed_list!(
    /// Why a grant was taken back, or ended without a release.
    RevokeCause, other = Other, {
        /// The talk limit T2 was reached (#2).
        TalkLimit = 2 "talk_limit",
        /// Voice without a grant (#3).
        NoPermission = 3 "no_permission",
        /// Somebody of higher priority takes the floor (#4).
        Preempted = 4 "preempted",
        /// In *idle* to a far side: the room on the link is needed for a higher tier (#6); in *revoke* not sent by version 1.
        NoResources = 6 "no_resources",
        /// No voice and no hold beat for T1.
        MediaGap = 16 "media_gap",
        /// The same identity logged in elsewhere.
        Superseded = 17 "superseded",
        /// The two sides of a healed border settled on the other talker.
        Displaced = 18 "displaced",
        /// The talker's rights ended (reload, agreement withdrawn or expired).
        NotAllowed = 19 "not_allowed",
        /// The session or the border link ended.
        Disconnected = 20 "disconnected",
        /// A cause this version does not know (#255).
        Other = 255 "other",
    }
);

closed_list!(
    /// Why a session was refused or ended; also the application close code of the QUIC connection.
    Reason, other = Other, {
        /// Ended in order by the one who closes.
        Closed = 0 "closed",
        /// The gateway is configured as standby; try the next.
        Standby = 1 "standby",
        /// A newer session of the same identity took over.
        Superseded = 2 "superseded",
        /// The gateway is stopping; try the next.
        ShuttingDown = 3 "shutting_down",
        /// No common protocol version.
        VersionMismatch = 4 "version_mismatch",
        /// The certificate is past its last day.
        CertificateExpired = 5 "certificate_expired",
        /// The certificate is not valid yet.
        CertificateNotYetValid = 6 "certificate_not_yet_valid",
        /// The certificate is on the authority's revocation list.
        CertificateRevoked = 7 "certificate_revoked",
        /// The certificate does not chain to the root of the authority it names, or that authority is not trusted on this port.
        UnknownAuthority = 8 "unknown_authority",
        /// A unit on the peer port, a gateway on the unit port.
        WrongKind = 9 "wrong_kind",
        /// The certificate carries no usable identity, is not made for this use, or does not hold.
        BadCertificate = 10 "bad_certificate",
        /// The gateway is not in the `[[peer]]` list.
        UnknownPeer = 11 "unknown_peer",
        /// The answering gateway is not the expected one.
        WrongGateway = 12 "wrong_gateway",
        /// Bytes that are not the protocol.
        Malformed = 13 "malformed",
        /// A message that this session must not send.
        ProtocolViolation = 14 "protocol_violation",
        /// The other side does not read: 256 control messages behind.
        TooSlow = 15 "too_slow",
        /// The heartbeat's echo is older than the limit.
        LinkLost = 16 "link_lost",
        /// No answer from the address.
        Unreachable = 17 "unreachable",
        /// No welcome in time.
        Timeout = 18 "timeout",
        /// The gateway holds as many sessions as it may.
        TooManySessions = 19 "too_many_sessions",
        /// The link fell three times in a short time and is held down.
        HeldDown = 20 "held_down",
        /// The process lost its memory of this session (restart).
        Reset = 21 "reset",
        /// The identity is not a member of the talkgroup.
        NotAMember = 22 "not_a_member",
        /// The talkgroup does not exist here.
        UnknownTalkgroup = 23 "unknown_talkgroup",
        /// No protocol (ALPN) in common: not a gateway, or the wrong port.
        NotAGateway = 24 "not_a_gateway",
        /// The configuration no longer trusts this identity.
        NotTrusted = 25 "not_trusted",
        /// Another TLS failure.
        TlsFailure = 26 "tls_failure",
        /// The unit has joined 64 talkgroups already.
        TooManyTalkgroups = 27 "too_many_talkgroups",
        /// It sent far more than a unit needs, and again after it was muted.
        Flooding = 28 "flooding",
        /// A reason this version does not know.
        Other = 255 "other",
    }
);

impl Reason {
    /// Whether trying the same gateway again can help without anybody changing anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Closed
            | Self::ShuttingDown
            | Self::TooSlow
            | Self::LinkLost
            | Self::Unreachable
            | Self::Timeout
            | Self::TooManySessions
            | Self::HeldDown
            | Self::Standby
            | Self::Reset
            | Self::Flooding => true,
            Self::Superseded
            | Self::VersionMismatch
            | Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::CertificateRevoked
            | Self::UnknownAuthority
            | Self::WrongKind
            | Self::BadCertificate
            | Self::UnknownPeer
            | Self::WrongGateway
            | Self::Malformed
            | Self::ProtocolViolation
            | Self::NotAMember
            | Self::UnknownTalkgroup
            | Self::NotAGateway
            | Self::NotTrusted
            | Self::TlsFailure
            | Self::TooManyTalkgroups
            | Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins every number: a change here breaks running peers.
    #[test]
    fn numbers_round_trip_and_are_unique() {
        for (index, cause) in DenyCause::ALL.iter().enumerate() {
            assert_eq!(DenyCause::from_code(cause.to_code()), *cause);
            assert!(DenyCause::ALL[..index].iter().all(|other| other.to_code() != cause.to_code()));
        }
        for cause in RevokeCause::ALL {
            assert_eq!(RevokeCause::from_code(cause.to_code()), *cause);
        }
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_code(reason.to_code()), *reason);
            assert!(Reason::ALL[..index].iter().all(|other| other.to_code() != reason.to_code()));
        }
        assert_eq!(Reason::from_code(9_999), Reason::Other);
    }

    #[test]
    fn ts_24_380_numbers_are_kept() {
        assert_eq!(DenyCause::QueueFull.to_code(), 7);
        assert_eq!(DenyCause::ReceiveOnly.to_code(), 5);
        assert_eq!(RevokeCause::TalkLimit.to_code(), 2);
        assert_eq!(RevokeCause::Preempted.to_code(), 4);
    }
}

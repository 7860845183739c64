//! The list of gateways: which to dial next, how long to wait, when to give up.
//!
//! Beside the data path, asked by the driver after every attempt. A refusal that no retry can mend is final for that
//! gateway; when every gateway has refused so, the unit gives up. A session that was lost by a fault is dialled again: only
//! what the gateway then says is a refusal.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::SmallRng;
use transport::backoff::Backoff;
use wire::Reason;

/// A session that lasted this long was a real one: the back-off starts over.
const SETTLED: Duration = Duration::from_secs(5);
/// Least time one attempt is given, two retransmissions of the first packet included.
const ATTEMPT_MIN: Duration = Duration::from_millis(1_500);
/// Most time: QUIC repeats its first packet ever more rarely, so a gateway that came back is found sooner by a fresh attempt.
const ATTEMPT_MAX: Duration = Duration::from_millis(2_000);

/// What to do after an attempt failed or a session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Dial the next gateway after this pause.
    Dial(Duration),
    /// Every gateway has refused for good.
    GiveUp,
}

/// What a reason says about dialling the same gateway again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It may pass by itself.
    Passing,
    /// Something went wrong: final as a refusal, but a session that ended so was a good one until then.
    Fault,
    /// This unit is not let in, or this is not its gateway.
    Final,
    /// The same identity is in use elsewhere: coming back, to whichever gateway, would throw the other out, for ever in turn.
    Taken,
}

/// The one table. Passing are those that PROTOCOL.md marks so.
fn verdict(reason: Reason) -> Verdict {
    match reason {
        Reason::Closed
        | Reason::Standby
        | Reason::ShuttingDown
        | Reason::TooSlow
        | Reason::LinkLost
        | Reason::Unreachable
        | Reason::Timeout
        | Reason::TooManySessions
        | Reason::HeldDown
        | Reason::Reset
        | Reason::Flooding => Verdict::Passing,
        Reason::Malformed | Reason::ProtocolViolation | Reason::TlsFailure | Reason::Other => Verdict::Fault,
        Reason::VersionMismatch
        | Reason::CertificateExpired
        | Reason::CertificateNotYetValid
        | Reason::CertificateRevoked
        | Reason::UnknownAuthority
        | Reason::WrongKind
        | Reason::BadCertificate
        | Reason::UnknownPeer
        | Reason::WrongGateway
        | Reason::NotAMember
        | Reason::UnknownTalkgroup
        | Reason::NotAGateway
        | Reason::NotTrusted
        | Reason::TooManyTalkgroups => Verdict::Final,
        Reason::Superseded => Verdict::Taken,
    }
}

#[derive(Debug)]
struct Gateway {
    addr: SocketAddr,
    /// It will not let this unit in, whatever happens.
    refused: bool,
    /// What the user was told last about it.
    told: Option<Reason>,
}

/// The gateways in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Gateways {
    list: Vec<Gateway>,
    current: usize,
    /// Attempts since the last pause.
    tried: usize,
    backoff: Backoff,
    rng: SmallRng,
}

impl Gateways {
    pub(crate) fn new(addrs: &[SocketAddr], rng: SmallRng) -> Self {
        let list = addrs.iter().map(|addr| Gateway { addr: *addr, refused: false, told: None }).collect();
        Self { list, current: 0, tried: 0, backoff: Backoff::default(), rng }
    }

    /// The one to dial now; `None` without any.
    pub(crate) fn current(&self) -> Option<SocketAddr> {
        self.list.get(self.current).map(|gateway| gateway.addr)
    }

    /// Time for one attempt, so that every gateway gets its turn within `connect_timeout`.
    pub(crate) fn attempt_limit(&self, connect_timeout: Duration) -> Duration {
        let turns = u32::try_from(self.list.len()).unwrap_or(u32::MAX).max(1);
        (connect_timeout / turns).clamp(ATTEMPT_MIN, ATTEMPT_MAX)
    }

    /// Whether the user should hear of this refusal: it has a name, and is not the one told before.
    pub(crate) fn is_news(&mut self, reason: Reason) -> bool {
        let silent = matches!(reason, Reason::Unreachable | Reason::Timeout | Reason::LinkLost);
        match self.list.get_mut(self.current) {
            Some(gateway) if !silent && gateway.told != Some(reason) => {
                gateway.told = Some(reason);
                true
            }
            Some(_) | None => false,
        }
    }

    /// The attempt failed: the next gateway at once, or after a pause when each has had its turn.
    pub(crate) fn failed(&mut self, reason: Reason) -> Then {
        self.tried += 1;
        let verdict = verdict(reason);
        self.advance(if verdict == Verdict::Fault { Verdict::Final } else { verdict })
    }

    /// The session was lost after this time: the next gateway, after a short pause, for all units of it come at once.
    pub(crate) fn lost(&mut self, reason: Reason, lasted: Duration) -> Then {
        if lasted >= SETTLED {
            self.backoff.reset();
        }
        self.tried = self.list.len();
        self.advance(verdict(reason))
    }

    /// The gateway welcomed the unit.
    pub(crate) fn welcomed(&mut self) {
        self.tried = 0;
        if let Some(gateway) = self.list.get_mut(self.current) {
            gateway.told = None;
        }
    }

    fn advance(&mut self, verdict: Verdict) -> Then {
        match verdict {
            Verdict::Passing | Verdict::Fault => {}
            Verdict::Final => {
                if let Some(gateway) = self.list.get_mut(self.current) {
                    gateway.refused = true;
                    self.tried = self.tried.saturating_sub(1);
                }
            }
            Verdict::Taken => self.list.iter_mut().for_each(|gateway| gateway.refused = true),
        }
        let count = self.list.len();
        let next = (1..=count).map(|step| (self.current + step) % count).find(|index| !self.list[*index].refused);
        let Some(next) = next else { return Then::GiveUp };
        self.current = next;
        let turns = self.list.iter().filter(|gateway| !gateway.refused).count();
        if self.tried < turns {
            return Then::Dial(Duration::ZERO);
        }
        self.tried = 0;
        Then::Dial(self.backoff.next(&mut self.rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn gateways(count: u16) -> Gateways {
        let addrs: Vec<SocketAddr> = (0..count).map(|n| SocketAddr::from(([10, 0, 0, 1], 7_000 + n))).collect();
        Gateways::new(&addrs, SmallRng::seed_from_u64(1))
    }

    fn port(gateways: &Gateways) -> u16 {
        gateways.current().unwrap().port()
    }

    #[test]
    fn each_gateway_has_its_turn_before_the_pause() {
        let mut list = gateways(3);
        assert_eq!(list.failed(Reason::Unreachable), Then::Dial(Duration::ZERO));
        assert_eq!(list.failed(Reason::Standby), Then::Dial(Duration::ZERO));
        let Then::Dial(pause) = list.failed(Reason::Unreachable) else { panic!("gave up") };
        assert!(pause > Duration::ZERO);
        assert_eq!(port(&list), 7_000);
    }

    #[test]
    fn a_final_refusal_takes_the_gateway_off_the_list_and_the_last_one_ends_it() {
        let mut list = gateways(2);
        assert_eq!(list.failed(Reason::CertificateRevoked), Then::Dial(Duration::ZERO));
        assert_eq!(port(&list), 7_001);
        assert!(matches!(list.failed(Reason::Unreachable), Then::Dial(_)));
        assert_eq!(port(&list), 7_001);
        assert_eq!(list.failed(Reason::NotTrusted), Then::GiveUp);
    }

    #[test]
    fn every_reason_is_final_or_not_as_a_refusal_and_as_the_end_of_a_session() {
        for reason in Reason::ALL {
            let refused = gateways(1).failed(*reason) == Then::GiveUp;
            assert_eq!(refused, !reason.is_transient(), "{reason}: refused");
            let fault = matches!(reason, Reason::Malformed | Reason::ProtocolViolation | Reason::TlsFailure | Reason::Other);
            let lost = gateways(1).lost(*reason, SETTLED) == Then::GiveUp;
            assert_eq!(lost, refused && !fault, "{reason}: lost");
            let everywhere = gateways(2).lost(*reason, SETTLED) == Then::GiveUp;
            assert_eq!(everywhere, *reason == Reason::Superseded, "{reason}: two gateways");
        }
    }

    #[test]
    fn sessions_that_end_at_once_do_not_reset_the_back_off() {
        let pauses = |lasted| {
            let mut list = gateways(1);
            let mut last = Duration::ZERO;
            for _ in 0..6 {
                list.welcomed();
                let Then::Dial(pause) = list.lost(Reason::Closed, lasted) else { panic!("gave up") };
                last = pause;
            }
            last
        };
        assert!(pauses(Duration::ZERO) > Duration::from_secs(1));
        assert!(pauses(SETTLED) <= transport::backoff::FIRST);
    }

    #[test]
    fn a_refusal_is_told_once_and_silence_never() {
        let mut list = gateways(1);
        assert!(!list.is_news(Reason::Unreachable));
        assert!(list.is_news(Reason::Standby));
        assert!(!list.is_news(Reason::Standby));
        list.welcomed();
        assert!(list.is_news(Reason::Standby));
    }
}

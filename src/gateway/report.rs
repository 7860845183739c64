//! What the driver tells the outside: call records, log lines, the status board, the newest epoch.
//!
//! Everything here only hands over and returns; nobody on the voice thread waits for a disk or a reader.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::desk;
use engine::hub::status as hub;
use engine::hub::{Call, Event};
use engine::loss::Repeats;
use engine::sched;
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};
use transport::clock::Clock;
use transport::config::Port;
use wire::control::{Agreement, Talker};
use wire::{Epoch, Identity, Kind, Reason, RevokeCause, SessionId};

use crate::driver::Links;
use crate::figures::FiguresStatus;
use crate::ledger::{Side, Totals};
use crate::office::Office;
use crate::records::{Record, RecordKind, Records};
use crate::redact::Redactor;
use crate::status::{
    BridgeState, BridgeStatus, FloorState, FloorStatus, GatewayStatus, LinkState, LinkStatus, Mode, QueueStatus, RepeatsStatus,
    SessionStatus, Status, StatusBoard, TalkgroupStatus,
};

/// Where reports go; clones go to the same places.
#[derive(Clone, Debug)]
pub struct Reporter {
    gateway: Identity,
    records: Records,
    board: StatusBoard,
    redactor: Redactor,
    clock: Clock,
    epoch: Arc<watch::Sender<Epoch>>,
}

impl Reporter {
    /// A reporter for one gateway, and the newest epoch to be persisted.
    pub fn new(
        gateway: Identity,
        records: Records,
        board: StatusBoard,
        redactor: Redactor,
        clock: Clock,
        epoch: Epoch,
    ) -> (Self, watch::Receiver<Epoch>) {
        let (epoch, newest) = watch::channel(epoch);
        (Self { gateway, records, board, redactor, clock, epoch: Arc::new(epoch) }, newest)
    }

    /// A record of the kind at this moment.
    pub(crate) fn record(&self, kind: RecordKind) -> Record {
        let unix = self.clock.current_time().map_or(Duration::ZERO, |time| Duration::from_secs(time.as_secs()));
        // The verifiers' clock counts whole seconds; records of a live system take the finer one.
        let fine = OffsetDateTime::now_utc();
        let at = if fine.unix_timestamp().unsigned_abs() == unix.as_secs() {
            fine
        } else {
            OffsetDateTime::UNIX_EPOCH.checked_add(time::Duration::seconds(i64::try_from(unix.as_secs()).unwrap_or(0))).unwrap_or(fine)
        };
        Record::new(kind, at)
    }

    /// Writes a record.
    pub(crate) fn write(&self, record: Record) {
        self.records.write(record);
    }

    /// A caller was refused before it had a session; its identity was never proven.
    pub(crate) fn refused(&self, port: Port, from: SocketAddr, reason: Reason) {
        info!(port = port.as_str(), from = %self.redactor.address(from), %reason, "caller refused");
        self.write(Record {
            outcome: Some(reason.as_str().to_owned()),
            identity: Some(format!("unproven, on port {} from {from}", port.as_str())),
            ..self.record(RecordKind::Refused)
        });
    }

    /// Callers refused beyond what is told one by one.
    pub(crate) fn refused_untold(&self, count: u64) {
        info!(count, "more callers refused within a second");
        self.write(Record {
            outcome: Some("not recorded one by one".to_owned()),
            identity: Some(format!("unproven, {count} more within a second")),
            ..self.record(RecordKind::Refused)
        });
    }

    /// What hides identities and addresses in the logs of this process.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Something happened in the hub.
    pub(crate) fn event(&self, event: Event) {
        match event {
            Event::SessionUp(session, identity) => {
                info!(session = session.0, identity = %self.redactor.identity(&identity), "session up");
                self.session(&identity, "began");
            }
            Event::SessionDown(session, identity, reason) => {
                info!(session = session.0, identity = %self.redactor.identity(&identity), %reason, "session down");
                self.session(&identity, reason.as_str());
            }
            Event::JoinRefused(talkgroup, identity, reason) => {
                info!(%talkgroup, identity = %self.redactor.identity(&identity), %reason, "join refused");
                self.write(Record {
                    talkgroup: Some(talkgroup.to_string()),
                    identity: Some(identity.to_string()),
                    outcome: Some(reason.as_str().to_owned()),
                    ..self.record(RecordKind::Refused)
                });
            }
            Event::Call(call) => self.call(*call),
            Event::Denied { talkgroup, identity, cause, agreement } => {
                info!(%talkgroup, identity = %self.redactor.identity(&identity), %cause, "request denied");
                self.write(Record {
                    talkgroup: Some(talkgroup.to_string()),
                    identity: Some(identity.to_string()),
                    agreement,
                    outcome: Some(cause.as_str().to_owned()),
                    ..self.record(RecordKind::Denied)
                });
            }
            Event::Emergency { talkgroup, active, by } => {
                warn!(%talkgroup, by = %self.redactor.identity(&by), active, "group emergency");
                self.write(Record {
                    talkgroup: Some(talkgroup.to_string()),
                    identity: Some(by.to_string()),
                    outcome: Some(if active { "began" } else { "ended" }.to_owned()),
                    ..self.record(RecordKind::Emergency)
                });
            }
            Event::Bridge { agreement, far, state } => {
                info!(%agreement, %far, %state, "bridge");
                self.write(Record {
                    agreement: Some(agreement),
                    authority: Some(far.to_string()),
                    outcome: Some(state.as_str().to_owned()),
                    ..self.record(RecordKind::Bridge)
                });
            }
            Event::Crossing { talkgroup, talker, tier, spurt, far, agreement, passes } => {
                info!(%talkgroup, talker = %self.redactor.identity(&talker), %tier, %spurt, %far, passes, "spurt on a full border link");
                self.write(Record {
                    talkgroup: Some(talkgroup.to_string()),
                    talker: Some(talker.to_string()),
                    tier: Some(tier.as_str().to_owned()),
                    spurt: Some(spurt.to_string()),
                    agreement: Some(agreement),
                    authority: Some(far.to_string()),
                    outcome: Some(if passes { "crosses_again" } else { "suspended" }.to_owned()),
                    ..self.record(RecordKind::Crossing)
                });
            }
            Event::Epoch(epoch) => {
                self.epoch.send_if_modified(|newest| {
                    let later = epoch.is_after(*newest);
                    *newest = newest.max(epoch);
                    later
                });
            }
            Event::Unheard { talkgroup, identity, spurt } => {
                info!(%talkgroup, identity = %self.redactor.identity(&identity), %spurt, "voice without a grant");
                self.write(Record {
                    talkgroup: Some(talkgroup.to_string()),
                    identity: Some(identity.to_string()),
                    spurt: Some(spurt.to_string()),
                    outcome: Some(RevokeCause::NoPermission.as_str().to_owned()),
                    ..self.record(RecordKind::Denied)
                });
            }
            Event::Misbehaved { session, identity, what, times } => {
                warn!(session = session.0, identity = %self.redactor.identity(&identity), what, times, "session misbehaves");
                self.write(Record {
                    identity: Some(identity.to_string()),
                    authority: Some(identity.authority.to_string()),
                    outcome: Some(what.to_owned()),
                    times: Some(times),
                    ..self.record(RecordKind::Misbehaved)
                });
            }
        }
    }

    fn session(&self, identity: &Identity, outcome: &str) {
        self.write(Record {
            identity: Some(identity.to_string()),
            authority: Some(identity.authority.to_string()),
            outcome: Some(outcome.to_owned()),
            ..self.record(RecordKind::Session)
        });
    }

    fn call(&self, call: Call) {
        let Talker { identity, alias, agency } = call.talker;
        debug!(talkgroup = %call.talkgroup, talker = %self.redactor.identity(&identity), spurt = %call.spurt, "spurt over");
        let foreign = identity.authority != self.gateway.authority;
        let mut agreements = call.agreements.into_iter();
        self.write(Record {
            talkgroup: Some(call.talkgroup.to_string()),
            agreement: agreements.next(),
            further_agreements: agreements.collect(),
            authority: foreign.then(|| identity.authority.to_string()),
            talker: Some(identity.to_string()),
            agency: Some(agency),
            alias: Some(alias),
            tier: Some(call.tier.as_str().to_owned()),
            level: call.level.map(|level| level.0),
            spurt: Some(call.spurt.to_string()),
            duration_ms: Some(u64::try_from(call.duration.as_millis()).unwrap_or(u64::MAX)),
            outcome: Some(call.ended_by.map_or("released", RevokeCause::as_str).to_owned()),
            via: call.via.map(|authority| authority.to_string()),
            ..self.record(RecordKind::Call)
        });
    }

    /// What the desk has to say of short data.
    pub(crate) fn data(&self, event: &desk::Event) {
        match event {
            // Its sender is told; a flood of refusals must not become one of log lines.
            desk::Event::Refused(identity, reason) => debug!(identity = %self.redactor.identity(identity), %reason, "message refused"),
            desk::Event::Undelivered(letter) => {
                info!(id = %letter.id, sender = %self.redactor.identity(&letter.sender), reason = %letter.reason, "message not delivered");
            }
            desk::Event::Damaged(entries) => {
                error!(
                    entries = entries.len(),
                    "ALARM: the disk has spoilt messages that waited; they are lost, and nobody knows whose they were"
                );
            }
            desk::Event::Store(why) => error!(%why, "ALARM: the message store refuses messages"),
            desk::Event::StoreRecovered => info!("the message store takes messages again"),
        }
    }

    /// Puts a snapshot on the board.
    pub(crate) fn publish(&self, snapshot: &hub::Status, links: &Links, totals: &BTreeMap<Side, Totals>, office: Option<&Office>) {
        let status = Status {
            gateway: GatewayStatus {
                authority: self.gateway.authority.to_string(),
                name: self.gateway.name.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                uptime_s: snapshot.uptime.as_secs(),
            },
            sessions: snapshot.sessions.iter().filter(|s| s.identity.kind != Kind::Gateway).map(|s| session(s, links)).collect(),
            talkgroups: snapshot.talkgroups.iter().map(talkgroup).collect(),
            floors: snapshot.talkgroups.iter().map(floor).collect(),
            bridges: snapshot.bridges.iter().map(|b| bridge(b, snapshot)).collect(),
            links: snapshot.links.iter().map(|link| link_status(link, links)).collect(),
            queues: links.values().flat_map(queues).collect(),
            messages: office.map(Office::status),
            figures: FiguresStatus::new(&snapshot.figures, totals),
        };
        self.board.publish(status);
    }
}

fn session(session: &hub::SessionStatus, links: &Links) -> SessionStatus {
    let address = |id: SessionId| links.get(&id).map(|link| link.address.to_string()).unwrap_or_default();
    SessionStatus {
        identity: session.identity.to_string(),
        kind: session.identity.kind.to_string(),
        since_s: session.age.as_secs(),
        address: address(session.session),
        talkgroups: session.talkgroups.iter().map(ToString::to_string).collect(),
        repeats: repeats(session.repeats),
    }
}

fn talkgroup(tg: &hub::TalkgroupStatus) -> TalkgroupStatus {
    TalkgroupStatus {
        talkgroup: tg.talkgroup.to_string(),
        title: tg.title.clone(),
        members: tg.members,
        mode: match tg.mode {
            hub::Mode::Local => Mode::Local,
            hub::Mode::Home => Mode::Home,
            hub::Mode::Partner => Mode::Partner,
            hub::Mode::CutOff => Mode::CutOff,
            hub::Mode::OwnSide => Mode::OwnSide,
        },
        emergency: tg.emergency.first().map(ToString::to_string),
    }
}

fn floor(tg: &hub::TalkgroupStatus) -> FloorStatus {
    let talker = tg.talker.as_ref();
    FloorStatus {
        talkgroup: tg.talkgroup.to_string(),
        state: match tg.floor {
            engine::floor::table::State::Idle => FloorState::Idle,
            engine::floor::table::State::Taken => FloorState::Taken,
            engine::floor::table::State::Revoking => FloorState::Revoking,
            engine::floor::table::State::Draining => FloorState::Releasing,
        },
        talker: talker.map(|(talker, ..)| talker.identity.to_string()),
        agency: talker.map(|(talker, ..)| talker.agency.clone()),
        tier: talker.map(|(_, tier, ..)| tier.to_string()),
        elapsed_ms: talker.map(|(.., elapsed)| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
        queue: tg.queue.iter().map(|talker| talker.identity.to_string()).collect(),
    }
}

fn bridge(bridge: &hub::BridgeStatus, snapshot: &hub::Status) -> BridgeStatus {
    use engine::hub::bridges::BridgeState as Hub;
    let (state, why) = match bridge.state {
        Hub::Active => (BridgeState::Active, ""),
        Hub::Agreed => (BridgeState::Pending, "both sides agree; waiting for the first sync"),
        Hub::OneSided => (BridgeState::Pending, "the other side does not configure this agreement"),
        Hub::Differs => (BridgeState::Pending, "the other side configures other talkgroups under this agreement"),
        Hub::Away => (BridgeState::Away, "no session with the other side"),
        Hub::OutsideDates => (BridgeState::OutsideDates, "the agreement does not hold at this time"),
    };
    let peer = snapshot.links.iter().find(|link| link.peer.authority == bridge.far);
    BridgeStatus {
        agreement: bridge.ours.name.clone(),
        home: bridge.ours.home.to_string(),
        partner: bridge.ours.partner.to_string(),
        peer: peer.map_or_else(|| bridge.far.to_string(), |link| link.peer.to_string()),
        state,
        why: why.to_owned(),
        ours: Some(words(&bridge.ours)),
        theirs: bridge.theirs.as_ref().map(words),
    }
}

/// An agreement's terms in one line.
fn words(agreement: &Agreement) -> String {
    let flags = |talk: bool, short_data: bool, emergency: bool| {
        let named: Vec<&str> =
            [(talk, "talk"), (short_data, "short data"), (emergency, "emergency")].iter().filter(|(on, _)| *on).map(|(_, n)| *n).collect();
        if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }
    };
    let (inbound, outbound, ceiling) = (agreement.inbound, agreement.outbound, agreement.inbound.ceiling);
    format!(
        "{} <-> {}; lets in {} up to {} level {}{}; lets out {}",
        agreement.home,
        agreement.partner,
        flags(inbound.talk, inbound.short_data, inbound.emergency),
        ceiling.tier,
        ceiling.level,
        if ceiling.dispatcher { " with dispatcher rank" } else { "" },
        flags(outbound.talk, outbound.short_data, outbound.emergency),
    )
}

fn link_status(link: &hub::LinkStatus, links: &Links) -> LinkStatus {
    let rtt = link.up.and_then(|session| links.get(&session)).map(|link| link.tally.counters.stats().rtt);
    LinkStatus {
        peer: link.peer.to_string(),
        state: match (&link.up, link.held) {
            (Some(_), _) => LinkState::Up,
            (None, true) => LinkState::HeldDown,
            (None, false) => LinkState::Down,
        },
        rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
        since_s: link.since.as_secs(),
        lost_count: link.lost,
        repeats: repeats(link.repeats),
        capacity: count(link.used.capacity),
        in_use: count(link.used.crossing),
        suspended: link.used.suspended.iter().map(ToString::to_string).collect(),
        refused: link.used.refused,
    }
}

fn repeats(of: Repeats) -> RepeatsStatus {
    RepeatsStatus { count: of.count(), spread: of.is_spread() }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

fn queues(link: &crate::link::Link) -> Vec<QueueStatus> {
    let (stats, dropped) = (link.tally.stats(), link.tally.dropped());
    let row = |class: sched::Class| {
        let of = stats.of(class);
        QueueStatus {
            link: link.certified.identity.to_string(),
            class: class.as_str().into(),
            depth: count(of.queued),
            sent: of.sent,
            dropped_late: of.dropped_late,
            dropped_full: of.dropped_full + if class == sched::Class::Voice { dropped } else { 0 },
        }
    };
    sched::Class::ALL.into_iter().map(row).collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;

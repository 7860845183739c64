//! From the validated configuration to the hub's plan; the only place where the two meet.

use engine::desk::{Policy, Room};
use engine::plan;

use crate::config::{self, Config};

/// What the hub must know of a configuration.
pub fn plan_of(config: &Config) -> plan::Plan {
    plan::Plan {
        gateway: config.gateway.clone(),
        standby: config.standby,
        talkgroups: config.talkgroups.iter().map(talkgroup).collect(),
        peers: config.peers.iter().map(peer).collect(),
        bridges: config.bridges.iter().map(bridge).collect(),
        unit_rate_kbps: config.unit_rate_kbps,
    }
}

/// What the desk must know of it.
pub fn policy_of(config: &Config) -> Policy {
    let room = |tg: &config::Talkgroup| (tg.id.clone(), Room { send: tg.talk.clone(), retention: tg.retention });
    // The first gateway of an authority is the one whose outbox its messages wait in.
    let peers = config.peers.iter().rev().map(|peer| (peer.authority.clone(), peer.identity()));
    Policy {
        gateway: config.gateway.clone(),
        talkgroups: config.talkgroups.iter().map(room).collect(),
        peers: peers.collect(),
        codes: config.codes.iter().map(|map| ((map.from.clone(), map.to.clone()), map.codes.clone())).collect(),
    }
}

fn talkgroup(tg: &config::Talkgroup) -> plan::Talkgroup {
    plan::Talkgroup {
        id: tg.id.clone(),
        title: tg.title.to_string(),
        agency: tg.agency.to_string(),
        join: tg.join.clone(),
        talk: tg.talk.clone(),
        emergency: tg.emergency.clone(),
        peril: tg.peril.clone(),
        level_max: tg.level_max,
        timers: tg.timers,
    }
}

fn peer(peer: &config::Peer) -> plan::Peer {
    plan::Peer { authority: peer.authority.clone(), name: peer.name.clone(), rate_kbps: peer.rate_kbps }
}

fn bridge(bridge: &config::Bridge) -> plan::Bridge {
    let terms = &bridge.terms;
    let valid = (bridge.from.is_some() || bridge.until.is_some()).then(|| {
        let unix = |at: Option<time::OffsetDateTime>, open: i64| at.map_or(open, time::OffsetDateTime::unix_timestamp);
        (unix(bridge.from, i64::MIN), unix(bridge.until, i64::MAX))
    });
    plan::Bridge {
        agreement: terms.name.clone(),
        home: terms.home.clone(),
        partner: terms.partner.clone(),
        inbound: terms.inbound,
        outbound: terms.outbound,
        onward: terms.onward.clone(),
        valid,
    }
}

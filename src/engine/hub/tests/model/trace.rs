//! A counter-example in words: who does what, and what arrives where.

use wire::control::{Floor, FloorBody, Message};
use wire::datagram::Datagram;
use wire::{Authority, Identity};

use super::explore::{Action, Explorer, World};
use super::facts::TIERS;

impl Explorer {
    /// One line for what happened in a state.
    pub(super) fn word(&self, world: &World, action: Action) -> String {
        let facts = self.facts(world);
        let unit = |site: usize, unit: usize| &facts[site].units[unit].identity;
        let country = |link: usize, end: usize| self.country(Self::site_at(link, end));
        let way = |link: usize, from: usize| format!("{} -> {}:", country(link, from), country(link, 1 - from));
        match action {
            Action::Press { site, unit: u, tier } => format!("{} presses, {}", unit(site, u), TIERS[tier]),
            Action::KeyUp { site, unit: u } => format!("{} lets go", unit(site, u)),
            Action::Speak { site, unit: u } => format!("{} speaks a frame", unit(site, u)),
            Action::EndEmergency { site, unit: u } => format!("{} asks to end the emergency", unit(site, u)),
            Action::Fire { site } => format!("{}: {}", self.country(site), facts[site].timer.unwrap_or("no timer")),
            Action::Notice { link, session, end } => {
                let is_first = world.links[link].sessions[session].alive == [true; 2];
                let also = if is_first { "" } else { " as well" };
                format!("{} notices{also} that the link to {} is lost", country(link, end), country(link, 1 - end))
            }
            Action::Heal { link } => format!("{} and {} have a new session", country(link, 0), country(link, 1)),
            Action::Control { link, session, from } => {
                let packet = world.links[link].sessions[session].control[from][0];
                format!("{} {}", way(link, from), message(&self.pool.message(packet)))
            }
            Action::Frame { link, session, from, frame } => {
                let packet = world.links[link].sessions[session].datagrams[from][frame];
                let datagram = Datagram::decode(self.pool.bytes(packet)).unwrap().unwrap();
                let Datagram::Voice(voice) = datagram else { return format!("{} a copy of an emergency request", way(link, from)) };
                let speaker = String::from_utf8_lossy(&voice.payload);
                format!("{} frame {} of {}, spoken by {speaker}", way(link, from), voice.seq.0, voice.spurt)
            }
        }
    }

    fn country(&self, site: usize) -> Authority {
        self.peers()[site].authority.clone()
    }

    /// What every site believes at the end.
    pub(super) fn beliefs(&self, world: &World) -> Vec<String> {
        let beliefs = self.facts(world).into_iter().enumerate().map(|(site, facts)| {
            let talker = facts.talks.as_ref().map_or_else(|| "nobody".to_owned(), |talks| format!("{} under {}", talks.who, talks.spurt));
            let waiting: Vec<String> = facts.waiting.iter().map(Identity::to_string).collect();
            let units: Vec<String> = facts.units.iter().map(|unit| format!("{} {:?}", unit.identity, unit.state)).collect();
            let (country, mode, floor) = (self.country(site), facts.mode, facts.floor);
            format!("{country} ({mode:?}, {floor:?}): {talker} talks, {waiting:?} wait; {}", units.join(", "))
        });
        beliefs.collect()
    }
}

fn message(message: &Message) -> String {
    if let Message::Floor(Floor { party, body, .. }) = message {
        let whose = party.as_ref().map(|party| format!(" of {party}")).unwrap_or_default();
        return format!("{}{whose}", floor(body));
    }
    if let Message::Sync(sync) = message {
        let holder = sync.holder.as_ref().map(|holder| format!(", talker {} #{}", holder.talker.identity, holder.request));
        let emergency: String = sync.emergency.iter().map(|who| format!(", emergency of {who}")).collect();
        return format!("sync, epoch {}{}{emergency}", sync.epoch.0, holder.unwrap_or_default());
    }
    if let Message::EmergencyState { active, originator, .. } = message {
        return if *active { format!("emergency of {originator}") } else { format!("end of the emergency, by {originator}") };
    }
    if matches!(message, Message::Agreements(_)) { "agreements".into() } else { format!("{message:?}") }
}

fn floor(body: &FloorBody) -> String {
    match body {
        FloorBody::Request(m) if m.continuing.is_some() => format!("request #{} {}, continuing", m.request, m.priority.tier),
        FloorBody::Request(m) => format!("request #{} {}", m.request, m.priority.tier),
        FloorBody::Granted(m) => format!("granted #{} {}", m.request, m.spurt),
        FloorBody::Deny { request, cause } => format!("deny #{request} {cause}"),
        FloorBody::Queued { request, position } => format!("queued #{request} at {position}"),
        FloorBody::Taken(m) => format!("taken {} by {}", m.spurt, m.talker.identity),
        FloorBody::Idle(m) if m.followed => format!("idle {}, followed", m.spurt),
        FloorBody::Idle(m) => format!("idle {}", m.spurt),
        FloorBody::Release(m) => format!("release #{}", m.request),
        FloorBody::Revoke(m) => format!("revoke #{} {} {} ms", m.request, m.cause, m.grace_ms),
        FloorBody::Ack { request } => format!("ack #{request}"),
    }
}

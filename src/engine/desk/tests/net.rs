//! Gateways that are nothing but a desk and a ledger, terminals, and the wires between them, in virtual time.
//!
//! A ledger outlives its gateway, and a terminal remembers what it sent and what it has, as in the real world. Everything
//! between them is lost when a session ends or a gateway dies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wire::control::Talker;
use wire::data::{Content, Disposition, Message, MessageId, Report, Wanted};

use super::super::*;
use super::site::{Request, Site};

/// One terminal.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) who: Option<Talker>,
    pub(super) session: Option<(usize, SessionId)>,
    groups: Vec<TalkgroupId>,
    /// What it wants to send, the oldest first; goes when it is taken or refused for good.
    pub(super) outbox: VecDeque<(Recipient, Message)>,
    numbers: BTreeMap<Lane, u64>,
    under_way: BTreeMap<(Lane, u64), MessageId>,
    pub(super) taken: BTreeSet<MessageId>,
    pub(super) refused: Vec<(MessageId, Undelivered)>,
    has: BTreeSet<MessageId>,
    pub(super) inbox: Vec<(Message, Option<u16>)>,
    has_reports: BTreeSet<(MessageId, String, Disposition)>,
    pub(super) reports: Vec<Report>,
}

/// An agreement and which way it lets short data pass.
#[derive(Clone)]
pub(super) struct Treaty {
    pub(super) home: (usize, &'static str),
    pub(super) partner: (usize, &'static str),
    pub(super) from_home: bool,
    pub(super) from_partner: bool,
    pub(super) onward: Vec<&'static str>,
}

/// Who is at the other end of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Far {
    Unit(usize),
    Site(usize, SessionId),
}

/// All of them.
pub(super) struct Net {
    pub(super) sites: Vec<Site>,
    pub(super) units: Vec<Unit>,
    pub(super) treaties: Vec<Treaty>,
    pub(super) now: Now,
    /// By site and session: who hears what is said there.
    pub(super) ends: BTreeMap<(usize, SessionId), Far>,
    /// Items on their way out of a site, by session.
    pub(super) wires: BTreeMap<(usize, SessionId), VecDeque<(Lane, Item)>>,
    pub(super) deaths: usize,
    sessions: u64,
    messages: u64,
}

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn group(text: &str) -> TalkgroupId {
    text.parse().expect("a name")
}

pub(super) fn to(text: &str) -> Recipient {
    text.parse().expect("a name")
}

impl Net {
    /// Gateways of these authorities with these talkgroups, and no sessions.
    pub(super) fn new(sites: &[(&'static str, &[&str])]) -> Self {
        let now = Now { at: epoch(), ms: 1_800_000_000_000 };
        let sites = sites.iter().map(|(name, groups)| Site::new(name, groups, now));
        let (sites, ends, wires) = (sites.collect(), BTreeMap::new(), BTreeMap::new());
        Self { sites, units: Vec::new(), treaties: Vec::new(), now, ends, wires, deaths: 0, sessions: 0, messages: 0 }
    }

    /// Two countries, `nl/pol-1` home of `be/lux-3`, and a unit logged in on each side.
    pub(super) fn border() -> Self {
        let mut net = Self::countries();
        net.unit("nl/unit/maas-12", 0, &["nl/pol-1"]);
        net.unit("be/unit/lux-7", 1, &["be/lux-3"]);
        net.connect(0, 1);
        net
    }

    /// The same before anybody is there.
    pub(super) fn countries() -> Self {
        let mut net = Self::new(&[("nl", &["nl/pol-1"]), ("be", &["be/lux-3"])]);
        net.treaties.push(Treaty {
            home: (0, "nl/pol-1"),
            partner: (1, "be/lux-3"),
            from_home: true,
            from_partner: true,
            onward: Vec::new(),
        });
        (0..2).for_each(|site| net.tell_borders(site));
        net
    }

    // === Sessions ===

    fn session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }

    /// A unit that logs in at a site and joins talkgroups.
    pub(super) fn unit(&mut self, name: &str, site: usize, groups: &[&str]) -> usize {
        let who = Talker { identity: name.parse().expect("a name"), alias: "Alias".into(), agency: "agency".into() };
        self.units.push(Unit { who: Some(who), groups: groups.iter().map(|name| group(name)).collect(), ..Unit::default() });
        self.log_in(self.units.len() - 1, site);
        self.units.len() - 1
    }

    pub(super) fn log_in(&mut self, unit: usize, site: usize) {
        self.log_out(unit);
        let session = self.session();
        self.units[unit].session = Some((site, session));
        self.ends.insert((site, session), Far::Unit(unit));
        let (who, groups) = (self.units[unit].who.clone().expect("a name"), self.units[unit].groups.clone());
        self.sites[site].desk.handle_session_up(session, who, self.now);
        for group in &groups {
            self.sites[site].desk.handle_joined(session, group);
        }
    }

    pub(super) fn log_out(&mut self, unit: usize) {
        if let Some((site, session)) = self.units[unit].session.take() {
            self.close(site, session);
        }
    }

    /// Ends a session at both ends; what was on its way is lost.
    pub(super) fn close(&mut self, site: usize, session: SessionId) {
        self.wires.remove(&(site, session));
        self.sites[site].desk.handle_session_down(session);
        match self.ends.remove(&(site, session)) {
            Some(Far::Unit(unit)) => {
                let unit = &mut self.units[unit];
                (unit.session, unit.numbers, unit.under_way) = (None, BTreeMap::new(), BTreeMap::new());
            }
            Some(Far::Site(other, far)) => {
                self.wires.remove(&(other, far));
                self.ends.remove(&(other, far));
                self.sites[other].desk.handle_session_down(far);
                self.tell_borders(site);
                self.tell_borders(other);
            }
            None => {}
        }
    }

    /// Two gateways have a session.
    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let (near, far) = (self.session(), self.session());
        self.ends.insert((one, near), Far::Site(other, far));
        self.ends.insert((other, far), Far::Site(one, near));
        for (site, session, peer) in [(one, near, other), (other, far, one)] {
            let identity = self.sites[peer].policy.gateway.clone();
            let who = Talker { identity, alias: String::new(), agency: String::new() };
            self.sites[site].desk.handle_session_up(session, who, self.now);
        }
        self.tell_borders(one);
        self.tell_borders(other);
    }

    pub(super) fn cut(&mut self, one: usize, other: usize) {
        let between =
            |(key, far): (&(usize, SessionId), &Far)| (key.0 == one && matches!(far, Far::Site(site, _) if *site == other)).then_some(*key);
        if let Some((site, session)) = self.ends.iter().find_map(between) {
            self.close(site, session);
        }
    }

    pub(super) fn is_connected(&self, one: usize, other: usize) -> bool {
        self.ends.iter().any(|(key, far)| key.0 == one && matches!(far, Far::Site(site, _) if *site == other))
    }

    pub(super) fn tell_borders(&mut self, site: usize) {
        let borders = self.treaties.iter().filter(|treaty| treaty.home.0 == site || treaty.partner.0 == site).map(|treaty| {
            let is_home = treaty.home.0 == site;
            let (own, far) = if is_home { (treaty.home, treaty.partner) } else { (treaty.partner, treaty.home) };
            let (out, into) = if is_home { (treaty.from_home, treaty.from_partner) } else { (treaty.from_partner, treaty.from_home) };
            Border {
                far: self.sites[far.0].policy.gateway.authority.clone(),
                own_group: group(own.1),
                far_group: group(far.1),
                is_home,
                live: self.is_connected(site, far.0),
                out,
                into,
                onward: treaty.onward.iter().map(|name| name.parse().expect("a name")).collect(),
            }
        });
        let borders = borders.collect();
        self.sites[site].desk.handle_borders(borders, self.now);
    }

    /// The gateway dies.
    pub(super) fn kill(&mut self, site: usize) {
        let sessions: Vec<SessionId> = self.ends.keys().filter(|(at, _)| *at == site).map(|(_, session)| *session).collect();
        for session in sessions {
            self.close(site, session);
        }
        self.deaths += 1;
        self.sites[site].restart(self.now);
        self.tell_borders(site);
    }

    // === Sending ===

    /// A unit wants to send; the message goes when it can.
    pub(super) fn send(&mut self, unit: usize, recipient: &str, content: Content) -> MessageId {
        self.send_as(unit, recipient, |message| message.content = content)
    }

    pub(super) fn text(&mut self, unit: usize, recipient: &str) -> MessageId {
        self.send_as(unit, recipient, |_| {})
    }

    pub(super) fn send_as(&mut self, unit: usize, recipient: &str, change: impl FnOnce(&mut Message)) -> MessageId {
        self.messages += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.messages.to_be_bytes());
        let mut message = Message {
            id: MessageId(id),
            from: self.units[unit].who.clone().expect("a name"),
            to: to(recipient),
            sent_ms: self.now.ms,
            lifetime_s: 3_600,
            urgent: false,
            conversation: None,
            in_reply_to: None,
            wanted: Wanted { delivered: true, read: true },
            content: Content::Text(format!("message {}", self.messages)),
        };
        change(&mut message);
        let id = message.id;
        self.units[unit].outbox.push_back((message.to.clone(), message));
        id
    }

    /// A unit sends the first of what it has for each recipient that nothing is under way for.
    pub(super) fn unit_sends(&mut self, unit: usize) -> bool {
        let Unit { session: Some((site, session)), outbox, numbers, under_way, .. } = &mut self.units[unit] else { return false };
        let (site, session, mut blocked, mut items) = (*site, *session, BTreeSet::new(), Vec::new());
        for (recipient, message) in outbox.iter() {
            let is_first = blocked.insert(recipient.clone());
            if is_first && !under_way.values().any(|id| *id == message.id) {
                let lane = if message.urgent { Lane::Urgent } else { Lane::Routine };
                let number = numbers.entry(lane).or_default();
                *number += 1;
                under_way.insert((lane, *number), message.id);
                let envelope = Envelope { signed: message.encode(), signature: None, to: recipient.clone(), hops: 0, status: None };
                items.push((lane, Item { number: *number, body: Body::Message(Box::new(envelope)) }));
            }
        }
        let is_any = !items.is_empty();
        for (lane, item) in items {
            self.sites[site].desk.handle_item(session, lane, item, self.now);
        }
        is_any
    }

    /// A unit tells that a message was read.
    pub(super) fn read(&mut self, unit: usize, id: MessageId) {
        let Unit { session: Some((site, session)), numbers, who: Some(who), .. } = &mut self.units[unit] else { return };
        let number = numbers.entry(Lane::Routine).or_default();
        *number += 1;
        let about = Recipient::Identity(who.identity.clone());
        let report = Report { id, about, disposition: Disposition::Read, at_ms: self.now.ms };
        let item = Item { number: *number, body: Body::Report(report) };
        self.sites[*site].desk.handle_item(*session, Lane::Routine, item, self.now);
    }

    fn unit_hears(&mut self, unit: usize, site: usize, session: SessionId, lane: Lane, item: Item) {
        let place = &mut self.units[unit];
        match item.body {
            Body::Message(envelope) => {
                let message = envelope.open().expect("a message");
                if place.has.insert(message.id) {
                    place.inbox.push((message, envelope.status));
                }
            }
            Body::Report(report) => {
                if place.has_reports.insert((report.id, report.about.to_string(), report.disposition)) {
                    place.reports.push(report);
                }
            }
            Body::Certificate(_) => return,
            Body::Taken => {
                // What is no message was a report.
                if let Some(id) = place.under_way.remove(&(lane, item.number)) {
                    place.outbox.retain(|(_, message)| message.id != id);
                    place.taken.insert(id);
                }
                return;
            }
            Body::Refused(reason) => {
                let id = place.under_way.remove(&(lane, item.number)).expect("an item under way");
                if !reason.is_transient() {
                    place.outbox.retain(|(_, message)| message.id != id);
                }
                place.refused.push((id, reason));
                return;
            }
        }
        self.sites[site].desk.handle_item(session, lane, Item { number: item.number, body: Body::Taken }, self.now);
    }

    // === What goes on between them ===

    /// Carries out what a site has said.
    pub(super) fn carry_out(&mut self, site: usize) -> bool {
        let mut is_any = false;
        while let Some(output) = self.sites[site].desk.poll_output() {
            is_any = true;
            match output {
                Output::Item(session, lane, item) if self.ends.contains_key(&(site, session)) => {
                    self.wires.entry((site, session)).or_default().push_back((lane, item));
                }
                Output::Item(..) => {}
                Output::Write(token, write) => self.sites[site].requests.push_back((token, Request::Write(write))),
                Output::Ask(token, question) => self.sites[site].requests.push_back((token, Request::Ask(question))),
                Output::Close(session, _) => self.close(site, session),
            }
        }
        while let Some(event) = self.sites[site].desk.poll_event() {
            self.sites[site].events.push(event);
        }
        is_any
    }

    /// The disk does so many requests, one after the other.
    pub(super) fn disk(&mut self, site: usize, most: usize) -> bool {
        self.sites[site].disk(most)
    }

    /// So many replies of the disk reach the desk.
    pub(super) fn replies(&mut self, site: usize, most: usize) -> bool {
        let count = self.sites[site].replies.len().min(most);
        for _ in 0..count {
            let Some((token, reply)) = self.sites[site].replies.pop_front() else { break };
            self.sites[site].desk.handle_reply(token, reply, self.now);
        }
        count > 0
    }

    /// The oldest item of a wire arrives.
    pub(super) fn deliver(&mut self, from: (usize, SessionId)) -> bool {
        let Some((lane, item)) = self.wires.get_mut(&from).and_then(VecDeque::pop_front) else { return false };
        match self.ends.get(&from) {
            Some(Far::Unit(unit)) => self.unit_hears(*unit, from.0, from.1, lane, item),
            Some(Far::Site(site, session)) => self.sites[*site].desk.handle_item(*session, lane, item, self.now),
            None => {}
        }
        true
    }

    /// Until nothing happens any more without time.
    pub(super) fn settle(&mut self) {
        loop {
            let mut is_any = false;
            for unit in 0..self.units.len() {
                // Refused for now: it waits for time, as a person does.
                let waits = self.units[unit]
                    .outbox
                    .front()
                    .is_some_and(|(_, message)| self.units[unit].refused.iter().any(|(id, _)| *id == message.id));
                is_any |= !waits && self.unit_sends(unit);
            }
            for site in 0..self.sites.len() {
                is_any |= self.carry_out(site) | self.disk(site, usize::MAX) | self.replies(site, usize::MAX);
            }
            let wires: Vec<(usize, SessionId)> = self.wires.keys().copied().collect();
            for wire in wires {
                while self.deliver(wire) {
                    is_any = true;
                }
            }
            if !is_any {
                return;
            }
        }
    }

    /// Time passes, deadline by deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.at + time;
        loop {
            self.settle();
            let next = self.sites.iter().filter_map(|site| site.desk.poll_timeout()).map(|(at, _)| at).min().filter(|at| *at < end);
            let to = next.unwrap_or(end).max(self.now.at);
            self.now.ms += u64::try_from((to - self.now.at).as_millis()).expect("a time");
            self.now.at = to;
            if next.is_none() {
                return self.settle();
            }
            for site in &mut self.sites {
                site.desk.handle_timeout(self.now);
            }
        }
    }

    // === Looking ===

    /// What a unit has, in the order in which it came.
    pub(super) fn inbox(&self, unit: usize) -> Vec<MessageId> {
        self.units[unit].inbox.iter().map(|(message, _)| message.id).collect()
    }

    /// What a unit was told of its messages.
    pub(super) fn reports(&self, unit: usize) -> Vec<(MessageId, String, Disposition)> {
        self.units[unit].reports.iter().map(|report| (report.id, report.about.to_string(), report.disposition)).collect()
    }

    /// Entries on the disk of a site.
    pub(super) fn entries(&mut self, site: usize) -> u64 {
        self.sites[site].ledger.depth().expect("a depth").entries
    }
}

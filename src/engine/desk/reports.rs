//! What became of a message, on its way back to its sender.
//!
//! | what happened here | report | to |
//! |---|---|---|
//! | a unit has it safe | *delivered*, if it was wanted and the message was for this unit alone | whom the message came from |
//! | a unit says that it was read | *read*, of a message for this unit alone | the same |
//! | nobody will have it any more, or its receiver refuses it for good | *undelivered* and why; not of a member of a talkgroup | the same |
//! | a peer brings a report | as it came, if it may speak for whom it is about | the same |
//!
//! *Whom the message came from* is the sender, or the gateway before ([`Known::back`]). A report that came is passed on once: it is
//! remembered like a message, under an id made of all that it says.

use wire::data::keep::{Entry, Known, Load, Waiting, sum};
use wire::data::{Disposition, Message, MessageId, Recipient, Report, Undelivered};
use wire::{Authority, Identity, Kind};

use super::intake::{Claim, REMEMBER_MS};
use super::jobs::{Filing, Unanswered};
use super::output::{Event, Letter};
use super::{Desk, Now, Seals};

/// How long a report waits for its reader: as long as the longest message.
const REPORT_MS: u64 = wire::data::LIFETIME_MAX_S as u64 * 1_000;

/// What happens when it is known whether an id is known.
#[derive(Debug)]
pub(super) enum LookUp {
    /// A message is refused for good, unless it was taken before.
    Refusal { to: Unanswered, claim: Claim, reason: Undelivered },
    /// A report came.
    Report { to: Unanswered, from: Identity, report: Report },
    /// An entry is taken out, and that is told.
    Settle { waiting: Box<Waiting>, disposition: Disposition },
}

impl<S: Seals> Desk<S> {
    // === What happened here ===

    /// The receiver has an entry.
    pub(super) fn arrived(&mut self, waiting: Waiting, who: &Identity, now: Now) {
        let is_for_it_alone = waiting.entry.outbox == Recipient::Identity(who.clone()) && who.kind != Kind::Gateway;
        let message = waiting.kept.as_ref().and_then(|kept| Message::decode(&kept.signed).ok());
        if is_for_it_alone && message.is_some_and(|message| message.wanted.delivered) {
            self.settle(waiting, Some(Disposition::Delivered), now);
        } else {
            self.settle(waiting, None, now);
        }
    }

    /// The receiver never will.
    pub(super) fn never_arrives(&mut self, waiting: Waiting, reason: Undelivered, now: Now) {
        match (&waiting.entry.outbox, &waiting.entry.load) {
            (Recipient::Identity(_), Load::Message { id, to, .. }) => {
                let letter = Letter { id: *id, sender: waiting.entry.sender.clone(), about: to.clone(), reason };
                self.out.event(Event::Undelivered(letter));
                self.settle(waiting, Some(Disposition::Undelivered(reason)), now);
            }
            // What was in a talkgroup for its time has been there, and nobody is told what became of a report.
            (Recipient::Talkgroup(_), _) | (_, Load::Report(_)) => self.settle(waiting, None, now),
        }
    }

    /// Takes an entry out, once, and tells its sender if there is something to tell.
    fn settle(&mut self, waiting: Waiting, disposition: Option<Disposition>, now: Now) {
        if !self.settling.insert(waiting.number) {
            return;
        }
        match disposition {
            None => {
                let settles = vec![(waiting.number, Some(waiting.entry.outbox))];
                self.file(Filing { settles, ..Filing::default() });
            }
            Some(disposition) => {
                let id = waiting.entry.load.id();
                self.look_up(id, LookUp::Settle { waiting: Box::new(waiting), disposition }, now);
            }
        }
    }

    // === What comes ===

    pub(super) fn take_report(&mut self, to: Unanswered, report: Report, now: Now) {
        let Some(from) = self.sessions.get(&to.session).map(|entry| entry.who.identity.clone()) else { return };
        let is_own_word = report.about == Recipient::Identity(from.clone()) && report.disposition == Disposition::Read;
        if from.kind != Kind::Gateway && !is_own_word {
            return self.refuse(to, &from, Undelivered::NotAuthentic);
        }
        self.look_up(report.id, LookUp::Report { to, from, report }, now);
    }

    /// Whether who brings a report may say that of the message.
    fn may_say(&self, from: &Identity, report: &Report, known: &Known) -> bool {
        let is_about_recipient = match &report.about {
            Recipient::Identity(_) => report.about == known.recipient,
            Recipient::Talkgroup(_) => matches!(known.recipient, Recipient::Talkgroup(_)),
        };
        let speaks = from.kind != Kind::Gateway || self.may_speak_for(&from.authority, report.about.authority());
        is_about_recipient && speaks && known.back != *from
    }

    fn may_speak_for(&self, peer: &Authority, authority: &Authority) -> bool {
        let passes_on = |border: &&crate::plan::Border| border.far == *peer && !border.is_home && border.onward.contains(authority);
        peer == authority || self.borders.iter().any(|border| passes_on(&border))
    }

    // === Once the id is looked up ===

    pub(super) fn looked_up(&mut self, look: LookUp, known: Option<Known>, now: Now) {
        match (look, known) {
            (LookUp::Refusal { to, claim, reason }, known) => match known {
                Some(known) if known.digest == claim.digest && known.sender == claim.sender => self.answer(to, Ok(())),
                Some(_) | None => self.refuse(to, &claim.sender, reason),
            },
            (LookUp::Report { to, from, report }, Some(known)) if self.may_say(&from, &report, &known) => {
                let until_ms = now.ms + REPORT_MS + REMEMBER_MS;
                let (sender, recipient, back) = (known.sender.clone(), report.about.clone(), known.back.clone());
                let remember = Known { id: name_of(&report), sender, recipient, back, digest: 0, until_ms };
                let puts = vec![back_to(&known, report, to.lane.is_urgent(), now)];
                self.file(Filing { to: Some(to), remember: Some(remember), puts, ..Filing::default() });
            }
            // Forgotten, or not theirs to say: nobody waits for it.
            (LookUp::Report { to, .. }, _) => self.answer(to, Ok(())),
            (LookUp::Settle { waiting, disposition }, known) => {
                let about = match waiting.entry.load {
                    Load::Message { to, .. } => to,
                    Load::Report(report) => report.about,
                };
                let report = |known: Known| {
                    let report = Report { id: known.id, about, disposition, at_ms: now.ms };
                    back_to(&known, report, waiting.entry.urgent, now)
                };
                let settles = vec![(waiting.number, Some(waiting.entry.outbox))];
                self.file(Filing { puts: known.map(report).into_iter().collect(), settles, ..Filing::default() });
            }
        }
    }

    /// The disk did not say whether an id is known: who waits may try again, what is in an outbox stays there.
    pub(super) fn cannot_look(&mut self, look: LookUp) {
        match look {
            LookUp::Refusal { to, .. } | LookUp::Report { to, .. } => self.answer(to, Err(Undelivered::StoreFailed)),
            LookUp::Settle { waiting, .. } => {
                self.settling.remove(&waiting.number);
            }
        }
    }
}

/// A report for whom the message came from.
fn back_to(known: &Known, report: Report, urgent: bool, now: Now) -> Entry {
    Entry {
        outbox: Recipient::Identity(known.back.clone()),
        urgent,
        sender: known.sender.clone(),
        expires_ms: now.ms + REPORT_MS,
        load: Load::Report(report),
    }
}

/// A report's own id: all that tells it from another one, in short.
fn name_of(report: &Report) -> MessageId {
    let disposition = match report.disposition {
        Disposition::Undelivered(_) => b"undelivered".as_slice(),
        Disposition::Delivered => b"delivered",
        Disposition::Read => b"read",
    };
    let about = report.about.to_string();
    let half = |salt: &[u8]| sum(&[salt, &report.id.0, about.as_bytes(), disposition]).to_be_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half(b"report"));
    id[8..].copy_from_slice(&half(b"of what became"));
    MessageId(id)
}

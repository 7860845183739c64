//! The mailbox over a real folder, beside a gateway that is a few lines.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use transport::link::Ahead;
use wire::control::Talker;
use wire::data::{
    Body, Content, Disposition, Envelope, Item, LIFETIME_MAX_S, Lane, Message, MessageId, Recipient, Report, Undelivered, Wanted,
};
use wire::{Identity, Reason};

use super::{Done, Draft, KNOWN_MS, Mail, Mailbox, SendError};

const NOW_MS: u64 = 1_800_000_000_000;
const ALL: Wanted = Wanted { delivered: true, read: true };

fn me() -> Identity {
    "nl/unit/maas-12".parse().unwrap()
}

fn id(byte: u8) -> MessageId {
    MessageId([byte; 16])
}

fn far() -> Recipient {
    "be/unit/lux-7".parse().unwrap()
}

fn draft(to: &str) -> Draft {
    let (to, content) = (to.parse().unwrap(), Content::Status(1));
    Draft { to, content, urgent: false, wanted: ALL, lifetime_s: 60, conversation: None, in_reply_to: None }
}

/// A message as the gateway delivers it.
fn delivery(number: u64, byte: u8) -> Item {
    let from = Talker { identity: "be/unit/lux-7".parse().unwrap(), alias: "Lux 7".into(), agency: String::new() };
    let message = Message {
        id: id(byte),
        from,
        to: "nl/unit/maas-12".parse().unwrap(),
        sent_ms: NOW_MS,
        lifetime_s: 60,
        urgent: false,
        conversation: None,
        in_reply_to: None,
        wanted: ALL,
        content: Content::Text("hello".into()),
    };
    let (signed, to) = (message.encode(), message.to);
    Item { number, body: Body::Message(Box::new(Envelope { signed, signature: None, to, hops: 0, status: None })) }
}

/// A mailbox and its folder; with `welcomed` a gateway.
struct Bench {
    folder: TempDir,
    mailbox: Mailbox,
    now: Instant,
    ms: u64,
}

impl Bench {
    fn new(shows: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = Mailbox::open(me(), Some(folder.path()), shows, NOW_MS).unwrap();
        Self { folder, mailbox, now: Instant::now(), ms: NOW_MS }
    }

    /// The process dies, and another begins.
    fn restarted(self, shows: bool) -> Self {
        let Self { folder, mailbox, now, ms } = self;
        drop(mailbox);
        let mailbox = Mailbox::open(me(), Some(folder.path()), shows, ms).unwrap();
        Self { folder, mailbox, now, ms }
    }

    fn welcomed(mut self) -> Self {
        self.mailbox.handle_session_up(true, self.now);
        assert_eq!(self.mailbox.mail.pop_back(), Some(Mail::Ready));
        self
    }

    fn write(&mut self) {
        while let Some(job) = self.mailbox.poll_write(self.ms) {
            self.mailbox.handle_written(job.run());
        }
    }

    fn send(&mut self, to: &str, byte: u8) {
        self.mailbox.send(draft(to), id(byte), self.now, self.ms).unwrap();
    }

    /// Everything that goes out now.
    fn sent(&mut self) -> Vec<(Lane, Item)> {
        let next = || {
            let (lane, frame) = self.mailbox.poll_transmit(&Ahead::default(), self.now, self.ms)?;
            Some((lane, Item::decode(&frame[4..]).unwrap().unwrap()))
        };
        std::iter::from_fn(next).collect()
    }

    /// The ids of messages that go out now, with their numbers.
    fn sent_ids(&mut self) -> Vec<(u64, MessageId)> {
        let id_of = |item: Item| {
            let Body::Message(envelope) = item.body else { panic!("{:?}", item.body) };
            (item.number, envelope.open().unwrap().id)
        };
        self.sent().into_iter().map(|(_, item)| id_of(item)).collect()
    }

    fn hears(&mut self, item: Item) {
        assert_eq!(self.mailbox.handle_item(Lane::Routine, item, self.now, self.ms), Ok(()));
    }

    fn answers(&mut self, number: u64, body: Body) {
        self.hears(Item { number, body });
    }

    fn mail(&mut self) -> Vec<Mail> {
        std::iter::from_fn(|| self.mailbox.poll_mail()).collect()
    }

    /// Ids of the messages that are shown now.
    fn shown(&mut self) -> Vec<MessageId> {
        self.mail().into_iter().filter_map(|mail| if let Mail::Message(message, ..) = mail { Some(message.id) } else { None }).collect()
    }

    fn pass(&mut self, time: Duration) {
        (self.now, self.ms) = (self.now + time, self.ms + u64::try_from(time.as_millis()).unwrap());
        self.mailbox.handle_timeout(self.now, self.ms).unwrap();
    }
}

fn taken(number: u64) -> (Lane, Item) {
    (Lane::Routine, Item { number, body: Body::Taken })
}

#[test]
fn a_message_goes_once_it_is_on_the_disk_and_until_the_gateway_answers_for_it() {
    let mut bench = Bench::new(false).welcomed();
    bench.send("be/unit/lux-7", 1);
    assert_eq!(bench.sent(), []);
    bench.write();
    assert_eq!(bench.sent_ids(), [(1, id(1))]);
    // Neither a restart nor a session that ends loses it.
    let mut bench = bench.restarted(false).welcomed();
    assert_eq!(bench.sent_ids(), [(1, id(1))]);
    bench.mailbox.handle_session_down();
    let mut bench = bench.welcomed();
    assert_eq!(bench.sent_ids(), [(1, id(1))]);
    bench.answers(1, Body::Taken);
    assert_eq!(bench.mail(), [Mail::Accepted(id(1))]);
    bench.write();
    assert!(bench.mailbox.is_settled());
    let mut bench = bench.restarted(false).welcomed();
    assert_eq!(bench.sent(), []);
    // Numbers go on, so that nothing is taken for something else.
    bench.send("be/unit/lux-7", 2);
    bench.write();
    assert_eq!(bench.sent_ids(), [(1, id(2))]);
}

#[test]
fn to_one_recipient_one_message_is_under_way_and_to_another_at_once() {
    let mut bench = Bench::new(false).welcomed();
    for (to, byte) in [("be/unit/lux-7", 1), ("be/unit/lux-7", 2), ("nl/pol-1", 3)] {
        bench.send(to, byte);
    }
    bench.write();
    assert_eq!(bench.sent_ids(), [(1, id(1)), (2, id(3))]);
    bench.answers(1, Body::Refused(Undelivered::QueueFull));
    assert_eq!((bench.mail(), bench.sent()), (vec![Mail::Waiting(id(1), Undelivered::QueueFull)], vec![]));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.sent_ids(), [(3, id(1))]);
    bench.answers(3, Body::Refused(Undelivered::BridgeForbids));
    assert_eq!(bench.mail(), [Mail::Undelivered(id(1), None, Undelivered::BridgeForbids)]);
    assert_eq!(bench.sent_ids(), [(4, id(2))]);
}

#[test]
fn what_no_gateway_took_in_its_lifetime_is_told_and_what_may_have_been_taken_is_not() {
    let mut bench = Bench::new(false).welcomed();
    bench.send("be/unit/lux-7", 1);
    bench.send("be/unit/lux-7", 2);
    bench.write();
    assert_eq!(bench.sent_ids(), [(1, id(1))]);
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.mail(), []);
    // The first one's session would end for want of an answer at 60 s.
    (bench.now, bench.ms) = (bench.now + Duration::from_millis(500), bench.ms + 1_000);
    bench.mailbox.sweep(bench.ms);
    assert_eq!(bench.mail(), [Mail::Undelivered(id(2), None, Undelivered::Expired)]);
    bench.answers(1, Body::Taken);
    assert_eq!((bench.mail(), bench.sent()), (vec![Mail::Accepted(id(1))], vec![]));
}

#[test]
fn a_message_is_answered_for_once_it_is_on_the_disk_and_shown_once() {
    let mut bench = Bench::new(true).welcomed();
    bench.hears(delivery(1, 1));
    bench.hears(delivery(2, 1));
    assert_eq!((bench.sent(), bench.shown()), (vec![], vec![]));
    bench.write();
    assert_eq!((bench.sent(), bench.shown()), (vec![taken(1), taken(2)], vec![id(1)]));

    // It dies before anybody saw it; then after.
    let mut bench = bench.restarted(false).welcomed();
    assert_eq!(bench.shown(), [], "a command that shows nothing");
    let mut bench = bench.restarted(true).welcomed();
    assert_eq!(bench.shown(), [id(1)]);
    bench.mailbox.shown(id(1), bench.ms);
    bench.mailbox.shown(id(1), bench.ms);
    bench.write();
    let mut bench = bench.restarted(true).welcomed();
    assert_eq!(bench.shown(), []);
    // The gateway did not hear the answer. And the sender hears that it was read.
    let report = Report { id: id(1), about: Recipient::Identity(me()), disposition: Disposition::Read, at_ms: NOW_MS };
    assert_eq!(bench.sent(), [(Lane::Routine, Item { number: 1, body: Body::Report(report) })]);
    bench.hears(delivery(1, 1));
    assert_eq!((bench.sent(), bench.shown()), (vec![taken(1)], vec![]));
}

#[test]
fn ids_are_known_for_longer_than_a_copy_can_be_under_way_and_not_for_ever() {
    assert!(KNOWN_MS > u64::from(LIFETIME_MAX_S) * 1_000);
    let mut bench = Bench::new(true).welcomed();
    bench.hears(delivery(1, 1));
    bench.write();
    bench.mailbox.shown(id(1), bench.ms);
    bench.write();
    bench.ms += KNOWN_MS - 1;
    let mut bench = bench.restarted(true);
    assert_eq!(bench.mailbox.state.known.len(), 1);
    bench.ms += 1;
    assert!(bench.restarted(true).mailbox.state.known.is_empty());
}

#[test]
fn reports_are_told_once_over_restarts() {
    let report = |number, disposition| {
        let body = Body::Report(Report { id: id(1), about: far(), disposition, at_ms: NOW_MS });
        Item { number, body }
    };
    let mut bench = Bench::new(false).welcomed();
    bench.hears(report(1, Disposition::Delivered));
    assert_eq!(bench.mail(), []);
    bench.write();
    assert_eq!((bench.mail(), bench.sent()), (vec![Mail::Delivered(id(1), far())], vec![taken(1)]));
    let mut bench = bench.restarted(false).welcomed();
    bench.hears(report(1, Disposition::Delivered));
    bench.hears(report(2, Disposition::Read));
    bench.hears(report(3, Disposition::Undelivered(Undelivered::Expired)));
    bench.write();
    assert_eq!(bench.mail(), [Mail::Read(id(1), far()), Mail::Undelivered(id(1), Some(far()), Undelivered::Expired)]);
    assert_eq!(bench.sent(), [taken(1), taken(2), taken(3)]);
}

#[test]
fn a_disk_that_fails_ends_all_promises() {
    let mut bench = Bench::new(true).welcomed();
    bench.hears(delivery(1, 1));
    let job = bench.mailbox.poll_write(bench.ms).unwrap();
    // Comes in while the disk works.
    bench.hears(delivery(2, 2));
    bench.mailbox.handle_written(Done { journal: job.journal, result: Err(std::io::Error::other("no")) });
    assert_eq!(bench.mail(), [Mail::Failed("no".to_owned())]);
    bench.hears(delivery(3, 3));
    let refused = |number| (Lane::Routine, Item { number, body: Body::Refused(Undelivered::StoreFailed) });
    assert_eq!(bench.sent(), [refused(1), refused(2), refused(3)]);
    assert_eq!(bench.mailbox.send(draft("nl/pol-1"), id(9), bench.now, bench.ms), Err(SendError::Failed));
    assert!(bench.mailbox.is_settled());
}

#[test]
fn what_nobody_shows_and_no_folder_keeps_is_left_at_the_gateway() {
    for (shows, body) in [(false, Body::Refused(Undelivered::QueueFull)), (true, Body::Taken)] {
        let mut bench = Bench::new(shows);
        bench.mailbox = Mailbox::open(me(), None, shows, NOW_MS).unwrap();
        let mut bench = bench.welcomed();
        bench.hears(delivery(1, 1));
        assert_eq!(bench.sent(), [(Lane::Routine, Item { number: 1, body })]);
        assert_eq!(bench.shown().len(), usize::from(shows));
        // Without a folder a message goes at once.
        bench.send("nl/pol-1", 2);
        assert_eq!(bench.sent_ids(), [(1, id(2))]);
    }
}

#[test]
fn numbers_that_do_not_rise_by_one_and_answers_to_nothing_end_the_session() {
    for item in [delivery(2, 1), delivery(0, 1), Item { number: 1, body: Body::Taken }] {
        let mut bench = Bench::new(true).welcomed();
        assert_eq!(bench.mailbox.handle_item(Lane::Routine, item, bench.now, bench.ms), Err(Reason::ProtocolViolation));
    }
}

#[test]
fn a_journal_that_has_grown_long_is_written_anew_and_says_the_same() {
    let mut bench = Bench::new(true).welcomed();
    bench.send("nl/pol-1", 200);
    bench.write();
    for round in 0..400_u64 {
        let mut item = delivery(round + 1, 1);
        let Body::Message(envelope) = &mut item.body else { panic!("a message") };
        let mut message = envelope.open().unwrap();
        message.id = MessageId::new(round, [0; 10]);
        message.content = Content::Text("x".repeat(4_000));
        envelope.signed = message.encode();
        bench.hears(item);
        bench.write();
        bench.mailbox.shown(message.id, bench.ms);
        bench.write();
    }
    let length = std::fs::metadata(bench.folder.path().join("messages")).unwrap().len();
    assert!(length < 1_200_000, "{length}");
    let before = bench.mailbox.state.clone();
    let after = bench.restarted(true).mailbox.state;
    assert_eq!((after.out.len(), after.came, after.known), (before.out.len(), before.came, before.known));
}

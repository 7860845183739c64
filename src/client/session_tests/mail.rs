//! A unit with a mailbox against a gateway of a few lines, over real QUIC and a real folder in virtual time.

use wire::data::{self, Body, Content, Disposition, Envelope, Item, Lane, MessageId, Report, Wanted};

use super::*;
use crate::{Draft, Mail, Mailbox};

/// The gateway's data streams on the routine lane.
struct Post {
    session: Session,
    into: Option<quinn::RecvStream>,
    out: Option<quinn::SendStream>,
    decoder: data::Decoder,
}

impl Post {
    /// Welcomes the next unit, with these capabilities.
    async fn welcomed(endpoint: &Endpoint, capabilities: Vec<u32>) -> Self {
        let mut session = Session::accept(endpoint).await;
        session.connection.quic.set_max_concurrent_uni_streams(4_u32.into());
        let gateway = "nl/gateway/gw-1".parse().unwrap();
        session.say(Message::Welcome(Welcome { version: 1, capabilities, gateway })).await;
        Self { session, into: None, out: None, decoder: data::Decoder::default() }
    }

    async fn next(&mut self) -> Item {
        let quic = self.session.connection.quic.clone();
        let read = async {
            if self.into.is_none() {
                let mut stream = quic.accept_uni().await.unwrap();
                let mut lane = [0];
                stream.read_exact(&mut lane).await.unwrap();
                assert_eq!(Lane::from_byte(lane[0]), Some(Lane::Routine));
                self.into = Some(stream);
            }
            loop {
                if let Some(item) = self.decoder.next_item().unwrap() {
                    return item;
                }
                let chunk = self.into.as_mut().unwrap().read_chunk(1_000, true).await.unwrap().expect("an open stream");
                self.decoder.push(&chunk.bytes);
            }
        };
        timeout(Duration::from_secs(10), read).await.expect("an item")
    }

    async fn say(&mut self, number: u64, body: Body) {
        if self.out.is_none() {
            let mut stream = self.session.connection.quic.open_uni().await.unwrap();
            stream.write_all(&[Lane::Routine.to_byte()]).await.unwrap();
            self.out = Some(stream);
        }
        self.out.as_mut().unwrap().write_all(&Item { number, body }.encode()).await.unwrap();
    }
}

async fn mail(unit: &mut Unit) -> Mail {
    loop {
        let happened = timeout(Duration::from_secs(10), unit.events.recv()).await.expect("mail").expect("the unit lives");
        if let What::Mail(mail) = happened.what {
            return mail;
        }
    }
}

fn start(scene: &Scene, folder: &std::path::Path, shows: bool) -> Unit {
    let mailbox = Mailbox::open("nl/unit/maas-12".parse().unwrap(), Some(folder), shows, 0).unwrap();
    Unit::start_with(scene.settings(&["10.0.0.1:7001"]), mailbox, Arc::new(scene.sockets(UNIT)), 3, Arc::clone(&scene.clock))
}

/// A unit with a mailbox in that folder, joined to a gateway with short data.
async fn joined(scene: &Scene, port: &Endpoint, folder: &std::path::Path, shows: bool) -> (Unit, Post) {
    let mut unit = start(scene, folder, shows);
    let post = Post::welcomed(port, vec![wire::SHORT_DATA]).await;
    assert_eq!(mail(&mut unit).await, Mail::Ready);
    (unit, post)
}

fn draft(content: Content) -> Draft {
    let to = "be/unit/lux-7".parse().unwrap();
    let wanted = Wanted { delivered: true, read: false };
    Draft { to, content, urgent: false, wanted, lifetime_s: 3_600, conversation: None, in_reply_to: None }
}

fn message_of(item: &Item) -> data::Message {
    let Body::Message(envelope) = &item.body else { panic!("{item:?}") };
    envelope.open().unwrap()
}

#[test]
fn a_message_goes_is_accepted_and_its_report_is_told() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let port = scene.gateway("10.0.0.1:7001");
        let (mut unit, mut post) = joined(&scene, &port, folder.path(), false).await;
        let id = unit.handle.send(draft(Content::Text("x".repeat(4_096)))).await.unwrap();
        let item = post.next().await;
        assert_eq!((item.number, message_of(&item).id), (1, id));
        post.say(1, Body::Taken).await;
        assert_eq!(mail(&mut unit).await, Mail::Accepted(id));
        let report = Report { id, about: "be/unit/lux-7".parse().unwrap(), disposition: Disposition::Delivered, at_ms: 1 };
        post.say(1, Body::Report(report)).await;
        assert_eq!(mail(&mut unit).await, Mail::Delivered(id, "be/unit/lux-7".parse().unwrap()));
        assert_eq!(post.next().await, Item { number: 1, body: Body::Taken });
    });
}

#[test]
fn what_a_gateway_took_from_a_unit_that_died_it_takes_again_under_the_same_id() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let port = scene.gateway("10.0.0.1:7001");
        let (mut unit, mut post) = joined(&scene, &port, folder.path(), false).await;
        let id = unit.handle.send(draft(Content::Status(7))).await.unwrap();
        assert_eq!(message_of(&post.next().await).id, id);
        // Its answer is never heard.
        unit.handle.close().await;
        while unit.events.recv().await.is_some() {}
        let (mut unit, mut post) = joined(&scene, &port, folder.path(), false).await;
        assert_eq!(message_of(&post.next().await).id, id);
        post.say(1, Body::Taken).await;
        assert_eq!(mail(&mut unit).await, Mail::Accepted(id));
    });
}

#[test]
fn a_message_is_answered_for_shown_and_not_shown_again_by_the_next_process() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let port = scene.gateway("10.0.0.1:7001");
        let message = data::Message {
            id: MessageId([5; 16]),
            from: Talker { identity: "be/unit/lux-7".parse().unwrap(), alias: "Lux 7".into(), agency: "police".into() },
            to: "nl/unit/maas-12".parse().unwrap(),
            sent_ms: 1,
            lifetime_s: 60,
            urgent: false,
            conversation: None,
            in_reply_to: None,
            wanted: Wanted { delivered: true, read: true },
            content: Content::Status(3),
        };
        let (signed, to) = (message.encode(), message.to.clone());
        let delivery =
            || Body::Message(Box::new(Envelope { signed: signed.clone(), signature: None, to: to.clone(), hops: 0, status: Some(9) }));
        for first in [true, false] {
            let (mut unit, mut post) = joined(&scene, &port, folder.path(), true).await;
            post.say(1, delivery()).await;
            assert_eq!(post.next().await, Item { number: 1, body: Body::Taken });
            if first {
                assert_eq!(mail(&mut unit).await, Mail::Message(Box::new(message.clone()), to.clone(), Some(9)));
                unit.handle.shown(message.id).await;
                let Item { number: 1, body: Body::Report(report) } = post.next().await else { panic!("no report") };
                assert_eq!((report.id, report.disposition), (message.id, Disposition::Read));
                post.say(1, Body::Taken).await;
            }
            unit.handle.close().await;
            while let Some(happened) = unit.events.recv().await {
                assert!(!matches!(happened.what, What::Mail(Mail::Message(..))), "shown again");
            }
        }
    });
}

#[test]
fn a_gateway_without_short_data_is_told_of_and_sent_nothing() {
    clock::run(BUDGET, async {
        let scene = Scene::new();
        let folder = tempfile::tempdir().unwrap();
        let port = scene.gateway("10.0.0.1:7001");
        let mut unit = start(&scene, folder.path(), true);
        let post = Post::welcomed(&port, Vec::new()).await;
        assert_eq!(mail(&mut unit).await, Mail::NotOffered);
        unit.handle.send(draft(Content::Status(7))).await.unwrap();
        assert!(timeout(Duration::from_secs(5), post.session.connection.quic.accept_uni()).await.is_err());
        // And a unit without a mailbox does not offer it.
        let mut unit = scene.unit(&["10.0.0.1:7001"]);
        let connection = port.accept().await.unwrap().complete().await.unwrap();
        let (send, recv) = connection.accept_control().await.unwrap();
        let mut session = Session { connection, send, recv, decoder: Decoder::default() };
        let Message::Hello(hello) = session.next().await else { panic!("no hello") };
        assert!(hello.capabilities.is_empty());
        unit.handle.close().await;
        unit.events.close();
    });
}

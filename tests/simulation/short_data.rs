//! Short data through real gateways, links and stores, by bare terminals: taken, across the border, delivered, reported; and not
//! where nobody keeps it.

use std::time::Duration;

use quinn::VarInt;
use tokio::time::timeout;
use wire::SHORT_DATA;
use wire::control::{Hello, Message as Control, Talker};
use wire::data::{Body, Content, Decoder, Disposition, Envelope, Item, Lane, Message, MessageId, Recipient, Report, Undelivered, Wanted};

use crate::support::World;
use crate::support::raw::Raw;
use crate::support::scene;

/// Far longer than anything takes: the disk's time is real, and virtual time runs ahead of it.
const SOON: Duration = Duration::from_secs(600);

/// A terminal that knows short data.
struct Terminal {
    raw: Raw,
    name: String,
    out: quinn::SendStream,
    inward: Option<(quinn::RecvStream, Decoder)>,
    number: u64,
}

impl Terminal {
    async fn log_in(world: &mut World, code: &str, name: &str) -> Self {
        let mut raw = world.raw(code, name).await;
        raw.connection.quic.set_max_concurrent_uni_streams(VarInt::from_u32(2));
        raw.message(&Control::Hello(Hello::knowing(&[SHORT_DATA]))).await;
        let capabilities =
            raw.receive(|message| if let Control::Welcome(welcome) = message { Some(welcome.capabilities) } else { None }).await;
        assert_eq!(capabilities, [SHORT_DATA]);
        let talkgroup = if code == "nl" { "nl/pol-1" } else { "be/lux-3" };
        raw.message(&Control::Affiliate(talkgroup.parse().expect("a talkgroup"))).await;
        raw.receive(|message| matches!(message, Control::Affiliated(_)).then_some(())).await;
        let mut out = raw.connection.quic.open_uni().await.expect("a stream");
        out.write_all(&[Lane::Routine.to_byte()]).await.expect("a live connection");
        Self { raw, name: format!("{code}/unit/{name}"), out, inward: None, number: 0 }
    }

    async fn say(&mut self, body: Body, number: u64) {
        self.out.write_all(&Item { number, body }.encode()).await.expect("a live connection");
    }

    /// Sends a text; the number of its item and its id.
    async fn send(&mut self, to: &str, text: &str) -> (u64, MessageId) {
        self.number += 1;
        let id = MessageId::new(1_800_000_000_000, [u8::try_from(self.number).expect("few"); 10]);
        let from = Talker { identity: self.name.parse().expect("a name"), alias: String::new(), agency: String::new() };
        let (to, content): (Recipient, _) = (to.parse().expect("a name"), Content::Text(text.into()));
        let wanted = Wanted { delivered: true, read: true };
        let (sent_ms, conversation, in_reply_to) = (now_ms(), None, None);
        let message =
            Message { id, from, to: to.clone(), sent_ms, lifetime_s: 3_600, urgent: false, conversation, in_reply_to, wanted, content };
        let envelope = Envelope { signed: message.encode(), signature: None, to, hops: 0, status: None };
        self.say(Body::Message(Box::new(envelope)), self.number).await;
        (self.number, id)
    }

    /// What comes next; takes it if it is a message or report.
    async fn hear(&mut self) -> Item {
        let item = timeout(SOON, self.next()).await.expect("something comes");
        if matches!(item.body, Body::Message(_) | Body::Report(_)) {
            self.say(Body::Taken, item.number).await;
        }
        item
    }

    async fn next(&mut self) -> Item {
        if self.inward.is_none() {
            let mut stream = self.raw.connection.quic.accept_uni().await.expect("a stream");
            let mut lane = [0];
            stream.read_exact(&mut lane).await.expect("its name");
            assert_eq!(lane, [Lane::Routine.to_byte()]);
            self.inward = Some((stream, Decoder::default()));
        }
        let (stream, decoder) = self.inward.as_mut().expect("a stream");
        loop {
            if let Some(item) = decoder.next_item().expect("items") {
                return item;
            }
            let chunk = stream.read_chunk(4_096, true).await.expect("a live connection").expect("an item");
            decoder.push(&chunk.bytes);
        }
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("a time")
}

fn text_of(item: &Item) -> String {
    let Body::Message(envelope) = &item.body else { panic!("{item:?}") };
    let Content::Text(text) = envelope.open().expect("a message").content else { panic!("{item:?}") };
    text
}

/// Both countries keep messages and let them pass.
async fn post_offices(world: &mut World) {
    world.keeps_messages = true;
    for code in world.codes() {
        let bridge = world.country(&code).toml.bridge().as_mut().expect("a bridge");
        for words in [&mut bridge.inbound, &mut bridge.outbound] {
            *words = words.replace("talk = true", "talk = true, short_data = true");
        }
    }
    world.start_all().await;
}

#[test]
fn a_message_crosses_the_border_and_what_became_of_it_comes_back() {
    scene(310, async |world| {
        post_offices(world).await;
        let (mut maas, mut lux) = (Terminal::log_in(world, "nl", "maas-12").await, Terminal::log_in(world, "be", "lux-7").await);
        let (number, id) = maas.send("be/unit/lux-7", "Road closed").await;
        assert_eq!(maas.hear().await, Item { number, body: Body::Taken });
        let came = lux.hear().await;
        assert_eq!(text_of(&came), "Road closed");
        let Body::Report(report) = maas.hear().await.body else { panic!("a report") };
        assert_eq!((report.id, report.about.to_string(), report.disposition), (id, "be/unit/lux-7".into(), Disposition::Delivered));
        // Read, by its reader.
        let about: Recipient = "be/unit/lux-7".parse().expect("a name");
        lux.say(Body::Report(Report { id, about, disposition: Disposition::Read, at_ms: 1 }), 1).await;
        assert_eq!(lux.hear().await, Item { number: 1, body: Body::Taken });
        let Body::Report(report) = maas.hear().await.body else { panic!("a report") };
        assert_eq!((report.id, report.disposition), (id, Disposition::Read));
        // To all, under the other side's name; the sender does not hear itself.
        maas.send("nl/pol-1", "All clear").await;
        assert_eq!(maas.hear().await.body, Body::Taken);
        assert_eq!(text_of(&lux.hear().await), "All clear");
        // 40 of the longest, one after the other: order and size.
        for number in 0..40 {
            maas.send("be/unit/lux-7", &format!("{number:04096}")).await;
            assert_eq!(maas.hear().await.body, Body::Taken);
            assert_eq!(text_of(&lux.hear().await), format!("{number:04096}"));
            assert!(matches!(maas.hear().await.body, Body::Report(_)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = world.status("nl");
        let messages = status.messages.as_ref().expect("a store");
        // The talkgroup keeps its one for members that are away.
        assert_eq!((messages.store.as_str(), messages.waiting), ("ok", 1));
    });
}

#[test]
fn what_is_sent_at_a_cut_border_waits_and_crosses_when_it_heals() {
    scene(311, async |world| {
        post_offices(world).await;
        let (mut maas, mut lux) = (Terminal::log_in(world, "nl", "maas-12").await, Terminal::log_in(world, "be", "lux-7").await);
        world.cut();
        tokio::time::sleep(Duration::from_secs(5)).await;
        maas.send("be/unit/lux-7", "Road closed").await;
        assert_eq!(maas.hear().await.body, Body::Taken);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.status("nl").messages.as_ref().expect("a store").waiting, 1);
        world.heal();
        assert_eq!(text_of(&lux.hear().await), "Road closed");
        assert!(matches!(maas.hear().await.body, Body::Report(report) if report.disposition == Disposition::Delivered));
    });
}

#[test]
fn what_no_agreement_lets_pass_is_refused_with_the_reason() {
    scene(312, async |world| {
        world.keeps_messages = true;
        world.start_all().await;
        let mut maas = Terminal::log_in(world, "nl", "maas-12").await;
        let (number, _) = maas.send("be/unit/lux-7", "Road closed").await;
        assert_eq!(maas.hear().await, Item { number, body: Body::Refused(Undelivered::BridgeForbids) });
    });
}

#[test]
fn a_gateway_without_a_store_offers_no_short_data_and_takes_no_stream_of_it() {
    scene(313, async |world| {
        world.start_all().await;
        let mut raw = world.raw("nl", "maas-12").await;
        raw.message(&Control::Hello(Hello::knowing(&[SHORT_DATA]))).await;
        let capabilities =
            raw.receive(|message| if let Control::Welcome(welcome) = message { Some(welcome.capabilities) } else { None }).await;
        assert_eq!(capabilities, [] as [u32; 0]);
        assert!(timeout(Duration::from_secs(5), raw.connection.quic.open_uni()).await.is_err(), "a stream was allowed");
    });
}

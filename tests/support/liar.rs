//! A gateway that lies: a valid certificate, a session kept alive as an honest peer would, a memory of all it was told, and
//! nothing that it would not say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use transport::endpoint::Connection;
use wire::control::{Agreement, Hello, Message};
use wire::datagram::{Datagram, Heartbeat, Voice};
use wire::{Handle, Reason, Seq, Spurt, Tier};

use super::raw::Raw;
use super::watch::Sound;
use super::{World, words};

/// Messages and datagrams remembered; more say nothing new.
const MEMORY_MAX: usize = 10_000;
/// What a liar waits for a stream that takes nothing any more.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a liar was told.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Every message, as it came.
    pub(crate) messages: Vec<Message>,
    /// Every datagram but heartbeats.
    pub(crate) datagrams: Vec<Bytes>,
    /// The newest heartbeat.
    beat: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Liar {
    /// Its session.
    pub(crate) connection: Connection,
    /// What it was told.
    pub(crate) memory: Arc<Mutex<Memory>>,
    send: quinn::SendStream,
    tasks: [AbortHandle; 3],
    /// Counts its voice frames.
    pub(crate) spoken: u32,
}

impl Liar {
    /// Dials a gateway as that of another country and says hello; beats and listens from then on.
    pub(crate) async fn dial(world: &mut World, own: &str, gateway: &str) -> Self {
        Self::of(world.raw_peer(own, gateway).await).await
    }

    /// The same over a connection that exists.
    pub(crate) async fn of(raw: Raw) -> Self {
        Self::try_of(raw).await.expect("a welcome")
    }

    /// The same; `None` if it is not welcome.
    pub(crate) async fn try_of(raw: Raw) -> Option<Self> {
        let (connection, send, listening) = raw.into_parts();
        let memory: Arc<Mutex<Memory>> = Arc::default();
        let tasks = [
            tokio::spawn(listening.hear(Arc::clone(&memory))).abort_handle(),
            tokio::spawn(hear_datagrams(connection.quic.clone(), Arc::clone(&memory))).abort_handle(),
            tokio::spawn(beat(connection.quic.clone(), Arc::clone(&memory))).abort_handle(),
        ];
        let mut liar = Self { connection, memory, send, tasks, spoken: 0 };
        liar.say(&Message::Hello(Hello::ours())).await;
        while !liar.is_out() {
            if lock(&liar.memory).messages.iter().any(|message| matches!(message, Message::Welcome(_))) {
                return Some(liar);
            }
            sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// Agrees to what its country configures with the other, and begins as its partner. Returns the home's handle.
    pub(crate) async fn join_as_partner(&mut self, words: Agreement, epoch: u8) -> Handle {
        let home = words.home.to_string();
        self.say(&Message::Agreements(vec![words])).await;
        self.say(&words::sync(&home, 7, epoch, None)).await;
        self.told("sync", |message| if let Message::Sync(sync) = message { Some(sync.handle) } else { None }).await
    }

    /// The same as its home, in the epoch after the partner's. Returns the partner's handle and that epoch.
    pub(crate) async fn join_as_home(&mut self, words: Agreement) -> (Handle, u8) {
        let home = words.home.to_string();
        self.say(&Message::Agreements(vec![words])).await;
        let asked = |message: &Message| if let Message::Sync(sync) = message { Some((sync.handle, sync.epoch.next().0)) } else { None };
        let (handle, epoch) = self.told("sync", asked).await;
        self.say(&words::sync(&home, 7, epoch, None)).await;
        (handle, epoch)
    }

    // === Saying ===

    /// Sends a message; tells whether the session still takes any.
    pub(crate) async fn say(&mut self, message: &Message) -> bool {
        self.bytes(&wire::frame::encode(message)).await
    }

    /// Sends bytes on the control stream; tells whether the session still takes any.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.send.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Sends a datagram; full buffers drop, the point is what arrives.
    pub(crate) fn datagram(&self, bytes: impl Into<Bytes>) {
        let _ = self.connection.quic.send_datagram(bytes.into());
    }

    /// A frame of its own voice.
    pub(crate) fn frame(&mut self, handle: Handle, spurt: Spurt, seq: u16, tier: Tier) -> Bytes {
        self.spoken += 1;
        let voice = Voice {
            handle,
            spurt,
            seq: Seq(seq),
            first: seq == 0,
            last: false,
            tier,
            encrypted: false,
            repeats: Vec::new(),
            payload: Sound { talker: Sound::FORGED, count: self.spoken }.payload().into(),
        };
        voice.encode()
    }

    /// Beats no more.
    pub(crate) fn faint(&self) {
        let [_, _, beating] = &self.tasks;
        beating.abort();
    }

    // === Hearing ===

    /// Everything it was told, as a copy.
    pub(crate) fn messages(&self) -> Vec<Message> {
        lock(&self.memory).messages.clone()
    }

    /// Waits until it was told something that the test takes; panics after 10 s of virtual time.
    pub(crate) async fn told<T>(&self, what: &str, take: impl Fn(&Message) -> Option<T>) -> T {
        for _ in 0..2_000 {
            let found = lock(&self.memory).messages.iter().find_map(&take);
            if let Some(found) = found {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("the liar was told no {what} within 10 s, but {:#?}", self.messages());
    }

    /// How much it was told; the mark for [`Self::told_after`].
    pub(crate) fn mark(&self) -> usize {
        lock(&self.memory).messages.len()
    }

    /// What the test takes of what it was told, waiting for it at most so long.
    pub(crate) async fn told_soon<T>(&self, patience: Duration, take: impl Fn(&Message) -> Option<T>) -> Option<T> {
        self.told_after(0, patience, take).await
    }

    /// The same of what it was told after the mark.
    pub(crate) async fn told_after<T>(&self, mark: usize, patience: Duration, take: impl Fn(&Message) -> Option<T>) -> Option<T> {
        let looking = async {
            loop {
                let found = lock(&self.memory).messages.iter().skip(mark).find_map(&take);
                if let Some(found) = found {
                    return found;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(patience, looking).await.ok()
    }

    /// Whether its session has ended.
    pub(crate) fn is_out(&self) -> bool {
        self.connection.quic.close_reason().is_some()
    }

    /// How its session ends; panics after 10 s of virtual time.
    pub(crate) async fn end(&self) -> Reason {
        timeout(Duration::from_secs(10), self.connection.closed()).await.expect("an end within 10 s")
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(super) fn message(memory: &Mutex<Self>, message: Message) {
        let mut memory = lock(memory);
        if memory.messages.len() < MEMORY_MAX {
            memory.messages.push(message);
        }
    }
}

async fn hear_datagrams(quic: quinn::Connection, memory: Arc<Mutex<Memory>>) {
    while let Ok(bytes) = quic.read_datagram().await {
        let mut memory = lock(&memory);
        match Datagram::decode(bytes.clone()) {
            Ok(Some(Datagram::Heartbeat(beat))) => memory.beat = memory.beat.max(beat.seq),
            _ if memory.datagrams.len() < MEMORY_MAX => memory.datagrams.push(bytes),
            _ => {}
        }
    }
}

/// Beats and echoes like an honest peer.
async fn beat(quic: quinn::Connection, memory: Arc<Mutex<Memory>>) {
    for seq in 1.. {
        let beat = Heartbeat { seq, echo: lock(&memory).beat };
        let _ = quic.send_datagram(Datagram::Heartbeat(beat).encode());
        sleep(Duration::from_millis(100)).await;
    }
}

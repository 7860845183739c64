//! What the desktop says over D-Bus: the screen is locked, the machine goes to sleep. Either releases push-to-talk.
//!
//! Signals only; nothing is asked, so that no service that hangs holds anybody up. Without a bus the terminal goes on without
//! these facts, and says so in the log.

use std::pin::Pin;

use std::future::poll_fn;
use talkbridge_desktop::model::Fact;
use talkbridge_desktop::terminal::Wish;
use tokio::sync::mpsc;
use zbus::export::futures_core::Stream as _;
use zbus::message::{Message, Type};
use zbus::{Connection, MatchRule, MessageStream};

/// A screen saver's signal, of whichever desktop: it began (true) or ended.
const ACTIVE: &str = "ActiveChanged";
/// logind's signal: the machine is about to sleep (true), or awake.
const SLEEP: &str = "PrepareForSleep";

/// Follows both buses until the terminal has ended.
pub(crate) async fn watch(wishes: mpsc::Sender<Wish>) {
    tokio::join!(follow(Connection::session(), ACTIVE, &wishes), follow(Connection::system(), SLEEP, &wishes));
}

async fn follow(bus: impl Future<Output = zbus::Result<Connection>>, member: &'static str, wishes: &mpsc::Sender<Wish>) {
    let stream = async {
        let rule = MatchRule::builder().msg_type(Type::Signal).member(member)?.build();
        MessageStream::for_match_rule(rule, &bus.await?, None).await
    };
    let mut stream = match stream.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::info!(%error, member, "the desktop cannot tell of this");
            return;
        }
    };
    while let Some(Ok(message)) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let Some(fact) = told(&message) else { continue };
        if wishes.send(Wish::Fact(Box::new(fact))).await.is_err() {
            return;
        }
    }
    // Nobody is left who could tell of the end of it.
    if let Some(fact) = fact(member, false) {
        wishes.send(Wish::Fact(Box::new(fact))).await.ok();
    }
}

fn told(message: &Message) -> Option<Fact> {
    let header = message.header();
    let interface = header.interface()?.as_str();
    let member = header.member()?.as_str();
    let trusted = interface.ends_with(".ScreenSaver") || interface == "org.freedesktop.login1.Manager";
    let holds = message.body().deserialize().ok().filter(|_| trusted)?;
    fact(member, holds)
}

fn fact(member: &str, holds: bool) -> Option<Fact> {
    match member {
        ACTIVE => Some(Fact::Locked(holds)),
        SLEEP => Some(Fact::Asleep(holds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(interface: &str, member: &str, holds: bool) -> Message {
        Message::signal("/any", interface, member).unwrap().build(&holds).unwrap()
    }

    #[test]
    fn screen_savers_of_every_desktop_lock_and_logind_sends_to_sleep() {
        for holds in [true, false] {
            for interface in ["org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver", "org.cinnamon.ScreenSaver"] {
                assert!(matches!(told(&signal(interface, ACTIVE, holds)), Some(Fact::Locked(locked)) if locked == holds));
            }
            assert!(matches!(told(&signal("org.freedesktop.login1.Manager", SLEEP, holds)), Some(Fact::Asleep(asleep)) if asleep == holds));
        }
    }

    #[test]
    fn signals_of_others_and_without_a_word_are_nothing() {
        assert!(told(&signal("org.example.Player", ACTIVE, true)).is_none());
        assert!(told(&signal("org.freedesktop.login1.Manager", "PrepareForShutdown", true)).is_none());
        let wordless = Message::signal("/any", "org.gnome.ScreenSaver", ACTIVE).unwrap().build(&()).unwrap();
        assert!(told(&wordless).is_none());
    }
}

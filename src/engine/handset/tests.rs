//! A handset alone, with what its gateway says put in by hand.

use std::time::Instant;

use wire::control::{Message, Welcome};
use wire::{Identity, Reason};

use super::{Event, Handset, Transmit};

#[expect(clippy::disallowed_methods, reason = "an epoch to count virtual time from")]
fn epoch() -> Instant {
    Instant::now()
}

fn gateway(name: &str) -> Identity {
    format!("nl/gateway/{name}").parse().unwrap()
}

/// What a handset that has dialled `gw-1` says and sends after this welcome.
fn welcomed(welcome: Welcome) -> (Vec<Event>, Vec<Transmit>) {
    let mut handset = Handset::new(["nl/pol-1".parse().unwrap()]);
    handset.handle_connected(gateway("gw-1"));
    assert!(matches!(handset.poll_transmit(), Some(Transmit::Control(Message::Hello(_)))));
    handset.handle_message(Message::Welcome(welcome), epoch());
    (std::iter::from_fn(|| handset.poll_event()).collect(), std::iter::from_fn(|| handset.poll_transmit()).collect())
}

#[test]
fn a_unit_joins_through_the_gateway_that_it_dialled_and_no_other() {
    let welcome = |name: &str, version| Welcome { version, capabilities: Vec::new(), gateway: gateway(name) };
    let (events, sent) = welcomed(welcome("gw-1", wire::VERSION));
    assert_eq!(events, [Event::Connected(gateway("gw-1"))]);
    assert_eq!(sent, [Transmit::Control(Message::Affiliate("nl/pol-1".parse().unwrap()))]);
    for (welcome, reason) in [
        (welcome("gw-2", wire::VERSION), Reason::WrongGateway),
        (welcome("gw-1", wire::VERSION + 1), Reason::VersionMismatch),
        (Welcome { capabilities: vec![4_711], ..welcome("gw-1", wire::VERSION) }, Reason::ProtocolViolation),
    ] {
        assert_eq!(welcomed(welcome), (vec![Event::Refused(reason)], Vec::new()));
    }
}

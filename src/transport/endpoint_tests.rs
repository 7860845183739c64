//! Endpoints over the simulated network: who gets in, what both sides learn, limits, restart, repeatability.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use testkit::clock::run;
use testkit::{Capture, Link};
use tokio::time::{Instant, sleep};
use wire::Reason;

use crate::admission::HANDSHAKES_MAX;
use crate::test_support::{BUDGET, DELAY, DIAL_LIMIT, Scene, Terms, accept_one, any_of, authority, gateway_addr, identity, ip};
use crate::test_support::{CALLER, GATEWAY};
use crate::verify::{AnswererVerifier, Verdict};
use crate::{Dialer, Expect, Keys, Port, Trust, clock, tls};

#[test]
fn both_sides_learn_who_the_other_is() {
    let _log = Capture::start(tracing::Level::WARN);
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
        let accepted = accept_one(&gateway);
        let unit = scene.caller(Port::Units, scene.be.issue("be/unit/maas-12"), scene.both());
        let dialled = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap();
        let accepted = accepted.await.unwrap().unwrap();
        assert_eq!(dialled.certified.identity, identity("nl/gateway/gw-1"));
        assert_eq!(accepted.certified.identity, identity("be/unit/maas-12"));
        assert_eq!((accepted.certified.alias.as_str(), accepted.certified.agency.as_str()), ("Maas 12", "Politie"));
    });
}

#[test]
fn a_dialler_meets_only_the_gateway_it_expects() {
    for (expect, found) in [
        (Expect::Gateway(identity("nl/gateway/gw-2")), Some(Reason::WrongGateway)),
        (Expect::Gateway(identity("nl/gateway/gw-1")), None),
        (any_of(&["be"]), Some(Reason::UnknownAuthority)),
        (any_of(&["be", "nl"]), None),
    ] {
        run(BUDGET, async {
            let scene = Scene::new(1);
            let gateway = scene.listen(Port::Peers, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
            let accepted = accept_one(&gateway);
            let peer = scene.caller(Port::Peers, scene.be.issue("be/gateway/gw-1"), scene.both());
            let dialled = peer.dial(gateway_addr(), expect.clone(), DIAL_LIMIT).await;
            assert_eq!(dialled.as_ref().err().copied(), found, "{expect:?}");
            // The refused gateway is told the same.
            assert_eq!(accepted.await.unwrap().err(), found, "{expect:?}");
        });
    }
}

#[test]
fn a_unit_cannot_pose_as_a_gateway() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let impostor = scene.listen(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both(), &Keys::simulated(1));
        let _accepted = accept_one(&impostor);
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-13"), scene.both());
        assert_eq!(unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap_err(), Reason::WrongKind);
    });
}

#[test]
fn at_the_wrong_port_a_unit_hears_wrong_kind_and_at_an_empty_address_nothing() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = scene.listen(Port::Peers, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
        let _accepted = accept_one(&gateway);
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
        let refused = match unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await {
            Ok(connection) => connection.closed().await,
            Err(reason) => reason,
        };
        assert_eq!(refused, Reason::WrongKind);
        let started = Instant::now();
        assert_eq!(unit.dial("10.9.9.9:1".parse().unwrap(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap_err(), Reason::Unreachable);
        assert_eq!(started.elapsed().as_secs(), DIAL_LIMIT.as_secs());
    });
}

/// Keeps every ticket a gateway gives, and counts them.
#[derive(Debug)]
struct Tickets {
    cache: ClientSessionMemoryCache,
    count: AtomicUsize,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { cache: ClientSessionMemoryCache::new(8), count: AtomicUsize::new(0) }
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(server)
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.cache.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(server)
    }
}

/// Even a caller that keeps sessions gets none: its second handshake is judged anew.
#[test]
fn nothing_is_resumed() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let trust = scene.both();
        let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), Arc::clone(&trust), &Keys::simulated(1));
        let own = scene.nl.issue("nl/unit/maas-12");
        let verifier =
            AnswererVerifier { trust: trust.load_full(), port: Port::Units, expect: any_of(&["nl"]), verdict: Verdict::default() };
        let mut config = rustls::ClientConfig::builder_with_details(Arc::clone(tls::provider()), Arc::clone(&scene.clock))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(own.resolver());
        config.alpn_protocols = vec![Port::Units.alpn().to_vec()];
        let kept = Arc::new(Tickets::default());
        config.resumption = Resumption::store(Arc::<Tickets>::clone(&kept));
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let socket = scene.net.host(ip(CALLER)).bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let caller =
            quinn::Endpoint::new_with_abstract_socket(quinn::EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))
                .unwrap();

        let accepted = accept_one(&gateway);
        let first = caller.connect_with(config.clone(), gateway_addr(), "talkbridge.invalid").unwrap().await.unwrap();
        accepted.await.unwrap().unwrap();
        sleep(Duration::from_secs(1)).await; // a ticket would have come by now
        first.close(0_u32.into(), b"");
        assert_eq!(kept.count.load(Ordering::Relaxed), 0, "the gateway gave out tickets");

        let list = scene.nl.revoke(&[1], 30);
        let nl = Trust::builder().authority(authority("nl"), scene.nl.pem.as_bytes(), Some(list.as_bytes()), true, true).unwrap();
        trust.store(Arc::new(nl.build()));
        let accepted = accept_one(&gateway);
        let second = caller.connect_with(config, gateway_addr(), "talkbridge.invalid").unwrap();
        // Without a kept session there is no early data, and the attempt comes back as it was.
        let second = second.into_0rtt().map(drop).expect_err("a session was kept");
        let _second = second.await;
        assert_eq!(accepted.await.unwrap().unwrap_err(), Reason::CertificateRevoked);
    });
}

/// How a unit's session ends when its gateway is killed and starts again, with the given keys.
fn after_a_restart_with(keys: &Keys) -> (Reason, Duration) {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let own = scene.nl.issue("nl/gateway/gw-1");
        let gateway = scene.listen(Port::Units, own.clone(), scene.both(), &Keys::simulated(1));
        let accepted = accept_one(&gateway);
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
        let session = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap();
        let _accepted = accepted.await.unwrap().unwrap();
        sleep(Duration::from_secs(1)).await;
        scene.net.kill(ip(GATEWAY));
        let restarted = scene.listen(Port::Units, own, scene.both(), keys);
        let _accepting = accept_one(&restarted);
        session.quic.send_datagram(Bytes::from_static(&[0; 60])).unwrap();
        let started = Instant::now();
        (session.closed().await, started.elapsed())
    })
}

#[test]
fn a_restart_with_the_same_keys_is_noticed_in_one_round_trip() {
    let (reason, after) = after_a_restart_with(&Keys::simulated(1).reseeded(9));
    assert_eq!(reason, Reason::Reset);
    assert!(after <= 2 * DELAY + Duration::from_millis(5), "{after:?}");
    // Without the keys only the idle timeout tells.
    let (reason, after) = after_a_restart_with(&Keys::simulated(3));
    assert_eq!(reason, Reason::LinkLost);
    assert!(after > Duration::from_secs(10), "{after:?}");
}

#[test]
fn callers_beyond_the_limit_of_handshakes_are_refused() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
        let dial = |unit: Dialer| async move { unit.dial(gateway_addr(), any_of(&["nl"]), Duration::from_secs(2)).await.err() };
        let held = tokio::spawn({
            let gateway = gateway.clone();
            async move {
                let mut held = Vec::new();
                while held.len() < HANDSHAKES_MAX {
                    held.push(gateway.accept().await.unwrap());
                }
                // The next ones are answered inside `accept`, which does not return.
                let more = tokio::time::timeout(Duration::from_millis(500), gateway.accept()).await;
                assert!(more.is_err(), "a handshake over the limit");
                held.len()
            }
        });
        let waiting: Vec<_> = (0..HANDSHAKES_MAX).map(|_| tokio::spawn(dial(unit.clone()))).collect();
        sleep(Duration::from_millis(400)).await;
        assert_eq!(dial(unit.clone()).await, Some(Reason::TooManySessions));
        assert_eq!(held.await.unwrap(), HANDSHAKES_MAX);
        drop(waiting);
    });
}

#[test]
fn a_reloaded_certificate_is_shown_in_the_next_handshake() {
    run(BUDGET, async {
        let scene = Scene::new(1);
        let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(1));
        let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
        let mut ends = Vec::new();
        for to_day in [365, 700] {
            gateway.set_own_identity(scene.nl.issue_with("nl/gateway/gw-1", Terms { to_day, ..Terms::default() }));
            let accepted = accept_one(&gateway);
            let session = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap();
            ends.push(session.certified.not_after_unix_s);
            accepted.await.unwrap().unwrap();
        }
        assert!(ends[0] < ends[1], "{ends:?}");
    });
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let trace = |seed: u64| {
        run(BUDGET, async {
            let scene = Scene::new(seed);
            scene.net.set_default(Link::delayed(DELAY).losing(0.05).jittery(Duration::from_millis(10)));
            let gateway = scene.listen(Port::Units, scene.nl.issue("nl/gateway/gw-1"), scene.both(), &Keys::simulated(seed));
            let accepted = accept_one(&gateway);
            let unit = scene.caller(Port::Units, scene.nl.issue("nl/unit/maas-12"), scene.both());
            let session = unit.dial(gateway_addr(), any_of(&["nl"]), DIAL_LIMIT).await.unwrap();
            let accepted = accepted.await.unwrap().unwrap();
            for _ in 0..500 {
                session.quic.send_datagram(Bytes::from_static(&[0; 80])).unwrap();
                sleep(Duration::from_millis(20)).await;
            }
            drop(accepted);
            (scene.net.total(), scene.net.trace_hash())
        })
    };
    let first = trace(4);
    assert_eq!(first, trace(4));
    assert_ne!(first, trace(5));
}

#[test]
fn a_following_clock_shows_simulated_time() {
    run(BUDGET, async {
        let wall = clock::following_tokio(1_000);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(wall.current_time().unwrap().as_secs(), 1_060);
    });
}

//! The simulated network keeps its promises: same seed same run, loss as set, cuts, order, rate, restart.

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};
use tokio::time::{Instant, sleep, timeout};

use crate::clock;
use crate::link::{Burst, Link};
use crate::net::Net;

const BUDGET: Duration = Duration::from_secs(600);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn send(socket: &Arc<dyn AsyncUdpSocket>, to: SocketAddr, contents: &[u8], segment_size: Option<usize>) {
    socket.try_send(&Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None }).unwrap();
}

/// The next packet within a second: sender and bytes.
async fn receive(socket: &Arc<dyn AsyncUdpSocket>) -> Option<(SocketAddr, Vec<u8>)> {
    let mut bytes = [0; 2_048];
    let mut meta = [RecvMeta::default()];
    let read = poll_fn(|cx| match socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut meta) {
        Poll::Ready(result) => Poll::Ready(result.unwrap()),
        Poll::Pending => Poll::Pending,
    });
    timeout(Duration::from_secs(1), read).await.ok()?;
    Some((meta[0].addr, bytes[..meta[0].len].to_vec()))
}

/// Sends numbered packets 10 ms apart; returns the numbers that came, in order of arrival.
async fn numbers_through(net: &Net, count: u32) -> Vec<u32> {
    let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
    let reader = async {
        let mut seen = Vec::new();
        while let Some((_, bytes)) = receive(&b).await {
            seen.push(u32::from_be_bytes(bytes[..4].try_into().unwrap()));
        }
        seen
    };
    let writer = async {
        for number in 0..count {
            send(&a, addr("10.0.0.2:2"), &number.to_be_bytes(), None);
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(biased; reader, writer).0
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let run = |seed| {
        clock::run(BUDGET, async {
            let net = Net::new(seed);
            net.set_default(Link::delayed(Duration::from_millis(40)).losing(0.1).jittery(Duration::from_millis(20)).duplicating(0.05));
            (numbers_through(&net, 500).await, net.trace_hash(), net.total())
        })
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first.0, run(2).0);
}

#[test]
fn loss_is_as_set_independent_or_in_bursts() {
    for (link, name) in [(Link::default().losing(0.1), "independent"), (Link::default().bursty(Burst::losing(0.1, 3.0)), "bursts")] {
        let net_loss = clock::run(BUDGET, async {
            let net = Net::new(3);
            net.set_default(link);
            let came = numbers_through(&net, 20_000).await;
            (20_000 - came.len(), came)
        });
        let (lost, came) = net_loss;
        assert!((1_800..2_200).contains(&lost), "{name}: {lost} of 20000 lost");
        let gaps = came.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
        let mean_length = f64::from(u32::try_from(lost).unwrap()) / f64::from(u32::try_from(gaps).unwrap());
        if link.burst.is_some() {
            assert!((2.6..3.4).contains(&mean_length), "mean burst {mean_length}");
        } else {
            assert!(mean_length < 1.3, "independent losses came in bursts of {mean_length}");
        }
    }
}

#[test]
fn a_flip_changes_one_bit_of_its_share_of_packets_and_nothing_elsewhere() {
    clock::run(BUDGET, async {
        let net = Net::new(9);
        net.set_one_way(ip("10.0.0.1"), ip("10.0.0.2"), Link::default().flipping(0.25));
        let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        let mut changed = 0;
        for _ in 0..4_000 {
            send(&a, addr("10.0.0.2:2"), &[0; 20], None);
            send(&b, addr("10.0.0.1:1"), &[0; 20], None);
            let (_, there) = receive(&b).await.unwrap();
            let (_, back) = receive(&a).await.unwrap();
            let bits: u32 = there.iter().map(|byte| byte.count_ones()).sum();
            assert!(bits <= 1 && back == [0; 20]);
            changed += bits;
        }
        assert!((900..1_100).contains(&changed), "{changed} of 4000 changed");
        assert_eq!(net.counts(ip("10.0.0.1"), ip("10.0.0.2")).flipped, u64::from(changed));
        assert_eq!(net.total().flipped, u64::from(changed));
    });
}

#[test]
fn jitter_keeps_the_order_unless_asked_otherwise() {
    let through = |link: Link| {
        clock::run(BUDGET, async {
            let net = Net::new(5);
            net.set_default(link);
            numbers_through(&net, 200).await
        })
    };
    let link = Link::delayed(Duration::from_millis(10)).jittery(Duration::from_millis(100));
    assert!(through(link).is_sorted());
    assert!(!through(link.reordering()).is_sorted());
}

#[test]
fn a_cut_stops_one_way_or_both_until_healed() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        let both = async || {
            send(&a, addr("10.0.0.2:2"), b"there", None);
            send(&b, addr("10.0.0.1:1"), b"back", None);
            (receive(&b).await.is_some(), receive(&a).await.is_some())
        };
        assert_eq!(both().await, (true, true));
        net.cut_one_way(ip("10.0.0.1"), ip("10.0.0.2"));
        assert_eq!(both().await, (false, true));
        net.cut(ip("10.0.0.1"), ip("10.0.0.2"));
        assert_eq!(both().await, (false, false));
        net.heal(ip("10.0.0.2"), ip("10.0.0.1"));
        assert_eq!(both().await, (true, true));
        assert_eq!(net.total().undeliverable, 3);
    });
}

#[test]
fn a_network_knows_since_when_it_is_calm() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (a, b, c) = (ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3"));
        let began = Instant::now();
        assert_eq!((net.calm_since(), net.clear_since(a, b)), (Some(began), Some(began)));
        sleep(Duration::from_secs(1)).await;
        net.cut_one_way(b, a);
        net.set_link(b, c, Link::delayed(Duration::from_millis(40)).jittery(Duration::from_millis(9)).reordering());
        assert_eq!((net.calm_since(), net.clear_since(a, b), net.clear_since(a, c)), (None, None, Some(began)));
        net.freeze(c);
        net.heal(a, b);
        let healed = Instant::now();
        assert_eq!((net.calm_since(), net.clear_since(a, b), net.clear_since(a, c)), (None, Some(healed), None));
        assert_eq!(net.clear_since(b, c), None);
        sleep(Duration::from_secs(1)).await;
        net.thaw(c);
        assert_eq!((net.calm_since(), net.clear_since(b, c)), (Some(Instant::now()), Some(Instant::now())));
        net.set_link(a, b, Link::default().losing(0.01));
        assert_eq!((net.calm_since(), net.clear_since(b, c)), (None, Some(Instant::now())));
    });
}

#[test]
fn a_bottleneck_delays_and_then_drops() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        // 100 bytes and 28 of headers at 10,240 bit/s take 100 ms each; the queue holds about four.
        net.set_default(Link::default().limited(10_240, 500));
        let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        let started = Instant::now();
        for _ in 0..10 {
            send(&a, addr("10.0.0.2:2"), &[0; 100], None);
        }
        let mut came = Vec::new();
        while receive(&b).await.is_some() {
            came.push(started.elapsed().as_millis());
        }
        assert_eq!(came.len(), 4, "{came:?}");
        assert!(came.iter().zip([100, 200, 300, 400]).all(|(at, want)| at.abs_diff(want) <= 1), "{came:?}");
        assert_eq!(net.counts(ip("10.0.0.1"), ip("10.0.0.2")).queue_full, 6);
    });
}

#[test]
fn a_frozen_host_gets_everything_at_the_thaw_and_sends_nothing() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        net.freeze(ip("10.0.0.2"));
        send(&a, addr("10.0.0.2:2"), b"early", None);
        send(&b, addr("10.0.0.1:1"), b"unsaid", None);
        assert!(receive(&b).await.is_none());
        assert!(receive(&a).await.is_none());
        net.thaw(ip("10.0.0.2"));
        assert_eq!(receive(&b).await.unwrap().1, b"early");
    });
}

#[test]
fn a_killed_host_is_silent_and_its_address_free() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (a, old) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        assert!(net.bind(addr("10.0.0.2:2")).is_err());
        net.kill(ip("10.0.0.2"));
        let new = net.bind(addr("10.0.0.2:2")).unwrap();
        send(&old, addr("10.0.0.1:1"), b"ghost", None);
        assert!(receive(&a).await.is_none());
        drop(old);
        send(&a, addr("10.0.0.2:2"), b"hello", None);
        assert_eq!(receive(&new).await.unwrap().1, b"hello");
        drop(new);
        net.bind(addr("10.0.0.2:2")).expect("freed by the drop");
    });
}

#[test]
fn a_nat_changes_what_the_other_side_sees_and_reaches() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (unit, gateway) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        for outer in ["192.0.2.1:1000", "192.0.2.1:2000"] {
            net.map_nat(addr("10.0.0.1:1"), addr(outer));
            send(&unit, addr("10.0.0.2:2"), b"up", None);
            let (seen, _) = receive(&gateway).await.unwrap();
            assert_eq!(seen, addr(outer));
            send(&gateway, seen, b"down", None);
            assert!(receive(&unit).await.is_some());
        }
        send(&gateway, addr("192.0.2.1:1000"), b"late", None);
        assert!(receive(&unit).await.is_none(), "the old mapping is gone");
    });
}

#[test]
fn segments_of_one_transmit_are_packets_of_their_own() {
    clock::run(BUDGET, async {
        let net = Net::new(1);
        let (a, b) = (net.bind(addr("10.0.0.1:1")).unwrap(), net.bind(addr("10.0.0.2:2")).unwrap());
        send(&a, addr("10.0.0.2:2"), b"abcabcxy", Some(3));
        let mut came = Vec::new();
        while let Some((_, bytes)) = receive(&b).await {
            came.push(bytes);
        }
        assert_eq!(came, [b"abc".to_vec(), b"abc".to_vec(), b"xy".to_vec()]);
    });
}

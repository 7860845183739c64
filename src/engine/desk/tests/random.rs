//! A border under random cuts, deaths of gateways, terminals that come and go, disks that take their time: what was taken
//! arrives once, in the order of its sender and recipient, or its sender hears why not.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wire::data::{Disposition, MessageId};

use super::net::Net;

/// What was sent, in order: sender, recipient, id.
type Sent = Vec<(usize, String, MessageId)>;

const NAMES: [&str; 4] = ["nl/unit/a", "nl/unit/b", "be/unit/c", "be/unit/d"];

fn site_of(unit: usize) -> usize {
    unit / 2
}

fn world() -> Net {
    let mut net = Net::countries();
    for (unit, name) in NAMES.into_iter().enumerate() {
        net.unit(name, site_of(unit), &[if site_of(unit) == 0 { "nl/pol-1" } else { "be/lux-3" }]);
    }
    net.connect(0, 1);
    net.settle();
    net
}

fn step(net: &mut Net, rng: &mut SmallRng, sent: &mut Sent) {
    let (unit, site) = (rng.random_range(0..4), rng.random_range(0..2));
    match rng.random_range(0..100) {
        0..15 => {
            let group = if site_of(unit) == 0 { "nl/pol-1" } else { "be/lux-3" };
            let recipient = if rng.random_range(0..4) == 0 { group } else { NAMES[(unit + rng.random_range(1..4)) % 4] };
            let urgent = rng.random_range(0..8) == 0;
            let id = net.send_as(unit, recipient, |message| (message.urgent, message.lifetime_s) = (urgent, 24 * 3_600));
            // Urgent ones overtake the others: they have an order of their own.
            sent.push((unit, format!("{recipient} {urgent}"), id));
        }
        15..35 => _ = net.unit_sends(unit),
        35..50 => _ = net.carry_out(site),
        50..60 => _ = net.disk(site, rng.random_range(1..6)),
        60..70 => _ = net.replies(site, rng.random_range(1..6)),
        70..90 => {
            let wires: Vec<_> = net.wires.keys().copied().collect();
            if !wires.is_empty() {
                net.deliver(wires[rng.random_range(0..wires.len())]);
            }
        }
        90..92 => net.cut(0, 1),
        92..95 if !net.is_connected(0, 1) => net.connect(0, 1),
        95 => net.log_out(unit),
        96..98 if net.units[unit].session.is_none() => net.log_in(unit, site_of(unit)),
        98 => net.kill(site),
        _ => {
            let time = Duration::from_millis(rng.random_range(0..3_000));
            net.now.at += time;
            net.now.ms += u64::try_from(time.as_millis()).expect("a time");
            (0..2).for_each(|site| net.sites[site].desk.handle_timeout(net.now));
        }
    }
}

/// Everybody comes back, and nothing fails any more.
fn calm(net: &mut Net) {
    if !net.is_connected(0, 1) {
        net.connect(0, 1);
    }
    for unit in 0..4 {
        if net.units[unit].session.is_none() {
            net.log_in(unit, site_of(unit));
        }
        net.units[unit].refused.clear();
    }
    net.pass(Duration::from_secs(700));
}

fn judge(net: &Net, sent: &Sent, seed: u64) {
    let mut orders: BTreeMap<(usize, &str, usize), Vec<MessageId>> = BTreeMap::new();
    for (sender, recipient, id) in sent {
        assert!(net.units[*sender].taken.contains(id), "seed {seed}: {id} was never taken");
        let name = recipient.split(' ').next().expect("a name");
        let readers: Vec<usize> = match NAMES.iter().position(|other| *other == name) {
            Some(reader) => vec![reader],
            // Both talkgroups are one; the sender does not hear itself.
            None => (0..4).filter(|reader| reader != sender).collect(),
        };
        for reader in readers {
            orders.entry((*sender, recipient, reader)).or_default().push(*id);
        }
        if let Some(reader) = NAMES.iter().position(|other| *other == name) {
            let delivered = (*id, NAMES[reader].to_owned(), Disposition::Delivered);
            let told = net.reports(*sender).iter().filter(|report| report.0 == *id).cloned().collect::<Vec<_>>();
            assert_eq!(told, [delivered], "seed {seed}: {id}");
        }
    }
    for ((sender, recipient, reader), ids) in orders {
        let came: Vec<MessageId> = net.inbox(reader).into_iter().filter(|id| ids.contains(id)).collect();
        assert_eq!(came, ids, "seed {seed}: {} to {recipient}, as {} has it", NAMES[sender], NAMES[reader]);
    }
}

#[test]
fn nothing_is_lost_nothing_comes_twice_and_order_is_kept() {
    let seeds = std::env::var("DESK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    let (mut messages, mut deaths) = (0, 0);
    for seed in 0..seeds {
        let (mut rng, mut net, mut sent) = (SmallRng::seed_from_u64(seed), world(), Sent::new());
        for _ in 0..1_500 {
            step(&mut net, &mut rng, &mut sent);
        }
        calm(&mut net);
        judge(&net, &sent, seed);
        (messages, deaths) = (messages + sent.len(), deaths + net.deaths);
    }
    println!("{seeds} seeds, {messages} messages, {deaths} deaths of gateways: lost 0, twice 0");
}

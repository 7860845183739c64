//! Somebody in the path turns bits over in front of real gateways: it costs what losing the same share of datagrams costs.
//! `tests/simulation` proves it exactly; here the sockets, the TLS and the QUIC of the product meet what was touched.

use std::fs;

use serde_json::Value;

use crate::relay::{Harm, Relay};
use crate::stage::{Process, Stage, say};

/// One datagram in so many is harmed on each of the three ways of a call across the border.
const ONE_IN: u32 = 20;
const TALK_S: u32 = 5;

/// Both countries, every way of which leads through a relay.
struct Ways {
    stage: Stage,
    /// To the units' ports of both, then to the peers' ports of both.
    relays: [Relay; 4],
}

impl Ways {
    fn new(harm: Harm) -> Self {
        let stage = Stage::new();
        let relays = [stage.nl.units, stage.be.units, stage.nl.peers, stage.be.peers].map(|port| Relay::to(port, harm));
        for (code, far, relay) in [("nl", stage.be, &relays[3]), ("be", stage.nl, &relays[2])] {
            let (dialled, instead) = (format!("address = \"127.0.0.1:{}\"", far.peers), format!("address = \"127.0.0.1:{}\"", relay.port));
            stage.configure(code, |text| text.replace(&dialled, &instead));
        }
        Self { stage, relays }
    }

    /// One talks, the other country listens: the share of the frames that arrived.
    fn call(&self) -> f64 {
        let mut ear = self.stage.run("listen", &self.stage.unit_at("be", "lux-1", self.relays[1].port), &[]);
        ear.wait("affiliated");
        let mut mouth = self.stage.talk(&self.stage.unit_at("nl", "maas-12", self.relays[0].port), TALK_S, &[]);
        assert_eq!(mouth.end(), 0, "{:?} {}", mouth.events(), mouth.errors());
        ear.wait("idle");
        ear.signal("TERM");
        assert_eq!(ear.end(), 0, "{:?} {}", ear.events(), ear.errors());
        for process in [&mouth, &ear] {
            assert_undisturbed(process);
        }
        count(&ear, "frames_received") / count(&mouth, "frames_sent")
    }

    /// Datagrams so far, and harmed ones among them.
    fn counts(&self) -> (u64, u64) {
        self.relays.iter().map(Relay::counts).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }
}

fn count(process: &Process, what: &str) -> f64 {
    process.wait("report")[what].as_f64().expect("a number")
}

/// Once in its group, neither its session nor the border was lost.
fn assert_undisturbed(process: &Process) {
    let events = process.events();
    let since: Vec<&Value> = events.iter().skip_while(|event| event["event"] != "affiliated").collect();
    let is_bad = |event: &Value| match event["event"].as_str() {
        Some("disconnected" | "revoked" | "denied") => true,
        Some("far_side") => event["state"] != "present",
        _ => false,
    };
    assert!(!since.is_empty() && !since.into_iter().any(is_bad), "{events:#?}");
}

#[test]
fn flipped_bits_in_front_of_live_gateways_cost_what_lost_datagrams_cost() {
    let ways = Ways::new(Harm::Flipped(ONE_IN));
    let (nl, be) = ways.stage.bridged();
    let flipped = ways.call();
    let (passed, touched) = ways.counts();
    for relay in &ways.relays {
        relay.set(Harm::Lost(ONE_IN));
    }
    let lost = ways.call();
    let line = format!(
        "1 in {ONE_IN} datagrams: heard {:.1} % of frames when lost, {:.1} % when a bit is flipped ({touched} of {passed})",
        lost * 100.0,
        flipped * 100.0
    );
    say(&line);
    assert!(touched > 30, "{line}");
    // Three ways in a row make 86 %; a few seconds are few frames.
    assert!((flipped - lost).abs() < 0.12 && flipped > 0.7, "{line}");
    // What was touched never got as far as a decoder, and nobody's session ended for it.
    for (code, gateway) in [("nl", &nl), ("be", &be)] {
        let records = fs::read_to_string(ways.stage.path(code).join("var/records.jsonl")).expect("records");
        assert!(!records.contains("\"misbehaved\""), "{records}");
        assert!(!gateway.errors().contains("panicked"), "{}", gateway.errors());
        assert_eq!(ways.stage.status(code)["bridges"][0]["state"], "active");
    }
}

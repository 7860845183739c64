//! Short data with real processes: both ways across a border, and through kill -9 of either gateway with messages under way.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use crate::stage::{Process, Stage, say};

/// Senders in each round, each with a message of its own under way when the gateway dies.
const SENDERS: usize = 6;
/// Rounds: each kills one of the gateways at another moment. More by the variable KILLS.
const ROUNDS: usize = 4;

/// Two countries that keep messages and let them pass.
fn post_offices() -> Stage {
    let stage = Stage::new();
    for code in ["nl", "be"] {
        stage.configure(code, |text| {
            text.replace("talk = true", "talk = true, short_data = true")
                .replace("[[talkgroup]]", "[store]\npath = \"messages.sqlite\"\n[[talkgroup]]")
        });
    }
    stage
}

/// A unit that remembers what it sent and has.
fn unit(stage: &Stage, code: &str, name: &str) -> String {
    let file = stage.unit(code, name);
    let text = fs::read_to_string(&file).expect("written before");
    fs::write(&file, format!("{text}state = \"state-{name}\"\n")).expect("a folder");
    file
}

fn send(config: &str, to: &str, text: &str) -> Process {
    let wait = ["--wait", "delivered", "--connect-timeout", "15", "--json"];
    Process::start("talkbridge-unit", &[&["send", "--config", config, "--to", to, "--text", text][..], &wait].concat())
}

fn inbox(config: &str) -> Process {
    Process::start("talkbridge-unit", &["inbox", "--config", config, "--connect-timeout", "15", "--json"])
}

/// The texts that an inbox has shown, each with how often.
fn texts(inbox: &Process) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    for event in inbox.events().iter().filter(|event| event["event"] == "message") {
        *texts.entry(event["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    texts
}

#[test]
fn messages_cross_the_border_both_ways_and_their_senders_hear_of_it() {
    let stage = post_offices();
    let (_nl, _be) = stage.bridged();
    let (maas, lux) = (unit(&stage, "nl", "maas-12"), unit(&stage, "be", "lux-7"));
    for (from, reader, to) in [(&maas, &lux, "be/unit/lux-7"), (&lux, &maas, "nl/unit/maas-12")] {
        let shows = inbox(reader);
        shows.wait("connected");
        let mut sender = send(from, to, "Road closed");
        assert_eq!(sender.end(), 0, "{:?} {}", sender.events(), sender.errors());
        shows.wait("message");
        assert_eq!(texts(&shows), BTreeMap::from([("Road closed".to_owned(), 1)]));
    }
    let mut shown = Process::start("talkbridge", &["messages", "--config", stage.path("nl").join("gateway.toml").to_str().expect("UTF-8")]);
    assert_eq!(shown.end(), 0, "{}", shown.errors());
    assert_eq!(shown.events()[0], "store ok, 0 waiting, the oldest for 0 s");
}

#[test]
fn a_gateway_that_is_killed_under_load_loses_nothing_and_nothing_comes_twice() {
    let stage = post_offices();
    let (mut nl, mut be) = stage.bridged();
    let senders: Vec<String> = (0..SENDERS).map(|number| unit(&stage, "nl", &format!("maas-{number}"))).collect();
    let shows = inbox(&unit(&stage, "be", "lux-7"));
    shows.wait("connected");
    let rounds = std::env::var("KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        let text = |number: usize| format!("{round}-{number}");
        let mut sending: Vec<Process> =
            senders.iter().enumerate().map(|(number, config)| send(config, "be/unit/lux-7", &text(number))).collect();
        // Another moment each round: while they connect, while messages are taken, and after.
        thread::sleep(Duration::from_millis(40 * (round % 8) as u64));
        let (victim, code) = if round % 2 == 0 { (&mut nl, "nl") } else { (&mut be, "be") };
        victim.signal("KILL");
        victim.end();
        *victim = stage.gateway(code);
        for sender in &mut sending {
            assert_eq!(sender.end(), 0, "round {round}: {:?} {}", sender.events(), sender.errors());
        }
    }
    let expected: BTreeMap<String, usize> =
        (0..rounds).flat_map(|round| (0..SENDERS).map(move |number| (format!("{round}-{number}"), 1))).collect();
    assert_eq!(texts(&shows), expected);
    say(&format!("{rounds} kills of a gateway, {} messages: lost 0, twice 0", expected.len()));
}

//! Every way to break a configuration that an operator is likely to find, with the line and field it must name.

use std::path::Path;

use super::tests::BASE;
use super::{Config, ConfigError};

/// Replaces a piece of the good file; the error must name the line and field and hold the words.
struct Case(&'static str, &'static str, usize, &'static str, &'static str);

const SECOND_TALKGROUP: &str = "[[talkgroup]]\nname = \"fire-1\"";
const END: &str = "until = 2027-01-01T02:00:00+02:00 }\n";

const CASES: &[Case] = &[
    // The reader's faults.
    Case("name = \"gw-1\"\nstate", "name = gw-1\nstate", 2, "syntax", ""),
    Case("state = \"var/nl\"\n", "", 1, "state", "missing"),
    Case("name = \"gw-1\"\nstate", "name = 7\nstate", 2, "name", "invalid type"),
    Case("state = \"var/nl\"", "state = \"var/nl\"\nstat = 1", 4, "stat", "unknown key 'stat'"),
    Case("console = ", "consol = ", 8, "listen.consol", "unknown key 'consol'"),
    Case("units = [\"127.0.0.1:7001\"]\n", "", 5, "listen.units", "missing"),
    Case("units = [\"127.0.0.1:7001\"]", "units = \"127.0.0.1:7001\"", 6, "listen.units", "invalid type"),
    Case("key = \"pki/gw-1.key\"\n", "", 10, "identity.key", "missing"),
    Case("[identity]", "[identify]", 10, "identify", "unknown key 'identify'"),
    Case("for = [\"units\"]", "for = [\"unit\"]", 18, "trust.for", "unknown variant 'unit'"),
    Case("level_max = 64", "level_max = \"64\"", 35, "talkgroup.level_max", "invalid type"),
    Case("level_max = 64", "levelmax = 64", 35, "talkgroup.levelmax", "unknown key 'levelmax'"),
    Case("t2_s = 45", "t2 = 45", 36, "talkgroup.timers.t2", "unknown key 't2'"),
    Case("t2_s = 45", "t2_s = \"45\"", 36, "talkgroup.timers.t2_s", "seconds, such as"),
    Case("inbound = { talk = true", "inbound = { talks = true", 52, "bridge.inbound.talks", "unknown key 'talks'"),
    Case("level = 64 }", "levels = 64 }", 52, "bridge.inbound.ceiling.levels", "unknown key 'levels'"),
    Case("outbound = { talk = true", "outbound = { talk = 1", 53, "bridge.outbound.talk", "invalid type"),
    Case("partner = \"be/lux-3\"\n", "", 48, "bridge.partner", "missing"),
    Case("authority = \"nl\"\nname = \"gw-1\"\nstate = \"var/nl\"\n\n[listen]", "[listen]", 1, "authority", "missing"),
    // Names, addresses, paths, numbers.
    Case("authority = \"nl\"\nname", "authority = \"NL\"\nname", 1, "authority", "'NL' is not usable"),
    Case("name = \"gw-1\"\nstate", "name = \"gw 1\"\nstate", 2, "name", "'gw 1' is not usable"),
    Case("state = \"var/nl\"", "state = \"\"", 3, "state", "is empty"),
    Case("units = [\"127.0.0.1:7001\"]", "units = []", 6, "listen.units", "is empty"),
    Case("units = [\"127.0.0.1:7001\"]", "units = [\n  \"127.0.0.1:7001\",\n  \"localhost:7003\",\n]", 8, "listen.units", "no host names"),
    Case("peers = [\"127.0.0.1:7101\"]", "peers = [\"127.0.0.1:7001\"]", 7, "listen.peers", "already used by listen.units"),
    Case("peers = [\"127.0.0.1:7101\"]", "peers = [\"0.0.0.0:7001\"]", 7, "listen.peers", "already used by listen.units"),
    Case("console = \"127.0.0.1:7201\"", "console = \"127.0.0.1:7101\"", 8, "listen.console", "already used by listen.peers"),
    Case("console = \"127.0.0.1:7201\"", "console = \"0.0.0.0:7201\"", 8, "listen.console", "not a loopback address"),
    Case("for = [\"units\"]", "for = []", 18, "trust.for", "is empty"),
    Case("authority = \"be\"\nroot", "authority = \"nl\"\nroot", 21, "trust.authority", "has a [[trust]] already"),
    Case("[store]", "[units]\nrate_kbps = 0\n[store]", 26, "units.rate_kbps", "out of range"),
    Case("[store]\npath = \"var/nl/messages.sqlite\"", "[store]\npath = \"\"", 26, "store.path", "is empty"),
    Case("level_max = 64", "retention_h = 200", 35, "talkgroup.retention_h", "1 to 168 hours"),
    Case("[store]", "[[status_map]]\nfrom = \"nl\"\nto = \"nl\"\ncodes = []\n[store]", 27, "status_map.to", "another authority"),
    Case("[store]", "[[status_map]]\nfrom = \"nl\"\nto = \"be\"\ncodes = [[1, 70000]]\n[store]", 28, "status_map.codes", "0 to 65535"),
    Case(
        "[store]",
        "[[status_map]]\nfrom = \"nl\"\nto = \"be\"\ncodes = [[1, 2], [1, 3]]\n[store]",
        28,
        "status_map.codes",
        "listed twice",
    ),
    // Talkgroups.
    Case("name = \"fire-1\"", "name = \"pol-1\"", 39, "talkgroup.name", "exists already"),
    Case("name = \"fire-1\"", "name = \"nl/fire-1\"", 39, "talkgroup.name", "is not usable"),
    Case("join = [\"nl/*/*\"]", "join = [\"nl/*\"]", 32, "talkgroup.join", "AUTHORITY/KIND/NAME"),
    Case("talk = [\"nl/unit/*\", \"nl/dispatcher/*\"]", "talk = [\"nl/unit/*\",\n  \"nl/car/*\"]", 34, "talkgroup.talk", "kind must be"),
    Case("title = \"Police Limburg 1\"", "title = \"a\\tb\"", 30, "talkgroup.title", "printable"),
    Case("level_max = 64", "level_max = 256", 35, "talkgroup.level_max", "0 to 255"),
    Case("t2_s = 45", "t2_s = 601", 36, "talkgroup.timers.t2_s", "1 to 600"),
    Case("t2_s = 45", "t2_s = nan", 36, "talkgroup.timers.t2_s", "1 to 600"),
    Case("t1_s = 1.5", "t1_s = 0", 36, "talkgroup.timers.t1_s", "0.5 to 10"),
    // Peers.
    Case("authority = \"be\"\nname", "authority = \"nl\"\nname", 43, "peer.authority", "own authority"),
    Case("authority = \"be\"\nname", "authority = \"de\"\nname", 43, "peer.authority", "no [[trust]] of 'de'"),
    Case("for = [\"units\", \"peers\"]", "for = [\"units\"]", 43, "peer.authority", "no [[trust]] of 'be'"),
    Case("address = \"127.0.0.1:7102\"", "address = \"0.0.0.0:7102\"", 45, "peer.address", "cannot be dialled"),
    Case("rate_kbps = 256", "rate_kbps = -1", 46, "peer.rate_kbps", "out of range"),
    Case("[[bridge]]", "[[peer]]\nauthority = \"be\"\nname = \"gw-1\"\n[[bridge]]", 50, "peer.name", "listed already"),
    // Bridges.
    Case("agreement = \"EMR-2026-01\"", "agreement = \" \"", 49, "bridge.agreement", "printable"),
    Case("home = \"nl/pol-1\"", "home = \"pol-1\"", 50, "bridge.home", "AUTHORITY/NAME"),
    Case("home = \"nl/pol-1\"", "home = \"nl/pol-9\"", 50, "bridge.home", "not among the [[talkgroup]]"),
    Case("home = \"nl/pol-1\"", "home = \"de/pol-1\"", 50, "bridge.home", "neither home nor partner"),
    Case("partner = \"be/lux-3\"", "partner = \"nl/fire-1\"", 51, "bridge.partner", "both belong to 'nl'"),
    Case("partner = \"be/lux-3\"", "partner = \"de/lux-3\"", 51, "bridge.partner", "no [[peer]] of authority 'de'"),
    Case("tier = \"emergency\"", "tier = \"urgent\"", 52, "bridge.inbound.ceiling.tier", "normal, peril or emergency"),
    Case("level = 64 }", "level = 300 }", 52, "bridge.inbound.ceiling.level", "0 to 255"),
    Case("onward = []", "onward = [\"be\"]", 54, "bridge.onward", "a side of this bridge"),
    Case("onward = []", "onward = [\"de\", \"de\"]", 54, "bridge.onward", "listed twice"),
    Case("from = 2026-01-01T00:00:00Z", "from = 2026-01-01", 55, "bridge.valid.from", "date, time and offset"),
    Case("from = 2026-01-01T00:00:00Z", "from = 2028-01-01T00:00:00Z", 55, "bridge.valid.until", "is not after valid.from"),
    // Bridges against each other.
    Case(
        END,
        concat!(
            "until = 2027-01-01T02:00:00+02:00 }\n",
            "[[bridge]]\nagreement = \"EMR-2026-01\"\nhome = \"nl/fire-1\"\npartner = \"be/lux-4\"\n"
        ),
        57,
        "bridge.agreement",
        "configured already",
    ),
    Case(
        END,
        concat!("until = 2027-01-01T02:00:00+02:00 }\n", "[[bridge]]\nagreement = \"B\"\nhome = \"be/lux-4\"\npartner = \"nl/pol-1\"\n"),
        59,
        "bridge.partner",
        "is home in 'EMR-2026-01'",
    ),
    Case(
        END,
        concat!("until = 2027-01-01T02:00:00+02:00 }\n", "[[bridge]]\nagreement = \"B\"\nhome = \"be/lux-3\"\npartner = \"nl/fire-1\"\n"),
        58,
        "bridge.home",
        "is partner in 'EMR-2026-01'",
    ),
    Case(
        END,
        concat!("until = 2027-01-01T02:00:00+02:00 }\n", "[[bridge]]\nagreement = \"B\"\nhome = \"nl/fire-1\"\npartner = \"be/lux-3\"\n"),
        59,
        "bridge.partner",
        "one home only",
    ),
    Case(
        END,
        concat!("until = 2027-01-01T02:00:00+02:00 }\n", "[[bridge]]\nagreement = \"B\"\nhome = \"nl/pol-1\"\npartner = \"be/lux-4\"\n"),
        58,
        "bridge.home",
        "one bridge per home and authority",
    ),
    Case(SECOND_TALKGROUP, "[[talkgroups]]\nname = \"fire-1\"", 38, "talkgroups", "unknown key 'talkgroups'"),
];

#[test]
fn a_broken_configuration_is_refused_in_one_line_with_place_and_field() {
    let mut faults = Vec::new();
    for Case(from, to, line, field, words) in CASES {
        assert_eq!(BASE.matches(from).count(), 1, "{from}");
        let text = BASE.replace(from, to);
        let Err(error) = Config::from_text(Path::new("nl.toml"), &text, false) else {
            faults.push(format!("{to:?} was accepted"));
            continue;
        };
        let told = error.to_string();
        if !told.starts_with(&format!("nl.toml:{line}: {field}: ")) || !told.contains(words) || told.contains('\n') {
            faults.push(format!("{to:?}\n   want nl.toml:{line}: {field}: ...{words}...\n   got  {told}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), CASES.len(), faults.join("\n"));
}

#[test]
fn the_fault_is_also_there_in_parts_for_programs() {
    let error = Config::from_text(Path::new("nl.toml"), "authority = 1", false).unwrap_err();
    let ConfigError::Field { line, field, .. } = error else { panic!("{error}") };
    assert_eq!((line, field.as_str()), (1, "authority"));
}

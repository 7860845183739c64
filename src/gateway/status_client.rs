//! The other end of the console: fetches `/status` from a running gateway and prints it for people.
//!
//! Off the data path; runs in the process of `talkbridge status`. A plain HTTP/1.1 exchange over loopback needs no more
//! than a socket with timeouts.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::figures::FiguresStatus;
use crate::status::{MessagesStatus, Status};

/// Longest wait for connecting, and for each read and write.
const WAIT: Duration = Duration::from_secs(3);
/// Largest answer that is read, in bytes.
const ANSWER_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no gateway answers ({0}); is it running with this configuration?")]
    Unreachable(std::io::Error),
    #[error("the answer broke off ({0}); try again")]
    Broken(std::io::Error),
    #[error("not a gateway's console: {0}")]
    NotHttp(&'static str),
    #[error("the gateway answered '{0}'")]
    Refused(String),
}

/// Fetches a path; the body of a 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String, ClientError> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT).map_err(ClientError::Unreachable)?;
    stream.set_read_timeout(Some(WAIT)).map_err(ClientError::Broken)?;
    stream.set_write_timeout(Some(WAIT)).map_err(ClientError::Broken)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(ClientError::Broken)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).map_err(ClientError::Broken)?;
    body(&answer)
}

/// Takes a whole HTTP/1.1 answer apart.
fn body(answer: &[u8]) -> Result<String, ClientError> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(ClientError::NotHttp("no header"))?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_bytes| ClientError::NotHttp("header is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(ClientError::NotHttp("no HTTP/1.1"))?;
    let header = |wanted: &str| {
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim()))
    };
    if !status.starts_with("200") {
        return Err(ClientError::Refused(status.escape_debug().to_string()));
    }
    let length: usize = header("content-length").and_then(|text| text.parse().ok()).ok_or(ClientError::NotHttp("no length"))?;
    let body = answer.get(end + 4..).unwrap_or_default();
    if body.len() != length {
        return Err(ClientError::Broken(std::io::ErrorKind::UnexpectedEof.into()));
    }
    String::from_utf8(body.to_vec()).map_err(|_bytes| ClientError::NotHttp("body is not text"))
}

/// The status for people, one table per part; empty parts are left out.
pub(crate) fn table(status: &Status) -> String {
    let gateway = &status.gateway;
    let mut out = format!("{}/gateway/{}  {}  up {} s\n", gateway.authority, gateway.name, gateway.version, gateway.uptime_s);
    let rows =
        status.sessions.iter().map(|s| vec![s.identity.clone(), s.address.clone(), format!("{} s", s.since_s), s.talkgroups.join(" ")]);
    part(&mut out, &["SESSION", "ADDRESS", "SINCE", "TALKGROUPS"], rows);
    let rows = status
        .talkgroups
        .iter()
        .map(|t| vec![t.talkgroup.clone(), word(t.mode), t.members.to_string(), or_dash(t.emergency.as_deref()), t.title.clone()]);
    part(&mut out, &["TALKGROUP", "MODE", "MEMBERS", "EMERGENCY", "TITLE"], rows);
    let rows = status.floors.iter().map(|f| {
        let elapsed = f.elapsed_ms.map(|ms| format!("{ms} ms"));
        vec![
            f.talkgroup.clone(),
            word(f.state),
            or_dash(f.talker.as_deref()),
            or_dash(f.agency.as_deref()),
            or_dash(f.tier.as_deref()),
            or_dash(elapsed.as_deref()),
            f.queue.join(" "),
        ]
    });
    part(&mut out, &["FLOOR", "STATE", "TALKER", "AGENCY", "TIER", "FOR", "QUEUE"], rows);
    let rows = status
        .bridges
        .iter()
        .map(|b| vec![b.agreement.clone(), b.home.clone(), b.partner.clone(), b.peer.clone(), word(b.state), b.why.clone()]);
    part(&mut out, &["BRIDGE", "HOME", "PARTNER", "PEER", "STATE", "WHY"], rows);
    for bridge in &status.bridges {
        for (side, words) in [("ours", &bridge.ours), ("theirs", &bridge.theirs)] {
            if let (Some(words), false) = (words, bridge.why.is_empty()) {
                let _ = writeln!(out, "  {} {side}: {words}", bridge.agreement);
            }
        }
    }
    let rows = status.links.iter().map(|l| {
        let rtt = l.rtt_ms.map(|ms| format!("{ms:.1} ms"));
        let (used, suspended) = (format!("{} of {}", l.in_use, l.capacity), l.suspended.join(" "));
        let suspended = or_dash((!suspended.is_empty()).then_some(suspended.as_str()));
        let repeats = if l.repeats.spread { format!("{} spread", l.repeats.count) } else { l.repeats.count.to_string() };
        let counts = [format!("{} s", l.since_s), l.lost_count.to_string(), used, suspended, l.refused.to_string(), repeats];
        [l.peer.clone(), word(l.state), or_dash(rtt.as_deref())].into_iter().chain(counts).collect()
    });
    part(&mut out, &["LINK", "STATE", "RTT", "SINCE", "LOST", "SPURTS", "SUSPENDED", "REFUSED", "REPEATS"], rows);
    let rows = status.queues.iter().map(|q| {
        let counts = [q.depth, q.sent, q.dropped_late, q.dropped_full].map(|count| count.to_string());
        [q.link.clone(), q.class.to_string()].into_iter().chain(counts).collect()
    });
    part(&mut out, &["QUEUE", "CLASS", "DEPTH", "SENT", "LATE", "FULL"], rows);
    figures(&mut out, &status.figures);
    out
}

/// What was counted; only what there is.
fn figures(out: &mut String, figures: &FiguresStatus) {
    let rows = figures.access.iter().filter(|a| a.times.count > 0).map(|a| {
        let mean = format!("{:.1} ms", a.times.mean_ms());
        vec![a.outcome.to_string(), a.tier.to_string(), a.arbiter.to_string(), a.times.count.to_string(), mean]
    });
    part(out, &["ACCESS", "TIER", "ARBITER", "COUNT", "MEAN"], rows);
    let hops = figures.hops.iter().filter(|hop| hop.times.count > 0);
    let rows = hops.map(|hop| {
        let times = [hop.times.mean_ms(), hop.times.at_most_ms(0.99)].map(|ms| format!("{ms:.1} ms"));
        [hop.link.clone(), hop.class.to_string(), hop.times.count.to_string()].into_iter().chain(times).collect()
    });
    part(out, &["HOP", "CLASS", "COUNT", "MEAN", "99 % BELOW"], rows);
    let rows = figures.drops.iter().filter(|d| d.count > 0);
    part(
        out,
        &["DROPPED", "CLASS", "REASON", "COUNT"],
        rows.map(|d| vec![d.link.clone(), d.class.to_string(), d.reason.to_string(), d.count.to_string()]),
    );
    let rows = figures.kpis.iter().filter(|k| k.measured > 0);
    let rows = rows.map(|k| vec![k.kpi.to_string(), format!("{:.0} ms", k.limit_ms), k.measured.to_string(), k.breaches.to_string()]);
    part(out, &["KPI", "LIMIT", "MEASURED", "BREACHES"], rows);
}

/// Short data for people.
pub(crate) fn messages(messages: &MessagesStatus) -> String {
    let MessagesStatus { store, waiting, oldest_s, outboxes, undelivered } = messages;
    let mut out = format!("store {store}, {waiting} waiting, the oldest for {oldest_s} s\n");
    let rows = outboxes.iter().map(|o| vec![o.outbox.clone(), o.waiting.to_string(), format!("{} s", o.oldest_s)]);
    part(&mut out, &["OUTBOX", "WAITING", "OLDEST"], rows);
    let rows = undelivered.iter().map(|u| vec![u.id.clone(), u.from.clone(), u.to.clone(), u.reason.clone(), format!("{} s", u.ago_s)]);
    part(&mut out, &["UNDELIVERED", "FROM", "TO", "WHY", "AGO"], rows);
    out
}

/// The snake_case word of a state, as in the JSON.
fn word(state: impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

fn part(out: &mut String, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let widths: Vec<usize> =
        (0..titles.len()).map(|column| rows.iter().chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    out.push('\n');
    for row in [&titles].into_iter().chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{BridgeState, BridgeStatus, LinkState, LinkStatus, OutboxStatus, RepeatsStatus, UndeliveredStatus};

    #[test]
    fn an_answer_is_taken_apart_and_a_short_one_is_refused() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}").unwrap(), "{}");
        for bad in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}"[..],
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n{}",
            b"",
        ] {
            assert!(body(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn what_waits_and_what_did_not_arrive_are_two_tables() {
        let outbox = OutboxStatus { outbox: "be/gateway/gw-1".to_owned(), waiting: 12, oldest_s: 340 };
        let letter = UndeliveredStatus {
            id: "0197".to_owned(),
            from: "nl/unit/maas-12".to_owned(),
            to: "be/unit/lux-7".to_owned(),
            reason: "expired".to_owned(),
            ago_s: 9,
        };
        let status =
            MessagesStatus { store: "ok".to_owned(), waiting: 12, oldest_s: 340, outboxes: vec![outbox], undelivered: vec![letter] };
        let expected = "\
store ok, 12 waiting, the oldest for 340 s

OUTBOX           WAITING  OLDEST
be/gateway/gw-1  12       340 s

UNDELIVERED  FROM             TO             WHY      AGO
0197         nl/unit/maas-12  be/unit/lux-7  expired  9 s
";
        assert_eq!(messages(&status), expected);
    }

    #[test]
    fn the_table_is_aligned_and_leaves_empty_parts_out() {
        let bridge = BridgeStatus {
            agreement: "EMR-2026-01".to_owned(),
            home: "nl/pol-1".to_owned(),
            partner: "be/lux-3".to_owned(),
            peer: "be/gateway/gw-1".to_owned(),
            state: BridgeState::Pending,
            why: "onward differs".to_owned(),
            ours: Some("onward: de".to_owned()),
            theirs: None,
        };
        let link = LinkStatus {
            peer: "be/gateway/gw-1".to_owned(),
            state: LinkState::HeldDown,
            rtt_ms: Some(1.25),
            since_s: 4,
            lost_count: 3,
            capacity: 7,
            ..LinkStatus::default()
        };
        let full = LinkStatus {
            peer: "de/gateway/gw-1".to_owned(),
            state: LinkState::Up,
            capacity: 3,
            in_use: 3,
            suspended: vec!["nl/pol-1".to_owned(), "nl/fire-1".to_owned()],
            refused: 12,
            repeats: RepeatsStatus { count: 2, spread: true },
            ..LinkStatus::default()
        };
        let text = table(&Status { bridges: vec![bridge], links: vec![link, full], ..Status::default() });
        let expected = "\
BRIDGE       HOME      PARTNER   PEER             STATE    WHY
EMR-2026-01  nl/pol-1  be/lux-3  be/gateway/gw-1  pending  onward differs
  EMR-2026-01 ours: onward: de

LINK             STATE      RTT     SINCE  LOST  SPURTS  SUSPENDED           REFUSED  REPEATS
be/gateway/gw-1  held_down  1.2 ms  4 s    3     0 of 7  -                   0        0
de/gateway/gw-1  up         -       0 s    0     3 of 3  nl/pol-1 nl/fire-1  12       2 spread
";
        assert!(text.ends_with(expected), "{text}");
        assert!(!text.contains("SESSION"));
    }
}

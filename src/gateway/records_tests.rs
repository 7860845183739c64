//! What the call records promise: whole lines, nothing lost in order, drops counted.

use time::macros::datetime;

use super::*;

const WAIT: Duration = Duration::from_secs(30);

fn record(number: usize) -> Record {
    let mut record = Record::new(RecordKind::Call, datetime!(2026-11-24 10:00:00.0625 +1));
    record.talker = Some(format!("nl/unit/maas-{number}"));
    record.duration_ms = Some(1_200);
    record
}

fn lines(file: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_record_names_what_applies_and_nothing_else() {
    let json = serde_json::to_string(&record(12)).unwrap();
    assert_eq!(json, r#"{"at":"2026-11-24T09:00:00.062Z","kind":"call","talker":"nl/unit/maas-12","duration_ms":1200}"#);
}

#[test]
fn writers_at_once_leave_whole_lines_in_their_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state/records.jsonl");
    let records = Records::open(&file).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let records = records.clone();
            scope.spawn(move || (0..500).for_each(|number| records.write(record(writer * 1_000 + number))));
        }
    });
    assert!(records.flush(WAIT));
    let talkers: Vec<usize> =
        lines(&file).iter().map(|line| line["talker"].as_str().unwrap().trim_start_matches("nl/unit/maas-").parse().unwrap()).collect();
    assert_eq!(talkers.len(), 2_000);
    for writer in 0..4 {
        let own: Vec<_> = talkers.iter().filter(|number| **number / 1_000 == writer).collect();
        assert!(own.is_sorted());
    }
    assert_eq!(records.dropped(), 0);
}

#[test]
fn a_full_queue_drops_the_newest_and_counts() {
    let (records, receiver) = Records::queue();
    (0..QUEUE_RECORDS + 3).for_each(|number| records.write(record(number)));
    assert_eq!(records.dropped(), 3);
    assert!(!records.flush(Duration::ZERO), "nobody writes, so nothing can be on the disk");
    drop(records);
    assert_eq!(receiver.into_iter().count(), QUEUE_RECORDS);
}

#[test]
fn a_torn_last_line_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, "{\"kind\":\"call\"}\n{\"kind\":\"ca").unwrap();
    let records = Records::open(&file).unwrap();
    records.write(record(1));
    assert!(records.flush(WAIT));
    let text = std::fs::read_to_string(&file).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(last).unwrap()["talker"], "nl/unit/maas-1");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state"), "in the way").unwrap();
    let error = Records::open(&folder.path().join("state/records.jsonl")).unwrap_err();
    assert!(error.to_string().contains("state/records.jsonl"), "{error}");
}

#[test]
fn the_sink_of_tests_keeps_records() {
    let (records, kept) = Records::sink_for_tests();
    records.write(record(7));
    assert_eq!(kept.lock().unwrap().as_slice(), [record(7)]);
}

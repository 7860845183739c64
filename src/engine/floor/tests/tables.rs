//! Both tables, every pair of state and event: a change of a rule shows up here line by line.

use std::fmt::Write as _;

use crate::floor::{participant, table};

#[test]
fn the_arbiters_table() {
    let mut text = String::new();
    for state in table::STATES {
        for event in table::EVENTS {
            let outcome = table::decide(state, event).map_or_else(|| "-".into(), |(actions, to)| format!("{actions:?} -> {to:?}"));
            writeln!(text, "{:9} {:12} {outcome}", format!("{state:?}"), format!("{event:?}")).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_participants_table() {
    let mut text = String::new();
    for state in participant::STATES {
        for event in participant::EVENTS {
            let outcome = participant::decide(state, event).map_or_else(|| "-".into(), |(actions, to)| format!("{actions:?} -> {to:?}"));
            writeln!(text, "{:11} {:13} {outcome}", format!("{state:?}"), format!("{event:?}")).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

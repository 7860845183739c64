//! A scene fails by what nobody asserts: a breach that the watch wrote down, a panic in a task of its own, an error in the log, a
//! gateway that ends by itself.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::{bridged, scene};

#[test]
#[should_panic(expected = "written down by a test")]
fn a_breach_fails_the_scene() {
    bridged(91, async |world| world.watch().breach("written down by a test"));
}

#[test]
#[should_panic(expected = "a task of its own")]
fn a_panic_in_a_task_that_nobody_joins_fails_the_scene() {
    scene(92, async |_world| {
        tokio::spawn(async { panic!("a task of its own") });
        sleep(Duration::from_millis(1)).await;
    });
}

#[test]
#[should_panic(expected = "logged as an error")]
fn an_error_in_the_log_fails_the_scene() {
    scene(93, async |_world| tracing::error!("the pump of a link broke off"));
}

#[test]
#[should_panic(expected = "the gateway of be has ended by itself")]
fn a_gateway_that_ends_by_itself_fails_the_scene() {
    bridged(94, async |world| world.controls("be").drain().await);
}

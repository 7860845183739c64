//! Callers that know the way in but do not take it: how long they may stand in the door.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::Reason;

use crate::support::bridged;

#[test]
fn hello_is_due_five_seconds_after_the_handshake_however_late_its_stream_came() {
    bridged(71, async |world| {
        let mut raw = world.raw("nl", "slow").await;
        let connected = Instant::now();
        sleep(Duration::from_secs(4)).await;
        raw.send.write_all(&[0]).await.expect("a live connection");
        assert_eq!(raw.connection.closed().await, Reason::Timeout);
        let after = connected.elapsed();
        assert!((4_900..5_200).contains(&after.as_millis()), "{after:?}");
    });
}

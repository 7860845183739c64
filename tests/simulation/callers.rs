//! Callers that know the way in but do not take it: how long they may stand in the door.

use std::time::Duration;

use testkit::clock::run;
use tokio::time::{Instant, sleep};
use wire::Reason;

use crate::support::World;

const BUDGET: Duration = Duration::from_secs(120);

#[test]
fn hello_is_due_five_seconds_after_the_handshake_however_late_its_stream_came() {
    run(BUDGET, async {
        let mut world = World::bridged(71).await;
        let mut raw = world.raw("nl", "slow").await;
        let connected = Instant::now();
        sleep(Duration::from_secs(4)).await;
        raw.send.write_all(&[0]).await.expect("a live connection");
        assert_eq!(raw.connection.closed().await, Reason::Timeout);
        let after = connected.elapsed();
        assert!((4_900..5_200).contains(&after.as_millis()), "{after:?}");
    });
}

//! Three countries and more: the home passes on what one partner says to the others, if all of them agreed to it.

use std::time::Duration;

use testkit::Link;
use tokio::time::sleep;

use crate::support::scene::star;
use crate::support::world::ip;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_border_that_heals_elsewhere_costs_a_talker_no_frame() {
    star(201, &["nl", "be", "de", "lu"], async |world| {
        let mut lux = world.radio("be", "lux-1").await;
        let near = world.radio("be", "lux-2").await;
        let maas = world.radio("nl", "maas-12").await;
        let slow = Link::delayed(ms(70));
        // The talker is far from its gateway and that from the home: it learns late of every new number.
        for other in [ip("be"), lux.host] {
            world.net.set_link(other, if other == lux.host { ip("be") } else { ip("nl") }, slow);
        }
        for code in ["de", "lu"] {
            world.net.cut(ip("nl"), ip(code));
        }
        sleep(ms(3_000)).await;
        lux.press().await;
        sleep(ms(1_000)).await;
        for code in ["de", "lu"] {
            world.net.heal(ip("nl"), ip(code));
        }
        world.until("all are joined again", |world| world.is_whole()).await;
        sleep(ms(1_000)).await;
        lux.release().await;
        sleep(ms(800)).await;
        let all: Vec<u32> = (1..=lux.said()).collect();
        assert_eq!(near.frames_of(&lux), all, "beside the talker");
        assert_eq!(maas.frames_of(&lux), all, "at the home");
    });
}

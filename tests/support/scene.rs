//! A scene: a world, what happens in it, and the verdict at its end.

use std::time::Duration;

use testkit::clock;

use super::{World, panics};

/// Virtual time that no scene needs.
const BUDGET: Duration = Duration::from_secs(3_600);

/// Plays a scene of two countries, nobody started yet; fails if an invariant broke, an error was logged or a task panicked.
pub(crate) fn scene(seed: u64, play: impl AsyncFnOnce(&mut World)) {
    of(seed, &["nl", "be"], play);
}

/// The same with both gateways running and the bridge active.
pub(crate) fn bridged(seed: u64, play: impl AsyncFnOnce(&mut World)) {
    star(seed, &["nl", "be"], play);
}

/// The same in a star of countries, the first of which is the home and passes on what each of the others says.
pub(crate) fn star(seed: u64, codes: &[&str], play: impl AsyncFnOnce(&mut World)) {
    of(seed, codes, async |world: &mut World| {
        world.consent_onward();
        world.start_all().await;
        play(world).await;
    });
}

/// A scene of these countries, nobody started yet.
pub(crate) fn of(seed: u64, codes: &[&str], play: impl AsyncFnOnce(&mut World)) {
    let ((), breaches) = judged(seed, codes, play);
    assert!(breaches.is_empty(), "seed {seed}:\n  {}", breaches.join("\n  "));
}

/// Plays a scene and returns what broke beside what it found.
pub(crate) fn judged<T>(seed: u64, codes: &[&str], play: impl AsyncFnOnce(&mut World) -> T) -> (T, Vec<String>) {
    panics::watch();
    let (found, mut breaches) = clock::run(BUDGET, async {
        let mut world = World::of(seed, codes);
        let found = play(&mut world).await;
        (found, world.finish().await)
    });
    breaches.extend(panics::take().into_iter().map(|what| format!("a task {what}")));
    (found, breaches)
}

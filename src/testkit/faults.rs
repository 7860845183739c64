//! What is wrong with the network, and since when nothing is: whoever judges a run judges strictly only while it is calm.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::time::Instant;

use crate::link::Link;

type Path = (IpAddr, IpAddr);

/// A place where something can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Every path without a link of its own.
    Default,
    /// One direction between two hosts.
    Path(Path),
    /// A host.
    Host(IpAddr),
}

/// The faults in force, and when others ended.
#[derive(Debug)]
pub(crate) struct Faults {
    now: BTreeSet<Place>,
    ended: BTreeMap<Place, Instant>,
    began: Instant,
}

impl Faults {
    /// A network without faults.
    pub(crate) fn new(at: Instant) -> Self {
        Self { now: BTreeSet::new(), ended: BTreeMap::new(), began: at }
    }

    /// Takes stock after a change.
    pub(crate) fn renew(
        &mut self,
        default: &Link,
        links: &BTreeMap<Path, Link>,
        cuts: &BTreeSet<Path>,
        frozen: &BTreeSet<IpAddr>,
        at: Instant,
    ) {
        let losing = links.iter().filter(|(_, link)| link.loses()).map(|(path, _)| Place::Path(*path));
        let cut = cuts.iter().map(|path| Place::Path(*path));
        let hosts = frozen.iter().map(|host| Place::Host(*host));
        let now: BTreeSet<Place> = losing.chain(cut).chain(hosts).chain(default.loses().then_some(Place::Default)).collect();
        self.ended.extend(self.now.difference(&now).map(|place| (*place, at)));
        self.now = now;
    }

    /// A link became another: packets on the way may be overtaken.
    pub(crate) fn changed(&mut self, path: Path) {
        self.ended.insert(Place::Path(path), Instant::now());
    }

    /// Every link without one of its own did.
    pub(crate) fn changed_everywhere(&mut self) {
        self.ended.insert(Place::Default, Instant::now());
    }

    pub(crate) fn calm_since(&self) -> Option<Instant> {
        let last = self.ended.values().max().copied().unwrap_or(self.began);
        self.now.is_empty().then_some(last)
    }

    pub(crate) fn clear_since(&self, a: IpAddr, b: IpAddr) -> Option<Instant> {
        let places = [Place::Default, Place::Path((a, b)), Place::Path((b, a)), Place::Host(a), Place::Host(b)];
        let last = places.iter().filter_map(|place| self.ended.get(place)).max().copied().unwrap_or(self.began);
        places.iter().all(|place| !self.now.contains(place)).then_some(last)
    }
}

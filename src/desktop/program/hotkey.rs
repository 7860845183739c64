//! Push-to-talk wherever the focus is, under X11: the keys of pedals and headsets.
//!
//! The server tells of every key's raw going down and up, without taking it from the program that has the focus, and also
//! while another program holds the keyboard: a release is never lost. What is not a key that talks is not looked at. If the
//! connection ends, so does the source, and with it what it held.

use std::collections::BTreeSet;
use std::thread;

use talkbridge_desktop::model::{Fact, Gesture};
use talkbridge_desktop::ptt::{Source, TalkKey};
use talkbridge_desktop::terminal::Wish;
use tokio::sync::mpsc;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{ConnectionExt as _, Device, EventMask, XIEventMask};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Version of the input extension from which raw events come whatever is grabbed.
const VERSION: (u16, u16) = (2, 2);
/// The kernel's F13 to F24, eight further on as everywhere in X11.
const KERNELS: std::ops::RangeInclusive<u32> = 191..=202;

/// Follows the keys on a thread of its own. Not under Wayland, whose X11 server sees the keys of its own windows only.
pub(crate) fn start(wishes: mpsc::Sender<Wish>) {
    if std::env::var_os("WAYLAND_DISPLAY").is_some() {
        tracing::info!("no global key under Wayland");
        return;
    }
    let watch = move || {
        if let Err(error) = watch(&wishes) {
            tracing::info!(%error, "no global key");
        }
        wishes.blocking_send(there(false)).ok();
    };
    if let Err(error) = thread::Builder::new().name("global key".into()).spawn(watch) {
        tracing::warn!(%error, "no global key");
    }
}

fn there(there: bool) -> Wish {
    Wish::Fact(Box::new(Fact::Source(Source::Desktop, there)))
}

fn watch(wishes: &mpsc::Sender<Wish>) -> Result<(), Box<dyn std::error::Error>> {
    let (server, screen) = RustConnection::connect(None)?;
    let codes = codes(&server)?;
    server.xinput_xi_query_version(VERSION.0, VERSION.1)?.reply()?;
    let root = server.setup().roots.get(screen).ok_or("no screen")?.root;
    let mask = vec![XIEventMask::RAW_KEY_PRESS | XIEventMask::RAW_KEY_RELEASE];
    let every = EventMask { deviceid: u16::from(Device::ALL_MASTER), mask };
    server.xinput_xi_select_events(root, &[every])?.check()?;
    wishes.blocking_send(there(true))?;
    let mut held = BTreeSet::new();
    loop {
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else was asked for")]
        let (code, down) = match server.wait_for_event()? {
            Event::XinputRawKeyPress(key) => (key.detail, true),
            Event::XinputRawKeyRelease(key) => (key.detail, false),
            _ => continue,
        };
        if !codes.contains(&code) {
            continue;
        }
        let was = !held.is_empty();
        let _ = if down { held.insert(code) } else { held.remove(&code) };
        let gesture = match (was, held.is_empty()) {
            (false, false) => Gesture::Press(Source::Desktop),
            (true, true) => Gesture::Release(Source::Desktop),
            (true, false) | (false, true) => continue,
        };
        wishes.blocking_send(Wish::Gesture(gesture))?;
    }
}

/// The key codes of keys that talk: what the kernel calls F13 to F24, which most layouts give other names, and what the layout
/// calls so.
fn codes(server: &RustConnection) -> Result<BTreeSet<u32>, Box<dyn std::error::Error>> {
    let (first, last) = (server.setup().min_keycode, server.setup().max_keycode);
    let mapping = server.get_keyboard_mapping(first, last - first + 1)?.reply()?;
    let talking: BTreeSet<u32> = TalkKey::all().filter(|key| key.is_global()).map(TalkKey::keysym).collect();
    let per_code = usize::from(mapping.keysyms_per_keycode).max(1);
    let codes = mapping.keysyms.chunks(per_code).zip(u32::from(first)..);
    let named = codes.filter(|(keysyms, _)| keysyms.first().is_some_and(|keysym| talking.contains(keysym))).map(|(_, code)| code);
    Ok(named.chain(KERNELS).collect())
}

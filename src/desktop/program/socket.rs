//! Push-to-talk from outside: `talkbridge-ptt ptt press` and `release`, one datagram each to a socket that only its user may write.
//!
//! For desktops that bind keys to commands, pedals and scripts. The last word wins; a press without a release ends as a stuck key.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use talkbridge_desktop::model::{Fact, Gesture};
use talkbridge_desktop::ptt::Source;
use talkbridge_desktop::terminal::Wish;
use tokio::sync::mpsc;

/// Longest word.
const WORD_MAX: usize = 16;

/// What may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Word {
    /// The key goes down.
    Press,
    /// The key goes up.
    Release,
}

impl Word {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Press => "press",
            Self::Release => "release",
        }
    }
}

fn path() -> io::Result<PathBuf> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").ok_or_else(|| io::Error::other("XDG_RUNTIME_DIR is not set"))?;
    Ok(PathBuf::from(folder).join("talkbridge-ptt.sock"))
}

/// Says a word to the terminal that runs.
pub(crate) fn say(word: Word) -> io::Result<()> {
    let path = path()?;
    let socket = UnixDatagram::unbound()?;
    socket.send_to(word.as_str().as_bytes(), &path).map(drop).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The terminal's end.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: tokio::net::UnixDatagram,
    path: PathBuf,
}

impl Listener {
    /// Takes the place of a terminal that is gone; one that runs keeps it.
    pub(crate) fn bind() -> io::Result<Self> {
        let path = path()?;
        if UnixDatagram::unbound()?.connect(&path).is_ok() {
            return Err(io::Error::other(format!("{}: another terminal listens there", path.display())));
        }
        std::fs::remove_file(&path).ok();
        let socket = UnixDatagram::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UnixDatagram::from_std(socket)?, path })
    }

    /// Hands on what is said, for as long as the terminal lives.
    pub(crate) async fn run(self, wishes: mpsc::Sender<Wish>) {
        let there = |there| Wish::Fact(Box::new(Fact::Source(Source::Socket, there)));
        if wishes.send(there(true)).await.is_err() {
            return;
        }
        let mut buffer = [0; WORD_MAX];
        while let Ok(length) = self.socket.recv(&mut buffer).await {
            let wish = match buffer.get(..length) {
                Some(b"press") => Gesture::Press(Source::Socket),
                Some(b"release") => Gesture::Release(Source::Socket),
                Some(_) | None => continue,
            };
            if wishes.send(Wish::Gesture(wish)).await.is_err() {
                return;
            }
        }
        wishes.send(there(false)).await.ok();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

//! Voice outside the network: what stands between a microphone, a loudspeaker or a WAV file and the Opus payloads of
//! the datagrams.
//!
//! ```text
//!  Source ─▶ Frame (20 ms, 16 kHz) ─▶ opus::Encoder ─▶ payload
//!         ─▶ [network, jitter buffer] ─▶ opus::Decoder ─▶ Frame ─▶ Stretcher ─▶ Frame ─▶ Sink
//! ```
//!
//! [`wav`] and [`tone`] are sources and sinks without a sound card; [`resample`] stands before a source and behind a
//! sink whose rate is not ours; [`stretch`] plays faster or slower; [`onset`] measures what came out. Only units use this
//! crate: a gateway never decodes voice.

#![cfg_attr(not(test), deny(clippy::panic))]

pub mod onset;
pub mod opus;
pub mod pcm;
pub mod resample;
mod stream;
pub mod stretch;
pub mod timeline;
pub mod tone;
pub mod wav;

pub use pcm::Frame;
pub use stream::{Collected, Sink, SinkError, Source};

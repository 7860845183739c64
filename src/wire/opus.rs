//! What can be read off an Opus packet (RFC 6716) without decoding it.
//!
//! Beside the data path: only a unit asks, for packets that are not encrypted. A gateway never looks into a payload.

/// Whether the payload carries a copy of the frame before it (RFC 6716 sections 3.1, 4.2.3 and 4.2.4).
///
/// Reads what our own encoder and every usual one sends: one mono SILK or hybrid frame of 20 ms per packet. There the
/// first byte of the frame starts with its activity flag, followed by the flag of the copy.
pub fn carries_fec(payload: &[u8]) -> bool {
    const CONFIG_SHIFT: u8 = 3;
    const FIRST_CELT_CONFIG: u8 = 16;
    const STEREO_OR_SEVERAL_FRAMES: u8 = 0b111;
    const COPY_FLAG: u8 = 0x40;
    let [toc, first, ..] = payload else { return false };
    toc >> CONFIG_SHIFT < FIRST_CELT_CONFIG && toc & STEREO_OR_SEVERAL_FRAMES == 0 && first & COPY_FLAG != 0
}

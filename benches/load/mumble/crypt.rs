//! Mumble's packet encryption: OCB2 over AES-128, three bytes of tag, one byte of nonce on the wire.
//!
//! Only to speak with murmurd; OCB2 is broken as a mode (IACR 2019/311) and is used nowhere in the product.

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};

const BLOCK: usize = 16;
/// A byte of nonce and three of tag.
const HEAD: usize = 4;

/// Blocks are numbers, most significant byte first, so that doubling in the field is a shift.
fn double(block: u128) -> u128 {
    block << 1 ^ if block >> 127 == 1 { 0x87 } else { 0 }
}

fn number(bytes: &[u8]) -> u128 {
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(block)
}

struct Ocb2(Aes128);

impl Ocb2 {
    fn encrypt(&self, block: u128) -> u128 {
        let mut bytes = block.to_be_bytes().into();
        self.0.encrypt_block(&mut bytes);
        u128::from_be_bytes(bytes.into())
    }

    fn decrypt(&self, block: u128) -> u128 {
        let mut bytes = block.to_be_bytes().into();
        self.0.decrypt_block(&mut bytes);
        u128::from_be_bytes(bytes.into())
    }

    /// Both ways: the other text and the tag. `whole` turns one whole block and its offset into the other text's.
    fn run(&self, text: &[u8], nonce: u128, sealing: bool) -> (Vec<u8>, u128) {
        // The nonce counts from its first byte on; the cipher takes its bytes as they lie.
        let mut offset = self.encrypt(u128::from_be_bytes(nonce.to_le_bytes()));
        let mut checksum = 0;
        let mut out = Vec::with_capacity(text.len());
        // The last block, whole or not, is treated apart, and is there for an empty text, too.
        let split = text.len().saturating_sub(1) / BLOCK * BLOCK;
        let (whole, last) = text.split_at(split);
        for bytes in whole.chunks_exact(BLOCK) {
            offset = double(offset);
            let block = number(bytes);
            let other = offset ^ if sealing { self.encrypt(block ^ offset) } else { self.decrypt(block ^ offset) };
            checksum ^= if sealing { block } else { other };
            out.extend(other.to_be_bytes());
        }
        offset = double(offset);
        let bits = last.len() as u128 * 8;
        let pad = self.encrypt(bits ^ offset);
        let other = number(last) ^ pad;
        out.extend(&other.to_be_bytes()[..last.len()]);
        // What the last block lacks is taken from the pad.
        let plain = if sealing { number(last) } else { other };
        let kept = u128::MAX.checked_shr(u32::try_from(last.len() * 8).unwrap_or(128)).unwrap_or(0);
        checksum ^= plain & !kept | pad & kept;
        let tag = self.encrypt(offset ^ double(offset) ^ checksum);
        (out, tag)
    }
}

/// Our packets.
pub(super) struct Sealing {
    cipher: Ocb2,
    nonce: u128,
}

impl Sealing {
    pub(super) fn new(key: [u8; BLOCK], nonce: [u8; BLOCK]) -> Self {
        Self { cipher: Ocb2(Aes128::new(&key.into())), nonce: u128::from_le_bytes(nonce) }
    }

    /// The packet that carries a text.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.nonce = self.nonce.wrapping_add(1);
        let (text, tag) = self.cipher.run(plain, self.nonce, true);
        let mut packet = vec![self.nonce.to_le_bytes()[0]];
        packet.extend(&tag.to_be_bytes()[..HEAD - 1]);
        packet.extend(text);
        packet
    }
}

/// The server's packets.
pub(super) struct Opening {
    cipher: Ocb2,
    nonce: u128,
}

impl Opening {
    pub(super) fn new(key: [u8; BLOCK], nonce: [u8; BLOCK]) -> Self {
        Self { cipher: Ocb2(Aes128::new(&key.into())), nonce: u128::from_le_bytes(nonce) }
    }

    /// The text of a packet; `None` if it is none of the server's. Packets do not overtake each other on this machine.
    pub(super) fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = packet.split_at_checked(HEAD)?;
        let ahead = head[0].wrapping_sub(self.nonce.to_le_bytes()[0]);
        let nonce = self.nonce.wrapping_add(u128::from(ahead));
        let (plain, tag) = self.cipher.run(text, nonce, false);
        if tag.to_be_bytes()[..HEAD - 1] != head[1..] {
            return None;
        }
        self.nonce = nonce;
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Vectors of draft-krovetz-ocb-00, key and nonce 000102..0f.
    #[test]
    fn the_published_vectors_come_out() {
        let key: [u8; BLOCK] = core::array::from_fn(|at| at as u8);
        let cipher = Ocb2(Aes128::new(&key.into()));
        let nonce = u128::from_le_bytes(key);
        let seal = |length: usize| {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let (text, tag) = cipher.run(&plain, nonce, true);
            assert_eq!(cipher.run(&text, nonce, false), (plain, tag), "{length} bytes");
            (text, tag.to_be_bytes().to_vec())
        };
        assert_eq!(seal(0), (vec![], bytes("BF3108130773AD5EC70EC69E7875A7B0")));
        assert_eq!(seal(8), (bytes("C636B3A868F429BB"), bytes("A45F5FDEA5C088D1D7C8BE37CABC8C5C")));
        assert_eq!(seal(16), (bytes("52E48F5D19FE2D9869F0C4A4B3D2BE57"), bytes("F7EE49AE7AA5B5E6645DB6B3966136F9")));
        seal(15);
        seal(17);
        seal(60);
    }

    #[test]
    fn a_packet_is_opened_once_its_nonce_is_found_and_not_if_it_is_changed() {
        let (mut sealing, mut opening) = (Sealing::new([7; BLOCK], [0xff; BLOCK]), Opening::new([7; BLOCK], [0xff; BLOCK]));
        assert_eq!(opening.open(&sealing.seal(b"one")), Some(b"one".to_vec()));
        let lost = sealing.seal(b"two");
        let mut changed = sealing.seal(b"three");
        assert_eq!(opening.open(&changed), Some(b"three".to_vec()));
        changed[6] ^= 1;
        assert_eq!((opening.open(&changed), opening.open(&lost[..3])), (None, None));
        for _ in 0..600 {
            assert_eq!(opening.open(&sealing.seal(b"on")), Some(b"on".to_vec()));
        }
    }
}

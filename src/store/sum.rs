//! Sums over rows, so that a flipped bit is noticed when the row is read (SQLite has none of its own).

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a, 64 bit, over the parts and their lengths. Every step can be undone, so one changed byte always changes the sum.
pub(crate) fn sum(parts: &[&[u8]]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(PRIME);
    parts.iter().fold(OFFSET, |sum, part| {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
        part.iter().fold(length.iter().fold(sum, step), step)
    })
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn every_flipped_bit_and_every_shifted_border_changes_the_sum() {
        let (first, second) = (b"nl/unit/maas-12".to_vec(), vec![0u8; 64]);
        let whole = sum(&[&first, &second]);
        for bit in 0..second.len() * 8 {
            let mut flipped = second.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&[&first, &flipped]), whole, "bit {bit}");
        }
        assert_ne!(sum(&[b"ab", b"c"]), sum(&[b"a", b"bc"]));
        assert_ne!(sum(&[b"", b"a"]), sum(&[b"a", b""]));
    }
}

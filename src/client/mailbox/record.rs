//! What lies in the state folder: records, each with its length and a sum, in the order in which things happened.
//!
//! The last record may be torn, for the power may go in the middle of a write: what does not fit its sum, and all behind it,
//! was never answered for, and is left out.

use bytes::{Buf, BufMut, Bytes};
use wire::data::{Item, MessageId, keep};

/// Bytes before a record: length and sum.
const HEAD_BYTES: usize = 12;
/// Largest record: an item and some numbers.
const RECORD_MAX_BYTES: usize = wire::frame::FRAME_MAX_BYTES + 64;

const OUT: u8 = 1;
const GONE: u8 = 2;
const CAME: u8 = 3;
const SHOWN: u8 = 4;
const HEARD: u8 = 5;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A message or report is to be sent.
    Out { number: u64, expires_ms: u64, urgent: bool, item: Item },
    /// It needs not be sent any more.
    Gone { number: u64 },
    /// A message came, and was not shown yet.
    Came { until_ms: u64, item: Item },
    /// A message was shown; its id is known until then.
    Shown { id: MessageId, until_ms: u64 },
    /// A report was heard, by its sum.
    Heard { sum: u64, until_ms: u64 },
}

impl Record {
    /// Appends the record's bytes.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Self::Out { number, expires_ms, urgent, item } => {
                body.put_u8(OUT);
                body.put_u64(*number);
                body.put_u64(*expires_ms);
                body.put_u8(u8::from(*urgent));
                body.put_slice(&item.encode());
            }
            Self::Gone { number } => {
                body.put_u8(GONE);
                body.put_u64(*number);
            }
            Self::Came { until_ms, item } => {
                body.put_u8(CAME);
                body.put_u64(*until_ms);
                body.put_slice(&item.encode());
            }
            Self::Shown { id, until_ms } => {
                body.put_u8(SHOWN);
                body.put_slice(&id.0);
                body.put_u64(*until_ms);
            }
            Self::Heard { sum, until_ms } => {
                body.put_u8(HEARD);
                body.put_u64(*sum);
                body.put_u64(*until_ms);
            }
        }
        to.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        to.put_u64(keep::sum(&[&body]));
        to.put_slice(&body);
    }

    /// Reads records until the end or the first that is torn; also how many bytes were sound.
    pub(crate) fn read_all(bytes: &[u8]) -> (Vec<Self>, usize) {
        let mut records = Vec::new();
        let mut rest = bytes;
        while let Some((record, after)) = Self::read(rest) {
            records.push(record);
            rest = after;
        }
        (records, bytes.len() - rest.len())
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut head = bytes.get(..HEAD_BYTES)?;
        let length = usize::try_from(head.get_u32()).ok().filter(|length| *length <= RECORD_MAX_BYTES)?;
        let sum = head.get_u64();
        let body = bytes.get(HEAD_BYTES..HEAD_BYTES + length)?;
        if keep::sum(&[body]) != sum {
            return None;
        }
        Some((Self::of_body(Bytes::copy_from_slice(body))?, &bytes[HEAD_BYTES + length..]))
    }

    fn of_body(mut body: Bytes) -> Option<Self> {
        let item = |frame: Bytes| Item::decode(frame.get(4..)?).ok().flatten();
        Some(match body.try_get_u8().ok()? {
            OUT => Self::Out {
                number: body.try_get_u64().ok()?,
                expires_ms: body.try_get_u64().ok()?,
                urgent: body.try_get_u8().ok()? != 0,
                item: item(body)?,
            },
            GONE => Self::Gone { number: body.try_get_u64().ok()? },
            CAME => Self::Came { until_ms: body.try_get_u64().ok()?, item: item(body)? },
            SHOWN => Self::Shown { id: MessageId(body.try_get_u128().ok()?.to_be_bytes()), until_ms: body.try_get_u64().ok()? },
            HEARD => Self::Heard { sum: body.try_get_u64().ok()?, until_ms: body.try_get_u64().ok()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::data::{Body, Undelivered};

    fn records() -> Vec<Record> {
        let item = Item { number: 3, body: Body::Refused(Undelivered::QueueFull) };
        vec![
            Record::Out { number: 1, expires_ms: 2, urgent: true, item: item.clone() },
            Record::Gone { number: 1 },
            Record::Came { until_ms: 5, item },
            Record::Shown { id: MessageId([7; 16]), until_ms: 6 },
            Record::Heard { sum: u64::MAX, until_ms: 7 },
        ]
    }

    #[test]
    fn records_read_back_and_a_torn_end_is_left_out_wherever_it_tears() {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for record in records() {
            record.write(&mut bytes);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(Record::read_all(&bytes[..cut]), (records()[..whole].to_vec(), ends[whole]), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let sound = ends.iter().filter(|end| **end * 8 <= bit).count() - 1;
            assert_eq!(Record::read_all(&flipped).0, records()[..sound], "bit {bit}");
        }
    }
}

//! The streams that short data travels on: one per urgency and direction, named by its first byte.

/// A data stream of one direction. Urgent messages have their own, for behind 4 KiB that are not they would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Urgent messages and what answers them.
    Urgent,
    /// Everything else.
    Routine,
}

impl Lane {
    /// Both lanes, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Routine];

    /// That of what is urgent, or is not.
    pub const fn of(urgent: bool) -> Self {
        if urgent { Self::Urgent } else { Self::Routine }
    }

    /// Whether it is that of what is urgent.
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Urgent)
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        match self {
            Self::Urgent => 0,
            Self::Routine => 1,
        }
    }

    /// The first byte of the stream.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Urgent => 1,
            Self::Routine => 2,
        }
    }

    /// Reads the first byte of a stream; `None` for a stream of some later version, to be refused with QUIC's STOP_SENDING.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Urgent),
            2 => Some(Self::Routine),
            _ => None,
        }
    }
}

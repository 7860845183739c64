//! What a user says to a mailbox and hears of it.

use wire::data::{Content, ConversationId, Message, MessageId, Recipient, Undelivered, Wanted};

use super::KEPT_MAX;

/// A message as its user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// For whom.
    pub to: Recipient,
    /// What.
    pub content: Content,
    /// Goes before what is not.
    pub urgent: bool,
    /// Which reports are wanted.
    pub wanted: Wanted,
    /// For how long it is worth delivering, in seconds.
    pub lifetime_s: u32,
    /// The conversation it belongs to.
    pub conversation: Option<ConversationId>,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
}

/// Something about short data for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// The gateway takes short data.
    Ready,
    /// The gateway knows no short data.
    NotOffered,
    /// A message came: the message, the recipient in our words, its status in our code. To be answered by *shown*.
    Message(Box<Message>, Recipient, Option<u16>),
    /// The gateway answers for our message.
    Accepted(MessageId),
    /// The gateway cannot take our message now; it goes again.
    Waiting(MessageId, Undelivered),
    /// It was not taken, or will not arrive; at whom is told for what was taken.
    Undelivered(MessageId, Option<Recipient>, Undelivered),
    /// It arrived there.
    Delivered(MessageId, Recipient),
    /// It was read there.
    Read(MessageId, Recipient),
    /// The state folder failed: nothing is sent or taken any more.
    Failed(String),
}

/// A draft that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A thousand messages wait.
    #[error("{KEPT_MAX} messages wait already; they go when a gateway is reached")]
    Full,
    /// The state folder failed.
    #[error("the state folder failed")]
    Failed,
    /// The unit has ended, or was started without a mailbox.
    #[error("the unit has ended")]
    Ended,
}

//! Between the protobuf types of short data and [`super`]: every field is checked here, once.

use bytes::Bytes;

use super::{
    Body, CHAIN_MAX, CHAIN_MAX_BYTES, CONTENT_MAX_BYTES, Content, ConversationId, Disposition, Envelope, HOPS_MAX, Item, LIFETIME_MAX_S,
    Location, Message, MessageId, Recipient, Report, SIGNATURE_MAX_BYTES, SIGNED_MAX_BYTES, Signature, Undelivered, Wanted,
};
use crate::control::Talker;
use crate::display::clamp_display;
use crate::error::DecodeError;
use crate::proto_data::{self as proto, item, message};

const UNDELIVERED: u32 = 1;
const DELIVERED: u32 = 2;
const READ: u32 = 3;

// === Writing ===

pub(super) fn write(item: &Item) -> proto::Item {
    let body = match &item.body {
        Body::Message(envelope) => item::Body::Message(write_envelope(envelope)),
        Body::Report(report) => item::Body::Report(write_report(report)),
        Body::Certificate(chain) => item::Body::Certificate(proto::Certificate { chain: chain.clone() }),
        Body::Taken => item::Body::Taken(proto::Taken {}),
        Body::Refused(reason) => item::Body::Refused(proto::Refused { reason: reason.to_code() }),
    };
    proto::Item { number: item.number, body: Some(body) }
}

fn write_envelope(envelope: &Envelope) -> proto::Envelope {
    proto::Envelope {
        signed: envelope.signed.clone(),
        signature: envelope.signature.as_ref().map(|signature| proto::Signature {
            scheme: signature.scheme.into(),
            key: Bytes::copy_from_slice(&signature.key),
            value: signature.value.clone(),
        }),
        to: envelope.to.to_string(),
        hops: envelope.hops.into(),
        status_plus_1: envelope.status.map_or(0, |status| u32::from(status) + 1),
    }
}

fn write_report(report: &Report) -> proto::Report {
    let (disposition, reason) = match report.disposition {
        Disposition::Undelivered(reason) => (UNDELIVERED, reason.to_code()),
        Disposition::Delivered => (DELIVERED, 0),
        Disposition::Read => (READ, 0),
    };
    proto::Report { id: write_uuid(report.id.0), about: report.about.to_string(), disposition, reason, at_ms: report.at_ms }
}

pub(super) fn write_message(message: &Message) -> proto::Message {
    let from = &message.from;
    proto::Message {
        id: write_uuid(message.id.0),
        from: Some(proto::Sender {
            identity: from.identity.to_string(),
            alias: clamp_display(&from.alias),
            agency: clamp_display(&from.agency),
        }),
        to: message.to.to_string(),
        sent_ms: message.sent_ms,
        lifetime_s: message.lifetime_s,
        urgent: message.urgent,
        conversation: message.conversation.map_or_else(Bytes::new, |id| write_uuid(id.0)),
        in_reply_to: message.in_reply_to.map_or_else(Bytes::new, |id| write_uuid(id.0)),
        wanted: u32::from(message.wanted.delivered) | u32::from(message.wanted.read) << 1,
        content: Some(match &message.content {
            Content::Text(text) => message::Content::Text(text.clone()),
            Content::Status(status) => message::Content::Status((*status).into()),
            Content::Location(place) => message::Content::Location(proto::Location {
                latitude_e7: place.latitude_e7(),
                longitude_e7: place.longitude_e7(),
                accuracy_m_plus_1: place.accuracy_m.map_or(0, |metres| metres.saturating_add(1)),
                at_ms: place.at_ms,
            }),
            Content::Binary(bytes) => message::Content::Binary(bytes.clone()),
        }),
    }
}

fn write_uuid(bytes: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}

// === Reading ===

pub(super) fn read(item: proto::Item) -> Result<Option<Item>, DecodeError> {
    let Some(body) = item.body else { return Ok(None) };
    let body = match body {
        item::Body::Message(envelope) => Body::Message(Box::new(read_envelope(envelope)?)),
        item::Body::Report(report) => Body::Report(read_report(&report)?),
        item::Body::Certificate(certificate) => Body::Certificate(read_chain(certificate.chain)?),
        item::Body::Taken(proto::Taken {}) => Body::Taken,
        item::Body::Refused(refused) => Body::Refused(Undelivered::from_code(refused.reason)),
    };
    Ok(Some(Item { number: item.number, body }))
}

fn read_envelope(envelope: proto::Envelope) -> Result<Envelope, DecodeError> {
    if envelope.signed.is_empty() {
        return Err(DecodeError::Missing { what: "signed" });
    }
    Ok(Envelope {
        signed: within("signed", SIGNED_MAX_BYTES, envelope.signed)?,
        signature: envelope.signature.map(read_signature).transpose()?,
        to: recipient("to", &envelope.to)?,
        hops: small("hops", envelope.hops).and_then(|hops| if hops > HOPS_MAX { Err(invalid("hops")) } else { Ok(hops) })?,
        status: envelope.status_plus_1.checked_sub(1).map(|status| small("status", status)).transpose()?,
    })
}

fn read_signature(signature: proto::Signature) -> Result<Signature, DecodeError> {
    Ok(Signature {
        scheme: small("scheme", signature.scheme)?,
        key: signature.key[..].try_into().or(Err(DecodeError::Invalid { what: "key" }))?,
        value: within("signature", SIGNATURE_MAX_BYTES, signature.value)?,
    })
}

fn read_chain(chain: Vec<Bytes>) -> Result<Vec<Bytes>, DecodeError> {
    let fits = (1..=CHAIN_MAX).contains(&chain.len()) && chain.iter().map(Bytes::len).sum::<usize>() <= CHAIN_MAX_BYTES;
    if fits && chain.iter().all(|certificate| !certificate.is_empty()) { Ok(chain) } else { Err(invalid("chain")) }
}

fn read_report(report: &proto::Report) -> Result<Report, DecodeError> {
    let disposition = match report.disposition {
        UNDELIVERED => Disposition::Undelivered(Undelivered::from_code(report.reason)),
        DELIVERED => Disposition::Delivered,
        READ => Disposition::Read,
        _ => return Err(invalid("disposition")),
    };
    let id = MessageId(uuid("id", &report.id)?);
    Ok(Report { id, about: recipient("about", &report.about)?, disposition, at_ms: report.at_ms })
}

pub(super) fn read_message(message: proto::Message) -> Result<Message, DecodeError> {
    let from = message.from.ok_or(DecodeError::Missing { what: "from" })?;
    let identity = from.identity.parse().map_err(|source| DecodeError::Name { what: "from", source })?;
    if !(1..=LIFETIME_MAX_S).contains(&message.lifetime_s) {
        return Err(invalid("lifetime_s"));
    }
    if message.wanted > 3 {
        return Err(invalid("wanted"));
    }
    Ok(Message {
        id: MessageId(uuid("id", &message.id)?),
        from: Talker { identity, alias: clamp_display(&from.alias), agency: clamp_display(&from.agency) },
        to: recipient("to", &message.to)?,
        sent_ms: message.sent_ms,
        lifetime_s: message.lifetime_s,
        urgent: message.urgent,
        conversation: opt_uuid("conversation", &message.conversation)?.map(ConversationId),
        in_reply_to: opt_uuid("in_reply_to", &message.in_reply_to)?.map(MessageId),
        wanted: Wanted { delivered: message.wanted & 1 != 0, read: message.wanted & 2 != 0 },
        content: read_content(message.content.ok_or(DecodeError::Missing { what: "content" })?)?,
    })
}

fn read_content(content: message::Content) -> Result<Content, DecodeError> {
    Ok(match content {
        message::Content::Text(text) if !text.is_empty() && text.len() <= CONTENT_MAX_BYTES => Content::Text(text),
        message::Content::Text(_) => return Err(invalid("text")),
        message::Content::Status(status) => Content::Status(small("status", status)?),
        message::Content::Location(place) => Content::Location(
            Location::new(place.latitude_e7, place.longitude_e7, place.accuracy_m_plus_1.checked_sub(1), place.at_ms)
                .ok_or(DecodeError::Invalid { what: "location" })?,
        ),
        message::Content::Binary(bytes) if !bytes.is_empty() => Content::Binary(within("binary", CONTENT_MAX_BYTES, bytes)?),
        message::Content::Binary(_) => return Err(invalid("binary")),
    })
}

fn invalid(what: &'static str) -> DecodeError {
    DecodeError::Invalid { what }
}

fn small<T: TryFrom<u32>>(what: &'static str, value: u32) -> Result<T, DecodeError> {
    T::try_from(value).or(Err(DecodeError::Invalid { what }))
}

fn within(what: &'static str, max: usize, bytes: Bytes) -> Result<Bytes, DecodeError> {
    if bytes.len() > max { Err(invalid(what)) } else { Ok(bytes) }
}

fn recipient(what: &'static str, text: &str) -> Result<Recipient, DecodeError> {
    text.parse().map_err(|source| DecodeError::Name { what, source })
}

fn uuid(what: &'static str, bytes: &[u8]) -> Result<[u8; 16], DecodeError> {
    bytes.try_into().or(Err(DecodeError::Invalid { what }))
}

fn opt_uuid(what: &'static str, bytes: &[u8]) -> Result<Option<[u8; 16]>, DecodeError> {
    if bytes.is_empty() { Ok(None) } else { uuid(what, bytes).map(Some) }
}

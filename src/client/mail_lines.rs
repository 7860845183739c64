//! Short data in lines: the fields of `message`, `accepted`, `waiting`, `delivered`, `read` and `undelivered`.
//!
//! Beside the data path, a part of [`crate::events`].

use std::fmt::{self, Write};

use serde::Serialize;
use wire::data::{Content, Message, MessageId, Recipient};

use crate::mailbox::Mail;

/// What a line about short data says beside its name; what does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the contract itself; the design page explains them")]
pub struct MailFields {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// For whom the message is, in our words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `text`, `status`, `location`, `binary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In our code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In the sender's code, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_original: Option<u16>,
    /// Degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<u32>,
    /// Milliseconds of UTC since 1970, as the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_ms: Option<u64>,
    /// Hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Whose terminal or user a report is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The event's name and fields; `None` for what is told otherwise.
pub(crate) fn of_mail(mail: &Mail) -> Option<(&'static str, MailFields)> {
    let about = |id: &MessageId| MailFields { id: id.to_string(), ..MailFields::default() };
    let by = |id, by: &Recipient| MailFields { by: Some(by.to_string()), ..about(id) };
    Some(match mail {
        Mail::Ready | Mail::NotOffered | Mail::Failed(_) => return None,
        Mail::Message(message, to, status) => ("message", of_message(message, to, *status)),
        Mail::Accepted(id) => ("accepted", about(id)),
        Mail::Waiting(id, reason) => ("waiting", MailFields { reason: Some(reason.as_str()), ..about(id) }),
        Mail::Undelivered(id, at, reason) => {
            ("undelivered", MailFields { reason: Some(reason.as_str()), by: at.as_ref().map(ToString::to_string), ..about(id) })
        }
        Mail::Delivered(id, at) => ("delivered", by(id, at)),
        Mail::Read(id, at) => ("read", by(id, at)),
    })
}

fn of_message(message: &Message, to: &Recipient, translated: Option<u16>) -> MailFields {
    let mut fields = MailFields {
        id: message.id.to_string(),
        from: Some(message.from.identity.to_string()),
        alias: Some(message.from.alias.clone()),
        agency: Some(message.from.agency.clone()),
        to: Some(to.to_string()),
        sent_ms: Some(message.sent_ms),
        urgent: Some(message.urgent),
        conversation: message.conversation.map(|id| id.to_string()),
        in_reply_to: message.in_reply_to.map(|id| id.to_string()),
        ..MailFields::default()
    };
    match &message.content {
        Content::Text(text) => (fields.kind, fields.text) = (Some("text"), Some(text.clone())),
        Content::Status(status) => {
            (fields.kind, fields.status) = (Some("status"), Some(translated.unwrap_or(*status)));
            fields.status_original = translated.map(|_| *status);
        }
        Content::Location(place) => {
            let degrees = |e7: i32| f64::from(e7) / 10_000_000.0;
            (fields.kind, fields.measured_ms, fields.accuracy_m) = (Some("location"), Some(place.at_ms), place.accuracy_m);
            (fields.latitude, fields.longitude) = (Some(degrees(place.latitude_e7())), Some(degrees(place.longitude_e7())));
        }
        Content::Binary(bytes) => {
            let mut digits = String::with_capacity(2 * bytes.len());
            for byte in bytes {
                // Writing to a text never fails.
                write!(digits, "{byte:02x}").ok();
            }
            (fields.kind, fields.binary) = (Some("binary"), Some(digits));
        }
    }
    fields
}

impl MailFields {
    /// The sentence for people, of an event of that name.
    pub(crate) fn say(&self, event: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(from) = &self.from else {
            write!(f, "{event} {}", self.id)?;
            self.by.as_ref().map_or(Ok(()), |by| write!(f, " by {by}"))?;
            return self.reason.map_or(Ok(()), |reason| write!(f, ": {reason}"));
        };
        let urgent = if self.urgent == Some(true) { "URGENT " } else { "" };
        write!(f, "{urgent}message from {} ({from})", self.alias.as_deref().unwrap_or_default())?;
        self.to.as_ref().map_or(Ok(()), |to| write!(f, " to {to}: "))?;
        if let Some(text) = &self.text {
            // What could move the cursor is shown as one sign.
            return text.chars().try_for_each(|c| f.write_char(if c.is_control() { '\u{fffd}' } else { c }));
        }
        match (self.status, self.status_original, self.latitude.zip(self.longitude)) {
            (Some(status), Some(original), _) => write!(f, "status {status} (theirs: {original})"),
            (Some(status), None, _) => write!(f, "status {status}"),
            (None, _, Some((north, east))) => write!(f, "at {north:.7}, {east:.7}"),
            (None, ..) => write!(f, "{} bytes", self.binary.as_ref().map_or(0, |digits| digits.len() / 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Line, Monotonic};
    use crate::unit::{Happened, What};
    use wire::control::Talker;
    use wire::data::{Location, Undelivered, Wanted};

    fn message(content: Content) -> Box<Message> {
        let from = Talker { identity: "be/unit/lux-7".parse().unwrap(), alias: "Lux 7".into(), agency: "police".into() };
        Box::new(Message {
            id: MessageId([1; 16]),
            from,
            to: "nl/unit/maas-12".parse().unwrap(),
            sent_ms: 7,
            lifetime_s: 60,
            urgent: true,
            conversation: None,
            in_reply_to: Some(MessageId([2; 16])),
            wanted: Wanted::default(),
            content,
        })
    }

    fn lines(mail: Mail) -> (serde_json::Value, String) {
        let line = Line::of(&Happened { at: std::time::Instant::now(), what: What::Mail(mail) }, &Monotonic::now()).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&line.to_json()).unwrap();
        value.as_object_mut().unwrap().remove("at_ms");
        (value, line.to_string())
    }

    #[test]
    fn messages_have_the_fields_of_the_contract() {
        let to: Recipient = "nl/unit/maas-12".parse().unwrap();
        let common = serde_json::json!({
            "event": "message", "id": MessageId([1; 16]).to_string(), "from": "be/unit/lux-7", "alias": "Lux 7", "agency": "police",
            "to": "nl/unit/maas-12", "sent_ms": 7, "urgent": true, "in_reply_to": MessageId([2; 16]).to_string(),
        });
        let place = Location::new(508_503_000, -56_889_000, Some(10), 9).unwrap();
        let rows = [
            (Content::Text("a\u{1b}b".into()), None, serde_json::json!({ "kind": "text", "text": "a\u{1b}b" }), "a\u{fffd}b"),
            (Content::Status(5), None, serde_json::json!({ "kind": "status", "status": 5 }), "status 5"),
            (
                Content::Status(5),
                Some(9),
                serde_json::json!({ "kind": "status", "status": 9, "status_original": 5 }),
                "status 9 (theirs: 5)",
            ),
            (
                Content::Location(place),
                None,
                serde_json::json!({ "kind": "location", "latitude": 50.8503, "longitude": -5.6889, "accuracy_m": 10, "measured_ms": 9 }),
                "at 50.8503000, -5.6889000",
            ),
            (Content::Binary(vec![1, 255].into()), None, serde_json::json!({ "kind": "binary", "binary": "01ff" }), "2 bytes"),
        ];
        for (content, status, fields, said) in rows {
            let mut want = common.clone();
            want.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let (got, sentence) = lines(Mail::Message(message(content), to.clone(), status));
            assert_eq!((got, sentence), (want, format!("URGENT message from Lux 7 (be/unit/lux-7) to nl/unit/maas-12: {said}")));
        }
    }

    #[test]
    fn what_became_of_a_message_has_its_id_and_reason() {
        let (id, at) = (MessageId([1; 16]), "be/unit/lux-7".parse::<Recipient>().unwrap());
        let (value, sentence) = lines(Mail::Undelivered(id, None, Undelivered::BridgeForbids));
        assert_eq!(value, serde_json::json!({ "event": "undelivered", "id": id.to_string(), "reason": "bridge_forbids" }));
        assert_eq!(sentence, format!("undelivered {id}: bridge_forbids"));
        let (value, sentence) = lines(Mail::Read(id, at));
        assert_eq!(value, serde_json::json!({ "event": "read", "id": id.to_string(), "by": "be/unit/lux-7" }));
        assert_eq!(sentence, format!("read {id} by be/unit/lux-7"));
    }
}

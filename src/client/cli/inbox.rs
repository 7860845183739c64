//! `inbox`: shows the messages that came, and those that come, each once.

use engine::handset::Event;
use talkbridge_client::{End, Mail, UnitConfig, What};

use super::args::Inbox;
use super::output::{Output, complain};
use super::stop::{Stop, until};
use super::{Outcome, Unusable, start_with_mailbox};

/// Runs the command.
pub(super) async fn run(args: Inbox) -> Result<Outcome, Unusable> {
    let config = UnitConfig::load(&args.common.config).map_err(|error| Unusable::from(&error))?;
    let Some(mut unit) = start_with_mailbox(&config, config.talkgroups.clone(), args.common.connect_timeout, true) else {
        return Ok(Outcome::Failed);
    };
    let output = Output::new(args.common.json);
    let mut stop = Stop::new();
    let mut outcome = Outcome::Done;
    let (mut end_at, mut closing) = (None, false);
    loop {
        tokio::select! {
            biased;
            () = stop.asked(), if !closing => closing = true,
            () = until(end_at), if !closing && end_at.is_some() => closing = true,
            happened = unit.events.recv() => {
                let Some(happened) = happened else { return Ok(Outcome::Failed) };
                output.event(&happened);
                match happened.what {
                    What::Handset(Event::Connected(_)) => {
                        end_at = end_at.or_else(|| args.seconds.map(|seconds| happened.at + seconds));
                    }
                    // Printed just now: from here on it counts as seen.
                    What::Mail(Mail::Message(message, ..)) => unit.handle.shown(message.id).await,
                    What::Mail(Mail::NotOffered) => {
                        complain("this gateway carries no short data");
                        (outcome, closing) = (Outcome::Failed, true);
                    }
                    What::Mail(Mail::Failed(why)) => {
                        complain(&format!("the state folder failed, what comes is left with the gateway: {why}"));
                        (outcome, closing) = (Outcome::Failed, true);
                    }
                    What::Ended(end, _) => return Ok(if end == End::Closed { outcome } else { Outcome::Failed }),
                    What::Handset(_) | What::Mail(_) | What::Refused { .. } | What::Disconnected(_) => {}
                }
            }
        }
        if closing {
            unit.handle.close().await;
        }
    }
}

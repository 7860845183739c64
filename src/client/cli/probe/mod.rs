//! `probe`: two units of this machine measure what their users would feel, against the limits of the design.
//!
//! The near unit speaks a test tone, the far one listens: access time, mouth to ear, clipped syllables, loss; then late
//! entry, for which the far unit leaves and joins while the near one talks. Both units are whole: the voice is coded,
//! sent, buffered and decoded as in a call.

mod entry;
mod results;
mod round;
mod side;

use std::time::{Duration, Instant};

use media::opus::CodecError;
use talkbridge_client::UnitConfig;

use super::args::Probe;
use super::output::{Output, complain};
use super::stop::Stop;
use super::{Outcome, Unusable};
use results::{Limits, Summary};
use side::Side;

/// Late entries of a full probe, as the design wants them.
const JOINS: u32 = 50;
/// Rounds of a full probe.
const FULL_ROUNDS: u32 = 20;

/// Why the probe could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A unit was refused, denied, revoked or cut off; the event has been printed.
    #[error("the {side} unit: {event}")]
    Side {
        /// Near or far.
        side: &'static str,
        /// What it was told.
        event: String,
    },
    /// What must follow did not.
    #[error("the {side} unit: no {what} within {limit:?}")]
    Silence {
        /// Near or far.
        side: &'static str,
        /// What was awaited.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// Our own side.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Runs the command.
pub(super) async fn run(args: Probe) -> Result<Outcome, Unusable> {
    let near = UnitConfig::load(&args.common.config).map_err(|error| Unusable::from(&error))?;
    let far = UnitConfig::load(&args.far).map_err(|error| Unusable::from(&error))?;
    let Some(far_talkgroup) = far.talkgroups.first().cloned() else {
        return Err(Unusable(format!("{}: talkgroups: none for the far unit to listen to", args.far.display())));
    };
    if near.own.identity() == far.own.identity() {
        return Err(Unusable(format!("{}: identity: is {} as the near unit; two are needed", args.far.display(), near.own.identity())));
    }
    let limits = Limits::between(&near.own.identity().authority, &far.own.identity().authority);
    let output = Output::new(args.common.json);
    let timeout = args.common.connect_timeout;
    let mut sides =
        Sides { near: Side::start("near", &near, args.talkgroup.clone(), timeout), far: Side::start("far", &far, far_talkgroup, timeout) };
    let mut stop = Stop::new();
    let measured = tokio::select! {
        biased;
        () = stop.asked() => None,
        measured = measure(&mut sides, args.rounds, timeout, &output) => Some(measured),
    };
    let outcome = match measured {
        // What was measured so far has been printed, but nobody may take it for a pass.
        None => {
            complain("stopped before the end: no verdict");
            Outcome::Failed
        }
        Some(Err(trouble)) => {
            complain(&trouble.to_string());
            Outcome::Failed
        }
        Some(Ok(mut summary)) => {
            let far = sides.far.unit.handle.report().await;
            summary.judge(limits, far.as_ref(), output.at_ms(Instant::now()));
            output.result(&summary, &summary.to_string());
            for breach in &summary.breaches {
                complain(breach);
            }
            if summary.breaches.is_empty() { Outcome::Done } else { Outcome::Failed }
        }
    };
    sides.near.close().await;
    sides.far.close().await;
    Ok(outcome)
}

/// Both units.
struct Sides {
    near: Side,
    far: Side,
}

async fn measure(sides: &mut Sides, rounds: u32, timeout: Duration, output: &Output) -> Result<Summary, Trouble> {
    let Sides { near, far } = sides;
    // A margin over the unit's own limit, so that its refusal is seen and not only our impatience.
    let limit = timeout + Duration::from_secs(1);
    near.joined(limit, output).await?;
    far.joined(limit, output).await?;
    let mut summary = Summary::default();
    for number in 1..=rounds {
        let round = round::measure(near, far, number, output).await?;
        output.result(&round, &round.to_string());
        summary.rounds.push(round);
    }
    let joins = if rounds >= FULL_ROUNDS { JOINS } else { rounds };
    summary.joins = entry::measure(near, far, joins, output).await?;
    Ok(summary)
}

//! `talkbridge`: the gateway and the tools around it. Nothing but wiring: the voice path is in `gateway`, the
//! certificates in `pki`; the commands' words and exit statuses are in [`cli`].

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

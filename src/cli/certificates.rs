//! `talkbridge pki`: the authority's side of trust. Its files are what gateways and units read before any voice flows.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gateway::cli::{EXIT_CONFIGURATION, Failure};
use pki::{Authority, DEFAULT_DAYS, Fault, Issued, Kind, LIST_FILE, Lifetime, PkiError, Request, Revocation};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a new authority: root certificate, key, empty revocation list
    ///
    /// Writes DIR/root.pem and DIR/revoked.pem, for everybody who trusts the authority, and DIR/root.key, for nobody
    /// else: whoever has it is the authority. The root is valid for ten years. Existing files are never overwritten.
    #[command(after_help = "Example:\n  talkbridge pki authority --name nl --out pki/nl")]
    Authority(NewAuthority),
    /// Issues a certificate and its key to a unit, dispatcher or gateway
    ///
    /// Writes DIR/NAME.pem, the certificate chain without the root, and DIR/NAME.key, the holder's private key.
    /// Existing files are never overwritten.
    #[command(after_help = "\
Examples:
  talkbridge pki issue --authority pki/nl --kind gateway --name gw-1 --out pki/nl/gateways --days 365
  talkbridge pki issue --authority pki/nl --kind unit --name maas-12 --out units --agency \"Politie Limburg\" --alias \"Maas 12\"")]
    Issue(Issue),
    /// Revokes a certificate: adds it to the authority's revocation list
    ///
    /// Replaces DIR/revoked.pem in one step. Gateways take it into account when they reload (SIGHUP) and end the live
    /// sessions of its holder. Revoking twice changes nothing and is no failure.
    #[command(after_help = "Example:\n  talkbridge pki revoke --authority pki/nl --certificate units/maas-12.pem")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct NewAuthority {
    /// Code of the authority, such as nl: 1 to 16 characters out of a-z, 0-9, '-', '_' and '.'
    #[arg(long, value_name = "CODE")]
    name: String,
    /// Folder to write to; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// Folder of the authority that issues
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// What the holder is: unit, dispatcher or gateway
    #[arg(long, value_name = "KIND")]
    kind: Kind,
    /// Name of the holder, unique for its kind in the authority: 1 to 48 characters out of a-z, 0-9, '-', '_' and '.'
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Folder to write to; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Days of validity from now
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// End of validity instead of --days, in RFC 3339, such as 2027-03-01T12:00:00Z; may have passed
    #[arg(long, value_name = "DATE", conflicts_with = "days", value_parser = Lifetime::until_rfc3339)]
    not_after: Option<Lifetime>,
    /// Agency to show to others; none by default
    #[arg(long, value_name = "TEXT")]
    agency: Option<String>,
    /// Name to show to others; the name by default
    #[arg(long, value_name = "TEXT")]
    alias: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Folder of the authority that issued the certificate
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// The certificate to revoke (PEM; of a chain the first)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

impl Command {
    /// Does it and says, a line for each, which files were written.
    pub(super) fn run(self) -> Result<String, Failure> {
        match self {
            Self::Authority(arguments) => arguments.run(),
            Self::Issue(arguments) => arguments.run(),
            Self::Revoke(arguments) => arguments.run(),
        }
    }
}

impl NewAuthority {
    fn run(self) -> Result<String, Failure> {
        let written = Authority::generate(&self.name).and_then(|authority| authority.save(&self.out));
        Ok(lines(&written.map_err(failure)?))
    }
}

impl Issue {
    fn run(self) -> Result<String, Failure> {
        let lifetime = self.not_after.unwrap_or_else(|| Lifetime::days(self.days));
        let mut request = Request::new(self.kind, self.name).lifetime(lifetime);
        if let Some(agency) = self.agency {
            request = request.agency(agency);
        }
        if let Some(alias) = self.alias {
            request = request.alias(alias);
        }
        let issued: Result<Issued, PkiError> = Authority::load(&self.authority).and_then(|authority| authority.issue(&request));
        Ok(lines(&issued.and_then(|issued| issued.save(&self.out)).map_err(failure)?))
    }
}

impl Revoke {
    fn run(self) -> Result<String, Failure> {
        let shown = self.certificate.display();
        let certificate = fs::read_to_string(&self.certificate).map_err(|error| Failure::other(format!("{shown}: {error}")))?;
        let list = self.authority.join(LIST_FILE);
        match pki::revoke_in(&self.authority, &certificate) {
            Ok(Revocation::Added) => Ok(line(&list)),
            Ok(Revocation::AlreadyListed) => Ok(format!("{shown} is already listed in {}\n", list.display())),
            Err(error) => {
                let about_it = matches!(error, PkiError::NotACertificate(_) | PkiError::NotIssuedHere { .. } | PkiError::IsRoot { .. });
                let Failure { exit, text } = failure(error);
                Err(Failure { exit, text: if about_it { format!("{shown}: {text}") } else { text } })
            }
        }
    }
}

fn lines(written: &[PathBuf]) -> String {
    written.iter().map(|path| line(path)).collect()
}

fn line(path: &Path) -> String {
    format!("wrote {}\n", path.display())
}

fn failure(error: PkiError) -> Failure {
    match error.fault() {
        Fault::Request => Failure { exit: EXIT_CONFIGURATION, text: error.to_string() },
        Fault::Refused | Fault::Machine => Failure::other(error),
    }
}

//! A first look into certificate, key, root and revocation files, so that `check` names the file and the line.
//!
//! Serves the configuration only. What a certificate is worth is decided by the transport, at the rehearsal of the own one
//! (`material`) and at every handshake; here it is enough that each file is there, is PEM of the right kind, and names this gateway.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use transport::identity::{OwnIdentity, check_purpose};
use wire::Identity;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// Largest PEM file that is read, in bytes: a revocation list of a country fits, a disk image does not.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A certificate file that cannot be used. The operator's or issuer's fault; no retry helps.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{} does not exist; create it with 'talkbridge pki' or correct the path", .0.display())]
    Missing(PathBuf),
    #[error("{} cannot be read: {why}", file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error("{} holds no PEM block '{want}'; it begins with {found}", file.display())]
    NoBlock { file: PathBuf, want: &'static str, found: String },
    #[error("{} is PEM but not readable inside: {why}", file.display())]
    Broken { file: PathBuf, why: String },
    #[error("{} names {found}, but this gateway is '{want}'; issue a certificate for it or correct authority and name", file.display())]
    OtherName { file: PathBuf, found: String, want: String },
    #[error("{} expired on {on}; issue a new one", file.display())]
    Expired { file: PathBuf, on: String },
    #[error("{} serves nobody ({why}); issue a new one with 'talkbridge pki'", file.display())]
    Purpose { file: PathBuf, why: String },
    #[error("{} does not serve with the certificate ({why}); use the key that was issued with it", file.display())]
    NotItsKey { file: PathBuf, why: String },
    #[error("{} is not a root: it may not sign certificates", file.display())]
    NotRoot { file: PathBuf },
}

type Remarks = Vec<String>;

/// Looks into the own certificate.
pub(crate) fn certificate(file: &Path, own: &Identity, now: OffsetDateTime) -> Result<Remarks, Fault> {
    let pem = first_block(file, |label| label == "CERTIFICATE", "CERTIFICATE")?;
    let certificate = parse(file, &pem)?;
    let san = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<&str> = san.iter().flat_map(|san| &san.value.general_names).filter_map(uri).collect();
    if names != [own.to_san()] {
        let found =
            if names.is_empty() { "nobody (no URI in its alternative names)".to_owned() } else { format!("'{}'", names.join(", ")) };
        return Err(Fault::OtherName { file: file.into(), found, want: own.to_string() });
    }
    check_purpose(&pem.contents).map_err(|why| Fault::Purpose { file: file.into(), why: why.to_string() })?;
    in_force(file, &certificate, now)
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name { Some(uri) } else { None }
}

/// Looks into a root.
pub(crate) fn root(file: &Path, now: OffsetDateTime) -> Result<Remarks, Fault> {
    let pem = first_block(file, |label| label == "CERTIFICATE", "CERTIFICATE")?;
    let certificate = parse(file, &pem)?;
    if !certificate.is_ca() {
        return Err(Fault::NotRoot { file: file.into() });
    }
    in_force(file, &certificate, now)
}

/// Looks at the key file, and whether the key belongs to the certificate.
pub(crate) fn key(file: &Path, certificate: &Path) -> Result<Remarks, Fault> {
    first_block(file, |label| label.ends_with("PRIVATE KEY"), "PRIVATE KEY")?;
    OwnIdentity::load(certificate, file).map_err(|why| Fault::NotItsKey { file: file.into(), why: why.to_string() })?;
    let mode = std::fs::metadata(file).map_err(|why| unreadable(file, &why))?.permissions().mode();
    let open = mode & 0o077 != 0;
    Ok(open.then(|| format!("{} can be read by others (mode {:03o}); run chmod 600", file.display(), mode & 0o777)).into_iter().collect())
}

/// Looks into a revocation list.
pub(crate) fn revocation_list(file: &Path, now: OffsetDateTime) -> Result<Remarks, Fault> {
    let pem = first_block(file, |label| label == "X509 CRL", "X509 CRL")?;
    let (_, list) = CertificateRevocationList::from_der(&pem.contents).map_err(|why| broken(file, &why.to_string()))?;
    let late = list.next_update().is_some_and(|until| until.timestamp() <= now.unix_timestamp());
    Ok(late.then(|| format!("{} is older than it promises to be; fetch a fresh list", file.display())).into_iter().collect())
}

fn in_force(file: &Path, certificate: &X509Certificate<'_>, now: OffsetDateTime) -> Result<Remarks, Fault> {
    let now = now.unix_timestamp();
    let validity = certificate.validity();
    if validity.not_after.timestamp() <= now {
        return Err(Fault::Expired { file: file.into(), on: date(validity.not_after.timestamp()) });
    }
    let mut remarks = Vec::new();
    if validity.not_before.timestamp() > now {
        remarks.push(format!("{} is not valid before {}", file.display(), date(validity.not_before.timestamp())));
    }
    let days = (validity.not_after.timestamp() - now) / 86_400;
    if days < 14 {
        remarks.push(format!("{} expires on {}, in {days} days", file.display(), date(validity.not_after.timestamp())));
    }
    Ok(remarks)
}

fn date(unix_s: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_s).map_or_else(|_out| "an unknown day".to_owned(), |moment| moment.date().to_string())
}

fn parse<'a>(file: &Path, pem: &'a Pem) -> Result<X509Certificate<'a>, Fault> {
    pem.parse_x509().map_err(|why| broken(file, &why.to_string()))
}

fn first_block(file: &Path, fits: impl Fn(&str) -> bool, want: &'static str) -> Result<Pem, Fault> {
    let meta = std::fs::metadata(file).map_err(|why| unreadable(file, &why))?;
    if !meta.is_file() || meta.len() > FILE_MAX_BYTES {
        return Err(Fault::Unreadable { file: file.into(), why: "not a file of a usable size".to_owned() });
    }
    let bytes = std::fs::read(file).map_err(|why| unreadable(file, &why))?;
    let mut found = "no PEM at all".to_owned();
    for block in Pem::iter_from_buffer(&bytes) {
        let block = block.map_err(|why| broken(file, &why.to_string()))?;
        if fits(&block.label) {
            return Ok(block);
        }
        if found == "no PEM at all" {
            found = format!("'{}'", block.label.escape_debug());
        }
    }
    Err(Fault::NoBlock { file: file.into(), want, found })
}

fn unreadable(file: &Path, why: &std::io::Error) -> Fault {
    if why.kind() == std::io::ErrorKind::NotFound {
        return Fault::Missing(file.into());
    }
    Fault::Unreadable { file: file.into(), why: why.to_string() }
}

fn broken(file: &Path, why: &str) -> Fault {
    Fault::Broken { file: file.into(), why: why.lines().collect::<Vec<_>>().join(" ") }
}

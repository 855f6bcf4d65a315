//! TLS to the broker: with which files, and what a handshake that failed says about the settings.

use std::{error::Error, io, path::Path};

use async_nats::{
    ConnectError, ConnectOptions,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
};

use crate::{
    failure::Failure,
    settings::{
        self,
        nats::{Identity, Tls},
    },
};

/// Adds what the settings say of TLS. The library reads the files again at each connection, so
/// certificates can be replaced while we run.
///
/// # Errors
/// [`Failure::Configuration`] with the file, what is wrong with it, and its setting.
pub(super) fn add(
    options: ConnectOptions,
    nats: &settings::Nats,
) -> Result<ConnectOptions, Failure> {
    let Tls { ca_file, identity, first } = &nats.tls;
    // For every server: those of which another server tells have no scheme of their own.
    let mut options = options.require_tls(nats.requires_tls());
    if let Some(file) = ca_file {
        check_authorities(file)?;
        options = options.add_root_certificates(file.clone());
    }
    if let Some(identity) = identity {
        check_identity(identity)?;
        let Identity { cert_file, key_file } = identity.clone();
        options = options.add_client_certificate(cert_file, key_file);
    }
    Ok(if *first { options.tls_first() } else { options })
}

/// What is wrong if TLS is why a connection failed, with the settings to look at. Trying again
/// would not help.
pub(super) fn refusal(error: &ConnectError) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    Some(match of_rustls(error)? {
        InvalidCertificate(why) => {
            format!("its certificate is not to be trusted: {why} (nats.tls_ca_file, nats.url)")
        }
        AlertReceived(alert) => format!(
            "it refuses the TLS connection: {alert:?} (nats.tls_cert_file, nats.tls_key_file)"
        ),
        InvalidMessage(_) => {
            "it does not speak TLS where TLS is required (nats.url, nats.tls_first)".to_owned()
        }
        other => format!("TLS: {other} (nats.url, nats.tls_ca_file)"),
    })
}

/// The library hides it in an error of the socket, whose own `source` skips it.
fn of_rustls(error: &ConnectError) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn check_authorities(file: &Path) -> Result<(), Failure> {
    roots(file).map(|_| ()).map_err(|why| wrong(file, &why, "nats.tls_ca_file"))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// Holds the key against the certificate, as the library will when it connects.
fn check_identity(identity: &Identity) -> Result<(), Failure> {
    let Identity { cert_file, key_file } = identity;
    let certificates =
        certificates(cert_file).map_err(|why| wrong(cert_file, &why, "nats.tls_cert_file"))?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| wrong(key_file, &told(&error, "a private key"), "nats.tls_key_file"))?;
    ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(certificates, key)
        .map(|_| ())
        .map_err(|error| {
            let why = format!("not the key of {}: {error}", cert_file.display());
            wrong(key_file, &why, "nats.tls_cert_file, nats.tls_key_file")
        })
}

/// At the least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |error: &pem::Error| told(error, "certificates");
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| told(&error))?;
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| told(&error))?;
    match certificates.is_empty() {
        true => Err(told(&pem::Error::NoItemsFound)),
        false => Ok(certificates),
    }
}

/// The parser's own words repeat what stands in the file.
fn told(error: &pem::Error, expected: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        _ => format!("expected {expected} in PEM form"),
    }
}

fn wrong(file: &Path, what: &str, settings: &str) -> Failure {
    Failure::Configuration(format!("{}: {what} ({settings})", file.display()))
}

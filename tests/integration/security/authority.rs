//! Certificates of the test's own.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a certificate says.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    pub name: &'a str,
    pub usage: Usage,
    pub expired: bool,
}

#[derive(Clone, Copy)]
pub enum Usage {
    Server,
    Client,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate to `ca.pem` in `folder`.
    pub fn publish(&self, folder: &Path) {
        fs::write(folder.join("ca.pem"), self.0.pem()).unwrap();
    }

    /// Writes a certificate and its key to `stem.pem` and `stem.key` in `folder`.
    pub fn sign(&self, folder: &Path, stem: &str, claim: Claim) {
        let mut params = CertificateParams::new([claim.name.to_owned()]).unwrap();
        params.extended_key_usages = vec![match claim.usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        if claim.expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join(format!("{stem}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{stem}.key")), key.serialize_pem()).unwrap();
    }
}

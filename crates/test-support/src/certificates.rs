//! A root certificate of a test's own, and server certificates that are good or bad in one way.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing: for `localhost` and 127.0.0.1, issued by the root.
    Good,
    /// It is its own issuer.
    SelfSigned,
    /// It ended in 2001.
    Expired,
    /// It begins in 4000.
    NotYetValid,
    /// It is for another name.
    WrongName,
}

/// A root certificate that a client can be told to trust.
#[derive(Debug)]
pub struct TestRoot {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl TestRoot {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        // Another name than the default one, which a self-signed certificate has for its issuer.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a root can sign itself").der().clone();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// The certificate to trust.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// A server's TLS with such a certificate.
    pub fn server_config(&self, certificate: Certificate) -> ServerConfig {
        let names = match certificate {
            Certificate::WrongName => vec!["another.example".to_owned()],
            Certificate::Good | Certificate::SelfSigned | Certificate::Expired | Certificate::NotYetValid => {
                vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
            }
        };
        let mut params = CertificateParams::new(names).expect("the names are valid");
        match certificate {
            Certificate::Expired => {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            }
            Certificate::NotYetValid => params.not_before = date_time_ymd(4000, 1, 1),
            Certificate::Good | Certificate::SelfSigned | Certificate::WrongName => {}
        }
        let key = KeyPair::generate().expect("a key can be made");
        let signed = if certificate == Certificate::SelfSigned {
            params.self_signed(&key)
        } else {
            params.signed_by(&key, &self.issuer)
        };
        let chain = vec![signed.expect("the certificate can be signed").der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .expect("key and certificate fit")
    }
}

impl Default for TestRoot {
    fn default() -> Self {
        Self::new()
    }
}

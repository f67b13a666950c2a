//! Certificates for tests.

use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::ValidationContext;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::RevokedCertParams;
use rcgen::SanType;
use rcgen::SerialNumber;
use rcgen::SignatureAlgorithm;
use rcgen::date_time_ymd;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;

/// An authority.
pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority under this one.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(ca_params(name), key, &self.0).unwrap())
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate with these DNS names.
    pub(super) fn leaf(&self, names: &[&str]) -> TlsCertificate {
        let names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        self.issue(params(names.collect()), &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// A certificate with these URIs.
    pub(super) fn workload(&self, uris: &[&str]) -> TlsCertificate {
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        self.issue(params(uris.collect()), &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(super) fn issue(
        &self,
        params: CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> TlsCertificate {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        TlsCertificate {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap().into(),
            ocsp_staple: None,
        }
    }

    /// A revocation list with one serial number.
    pub(super) fn revoke(
        &self,
        serial: u64,
        until_year: i32,
    ) -> CertificateRevocationListDer<'static> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().der().clone()
    }

    /// Trust in this authority and nothing else asked.
    pub(super) fn trust(&self) -> ValidationContext {
        ValidationContext { trusted_ca: Some(vec![self.der()]), ..ValidationContext::default() }
    }
}

/// Settings of a certificate with these names.
pub(super) fn params(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.subject_alt_names = names;
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

//! Authorities: roots and intermediates, and what they sign.

use std::time::SystemTime;

use aws_lc_rs::rand;

use crate::Algorithm;
use crate::Crl;
use crate::DualPair;
use crate::Error;
use crate::Issued;
use crate::Key;
use crate::Leaf;
use crate::Usage;
use crate::Validity;
use crate::asn1;
use crate::extension;
use crate::issued;
use crate::name;

/// An authority with its key.
#[derive(Debug)]
pub struct Authority {
    name: Vec<u8>,
    key: Key,
    der: Vec<u8>,
    validity: Validity,
    /// From itself upwards, without the root; a root's is empty.
    chain: Vec<Vec<u8>>,
}

impl Authority {
    /// A new root, valid for ten years.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn root(algorithm: Algorithm, common_name: &str) -> Result<Self, Error> {
        let validity = Validity::days(SystemTime::now(), ROOT_DAYS);
        Self::root_valid(algorithm, common_name, validity)
    }

    /// A new root with a validity of its own. Leaves that do not say otherwise are valid as long.
    ///
    /// # Errors
    /// As [`Authority::root`]; a time that X.509 cannot write.
    pub fn root_valid(
        algorithm: Algorithm,
        common_name: &str,
        validity: Validity,
    ) -> Result<Self, Error> {
        let key = Key::generate(algorithm)?;
        let name = name::encode(None, Some(common_name));
        let extensions = [
            extension::authority(None),
            extension::key_usage(Usage::AUTHORITY),
            extension::subject_key_id(&key),
        ];
        let subject = Certified { name: &name, key: &key, extensions: &extensions };
        let (der, _) = certify(&subject, &name, &key, validity)?;
        Ok(Self { name, key, der, validity, chain: Vec::new() })
    }

    /// A new authority under this one, of the same algorithm, for leaves only.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn intermediate(&self, common_name: &str) -> Result<Self, Error> {
        let key = Key::generate(self.key.algorithm())?;
        let name = name::encode(None, Some(common_name));
        let extensions = [
            extension::authority(Some(0)),
            extension::key_usage(Usage::AUTHORITY),
            extension::subject_key_id(&key),
            extension::authority_key_id(&self.key),
        ];
        let subject = Certified { name: &name, key: &key, extensions: &extensions };
        let (der, _) = certify(&subject, &self.name, &self.key, self.validity)?;
        let chain = std::iter::once(der.clone()).chain(self.chain.iter().cloned()).collect();
        Ok(Self { name, key, der, validity: self.validity, chain })
    }

    /// Issues a certificate for a new key of the authority's own algorithm.
    ///
    /// # Errors
    /// A name that is not ASCII, a time that X.509 cannot write, no random numbers.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let key = Key::generate(self.key.algorithm())?;
        let subject = match (&leaf.organization, &leaf.common_name) {
            (None, None) => extension::Subject::Empty,
            _ => extension::Subject::Named,
        };
        // No BasicConstraints: its value would be an empty sequence, which GmSSL refuses.
        let mut extensions = Vec::new();
        if let Some(usage) = leaf.usage {
            extensions.push(extension::key_usage(usage));
        }
        if !leaf.extended.is_empty() {
            extensions.push(extension::extended_key_usage(&leaf.extended));
        }
        if !leaf.names.is_empty() {
            extensions.push(extension::subject_alt_name(&leaf.names, subject)?);
        }
        extensions.push(extension::subject_key_id(&key));
        extensions.push(extension::authority_key_id(&self.key));
        let name = name::encode(leaf.organization.as_deref(), leaf.common_name.as_deref());
        let certified = Certified { name: &name, key: &key, extensions: &extensions };
        let validity = leaf.validity.unwrap_or(self.validity);
        let (der, serial) = certify(&certified, &self.name, &self.key, validity)?;
        Ok(Issued { der, serial, key, intermediates: self.chain.clone() })
    }

    /// Issues the two certificates of a TLCP endpoint: the leaf twice, with both usages and two keys.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_pair(&self, leaf: &Leaf) -> Result<DualPair, Error> {
        Ok(DualPair {
            sign: self.issue(&leaf.clone().usage(Some(Usage::SIGN)))?,
            enc: self.issue(&leaf.clone().usage(Some(Usage::ENCRYPTION)))?,
        })
    }

    /// Revokes certificates, by a list that is current for a month.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn revoke(&self, revoked: &[&Issued]) -> Result<Crl, Error> {
        self.revoke_valid(revoked, Validity::days(SystemTime::now(), 30))
    }

    /// Revokes certificates, by a list from `not_before` that is to be renewed by `not_after`.
    ///
    /// # Errors
    /// As [`Authority::revoke`]; a time that X.509 cannot write.
    pub fn revoke_valid(&self, revoked: &[&Issued], validity: Validity) -> Result<Crl, Error> {
        let since = crate::validity::encode_time(validity.not_before)?;
        let entries: Vec<u8> = revoked
            .iter()
            .flat_map(|issued| asn1::sequence(&[&asn1::integer(&issued.serial), &since]))
            .collect();
        // RFC 5280 §5.1.2.6: without any the list is left out, not empty.
        let entries = if entries.is_empty() { entries } else { asn1::sequence(&[&entries]) };
        let extensions =
            [extension::authority_key_id(&self.key), extension::crl_number(&random()?)];
        let algorithm = self.key.algorithm().signature();
        let list = asn1::sequence(&[
            &asn1::integer(&[1]),
            &algorithm,
            &self.name,
            &since,
            &crate::validity::encode_time(validity.not_after)?,
            &entries,
            &extension::all(0, &extensions),
        ]);
        Ok(Crl { der: signed(&list, &self.key)? })
    }

    /// Its own certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its own certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        issued::certificate(&self.der)
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// Ten years.
const ROOT_DAYS: u32 = 3650;

/// Whom a certificate is about.
struct Certified<'a> {
    name: &'a [u8],
    key: &'a Key,
    extensions: &'a [Vec<u8>],
}

/// `Certificate` of RFC 5280 §4.1, and its serial number.
fn certify(
    subject: &Certified<'_>,
    issuer: &[u8],
    signer: &Key,
    validity: Validity,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let serial = random()?;
    let certificate = asn1::sequence(&[
        &asn1::explicit(0, &asn1::integer(&[2])),
        &asn1::integer(&serial),
        &signer.algorithm().signature(),
        issuer,
        &validity.encode()?,
        subject.name,
        &subject.key.public_key_info(),
        &extension::all(3, subject.extensions),
    ]);
    Ok((signed(&certificate, signer)?, serial))
}

/// What is to be signed, with the algorithm and the signature.
fn signed(contents: &[u8], signer: &Key) -> Result<Vec<u8>, Error> {
    let signature = asn1::bits(&signer.sign(contents)?);
    Ok(asn1::sequence(&[contents, &signer.algorithm().signature(), &signature]))
}

/// 16 random octets that make a positive integer of full length.
fn random() -> Result<Vec<u8>, Error> {
    let mut octets = vec![0; 16];
    rand::fill(&mut octets).map_err(|_| Error::Key)?;
    octets[0] = octets[0] & 0x3f | 0x40;
    Ok(octets)
}

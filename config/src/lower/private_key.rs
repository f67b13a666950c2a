//! Private keys, open or locked. No message repeats the bytes of a key.

use palanquin_proto::envoy::config::core::v3::DataSource;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::Error as PemError;
use rustls_pki_types::pem::PemObject;

use super::Lowering;
use crate::ir::private_key::LockedKey;
use crate::ir::private_key::PrivateKey;

impl Lowering<'_> {
    /// A key in PEM, with the passphrase for one that is encrypted. Locked keys are opened when TLS is set up
    /// with them.
    pub(super) fn private_key(
        &mut self,
        source: &DataSource,
        password: Option<&DataSource>,
    ) -> Option<PrivateKey> {
        let bytes = self.field("private_key", |cx| cx.data_source(source))?;
        let passphrase = match password {
            Some(source) => Some(self.field("password", |cx| cx.data_source(source))?),
            None => None,
        };
        let locked = || LockedKey::new(bytes.to_vec(), passphrase.as_ref().map(|p| p.to_vec()));
        let [encrypted, enveloped] = LockedKey::LABELS.map(|label| contains(&bytes, label));
        self.field("private_key", |cx| match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Some(PrivateKey::Open(key)),
            Err(PemError::NoItemsFound) if encrypted && password.is_none() => {
                cx.error("the private key is encrypted, and there is no password")
                    .hint("set password, the source of the passphrase");
                None
            }
            Err(PemError::NoItemsFound) if encrypted || enveloped => {
                Some(PrivateKey::Locked(locked()))
            }
            Err(PemError::NoItemsFound) => {
                cx.error("there is no private key in it").hint(
                    "accepted in PEM: PRIVATE KEY (PKCS#8), ENCRYPTED PRIVATE KEY, EC PRIVATE KEY, RSA PRIVATE KEY, SM2 ENVELOPED KEY",
                );
                None
            }
            // The parser's own text could repeat parts of the key.
            Err(_) => {
                cx.error("the PEM of the private key is broken");
                None
            }
        })
    }
}

fn contains(bytes: &[u8], label: &str) -> bool {
    let begin = format!("-----BEGIN {label}-----");
    bytes.windows(begin.len()).any(|window| window == begin.as_bytes())
}

//! Secrets: certificates with keys, ticket keys, and where their bytes come from.
//!
//! Files are read here, so that a file that is missing or broken is an error of the configuration. A secret
//! remembers which files it was read from, and can be read again ([`reread_secret`]) when they change. No message
//! repeats the bytes of a key.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use palanquin_proto::envoy::config::core::v3::DataSource;
use palanquin_proto::envoy::config::core::v3::WatchedDirectory;
use palanquin_proto::envoy::config::core::v3::data_source::Specifier;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::secret::Type;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use crate::ir::tls::Secret;
use crate::ir::tls::SecretFiles;
use crate::ir::tls::SecretSource;
use crate::ir::tls::TicketKeys;
use crate::ir::tls::TlsCertificate;

/// Lowers a resource of a secret discovery service.
///
/// # Errors
/// It cannot be used; no text repeats the bytes of a key.
pub fn lower_secret(
    environment: Environment<'_>,
    body: &[u8],
) -> Result<Lowered<Secret>, Rejected> {
    let mut cx = Lowering::new(environment);
    let message = cx.decode::<pb::Secret>(body);
    let name = message.as_ref().map(|message| message.name.clone()).unwrap_or_default();
    let value = message.and_then(|message| cx.secret(&message));
    cx.finish("Secret", &name, value)
}

/// Reads a secret's files again.
///
/// # Errors
/// What is in them now cannot be used.
pub fn reread_secret(
    environment: Environment<'_>,
    files: &SecretFiles,
) -> Result<Lowered<Secret>, Rejected> {
    let mut cx = Lowering::new(environment);
    let value = cx.secret_type(&files.message);
    cx.finish("Secret", &files.message.name, value)
}

impl Lowering<'_> {
    /// `tls.v3.Secret`; its name stays in the message.
    pub fn secret(&mut self, message: &pb::Secret) -> Option<Secret> {
        if message.name.is_empty() {
            self.error_in("name", "a secret must have a name");
        }
        self.secret_type(message)
    }

    fn secret_type(&mut self, message: &pb::Secret) -> Option<Secret> {
        match message.r#type.as_ref() {
            None => {
                self.error("one of tls_certificate, validation_context, session_ticket_keys, generic_secret is necessary");
                None
            }
            Some(Type::TlsCertificate(certificate)) => self
                .field("tls_certificate", |cx| cx.tls_certificate(certificate))
                .map(Secret::Certificate),
            Some(Type::ValidationContext(context)) => self
                .field("validation_context", |cx| cx.validation_context(context))
                .map(Secret::Validation),
            Some(Type::SessionTicketKeys(keys)) => {
                self.field("session_ticket_keys", |cx| cx.ticket_keys(keys)).map(Secret::TicketKeys)
            }
            Some(Type::GenericSecret(generic)) => self.field("generic_secret", |cx| {
                let source = cx.required("secret", generic.secret.as_ref())?;
                let bytes = cx.field("secret", |cx| cx.data_source(source))?;
                Some(Secret::Generic(bytes.as_ref().into()))
            }),
        }
    }

    /// A certificate chain with its key.
    pub(super) fn tls_certificate(
        &mut self,
        message: &pb::TlsCertificate,
    ) -> Option<SecretSource<TlsCertificate>> {
        if message.pkcs12.is_some() {
            self.error_in("pkcs12", "PKCS#12 is not supported yet")
                .hint("use certificate_chain and private_key in PEM");
            return None;
        }
        if message.private_key_provider.is_some() {
            self.error_in("private_key_provider", "is not supported yet");
            return None;
        }
        if !message.signed_certificate_timestamp.is_empty() {
            self.warning_in("signed_certificate_timestamp", "is not supported and has no effect");
        }
        if message.tls_params.is_some() {
            self.warning_in("tls_params", "of a certificate is not supported and has no effect");
        }
        let chain = self.required("certificate_chain", message.certificate_chain.as_ref());
        let key = self.required("private_key", message.private_key.as_ref());
        let chain_der = chain.and_then(|source| {
            self.field("certificate_chain", |cx| cx.certificates(source, "a certificate"))
        });
        let key = key.and_then(|source| self.private_key(source, message.password.as_ref()));
        let staple = message.ocsp_staple.as_ref();
        let ocsp_staple =
            staple.and_then(|source| self.field("ocsp_staple", |cx| cx.data_source(source)));
        let certificate = TlsCertificate {
            chain: chain_der?,
            key: key?,
            ocsp_staple: ocsp_staple.map(|bytes| bytes.to_vec()),
        };
        let sources = [
            message.certificate_chain.as_ref(),
            message.private_key.as_ref(),
            message.ocsp_staple.as_ref(),
        ];
        let paths = watched(message.watched_directory.as_ref(), &sources);
        Some(source_of(certificate, paths, || Type::TlsCertificate(message.clone())))
    }

    /// Ticket keys of 80 bytes, as `openssl rand 80` writes them.
    pub(super) fn ticket_keys(
        &mut self,
        message: &pb::TlsSessionTicketKeys,
    ) -> Option<SecretSource<TicketKeys>> {
        let keys = self.list("keys", &message.keys, |cx, source| {
            let bytes = cx.data_source(source)?;
            if let Ok(key) = <[u8; 80]>::try_from(bytes.as_ref()) {
                Some(key)
            } else {
                cx.error(format!("a ticket key has 80 bytes, this has {}", bytes.len()))
                    .hint("openssl rand 80 > ticket.key");
                None
            }
        });
        if message.keys.is_empty() {
            self.error_in("keys", "at least one key is necessary");
        }
        (keys.len() == message.keys.len() && !keys.is_empty()).then_some(())?;
        let sources: Vec<_> = message.keys.iter().map(Some).collect();
        let paths = watched(None, &sources);
        Some(source_of(TicketKeys { keys }, paths, || Type::SessionTicketKeys(message.clone())))
    }

    /// Every certificate of a PEM bundle; none is an error.
    pub(super) fn certificates(
        &mut self,
        source: &DataSource,
        what: &str,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let bytes = self.data_source(source)?;
        self.pem_list(&bytes, "CERTIFICATE", what)
    }

    /// Every section of one kind in PEM.
    pub(super) fn pem_list<T: PemObject>(
        &mut self,
        bytes: &Bytes,
        label: &str,
        what: &str,
    ) -> Option<Vec<T>> {
        match T::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
            Ok(list) if list.is_empty() => {
                self.error(format!("there is no {what} in it"))
                    .hint(format!("PEM is accepted: -----BEGIN {label}-----"));
                None
            }
            Ok(list) => Some(list),
            Err(error) => {
                self.error(format!("the PEM is broken: {error}"));
                None
            }
        }
    }

    fn required<'m, T>(&mut self, field: &str, value: Option<&'m T>) -> Option<&'m T> {
        if value.is_none() {
            self.error_in(field, "is necessary");
        }
        value
    }
}

/// A secret, with how to read it again if it was read from files.
pub(super) fn source_of<T>(
    value: T,
    paths: Vec<PathBuf>,
    message: impl FnOnce() -> Type,
) -> SecretSource<T> {
    let value = Arc::new(value);
    if paths.is_empty() {
        return SecretSource::Inline(value);
    }
    let message = pb::Secret { name: String::new(), r#type: Some(message()) };
    SecretSource::File { value, files: Arc::new(SecretFiles::new(message, paths)) }
}

/// What to watch for changes: the files, and the directories that are named beside them. A directory whose
/// content changes in another place than where the files are still means that they are to be read again.
pub(super) fn watched(
    directory: Option<&WatchedDirectory>,
    sources: &[Option<&DataSource>],
) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for source in sources.iter().flatten() {
        if let Some(Specifier::Filename(path)) = &source.specifier {
            paths.push(PathBuf::from(path));
            paths.extend(source.watched_directory.as_ref().map(|own| PathBuf::from(&own.path)));
        }
    }
    if !paths.is_empty() {
        paths.extend(directory.map(|directory| PathBuf::from(&directory.path)));
    }
    paths
}

use std::sync::Arc;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::ir::tls::CommonTls;
use palanquin_config::ir::tls::FindSecret;
use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretKind;
use palanquin_config::ir::tls::SecretRef;
use palanquin_config::ir::tls::SecretService;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats::Registry;
use parking_lot::Mutex;

use super::Secrets;
use crate::snapshot::SnapshotCell;
use crate::tls_cell::Slot;
use crate::tls_cell::Swap;

/// A context of two certificates that must come from one hand: both carry the same name.
#[derive(Debug)]
struct Pair {
    secrets: Vec<(SecretId, SecretKind)>,
    present: Arc<Mutex<Option<Arc<str>>>>,
}

impl Slot for Pair {
    fn secrets(&self) -> &[(SecretId, SecretKind)] {
        &self.secrets
    }

    fn is_present(&self) -> bool {
        self.present.lock().is_some()
    }

    fn prepare(self: Arc<Self>, find: FindSecret<'_>) -> Result<Option<Swap>, String> {
        let hand = |index: usize| match find(&self.secrets[index].0)? {
            Secret::Certificate(source) => {
                let identity = palanquin_tls::identity::of(&source.value()?.chain, false)?;
                identity.dns_sans.first().cloned()
            }
            _ => None,
        };
        let (Some(one), Some(two)) = (hand(0), hand(1)) else { return Ok(None) };
        if one != two {
            return Err("they are of two hands".to_owned());
        }
        let present = Arc::clone(&self.present);
        Ok(Some(Box::new(move || *present.lock() = Some(one))))
    }

    fn with_present(&self, _: &mut dyn FnMut(&CommonTls)) {}
}

fn named(name: &str) -> SecretId {
    SecretId::Named(SecretRef { service: SecretService::Ads, ..SecretRef::from(name) })
}

fn certificate(hand: &str) -> Secret {
    let made = rcgen::generate_simple_self_signed([hand.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate =
        TlsCertificate { chain: vec![made.cert.der().clone()], key: key.into(), ocsp_staple: None };
    Secret::Certificate(SecretSource::Inline(Arc::new(certificate)))
}

fn secrets() -> Secrets {
    Secrets::new(Registry::new(1), Arc::new(SnapshotCell::default()), Arc::default())
}

fn attach(secrets: &mut Secrets, names: &[&str]) -> Arc<Pair> {
    let ids = names.iter().map(|name| (named(name), SecretKind::Certificate)).collect();
    let slot = Arc::new(Pair { secrets: ids, present: Arc::default() });
    let (filters, stats) = (Filters::new(), Registry::new(1));
    let environment = Environment { filters: &filters, stats: &stats };
    let all = std::iter::once(Arc::clone(&slot) as Arc<dyn Slot>);
    secrets.attach(environment, all, &|_| None).unwrap();
    slot
}

#[test]
fn a_pair_changes_when_both_of_it_are_new() {
    let mut secrets = secrets();
    let slot = attach(&mut secrets, &["sign", "enc"]);
    let present = || slot.present.lock().clone();
    secrets.put(&named("sign"), certificate("old")).unwrap();
    assert_eq!(present(), None);
    secrets.put(&named("enc"), certificate("old")).unwrap();
    assert_eq!(present().as_deref(), Some("old"));

    secrets.put(&named("enc"), certificate("new")).unwrap();
    assert_eq!(present().as_deref(), Some("old"), "the other half is missing");
    secrets.put(&named("sign"), certificate("new")).unwrap();
    assert_eq!(present().as_deref(), Some("new"));
}

#[test]
fn a_half_that_is_taken_back_is_forgotten() {
    let mut secrets = secrets();
    let slot = attach(&mut secrets, &["sign", "enc"]);
    let present = || slot.present.lock().clone();
    let (sign, enc) = (certificate("old"), certificate("old"));
    secrets.put(&named("sign"), sign.clone()).unwrap();
    secrets.put(&named("enc"), enc).unwrap();
    secrets.put(&named("sign"), certificate("new")).unwrap();
    secrets.put(&named("sign"), sign).unwrap();
    secrets.put(&named("enc"), certificate("new")).unwrap();
    assert_eq!(present().as_deref(), Some("old"), "the new half of sign is gone");
}

#[test]
fn a_secret_that_nothing_uses_any_more_is_forgotten() {
    let mut secrets = secrets();
    let slot = attach(&mut secrets, &["sign", "enc"]);
    assert_eq!(secrets.entries.len(), 2);
    secrets.prune();
    assert_eq!(secrets.entries.len(), 2);
    drop(slot);
    secrets.prune();
    assert!(secrets.entries.is_empty());
}

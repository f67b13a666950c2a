//! A secret takes effect: every context that it is for is made, then all are swapped; or nothing changes.

use std::collections::HashMap;
use std::sync::Weak;

use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretKind;
use palanquin_tls::check_secret;

use super::Secrets;
use crate::tls_cell::Swap;

impl Secrets {
    /// Puts a secret in use: in every context that has all of its secrets then, or in none.
    ///
    /// # Errors
    /// It cannot be used: what was there goes on serving.
    pub(super) fn put(&mut self, id: &SecretId, secret: Secret) -> Result<(), String> {
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        // An answer, good or bad, ends the waiting, as in Envoy.
        entry.is_settled = true;
        entry.half = None;
        self.is_changed = true;
        if entry.digest == Some(secret.digest()) {
            entry.secret = Some(secret);
            return Ok(());
        }
        let mut all = self.halves_beside(id);
        if !all.is_empty() {
            all.insert(id.clone(), secret.clone());
            if self.put_all(&all).is_ok() {
                return Ok(());
            }
        }
        let error = match self.put_all(&HashMap::from([(id.clone(), secret.clone())])) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !self.may_be_half(id, &secret) {
            return Err(error);
        }
        tracing::warn!(
            secret = %id, %error, "the certificate waits for the other one of its pair; the last good ones serve"
        );
        if let Some(entry) = self.entries.get_mut(id) {
            entry.half = Some(secret);
        }
        Ok(())
    }

    /// Puts secrets in use together.
    fn put_all(&mut self, all: &HashMap<SecretId, Secret>) -> Result<(), String> {
        let entries = all.keys().filter_map(|id| self.entries.get(id));
        let slots: Vec<_> =
            entries.flat_map(|entry| &entry.slots).filter_map(Weak::upgrade).collect();
        let find = |id: &SecretId| all.get(id).cloned().or_else(|| self.find(id));
        let mut swaps: Vec<Swap> = Vec::new();
        for slot in slots {
            swaps.extend(slot.prepare(&find)?);
        }
        if swaps.is_empty() {
            for secret in all.values() {
                check_secret(secret).map_err(|error| error.to_string())?;
            }
        }
        for (id, secret) in all {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.secret = Some(secret.clone());
                entry.digest = Some(secret.digest());
                entry.half = None;
            }
        }
        for swap in swaps {
            swap();
        }
        Ok(())
    }

    /// Certificates that wait for another one, perhaps this.
    fn halves_beside(&self, id: &SecretId) -> HashMap<SecretId, Secret> {
        let slots = self.entries.get(id).into_iter().flat_map(|entry| &entry.slots);
        let others = slots.filter_map(Weak::upgrade).flat_map(|slot| slot.secrets().to_vec());
        let half = |id: SecretId| self.entries.get(&id)?.half.clone().map(|half| (id, half));
        others.filter_map(|(other, _)| half(other)).collect()
    }

    /// Whether a certificate is good by itself and may be one of a pair, whose other one has yet to come.
    fn may_be_half(&self, id: &SecretId, secret: &Secret) -> bool {
        let Some(entry) = self.entries.get(id) else { return false };
        let is_certificate = |(_, kind): &&(SecretId, SecretKind)| *kind == SecretKind::Certificate;
        secret.kind() == SecretKind::Certificate
            && check_secret(secret).is_ok()
            && entry
                .slots
                .iter()
                .filter_map(Weak::upgrade)
                .all(|slot| slot.secrets().iter().filter(is_certificate).count() > 1)
    }
}

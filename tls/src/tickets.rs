//! Session tickets: how a server hands its sessions to clients, sealed.
//!
//! A ticket opens only in the context that sealed it: generated keys are never shared between contexts, and
//! configured ones are bound to a digest of the context's certificates and client policy. So a session of
//! one virtual host is no key to another with a stricter policy (CVE-2025-23419 of nginx).
//!
//! Layout: key name (16) | seconds since the epoch, big endian (8) | nonce (12) | sealed session | tag (16).
//! Name and time are authenticated.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::RandomizedNonceKey;
use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use palanquin_config::ir::tls::TicketKeys;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

/// Seals and opens tickets for one context; shared by all workers.
#[derive(Debug)]
pub(crate) struct Tickets {
    /// The first seals. Read without a lock; swapped when generated keys grow old.
    ring: Arc<ArcSwap<Ring>>,
    /// How long a ticket opens.
    lifetime: Duration,
    /// How long a generated key seals; `None`: the keys are configured.
    renewal: Option<Duration>,
}

#[derive(Debug)]
struct Ring {
    keys: Vec<Arc<Key>>,
    /// When the first was made, seconds since the epoch.
    born: u64,
}

#[derive(Debug)]
struct Key {
    name: [u8; NAME],
    aead: RandomizedNonceKey,
}

impl Tickets {
    /// With random keys. Each seals for `renewal` and opens for as long again, then it is forgotten.
    pub(crate) fn generated(lifetime: Duration, renewal: Duration) -> Option<Self> {
        let ring = Ring { keys: vec![Arc::new(Key::random()?)], born: UnixTime::now().as_secs() };
        let ring = Arc::new(ArcSwap::from_pointee(ring));
        Some(Self { ring, lifetime, renewal: Some(renewal.max(Duration::from_secs(1))) })
    }

    /// The same keys for tickets of another lifetime.
    pub(crate) fn with_lifetime(&self, lifetime: Duration) -> Self {
        Self { ring: Arc::clone(&self.ring), lifetime, renewal: self.renewal }
    }

    /// With configured keys, bound to `context`.
    pub(crate) fn configured(
        keys: &TicketKeys,
        context: &[u8],
        lifetime: Duration,
    ) -> Option<Self> {
        let keys = keys.keys.iter().map(|key| Key::derive(key, context).map(Arc::new));
        let ring = Ring { keys: keys.collect::<Option<_>>()?, born: 0 };
        Some(Self { ring: Arc::new(ArcSwap::from_pointee(ring)), lifetime, renewal: None })
    }

    fn renew(&self, now: u64) {
        let Some(renewal) = self.renewal else { return };
        if now < self.ring.load().born.saturating_add(renewal.as_secs()) {
            return;
        }
        let Some(fresh) = Key::random().map(Arc::new) else { return };
        self.ring.rcu(|ring| {
            if now < ring.born.saturating_add(renewal.as_secs()) {
                return Arc::clone(ring); // another worker was faster
            }
            let previous = ring.keys.first().cloned();
            let keys = std::iter::once(Arc::clone(&fresh)).chain(previous).collect();
            Arc::new(Ring { keys, born: now })
        });
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        self.renew(now);
        let ring = self.ring.load();
        let key = ring.keys.first()?;
        let mut header = [0; HEADER];
        header[..NAME].copy_from_slice(&key.name);
        header[NAME..].copy_from_slice(&now.to_be_bytes());
        let mut sealed = plain.to_vec();
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(header), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(HEADER + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&header);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        self.renew(now);
        let (header, rest) = ticket.split_first_chunk::<HEADER>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (name, time) = header.split_first_chunk::<NAME>()?;
        let ring = self.ring.load();
        let key = ring.keys.iter().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let length =
            key.aead.open_in_place(Nonce::from(nonce), Aad::from(*header), &mut plain).ok()?.len();
        plain.truncate(length);
        let issued = u64::from_be_bytes(time.try_into().ok()?);
        (now.saturating_sub(issued) <= self.lifetime.as_secs()).then_some(plain)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, UnixTime::now().as_secs())
    }
}

impl Key {
    fn random() -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], [0; 32]);
        rand::fill(&mut name).ok()?;
        rand::fill(&mut secret).ok()?;
        Some(Self { name, aead: RandomizedNonceKey::new(&AES_256_GCM, &secret).ok()? })
    }

    fn derive(key: &[u8; 80], context: &[u8]) -> Option<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = |label: &[u8]| {
            let mut mac = hmac::Context::with_key(&key);
            mac.update(label);
            mac.update(context);
            mac.sign()
        };
        let name = *derived(b"palanquin ticket name").as_ref().first_chunk()?;
        let secret = derived(b"palanquin ticket key");
        Some(Self { name, aead: RandomizedNonceKey::new(&AES_256_GCM, secret.as_ref()).ok()? })
    }
}

const NAME: usize = 16;
const HEADER: usize = NAME + 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use palanquin_config::ir::tls::TicketKeys;
    use rustls::pki_types::UnixTime;

    use super::Tickets;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_ticket_opens_until_its_lifetime_is_over_and_keys_are_renewed_on_the_way() {
        let tickets = Tickets::generated(HOUR, HOUR).unwrap();
        let now = UnixTime::now().as_secs();
        let first = tickets.seal(b"session", now).unwrap();
        assert_eq!(tickets.open(&first, now + 3600).as_deref(), Some(&b"session"[..]));
        let second = tickets.seal(b"session", now + 3601).unwrap();
        assert_ne!(first[..16], second[..16]);
        assert_eq!(tickets.open(&first, now + 3601), None);
        assert!(tickets.open(&second, now + 7201).is_some());
    }

    #[test]
    fn a_ticket_of_another_context_or_a_changed_one_does_not_open() {
        let keys = TicketKeys { keys: vec![[7; 80], [8; 80]] };
        let old_keys = TicketKeys { keys: vec![[8; 80]] };
        let open = Tickets::configured(&keys, b"open", HOUR).unwrap();
        let strict = Tickets::configured(&keys, b"strict", HOUR).unwrap();
        let neighbour = Tickets::configured(&old_keys, b"open", HOUR).unwrap();
        let ticket = open.seal(b"session", 100).unwrap();
        assert!(open.open(&ticket, 100).is_some());
        assert!(strict.open(&ticket, 100).is_none());
        assert!(open.open(&neighbour.seal(b"session", 100).unwrap(), 100).is_some());
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(open.open(&changed, 100).is_none());
            assert!(open.open(&ticket[..at], 100).is_none());
        }
    }
}

//! Session tickets sealed by SM4-GCM.
//!
//! An SM listener should not hand its sessions out under another cipher, and a ticket of the standard stack
//! must never open here: so the keys are of this stack alone. As there, generated keys belong to one context,
//! and configured keys are bound to a digest of the context's certificates and client policy.
//!
//! Layout: key name (16) | seconds since the epoch, big endian (8) | nonce (12) | sealed session | tag (16).
//! Name and time are authenticated. Nonces are random: a key may seal 2^32 tickets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use palanquin_sm::sm3;
use palanquin_sm::sm4::Sm4Gcm;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

/// Seals and opens tickets for one context; shared by all threads.
#[derive(Debug)]
pub struct Ticketer {
    /// The first seals. Read without a lock; swapped when generated keys grow old.
    ring: ArcSwap<Ring>,
    lifetime: Duration,
    generated: bool,
}

#[derive(Debug)]
struct Ring {
    keys: Vec<Arc<Key>>,
    /// When the first was made, seconds since the epoch.
    born: u64,
}

struct Key {
    name: [u8; NAME],
    aead: Sm4Gcm,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Ticketer {
    /// With random keys. Each seals for `lifetime` and opens for as long again, then it is forgotten. `None`
    /// when the system has no randomness to give.
    pub fn generated(lifetime: Duration) -> Option<Self> {
        let ring = Ring { keys: vec![Arc::new(Key::random()?)], born: UnixTime::now().as_secs() };
        Some(Self { ring: ArcSwap::from_pointee(ring), lifetime, generated: true })
    }

    /// With keys made of configured secrets, bound to `context`: the first seals, all open.
    pub fn configured<'a>(
        secrets: impl IntoIterator<Item = &'a [u8]>,
        context: &[u8],
        lifetime: Duration,
    ) -> Self {
        let keys = secrets.into_iter().map(|secret| Arc::new(Key::derive(secret, context)));
        let ring = Ring { keys: keys.collect(), born: 0 };
        Self { ring: ArcSwap::from_pointee(ring), lifetime, generated: false }
    }

    fn renew(&self, now: u64) {
        let is_due = |ring: &Ring| now >= ring.born.saturating_add(self.lifetime.as_secs().max(1));
        if !self.generated || !is_due(&self.ring.load()) {
            return;
        }
        let Some(fresh) = Key::random().map(Arc::new) else { return };
        self.ring.rcu(|ring| {
            if !is_due(ring) {
                return Arc::clone(ring); // another thread was faster
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
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(HEADER + NONCE + plain.len() + TAG);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&now.to_be_bytes());
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (header, sealed) = ticket.split_at_mut(HEADER);
        let tag = key.aead.seal(&nonce, header, sealed.get_mut(NONCE..)?);
        ticket.extend_from_slice(&tag);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        self.renew(now);
        let (header, rest) = ticket.split_first_chunk::<HEADER>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let (sealed, tag) = sealed.split_last_chunk::<TAG>()?;
        let (name, time) = header.split_first_chunk::<NAME>()?;
        let ring = self.ring.load();
        let key = ring.keys.iter().find(|key| key.name == *name)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        key.aead.open(nonce, header, &mut plain, tag).ok()?;
        let issued = u64::from_be_bytes(time.try_into().ok()?);
        let is_young = now.saturating_sub(issued) <= self.lifetime.as_secs();
        is_young.then(|| std::mem::take(&mut *plain))
    }
}

impl ProducesTickets for Ticketer {
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
        let mut name = [0; NAME];
        let mut secret = Zeroizing::new([0; 16]);
        rand::fill(&mut name).ok()?;
        rand::fill(&mut *secret).ok()?;
        Some(Self { name, aead: Sm4Gcm::new(&secret) })
    }

    fn derive(secret: &[u8], context: &[u8]) -> Self {
        let derived = |label: &[u8]| {
            let whole = Zeroizing::new(sm3::hmac(secret, &[label, context]));
            let mut half = Zeroizing::new([0; 16]);
            for (to, from) in half.iter_mut().zip(whole.iter()) {
                *to = *from;
            }
            half
        };
        let name = *derived(b"palanquin SM ticket name");
        Self { name, aead: Sm4Gcm::new(&derived(b"palanquin SM ticket key")) }
    }
}

const NAME: usize = 16;
const HEADER: usize = NAME + 8;
const NONCE: usize = 12;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::Ticketer;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_ticket_opens_until_its_lifetime_is_over_and_keys_are_renewed_on_the_way() {
        let tickets = Ticketer::generated(HOUR).unwrap();
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
        let (old, new): (&[u8], &[u8]) = (&[8; 80], &[7; 80]);
        let open = Ticketer::configured([new, old], b"open", HOUR);
        let strict = Ticketer::configured([new, old], b"strict", HOUR);
        let neighbour = Ticketer::configured([old], b"open", HOUR);
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

    #[test]
    fn no_key_shows_in_debug_output() {
        let text = format!("{:?}", Ticketer::configured([&[7; 80][..]], b"", HOUR));
        assert!(!text.contains("name") && !text.contains("[7"), "{text}");
    }
}

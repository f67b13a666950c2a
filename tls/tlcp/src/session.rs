//! Sessions that can be taken up again by their id (GB/T 38636-2020, 6.4.4): both sides keep them in memory.
//!
//! There are no tickets: a client that asks for one with an extension is dropped by GmSSL. A cache belongs to one
//! configuration, so that no session leads around the policy of another (CVE-2025-23419 of nginx), and it is
//! shared by all workers.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls_pki_types::UnixTime;

use crate::certificates::PeerCertificates;
use crate::codec::SessionId;
use crate::schedule::MasterSecret;
use crate::suite::CipherSuite;

/// What both sides remember of a full handshake.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) suite: CipherSuite,
    pub(crate) master: MasterSecret,
    /// Whom the handshake proved.
    pub(crate) peer: Option<Arc<PeerCertificates>>,
    /// The name that the client asked for: a session serves no other.
    pub(crate) server_name: Option<Box<str>>,
    /// When the full handshake was; taking a session up does not make it younger.
    pub(crate) born: UnixTime,
}

/// The sessions of a server.
#[derive(Debug)]
pub struct ServerSessions {
    /// By the last byte of the id, so that workers seldom meet at a lock.
    shards: [Mutex<Bounded<SessionId>>; SHARDS],
    lifetime: Duration,
}

/// The sessions of a client, the newest for each server.
#[derive(Debug)]
pub struct ClientSessions {
    sessions: Mutex<Bounded<Box<str>>>,
    lifetime: Duration,
}

impl ServerSessions {
    /// At most `capacity` sessions; the oldest are forgotten first.
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        let each = capacity.div_ceil(SHARDS);
        Self { shards: std::array::from_fn(|_| Mutex::new(Bounded::new(each))), lifetime }
    }

    pub(crate) fn put(&self, session: Arc<Session>) {
        self.shard(&session.id).lock().put(session.id, session);
    }

    /// The session of this id, for the name that the client asks for now.
    pub(crate) fn get(
        &self,
        id: &SessionId,
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Option<Arc<Session>> {
        let mut shard = self.shard(id).lock();
        let session = shard.get(id)?;
        if !is_fresh(session, self.lifetime, now) {
            shard.remove(id);
            return None;
        }
        (session.server_name.as_deref() == server_name).then(|| Arc::clone(session))
    }

    fn shard(&self, id: &SessionId) -> &Mutex<Bounded<SessionId>> {
        let last = id.as_slice().last().copied().unwrap_or_default();
        &self.shards[usize::from(last) % SHARDS]
    }
}

impl ClientSessions {
    /// At most `capacity` servers; the oldest sessions are forgotten first.
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { sessions: Mutex::new(Bounded::new(capacity)), lifetime }
    }

    pub(crate) fn put(&self, server: &str, session: Arc<Session>) {
        self.sessions.lock().put(server.into(), session);
    }

    pub(crate) fn get(&self, server: &str, now: UnixTime) -> Option<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get(server)?;
        if !is_fresh(session, self.lifetime, now) {
            sessions.remove(server);
            return None;
        }
        Some(Arc::clone(session))
    }

    pub(crate) fn remove(&self, server: &str) {
        self.sessions.lock().remove(server);
    }
}

fn is_fresh(session: &Session, lifetime: Duration, now: UnixTime) -> bool {
    let age = now.as_secs().checked_sub(session.born.as_secs());
    age.is_some_and(|age| age <= lifetime.as_secs())
}

/// A map with a bound: what came first goes first.
struct Bounded<K> {
    entries: HashMap<K, (u64, Arc<Session>)>,
    /// In order of their coming, with the number of the entry, as a key may come again.
    order: VecDeque<(u64, K)>,
    counter: u64,
    capacity: usize,
}

impl<K: Hash + Eq + Clone> Bounded<K> {
    fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), counter: 0, capacity }
    }

    fn put(&mut self, key: K, session: Arc<Session>) {
        if self.capacity == 0 {
            return;
        }
        self.counter += 1;
        self.order.push_back((self.counter, key.clone()));
        self.entries.insert(key, (self.counter, session));
        // Old places in the order go too: there are never more of them than twice the capacity.
        while self.entries.len() > self.capacity || self.order.len() > 2 * self.capacity {
            let Some((number, key)) = self.order.pop_front() else { break };
            if self.entries.get(&key).is_some_and(|(current, _)| *current == number) {
                self.entries.remove(&key);
            }
        }
    }

    fn get<Q>(&self, key: &Q) -> Option<&Arc<Session>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key).map(|(_, session)| session)
    }

    fn remove<Q>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.remove(key);
    }
}

impl<K> fmt::Debug for Bounded<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("sessions", &self.entries.len()).finish_non_exhaustive()
    }
}

const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn session(number: u8) -> Arc<Session> {
        Arc::new(Session {
            id: SessionId::new(&[number]).unwrap(),
            suite: CipherSuite::EccGcm,
            master: MasterSecret::derive(
                &[number; 48],
                &crate::schedule::Randoms { client: [0; 32], server: [0; 32] },
            ),
            peer: None,
            server_name: Some("a.example".into()),
            born: at(100),
        })
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_session_lives_its_time_and_serves_its_name_only() {
        let sessions = ServerSessions::new(100, HOUR);
        sessions.put(session(1));
        let id = SessionId::new(&[1]).unwrap();
        assert!(sessions.get(&id, Some("a.example"), at(3700)).is_some());
        assert!(sessions.get(&id, Some("b.example"), at(100)).is_none());
        assert!(sessions.get(&id, None, at(100)).is_none());
        assert!(sessions.get(&id, Some("a.example"), at(99)).is_none());
        sessions.put(session(1));
        assert!(sessions.get(&id, Some("a.example"), at(3701)).is_none());
        assert!(sessions.get(&id, Some("a.example"), at(100)).is_none());
    }

    #[test]
    fn the_oldest_sessions_go_when_there_are_too_many() {
        let sessions = ClientSessions::new(2, HOUR);
        for name in ["a", "b", "a", "a", "a", "c"] {
            sessions.put(name, session(1));
        }
        assert!(sessions.get("b", at(100)).is_none());
        assert!(sessions.get("a", at(100)).is_some());
        assert!(sessions.get("c", at(100)).is_some());
        assert!(sessions.sessions.lock().order.len() <= 4);
    }
}

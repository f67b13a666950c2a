//! Tenants as they are: counters that all workers share and that outlive configurations.
//!
//! A [`Book`] holds the tenants of one `stat_prefix`. Those that a table names are found there at once; the
//! others are added when they are first seen, up to a limit. Beyond it the one that was idle longest makes
//! room (second chance: a tenant seen since the last look stays), and when none is idle newcomers share
//! one record, so that neither memory nor the number of statistics grows with the ids that clients invent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use dashmap::DashMap;
use http::HeaderMap;
use http::HeaderValue;
use palanquin_filter_api::stats;
use palanquin_filter_api::stats::Scope;
use parking_lot::Mutex;
use parking_lot::RwLock;

use super::chain::Chain;
use super::quota::Quota;
use super::quota::Refusal;
use super::quota::Usage;

/// The id under which statistics of tenants without a series of their own are kept.
pub(super) const OTHER: &str = "_other";
/// The id of requests that no source could place.
pub(super) const UNKNOWN: &str = "_unknown";

/// One tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    id: Arc<str>,
    header: HeaderValue,
    book: Arc<Shared>,
    usage: Usage,
    /// Quotas of routes, by their text.
    extra: Chain<Usage>,
    /// Requests in flight by cluster.
    clusters: Chain<AtomicU32>,
    total: AtomicU64,
    refused: AtomicU64,
    /// Nanoseconds since the book was opened.
    last_seen: AtomicU64,
    /// Seen since the book last looked for room.
    recent: AtomicBool,
    /// How many configurations name it.
    pins: AtomicU32,
    /// Its tier, for the admin endpoint; written when configuration changes.
    tier: RwLock<Arc<str>>,
    scope: OnceLock<(Arc<Scope>, Series)>,
}

/// Whose series a tenant's statistics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Series {
    Own,
    Shared,
}

/// Counts one request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Active {
    tenant: Arc<Tenant>,
    extra: Option<Arc<Usage>>,
}

/// Counts one request in flight to a cluster, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicU32>);

/// A quota of a route, in addition to the tenant's own.
#[derive(Debug)]
pub(super) struct ExtraQuota {
    /// What tells it from others: its state outlives the configuration under this key.
    pub(super) key: Arc<str>,
    pub(super) quota: Quota,
}

impl Tenant {
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The id as a header's value.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// A request of this tenant has come.
    pub(super) fn begin(&self, now: Instant) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.last_seen.store(self.book.nanos(now), Ordering::Relaxed);
        if !self.recent.load(Ordering::Relaxed) {
            self.recent.store(true, Ordering::Relaxed);
        }
        self.scope().inc(stats::tenant::RQ_TOTAL);
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what a request needs of the tenant's quota and of a route's, or nothing.
    pub(super) fn admit(
        self: &Arc<Self>,
        now: Instant,
        headers: &HeaderMap,
        quota: &Quota,
        extra: Option<&ExtraQuota>,
    ) -> Result<Active, Refusal> {
        let now = self.book.nanos(now);
        self.usage.admit(now, headers, quota)?;
        let mut active = Active::new(self);
        if let Some(extra) = extra {
            let usage = self.extra.get(&extra.key);
            // A refusal here drops `active`; the tenant's own tokens stay spent, as the request did come.
            usage.admit(now, headers, &extra.quota)?;
            active.extra = Some(Arc::clone(usage));
        }
        Ok(active)
    }

    /// Counts a request whatever the limits say.
    pub(super) fn enter(self: &Arc<Self>) -> Active {
        self.usage.enter();
        Active::new(self)
    }

    /// Counts a request to a cluster; `None` when there are `limit` already.
    pub(super) fn enter_cluster(&self, cluster: &Arc<str>, limit: u32) -> Option<Permit> {
        let count = self.clusters.get(cluster);
        let permit = Permit(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < limit).then_some(permit)
    }

    pub(super) fn active(&self) -> u32 {
        self.usage.active()
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn tier(&self) -> Arc<str> {
        Arc::clone(&self.tier.read())
    }

    /// Its statistics: a series of its own while there are any left, from its first request on.
    pub(super) fn scope(&self) -> &Arc<Scope> {
        &self.scope.get_or_init(|| self.book.series_of(&self.id)).0
    }

    /// A configuration names it.
    pub(super) fn pin(&self, tier: &Arc<str>) {
        self.pins.fetch_add(1, Ordering::Relaxed);
        *self.tier.write() = Arc::clone(tier);
    }

    pub(super) fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.pins.load(Ordering::Relaxed) == 0 && self.usage.active() == 0
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if matches!(self.scope.get(), Some((_, Series::Own))) {
            self.book.series.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Active {
    /// The tenant's own count was raised by the caller.
    fn new(tenant: &Arc<Tenant>) -> Self {
        tenant.scope().raise(stats::tenant::RQ_ACTIVE);
        Self { tenant: Arc::clone(tenant), extra: None }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.tenant.usage.leave();
        self.tenant.scope().lower(stats::tenant::RQ_ACTIVE);
        if let Some(extra) = &self.extra {
            extra.leave();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bounds of a book.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_tenants: usize,
    pub(super) max_series: usize,
    pub(super) idle_ttl: Duration,
}

/// The tenants of one `stat_prefix`.
#[derive(Debug)]
pub(super) struct Book {
    shared: Arc<Shared>,
    tenants: DashMap<Arc<str>, Arc<Tenant>, foldhash::fast::RandomState>,
    /// The same tenants in the order in which they are looked at for room. Locked to add one only.
    queue: Mutex<VecDeque<Arc<Tenant>>>,
    max_tenants: AtomicUsize,
    idle_ttl: AtomicU64,
    other: Arc<Tenant>,
    unknown: Arc<Tenant>,
}

/// What tenants need of their book.
#[derive(Debug)]
struct Shared {
    opened: Instant,
    stats: stats::Registry,
    series: AtomicUsize,
    max_series: AtomicUsize,
    other: OnceLock<Arc<Scope>>,
}

impl Shared {
    fn nanos(&self, now: Instant) -> u64 {
        // Never zero, so that a bucket that was never touched is full.
        let nanos = now.saturating_duration_since(self.opened).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn series_of(&self, id: &Arc<str>) -> (Arc<Scope>, Series) {
        let limit = self.max_series.load(Ordering::Relaxed);
        let room = self.series.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            (used < limit).then_some(used + 1)
        });
        match room {
            Ok(_) => (self.scope(id), Series::Own),
            Err(_) => (Arc::clone(self.other.get_or_init(|| self.scope(OTHER))), Series::Shared),
        }
    }

    fn scope(&self, id: &str) -> Arc<Scope> {
        let labels = vec![("tenant", Arc::from(id))];
        self.stats.scope(&stats::tenant::KIND, &format!("tenant.{id}"), labels)
    }
}

impl Book {
    pub(super) fn new(stats: stats::Registry, bounds: Bounds, now: Instant) -> Self {
        let shared = Arc::new(Shared {
            opened: now,
            stats,
            series: AtomicUsize::new(0),
            max_series: AtomicUsize::new(bounds.max_series),
            other: OnceLock::new(),
        });
        let own = |id: &str| {
            let tenant = tenant(&shared, id);
            // These two are beside the limit: their number is fixed.
            let scope = (shared.scope(id), Series::Shared);
            let _ = tenant.scope.set(scope);
            Arc::new(tenant)
        };
        let (other, unknown) = (own(OTHER), own(UNKNOWN));
        let book = Self {
            shared,
            tenants: DashMap::default(),
            queue: Mutex::new(VecDeque::new()),
            max_tenants: AtomicUsize::new(0),
            idle_ttl: AtomicU64::new(0),
            other,
            unknown,
        };
        book.set_bounds(bounds);
        book
    }

    /// A later configuration may have other bounds. Fewer tenants or series than there are now are reached
    /// as tenants become idle.
    pub(super) fn set_bounds(&self, bounds: Bounds) {
        let ttl = u64::try_from(bounds.idle_ttl.as_nanos()).unwrap_or(u64::MAX);
        self.max_tenants.store(bounds.max_tenants.max(1), Ordering::Relaxed);
        self.idle_ttl.store(ttl, Ordering::Relaxed);
        self.shared.max_series.store(bounds.max_series, Ordering::Relaxed);
    }

    /// The tenant with a valid id.
    pub(super) fn tenant(&self, id: &str) -> Arc<Tenant> {
        if let Some(known) = self.tenants.get(id) {
            return Arc::clone(&known);
        }
        let mut queue = self.queue.lock();
        // Another thread may have been first.
        if let Some(known) = self.tenants.get(id) {
            return Arc::clone(&known);
        }
        if !self.make_room(&mut queue) {
            return Arc::clone(&self.other);
        }
        self.add(&mut queue, id)
    }

    /// The tenant that a table names: it is there whatever the limit.
    pub(super) fn named(&self, id: &str) -> Arc<Tenant> {
        let mut queue = self.queue.lock();
        if let Some(known) = self.tenants.get(id) {
            return Arc::clone(&known);
        }
        self.add(&mut queue, id)
    }

    /// Stands for requests that no source could place.
    pub(super) fn unknown(&self) -> &Arc<Tenant> {
        &self.unknown
    }

    /// Every tenant that is tracked.
    pub(super) fn all(&self) -> Vec<Arc<Tenant>> {
        let named = self.tenants.iter().map(|entry| Arc::clone(&entry));
        let shared = [&self.other, &self.unknown].into_iter().filter(|one| one.total() > 0);
        named.chain(shared.map(Arc::clone)).collect()
    }

    fn add(&self, queue: &mut VecDeque<Arc<Tenant>>, id: &str) -> Arc<Tenant> {
        let tenant = Arc::new(tenant(&self.shared, id));
        queue.push_back(Arc::clone(&tenant));
        self.tenants.insert(Arc::clone(&tenant.id), Arc::clone(&tenant));
        tenant
    }

    /// Drops tenants that are idle for too long, and one more if that is not enough. Looks at each at most
    /// twice; on average the cost is that of one look for each tenant added.
    fn make_room(&self, queue: &mut VecDeque<Arc<Tenant>>) -> bool {
        let limit = self.max_tenants.load(Ordering::Relaxed);
        let ttl = self.idle_ttl.load(Ordering::Relaxed);
        let newest = queue.back().map_or(0, |tenant| tenant.last_seen.load(Ordering::Relaxed));
        let mut looks = if queue.len() < limit { 2.min(queue.len()) } else { 2 * queue.len() };
        while looks > 0 {
            looks -= 1;
            let Some(tenant) = queue.pop_front() else { break };
            let idle_for = newest.saturating_sub(tenant.last_seen.load(Ordering::Relaxed));
            let wanted = tenant.recent.swap(false, Ordering::Relaxed);
            let goes =
                tenant.is_idle() && (idle_for > ttl || (!wanted && queue.len() + 1 >= limit));
            if !goes {
                queue.push_back(tenant);
                continue;
            }
            self.tenants.remove(&tenant.id);
            if queue.len() < limit {
                return true;
            }
        }
        queue.len() < limit
    }
}

fn tenant(shared: &Arc<Shared>, id: &str) -> Tenant {
    Tenant {
        id: id.into(),
        // A valid id is printable ASCII.
        header: HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static(OTHER)),
        book: Arc::clone(shared),
        usage: Usage::default(),
        extra: Chain::new(),
        clusters: Chain::new(),
        total: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        last_seen: AtomicU64::new(0),
        recent: AtomicBool::new(true),
        pins: AtomicU32::new(0),
        tier: RwLock::new(Arc::from("*")),
        scope: OnceLock::new(),
    }
}

//! All tenants of the process, for those who look at them: the admin endpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Instant;

use palanquin_filter_api::stats;
use parking_lot::Mutex;

use super::state::Book;
use super::state::Bounds;

/// Finds the tenants of every tenant filter. Cheap to clone; clones are one directory.
///
/// It also is what makes counters outlive configurations: a filter with the `stat_prefix` of one that
/// still lives goes on with that one's tenants.
#[derive(Debug, Clone, Default)]
pub struct TenantDirectory(Arc<Mutex<HashMap<Box<str>, Weak<Book>>>>);

/// One tenant at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLine {
    /// The filter's `stat_prefix`.
    pub stat_prefix: Box<str>,
    /// The tenant; `_other` is all that the filter has no room for, `_unknown` all without an id.
    pub id: Arc<str>,
    /// Its tier; `*` when no table names one.
    pub tier: Arc<str>,
    /// Requests in flight.
    pub active: u32,
    /// Requests since the tenant is tracked.
    pub total: u64,
    /// Of these, how many were refused.
    pub refused: u64,
}

impl TenantDirectory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The busiest `limit` tenants: most requests in flight first, then most in all.
    pub fn top(&self, limit: usize) -> Vec<TenantLine> {
        let mut lines = self.lines();
        lines.sort_by(|a, b| {
            (b.active, b.total, &a.id, &a.stat_prefix).cmp(&(
                a.active,
                a.total,
                &b.id,
                &b.stat_prefix,
            ))
        });
        lines.truncate(limit);
        lines
    }

    /// One tenant, in every filter that knows it.
    pub fn find(&self, id: &str) -> Vec<TenantLine> {
        self.lines().into_iter().filter(|line| *line.id == *id).collect()
    }

    pub(super) fn book(
        &self,
        stat_prefix: &str,
        stats: &stats::Registry,
        bounds: Bounds,
        now: Instant,
    ) -> Arc<Book> {
        let mut books = self.0.lock();
        books.retain(|_, book| book.strong_count() > 0);
        if let Some(book) = books.get(stat_prefix).and_then(Weak::upgrade) {
            book.set_bounds(bounds);
            return book;
        }
        let book = Arc::new(Book::new(stats.clone(), bounds, now));
        books.insert(stat_prefix.into(), Arc::downgrade(&book));
        book
    }

    fn lines(&self) -> Vec<TenantLine> {
        let books: Vec<_> = self
            .0
            .lock()
            .iter()
            .filter_map(|(prefix, book)| Some((prefix.clone(), book.upgrade()?)))
            .collect();
        let lines = books.into_iter().flat_map(|(stat_prefix, book)| {
            book.all().into_iter().map(move |tenant| TenantLine {
                stat_prefix: stat_prefix.clone(),
                id: Arc::clone(tenant.id()),
                tier: tenant.tier(),
                active: tenant.active(),
                total: tenant.total(),
                refused: tenant.refused(),
            })
        });
        lines.collect()
    }
}

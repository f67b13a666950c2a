//! The filter's settings, ready for requests.

use std::collections::HashMap;
use std::sync::Arc;

use super::policy::Policy;
use super::propagation::Propagation;
use super::source::Sources;
use super::state::Book;
use super::state::ExtraQuota;
use super::state::Tenant;

/// `palanquin.tenant.v1.TenantFilter`, lowered.
#[derive(Debug)]
pub struct Settings {
    pub(super) sources: Sources,
    pub(super) default_tenant: Option<Box<str>>,
    pub(super) on_unknown: OnUnknown,
    /// By id and by alias.
    pub(super) table: Table,
    /// For tenants that the table does not name.
    pub(super) default_policy: Policy,
    pub(super) propagation: Propagation,
    /// Count, never refuse.
    pub(super) shadow: bool,
    pub(super) book: Arc<Book>,
}

/// Known tenants with their policies.
pub(super) type Table = HashMap<Box<str>, Entry, foldhash::fast::RandomState>;

/// A known tenant.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) tenant: Arc<Tenant>,
    pub(super) policy: Arc<Policy>,
}

/// `TenantFilter.OnUnknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnUnknown {
    AllowUnlabelled,
    Deny,
    UseDefaultPolicy,
}

/// `palanquin.tenant.v1.TenantRoute`, lowered.
#[derive(Debug, Default)]
pub struct RouteRules {
    pub(super) disabled: bool,
    /// Instead of the filter's, unless empty.
    pub(super) sources: Sources,
    pub(super) require_tier: Option<Box<str>>,
    pub(super) allow_tenants: Vec<Box<str>>,
    pub(super) deny_tenants: Vec<Box<str>>,
    pub(super) quota: Option<ExtraQuota>,
    pub(super) read_only: bool,
}

impl Settings {
    /// The tenant of a valid id, with what applies to it.
    pub(super) fn tenant(&self, id: &str) -> (Arc<Tenant>, &Policy) {
        match self.table.get(id) {
            Some(entry) => (Arc::clone(&entry.tenant), &entry.policy),
            None => (self.book.tenant(id), &self.default_policy),
        }
    }

    /// Stands for requests that no source could place.
    pub(super) fn unknown(&self) -> &Arc<Tenant> {
        self.book.unknown()
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for entry in self.table.values() {
            entry.tenant.unpin();
        }
    }
}

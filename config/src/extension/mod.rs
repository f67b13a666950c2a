//! Extensions: factories of HTTP filters, found by type URL, and the chains made of them.
//!
//! A filter's author implements [`FilterFactory`] with types of its own; the registry erases them once.
//! Everything a request needs is resolved when configuration is lowered: [`ChainTemplate`] keeps the
//! filters of a connection manager, and [`ChainTemplate::bind`] makes from a route table the finished
//! chain of every route.

use std::any::Any as AnyValue;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use palanquin_filter_api::HttpFilter;
use prost_types::Any;

use crate::lower::Lowering;

mod chain;
pub mod known;
mod overrides;

pub use chain::ChainTemplate;
pub(crate) use chain::Position;
pub use overrides::RouteOverride;

/// Makes a filter from its configuration.
pub trait FilterFactory: Send + Sync + 'static {
    /// The configuration of a connection manager, checked.
    type Config: Send + Sync + 'static;
    /// What a route, virtual host, route table or weighted cluster overrides, checked.
    type RouteConfig: Send + Sync + 'static;

    /// The name by convention: `envoy.filters.http.fault`. Chains may use any other.
    fn name(&self) -> &'static str;

    /// The full names of the message types of [`Self::Config`].
    fn types(&self) -> &'static [&'static str];

    /// The full names of the message types of [`Self::RouteConfig`]; may repeat [`Self::types`]. Empty:
    /// routes cannot override anything.
    fn route_types(&self) -> &'static [&'static str];

    /// Lowers the configuration. `None` only after an error was reported.
    fn lower(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Self::Config>;

    /// Lowers an override. `None` only after an error was reported.
    fn lower_route(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Self::RouteConfig>;

    /// Builds the filter of one route. `overrides` holds those of all scopes, the most specific first
    /// (weighted cluster, route, virtual host, route table): most filters use the first, a few all.
    fn build(
        &self,
        base: &Arc<Self::Config>,
        overrides: &[Arc<Self::RouteConfig>],
    ) -> Arc<dyn HttpFilter>;
}

/// A lowered configuration whose type only its factory knows.
pub(crate) type Erased = Arc<dyn AnyValue + Send + Sync>;

/// [`FilterFactory`] without its types. The only downcasts of configuration are in its implementation.
pub(crate) trait Factory: Send + Sync {
    fn name(&self) -> &'static str;
    fn lower(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Erased>;
    fn lower_route(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Erased>;
    /// `None` when a configuration is not this factory's own.
    fn build(&self, base: &Erased, overrides: &[Erased]) -> Option<Arc<dyn HttpFilter>>;
}

impl<F: FilterFactory> Factory for F {
    fn name(&self) -> &'static str {
        FilterFactory::name(self)
    }

    fn lower(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Erased> {
        Some(Arc::new(FilterFactory::lower(self, any, cx)?))
    }

    fn lower_route(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Erased> {
        Some(Arc::new(FilterFactory::lower_route(self, any, cx)?))
    }

    fn build(&self, base: &Erased, overrides: &[Erased]) -> Option<Arc<dyn HttpFilter>> {
        let base = Arc::clone(base).downcast::<F::Config>().ok()?;
        let overrides: Option<Vec<_>> =
            overrides.iter().map(|one| Arc::clone(one).downcast::<F::RouteConfig>().ok()).collect();
        Some(FilterFactory::build(self, &base, &overrides?))
    }
}

/// The factories of HTTP filters by message type. The message type alone decides: names in a
/// configuration are free, as in Envoy.
#[derive(Clone, Default)]
pub struct Registry {
    by_type: HashMap<&'static str, Arc<dyn Factory>>,
    by_route_type: HashMap<&'static str, Arc<dyn Factory>>,
}

impl Registry {
    /// A registry without factories.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a factory. One of the same type replaces the former.
    #[must_use]
    pub fn register(mut self, factory: impl FilterFactory) -> Self {
        let (types, route_types) = (factory.types(), factory.route_types());
        let factory: Arc<dyn Factory> = Arc::new(factory);
        self.by_type.extend(types.iter().map(|name| (*name, Arc::clone(&factory))));
        self.by_route_type.extend(route_types.iter().map(|name| (*name, Arc::clone(&factory))));
        self
    }

    /// The message types of all filters with a factory, sorted.
    pub fn types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.by_type.keys().copied().collect();
        types.sort_unstable();
        types
    }

    pub(crate) fn find(&self, type_name: &str) -> Option<&Arc<dyn Factory>> {
        self.by_type.get(type_name)
    }

    pub(crate) fn find_route(&self, type_name: &str) -> Option<&Arc<dyn Factory>> {
        self.by_route_type.get(type_name)
    }

    /// The types of overrides with a factory.
    pub(crate) fn route_types(&self) -> impl Iterator<Item = &'static str> {
        self.by_route_type.keys().copied()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.types()).finish()
    }
}

//! The filters of a connection manager, and the chains of the routes it serves.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use palanquin_filter_api::FilterChain;
use palanquin_filter_api::HttpFilter;

use super::Erased;
use super::Factory;
use super::overrides::RouteOverride;
use crate::ir::http::BoundRoutes;
use crate::ir::route::ClusterSpecifier;
use crate::ir::route::PerFilterConfig;
use crate::ir::route::RouteAction;
use crate::ir::route::RouteTable;

/// The filters of a connection manager, from which the chain of each route is made.
#[derive(Debug, Default)]
pub struct ChainTemplate {
    positions: Vec<Position>,
    default_chain: FilterChain,
}

/// One configured filter.
pub(crate) struct Position {
    /// The name under which routes override it.
    pub(crate) name: Box<str>,
    pub(crate) factory: Arc<dyn Factory>,
    pub(crate) base: Erased,
    /// Off unless a route switches it on.
    pub(crate) disabled: bool,
}

impl ChainTemplate {
    /// A chain of `positions` in configured order.
    pub(crate) fn new(positions: Vec<Position>) -> Self {
        let filters = positions.iter().map(|position| position.build(&[])).collect();
        Self { positions, default_chain: FilterChain::new(filters) }
    }

    /// The chain without overrides.
    pub fn default_chain(&self) -> &FilterChain {
        &self.default_chain
    }

    /// The names of the filters in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.positions.iter().map(|position| &*position.name)
    }

    /// Makes the chains of a route table: every override is resolved here, none on a request's path.
    ///
    /// Envoy's scopes: for each filter the most specific scope that names it (weighted cluster, route,
    /// virtual host, route table) decides whether it runs; a filter gets the configurations of all
    /// scopes that have one. Overrides of filters that this chain does not have mean nothing to it.
    pub fn bind(&self, table: &Arc<RouteTable>) -> BoundRoutes {
        let mut chains = vec![self.default_chain.clone(); table.route_count as usize];
        let mut changed = false;
        let mut shared: HashMap<Vec<*const PerFilterConfig>, FilterChain> = HashMap::new();
        let mut put = |index: u32, scopes: &[&Arc<PerFilterConfig>]| {
            if !scopes.iter().any(|scope| self.is_touched_by(scope)) {
                return;
            }
            let key = scopes.iter().map(|scope| Arc::as_ptr(scope)).collect();
            let chain = shared.entry(key).or_insert_with(|| self.chain(scopes));
            if let Some(place) = chains.get_mut(index as usize) {
                *place = chain.clone();
                changed = true;
            }
        };
        for route in table.virtual_hosts.iter().flat_map(|host| &host.routes) {
            let scopes: Vec<_> = route.per_filter_config.iter().collect();
            put(route.index, &scopes);
            let RouteAction::Forward(forward) = &route.action else { continue };
            let ClusterSpecifier::Weighted(weighted) = &forward.cluster else { continue };
            for cluster in &weighted.clusters {
                if let (Some(index), Some(own)) = (cluster.index, &cluster.per_filter_config) {
                    let scopes: Vec<_> = std::iter::once(own).chain(scopes.clone()).collect();
                    put(index, &scopes);
                }
            }
        }
        if !changed {
            chains = Vec::new();
        }
        BoundRoutes { table: Arc::clone(table), default_chain: self.default_chain.clone(), chains }
    }

    fn is_touched_by(&self, scope: &PerFilterConfig) -> bool {
        self.positions.iter().any(|position| scope.contains_key(&position.name))
    }

    fn chain(&self, scopes: &[&Arc<PerFilterConfig>]) -> FilterChain {
        let filters = self.positions.iter().map(|position| {
            let own: Vec<_> = scopes.iter().filter_map(|scope| scope.get(&position.name)).collect();
            position.build(&own)
        });
        FilterChain::new(filters.collect())
    }
}

impl Position {
    /// The filter with these overrides, the most specific first; `None` when it does not run.
    fn build(&self, overrides: &[&RouteOverride]) -> Option<Arc<dyn HttpFilter>> {
        let disabled = overrides.first().map_or(self.disabled, |first| first.disabled);
        if disabled {
            return None;
        }
        // A name may carry another filter's configuration; Envoy's filter does not see it either.
        let own: Vec<_> =
            overrides.iter().filter_map(|one| one.config_of(self.factory.as_ref())).collect();
        self.factory.build(&self.base, &own)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Position")
            .field("name", &self.name)
            .field("factory", &self.factory.name())
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

//! Which of a route's clusters a request goes to.

use std::sync::Arc;

use http::Request;
use palanquin_config::ir::route::ClusterRef;
use palanquin_config::ir::route::ClusterSpecifier;
use palanquin_config::ir::route::ForwardAction;
use palanquin_filter_api::Body;

use crate::worker::Rng;

/// The cluster that a route drew for a request.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Its name; `None` when the header that should name it is missing.
    pub(crate) cluster: Option<Arc<str>>,
    /// Its place among the route's weighted clusters.
    pub(crate) weighted: Option<usize>,
    /// The index of its own filter chain.
    pub(crate) chain: Option<u32>,
}

/// Draws the cluster of a request.
pub(crate) fn choose(action: &ForwardAction, request: &Request<Body>, rng: &Rng) -> Choice {
    let by_header =
        |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(Arc::from);
    let clusters = match &action.cluster {
        ClusterSpecifier::Cluster(name) => {
            return Choice { cluster: Some(Arc::clone(name)), ..Choice::default() };
        }
        ClusterSpecifier::Header(name) => {
            return Choice { cluster: by_header(name), ..Choice::default() };
        }
        ClusterSpecifier::Weighted(clusters) => clusters,
    };
    let given = clusters
        .random_value_header
        .as_ref()
        .and_then(|name| request.headers().get(name)?.to_str().ok()?.parse::<u64>().ok());
    let total = u64::from(clusters.total_weight);
    let mut value = given.map_or_else(|| rng.below(total), |given| given % total.max(1));
    for (position, weighted) in clusters.clusters.iter().enumerate() {
        let weight = u64::from(weighted.weight);
        if value < weight {
            let cluster = match &weighted.cluster {
                ClusterRef::Name(name) => Some(Arc::clone(name)),
                ClusterRef::Header(name) => by_header(name),
            };
            return Choice { cluster, weighted: Some(position), chain: weighted.index };
        }
        value -= weight;
    }
    Choice::default()
}

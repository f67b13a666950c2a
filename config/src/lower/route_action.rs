//! Forwarding: which cluster, how the request changes, how long it may take.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use palanquin_filter_api::MetadataValue;
use palanquin_proto::envoy::config::core::v3::Metadata;
use palanquin_proto::envoy::config::core::v3::RoutingPriority;
use palanquin_proto::envoy::config::route::v3 as pb;
use palanquin_proto::envoy::config::route::v3::route_action::ClusterNotFoundResponseCode;

use super::Lowering;
use super::core::metadata_map;
use super::header_mutation::Direction;
use super::route_table::Scopes;
use super::route_table::Tally;
use crate::ir::Priority;
use crate::ir::route::ClusterRef;
use crate::ir::route::ClusterSpecifier;
use crate::ir::route::ForwardAction;
use crate::ir::route::HostRewrite;
use crate::ir::route::PathRewrite;
use crate::ir::route::WeightedCluster;
use crate::ir::route::WeightedClusters;

/// `RouteAction.timeout` when it is not set.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

impl Lowering<'_> {
    pub(super) fn forward_action(
        &mut self,
        action: &pb::RouteAction,
        scopes: &Scopes<'_>,
        tally: &mut Tally,
    ) -> Option<ForwardAction> {
        let cluster = self.cluster_specifier(action, tally);
        let path_rewrite = self.path_rewrite(action);
        let host_rewrite = self.host_rewrite(action);
        let retry = match &action.retry_policy {
            Some(policy) => self.field("retry_policy", |cx| cx.retry_policy(policy)).map(Arc::new),
            None => scopes.retry.clone(),
        };
        let stream = action.max_stream_duration.as_ref();
        #[expect(deprecated, reason = "Envoy still accepts the old fields")]
        let (old_max, old_offset) = (action.max_grpc_timeout, action.grpc_timeout_offset);
        let (max_stream, grpc_max, grpc_offset) = match stream {
            Some(stream) => self.field("max_stream_duration", |cx| {
                (
                    cx.duration("max_stream_duration", stream.max_stream_duration.as_ref()),
                    cx.duration("grpc_timeout_header_max", stream.grpc_timeout_header_max.as_ref()),
                    cx.duration(
                        "grpc_timeout_header_offset",
                        stream.grpc_timeout_header_offset.as_ref(),
                    ),
                )
            }),
            None => (None, None, None),
        };
        let max_grpc_timeout = self.duration("max_grpc_timeout", old_max.as_ref());
        let grpc_timeout_offset = self.duration("grpc_timeout_offset", old_offset.as_ref());
        let idle_timeout = self.duration("idle_timeout", action.idle_timeout.as_ref());
        let timeout = self.timeout("timeout", action.timeout.as_ref(), Some(ROUTE_TIMEOUT));
        // Envoy's rule: a limit of the stream takes the place of the response's, even of one that is set.
        if stream.is_some() && action.timeout.is_some() && timeout.is_some() {
            self.warning_in("timeout", "has no effect beside max_stream_duration");
        }
        let timeout = timeout.filter(|_| stream.is_none());
        let upgrades = self.route_upgrades(&action.upgrade_configs);
        Some(ForwardAction {
            cluster: cluster?,
            cluster_not_found: match action.cluster_not_found_response_code() {
                ClusterNotFoundResponseCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                ClusterNotFoundResponseCode::NotFound => StatusCode::NOT_FOUND,
                ClusterNotFoundResponseCode::InternalServerError => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            },
            subset: subset_labels(action.metadata_match.as_ref()),
            path_rewrite: path_rewrite?,
            host_rewrite: host_rewrite?,
            append_x_forwarded_host: action.append_x_forwarded_host,
            timeout,
            idle_timeout: idle_timeout.map(some_unless_zero),
            max_stream_duration: max_stream.map(some_unless_zero),
            grpc_timeout_header_max: grpc_max,
            grpc_timeout_header_offset: grpc_offset,
            max_grpc_timeout: max_grpc_timeout.filter(|_| stream.is_none()),
            grpc_timeout_offset,
            retry,
            priority: match action.priority() {
                RoutingPriority::Default => Priority::Default,
                RoutingPriority::High => Priority::High,
            },
            upgrades,
        })
    }

    fn cluster_specifier(
        &mut self,
        action: &pb::RouteAction,
        tally: &mut Tally,
    ) -> Option<ClusterSpecifier> {
        use pb::route_action::ClusterSpecifier as Specifier;
        match &action.cluster_specifier {
            None => {
                self.error("one of cluster, cluster_header, weighted_clusters is necessary");
                None
            }
            Some(Specifier::Cluster(name)) if name.is_empty() => {
                self.error_in("cluster", "must not be empty");
                None
            }
            Some(Specifier::Cluster(name)) => {
                self.check_cluster("cluster", "unknown cluster", name);
                Some(ClusterSpecifier::Cluster(tally.cluster(name)))
            }
            Some(Specifier::ClusterHeader(name)) => {
                self.header_name("cluster_header", name).map(ClusterSpecifier::Header)
            }
            Some(Specifier::WeightedClusters(weighted)) => self
                .field("weighted_clusters", |cx| cx.weighted_clusters(weighted, tally))
                .map(ClusterSpecifier::Weighted),
            Some(Specifier::ClusterSpecifierPlugin(_)) => {
                self.error_in("cluster_specifier_plugin", "is not supported yet")
                    .hint("set cluster");
                None
            }
            Some(Specifier::InlineClusterSpecifierPlugin(_)) => {
                self.error_in("inline_cluster_specifier_plugin", "is not supported yet")
                    .hint("set cluster");
                None
            }
        }
    }

    fn weighted_clusters(
        &mut self,
        weighted: &pb::WeightedCluster,
        tally: &mut Tally,
    ) -> Option<WeightedClusters> {
        use pb::weighted_cluster::RandomValueSpecifier;
        let random_value_header = match &weighted.random_value_specifier {
            Some(RandomValueSpecifier::HeaderName(name)) => {
                Some(self.header_name("header_name", name)?)
            }
            Some(RandomValueSpecifier::UseHashPolicy(true)) => {
                self.warning_in("use_hash_policy", "is not supported yet: chance decides");
                None
            }
            Some(RandomValueSpecifier::UseHashPolicy(false)) | None => None,
        };
        if weighted.clusters.is_empty() {
            self.error_in("clusters", "must not be empty");
            return None;
        }
        let wanted = weighted.clusters.len();
        let clusters = self.list("clusters", &weighted.clusters, |cx, cluster| {
            cx.weighted_cluster(cluster, tally)
        });
        if clusters.len() != wanted {
            return None;
        }
        let sum: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
        match u32::try_from(sum) {
            Ok(0) => {
                self.error_in("clusters", "the sum of weights must be greater than 0");
                None
            }
            Ok(total_weight) => {
                Some(WeightedClusters { clusters, total_weight, random_value_header })
            }
            Err(_) => {
                self.error_in("clusters", format!("the sum of weights exceeds {}", u32::MAX));
                None
            }
        }
    }

    fn weighted_cluster(
        &mut self,
        cluster: &pb::weighted_cluster::ClusterWeight,
        tally: &mut Tally,
    ) -> Option<WeightedCluster> {
        use pb::weighted_cluster::cluster_weight::HostRewriteSpecifier;
        let target = match (cluster.name.as_str(), cluster.cluster_header.as_str()) {
            ("", "") => {
                self.error("at least one of name or cluster_header is necessary");
                None
            }
            (name, "") => {
                self.check_cluster("name", "unknown weighted cluster", name);
                Some(ClusterRef::Name(tally.cluster(name)))
            }
            ("", header) => self.header_name("cluster_header", header).map(ClusterRef::Header),
            (_, _) => {
                self.error("only one of name or cluster_header can be specified");
                None
            }
        };
        let request_headers = self.header_mutations(
            Direction::Request,
            &cluster.request_headers_to_add,
            &cluster.request_headers_to_remove,
        );
        let response_headers = self.header_mutations(
            Direction::Response,
            &cluster.response_headers_to_add,
            &cluster.response_headers_to_remove,
        );
        let host_rewrite = match &cluster.host_rewrite_specifier {
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                Some(self.header_value("host_rewrite_literal", host)?)
            }
            None => None,
        };
        let per_filter_config = self.per_filter_config(&cluster.typed_per_filter_config);
        // A chain of its own needs a place of its own among the table's chains.
        let index = per_filter_config.is_some().then(|| {
            let index = tally.routes;
            tally.routes += 1;
            index
        });
        Some(WeightedCluster {
            cluster: target?,
            weight: cluster.weight.unwrap_or(0),
            request_headers,
            response_headers,
            subset: subset_labels(cluster.metadata_match.as_ref()),
            host_rewrite,
            per_filter_config,
            index,
        })
    }

    fn path_rewrite(&mut self, action: &pb::RouteAction) -> Option<PathRewrite> {
        let ways = [
            !action.prefix_rewrite.is_empty(),
            action.regex_rewrite.is_some(),
            action.path_rewrite_policy.is_some(),
            !action.path_rewrite.is_empty(),
        ];
        if ways.iter().filter(|set| **set).count() > 1 {
            self.error(
                "specify only one of prefix_rewrite, regex_rewrite, path_rewrite_policy, path_rewrite",
            );
            return None;
        }
        if action.path_rewrite_policy.is_some() {
            self.error_in("path_rewrite_policy", "URI templates are not supported yet");
            return None;
        }
        if !action.path_rewrite.is_empty() {
            self.error_in("path_rewrite", "path formats are not supported yet");
            return None;
        }
        if !action.prefix_rewrite.is_empty() {
            self.header_value("prefix_rewrite", &action.prefix_rewrite)?;
            return Some(PathRewrite::Prefix(action.prefix_rewrite.as_str().into()));
        }
        match &action.regex_rewrite {
            Some(rewrite) => {
                self.field("regex_rewrite", |cx| cx.regex_rewrite(rewrite)).map(PathRewrite::Regex)
            }
            None => Some(PathRewrite::None),
        }
    }

    fn host_rewrite(&mut self, action: &pb::RouteAction) -> Option<HostRewrite> {
        use pb::route_action::HostRewriteSpecifier;
        match &action.host_rewrite_specifier {
            None | Some(HostRewriteSpecifier::AutoHostRewrite(false)) => Some(HostRewrite::None),
            Some(HostRewriteSpecifier::AutoHostRewrite(true)) => Some(HostRewrite::Auto),
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if host.is_empty() => {
                Some(HostRewrite::None)
            }
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                self.header_value("host_rewrite_literal", host).map(HostRewrite::Literal)
            }
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
                self.header_name("host_rewrite_header", name).map(HostRewrite::Header)
            }
            Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => self
                .field("host_rewrite_path_regex", |cx| cx.regex_rewrite(rewrite))
                .map(HostRewrite::PathRegex),
            Some(HostRewriteSpecifier::HostRewrite(_)) => {
                self.error_in("host_rewrite", "host formats are not supported yet")
                    .hint("use host_rewrite_literal");
                None
            }
        }
    }

    fn route_upgrades(
        &mut self,
        upgrades: &[pb::route_action::UpgradeConfig],
    ) -> Vec<(Box<str>, bool)> {
        let mut seen = Vec::new();
        self.list("upgrade_configs", upgrades, |cx, upgrade| {
            let name = upgrade.upgrade_type.to_ascii_lowercase();
            if name.is_empty() {
                cx.error_in("upgrade_type", "must not be empty");
                return None;
            }
            if seen.contains(&name) {
                cx.error(format!("duplicate upgrade {:?}", upgrade.upgrade_type));
                return None;
            }
            if name == "connect" && upgrade.connect_config.is_some() {
                cx.error_in("connect_config", "ending CONNECT tunnels here is not supported yet");
                return None;
            }
            seen.push(name.clone());
            Some((name.into(), upgrade.enabled.unwrap_or(true)))
        })
    }
}

impl Tally {
    /// Notes a cluster; equal names share one allocation.
    fn cluster(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.clusters.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.clusters.insert(Arc::clone(&name));
        name
    }
}

/// A limit that zero turns off.
fn some_unless_zero(limit: Duration) -> Option<Duration> {
    (!limit.is_zero()).then_some(limit)
}

/// The labels under `envoy.lb`.
pub(super) fn subset_labels(metadata: Option<&Metadata>) -> Vec<(Arc<str>, MetadataValue)> {
    metadata
        .and_then(|metadata| metadata.filter_metadata.get("envoy.lb"))
        .map(|fields| metadata_map(fields).into_iter().collect())
        .unwrap_or_default()
}

//! Network filters: what serves a connection.

use palanquin_proto::envoy::config::listener::v3 as pb;
use palanquin_proto::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_pb;
use palanquin_proto::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
use prost_types::Any;

use std::sync::Arc;
use std::time::Duration;

use super::Lowering;
use crate::extension::known;
use crate::extension::known::Verdict;
use crate::ir::listener::NetworkFilter;
use crate::ir::listener::TcpProxy;

const CONNECTION_MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
/// `TcpProxy.idle_timeout` when it is not set.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_hours(1);

impl Lowering<'_> {
    /// The filters of a chain: the last one serves the connection, those before it are ones we can do
    /// without.
    pub(super) fn network_filters(&mut self, filters: &[pb::Filter]) -> Option<NetworkFilter> {
        let mut terminal = None;
        let mut failed = false;
        for (index, filter) in filters.iter().enumerate() {
            let last = index + 1 == filters.len();
            self.item("filters", index, |cx| {
                let errors = cx.error_count();
                if let Some(found) = cx.network_filter(filter) {
                    if !last {
                        cx.error(format!(
                            "terminal filter named {:?} must be the last filter in a network filter chain",
                            filter.name
                        ));
                    }
                    terminal = Some(found);
                } else if last && cx.error_count() == errors {
                    cx.error(format!(
                        "non-terminal filter named {:?} is the last filter in a network filter chain",
                        filter.name
                    ))
                    .hint("the last one is http_connection_manager or tcp_proxy");
                }
                failed |= cx.error_count() > errors;
            });
        }
        if filters.is_empty() {
            return Some(NetworkFilter::Close);
        }
        terminal.filter(|_| !failed)
    }

    /// The terminal filter; `None` for one that is left out, or after an error.
    fn network_filter(&mut self, filter: &pb::Filter) -> Option<NetworkFilter> {
        use pb::filter::ConfigType;
        if filter.name.is_empty() {
            self.error_in("name", "must not be empty");
        }
        let any = match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            Some(ConfigType::ConfigDiscovery(_)) => {
                self.error_in("config_discovery", "is not supported yet");
                return None;
            }
            None => {
                self.error_in("typed_config", "is necessary");
                return None;
            }
        };
        self.field("typed_config", |cx| {
            let any = cx.open(any)?;
            match cx.type_name(&any).to_owned().as_str() {
                CONNECTION_MANAGER => {
                    let message = cx.unpack(&any)?;
                    cx.connection_manager(&message).map(|hcm| NetworkFilter::Http(Arc::new(hcm)))
                }
                TCP_PROXY => cx.tcp_proxy(&any).map(|tcp| NetworkFilter::Tcp(Arc::new(tcp))),
                other => {
                    cx.unknown_network_filter(other);
                    None
                }
            }
        })
    }

    fn unknown_network_filter(&mut self, name: &str) {
        match known::network_filter(name) {
            Some(Verdict::Ignore(loss)) => {
                self.warning(format!("{name} is not supported yet and ignored: {loss}"));
            }
            Some(Verdict::Refuse(reason)) => {
                self.error(format!("{name} is not supported yet, and {reason}"));
            }
            None => {
                self.error(format!("unknown network filter {name:?}"))
                    .hint("supported: http_connection_manager, tcp_proxy");
            }
        }
    }

    fn tcp_proxy(&mut self, any: &Any) -> Option<TcpProxy> {
        let message: tcp_pb::TcpProxy = self.unpack(any)?;
        if message.stat_prefix.is_empty() {
            self.error_in("stat_prefix", "must not be empty");
        }
        if message.tunneling_config.is_some() {
            self.error_in("tunneling_config", "tunnelling over HTTP is not supported yet");
        }
        let clusters = match &message.cluster_specifier {
            None => {
                self.error("one of cluster, weighted_clusters is necessary");
                return None;
            }
            Some(ClusterSpecifier::Cluster(name)) => vec![(Arc::from(name.as_str()), 1)],
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                self.field("weighted_clusters", |cx| {
                    if weighted.clusters.is_empty() {
                        cx.error_in("clusters", "must not be empty");
                    }
                    cx.list("clusters", &weighted.clusters, |cx, cluster| {
                        if cluster.name.is_empty() {
                            cx.error_in("name", "must not be empty");
                        }
                        if cluster.weight == 0 {
                            cx.error_in("weight", "must be 1 or more");
                        }
                        Some((Arc::from(cluster.name.as_str()), cluster.weight))
                    })
                })
            }
        };
        Some(TcpProxy {
            stat_prefix: message.stat_prefix.as_str().into(),
            clusters,
            idle_timeout: self.timeout(
                "idle_timeout",
                message.idle_timeout.as_ref(),
                Some(TCP_IDLE_TIMEOUT),
            ),
        })
    }
}

//! Where a cluster's endpoints come from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::cluster::v3 as pb;
use palanquin_proto::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;
use palanquin_proto::envoy::config::cluster::v3::cluster::DiscoveryType;
use palanquin_proto::envoy::config::cluster::v3::cluster::DnsLookupFamily;
use palanquin_proto::envoy::config::cluster::v3::cluster::LbPolicy;
use palanquin_proto::envoy::config::core::v3::ConfigSource;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily as NewFamily;
use palanquin_proto::envoy::extensions::clusters::dns::v3::DnsCluster;
use prost::Message;
use prost::Name;
use prost_types::Any;

use super::Lowering;
use crate::ir::Digest;
use crate::ir::cluster::Discovery;
use crate::ir::cluster::Dns;
use crate::ir::cluster::DnsFamily;
use crate::ir::endpoint::EndpointSet;

/// `dns_refresh_rate` when it is not set.
const DNS_REFRESH_RATE: Duration = Duration::from_secs(5);
/// `initial_fetch_timeout` when it is not set.
pub(super) const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Where resources other than listeners and clusters come from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: Option<PathBuf>,
    pub(super) initial_fetch_timeout: Duration,
}

impl Lowering<'_> {
    pub(super) fn discovery(&mut self, cluster: &pb::Cluster) -> Option<Discovery> {
        let kind = match &cluster.cluster_discovery_type {
            None => DiscoveryType::Static,
            Some(ClusterDiscoveryType::Type(number)) => {
                let Ok(kind) = DiscoveryType::try_from(*number) else {
                    self.error_in("type", format!("{number} is not a DiscoveryType"));
                    return None;
                };
                kind
            }
            Some(ClusterDiscoveryType::ClusterType(custom)) => {
                return self.field("cluster_type", |cx| {
                    cx.custom_cluster(&custom.name, custom.typed_config.as_ref(), cluster)
                });
            }
        };
        if kind != DiscoveryType::OriginalDst && cluster.lb_policy() == LbPolicy::ClusterProvided {
            self.error_in(
                "lb_policy",
                "CLUSTER_PROVIDED is only for clusters of type ORIGINAL_DST",
            );
        }
        if kind != DiscoveryType::Eds && cluster.eds_cluster_config.is_some() {
            self.error_in("eds_cluster_config", "is set in a cluster that is not of type EDS");
        }
        match kind {
            DiscoveryType::Static => Some(Discovery::Static(self.static_endpoints(cluster))),
            DiscoveryType::StrictDns => self.dns(cluster, Addresses::Every).map(Discovery::Dns),
            DiscoveryType::LogicalDns => self.dns(cluster, Addresses::First).map(Discovery::Dns),
            DiscoveryType::Eds => self.eds(cluster),
            DiscoveryType::OriginalDst => {
                if cluster.lb_policy() != LbPolicy::ClusterProvided
                    && cluster.load_balancing_policy.is_none()
                {
                    self.error_in("lb_policy", "must be CLUSTER_PROVIDED for type ORIGINAL_DST");
                }
                self.warning_in(
                    "type",
                    "ORIGINAL_DST is not supported yet: the cluster stays empty",
                );
                Some(Discovery::Static(Arc::new(EndpointSet::default())))
            }
        }
    }

    fn static_endpoints(&mut self, cluster: &pb::Cluster) -> Arc<EndpointSet> {
        // Envoy takes a cluster without an assignment as empty; Istio's BlackHoleCluster is one.
        let empty = ClusterLoadAssignment {
            cluster_name: cluster.name.clone(),
            ..ClusterLoadAssignment::default()
        };
        let assignment = cluster.load_assignment.as_ref().unwrap_or(&empty);
        let digest = Digest::of(&assignment.encode_to_vec());
        Arc::new(self.field("load_assignment", |cx| cx.endpoints(assignment, digest)))
    }

    fn custom_cluster(
        &mut self,
        name: &str,
        config: Option<&Any>,
        cluster: &pb::Cluster,
    ) -> Option<Discovery> {
        let any = match config {
            Some(config) => self.field("typed_config", |cx| cx.open(config))?,
            None => Any::default(),
        };
        let type_name = self.type_name(&any).to_owned();
        if type_name == DnsCluster::full_name() {
            let settings: DnsCluster = self.field("typed_config", |cx| cx.unpack(&any))?;
            return self.new_dns(&settings, cluster).map(Discovery::Dns);
        }
        match name {
            "envoy.cluster.static" => Some(Discovery::Static(self.static_endpoints(cluster))),
            "envoy.cluster.strict_dns" => self.dns(cluster, Addresses::Every).map(Discovery::Dns),
            "envoy.cluster.logical_dns" => self.dns(cluster, Addresses::First).map(Discovery::Dns),
            "envoy.cluster.eds" => self.eds(cluster),
            _ => {
                let shown = if type_name.is_empty() { name } else { &type_name };
                self.error(format!("cluster type {shown:?} is not supported yet"))
                    .hint("supported: STATIC, STRICT_DNS, LOGICAL_DNS, EDS, envoy.clusters.dns");
                None
            }
        }
    }

    #[expect(deprecated, reason = "Envoy still accepts the old fields")]
    fn dns(&mut self, cluster: &pb::Cluster, addresses: Addresses) -> Option<Dns> {
        let failure = cluster.dns_failure_refresh_rate.as_ref();
        let rates = DnsRates {
            refresh: cluster.dns_refresh_rate.as_ref(),
            failure: failure.map(|rate| (rate.base_interval.as_ref(), rate.max_interval.as_ref())),
        };
        let family = match cluster.dns_lookup_family() {
            DnsLookupFamily::Auto => DnsFamily::Auto,
            DnsLookupFamily::V4Only => DnsFamily::V4Only,
            DnsLookupFamily::V6Only => DnsFamily::V6Only,
            DnsLookupFamily::V4Preferred => DnsFamily::V4Preferred,
            DnsLookupFamily::All => DnsFamily::All,
        };
        let respect_ttl = cluster.respect_dns_ttl;
        let rates = self.dns_rates(rates);
        self.dns_targets_of(cluster, addresses, rates, respect_ttl, family)
    }

    fn new_dns(&mut self, settings: &DnsCluster, cluster: &pb::Cluster) -> Option<Dns> {
        let failure = settings.dns_failure_refresh_rate.as_ref();
        let rates = DnsRates {
            refresh: settings.dns_refresh_rate.as_ref(),
            failure: failure.map(|rate| (rate.base_interval.as_ref(), rate.max_interval.as_ref())),
        };
        let family = match settings.dns_lookup_family() {
            NewFamily::Unspecified | NewFamily::Auto => DnsFamily::Auto,
            NewFamily::V4Only => DnsFamily::V4Only,
            NewFamily::V6Only => DnsFamily::V6Only,
            NewFamily::V4Preferred => DnsFamily::V4Preferred,
            NewFamily::All => DnsFamily::All,
        };
        let addresses = if settings.all_addresses_in_single_endpoint {
            Addresses::First
        } else {
            Addresses::Every
        };
        let rates = self.field("typed_config", |cx| cx.dns_rates(rates));
        self.dns_targets_of(cluster, addresses, rates, settings.respect_dns_ttl, family)
    }

    fn dns_rates(&mut self, rates: DnsRates<'_>) -> (Duration, Option<(Duration, Duration)>) {
        let refresh = self.duration("dns_refresh_rate", rates.refresh);
        if refresh.is_some_and(|rate| rate < Duration::from_millis(1)) {
            self.error_in("dns_refresh_rate", "must be 1ms or more");
        }
        let refresh = refresh.unwrap_or(DNS_REFRESH_RATE);
        let failure = rates.failure.and_then(|(base, max)| {
            self.field("dns_failure_refresh_rate", |cx| {
                let base = cx.duration("base_interval", base)?;
                // Envoy's default: ten times the base.
                let max = cx.duration("max_interval", max).unwrap_or(base * 10);
                if max < base {
                    cx.error_in("max_interval", "must be greater than or equal to base_interval");
                }
                Some((base, max))
            })
        });
        (refresh, failure)
    }

    fn dns_targets_of(
        &mut self,
        cluster: &pb::Cluster,
        addresses: Addresses,
        (refresh_rate, failure_refresh_rate): (Duration, Option<(Duration, Duration)>),
        respect_ttl: bool,
        family: DnsFamily,
    ) -> Option<Dns> {
        let empty = ClusterLoadAssignment {
            cluster_name: cluster.name.clone(),
            ..ClusterLoadAssignment::default()
        };
        let assignment = cluster.load_assignment.as_ref().unwrap_or(&empty);
        let strict = matches!(addresses, Addresses::Every);
        let one = [assignment.endpoints.len()]
            .into_iter()
            .chain(assignment.endpoints.iter().map(|locality| locality.lb_endpoints.len()))
            .all(|count| count == 1);
        if !strict && !one {
            self.error_in(
                "load_assignment",
                "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
            );
            return None;
        }
        let (targets, localities, overprovisioning_factor) =
            self.field("load_assignment", |cx| cx.dns_targets(assignment));
        Some(Dns {
            targets,
            localities,
            overprovisioning_factor,
            strict,
            refresh_rate,
            failure_refresh_rate,
            respect_ttl,
            family,
        })
    }

    fn eds(&mut self, cluster: &pb::Cluster) -> Option<Discovery> {
        let Some(config) = &cluster.eds_cluster_config else {
            self.error_in("eds_cluster_config", "is necessary for a cluster of type EDS");
            return None;
        };
        let source = self.field("eds_cluster_config", |cx| {
            cx.config_source("eds_config", config.eds_config.as_ref())
        })?;
        let name =
            if config.service_name.is_empty() { &cluster.name } else { &config.service_name };
        Some(Discovery::Eds {
            service_name: name.as_str().into(),
            initial_fetch_timeout: source.initial_fetch_timeout,
            path: source.path,
        })
    }

    /// A source that is the ADS stream or a file.
    pub(super) fn config_source(
        &mut self,
        field: &str,
        source: Option<&ConfigSource>,
    ) -> Option<Source> {
        use palanquin_proto::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
        let Some(source) = source else {
            self.error_in(field, "is necessary")
                .hint("ads: {} for the control plane of ads_config");
            return None;
        };
        self.field(field, |cx| {
            let timeout =
                cx.duration("initial_fetch_timeout", source.initial_fetch_timeout.as_ref());
            #[expect(deprecated, reason = "Envoy still accepts the old field")]
            let path = match &source.config_source_specifier {
                None => {
                    cx.error("one of ads, path_config_source is necessary");
                    return None;
                }
                Some(ConfigSourceSpecifier::Ads(_) | ConfigSourceSpecifier::Self_(_)) => None,
                Some(ConfigSourceSpecifier::Path(path)) => Some(PathBuf::from(path)),
                Some(ConfigSourceSpecifier::PathConfigSource(file)) => {
                    Some(PathBuf::from(&file.path))
                }
                Some(ConfigSourceSpecifier::ApiConfigSource(_)) => {
                    cx.error_in("api_config_source", "streams beside ADS are not supported yet")
                        .hint("use ads: {} and dynamic_resources.ads_config");
                    return None;
                }
            };
            Some(Source { path, initial_fetch_timeout: timeout.unwrap_or(INITIAL_FETCH_TIMEOUT) })
        })
    }
}

/// Which addresses of a name become endpoints.
#[derive(Debug, Clone, Copy)]
enum Addresses {
    Every,
    First,
}

/// How often names are resolved, as configured.
struct DnsRates<'a> {
    refresh: Option<&'a prost_types::Duration>,
    failure: Option<(Option<&'a prost_types::Duration>, Option<&'a prost_types::Duration>)>,
}

//! Load balancing policies, in their old and new forms.

use std::collections::BTreeSet;

use palanquin_filter_api::MetadataMap;
use palanquin_proto::envoy::config::cluster::v3 as pb;
use palanquin_proto::envoy::config::cluster::v3::cluster::LbConfig;
use palanquin_proto::envoy::config::cluster::v3::cluster::LbPolicy;
use palanquin_proto::envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier;
use palanquin_proto::envoy::extensions::load_balancing_policies as ext;
use palanquin_proto::envoy::extensions::load_balancing_policies::common::v3::LocalityLbConfig;
use palanquin_proto::envoy::extensions::load_balancing_policies::common::v3::locality_lb_config::LocalityConfigSpecifier as NewSpecifier;
use prost_types::Any;

use super::Lowering;
use super::core::metadata_map;
use crate::ir::cluster::Balancer;
use crate::ir::cluster::SubsetFallback;
use crate::ir::cluster::Subsets;

/// How a cluster spreads its requests.
#[derive(Debug)]
pub(super) struct Balancing {
    pub(super) balancer: Balancer,
    pub(super) locality_weighted: bool,
    pub(super) subsets: Option<Subsets>,
}

impl Balancing {
    fn plain(balancer: Balancer, locality: Option<&LocalityLbConfig>) -> Self {
        let specifier = locality.and_then(|locality| locality.locality_config_specifier.as_ref());
        let locality_weighted =
            matches!(specifier, Some(NewSpecifier::LocalityWeightedLbConfig(_)));
        Self { balancer, locality_weighted, subsets: None }
    }
}

impl Lowering<'_> {
    /// `load_balancing_policy`, or `lb_policy` with what belongs to it.
    pub(super) fn balancing(&mut self, cluster: &pb::Cluster) -> Option<Balancing> {
        if let Some(policies) = &cluster.load_balancing_policy {
            return self.field("load_balancing_policy", |cx| cx.balancing_policy(policies));
        }
        let balancer = match cluster.lb_policy() {
            LbPolicy::RoundRobin => Balancer::RoundRobin,
            LbPolicy::Random => Balancer::Random,
            LbPolicy::LeastRequest => {
                let choices = match &cluster.lb_config {
                    Some(LbConfig::LeastRequestLbConfig(config)) => config.choice_count,
                    _ => None,
                };
                self.least_request(choices)?
            }
            // Original destinations have no choice.
            LbPolicy::ClusterProvided => Balancer::RoundRobin,
            LbPolicy::RingHash | LbPolicy::Maglev => {
                let name = cluster.lb_policy().as_str_name();
                self.error_in("lb_policy", format!("{name} is not supported yet"))
                    .hint("supported: ROUND_ROBIN, LEAST_REQUEST, RANDOM");
                return None;
            }
            LbPolicy::LoadBalancingPolicyConfig => {
                self.error_in("load_balancing_policy", "is necessary with this lb_policy");
                return None;
            }
        };
        let common = cluster.common_lb_config.as_ref();
        let locality = common.and_then(|common| common.locality_config_specifier.as_ref());
        let subsets = match &cluster.lb_subset_config {
            Some(config) if !config.subset_selectors.is_empty() => {
                self.field("lb_subset_config", |cx| {
                    cx.subsets(
                        config.fallback_policy,
                        config.default_subset.as_ref().map(metadata_map).unwrap_or_default(),
                        config.subset_selectors.iter().map(|selector| &selector.keys),
                    )
                })
            }
            _ => None,
        };
        Some(Balancing {
            balancer,
            locality_weighted: matches!(
                locality,
                Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_))
            ),
            subsets,
        })
    }

    /// The first policy of the list that we have.
    fn balancing_policy(&mut self, policies: &pb::LoadBalancingPolicy) -> Option<Balancing> {
        self.nested(|cx| {
            let mut unknown = Vec::new();
            for (index, policy) in policies.policies.iter().enumerate() {
                let Some(config) = &policy.typed_extension_config else {
                    cx.item("policies", index, |cx| {
                        cx.error_in("typed_extension_config", "is necessary");
                    });
                    return None;
                };
                let found = cx.item("policies", index, |cx| {
                    cx.field("typed_extension_config", |cx| {
                        cx.field("typed_config", |cx| {
                            let any = cx.open(config.typed_config.as_ref()?)?;
                            let name = cx.type_name(&any).to_owned();
                            let lowered = cx.known_policy(&name, &any);
                            if lowered.is_none() {
                                unknown.push(name);
                            }
                            lowered
                        })
                    })
                });
                if let Some(found) = found {
                    if !unknown.is_empty() {
                        let skipped = unknown.join(", ");
                        cx.warning(format!("{skipped} not supported yet: the next policy is used"));
                    }
                    return found;
                }
            }
            cx.error(format!("no policy of the list is supported yet: {}", unknown.join(", ")))
                .hint("supported: round_robin, least_request, random, wrr_locality, subset");
            None
        })
    }

    /// `None`: nobody knows it. `Some(None)`: it is wrong (and reported).
    #[expect(clippy::option_option, reason = "the two ways to fail lead to different ends")]
    fn known_policy(&mut self, name: &str, any: &Any) -> Option<Option<Balancing>> {
        let package = name.strip_prefix("envoy.extensions.load_balancing_policies.")?;
        Some(match package {
            "round_robin.v3.RoundRobin" => {
                self.unpack(any).map(|config: ext::round_robin::v3::RoundRobin| {
                    Balancing::plain(Balancer::RoundRobin, config.locality_lb_config.as_ref())
                })
            }
            "random.v3.Random" => self.unpack(any).map(|config: ext::random::v3::Random| {
                Balancing::plain(Balancer::Random, config.locality_lb_config.as_ref())
            }),
            "least_request.v3.LeastRequest" => {
                self.unpack(any).and_then(|config: ext::least_request::v3::LeastRequest| {
                    let balancer = self.least_request(config.choice_count)?;
                    Some(Balancing::plain(balancer, config.locality_lb_config.as_ref()))
                })
            }
            "wrr_locality.v3.WrrLocality" => {
                self.unpack(any).and_then(|config: ext::wrr_locality::v3::WrrLocality| {
                    let inner = self.inner_policy(
                        "endpoint_picking_policy",
                        config.endpoint_picking_policy.as_ref(),
                    )?;
                    Some(Balancing { locality_weighted: true, ..inner })
                })
            }
            "subset.v3.Subset" => self.unpack(any).and_then(|config: ext::subset::v3::Subset| {
                let inner =
                    self.inner_policy("subset_lb_policy", config.subset_lb_policy.as_ref())?;
                let subsets = self.subsets(
                    config.fallback_policy,
                    config.default_subset.as_ref().map(metadata_map).unwrap_or_default(),
                    config.subset_selectors.iter().map(|selector| &selector.keys),
                );
                Some(Balancing { subsets, ..inner })
            }),
            // As with `lb_policy: CLUSTER_PROVIDED`.
            "cluster_provided.v3.ClusterProvided" => {
                Some(Balancing::plain(Balancer::RoundRobin, None))
            }
            _ => return None,
        })
    }

    fn inner_policy(
        &mut self,
        field: &str,
        policy: Option<&pb::LoadBalancingPolicy>,
    ) -> Option<Balancing> {
        let Some(policy) = policy else {
            self.error_in(field, "is necessary");
            return None;
        };
        self.field(field, |cx| cx.balancing_policy(policy))
    }

    fn least_request(&mut self, choices: Option<u32>) -> Option<Balancer> {
        let choices = choices.unwrap_or(2);
        if choices < 2 {
            self.error_in("choice_count", format!("{choices} is less than 2"));
            return None;
        }
        Some(Balancer::LeastRequest { choices })
    }

    /// The two forms of subset settings have the same numbers for the same fallbacks.
    fn subsets<'k>(
        &mut self,
        fallback: i32,
        default_subset: MetadataMap,
        selectors: impl Iterator<Item = &'k Vec<String>>,
    ) -> Option<Subsets> {
        let fallback = match fallback {
            0 => SubsetFallback::NoFallback,
            1 => SubsetFallback::AnyEndpoint,
            2 => SubsetFallback::DefaultSubset(default_subset),
            other => {
                self.error_in("fallback_policy", format!("{other} is not a fallback policy"));
                return None;
            }
        };
        let selectors = selectors
            .map(|keys| keys.iter().map(|key| key.as_str().into()).collect::<BTreeSet<_>>())
            .filter(|keys| !keys.is_empty())
            .collect();
        Some(Subsets { fallback, selectors })
    }
}

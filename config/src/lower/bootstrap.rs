//! The bootstrap: everything that is known before a control plane is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use palanquin_proto::envoy::config::bootstrap::v3 as pb;
use palanquin_proto::envoy::config::core::v3 as core_pb;
use palanquin_proto::envoy::config::core::v3::api_config_source::ApiType;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use crate::ir::bootstrap::Admin;
use crate::ir::bootstrap::Ads;
use crate::ir::bootstrap::Bootstrap;
use crate::ir::bootstrap::DynamicResources;
use crate::ir::bootstrap::ResourceSource;
use crate::ir::bootstrap::StaticSecret;

/// What the command line says about us; it wins over the bootstrap's `node`.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `--service-node`.
    pub id: Option<String>,
    /// `--service-cluster`.
    pub cluster: Option<String>,
    /// `--service-zone`.
    pub zone: Option<String>,
}

/// Lowers a bootstrap.
pub fn lower_bootstrap(
    environment: Environment<'_>,
    message: &pb::Bootstrap,
    identity: &Identity,
) -> Result<Lowered<Bootstrap>, Rejected> {
    let mut cx = Lowering::new(environment);
    let value = cx.bootstrap(message, identity);
    cx.finish("Bootstrap", "", Some(value))
}

impl Lowering<'_> {
    fn bootstrap(&mut self, message: &pb::Bootstrap, identity: &Identity) -> Bootstrap {
        let empty = pb::bootstrap::StaticResources::default();
        let resources = message.static_resources.as_ref().unwrap_or(&empty);
        let names: BTreeSet<String> =
            resources.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        self.declare_clusters(names);
        let (secrets, clusters, listeners) = self.field("static_resources", |cx| {
            cx.check_static(resources);
            cx.declare_secrets();
            let secrets = cx.list("secrets", &resources.secrets, |cx, secret| {
                let lowered = cx.secret(secret)?;
                if !cx.declare_secret(&secret.name, lowered.kind()) {
                    cx.error_in("name", format!("duplicate static secret {:?}", secret.name));
                }
                Some(StaticSecret { name: secret.name.as_str().into(), secret: lowered })
            });
            let clusters = cx.list("clusters", &resources.clusters, |cx, cluster| {
                cx.static_cluster(cluster).map(Arc::new)
            });
            let listeners = cx.list("listeners", &resources.listeners, |cx, listener| {
                cx.static_listener(listener).map(Arc::new)
            });
            (secrets, clusters, listeners)
        });
        let dynamic = match &message.dynamic_resources {
            Some(dynamic) => {
                self.field("dynamic_resources", |cx| cx.dynamic_resources(dynamic, resources))
            }
            None => DynamicResources::default(),
        };
        let node = self.node(message, identity, &dynamic);
        let admin =
            message.admin.as_ref().filter(|admin| admin.address.is_some()).and_then(|admin| {
                let address = self.field("admin", |cx| {
                    cx.field("address", |cx| cx.address(admin.address.as_ref()))
                })?;
                Some(Admin { address })
            });
        Bootstrap { node, listeners, clusters, secrets, dynamic, admin }
    }

    /// The node as control planes see it: ours in name, Envoy's in what it can do.
    fn node(
        &mut self,
        message: &pb::Bootstrap,
        identity: &Identity,
        dynamic: &DynamicResources,
    ) -> core_pb::Node {
        let mut node = message.node.clone().unwrap_or_default();
        if let Some(id) = &identity.id {
            node.id.clone_from(id);
        }
        if let Some(cluster) = &identity.cluster {
            node.cluster.clone_from(cluster);
        }
        if let Some(zone) = &identity.zone {
            node.locality.get_or_insert_with(Default::default).zone.clone_from(zone);
        }
        let asks = dynamic.ads.is_some();
        if asks && (node.id.is_empty() || node.cluster.is_empty()) {
            self.error_in("node", "node 'id' and 'cluster' are required")
                .hint("set them in node, or with --service-node and --service-cluster");
        }
        "palanquin".clone_into(&mut node.user_agent_name);
        node.user_agent_version_type = Some(core_pb::node::UserAgentVersionType::UserAgentVersion(
            env!("CARGO_PKG_VERSION").to_owned(),
        ));
        node.client_features =
            CLIENT_FEATURES.iter().map(|feature| (*feature).to_owned()).collect();
        node
    }

    fn dynamic_resources(
        &mut self,
        dynamic: &pb::bootstrap::DynamicResources,
        resources: &pb::bootstrap::StaticResources,
    ) -> DynamicResources {
        let ads = dynamic
            .ads_config
            .as_ref()
            .and_then(|config| self.field("ads_config", |cx| cx.ads(config, resources)));
        let lds = self.resource_source("lds_config", dynamic.lds_config.as_ref());
        let cds = self.resource_source("cds_config", dynamic.cds_config.as_ref());
        let is_ads = |source: &ResourceSource| matches!(source, ResourceSource::Ads { .. });
        if dynamic.ads_config.is_none() && (is_ads(&lds) || is_ads(&cds)) {
            // Envoy starts, and waits for ever.
            self.warning("ads is used, but there is no ads_config: nothing will come")
                .hint("add dynamic_resources.ads_config");
        }
        for (field, locator) in [
            ("lds_resources_locator", &dynamic.lds_resources_locator),
            ("cds_resources_locator", &dynamic.cds_resources_locator),
        ] {
            if !locator.is_empty() {
                self.error_in(field, "xdstp resource names are not supported yet");
            }
        }
        DynamicResources { ads, lds, cds }
    }

    fn resource_source(
        &mut self,
        field: &str,
        source: Option<&core_pb::ConfigSource>,
    ) -> ResourceSource {
        if source.is_none() {
            return ResourceSource::None;
        }
        match self.config_source(field, source) {
            Some(source) => match source.path {
                Some(path) => ResourceSource::Path(path),
                None => ResourceSource::Ads { initial_fetch_timeout: source.initial_fetch_timeout },
            },
            None => ResourceSource::None,
        }
    }

    fn ads(
        &mut self,
        config: &core_pb::ApiConfigSource,
        resources: &pb::bootstrap::StaticResources,
    ) -> Option<Ads> {
        self.grpc_stream(config, &|cx, grpc| cx.check_management_cluster(grpc, resources))
    }

    /// A gRPC service over a cluster that `check` finds usable.
    pub(super) fn grpc_stream(
        &mut self,
        config: &core_pb::ApiConfigSource,
        check: &dyn Fn(&mut Self, &core_pb::grpc_service::EnvoyGrpc),
    ) -> Option<Ads> {
        use core_pb::grpc_service::TargetSpecifier;
        let delta = match config.api_type() {
            ApiType::Grpc | ApiType::AggregatedGrpc => false,
            ApiType::DeltaGrpc | ApiType::AggregatedDeltaGrpc => true,
            other => {
                let name = other.as_str_name();
                self.error_in("api_type", format!("{name} is not supported"))
                    .hint("use GRPC or DELTA_GRPC");
                return None;
            }
        };
        if config.grpc_services.is_empty() {
            self.error_in("grpc_services", "must not be empty");
            return None;
        }
        let services = self.list("grpc_services", &config.grpc_services, |cx, service| {
            let metadata = cx.list("initial_metadata", &service.initial_metadata, |cx, header| {
                cx.header_name("key", &header.key)?;
                cx.header_value("value", &header.value)?;
                Some((Arc::from(header.key.as_str()), Arc::from(header.value.as_str())))
            });
            match &service.target_specifier {
                Some(TargetSpecifier::EnvoyGrpc(grpc)) => {
                    cx.field("envoy_grpc", |cx| check(cx, grpc));
                    Some((grpc.clone(), metadata))
                }
                Some(TargetSpecifier::GoogleGrpc(_)) => {
                    cx.error_in("google_grpc", "is not supported").hint("use envoy_grpc");
                    None
                }
                None => {
                    cx.error("envoy_grpc is necessary");
                    None
                }
            }
        });
        let (first, metadata) = services.first().cloned()?;
        Some(Ads {
            delta,
            clusters: services.iter().map(|(grpc, _)| grpc.cluster_name.as_str().into()).collect(),
            authority: first.authority.into(),
            metadata,
            node_on_first_message_only: config.set_node_on_first_message_only,
        })
    }

    /// The control plane's cluster cannot come from the control plane.
    fn check_management_cluster(
        &mut self,
        grpc: &core_pb::grpc_service::EnvoyGrpc,
        resources: &pb::bootstrap::StaticResources,
    ) {
        let name = grpc.cluster_name.as_str();
        if name.is_empty() {
            self.error_in("cluster_name", "must not be empty");
            return;
        }
        let Some(cluster) = resources.clusters.iter().find(|cluster| cluster.name == name) else {
            self.check_cluster(
                "cluster_name",
                "the control plane must be a static cluster: unknown",
                name,
            );
            return;
        };
        if cluster.eds_cluster_config.is_some() {
            self.error_in(
                "cluster_name",
                format!("the control plane must be a static cluster, and {name:?} is of type EDS"),
            );
        }
    }
}

/// What a control plane may rely on: Envoy's names, and our own resource.
const CLIENT_FEATURES: &[&str] = &["palanquin.tenant.v1"];

//! Route tables: virtual hosts, their domains, and the order of scopes.

use std::collections::BTreeSet;
use std::sync::Arc;

use palanquin_proto::envoy::config::route::v3 as pb;
use palanquin_proto::envoy::config::route::v3::virtual_host::TlsRequirementType;
use prost::Message;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use super::core::metadata;
use super::header_mutation::Direction;
use crate::ir::Digest;
use crate::ir::header_mutation::HeaderMutations;
use crate::ir::retry::RetryPolicy;
use crate::ir::route::DomainIndex;
use crate::ir::route::PerFilterConfig;
use crate::ir::route::RequireTls;
use crate::ir::route::RouteTable;
use crate::ir::route::VirtualHost;

/// Lowers a `RouteConfiguration` as a control plane (or a file) sent it.
pub fn lower_route_configuration(
    environment: Environment<'_>,
    bytes: &[u8],
) -> Result<Lowered<RouteTable>, Rejected> {
    let mut cx = Lowering::new(environment);
    let message: Option<pb::RouteConfiguration> = cx.decode(bytes);
    let name = message.as_ref().map(|message| message.name.clone()).unwrap_or_default();
    let value =
        message.and_then(|message| cx.route_table(&message, Digest::of(bytes), Origin::Discovered));
    cx.finish("RouteConfiguration", &name, value)
}

/// Where a table comes from: it decides what `validate_clusters` is when not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Discovered,
    Inline,
}

/// What a route inherits.
pub(super) struct Scopes<'a> {
    pub(super) request_headers: [&'a HeaderMutations; 2],
    pub(super) response_headers: [&'a HeaderMutations; 2],
    /// Virtual host, route table; those that say something.
    pub(super) per_filter_config: Vec<Arc<PerFilterConfig>>,
    pub(super) retry: Option<Arc<RetryPolicy>>,
    pub(super) buffer_limit: Option<u32>,
    /// The outermost header changes come first instead of last.
    pub(super) reversed: bool,
    pub(super) max_direct_body: usize,
}

/// What the routes of a table count on.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) routes: u32,
    pub(super) clusters: BTreeSet<Arc<str>>,
}

impl Lowering<'_> {
    /// A table within a connection manager.
    pub(super) fn inline_route_table(
        &mut self,
        message: &pb::RouteConfiguration,
    ) -> Option<RouteTable> {
        let digest = Digest::of(&message.encode_to_vec());
        self.route_table(message, digest, Origin::Inline)
    }

    fn route_table(
        &mut self,
        message: &pb::RouteConfiguration,
        digest: Digest,
        origin: Origin,
    ) -> Option<RouteTable> {
        let errors = self.error_count();
        if message.vhds.is_some() {
            self.error_in("vhds", "virtual hosts on demand (VHDS) are not supported yet");
        }
        let mut plugins = message.cluster_specifier_plugins.iter();
        if plugins.any(|plugin| !plugin.is_optional) {
            self.error_in(
                "cluster_specifier_plugins",
                "cluster specifier plugins are not supported yet",
            );
        }
        let validate_clusters =
            message.validate_clusters.unwrap_or(matches!(origin, Origin::Inline));
        let request = self.header_mutations(
            Direction::Request,
            &message.request_headers_to_add,
            &message.request_headers_to_remove,
        );
        let response = self.header_mutations(
            Direction::Response,
            &message.response_headers_to_add,
            &message.response_headers_to_remove,
        );
        let internal_only_headers =
            self.list("internal_only_headers", &message.internal_only_headers, |cx, name| {
                http::HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| cx.error(format!("{name:?} is not a header name")))
                    .ok()
            });
        let table = TableScope {
            request: &request,
            response: &response,
            per_filter_config: self.per_filter_config(&message.typed_per_filter_config),
            reversed: message.most_specific_header_mutations_wins,
            max_direct_body: message.max_direct_response_body_size_bytes.unwrap_or(4096) as usize,
        };
        let mut tally = Tally::default();
        self.check_references(validate_clusters);
        let virtual_hosts: Vec<_> = message
            .virtual_hosts
            .iter()
            .enumerate()
            .map(|(index, host)| {
                self.item("virtual_hosts", index, |cx| cx.virtual_host(host, &table, &mut tally))
            })
            .map(Arc::new)
            .collect();
        self.check_references(true);
        let domains = self.domains(message);
        (self.error_count() == errors).then(|| RouteTable {
            name: message.name.as_str().into(),
            digest,
            virtual_hosts,
            domains,
            internal_only_headers,
            most_specific_header_mutations_wins: message.most_specific_header_mutations_wins,
            ignore_port_in_host_matching: message.ignore_port_in_host_matching,
            route_count: tally.routes,
            clusters: tally.clusters.into_iter().collect(),
            validate_clusters,
            metadata: metadata(message.metadata.as_ref()),
        })
    }

    /// Envoy's order of domains, and its rules: each at most once in a table, whatever the case.
    fn domains(&mut self, message: &pb::RouteConfiguration) -> DomainIndex {
        let mut index = DomainIndex::default();
        let mut seen = BTreeSet::new();
        for (position, host) in message.virtual_hosts.iter().enumerate() {
            self.item("virtual_hosts", position, |cx| {
                if host.domains.is_empty() {
                    cx.error_in("domains", "must not be empty").hint("\"*\" takes every host");
                }
                for (place, domain) in host.domains.iter().enumerate() {
                    let domain = domain.to_ascii_lowercase();
                    if !seen.insert(domain.clone()) {
                        cx.item("domains", place, |cx| {
                            let name = &message.name;
                            if domain == "*" {
                                cx.error(format!(
                                    "only a single wildcard domain is permitted in route {name:?}"
                                ));
                            } else {
                                cx.error(format!("duplicate domain {domain:?} in route {name:?}"))
                                    .hint("domains are unique over all virtual hosts, in any case");
                            }
                        });
                        continue;
                    }
                    index.insert(&domain, position);
                }
            });
        }
        index
    }

    fn virtual_host(
        &mut self,
        host: &pb::VirtualHost,
        table: &TableScope<'_>,
        tally: &mut Tally,
    ) -> VirtualHost {
        if host.name.is_empty() {
            self.error_in("name", "must not be empty");
        }
        if host.matcher.is_some() {
            self.error_in("matcher", "route matching trees are not supported yet");
        }
        let request = self.header_mutations(
            Direction::Request,
            &host.request_headers_to_add,
            &host.request_headers_to_remove,
        );
        let response = self.header_mutations(
            Direction::Response,
            &host.response_headers_to_add,
            &host.response_headers_to_remove,
        );
        let retry = host
            .retry_policy
            .as_ref()
            .and_then(|policy| self.field("retry_policy", |cx| cx.retry_policy(policy)));
        let own = self.per_filter_config(&host.typed_per_filter_config);
        #[expect(deprecated, reason = "Envoy still accepts the old field")]
        let old_limit = host.per_request_buffer_limit_bytes;
        let scopes = Scopes {
            request_headers: [&request, table.request],
            response_headers: [&response, table.response],
            per_filter_config: own.into_iter().chain(table.per_filter_config.clone()).collect(),
            retry: retry.map(Arc::new),
            buffer_limit: self.buffer_limit(old_limit, host.request_body_buffer_limit),
            reversed: table.reversed,
            max_direct_body: table.max_direct_body,
        };
        let routes = host
            .routes
            .iter()
            .enumerate()
            .filter_map(|(index, route)| {
                self.item("routes", index, |cx| cx.route(route, &scopes, tally))
            })
            .map(Arc::new)
            .collect();
        VirtualHost {
            name: host.name.as_str().into(),
            routes,
            require_tls: match host.require_tls() {
                TlsRequirementType::None => RequireTls::None,
                TlsRequirementType::ExternalOnly => RequireTls::ExternalOnly,
                TlsRequirementType::All => RequireTls::All,
            },
            include_request_attempt_count: host.include_request_attempt_count,
            include_attempt_count_in_response: host.include_attempt_count_in_response,
        }
    }

    /// The limit of a body that is kept for a retry, in its two forms.
    pub(super) fn buffer_limit(&mut self, old: Option<u32>, new: Option<u64>) -> Option<u32> {
        match (old, new) {
            (Some(_), Some(_)) => {
                self.error_in(
                    "request_body_buffer_limit",
                    "request_body_buffer_limit and per_request_buffer_limit_bytes exclude each other",
                );
                None
            }
            (old, None) => old,
            (None, Some(bytes)) => Some(u32::try_from(bytes).unwrap_or(u32::MAX)),
        }
    }
}

/// What a virtual host inherits.
struct TableScope<'a> {
    request: &'a HeaderMutations,
    response: &'a HeaderMutations,
    per_filter_config: Option<Arc<PerFilterConfig>>,
    reversed: bool,
    max_direct_body: usize,
}

impl DomainIndex {
    /// Adds a domain in lower case.
    fn insert(&mut self, domain: &str, position: usize) {
        if domain == "*" {
            self.any = Some(position);
        } else if let Some(suffix) = domain.strip_prefix('*') {
            self.suffix.insert(suffix, position);
        } else if let Some(prefix) = domain.strip_suffix('*') {
            self.prefix.insert(prefix, position);
        } else {
            self.exact.insert(domain.into(), position);
        }
    }
}

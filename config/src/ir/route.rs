//! Route tables: virtual hosts, routes, and what a route does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http::StatusCode;
use palanquin_filter_api::DynamicMetadata;
use regex::Regex;

use super::Digest;
use super::Priority;
use super::format::Capture;
use super::header_mutation::HeaderMutations;
use super::matcher::HeaderMatcher;
use super::matcher::MetadataMatcher;
use super::matcher::QueryMatcher;
use super::retry::RetryPolicy;
use super::tracing::RouteTracing;
use crate::extension::RouteOverride;

/// `route.v3.RouteConfiguration`.
#[derive(Debug)]
pub struct RouteTable {
    /// Its name, as RDS knows it.
    pub name: Arc<str>,
    /// Digest of the resource it was lowered from.
    pub digest: Digest,
    /// The virtual hosts; [`DomainIndex`] finds them.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// From `host` to a virtual host's position.
    pub domains: DomainIndex,
    /// Headers from untrusted peers that are removed.
    pub internal_only_headers: Vec<HeaderName>,
    /// `most_specific_header_mutations_wins`.
    pub most_specific_header_mutations_wins: bool,
    /// The port of `host` is ignored when a virtual host is looked for.
    pub ignore_port_in_host_matching: bool,
    /// How many routes all virtual hosts have: every [`Route::index`] is below.
    pub route_count: u32,
    /// Every cluster a route names, sorted, for warming and for `validate_clusters`.
    pub clusters: Vec<Arc<str>>,
    /// Whether a table that names an unknown cluster must be refused. Default: only tables within a
    /// listener are.
    pub validate_clusters: bool,
    /// `metadata`.
    pub metadata: DynamicMetadata,
}

/// Finds a virtual host: exact names first, then the longest suffix wildcard, then the longest prefix
/// wildcard, then `*`. Keys are lower case.
#[derive(Debug, Default)]
pub struct DomainIndex {
    /// `www.example.com`, `example.com:8080`.
    pub exact: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    /// `*.example.com` as `.example.com`.
    pub suffix: Wildcards,
    /// `example.*` as `example.`.
    pub prefix: Wildcards,
    /// `*`.
    pub any: Option<usize>,
}

impl DomainIndex {
    /// The position of the virtual host for a host in lower case (with its port, unless the table ignores
    /// ports). A wildcard stands for at least one character.
    pub fn find(&self, host: &str) -> Option<usize> {
        if let Some(position) = self.exact.get(host) {
            return Some(*position);
        }
        self.suffix
            .find(host, |host, length| host.get(host.len() - length..))
            .or_else(|| self.prefix.find(host, |host, length| host.get(..length)))
            .or(self.any)
    }
}

/// Wildcards by the text beside their star. A search is one look-up for each length that there is, however many
/// wildcards have it.
#[derive(Debug, Default)]
pub struct Wildcards(Vec<(usize, Texts)>);

type Texts = HashMap<Box<str>, usize, foldhash::fast::FixedState>;

impl Wildcards {
    /// Adds a wildcard of the virtual host at `position`.
    pub fn insert(&mut self, text: &str, position: usize) {
        let longest_first = |(length, _): &(usize, Texts)| std::cmp::Reverse(*length);
        let place = self.0.binary_search_by_key(&std::cmp::Reverse(text.len()), longest_first);
        let at = place.unwrap_or_else(|at| {
            self.0.insert(at, (text.len(), Texts::default()));
            at
        });
        self.0[at].1.insert(text.into(), position);
    }

    /// The longest wildcard whose text is that part of `host`, which is longer than it.
    fn find<'a>(
        &self,
        host: &'a str,
        part: impl Fn(&'a str, usize) -> Option<&'a str>,
    ) -> Option<usize> {
        let mut shorter = self.0.iter().filter(|(length, _)| *length < host.len());
        shorter.find_map(|(length, texts)| texts.get(part(host, *length)?).copied())
    }
}

/// `route.v3.VirtualHost`.
#[derive(Debug)]
pub struct VirtualHost {
    /// Its name.
    pub name: Arc<str>,
    /// The routes, first match wins.
    pub routes: Vec<Arc<Route>>,
    /// Whether plaintext requests are redirected to https.
    pub require_tls: RequireTls,
    /// Whether `x-envoy-attempt-count` goes upstream.
    pub include_request_attempt_count: bool,
    /// Whether `x-envoy-attempt-count` goes downstream.
    pub include_attempt_count_in_response: bool,
}

/// `VirtualHost.TlsRequirementType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequireTls {
    /// Plaintext is fine.
    #[default]
    None,
    /// External plaintext requests are redirected.
    ExternalOnly,
    /// All plaintext requests are redirected.
    All,
}

/// `route.v3.Route`.
#[derive(Debug)]
pub struct Route {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// Its place among all routes of the table: the connection manager keeps a filter chain per route.
    pub index: u32,
    /// What it matches.
    pub matcher: RouteMatch,
    /// What it does.
    pub action: RouteAction,
    /// Request header changes in the order they are applied (weighted cluster's own come first and are in
    /// [`WeightedCluster`]).
    pub request_headers: Vec<HeaderMutations>,
    /// Response header changes in the order they are applied.
    pub response_headers: Vec<HeaderMutations>,
    /// What the values of response headers read of the request, which is gone by then; `None`: nothing.
    pub response_needs: Option<Capture>,
    /// `typed_per_filter_config` of the scopes above the weighted cluster, the most specific first: route,
    /// virtual host, route table.
    pub per_filter_config: Vec<Arc<PerFilterConfig>>,
    /// `metadata`.
    pub metadata: DynamicMetadata,
    /// `tracing`.
    pub tracing: Option<Arc<RouteTracing>>,
    /// `per_request_buffer_limit_bytes`: how much of a body is kept for a retry.
    pub buffer_limit: Option<u32>,
    /// `decorator.operation`: the span's name.
    pub operation: Option<Arc<str>>,
    /// `decorator.propagate`, sent as `x-envoy-decorator-operation`.
    pub propagate_operation: bool,
}

/// `typed_per_filter_config` of one scope, by filter name.
pub type PerFilterConfig = HashMap<Box<str>, RouteOverride>;

/// `route.v3.RouteMatch`.
#[derive(Debug)]
pub struct RouteMatch {
    /// The path.
    pub path: PathMatch,
    /// Whether the path's case counts. Default true.
    pub case_sensitive: bool,
    /// All of these headers.
    pub headers: Vec<HeaderMatcher>,
    /// All of these query parameters.
    pub query: Vec<QueryMatcher>,
    /// All of this dynamic metadata.
    pub metadata: Vec<MetadataMatcher>,
    /// Only gRPC requests (`content-type: application/grpc...`).
    pub grpc: bool,
    /// Only this share of requests, in parts per million (`runtime_fraction`).
    pub fraction: Option<u32>,
    /// The client certificate was presented.
    pub tls_presented: Option<bool>,
    /// The client certificate was validated.
    pub tls_validated: Option<bool>,
}

/// The path part of a match. Paths are matched without the query.
#[derive(Debug)]
pub enum PathMatch {
    /// A CONNECT request.
    Connect,
    /// Exactly this.
    Exact(Box<str>),
    /// Begins with this.
    Prefix(Box<str>),
    /// Equals this, or begins with this and a slash. Has no slash at its end.
    PathSeparatedPrefix(Box<str>),
    /// Matches as a whole.
    Regex(Regex),
}

/// What a route does with a request.
#[derive(Debug)]
pub enum RouteAction {
    /// Answers itself.
    DirectResponse(DirectResponse),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Sends it to a cluster.
    Forward(Box<ForwardAction>),
}

/// `route.v3.DirectResponseAction`.
#[derive(Debug)]
pub struct DirectResponse {
    /// The status.
    pub status: StatusCode,
    /// The body; empty when there is none.
    pub body: Bytes,
}

/// `route.v3.RedirectAction`.
#[derive(Debug)]
pub struct Redirect {
    /// The new scheme, `https_redirect` or `scheme_redirect`.
    pub scheme: Option<Box<str>>,
    /// The new host.
    pub host: Option<Box<str>>,
    /// The new port.
    pub port: Option<u16>,
    /// The new path.
    pub path: RedirectPath,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The query is dropped.
    pub strip_query: bool,
}

/// How a redirect changes the path.
#[derive(Debug)]
pub enum RedirectPath {
    /// As it is.
    Keep,
    /// This path, perhaps with a query of its own.
    Full(Box<str>),
    /// The matched prefix replaced by this.
    Prefix(Box<str>),
    /// Every match of the regex replaced.
    Regex(RegexRewrite),
}

/// `type.matcher.v3.RegexMatchAndSubstitute`.
#[derive(Debug, Clone)]
pub struct RegexRewrite {
    /// What is replaced.
    pub regex: Regex,
    /// By what, with `$1` in the `regex` crate's form (`\1` is translated when lowered).
    pub substitution: Box<str>,
}

/// A route's word on a limit of the connection manager's: another one, or none at all.
pub type RouteLimit = Option<Duration>;

/// `route.v3.RouteAction`, less what redirects and direct responses have in common.
#[derive(Debug)]
pub struct ForwardAction {
    /// Where to.
    pub cluster: ClusterSpecifier,
    /// The status when the cluster does not exist. Default 503.
    pub cluster_not_found: StatusCode,
    /// Labels an endpoint must carry under `envoy.lb`.
    pub subset: Vec<(Arc<str>, palanquin_filter_api::MetadataValue)>,
    /// How the path changes.
    pub path_rewrite: PathRewrite,
    /// How the host changes.
    pub host_rewrite: HostRewrite,
    /// The old host goes to `x-forwarded-host`.
    pub append_x_forwarded_host: bool,
    /// From the end of the request to the end of the response; `None`: no limit. Default 15 s, but no limit
    /// for a route with `max_stream_duration`.
    pub timeout: Option<Duration>,
    /// Between two events of the stream: overrides the connection manager's; `Some(None)` turns it off.
    pub idle_timeout: Option<RouteLimit>,
    /// The whole stream: overrides the connection manager's; `Some(None)` turns it off.
    pub max_stream_duration: Option<RouteLimit>,
    /// `max_stream_duration.grpc_timeout_header_max`: `grpc-timeout`, up to this (zero: any), is the limit
    /// of the whole stream instead.
    pub grpc_timeout_header_max: Option<Duration>,
    /// Taken from such a limit.
    pub grpc_timeout_header_offset: Option<Duration>,
    /// `max_grpc_timeout`, the old way: `grpc-timeout`, up to this (zero: any), replaces `timeout`.
    pub max_grpc_timeout: Option<Duration>,
    /// Taken from such a timeout.
    pub grpc_timeout_offset: Option<Duration>,
    /// When to try again.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Which thresholds count.
    pub priority: Priority,
    /// Upgrades this route allows or forbids, in lower case: `websocket`, `connect`.
    pub upgrades: Vec<(Box<str>, bool)>,
}

/// Which cluster.
#[derive(Debug)]
pub enum ClusterSpecifier {
    /// This one.
    Cluster(Arc<str>),
    /// The one this header names.
    Header(HeaderName),
    /// One of several, by weight.
    Weighted(WeightedClusters),
}

/// `route.v3.WeightedCluster`.
#[derive(Debug)]
pub struct WeightedClusters {
    /// The clusters.
    pub clusters: Vec<WeightedCluster>,
    /// The sum of all weights, at least 1.
    pub total_weight: u32,
    /// A header with a number that decides instead of chance (`header_name`).
    pub random_value_header: Option<HeaderName>,
}

/// `WeightedCluster.ClusterWeight`.
#[derive(Debug)]
pub struct WeightedCluster {
    /// The cluster, or the header that names it.
    pub cluster: ClusterRef,
    /// Its weight.
    pub weight: u32,
    /// Request header changes, applied before the route's.
    pub request_headers: HeaderMutations,
    /// Response header changes, applied before the route's.
    pub response_headers: HeaderMutations,
    /// Labels beyond the route's.
    pub subset: Vec<(Arc<str>, palanquin_filter_api::MetadataValue)>,
    /// A host of its own (`host_rewrite_literal`).
    pub host_rewrite: Option<http::HeaderValue>,
    /// `typed_per_filter_config`; `None` when empty.
    pub per_filter_config: Option<Arc<PerFilterConfig>>,
    /// Its place among all weighted clusters with a filter configuration of their own, counted on from the
    /// routes: the connection manager keeps a filter chain for it. `None` without one.
    pub index: Option<u32>,
}

/// A cluster by name or by header.
#[derive(Debug)]
pub enum ClusterRef {
    /// This one.
    Name(Arc<str>),
    /// The one this header names.
    Header(HeaderName),
}

/// How the path changes on its way upstream.
#[derive(Debug)]
pub enum PathRewrite {
    /// It does not.
    None,
    /// What the route matched (prefix or whole path) is replaced by this.
    Prefix(Box<str>),
    /// Every match of the regex in the path (without the query) is replaced.
    Regex(RegexRewrite),
}

/// How the host changes on its way upstream.
#[derive(Debug)]
pub enum HostRewrite {
    /// It does not.
    None,
    /// To the endpoint's host name.
    Auto,
    /// To this header's value.
    Header(HeaderName),
    /// To this.
    Literal(http::HeaderValue),
    /// To the path after this rewrite (`host_rewrite_path_regex`).
    PathRegex(RegexRewrite),
}

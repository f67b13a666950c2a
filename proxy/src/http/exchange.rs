//! Serves one request: the life of a request, top to bottom (docs/life-of-a-request.md).

use std::rc::Rc;

use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use palanquin_config::ir::route::RequireTls;
use palanquin_config::ir::route::RouteAction;
use palanquin_filter_api::Body;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::stats::http as stat;

use super::Connection;
use super::forwarded;
use super::names;
use super::normalize;
use super::redirect;
use super::request_body;
use super::request_id;
use super::request_id::Given;
use super::response_headers;
use super::route;
use super::route::MatchCx;
use super::stream::Stream;
use super::timeouts;
use crate::codec::Upgrade;
use crate::telemetry::trace;
use crate::upstream::forward::forward;

/// Serves `request`. Never fails: what goes wrong becomes an answer.
pub(crate) async fn handle(
    mut request: Request<Body>,
    connection: &Rc<Connection>,
) -> Response<Body> {
    let snapshot = connection.worker.snapshot(); // 1. pin one configuration
    let mut stream = Stream::begin(&request, connection, &snapshot); // 2. clock, record, counters
    let outcome = respond(&mut request, &mut stream).await; // 3-7
    let mut response = match outcome {
        Ok(response) => response,
        Err(reply) => stream.local_reply(*reply), // 8. the only error -> HTTP
    };
    if let Some(chain) = stream.chain()
        && let Err(reply) = chain.on_response(&mut response, &mut stream.cx).await
    {
        response = stream.local_reply(*reply); // 9. filters, upwards
    }
    finish(stream, response) // 10. headers, and the end: span, metrics, access log; exactly once
}

/// Gives the response the proxy's own headers and ties the stream's end to its body.
pub(crate) fn finish(mut stream: Box<Stream>, mut response: Response<Body>) -> Response<Body> {
    response_headers::finish(&mut response, &mut stream);
    stream.attach_to(response)
}

/// From the request to upstream's response, or to a reason why there is none.
async fn respond(
    request: &mut Request<Body>,
    stream: &mut Stream,
) -> Result<Response<Body>, Box<LocalReply>> {
    let (body, progress) = request_body::watch(std::mem::take(request.body_mut()));
    if let Body::Full(bytes) = &body {
        stream.cx.info.bytes_received = bytes.len() as u64;
    }
    *request.body_mut() = body;
    stream.request_progress = progress;

    let admitted = admit(request, stream); // 3. path, host, who the client is, request id
    if admitted.is_err() {
        stream.keep(request);
    }
    admitted?;
    let forwarded = select(request, stream); // 4. virtual host -> route -> weighted cluster
    trace::start(request, stream);
    if forwarded.is_err() || !stream.is_forwarded_at_once() {
        stream.keep(request);
    }
    forwarded?;
    if let Some(chain) = stream.chain() {
        chain.on_request(request, &mut stream.cx).await?; // 5. filters, downwards
    }
    let Some(matched) = stream.matched.clone() else { return Err(no_route(stream)) };
    let connection = Rc::clone(&stream.connection); // keeps the borrow of `stream` free
    match &matched.route().action {
        RouteAction::Forward(action) => {
            forward(std::mem::take(request), &matched, action, stream).await // 6-7
        }
        RouteAction::Redirect(rule) => {
            connection.manager.stats.inc(stat::RQ_REDIRECT);
            Err(redirect::reply(rule, &matched.route().matcher.path, request, connection.scheme()))
        }
        RouteAction::DirectResponse(direct) => {
            connection.manager.stats.inc(stat::RQ_DIRECT_RESPONSE);
            Err(Box::new(
                LocalReply::new(direct.status, "direct_response").with_body(direct.body.clone()),
            ))
        }
    }
}

/// Normalises the request and finds out who sent it.
fn admit(request: &mut Request<Body>, stream: &mut Stream) -> Result<(), Box<LocalReply>> {
    let connection = Rc::clone(&stream.connection);
    let manager = &connection.manager;
    normalize::request(request, manager, connection.info.local.port())?;
    let routes = stream.snapshot.routes(manager);
    let internal_only =
        routes.as_ref().map_or(&[][..], |routes| &routes.table.internal_only_headers);
    let origin =
        forwarded::request(request.headers_mut(), &connection.info, manager, internal_only);
    stream.cx.info.remote = origin.remote;
    stream.origin = Some(origin);
    if let Some(via) = &manager.via {
        names::append(request.headers_mut(), header::VIA, via, b", ");
    }
    if manager.generate_request_id {
        let given = match (origin.edge, manager.preserve_external_request_id) {
            (false, _) => Given::Keep,
            (true, true) if manager.request_id.pack_trace_reason => Given::KeepUntraced,
            (true, true) => Given::Keep,
            (true, false) => Given::Replace,
        };
        stream.cx.info.request_id =
            request_id::ensure(request.headers_mut(), given, &connection.worker.rng);
    } else {
        stream.cx.info.request_id = request.headers().get(request_id::X_REQUEST_ID).cloned();
    }
    Ok(())
}

/// Finds the route and with it the filters. No route is no error yet: the filters run first.
fn select(request: &mut Request<Body>, stream: &mut Stream) -> Result<(), Box<LocalReply>> {
    let connection = Rc::clone(&stream.connection);
    let Some(routes) = stream.snapshot.routes(&connection.manager) else { return Ok(()) };
    stream.set_chain(&routes.default_chain);
    let Some(virtual_host) = route::virtual_host(&routes, request.headers()) else {
        return Ok(());
    };
    let host = &routes.table.virtual_hosts[virtual_host];
    let scheme = forwarded_proto(request);
    let plaintext = scheme != Some("https");
    let internal = stream.origin.is_some_and(|origin| origin.internal);
    if plaintext
        && (host.require_tls == RequireTls::All
            || host.require_tls == RequireTls::ExternalOnly && !internal)
    {
        return Err(https_redirect(request));
    }
    let found = {
        let cx = MatchCx {
            scheme: scheme.unwrap_or_else(|| connection.scheme()),
            tls: connection.info.tls.as_deref(),
            metadata: &stream.cx.metadata,
            rng: &connection.worker.rng,
        };
        route::select(&routes, virtual_host, request, &cx)
    };
    let info = &mut stream.cx.info;
    info.virtual_host = Some(host.name.clone());
    let Some(matched) = found else { return Ok(()) };
    let route = matched.route();
    if !route.name.is_empty() {
        info.route_name = Some(route.name.clone());
    }
    if let RouteAction::Forward(action) = &route.action {
        stream.timeouts.override_by_route(
            info.timing.start,
            action.idle_timeout,
            timeouts::stream_duration(action, request.headers_mut()),
        );
        let drawn = super::cluster::choose(action, request, &connection.worker.rng);
        stream.weighted = drawn.weighted;
        stream.cx.cluster = drawn.cluster;
        if let Some(index) = drawn.chain {
            stream.set_chain(matched.chain(Some(index)));
        } else {
            stream.set_chain(matched.chain(None));
        }
    } else {
        stream.set_chain(matched.chain(None));
    }
    let refused = match &matched.route().action {
        RouteAction::Forward(action) => refuse_upgrade(request, action, &connection),
        RouteAction::DirectResponse(_) | RouteAction::Redirect(_) => Ok(()),
    };
    stream.matched = Some(matched);
    refused
}

/// An upgrade that neither route nor connection manager allows is refused, as in Envoy.
fn refuse_upgrade(
    request: &Request<Body>,
    action: &palanquin_config::ir::route::ForwardAction,
    connection: &Connection,
) -> Result<(), Box<LocalReply>> {
    let Some(upgrade) = request.extensions().get::<Upgrade>() else { return Ok(()) };
    let named = |rules: &[(Box<str>, bool)]| {
        rules
            .iter()
            .find(|(name, _)| upgrade.protocol.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, enabled)| *enabled)
    };
    let manager = &connection.manager;
    let allowed = named(&action.upgrades).or_else(|| named(&manager.upgrades)).unwrap_or(false);
    if allowed {
        manager.stats.inc(stat::DOWNSTREAM_CX_UPGRADES_TOTAL);
        return Ok(());
    }
    manager.stats.inc(stat::DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE);
    Err(Box::new(LocalReply::new(StatusCode::FORBIDDEN, "upgrade_failed")))
}

fn no_route(stream: &Stream) -> Box<LocalReply> {
    stream.manager().stats.inc(stat::NO_ROUTE);
    Box::new(
        LocalReply::new(StatusCode::NOT_FOUND, "route_not_found")
            .with_flags(ResponseFlags::NO_ROUTE_FOUND),
    )
}

fn forwarded_proto(request: &Request<Body>) -> Option<&'static str> {
    match request.headers().get(names::X_FORWARDED_PROTO)?.as_bytes() {
        b"https" => Some("https"),
        b"http" => Some("http"),
        _ => None,
    }
}

fn https_redirect(request: &Request<Body>) -> Box<LocalReply> {
    let rule = palanquin_config::ir::route::Redirect {
        scheme: Some("https".into()),
        host: None,
        port: None,
        path: palanquin_config::ir::route::RedirectPath::Keep,
        status: StatusCode::MOVED_PERMANENTLY,
        strip_query: false,
    };
    redirect::reply(&rule, &palanquin_config::ir::route::PathMatch::Connect, request, "http")
}

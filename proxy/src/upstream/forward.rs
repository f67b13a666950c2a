//! Sends a request upstream: pick, try, judge, perhaps try again.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::Request;
use http::Response;
use http::StatusCode;
use palanquin_config::ir::route::ClusterSpecifier;
use palanquin_config::ir::route::ForwardAction;
use palanquin_config::ir::route::HostRewrite;
use palanquin_filter_api::Body;
use palanquin_filter_api::GrpcStatus;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::stats::cluster as stat;
use palanquin_filter_api::stats::http as http_stat;

use super::LocalCluster;
use super::PickCx;
use super::SendFailure;
use super::Sent;
use super::attempt::Attempts;
use super::attempt::Verdict;
use super::failure::Attempted;
use super::replay;
use super::rewrite;
use crate::codec::Outgoing;
use crate::http::route::Matched;
use crate::http::stream::Stream;
use crate::http::timeouts::Expired;

/// What a gRPC client is told when its stream took too long.
const DEADLINE_EXCEEDED: GrpcStatus = GrpcStatus(4);

/// Sends `request` to the stream's cluster. `Err` is the answer when no response came.
pub(crate) async fn forward(
    mut request: Request<Body>,
    matched: &Matched,
    action: &ForwardAction,
    stream: &mut Stream,
) -> Result<Response<Body>, Box<LocalReply>> {
    let manager = Arc::clone(&stream.connection.manager);
    manager.stats.inc(http_stat::RQ_TOTAL);
    let name = stream.cx.cluster.clone();
    let cluster = name.as_deref().and_then(|name| stream.snapshot.cluster(name));
    stream.cx.info.upstream.cluster = name;
    let Some(cluster) = cluster else {
        stream.keep(&request);
        manager.stats.inc(http_stat::NO_CLUSTER);
        return Err(Box::new(
            LocalReply::new(action.cluster_not_found, "cluster_not_found")
                .with_flags(ResponseFlags::NO_CLUSTER_FOUND),
        ));
    };
    let config = &cluster.shared().config;
    stream.cx.info.upstream.cluster_stat_name = Some(Arc::clone(&config.stat_name));

    let mut attempts = Attempts::new(action, &mut request, stream.form.grpc);
    rewrite::request(&mut request, matched, action, stream, &attempts);
    stream.keep(&request);
    let (head, body) = request.into_parts();
    let mut replay = replay::Replay::new(body, attempts.may_retry(), replay_limit(matched, config));
    let mut tried: Vec<Arc<super::Host>> = Vec::new();
    let mut request = Outgoing { head, body: Body::Empty };
    // Each attempt starts from the same head; without a policy the one retry of a stale connection is too
    // rare for a copy, and only an endpoint's own host name would show.
    let copies = attempts.may_retry() || matches!(action.host_rewrite, HostRewrite::Auto);
    let mut may_replace_connection = true;

    loop {
        if attempts.count() > 0 && matched.virtual_host().include_request_attempt_count {
            request.head.headers.insert(
                crate::http::names::X_ENVOY_ATTEMPT_COUNT,
                http::HeaderValue::from(attempts.count() + 1),
            );
        }
        let mut copy;
        let attempt = if copies {
            copy = Outgoing { head: request.head.clone(), body: replay.next() };
            &mut copy
        } else {
            request.body = replay.next();
            &mut request
        };
        let sent = send_once(&cluster, attempt, action, &mut attempts, &mut tried, stream);
        let result = sent.await;
        let rng = &stream.connection.worker.rng;
        let verdict = match &result {
            Ok(sent) => {
                attempts.judge_response(sent.response.status(), sent.response.headers(), rng)
            }
            Err(Failure::Send(failure)) => attempts.judge_failure(failure, rng),
            Err(Failure::PerTryTimeout) => attempts.judge_timeout(rng),
            Err(Failure::Expired(_)) => Verdict::Done,
        };
        let verdict = match verdict {
            Verdict::Done | Verdict::Exhausted
                if may_replace_connection
                    && replay.can_replay()
                    && matches!(&result, Err(Failure::Send(failure))
                        if failure.is_stale_connection(&request.head.method)) =>
            {
                may_replace_connection = false;
                continue;
            }
            Verdict::RetryAfter(pause) if replay.can_replay() => {
                admit_retry(&cluster, action, &mut attempts, stream, pause)
            }
            Verdict::RetryAfter(_) => {
                manager.stats.inc(http_stat::RQ_RETRY_SKIPPED_REQUEST_NOT_COMPLETE);
                Verdict::Done
            }
            done => done,
        };
        match verdict {
            Verdict::RetryAfter(pause) => {
                let mut sleep = pin!(tokio::time::sleep(pause));
                let expired = poll_fn(|cx| match sleep.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => stream.timeouts.poll(cx).map(Some),
                });
                if let Some(expired) = expired.await {
                    return Err(expire(expired, &cluster, &attempts, stream));
                }
            }
            Verdict::Exhausted | Verdict::Done => {
                if matches!(verdict, Verdict::Exhausted) {
                    stream.cx.info.flags |= ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
                    cluster.stats().inc(stat::UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED);
                }
                return match result {
                    Ok(sent) => Ok(accept(sent, matched, &cluster, &attempts, stream)),
                    Err(failure) => Err(refuse(failure, &cluster, &attempts, stream)),
                };
            }
        }
    }
}

/// Why an attempt brought no response.
enum Failure {
    Send(SendFailure),
    PerTryTimeout,
    Expired(Expired),
}

/// One attempt: an endpoint, a connection, the request, and the head of a response.
async fn send_once(
    cluster: &std::rc::Rc<LocalCluster>,
    request: &mut Outgoing,
    action: &ForwardAction,
    attempts: &mut Attempts,
    tried: &mut Vec<Arc<super::Host>>,
    stream: &mut Stream,
) -> Result<Sent, Failure> {
    attempts.begin();
    stream.cx.info.upstream.attempts = attempts.count();
    let weighted = stream.weighted.and_then(|position| match &action.cluster {
        ClusterSpecifier::Weighted(clusters) => clusters.clusters.get(position),
        _ => None,
    });
    let pick = PickCx {
        subset: &action.subset,
        weighted_subset: weighted.map_or(&[][..], |weighted| &weighted.subset),
        labels: &stream.cx.subset,
        avoid: if attempts.avoids_previous_hosts() { tried } else { &[] },
        re_picks: attempts.re_picks(),
        rng: &stream.connection.worker.rng,
    };
    let host = cluster.pick(&pick).map_err(Failure::Send)?;
    let envoy_headers = !stream.manager().suppress_envoy_headers;
    rewrite::for_host(&mut request.head.headers, action, &host, envoy_headers);
    let info = &mut stream.cx.info.upstream;
    info.host = Some(Arc::clone(host.name()));
    if attempts.avoids_previous_hosts() {
        tried.push(Arc::clone(&host));
    }
    if let Some(span) = &mut stream.span {
        span.begin_attempt(&mut request.head.headers, host.name());
    }
    let begun = Instant::now();
    stream.cx.info.timing.upstream_start.get_or_insert(begun);
    let mut sending = pin!(cluster.send(&host, request, action.priority));
    let mut deadline_set = false;
    let result = poll_fn(|cx| {
        if let Poll::Ready(result) = sending.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Failure::Send));
        }
        // The route's clock starts when the request is complete.
        if !deadline_set && stream.request_progress.as_ref().is_none_or(|body| body.end().is_some())
        {
            deadline_set = true;
            stream.timeouts.request_complete();
            let complete = stream.request_progress.as_ref().and_then(|body| body.end());
            stream.timeouts.set_response_deadline(attempts.deadline(complete.unwrap_or(begun)));
        }
        if attempts.poll_per_try(cx).is_ready() {
            cluster.stats().inc(stat::UPSTREAM_RQ_PER_TRY_TIMEOUT);
            return Poll::Ready(Err(Failure::PerTryTimeout));
        }
        stream.timeouts.poll(cx).map(|expired| Err(Failure::Expired(expired)))
    })
    .await;
    match &result {
        Ok(sent) => host.observe_status(sent.response.status()),
        Err(_) => host.observe_failure(),
    }
    if let Some(span) = &mut stream.span {
        span.attempt_done(result.as_ref().ok().map(|sent| sent.response.status()));
    }
    result
}

/// Asks the breaker for a retry.
fn admit_retry(
    cluster: &LocalCluster,
    action: &ForwardAction,
    attempts: &mut Attempts,
    stream: &mut Stream,
    pause: std::time::Duration,
) -> Verdict {
    if let Some(permit) =
        cluster.breaker(action.priority).try_acquire(super::breaker::Resource::Retries)
    {
        attempts.hold(permit);
        cluster.stats().inc(stat::UPSTREAM_RQ_RETRY);
        cluster.stats().inc(stat::UPSTREAM_RQ_RETRY_BACKOFF_EXPONENTIAL);
        Verdict::RetryAfter(pause)
    } else {
        cluster.stats().inc(stat::UPSTREAM_RQ_RETRY_OVERFLOW);
        stream.cx.info.flags |= ResponseFlags::UPSTREAM_OVERFLOW;
        Verdict::Done
    }
}

/// The response that goes downstream.
fn accept(
    sent: Sent,
    matched: &Matched,
    cluster: &LocalCluster,
    attempts: &Attempts,
    stream: &mut Stream,
) -> Response<Body> {
    let Sent { mut response, connection, .. } = sent;
    let now = Instant::now();
    let info = &mut stream.cx.info;
    info.timing.upstream_response = Some(now);
    info.response_code_details = Some(Cow::Borrowed("via_upstream"));
    info.upstream.local = connection.local;
    info.upstream.protocol = Some(connection.protocol);
    info.upstream.tls = connection.tls;
    let began = info.timing.upstream_start.unwrap_or(info.timing.start);
    let elapsed = now.saturating_duration_since(began);
    info.response_code = Some(response.status());
    cluster.count_response(response.status(), elapsed);
    if attempts.count() > 1 && !response.status().is_server_error() {
        cluster.stats().inc(stat::UPSTREAM_RQ_RETRY_SUCCESS);
    }
    // An upstream that answers before the request is complete has no time of its own.
    let service_time = match &stream.request_progress {
        None => Some(elapsed),
        Some(body) => body.end().map(|end| now.saturating_duration_since(end.max(began))),
    };
    rewrite::response(&mut response, matched, stream, service_time);
    response
}

/// The answer when the last attempt failed.
fn refuse(
    failure: Failure,
    cluster: &LocalCluster,
    attempts: &Attempts,
    stream: &mut Stream,
) -> Box<LocalReply> {
    let reply = match failure {
        Failure::Expired(expired) => return expire(expired, cluster, attempts, stream),
        Failure::PerTryTimeout => timeout_reply("upstream_per_try_timeout", attempts),
        Failure::Send(failure) => {
            stream.cx.info.upstream.transport_failure =
                failure.transport_failure().map(|text| Cow::Owned(text.to_owned()));
            let attempted = if attempts.count() > 1 { Attempted::Again } else { Attempted::Once };
            failure.reply(attempted)
        }
    };
    cluster.count_local_response(reply.status);
    Box::new(reply)
}

fn expire(
    expired: Expired,
    cluster: &LocalCluster,
    attempts: &Attempts,
    stream: &Stream,
) -> Box<LocalReply> {
    let stats = &stream.manager().stats;
    // 408 while the request is incomplete, 504 when the upstream is what is slow.
    let incomplete = stream.request_progress.as_ref().is_some_and(|body| body.end().is_none());
    let late = if incomplete { StatusCode::REQUEST_TIMEOUT } else { StatusCode::GATEWAY_TIMEOUT };
    let reply = match expired {
        Expired::Response => {
            cluster.stats().inc(stat::UPSTREAM_RQ_TIMEOUT);
            timeout_reply("response_timeout", attempts)
        }
        Expired::Request => {
            stats.inc(http_stat::DOWNSTREAM_RQ_TIMEOUT);
            LocalReply::new(StatusCode::REQUEST_TIMEOUT, "request_overall_timeout")
                .with_body("request timeout")
        }
        Expired::Idle => {
            stats.inc(http_stat::DOWNSTREAM_RQ_IDLE_TIMEOUT);
            LocalReply::new(late, "stream_idle_timeout")
                .with_flags(ResponseFlags::STREAM_IDLE_TIMEOUT)
                .with_body("stream timeout")
        }
        Expired::MaxDuration => {
            stats.inc(http_stat::DOWNSTREAM_RQ_MAX_DURATION_REACHED);
            LocalReply::new(late, "max_duration_timeout")
                .with_grpc_status(DEADLINE_EXCEEDED)
                .with_flags(ResponseFlags::DURATION_TIMEOUT)
                .with_body("downstream duration timeout")
        }
    };
    if expired == Expired::Response {
        cluster.count_local_response(reply.status);
    }
    Box::new(reply)
}

fn timeout_reply(details: &'static str, attempts: &Attempts) -> LocalReply {
    if attempts.wants_alt_response() {
        return LocalReply::new(StatusCode::NO_CONTENT, details)
            .with_flags(ResponseFlags::UPSTREAM_REQUEST_TIMEOUT);
    }
    LocalReply::new(StatusCode::GATEWAY_TIMEOUT, details)
        .with_flags(ResponseFlags::UPSTREAM_REQUEST_TIMEOUT)
        .with_body("upstream request timeout")
}

/// How much of a body is kept for a retry.
fn replay_limit(matched: &Matched, config: &palanquin_config::ir::cluster::Cluster) -> usize {
    matched.route().buffer_limit.unwrap_or(config.buffer_limit) as usize
}

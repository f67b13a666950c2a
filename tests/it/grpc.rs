//! gRPC through the proxy: unary, streaming, and the proxy's own errors.

use std::convert::Infallible;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use palanquin_tests::client::Client;
use palanquin_tests::config::HTTP2;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::within;
use palanquin_tests::upstream::Body;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::UnboundedReceiverStream;

/// A service whose every method sends back what it gets, message by message, and ends with OK.
async fn echo_service() -> Upstream {
    Upstream::start(None, |request| async move {
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let body = request.into_body();
        let body = body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed_unsync();
        let response = Response::builder().header("content-type", "application/grpc");
        (None, response.body(body).unwrap())
    })
    .await
}

fn call(body: Body) -> Request<Body> {
    Request::post("/test.Echo/Say")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// A message in gRPC's frame.
fn message(text: &str) -> Bytes {
    let mut framed = vec![0];
    framed.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    framed.extend(text.as_bytes());
    framed.into()
}

async fn proxy(service: &Upstream) -> Proxy {
    let clusters = [cluster_with("blue", &[service.address], HTTP2)];
    Proxy::http(Http::to("blue"), &clusters).await
}

#[tokio::test]
async fn a_unary_call_comes_back_with_its_trailers() {
    let service = echo_service().await;
    let proxy = proxy(&service).await;
    let mut client = Client::http2(proxy.address().await).await;
    let answer = client.send(call(full(message("hello")))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, message("hello"));
    assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0");
}

#[tokio::test]
async fn messages_of_a_stream_go_through_one_by_one_in_both_directions() {
    let service = echo_service().await;
    let proxy = proxy(&service).await;
    let mut client = Client::http2(proxy.address().await).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(receiver));
    let body = body.map_err(|never: Infallible| match never {}).boxed_unsync();
    sender.send(Ok(Frame::data(message("one")))).unwrap();
    let mut response = client.request(call(body)).await.unwrap().into_body();
    let mut next = async || {
        let frame = within("a message", response.frame()).await;
        frame.map(Result::unwrap)
    };
    assert_eq!(next().await.unwrap().into_data().unwrap(), message("one"));
    sender.send(Ok(Frame::data(message("two")))).unwrap();
    assert_eq!(next().await.unwrap().into_data().unwrap(), message("two"));
    drop(sender);
    let trailers = next().await.unwrap().into_trailers().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    assert!(next().await.is_none());
}

#[tokio::test]
async fn the_proxys_own_errors_are_grpc_statuses() {
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: /test. }, route: { cluster: blue } }"),
        &[cluster("blue", &[])],
    )
    .await;
    let mut client = Client::http2(proxy.address().await).await;
    let answer = client.send(call(full(message("hello")))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.header("grpc-status"), Some("14"), "UNAVAILABLE");
    assert_eq!(answer.header("grpc-message"), Some("no healthy upstream"));
    let mut unknown = call(full(message("hello")));
    *unknown.uri_mut() = "/unknown.Service/Say".parse().unwrap();
    let answer = client.send(unknown).await;
    assert_eq!(answer.header("grpc-status"), Some("12"), "UNIMPLEMENTED");
}

//! HTTP/2 on either side.

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use palanquin_tests::client::Client;
use palanquin_tests::client::get_request;
use palanquin_tests::config::HTTP2;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;
use palanquin_tests::upstream::record;

#[tokio::test]
async fn http2_with_prior_knowledge_is_recognised_and_translated_to_http1() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let mut client = Client::http2(proxy.address().await).await;
    let answer = client.send(Request::post("/p").body(full("body")).unwrap()).await;
    assert_eq!((answer.status(), answer.text()), (200, "body"));
    let seen = blue.only();
    assert_eq!(seen.head.version, http::Version::HTTP_11);
    assert_eq!((seen.host(), seen.path()), ("test.example", "/p"));
}

#[tokio::test]
async fn http1_is_translated_to_http2() {
    let blue = Upstream::echo("blue").await;
    let clusters = [cluster_with("blue", &[blue.address], HTTP2)];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    assert_eq!(proxy.get("/p").await.text(), "blue");
    let seen = blue.only();
    assert_eq!(seen.head.version, http::Version::HTTP_2);
    assert_eq!((seen.host(), seen.path()), ("test.example", "/p"));
}

#[tokio::test]
async fn trailers_go_through_both_ways() {
    let blue = Upstream::start(None, |request| async move {
        let seen = record(request).await;
        let trailers =
            HeaderMap::from_iter([("x-checksum".parse().unwrap(), "2".parse().unwrap())]);
        let body =
            full("body").with_trailers(std::future::ready(Some(Ok(trailers)))).boxed_unsync();
        (seen, Response::new(body))
    })
    .await;
    let clusters = [cluster_with("blue", &[blue.address], HTTP2)];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), "1".parse().unwrap())]);
    let body = full("body").with_trailers(std::future::ready(Some(Ok(trailers)))).boxed_unsync();
    let mut client = Client::http2(proxy.address().await).await;
    let answer = client.send(Request::post("/").body(body).unwrap()).await;
    assert_eq!(answer.trailers.get("x-checksum").unwrap(), "2");
    assert_eq!(blue.only().trailers.get("x-checksum").unwrap(), "1");
}

#[tokio::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    let (blue, gate) = Upstream::gated("blue").await;
    let green = Upstream::echo("green").await;
    let proxy = Proxy::http(
        Http::routes(
            "
- { match: { prefix: /slow }, route: { cluster: blue } }
- { match: { prefix: / }, route: { cluster: green } }
",
        ),
        &[cluster("blue", &[blue.address]), cluster("green", &[green.address])],
    )
    .await;
    let mut client = Client::http2(proxy.address().await).await;
    let mut other = client.another();
    let slow = tokio::spawn(async move { other.get("/slow").await });
    gate.arrived(1).await;
    assert_eq!(client.get("/fast").await.text(), "green");
    gate.release(1);
    assert_eq!(slow.await.unwrap().text(), "blue");
}

#[tokio::test]
async fn many_requests_share_one_upstream_connection() {
    let (blue, gate) = Upstream::gated("blue").await;
    let clusters = [cluster_with("blue", &[blue.address], HTTP2)];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    let client = Client::http2(proxy.address().await).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.another();
            tokio::spawn(async move { client.get("/").await.status() })
        })
        .collect();
    gate.arrived(20).await;
    gate.release(20);
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert!(blue.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_client_that_resets_its_stream_resets_the_upstreams() {
    let (blue, gate) = Upstream::gated("blue").await;
    let clusters = [cluster_with("blue", &[blue.address], HTTP2)];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    let client = Client::http2(proxy.address().await).await;
    let mut impatient = client.another();
    let request = tokio::spawn(async move { drop(impatient.request(get_request("/")).await) });
    gate.arrived(1).await;
    request.abort();
    proxy.stat_is("http.ingress.downstream_rq_rx_reset", 1).await;
    proxy.stat_is("cluster.blue.upstream_rq_active", 0).await;
    assert!(client.is_open(), "only the stream is gone");
}

#[tokio::test]
async fn more_streams_than_allowed_wait_for_their_turn() {
    let blue = Upstream::echo("blue").await;
    let listener =
        Http::to("blue").manager("http2_protocol_options: { max_concurrent_streams: 4 }");
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let mut client = Client::http2(proxy.address().await).await;
    // Until the first answer the client cannot know the limit, and what is over it would be refused.
    client.get("/").await;
    let requests: Vec<_> = (0..40)
        .map(|_| {
            let mut client = client.another();
            tokio::spawn(async move { client.get("/").await.status() })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn what_is_neither_protocol_gets_an_http1_error() {
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }"),
        &[],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    // The beginning of a TLS handshake.
    client.write(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 400);
    client.expect_close().await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_upstream_resets_the_stream() {
    let blue = Upstream::start(None, |request| async move {
        let seen = record(request).await;
        // A length that the body does not keep.
        let response = Response::builder().header("content-length", "10");
        (seen, response.body(full(Bytes::from_static(b"half"))).unwrap())
    })
    .await;
    let clusters = [cluster_with("blue", &[blue.address], HTTP2)];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    let mut client = Client::http2(proxy.address().await).await;
    assert!(client.try_send(get_request("/")).await.is_err());
    assert!(client.is_open());
}

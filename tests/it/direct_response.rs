//! Answers that the configuration gives itself.

use palanquin_tests::config::Http;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::RawConnection;

#[tokio::test]
async fn a_direct_response_has_the_configured_status_body_and_headers() {
    let proxy = Proxy::http(
        Http::routes(
            "
- match: { prefix: / }
  direct_response: { status: 418, body: { inline_string: 'short and stout' } }
  response_headers_to_add: [{ header: { key: x-pot, value: tea } }]
",
        ),
        &[],
    )
    .await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.text()), (418, "short and stout"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("x-pot"), Some("tea"));
}

#[tokio::test]
async fn a_direct_response_to_head_has_no_body_but_its_length() {
    let proxy = Proxy::http(
        Http::routes(
            "- { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: hello } } }",
        ),
        &[],
    )
    .await;
    let mut connection = RawConnection::connect(proxy.address().await).await;
    connection.write("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = connection.read_bodiless().await;
    assert_eq!((answer.status(), answer.field("content-length")), (200, Some("5")));
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(connection.read_message().await.text(), "hello", "on the same connection");
}

//! Strings here were observed from Envoy 1.40 unless a test says otherwise.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::Request;
use http::StatusCode;
use http::Version;
use palanquin_filter_api::{
    ChainFacts, ConnectionInfo, FindIssuer, Issuer, Later, MetadataMap, MetadataValue,
    PeerIdentity, ResponseFlags, StreamCx, StreamInfo, TlsInfo, Upstreams, VerifiedBy,
};

use super::*;

struct NoUpstreams;

impl Upstreams for NoUpstreams {
    fn find(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

fn text(value: &str) -> MetadataValue {
    MetadataValue::String(value.into())
}

fn fields<const N: usize>(fields: [(&str, MetadataValue); N]) -> MetadataMap {
    fields.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

fn stream() -> StreamCx {
    let now = Instant::now();
    let connection = ConnectionInfo {
        id: 7,
        remote: "127.0.0.1:56896".parse().unwrap(),
        direct_remote: "127.0.0.1:56896".parse().unwrap(),
        local: "127.0.0.1:21800".parse().unwrap(),
        listener: "l1".into(),
        filter_chain: "fc1".into(),
        sni: None,
        tls: None,
    };
    let mut info = StreamInfo::begin(Rc::new(connection), now);
    info.timing.start_time = UNIX_EPOCH + Duration::new(1_795_275_872, 905_448_000);
    info.timing.request_end = Some(now);
    info.timing.upstream_start = Some(now + Duration::from_micros(534));
    info.timing.upstream_response = Some(now + Duration::from_micros(1_200));
    info.timing.end = Some(now + Duration::from_micros(1_931));
    info.protocol = Some(Version::HTTP_11);
    info.request_id = Some("b340b4f5".parse().unwrap());
    info.route_name = Some("route1".into());
    info.response_code = Some(StatusCode::OK);
    info.response_code_details = Some("via_upstream".into());
    info.bytes_sent = 6;
    info.upstream.cluster = Some("up".into());
    info.upstream.cluster_stat_name = Some("alt_up".into());
    info.upstream.host = Some("127.0.0.1:21801".into());
    info.upstream.local = Some("127.0.0.1:60230".parse().unwrap());
    info.upstream.attempts = 1;
    info.upstream.protocol = Some(Version::HTTP_11);
    let mut stream = StreamCx::new(info, Rc::new(NoUpstreams));
    let nested = fields([("z", MetadataValue::Number(1.0)), ("a", text("x\"y"))]);
    stream.metadata.merge(
        "envoy.test",
        fields([
            ("k", text("v")),
            ("n", MetadataValue::Number(3.0)),
            ("b", MetadataValue::Bool(true)),
            ("o", MetadataValue::Struct(nested)),
            ("l", MetadataValue::List(vec![MetadataValue::Number(1.0), text("a")])),
        ]),
    );
    stream
}

fn request() -> Request<()> {
    let mut request = Request::get("/p/a?a=b&c")
        .header("host", "ex.test")
        .header("x-dup", "1")
        .header("x-dup", "2")
        .body(())
        .unwrap();
    let json = HeaderValue::from_bytes("q\"u\\o\u{e9}<".as_bytes()).unwrap();
    request.headers_mut().insert("x-json", json);
    let control = HeaderValue::from_bytes(b"a\tb\x80\xffz").unwrap();
    request.headers_mut().insert("x-ctl", control);
    request.headers_mut().insert("x-tab", HeaderValue::from_static("a\tb"));
    request
}

fn response() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("x-multi", "a".parse().unwrap());
    headers.append("x-multi", "b".parse().unwrap());
    headers
}

fn written(format: &str) -> String {
    let (stream, request, response) = (stream(), request(), response());
    let cx = FormatCx::new(&stream)
        .with_request(RequestHead::of(&request, "http"))
        .with_response(Headers::Map(&response));
    let mut out = Vec::new();
    Format::compile(format, Missing::Dash).unwrap().write_line(&cx, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn operators_print_what_envoy_prints() {
    for (format, want) in [
        (
            "%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%",
            "GET /p/a?a=b&c ex.test http",
        ),
        (
            "%REQ(X-NO?:PATH)%|%REQ(X-NO?X-NO2)%|%REQ(:PATH):3%|%REQ(host)%",
            "/p/a?a=b&c|-|/p/|ex.test",
        ),
        ("%REQ(X-DUP)%|%RESP(X-MULTI)%|%RESP(:STATUS)%|%TRAILER(x)%", "1|a|200|-"),
        ("%START_TIME%", "2026-11-21T15:44:32.905Z"),
        ("%START_TIME(%s.%3f)%|%START_TIME(%H:%M)%", "1795275872.905|15:44"),
        (
            "%PROTOCOL%|%RESPONSE_CODE%|%RESPONSE_CODE_DETAILS%|%RESPONSE_FLAGS%|%RESPONSE_FLAGS_LONG%|%CONNECTION_TERMINATION_DETAILS%",
            "HTTP/1.1|200|via_upstream|-|-|-",
        ),
        (
            "%BYTES_RECEIVED%|%BYTES_SENT%|%DURATION%|%REQUEST_DURATION%|%RESPONSE_DURATION%|%RESPONSE_TX_DURATION%",
            "0|6|1|0|1|0",
        ),
        (
            "%UPSTREAM_HOST%|%UPSTREAM_CLUSTER%|%UPSTREAM_CLUSTER_RAW%|%UPSTREAM_LOCAL_ADDRESS%|%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%|%UPSTREAM_LOCAL_PORT%",
            "127.0.0.1:21801|alt_up|up|127.0.0.1:60230|127.0.0.1|60230",
        ),
        (
            "%UPSTREAM_REMOTE_ADDRESS%|%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%UPSTREAM_REMOTE_PORT%|%UPSTREAM_TRANSPORT_FAILURE_REASON%|%UPSTREAM_REQUEST_ATTEMPT_COUNT%|%UPSTREAM_PROTOCOL%",
            "127.0.0.1:21801|127.0.0.1|21801|-|1|HTTP/1.1",
        ),
        ("%UPSTREAM_HOST_NAME%|%UPSTREAM_HOST_NAME_WITHOUT_PORT%", "127.0.0.1:21801|127.0.0.1"),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS%|%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%DOWNSTREAM_REMOTE_PORT%",
            "127.0.0.1:56896|127.0.0.1|56896",
        ),
        ("%DOWNSTREAM_TLS_VERSION%|%DOWNSTREAM_PEER_URI_SAN%", "-|-"),
        (
            "%REQUESTED_SERVER_NAME%|%ROUTE_NAME%|%FILTER_CHAIN_NAME%|%LISTENER_NAME%",
            "-|route1|fc1|l1",
        ),
        (
            "%DYNAMIC_METADATA(envoy.test)%|%DYNAMIC_METADATA(envoy.test:k)%|%DYNAMIC_METADATA(envoy.test:n)%|%DYNAMIC_METADATA(envoy.test:b)%",
            r#"{"b":true,"k":"v","l":[1,"a"],"n":3,"o":{"a":"x\"y","z":1}}|v|3|true"#,
        ),
        (
            "%DYNAMIC_METADATA(envoy.test:o)%|%DYNAMIC_METADATA(envoy.test:l)%|%DYNAMIC_METADATA(envoy.test:o:a)%|%DYNAMIC_METADATA(envoy.test:zz)%|%DYNAMIC_METADATA(nons)%|%DYNAMIC_METADATA(envoy.test:k):0%|%DYNAMIC_METADATA(envoy.test):6%",
            r#"{"a":"x\"y","z":1}|[1,"a"]|x"y|-|-||{"b":t"#,
        ),
        ("%TRACE_ID%|%SPAN_ID%|%STREAM_ID%", "-|-|b340b4f5"),
        ("%GRPC_STATUS%|%GRPC_STATUS_NUMBER%", "-|-"),
        (
            "%LOCAL_REPLY_BODY%|%ACCESS_LOG_TYPE%|%PATH(WQ)%|%PATH(NQ)%|%PATH(WQ:ORIG)%|%PATH%|%QUERY_PARAM(a)%|%QUERY_PARAMS(ORIG)%",
            "|DownstreamEnd|/p/a?a=b&c|/p/a|-|/p/a?a=b&c|b|a=b&c",
        ),
        ("%%|100%%|%RESPONSE_CODE%%%", "%|100%|200%"),
        (
            "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms)%|%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%|%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%",
            "0|534|1931000",
        ),
        (r#"%COALESCE({"operators":[{"command":"REQ","param":"nope"},"PROTOCOL"]})%"#, "HTTP/1.1"),
    ] {
        assert_eq!(written(format), want, "{format}");
    }
}

#[test]
fn a_request_that_never_was_has_dashes() {
    let mut info = stream().info;
    info.request_id = None;
    info.response_code = None;
    info.timing.end = None;
    let stream = StreamCx::new(info, Rc::new(NoUpstreams));
    let format = "%REQ(:METHOD)% %REQ(X?:PATH)% %RESPONSE_CODE% %DURATION% %STREAM_ID%";
    for (missing, want) in [(Missing::Dash, "- - 0 - -"), (Missing::Empty, "  0  ")] {
        let mut out = Vec::new();
        Format::compile(format, missing).unwrap().write(&FormatCx::new(&stream), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}

#[test]
fn spaces_of_reasons_are_underscores_unless_allowed() {
    let mut stream = stream();
    stream.info.upstream.transport_failure = Some("delayed connect error: refused".into());
    stream.info.response_code_details = Some("a b".into());
    let mut out = Vec::new();
    Format::compile(
        "%UPSTREAM_TRANSPORT_FAILURE_REASON% %RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%",
        Missing::Dash,
    )
    .unwrap()
    .write(&FormatCx::new(&stream), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "delayed_connect_error:_refused a_b a b");
}

#[test]
fn nothing_in_a_value_ends_a_log_line() {
    // Ours: Envoy writes control characters as they are. A tab passes in both.
    assert_eq!(written("%REQ(X-CTL)%"), "a\tb\\x80\\xffz");
    assert_eq!(written("%REQ(X-JSON)%"), "q\"u\\o\u{e9}<");
    let mut stream = stream();
    stream.filter_state.insert("k", "a\r\nb\u{1b}[31m\0\u{2028}\u{85}\u{7f}é".into());
    let mut out = Vec::new();
    Format::compile("%FILTER_STATE(k)%", Missing::Dash)
        .unwrap()
        .write_line(&FormatCx::new(&stream), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "a\\x0d\\x0ab\\x1b[31m\\x00\\xe2\\x80\\xa8\\xc2\\x85\\x7fé"
    );
}

#[test]
fn headers_get_raw_values() {
    let (stream, request) = (stream(), request());
    let cx = FormatCx::request(&request, &stream);
    let mut out = Vec::new();
    Format::compile("<%REQ(X-CTL)%%REQ(none)%>", Missing::Empty).unwrap().write(&cx, &mut out);
    assert_eq!(out, b"<a\tb\x80\xffz>");
    let mut stream = stream;
    stream.filter_state.insert("k", "a\r\nx: y".into());
    out.clear();
    Format::compile("%FILTER_STATE(k)%", Missing::Empty)
        .unwrap()
        .write_header(&FormatCx::new(&stream), &mut out);
    assert_eq!(out, b"a??x: y");
}

#[test]
fn json_is_typed_sorted_and_escaped_as_envoys() {
    let object = fields([
        ("zeta", text("%RESPONSE_CODE%")),
        ("alpha", text("%DURATION%")),
        (
            "nested",
            MetadataValue::Struct(fields([
                ("b", text("%BYTES_SENT%")),
                ("a", text("x%BYTES_SENT%y")),
            ])),
        ),
        ("missing", text("%REQ(nope)%")),
        ("mixmiss", text("a%REQ(nope)%b")),
        (
            "list",
            MetadataValue::List(vec![
                text("%PROTOCOL%"),
                text("%REQ(nope)%"),
                MetadataValue::Number(1.0),
            ]),
        ),
        ("flt", MetadataValue::Number(1.5)),
        ("bool", MetadataValue::Bool(true)),
        ("null", MetadataValue::Null),
        ("hdr", text("%REQ(X-JSON)%")),
        ("ctl", text("%REQ(X-CTL)%")),
        ("flags", text("%RESPONSE_FLAGS%")),
        ("tab", text("%REQ(X-TAB)%")),
        ("meta", text("%DYNAMIC_METADATA(envoy.test:o)%")),
        ("ts", text("%START_TIME(%s)%")),
        ("empty", text("")),
        ("html", text("<a&b>")),
        ("two", text("%PROTOCOL%%RESPONSE_CODE%")),
    ]);
    let (stream, request) = (stream(), request());
    let cx = FormatCx::new(&stream).with_request(RequestHead::of(&request, "http"));
    let line = |missing| {
        let format = JsonFormat::compile(&object, missing, &mut |at, error| {
            panic!("{at:?}: {error}");
        });
        let mut out = Vec::new();
        format.write(&cx, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        line(Missing::Dash),
        r#"{"alpha":1,"bool":true,"ctl":"a\u0009b\u0080\u00ffz","empty":"","flags":"-","flt":1.5,"hdr":"q\"u\\oé<","html":"<a&b>","list":["HTTP/1.1",null,1],"meta":{"a":"x\"y","z":1},"missing":null,"mixmiss":"a-b","nested":{"a":"x6y","b":6},"null":null,"tab":"a\tb","ts":"1795275872","two":"HTTP/1.1200","zeta":200}"#
    );
    assert_eq!(
        line(Missing::Empty),
        r#"{"alpha":1,"bool":true,"ctl":"a\u0009b\u0080\u00ffz","empty":"","flags":"-","flt":1.5,"hdr":"q\"u\\oé<","html":"<a&b>","list":["HTTP/1.1",1],"meta":{"a":"x\"y","z":1},"mixmiss":"ab","nested":{"a":"x6y","b":6},"tab":"a\tb","ts":"1795275872","two":"HTTP/1.1200","zeta":200}"#
    );
}

#[test]
fn kept_values_print_as_the_message_did() {
    let format = Format::compile(
        "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:AUTHORITY)% %REQ(x-dup)% %RESP(x-multi)% %REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES%",
        Missing::Dash,
    )
    .unwrap();
    let mut needs = Needs::default();
    format.needs(&mut needs);
    assert_eq!(needs.request, ["x-envoy-original-path", "x-dup"]);
    assert_eq!(needs.response, ["x-multi"]);
    assert!(needs.sizes);
    let (stream, request, response) = (stream(), request(), response());
    let live = FormatCx::new(&stream)
        .with_request(RequestHead::of(&request, "http"))
        .with_response(Headers::Map(&response));
    let capture = Capture::new(needs);
    let kept_request = capture.request(&request, "http");
    let kept_response = capture.response(&response).unwrap();
    let kept = FormatCx::new(&stream)
        .with_request(kept_request.head())
        .with_response(Headers::Captured(&kept_response));
    let mut out = (Vec::new(), Vec::new());
    format.write(&live, &mut out.0);
    format.write(&kept, &mut out.1);
    // 7+3 + 7+4 + 10+7 + 5+10, then x-dup twice (6 each), x-json 14, x-ctl 11, x-tab 8; 8 per x-multi.
    assert_eq!(String::from_utf8(out.0.clone()).unwrap(), "GET /p/a?a=b&c ex.test 1 a 98 16");
    assert_eq!(out.0, out.1);
}

#[test]
fn peers_of_tls_are_named() {
    let mut stream = stream();
    let peer = PeerIdentity {
        uri_sans: vec!["spiffe://a/b".into(), "urn:x".into()],
        subject: "CN=a".into(),
        not_before: 1_735_689_600,
        ..PeerIdentity::default()
    };
    let tls = TlsInfo {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        peer: Some(Arc::new(peer)),
        ..TlsInfo::default()
    };
    let connection = ConnectionInfo {
        tls: Some(tls.into()),
        sni: Some("a.test".into()),
        ..(*stream.info.connection).clone()
    };
    stream.info.connection = Rc::new(connection);
    let mut out = Vec::new();
    Format::compile(
        "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_START(%Y)% %REQUESTED_SERVER_NAME%",
        Missing::Dash,
    )
    .unwrap()
    .write(&FormatCx::new(&stream), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "TLSv1.3 TLS_AES_128_GCM_SHA256 spiffe://a/b,urn:x CN=a - 2025-01-01T00:00:00.000Z 2025 a.test"
    );
}

#[derive(Debug)]
struct OneIssuer;

impl FindIssuer for OneIssuer {
    fn issuer(&self, _: &PeerIdentity) -> Option<Issuer> {
        Some(Issuer { sha256: "0d".into(), serial: "07".into() })
    }
}

#[test]
fn chains_and_issuers_of_peers_are_told_when_asked_for() {
    const FORMAT: &str = "%DOWNSTREAM_TLS_GROUP% %DOWNSTREAM_PEER_OTHERNAME_SAN% %DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256% %DOWNSTREAM_PEER_CHAIN_SERIALS% %DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256% %DOWNSTREAM_PEER_ISSUER_SERIAL% %DOWNSTREAM_PEER_CERT% %DOWNSTREAM_PEER_CERT:7% %COALESCE({\"operators\":[\"DOWNSTREAM_PEER_CHAIN_SERIALS\",\"PROTOCOL\"]})%";
    let written = |tls: TlsInfo| {
        let mut stream = stream();
        let connection =
            ConnectionInfo { tls: Some(tls.into()), ..(*stream.info.connection).clone() };
        stream.info.connection = Rc::new(connection);
        let mut out = Vec::new();
        Format::compile(FORMAT, Missing::Dash).unwrap().write(&FormatCx::new(&stream), &mut out);
        String::from_utf8(out).unwrap()
    };
    let peer = PeerIdentity {
        other_sans: vec!["user@corp.test".into()],
        der: vec![0, 1, 2, 3],
        later: Later::new(|peer| ChainFacts {
            sha1: vec![format!("a{}", peer.der.len()), "b1".into()],
            sha256: vec!["a2".into(), "b2".into()],
            serials: vec!["a3".into(), "b3".into()],
        }),
        ..PeerIdentity::default()
    };
    let known = TlsInfo {
        group: "X25519",
        peer: Some(Arc::new(peer)),
        verified_by: VerifiedBy::new(Some(Arc::new(OneIssuer))),
        ..TlsInfo::default()
    };
    assert_eq!(
        written(known),
        "X25519 user@corp.test a4 a4,b1 a2,b2 a3,b3 0d 07 -----BEGIN%20CERTIFICATE-----%0AAAECAw%3D%3D%0A-----END%20CERTIFICATE-----%0A -----BE a3,b3"
    );
    assert_eq!(written(TlsInfo::default()), "- - - - - - - - - - HTTP/1.1");
}

#[test]
fn flags_tenant_and_trace_print() {
    let mut stream = stream();
    stream.info.flags = ResponseFlags::UPSTREAM_CONNECTION_FAILURE;
    stream.info.grpc_status = Some(5);
    stream.metadata.merge("palanquin.tenant", fields([("id", text("acme"))]));
    let mut cx = FormatCx::new(&stream);
    cx.trace = Some(TraceIds { trace_id: [0xab; 16], span_id: [1; 8] });
    let mut out = Vec::new();
    Format::compile(
        "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %TENANT% %TRACE_ID% %SPAN_ID% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%",
        Missing::Dash,
    )
    .unwrap()
    .write(&cx, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "UF UpstreamConnectionFailure acme abababababababababababababababab 0101010101010101 NotFound NOT_FOUND 5"
    );
}

#[test]
fn what_is_no_format_is_refused_with_its_place() {
    for (format, want) in [
        ("ab %RESPONSE_COD%", "unknown operator %RESPONSE_COD% at byte 3"),
        ("50%", "\"%\" begins no %OPERATOR% (a percent sign is written %%) at byte 2"),
        ("%REQ(X%", "\"%\" begins no %OPERATOR% (a percent sign is written %%) at byte 0"),
        ("%req(x)%", "\"%\" begins no %OPERATOR% (a percent sign is written %%) at byte 0"),
        ("%REQ()%", "%REQ% needs a header's name at byte 0"),
        ("%REQ(a?b?c)%", "%REQ% takes one alternative header at most at byte 0"),
        ("%REQ(a b)%", "%REQ% needs a valid header name at byte 0"),
        ("%PROTOCOL(x)%", "%PROTOCOL% takes no parameter at byte 0"),
        ("%GRPC_STATUS(x)%", "%GRPC_STATUS% takes CAMEL_STRING, SNAKE_STRING or NUMBER at byte 0"),
    ] {
        assert_eq!(Format::compile(format, Missing::Dash).unwrap_err().to_string(), want);
    }
    let error = Format::compile("%RESPONSE_COD%", Missing::Dash).unwrap_err();
    assert_eq!(error.kind.suggestion(), Some("RESPONSE_CODE"));
}

#[test]
fn a_constant_text_is_known_as_such() {
    let compile = |text| Format::compile(text, Missing::Empty).unwrap();
    assert_eq!(compile("100%%").as_literal(), Some("100%"));
    assert_eq!(compile("").as_literal(), Some(""));
    assert_eq!(compile("%PROTOCOL%").as_literal(), None);
    assert_eq!(compile("100%%").as_header_value().unwrap(), "100%");
    assert!(compile("%PROTOCOL%").as_header_value().is_none());
    assert_eq!(Format::literal("%PROTOCOL%").as_literal(), Some("%PROTOCOL%"));
    assert_eq!(compile("%UNIQUE_ID%").unmeasured().collect::<Vec<_>>(), ["UNIQUE_ID"]);
}

#[test]
fn a_limit_never_splits_a_character() {
    let mut stream = stream();
    stream.filter_state.insert("k", "aé€".into());
    for (limit, want) in [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (5, "aé"), (6, "aé€"), (9, "aé€")]
    {
        let mut out = Vec::new();
        Format::compile(&format!("%FILTER_STATE(k):{limit}%"), Missing::Dash)
            .unwrap()
            .write(&FormatCx::new(&stream), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want, "{limit}");
    }
}

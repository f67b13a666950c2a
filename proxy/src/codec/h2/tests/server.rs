use super::*;

/// Answers with what it got, and remembers it.
#[derive(Clone, Default)]
struct Echo(Rc<RefCell<Vec<Seen>>>);

/// Method, path, and what was wrong with it.
type Seen = (Method, String, Option<Violation>);

impl Service for Echo {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        self.0.borrow_mut().push((head.method, head.uri.to_string(), None));
        match body.collect().await {
            Ok(body) => Response::new(Body::from(body.to_bytes())),
            Err(_) => std::future::pending().await,
        }
    }

    fn reject(&self, violation: &Violation, head: Option<&Parts>) -> Response<Body> {
        let path = head.map_or_else(String::new, |head| head.uri.to_string());
        self.0.borrow_mut().push((Method::GET, path, Some(*violation)));
        Response::builder().status(violation.status()).body(Body::Empty).unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        max_concurrent_streams: 100,
        initial_stream_window_size: 65_535,
        initial_connection_window_size: 65_535,
        allow_connect: false,
        max_header_list_size: 16 * 1024,
        max_headers: 100,
        proxy_100_continue: false,
        idle_timeout: None,
        max_requests: None,
        max_duration: None,
        keepalive: None,
    }
}

fn start(settings: Settings) -> (DuplexStream, Echo) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let echo = Echo::default();
    let service = echo.clone();
    tokio::task::spawn_local(async move {
        // The trigger must outlive the connection.
        let (_trigger, drain) = Drain::new();
        serve(far, Rc::new(settings), service, drain).await;
    });
    (near, echo)
}

/// Sends frames behind the preface and SETTINGS; returns the types and payloads of what comes back until the
/// connection ends or says GOAWAY, or nothing more comes.
async fn exchange(io: &mut DuplexStream, frames: &[u8]) -> Vec<(u8, Vec<u8>)> {
    io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    io.write_all(frames).await.unwrap();
    let mut answers = Vec::new();
    let quiet = Duration::from_secs(1);
    loop {
        let mut head = [0; 9];
        match tokio::time::timeout(quiet, io.read_exact(&mut head)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return answers,
        }
        let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        io.read_exact(&mut payload).await.unwrap();
        answers.push((head[3], payload));
    }
}

/// HEADERS of stream 1 that end it: GET over http to a.test, with this path and more of the block.
fn headers(flags: u8, path: &str, more: &[u8]) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x06a.test");
    block.extend_from_slice(more);
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, flags, 0, 0, 0, 1];
    frame.extend_from_slice(&block);
    frame
}

#[test]
fn a_client_of_another_make_is_served() {
    run(async {
        let (io, echo) = start(settings());
        let (mut requests, connection) = h2::client::handshake(io).await.unwrap();
        tokio::task::spawn_local(async move { drop(connection.await) });
        let request = Request::post("http://a.test/up?x=1").body(()).unwrap();
        let (response, mut stream) = requests.send_request(request, false).unwrap();
        stream.send_data(Bytes::from(vec![7; 40_000]), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut sum = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            sum += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        assert_eq!(sum, 40_000);
        assert_eq!(echo.0.borrow()[0].1, "/up?x=1");
    });
}

#[test]
fn a_fragment_in_the_path_is_answered_and_not_cut_off() {
    run(async {
        let (mut io, echo) = start(settings());
        let answers = exchange(&mut io, &headers(0x5, "/admin#x", b"")).await;
        assert!(answers.iter().any(|(kind, _)| *kind == 1));
        assert_eq!(echo.0.borrow()[0].2, Some(Violation::Fragment));
    });
}

#[test]
fn messages_that_are_malformed_are_reset() {
    run(async {
        for (name, more) in [
            ("a pseudo-header field behind a regular one", &b"\x00\x01x\x01y\x82"[..]),
            ("a pseudo-header field twice", b"\x82"),
            ("connection", b"\x00\x0aconnection\x05close"),
            ("an upper-case name", b"\x00\x01X\x01y"),
            ("te", b"\x00\x02te\x04gzip"),
            ("an unknown pseudo-header field", b"\x00\x02:x\x01y"),
        ] {
            let (mut io, echo) = start(settings());
            let answers = exchange(&mut io, &headers(0x5, "/", more)).await;
            assert!(answers.iter().any(|(kind, _)| *kind == 3), "{name}: {answers:?}");
            assert!(echo.0.borrow().is_empty(), "{name}");
        }
    });
}

#[test]
fn a_pseudo_header_field_in_trailers_resets_the_stream() {
    run(async {
        let (mut io, _echo) = start(settings());
        let mut frames = headers(0x4, "/", b"");
        frames.extend_from_slice(b"\0\0\x01\x01\x05\0\0\0\x01\x82");
        let answers = exchange(&mut io, &frames).await;
        assert!(answers.iter().any(|(kind, _)| *kind == 3), "{answers:?}");
    });
}

#[test]
fn a_head_that_is_too_large_is_answered() {
    run(async {
        let (mut io, echo) = start(Settings { max_header_list_size: 100, ..settings() });
        let answers = exchange(&mut io, &headers(0x5, "/a/rather/long/path", b"")).await;
        assert!(answers.iter().any(|(kind, _)| *kind == 1), "{answers:?}");
        assert_eq!(echo.0.borrow()[0].2, Some(Violation::HeadTooLarge));
    });
}

#[test]
fn a_client_that_resets_all_it_asks_for_is_told_to_calm_down() {
    run(async {
        let (mut io, echo) = start(settings());
        let mut frames = Vec::new();
        for id in (1..2000_u32).step_by(2) {
            let mut request = headers(0x5, "/", b"");
            request[5..9].copy_from_slice(&id.to_be_bytes());
            frames.extend_from_slice(&request);
            frames.extend_from_slice(b"\0\0\x04\x03\0");
            frames.extend_from_slice(&id.to_be_bytes());
            frames.extend_from_slice(&[0, 0, 0, 8]);
        }
        let answers = exchange(&mut io, &frames).await;
        let goaway = answers.iter().find(|(kind, _)| *kind == 7).expect("GOAWAY");
        assert_eq!(goaway.1[7], 11);
        assert!(echo.0.borrow().len() < 300);
    });
}

#[test]
fn a_client_that_answers_no_ping_is_given_up() {
    run(async {
        let (mut io, _echo) = start(Settings { keepalive: Some(keepalive()), ..settings() });
        let begun = tokio::time::Instant::now();
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut all = Vec::new();
        io.read_to_end(&mut all).await.unwrap();
        assert!(begun.elapsed() >= keepalive().interval + keepalive().timeout);
    });
}

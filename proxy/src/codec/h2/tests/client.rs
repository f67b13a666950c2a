use super::*;

fn settings() -> ClientSettings {
    ClientSettings {
        max_concurrent_streams: 100,
        initial_stream_window_size: 65_535,
        initial_connection_window_size: 65_535,
        max_header_list_size: 16 * 1024,
        scheme: http::uri::Scheme::HTTP,
        keepalive: None,
    }
}

fn get(path: &str) -> Outgoing {
    Request::get(path).header("host", "a.test").body(Body::Empty).unwrap().into()
}

/// A server of the `h2` crate whose answers a test gives.
async fn serve<F>(io: DuplexStream, answer: impl Fn(Request<h2::RecvStream>) -> F)
where
    F: Future<Output = Response<Bytes>> + 'static,
{
    let mut server = h2::server::handshake(io).await.unwrap();
    while let Some(Ok((request, mut respond))) = server.accept().await {
        let answer = answer(request);
        // Not here: the connection moves only while it is asked for the next request.
        tokio::task::spawn_local(async move {
            let (head, body) = answer.await.into_parts();
            let end = body.is_empty();
            let mut stream = respond.send_response(Response::from_parts(head, ()), end).unwrap();
            if !end {
                stream.send_data(body, true).unwrap();
            }
        });
    }
}

#[test]
fn bodies_larger_than_every_window_go_both_ways() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        tokio::task::spawn_local(serve(far, |request| async {
            let mut body = request.into_body();
            let mut sum = 0;
            while let Some(Ok(data)) = body.data().await {
                sum += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            Response::new(Bytes::from(vec![b'x'; sum]))
        }));
        let connection = connect(near, settings());
        let whole = Bytes::from(vec![b'y'; 300_000]);
        let request = Request::post("/").header("host", "a.test").body(Body::Full(whole)).unwrap();
        let response = connection.send(&mut request.into()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 300_000);
        assert_eq!(connection.active_streams(), 0);
    });
}

#[test]
fn a_goaway_refuses_what_the_server_did_not_look_at() {
    run(async {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let connection = connect(near, settings());
        tokio::task::spawn_local(async move {
            let mut seen = vec![0; 4096];
            assert!(far.read(&mut seen).await.unwrap() > 0);
            // SETTINGS, then GOAWAY with last stream 0
            far.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
            far.write_all(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await.unwrap();
            while far.read(&mut seen).await.is_ok_and(|count| count > 0) {}
        });
        let error = connection.send(&mut get("/")).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Refused);
        assert!(!connection.is_open());
    });
}

#[test]
fn a_response_that_breaks_the_protocol_is_an_error_of_its_stream_only() {
    run(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::task::spawn_local(serve(far, |request| async move {
            let response = Response::builder();
            match request.uri().path() {
                "/long" => response.header("content-length", "1").body(Bytes::from("long")),
                _ => response.body(Bytes::from("fine")),
            }
            .unwrap()
        }));
        let connection = connect(near, settings());
        let result = connection.send(&mut get("/long")).await;
        let broken = match result {
            Ok(response) => response.into_body().collect().await.is_err(),
            Err(error) => matches!(error.kind, SendErrorKind::Protocol(_)),
        };
        assert!(broken);
        let response = connection.send(&mut get("/")).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "fine");
    });
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    run(async {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let connection =
            connect(near, ClientSettings { keepalive: Some(keepalive()), ..settings() });
        far.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let error = connection.send(&mut get("/")).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Closed);
    });
}

#[test]
fn a_server_that_answers_pings_stays() {
    run(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::task::spawn_local(serve(far, |_| async { Response::new(Bytes::from("late")) }));
        let connection =
            connect(near, ClientSettings { keepalive: Some(keepalive()), ..settings() });
        tokio::time::sleep(keepalive().interval * 20).await;
        assert_eq!(connection.send(&mut get("/")).await.unwrap().status(), StatusCode::OK);
    });
}

#[test]
fn a_connection_that_nobody_holds_says_goodbye() {
    run(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let connection = connect(near, settings());
        let mut server = h2::server::handshake(far).await.unwrap();
        drop(connection);
        assert!(server.accept().await.is_none());
    });
}

//! A handful of behaviours that need a real socket: connections, slow and vanishing clients, and the graceful stop.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::fake::{Event, Fake, Gate, settings};
use super::*;

const PING: &str = "GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n";
const BODY: &str = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2.5]}]}"#;

fn post(model: &str) -> String {
    format!("POST /v2/models/{model}/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len())
}

async fn start(settings: ServerSettings) -> (Running, Gate) {
    let (fake, gate) = Fake::new();
    (Server::start(settings, fake, Arc::new(Metrics::new())).await.unwrap(), gate)
}

/// Runs what blocks beside the server.
async fn client<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    task::spawn_blocking(work).await.unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// One answer, as far as its content length goes.
fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            return String::from_utf8(answer).unwrap();
        }
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream)
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let (server, _gate) = start(settings()).await;
    let (address, metrics) = (server.http(), server.metrics().unwrap());
    client(move || {
        let mut stream = connect(address);
        assert!(ask(&mut stream, PING).ends_with(r#"{"live":true}"#));
        assert!(ask(&mut stream, &post("echo")).contains(r#""data":[1.0,2.5]"#));
        assert!(ask(&mut stream, "GET /no HTTP/1.1\r\nhost: a\r\n\r\n").starts_with("HTTP/1.1 404"));
        let page = ask(&mut connect(metrics), "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(page.contains("inferwit_connections 1"), "{page}");
        let unknown = ask(&mut connect(metrics), PING);
        assert!(unknown.contains(r#""code":"not_found""#), "{unknown}");
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let mut settings = settings();
    settings.limits.connections = 1;
    let (server, _gate) = start(settings).await;
    let address = server.http();
    client(move || {
        let mut first = connect(address);
        ask(&mut first, PING);
        let mut second = connect(address);
        let answer = ask(&mut second, PING);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
        assert!(answer.contains(r#""code":"overloaded""#), "{answer}");
        assert!(is_closed(&mut second));
        assert!(ask(&mut first, PING).starts_with("HTTP/1.1 200"));
    })
    .await;
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let mut settings = settings();
    settings.limits.header_timeout = Duration::from_millis(40);
    settings.limits.request_timeout = Duration::from_millis(40);
    let (server, _gate) = start(settings).await;
    let address = server.http();
    client(move || {
        let mut head = connect(address);
        let answer = ask(&mut head, "GET /v2 HTTP/1.1\r\nhost:");
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains(r#""code":"slow_client""#), "{answer}");
        assert!(is_closed(&mut head));
        let mut body = connect(address);
        let request = post("echo");
        let answer = ask(&mut body, &request[..request.len() - 1]);
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains(r#""code":"slow_client""#), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let mut settings = settings();
    settings.limits.idle_timeout = Duration::from_millis(40);
    let (server, _gate) = start(settings).await;
    let address = server.http();
    client(move || {
        let mut stream = connect(address);
        ask(&mut stream, PING);
        assert!(is_closed(&mut stream));
        assert!(is_closed(&mut connect(address)));
    })
    .await;
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let (server, _gate) = start(settings()).await;
    let address = server.http();
    client(move || {
        let request = |bytes| format!("GET /v2 HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(bytes));
        let answer = ask(&mut connect(address), &request(5000));
        assert!(answer.starts_with("HTTP/1.1 431") && answer.contains(r#""code":"too_large""#), "{answer}");
        let answer = ask(&mut connect(address), &request(40_000));
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_costing() {
    let (server, gate) = start(settings()).await;
    let address = server.http();
    client(move || {
        for end in [Shutdown::Both, Shutdown::Write] {
            let mut stream = connect(address);
            stream.write_all(post("waits").as_bytes()).unwrap();
            assert_eq!(gate.events.recv().unwrap(), Event::Began);
            stream.shutdown(end).unwrap();
            assert_eq!(gate.events.recv().unwrap(), Event::Ended { cancelled: true });
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_was_begun_and_takes_no_more() {
    let (server, gate) = start(settings()).await;
    let address = server.http();
    let shared = Arc::clone(&server.shared);
    let (mut idle, mut busy) = client(move || (connect(address), connect(address))).await;
    let (mut idle, mut busy, gate) = client(move || {
        ask(&mut idle, PING);
        busy.write_all(post("waits").as_bytes()).unwrap();
        assert_eq!(gate.events.recv().unwrap(), Event::Began);
        (idle, busy, gate)
    })
    .await;
    let stopping = tokio::spawn(server.stop());
    client(move || {
        assert!(is_closed(&mut idle));
        assert!(shared.is_draining());
        while TcpStream::connect(address).is_ok() {}
        gate.let_go.send(()).unwrap();
        let answer = read_answer(&mut busy);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(is_closed(&mut busy));
    })
    .await;
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_cuts_off_what_takes_longer_than_the_drain_time() {
    let (server, gate) = start(ServerSettings { drain: Duration::ZERO, ..settings() }).await;
    let address = server.http();
    let (mut stream, gate) = client(move || {
        let mut stream = connect(address);
        stream.write_all(post("waits").as_bytes()).unwrap();
        assert_eq!(gate.events.recv().unwrap(), Event::Began);
        (stream, gate)
    })
    .await;
    server.stop().await;
    assert_eq!(gate.events.recv().unwrap(), Event::Ended { cancelled: true });
    client(move || assert!(is_closed(&mut stream))).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let (server, _gate) = start(settings()).await;
    let (fake, _gate) = Fake::new();
    let taken = ServerSettings { http: server.http(), ..settings() };
    let error = Server::start(taken, fake, Arc::new(Metrics::new())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("listen on {}", server.http()));
}

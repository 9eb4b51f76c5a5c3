//! Clients that take their time, and too many of them.

use crate::nursery::{Nursery, Tablet};
use nestwarden_policy_schema::device_api::ENROL_PATH;
use nestwarden_server::http::Limits;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn impatient() -> Limits {
    Limits {
        handshake: Duration::from_millis(100),
        head: Duration::from_millis(100),
        body: Duration::from_millis(100),
        ..Limits::default()
    }
}

async fn connect(nursery: &Nursery) -> TlsStream<TcpStream> {
    connect_as(nursery, &nursery.stranger()).await
}

async fn connect_as(nursery: &Nursery, tablet: &Tablet) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(nursery.tablets).await.unwrap();
    let connector = TlsConnector::from(Arc::new(tablet.tls()));
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, stream).await.unwrap()
}

/// What came until the server closed.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is a close too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_client_that_never_begins_its_handshake_is_closed() {
    let nursery = Nursery::with(impatient()).await;
    let mut stream = TcpStream::connect(nursery.tablets).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    nursery.close().await;
}

#[tokio::test]
async fn a_client_that_trickles_its_headers_is_closed() {
    let nursery = Nursery::with(impatient()).await;
    let (mut read, mut write) = tokio::io::split(connect(&nursery).await);
    let trickle = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let head = b"GET /device/v1/bundle HTTP/1.1\r\nx-slow: ";
        for byte in head.iter().chain(std::iter::repeat(&b'a')) {
            pace.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    rest(&mut read).await;
    trickle.abort();
    nursery.close().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_after_its_answer_is_closed() {
    let nursery = Nursery::with(impatient()).await;
    let mut stream = connect(&nursery).await;
    stream
        .write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 404"));
    nursery.close().await;
}

#[tokio::test]
async fn a_tablet_that_says_nothing_after_its_answer_keeps_its_connection() {
    let nursery = Nursery::with(impatient()).await;
    let tablet = nursery.enrolled().await;
    let mut stream = connect_as(&nursery, &tablet).await;
    let request = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 404");
        // What is left of the answer stands before the next one.
        let mut left = Vec::new();
        while !left.ends_with(b"}") {
            left.push(stream.read_u8().await.unwrap());
        }
        // Somebody unknown is closed meanwhile for saying nothing.
        rest(&mut connect(&nursery).await).await;
    }
    nursery.close().await;
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_told_and_closed() {
    let nursery = Nursery::with(impatient()).await;
    let mut stream = connect(&nursery).await;
    let head = format!("POST {ENROL_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    nursery.close().await;
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let nursery = Nursery::open().await;
    let mut stream = connect(&nursery).await;
    let head = format!("GET / HTTP/1.1\r\nx-long: {}", "a".repeat(64 * 1024));
    // The server may have hung up before all of it is out.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    nursery.close().await;
}

#[tokio::test]
async fn one_address_gets_only_so_many_connections_and_its_places_back() {
    let nursery = Nursery::with(Limits {
        connections_per_address: 2,
        ..Limits::default()
    })
    .await;
    let first = connect(&nursery).await;
    let second = connect(&nursery).await;
    let mut third = TcpStream::connect(nursery.tablets).await.unwrap();
    assert_eq!(rest(&mut third).await, "");
    drop((first, second));
    let connector = TlsConnector::from(Arc::new(nursery.stranger().tls()));
    let name = ServerName::try_from("localhost").unwrap();
    loop {
        let stream = TcpStream::connect(nursery.tablets).await.unwrap();
        if connector.connect(name.clone(), stream).await.is_ok() {
            break;
        }
    }
    nursery.close().await;
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let nursery = Nursery::open().await;
    let mut stream = TcpStream::connect(nursery.tablets).await.unwrap();
    // A ClientHello of TLS 1.2 without supported_versions.
    let suites_and_rest = [&[0x00, 0x02, 0xc0, 0x2f, 0x01, 0x00][..]].concat();
    let hello = [&[0x03, 0x03][..], &[7; 32], &[0x00], &suites_and_rest].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let handshake = [&[0x01, 0x00, 0x00, length][..], &hello].concat();
    let record = [&[0x16, 0x03, 0x01, 0x00, length + 4][..], &handshake].concat();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    // An alert, and no ServerHello.
    assert_eq!(answer.first(), Some(&0x15));
    nursery.close().await;
}

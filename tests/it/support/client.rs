//! Callers: one that writes exact bytes, one that just asks, one that speaks HTTP/2.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    certificates::Certificates,
    house::House,
    soon,
    wire::{End, Framing, Head, Wire, header},
};

/// For the body of an answer: some are a gigabyte.
const LARGE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub end: End,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One HTTP/1.1 connection; dropping it hangs up.
pub struct Caller {
    wire: Wire<Box<dyn Stream>>,
    /// Whether the answer to come is to a HEAD, and so without a body.
    bodyless: bool,
}

impl Caller {
    pub async fn plain(address: SocketAddr) -> Self {
        Self::over(connect(address).await)
    }

    /// The same where nobody may listen any more.
    pub async fn try_plain(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }

    /// From this address of loopback instead of the usual one.
    pub async fn plain_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        Self::over(soon("a connection", socket.connect(address)).await.unwrap())
    }

    /// Sends this before the handshake, as a proxy that introduces its caller.
    pub async fn tls_after(address: SocketAddr, introduction: &[u8]) -> Self {
        let mut stream = connect(address).await;
        stream.write_all(introduction).await.unwrap();
        let tls = TlsConnector::from(Arc::new(Certificates::shared().client(&["http/1.1"])));
        Self::over(soon("a handshake", tls.connect(ServerName::try_from("localhost").unwrap(), stream)).await.unwrap())
    }

    /// Trusts the authority of the tests and expects a certificate for localhost.
    pub async fn tls(address: SocketAddr) -> Self {
        Self::tls_by(address, Certificates::shared().client(&["http/1.1"])).await.unwrap()
    }

    pub async fn tls_by(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        Ok(Self::over(shake_hands(address, config).await?))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { wire: Wire::new(Box::new(stream)), bodyless: false }
    }

    /// Writes exactly this.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// The same where the other side may hang up meanwhile.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        self.bodyless = bytes.starts_with(b"HEAD ");
        let stream = self.wire.stream();
        soon("bytes that the other side takes", async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await
    }

    /// Sends nothing more; an answer may still come.
    pub async fn falls_silent(&mut self) {
        soon("the end of what is sent", self.wire.stream().shutdown()).await.unwrap();
    }

    /// The whole answer to what was sent.
    pub async fn answer(&mut self) -> Answer {
        let mut body = Vec::new();
        let answer = self.answer_into(|bytes| body.extend_from_slice(bytes)).await;
        Answer { body: body.into(), ..answer }
    }

    /// An answer too large to keep: its body goes to the sink.
    pub async fn answer_into(&mut self, mut sink: impl FnMut(&[u8])) -> Answer {
        let head = self.answer_head().await;
        let status = status(&head);
        let framing = match status {
            _ if self.bodyless => Framing::Length(0),
            204 | 304 => Framing::Length(0),
            _ => head.framing().unwrap_or(Framing::UntilClose),
        };
        let whole = tokio::time::timeout(LARGE, self.wire.body(framing, &mut sink)).await;
        let end = whole.unwrap_or_else(|_| panic!("the body of an answer: not within {LARGE:?}"));
        Answer { status, headers: head.headers, body: Bytes::new(), end }
    }

    /// The whole answer; nothing where the other side hangs up without one.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let head = soon("the head of an answer", self.wire.head()).await.ok()??;
        let mut body = Vec::new();
        let mut sink = |bytes: &[u8]| body.extend_from_slice(bytes);
        let end = soon("the body of an answer", self.wire.body(head.framing().unwrap_or(Framing::UntilClose), &mut sink)).await;
        Some(Answer { status: status(&head), headers: head.headers, body: body.into(), end })
    }

    /// The head alone, for a caller who leaves or reads on with `through`.
    pub async fn answer_head(&mut self) -> Head {
        loop {
            let head = soon("the head of an answer", self.wire.head()).await.unwrap().expect("an answer, not a close");
            if status(&head) >= 200 {
                return head;
            }
        }
    }

    /// Raw bytes up to and including this text.
    pub async fn through(&mut self, text: &str) -> Result<Vec<u8>, End> {
        soon(text, self.wire.through(text.as_bytes())).await
    }

    /// Waits until the other side hangs up.
    pub async fn hung_up(&mut self) -> End {
        soon("a hang-up", self.wire.gone()).await
    }
}

/// A POST with this token, as bytes for a `Caller`.
pub fn post(target: &str, token: &str, sql: &str) -> String {
    let length = sql.len();
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{sql}")
}

/// A GET with these headers, each line as it should stand.
pub fn get(target: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// A Basic header.
pub fn basic(name: &str, secret: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{name}:{secret}")))
}

/// Asks over https, on a connection of its own.
pub async fn ask(house: &House, token: &str, sql: &str) -> Answer {
    send(house, post("/", token, sql)).await
}

/// Sends exactly this over https, on a connection of its own.
pub async fn send(house: &House, bytes: impl AsRef<[u8]>) -> Answer {
    let mut caller = Caller::tls(house.https()).await;
    caller.send(bytes).await;
    caller.answer().await
}

/// The same to any plain address.
pub async fn send_plain(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut caller = Caller::plain(address).await;
    caller.send(bytes).await;
    caller.answer().await
}

/// One HTTP/2 connection; a clone of `requests` is another stream of it.
pub struct H2 {
    pub requests: SendRequest<Full<Bytes>>,
    _connection: JoinSet<hyper::Result<()>>,
}

impl H2 {
    pub async fn tls(address: SocketAddr) -> Self {
        let stream = shake_hands(address, Certificates::shared().client(&["h2"])).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "h2 was not agreed on");
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self { requests, _connection: tasks }
    }

    /// The head of the answer, and a body that is still to be read.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        soon("the head of an HTTP/2 answer", self.requests.clone().send_request(request)).await
    }

    pub async fn ask(&self, token: &str, sql: &str) -> Answer {
        let request = Request::post("https://localhost/").header("authorization", format!("Bearer {token}"));
        let response = self.send(request.body(Full::from(sql.to_owned())).unwrap()).await.unwrap();
        whole(response).await
    }
}

/// Reads an HTTP/2 answer to its end; a stream that was reset is broken.
pub async fn whole(response: Response<Incoming>) -> Answer {
    let (head, mut incoming) = response.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let (mut body, mut end) = (Vec::new(), End::Whole);
    while let Some(frame) = soon("a frame of an HTTP/2 answer", incoming.frame()).await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(_) => {
                end = End::Broken(io::ErrorKind::ConnectionReset);
                break;
            }
        }
    }
    Answer { status: head.status.as_u16(), headers: headers.collect(), body: body.into(), end }
}

fn status(head: &Head) -> u16 {
    head.word(1).parse().unwrap_or_else(|_| panic!("{:?} is no answer", head.start))
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn shake_hands(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    soon("a handshake", TlsConnector::from(Arc::new(config)).connect(name, connect(address).await)).await
}

//! What an upstream does on the wire once it has heard a request, step by step.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Notify,
};

/// Opened by the test with `notify_one`, before or after the script gets there.
pub type Gate = Arc<Notify>;

#[derive(Clone)]
pub struct Script(Vec<Step>);

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Data(u64),
    Hold(Gate),
    Stall,
    Close,
    Reset,
}

/// What is left of the connection when a script is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Open,
    Closed,
    ToReset,
}

type Headers<'a> = &'a [(&'a str, &'a str)];

impl Script {
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::answer(200, &[("Content-Type", "text/tab-separated-values; charset=UTF-8")], body)
    }

    /// An answer with a `Content-Length`.
    pub fn answer(status: u16, headers: Headers, body: impl AsRef<[u8]>) -> Self {
        Self::lies(body.as_ref().len(), status, headers, body)
    }

    /// A failure as ClickHouse words it.
    pub fn exception(status: u16, code: u32, text: &str) -> Self {
        let body = format!("Code: {code}, e.displayText() = DB::Exception: {text}\n");
        Self::answer(status, &[("X-ClickHouse-Exception-Code", &code.to_string())], body)
    }

    /// Reads the request and never answers.
    pub fn stalls() -> Self {
        Self(vec![Step::Stall])
    }

    /// Half of an answer, and the rest when the gate opens.
    pub fn held(gate: &Gate) -> Self {
        Self::begin(200, &[]).chunk("first\n").hold(gate).chunk("last\n").end()
    }

    /// Part of an answer, then silence.
    pub fn stalls_after(part: impl AsRef<[u8]>) -> Self {
        Self::begin(200, &[]).chunk(part).step(Step::Stall)
    }

    /// Part of an answer, then a close without the last chunk.
    pub fn cuts_off(part: impl AsRef<[u8]>) -> Self {
        Self::begin(200, &[]).chunk(part).step(Step::Close)
    }

    /// Part of an answer, then a reset.
    pub fn breaks_mid_stream(part: impl AsRef<[u8]>) -> Self {
        Self::begin(200, &[]).chunk(part).step(Step::Reset)
    }

    /// So many bytes of `data`, in chunks.
    pub fn streams(size: u64) -> Self {
        Self::begin(200, &[]).data(size).end()
    }

    /// An answer that is over when the connection is.
    pub fn until_close(body: impl AsRef<[u8]>) -> Self {
        Self::raw("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").send(body).step(Step::Close)
    }

    /// An answer whose `Content-Length` is this, whatever follows; more than announced stays on an open connection,
    /// less ends with a close.
    pub fn lies(claimed: usize, status: u16, headers: Headers, body: impl AsRef<[u8]>) -> Self {
        let short = body.as_ref().len() < claimed;
        let script = Self::raw(head(status, headers, &format!("Content-Length: {claimed}"))).send(body);
        if short { script.step(Step::Close) } else { script }
    }

    /// These bytes; `send`, `close` and the others may follow.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self(vec![Step::Send(bytes.as_ref().to_vec())])
    }

    /// The head of a chunked answer; chunks are to follow.
    pub fn begin(status: u16, headers: Headers) -> Self {
        Self::raw(head(status, headers, "Transfer-Encoding: chunked"))
    }

    /// An empty one is left out: on the wire it would be the last.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        if bytes.as_ref().is_empty() { self } else { self.send(chunk(bytes.as_ref())) }
    }

    /// Chunks of the pattern that `is_data` knows.
    pub fn data(self, size: u64) -> Self {
        self.step(Step::Data(size))
    }

    /// The last chunk.
    pub fn end(self) -> Self {
        self.send(b"0\r\n\r\n")
    }

    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Goes on when the gate is opened.
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Hold(Arc::clone(gate)))
    }

    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    pub async fn play(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<Left> {
        for step in &self.0 {
            match step {
                Step::Send(bytes) => to.write_all(bytes).await?,
                Step::Data(size) => send_data(*size, to).await?,
                Step::Hold(gate) => gate.notified().await,
                Step::Stall => std::future::pending().await,
                Step::Close => {
                    to.shutdown().await?;
                    return Ok(Left::Closed);
                }
                Step::Reset => return Ok(Left::ToReset),
            }
            to.flush().await?;
        }
        Ok(Left::Open)
    }
}

/// The pattern repeats after 251 bytes, a prime, so that a lost or doubled block shows.
const PERIOD: u64 = 251;
const BLOCK: u64 = PERIOD * 256;

/// Whether these bytes stand at this place of the pattern.
pub fn is_data(offset: u64, bytes: &[u8]) -> bool {
    bytes.iter().zip(offset..).all(|(byte, at)| u64::from(*byte) == at % PERIOD)
}

async fn send_data(mut size: u64, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let block: Vec<u8> = (0..BLOCK).map(|at| (at % PERIOD) as u8).collect();
    let whole = chunk(&block);
    while size >= BLOCK {
        to.write_all(&whole).await?;
        size -= BLOCK;
    }
    if size > 0 {
        to.write_all(&chunk(&block[..size as usize])).await?;
    }
    Ok(())
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn head(status: u16, headers: Headers, framing: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Said\r\n{headers}{framing}\r\n\r\n")
}

//! HTTP/1.1 as it stands on the wire, read without the libraries that the house itself uses.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

pub struct Wire<S> {
    stream: S,
    buffer: BytesMut,
}

#[derive(Clone, Debug)]
pub struct Head {
    /// Every byte of it, with the empty line.
    pub raw: Bytes,
    /// The first line.
    pub start: String,
    /// In the order they came, spelt as they came.
    pub headers: Vec<(String, String)>,
}

/// How a body was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The peer closed before the end it had announced.
    Cut,
    Broken(io::ErrorKind),
    Malformed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl<S: AsyncRead + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn into_stream(self) -> S {
        self.stream
    }

    /// The next head, or nothing where the peer closed between two of them.
    pub async fn head(&mut self) -> Result<Option<Head>, End> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(Head::parse(&self.buffer.split_to(at + 4))));
            }
            match self.fill().await {
                Err(End::Cut) if self.buffer.is_empty() => return Ok(None),
                other => other?,
            }
        }
    }

    /// Hands on the body piece by piece, so that nobody needs to hold a large one.
    pub async fn body(&mut self, framing: Framing, sink: &mut impl FnMut(&[u8])) -> End {
        let read = match framing {
            Framing::Length(length) => self.exactly(length, sink).await,
            Framing::Chunked => self.chunks(sink).await,
            Framing::UntilClose => match self.exactly(u64::MAX, sink).await {
                Err(End::Cut) => Ok(()),
                other => other,
            },
        };
        read.err().unwrap_or(End::Whole)
    }

    /// Raw bytes up to and including this text, whatever they frame.
    pub async fn through(&mut self, text: &[u8]) -> Result<Vec<u8>, End> {
        loop {
            if let Some(at) = find(&self.buffer, text) {
                return Ok(self.buffer.split_to(at + text.len()).to_vec());
            }
            self.fill().await?;
        }
    }

    /// Returns when the peer has closed; what it says until then is kept for later.
    pub async fn gone(&mut self) -> End {
        loop {
            if let Err(end) = self.fill().await {
                return end;
            }
        }
    }

    async fn chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<(), End> {
        loop {
            let line = String::from_utf8_lossy(&self.through(b"\r\n").await?).trim_end().to_owned();
            let Ok(size) = u64::from_str_radix(&line, 16) else { return Err(End::Malformed(line)) };
            if size == 0 {
                while self.through(b"\r\n").await? != b"\r\n" {}
                return Ok(());
            }
            self.exactly(size, sink).await?;
            let after = self.through(b"\r\n").await?;
            if after != b"\r\n" {
                return Err(End::Malformed(String::from_utf8_lossy(&after).into_owned()));
            }
        }
    }

    async fn exactly(&mut self, mut length: u64, sink: &mut impl FnMut(&[u8])) -> Result<(), End> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let size = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            sink(&self.buffer[..size]);
            self.buffer.advance(size);
            length -= size as u64;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), End> {
        self.buffer.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(End::Cut),
            Ok(_) => Ok(()),
            Err(error) => Err(End::Broken(error.kind())),
        }
    }
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        });
        Self { raw: Bytes::copy_from_slice(raw), start, headers: headers.collect() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The n-th word of the first line.
    pub fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    /// What the headers say of the body, if anything.
    pub fn framing(&self) -> Option<Framing> {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked);
        }
        self.header("content-length").map(|length| Framing::Length(length.parse().unwrap()))
    }
}

/// The first header of this name.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

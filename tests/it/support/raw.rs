//! Requests as they stand on the wire: for the house and for a ClickHouse alike, each with its own credential.

use super::clickhouse::User;

/// One request without its credential.
#[derive(Clone, Debug)]
pub struct Raw {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Raw {
    /// To a readable address: what may not stand there is encoded.
    pub fn post(address: &str) -> Self {
        Self::by("POST", address)
    }

    pub fn get(address: &str) -> Self {
        Self::by("GET", address)
    }

    pub fn by(method: &str, address: &str) -> Self {
        Self::line(&format!("{method} {}", encoded(address)))
    }

    /// Method and target exactly so.
    pub fn line(line: &str) -> Self {
        Self { line: line.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// A body of which the length is announced.
    pub fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        let length = format!("Content-Length: {}", bytes.as_ref().len());
        self.header(&length).unframed(bytes)
    }

    /// A body in these chunks.
    pub fn chunks(self, pieces: &[&[u8]]) -> Self {
        self.header("Transfer-Encoding: chunked").unframed(chunked(pieces))
    }

    /// What follows the head, whatever the headers say of it.
    pub fn unframed(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_vec();
        self
    }

    /// A form, with this boundary.
    pub fn form(self, boundary: &str, form: &Form) -> Self {
        self.header(&format!("Content-Type: multipart/form-data; boundary={boundary}")).body(form.written(boundary))
    }

    pub fn with_token(&self, token: &str) -> Vec<u8> {
        self.bytes(&format!("Authorization: Bearer {token}\r\n"))
    }

    /// For a ClickHouse itself; the connection ends with the answer.
    pub fn of_user(&self, User { name, password }: User) -> Vec<u8> {
        self.bytes(&format!("X-ClickHouse-User: {name}\r\nX-ClickHouse-Key: {password}\r\nConnection: close\r\n"))
    }

    /// Method, target and the beginning of what follows, for a test that fails.
    pub fn shown(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(160).collect();
        let line: String = self.line.chars().take(160).collect();
        format!("{line} {:?} | {body}", self.headers)
    }

    fn bytes(&self, credential: &str) -> Vec<u8> {
        let headers: String = self.headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{} HTTP/1.1\r\nHost: localhost\r\n{credential}{headers}\r\n", self.line);
        [head.as_bytes(), &self.body].concat()
    }
}

/// Pieces in chunks, to the last one.
pub fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let chunks = pieces.iter().flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    chunks.chain(*b"0\r\n\r\n").collect()
}

/// A body of `multipart/form-data`.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, Vec<u8>)>);

impl Form {
    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), value)
    }

    pub fn file(self, name: &str, file: &str, content: impl AsRef<[u8]>) -> Self {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{file}\""), content)
    }

    /// With these header lines.
    pub fn part(mut self, head: &str, content: impl AsRef<[u8]>) -> Self {
        self.0.push((head.to_owned(), content.as_ref().to_vec()));
        self
    }

    pub fn written(&self, boundary: &str) -> Vec<u8> {
        let parts = self.0.iter().flat_map(|(head, content)| [format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes(), content, b"\r\n"].concat());
        parts.chain(format!("--{boundary}--\r\n").into_bytes()).collect()
    }
}

/// Encodes what may not stand in an address; `%`, `&`, `=`, `+` and `?` stand for themselves.
pub fn encoded(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=%+-_.~".contains(&byte);
    address.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

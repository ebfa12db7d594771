//! Requests with bodies: how they are cut, coded, sent and understood.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::BodyExt;
use keyhouse::config::{Http2Limits, Limits, StatementForm};
use keyhouse::refusal::{Reason, Refusal};
use keyhouse::statement::{self, Coding, Kept, Reader, Seen, Understood, Values};
use keyhouse::{identity, listen};

use crate::runtime;

/// Every coding.
pub const CODINGS: [Coding; 6] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd, Coding::Lz4, Coding::Blocks];

/// How bodies are cut, each body in every way: whole, into single bytes, and by a number that the input holds.
pub fn cuts(seed: u8) -> [Cut; 3] {
    [Cut::Whole, Cut::Bytes, Cut::By(seed)]
}

/// One way to cut a body.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Whole,
    Bytes,
    By(u8),
}

impl Cut {
    /// The pieces, some of them empty.
    pub fn pieces(self, body: &[u8]) -> Vec<Bytes> {
        let body = Bytes::copy_from_slice(body);
        let (mut at, mut pieces, mut state): (usize, Vec<Bytes>, usize) = (0, Vec::new(), 0);
        while at < body.len() {
            let longest = match self {
                Self::Whole => body.len(),
                Self::Bytes => 1,
                Self::By(seed) => {
                    state = (state + usize::from(seed) + 1) * 73 % 257;
                    // Two empty ones never follow each other.
                    if state % 3 == 0 { state % 7 + usize::from(pieces.last().is_some_and(Bytes::is_empty)) } else { state }
                }
            };
            let end = body.len().min(at + longest);
            pieces.push(body.slice(at..end));
            at = end;
        }
        pieces
    }
}

/// A body in a coding, written in the simplest way.
pub fn coded(coding: Coding, text: &[u8]) -> Vec<u8> {
    use flate2::Compression;
    use std::io::{Read, Write};
    let mut coded = Vec::new();
    match coding {
        Coding::Gzip => drop(flate2::read::GzEncoder::new(text, Compression::fast()).read_to_end(&mut coded).unwrap()),
        Coding::Deflate => drop(flate2::read::ZlibEncoder::new(text, Compression::fast()).read_to_end(&mut coded).unwrap()),
        Coding::Brotli => {
            // A window of 64 KiB, and what is not compressed in one piece of up to 64 KiB; then the last piece, which is empty.
            if let Some(most) = text.len().checked_sub(1) {
                let head = u32::try_from(most).unwrap() << 4 | 1 << 20;
                assert!(most < 1 << 16);
                coded.extend_from_slice(&head.to_le_bytes()[..3]);
                coded.extend_from_slice(text);
                coded.push(3);
            } else {
                coded.push(6);
            }
        }
        Coding::Zstd => {
            coded.reserve(zstd_safe::compress_bound(text.len()));
            zstd_safe::compress(&mut coded, text, 1).unwrap();
        }
        Coding::Lz4 => {
            let mut encoder = lz4::EncoderBuilder::new().level(1).build(Vec::new()).unwrap();
            encoder.write_all(text).unwrap();
            let (bytes, result) = encoder.finish();
            result.unwrap();
            coded = bytes;
        }
        // One block for each 100 bytes.
        Coding::Blocks => coded = text.chunks(100).flat_map(|text| block(0x02, text.len(), text)).collect(),
    }
    coded
}

/// A compressed block of ClickHouse, its checksum right whatever is in it.
pub fn block(codec: u8, raw: usize, packed: &[u8]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let checked = [&[codec][..], &length(packed.len() + 9), &length(raw), packed].concat();
    let checksum = cityhash_rs::cityhash_102_128(&checked).rotate_left(64).to_le_bytes();
    [&checksum[..], &checked].concat()
}

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub canonical: String,
    pub address: String,
    pub uploads: String,
    /// The codings of the data, and the data as it goes on.
    pub data: Option<(Vec<Coding>, Vec<u8>)>,
}

/// The limits that are shipped, with smaller statements, so that long ones come up.
pub fn limits(statement_size: usize) -> Limits {
    let long = Duration::from_secs(3600);
    Limits {
        connections: 1,
        requests: 1,
        handshake_timeout: long,
        header_timeout: long,
        idle_timeout: long,
        body_timeout: long,
        data_timeout: long,
        write_timeout: long,
        header_size: 1 << 16,
        header_count: 100,
        statement_size,
        form_size: 1 << 20,
        max_insert_bytes: 1 << 30,
        failed_attempts: std::num::NonZeroU32::MIN,
        kept_tokens: 1,
        kept_statements: 1,
        kept_answers: 1,
        sessions: 1,
        decoding_ratio: 1000,
        http2: Http2Limits { streams: 1, pending_resets: 1, local_resets: 1, header_list_size: 1 },
        drain_timeout: long,
    }
}

/// The head of a request whose address has these parameters.
pub fn head(method: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Parts {
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    let mut request = http::Request::builder().method(method).uri(format!("/?{}", parameters.join("&")));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a head").into_parts().0
}

/// Every byte encoded.
pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What is understood of a request whose body comes in these pieces.
pub fn understand(head: Parts, pieces: Vec<Bytes>, values: Values, limits: &Limits) -> Result<Understood, Refusal> {
    let kept = Kept::new(1024 * 1024);
    let reader = Reader { kept: &kept, values, form: StatementForm::Masked };
    let identified = identity::fuzzing::identified(head, listen::fuzzing::arriving(pieces));
    runtime().block_on(statement::understand(identified, limits, reader, &mut Seen::default()))
}

/// The same, and its data to its end. What is refused while data goes on is refused as well.
pub fn outcome(understood: Result<Understood, Refusal>) -> Result<Outcome, Reason> {
    let mut understood = understood.map_err(|refusal| refusal.reason())?;
    let data = match understood.take_data() {
        None => None,
        Some(data) => Some(runtime().block_on(async {
            let mut data = data.begins().await.map_err(|refusal| refusal.reason())?;
            let mut bytes = Vec::new();
            while let Some(frame) = data.frame().await {
                let frame = frame.map_err(|cut| cut.refusal().reason())?;
                bytes.extend_from_slice(frame.data_ref().expect("data has no trailers"));
            }
            Ok((data.codings().to_vec(), bytes))
        })?),
    };
    Ok(Outcome {
        canonical: understood.statement().canonical().to_owned(),
        address: format!("{:?}", understood.address()),
        uploads: format!("{:?}", understood.uploads()),
        data,
    })
}

//! Bodies in every coding that Keyhouse takes, and in some that it does not.

use std::io::Write;

use flate2::{Compression, write};

/// Gives a body its coding.
pub type Code = fn(&[u8]) -> Vec<u8>;

/// The codings of Content-Encoding that are taken, by their tokens.
pub const TAKEN: [(&str, Code); 5] = [("gzip", gzip), ("deflate", deflate), ("br", brotli), ("zstd", zstd), ("lz4", lz4)];

/// The blocks of `decompress=1`, by the names of their codecs.
pub const BLOCKS: [(&str, Code); 3] = [("LZ4", block_lz4), ("ZSTD", block_zstd), ("NONE", block_none)];

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// In zlib's wrapping.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Stored, not packed: a window of 16 bits, one meta-block that is not compressed, and an empty last one (RFC 7932 9.2).
pub fn brotli(bytes: &[u8]) -> Vec<u8> {
    assert!((1..=0x1_0000).contains(&bytes.len()), "one meta-block holds no more");
    let header = ((bytes.len() as u32 - 1) << 4 | 1 << 20).to_le_bytes();
    [&header[..3], bytes, &[3]].concat()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    zstd_safe::compress(&mut packed, bytes, 3).unwrap();
    packed
}

/// A frame, not a bare block.
pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
    encoder.write_all(bytes).unwrap();
    let (packed, ended) = encoder.finish();
    ended.unwrap();
    packed
}

pub fn block_lz4(bytes: &[u8]) -> Vec<u8> {
    block(0x82, &lz4::block::compress(bytes, None, false).unwrap(), bytes.len() as u32)
}

pub fn block_zstd(bytes: &[u8]) -> Vec<u8> {
    block(0x90, &zstd(bytes), bytes.len() as u32)
}

pub fn block_none(bytes: &[u8]) -> Vec<u8> {
    block(0x02, bytes, bytes.len() as u32)
}

/// One of ClickHouse's compressed blocks, whatever it claims of what is in it.
pub fn block(codec: u8, packed: &[u8], raw: u32) -> Vec<u8> {
    let size = packed.len() as u32 + 9;
    let checked = [&[codec][..], &size.to_le_bytes(), &raw.to_le_bytes(), packed].concat();
    let checksum = cityhash_rs::cityhash_102_128(&checked).rotate_left(64).to_le_bytes();
    [&checksum[..], &checked].concat()
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

//! The codings of a body, undone piece by piece: no more comes out than was asked for, and little is held meanwhile.

use std::mem;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{DecodeV2, Lz4Decoder};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Room that one step has: what a codec writes into is zeroed first, so it is no larger than what is soon filled.
const STEP: usize = 32 * 1024;

/// Bits of the window that a frame of Zstandard may ask for: 8 MiB, which RFC 8878 asks decoders to have.
const ZSTD_WINDOW: u32 = 23;

/// `ZSTD_error_frameParameter_windowTooLarge`, as the library returns it; its numbers are stable.
const ZSTD_WINDOW_TOO_LARGE: usize = 0_usize.wrapping_sub(16);

/// What a compressed block begins with: its checksum, and the header that the checksum covers.
const BLOCK_CHECKSUM: usize = 16;
const BLOCK_HEADER: usize = 9;

/// How long a block may be, packed or not. ClickHouse writes blocks of 1 MiB.
const BLOCK_MOST: usize = 32 * 1024 * 1024;

/// One byte of LZ4 stands for no more than this many.
const LZ4_RATIO: usize = 255;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950: deflate in zlib's wrapping, never bare.
    Deflate,
    /// RFC 7932, without the large windows that came later.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// Frames of LZ4.
    Lz4,
    /// ClickHouse's own compressed blocks (`decompress=1`).
    Blocks,
}

/// Those that have a token, in the order in which ClickHouse chooses among them for an answer (`chooseHTTPCompressionMethod`).
const NAMED: [Coding; 5] = [Coding::Zstd, Coding::Brotli, Coding::Lz4, Coding::Gzip, Coding::Deflate];

impl Coding {
    /// By a token of Content-Encoding. ClickHouse knows more names and codings; these are the ones that clients send.
    pub(crate) fn named(token: &str) -> Option<Self> {
        NAMED.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(token))
    }

    /// The first that a value of Accept-Encoding takes (RFC 9110 12.5.3). ClickHouse itself looks for parts of words, also those
    /// of weight 0.
    pub(crate) fn accepted(value: &str) -> Option<Self> {
        let taken = value.split(',').filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let coding = Self::named(parts.next()?)?;
            let is_unwanted =
                |part: &str| part.split_once('=').is_some_and(|(name, weight)| name.eq_ignore_ascii_case("q") && weight.parse() == Ok(0.0));
            (!parts.any(is_unwanted)).then_some(coding)
        });
        taken.min_by_key(|coding| coding.rank())
    }

    /// Its place among those that a caller takes.
    pub(crate) fn rank(self) -> usize {
        NAMED.iter().position(|named| *named == self).unwrap_or(NAMED.len())
    }

    /// Its token of Content-Encoding; blocks have none and are called what they are.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Lz4 => "lz4",
            Coding::Blocks => "compressed blocks",
        }
    }
}

/// What is wrong with a coded body, in words for whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// Something in it is not of its coding, be it behind the last member.
    #[error("it is not valid as {}", .0.name())]
    Malformed(Coding),
    /// It ends in the middle of a member or block, or before the first.
    #[error("it ends before its {} does", .0.name())]
    Cut(Coding),
    /// Bytes follow where nothing may.
    #[error("it goes on behind the end of its {}", .0.name())]
    Behind(Coding),
    /// A frame of Zstandard asks for more memory than it gets.
    #[error("it needs a window above 8 MiB to be decoded as zstd")]
    Window,
    /// A block's checksum is not that of its bytes.
    #[error("a compressed block does not match its checksum")]
    Checksum,
    /// A block is in a codec that is not read.
    #[error("a compressed block is of codec {0:#04x}; only LZ4 (0x82), ZSTD (0x90) and NONE (0x02) are read")]
    Codec(u8),
    /// A block is too long, packed or not.
    #[error("a compressed block is above 32 MiB")]
    Large,
}

/// Why [`Decoder::decode`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Paused {
    /// The input is used up and nothing is held back.
    Hungry,
    /// As much came out as was asked for; there may be more, also without more input.
    Full,
}

/// Undoes one coding. It is given the body as it comes and never sees more of it.
pub(crate) struct Decoder {
    coding: Coding,
    codec: Codec,
    at: At,
    /// The last step filled all its room, so the codec may hold more.
    holding: bool,
}

#[derive(Clone, Copy)]
enum At {
    Start,
    Inside,
    /// Behind a member, frame or block that was whole.
    Between,
    Failed(Broken),
}

impl Decoder {
    /// For one body.
    pub(crate) fn new(coding: Coding) -> Self {
        Self { coding, codec: Codec::new(coding), at: At::Start, holding: false }
    }

    /// Undoes the coding of `input`, which is advanced past what was taken, and appends no more than `most` bytes to `output`.
    ///
    /// # Errors
    /// What is wrong with the body; from then on always that.
    pub(crate) fn decode(&mut self, input: &mut Bytes, output: &mut BytesMut, most: usize) -> Result<Paused, Broken> {
        if let At::Failed(broken) = self.at {
            return Err(broken);
        }
        let paused = self.run(input, output, most);
        if let Err(broken) = paused {
            self.at = At::Failed(broken);
        }
        paused
    }

    /// The input has ended.
    ///
    /// # Errors
    /// A body that was cut must never look whole: anywhere but behind a whole member is an error, also where nothing has
    /// come at all. ClickHouse takes that and some cut bodies for whole ones. Of blocks there may be none.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        match self.at {
            At::Between => Ok(()),
            At::Start if self.coding == Coding::Blocks => Ok(()),
            At::Start | At::Inside => Err(Broken::Cut(self.coding)),
            At::Failed(broken) => Err(broken),
        }
    }

    fn run(&mut self, input: &mut Bytes, output: &mut BytesMut, most: usize) -> Result<Paused, Broken> {
        let mut left = most;
        while self.holding || !input.is_empty() {
            if left == 0 {
                return Ok(Paused::Full);
            }
            left -= self.step(input, output, left.min(STEP))?;
        }
        Ok(Paused::Hungry)
    }

    /// Lets the codec work once, with room for `room` bytes, and tells how many it gave.
    fn step(&mut self, input: &mut Bytes, output: &mut BytesMut, room: usize) -> Result<usize, Broken> {
        let within = matches!(self.at, At::Inside);
        if matches!(self.at, At::Between) && self.coding == Coding::Brotli {
            return Err(Broken::Behind(self.coding));
        }
        let before = output.len();
        output.resize(before + room, 0);
        let step = self.codec.step(input, output.get_mut(before..).unwrap_or_default());
        output.truncate(before + step.as_ref().map_or(0, |step| step.given));
        let Step { taken, given, ended } = step?;
        // Nothing here is known to stand still, but whoever waits for it would wait for ever.
        if taken == 0 && given == 0 && !input.is_empty() && !(within && ended) {
            return Err(Broken::Malformed(self.coding));
        }
        input.advance(taken);
        self.holding = given == room && !ended;
        self.at = if ended { At::Between } else { At::Inside };
        if ended {
            self.codec.renew()?;
        }
        Ok(given)
    }
}

/// What a codec did in one go.
struct Step {
    taken: usize,
    given: usize,
    /// A member, frame or block is whole, and all of it was given.
    ended: bool,
}

enum Codec {
    Gzip(Decompress),
    Deflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
    Lz4(Lz4Decoder),
    Blocks(Blocks),
}

impl Codec {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Codec::Gzip(Decompress::new_gzip(15)),
            Coding::Deflate => Codec::Deflate(Decompress::new(true)),
            Coding::Brotli => Codec::Brotli(Box::new(brotli())),
            Coding::Zstd => Codec::Zstd(Zstd { context: DCtx::create(), bounded: false }),
            Coding::Lz4 => Codec::Lz4(Lz4Decoder::new()),
            Coding::Blocks => Codec::Blocks(Blocks::default()),
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match self {
            Codec::Gzip(inflate) => step_inflate(inflate, input, output).ok_or(Broken::Malformed(Coding::Gzip)),
            Codec::Deflate(inflate) => step_inflate(inflate, input, output).ok_or(Broken::Malformed(Coding::Deflate)),
            Codec::Brotli(state) => step_brotli(state, input, output),
            Codec::Zstd(zstd) => zstd.step(input, output),
            Codec::Lz4(lz4) => step_lz4(lz4, input, output),
            Codec::Blocks(blocks) => blocks.step(input, output),
        }
    }

    /// Makes it ready for the next member; brotli has none, and the others are ready by themselves.
    fn renew(&mut self) -> Result<(), Broken> {
        match self {
            Codec::Gzip(inflate) | Codec::Deflate(inflate) => inflate.reset(true),
            Codec::Lz4(lz4) => lz4.reinit().map_err(|_broken| Broken::Malformed(Coding::Lz4))?,
            Codec::Brotli(_) | Codec::Zstd(_) | Codec::Blocks(_) => {}
        }
        Ok(())
    }
}

/// zlib tells nothing of use where it fails.
fn step_inflate(inflate: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<Step> {
    let (taken, given) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, output, FlushDecompress::None).ok()?;
    let taken = usize::try_from(inflate.total_in() - taken).ok()?;
    let given = usize::try_from(inflate.total_out() - given).ok()?;
    Some(Step { taken, given, ended: status == Status::StreamEnd })
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Strict is without large windows, which would be of up to 1 GiB.
fn brotli() -> Brotli {
    BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default())
}

fn step_brotli(state: &mut Brotli, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
    let (mut taken, mut given) = (0, 0);
    let result = BrotliDecompressStream(&mut input.len(), &mut taken, input, &mut output.len(), &mut given, output, &mut 0, state);
    match result {
        BrotliResult::ResultSuccess => Ok(Step { taken, given, ended: true }),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(Step { taken, given, ended: false }),
        BrotliResult::ResultFailure => Err(Broken::Malformed(Coding::Brotli)),
    }
}

struct Zstd {
    context: DCtx<'static>,
    bounded: bool,
}

impl Zstd {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        self.bound()?;
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let hint = self.context.decompress_stream(&mut output, &mut input).map_err(zstd_broken)?;
        Ok(Step { taken: input.pos(), given: output.pos(), ended: hint == 0 })
    }

    fn bound(&mut self) -> Result<(), Broken> {
        if !self.bounded {
            self.context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).map_err(zstd_broken)?;
            self.bounded = true;
        }
        Ok(())
    }
}

fn zstd_broken(code: usize) -> Broken {
    if code == ZSTD_WINDOW_TOO_LARGE { Broken::Window } else { Broken::Malformed(Coding::Zstd) }
}

fn step_lz4(lz4: &mut Lz4Decoder, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
    let mut input = PartialBuffer::new(input);
    let mut output = WriteBuffer::new_initialized(output);
    let ended = lz4.decode(&mut input, &mut output).map_err(|_broken| Broken::Malformed(Coding::Lz4))?;
    Ok(Step { taken: input.written_len(), given: output.written_len(), ended })
}

/// ClickHouse's compressed blocks: CityHash128 of all that follows, one byte of codec, the lengths with this header and
/// without packing, and the packed bytes.
#[derive(Default)]
struct Blocks {
    /// The block as far as it has come. Its claimed length reserves nothing.
    arrived: Vec<u8>,
    header: Option<Header>,
    /// What was in the last block, and how much of it was given.
    text: Vec<u8>,
    given: usize,
}

struct Header {
    codec: BlockCodec,
    /// With the checksum.
    packed: usize,
    raw: usize,
}

enum BlockCodec {
    None,
    Lz4,
    Zstd,
}

impl Blocks {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        if !self.text.is_empty() {
            return Ok(self.give(0, output));
        }
        let mut taken = self.take(input, BLOCK_CHECKSUM + BLOCK_HEADER);
        if self.header.is_none() && self.arrived.len() == BLOCK_CHECKSUM + BLOCK_HEADER {
            self.header = Some(Header::read(&self.arrived)?);
        }
        let Some(header) = &self.header else { return Ok(Step { taken, given: 0, ended: false }) };
        let packed = header.packed;
        taken += self.take(input.get(taken..).unwrap_or_default(), packed);
        if self.arrived.len() < packed {
            return Ok(Step { taken, given: 0, ended: false });
        }
        let block = mem::take(&mut self.arrived);
        if let Some(header) = self.header.take() {
            self.text = header.open(&block)?;
        }
        Ok(self.give(taken, output))
    }

    /// Takes what is missing to `whole` bytes of the block.
    fn take(&mut self, input: &[u8], whole: usize) -> usize {
        let taken = whole.saturating_sub(self.arrived.len()).min(input.len());
        self.arrived.extend_from_slice(input.get(..taken).unwrap_or_default());
        taken
    }

    fn give(&mut self, taken: usize, output: &mut [u8]) -> Step {
        let rest = self.text.get(self.given..).unwrap_or_default();
        let given = rest.len().min(output.len());
        if let (Some(to), Some(from)) = (output.get_mut(..given), rest.get(..given)) {
            to.copy_from_slice(from);
        }
        self.given += given;
        let ended = self.given == self.text.len();
        if ended {
            self.text = Vec::new();
            self.given = 0;
        }
        Step { taken, given, ended }
    }
}

impl Header {
    fn read(block: &[u8]) -> Result<Self, Broken> {
        let (_, mut header) = block.split_at_checked(BLOCK_CHECKSUM).ok_or(Broken::Malformed(Coding::Blocks))?;
        let codec = header.try_get_u8().map_err(|_short| Broken::Malformed(Coding::Blocks))?;
        let packed = header.try_get_u32_le().map_err(|_short| Broken::Malformed(Coding::Blocks))? as usize;
        let raw = header.try_get_u32_le().map_err(|_short| Broken::Malformed(Coding::Blocks))? as usize;
        let codec = BlockCodec::read(codec)?;
        if packed < BLOCK_HEADER {
            return Err(Broken::Malformed(Coding::Blocks));
        }
        if packed > BLOCK_MOST || raw > BLOCK_MOST {
            return Err(Broken::Large);
        }
        Ok(Self { codec, packed: BLOCK_CHECKSUM + packed, raw })
    }

    /// What is in the block.
    fn open(&self, block: &[u8]) -> Result<Vec<u8>, Broken> {
        let malformed = Broken::Malformed(Coding::Blocks);
        let (checksum, checked) = block.split_at_checked(BLOCK_CHECKSUM).ok_or(malformed)?;
        if checksum != checksum_of(checked) {
            return Err(Broken::Checksum);
        }
        let packed = checked.get(BLOCK_HEADER..).ok_or(malformed)?;
        let text = match self.codec {
            BlockCodec::None => Some(packed.to_vec()),
            BlockCodec::Lz4 => unpack_lz4(packed, self.raw),
            BlockCodec::Zstd => unpack_zstd(packed, self.raw),
        };
        text.filter(|text| text.len() == self.raw).ok_or(malformed)
    }
}

impl BlockCodec {
    const LZ4: u8 = 0x82;

    fn read(byte: u8) -> Result<Self, Broken> {
        match byte {
            0x02 => Ok(BlockCodec::None),
            Self::LZ4 => Ok(BlockCodec::Lz4),
            0x90 => Ok(BlockCodec::Zstd),
            other => Err(Broken::Codec(other)),
        }
    }
}

/// A text as one compressed block in LZ4, which is what clients read that ask for blocks (`compress=1`); the text itself where it is
/// longer than a block may be.
pub(crate) fn block(text: Bytes) -> Bytes {
    let lengths = |packed: &Vec<u8>| Some((u32::try_from(BLOCK_HEADER + packed.len()).ok()?, u32::try_from(text.len()).ok()?));
    let packed = lz4::block::compress(&text, None, false).ok();
    let Some((packed, (length, raw))) = packed.and_then(|packed| lengths(&packed).map(|lengths| (packed, lengths))) else { return text };
    let mut block = BytesMut::with_capacity(BLOCK_CHECKSUM + BLOCK_HEADER + packed.len());
    block.put_bytes(0, BLOCK_CHECKSUM);
    block.put_u8(BlockCodec::LZ4);
    block.put_u32_le(length);
    block.put_u32_le(raw);
    block.extend_from_slice(&packed);
    let (checksum, checked) = block.split_at_mut(BLOCK_CHECKSUM);
    checksum.copy_from_slice(&checksum_of(checked));
    block.freeze()
}

/// CityHash128 as ClickHouse writes it: its two halves stand in the order of the C++ struct, and each is little endian.
fn checksum_of(checked: &[u8]) -> [u8; BLOCK_CHECKSUM] {
    cityhash_rs::cityhash_102_128(checked).rotate_left(64).to_le_bytes()
}

fn unpack_lz4(packed: &[u8], raw: usize) -> Option<Vec<u8>> {
    if raw > packed.len().saturating_mul(LZ4_RATIO) {
        return None;
    }
    let mut text = vec![0; raw];
    let given = lz4::block::decompress_to_buffer(packed, Some(i32::try_from(raw).ok()?), &mut text).ok()?;
    (given == raw).then_some(text)
}

/// The whole block is its window, so no other is held.
fn unpack_zstd(packed: &[u8], raw: usize) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(raw);
    zstd_safe::decompress(&mut text, packed).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests fail by panicking")]
    use super::*;

    // What ClickHouse 26.9 answers to SELECT 'row', number FROM numbers(12), by Accept-Encoding and, for blocks, by
    // `compress=1&network_compression_method=...`.
    const GZIP: &str = "1f8b08000000000000032aca2fe734e02aca2fe73404934660d2184c9a80495330690626cdc1a40598b404938650cd865c00000000ffff03005e3b40\
        d74a000000";
    const DEFLATE: &str = "785e2aca2fe734e02aca2fe73404934660d2184c9a80495330690626cdc1a40598b404938650cd865c00000000ffff0300ff6413d5";
    const BROTLI: &str = "1f490000c04e4699961c7f4d36452fd08824b2ac03bbdb2761401917526913828101";
    const ZSTD: &str = "28b52ffd0458640100b0726f7709300a726f770931323334353637383931310a0a00404801ed80307002da0161e004b403c272953901000078a9b9c1";
    const LZ4: &str = "04224d184050773800000060726f7709300a0600113106001132060011330600113406001135060011360600113706001138060011390600a031300a\
        726f770931310a00000000";
    const BLOCK_LZ4: &str = "322c994bc0a0b61f601eb8262c3c0ff982410000004a00000060726f7709300a06001131060011320600113306001134060011350600113606001137\
        06001138060011390600a031300a726f770931310a";
    const BLOCK_ZSTD: &str = "aac4c3ecf1b76c157069ffe8b20de25c903e0000004a00000028b52ffd204a650100b0726f7709300a726f770931323334353637383931310a0a0040\
        4801ed80307002da0161e004b403c2729539";
    const BLOCK_NONE: &str = "cc32fc0109f44d3af22a93974e768ed902530000004a000000726f7709300a726f7709310a726f7709320a726f7709330a726f7709340a726f770935\
        0a726f7709360a726f7709370a726f7709380a726f7709390a726f770931300a726f770931310a";

    // The same by Python's zlib, backports.zstd and lz4: a head with all that gzip's may have, checksums, lengths,
    // linked blocks.
    const GZIP_FULL: &str = "1f8b081e0000000002ff040061620000726f77732e747376007477656c7665000fa12bca2fe734e02a02928660d2084c1a83491330690a26cdc0a439\
        98b4009396105d50cd865c005e3b40d74a000000";
    const DEFLATE_PYTHON: &str = "78da2bca2fe734e02a02928660d2084c1a83491330690a26cdc0a43998b4009396105d50cd865c00ff6413d5";
    const ZSTD_PYTHON: &str = "28b52ffd244a650100b0726f7709300a726f770931323334353637383931310a0a00404801ed80307002da0161e004b403c272953978a9b9c1";
    const LZ4_PYTHON: &str = "04224d187c404a00000000000000923800000060726f7709300a06001131060011320600113306001134060011350600113606001137060011380600\
        11390600a031300a726f770931310ade96017d00000000c1d84b5f";

    /// By the brotli crate, in a window of 16 MiB.
    const BROTLI_WIDEST: &str = "8f240000c44e4699961c7f4d36452fd08824b2ac03bbdb276140191752691382810d03";
    /// By the brotli crate as well, in a large window of 256 MiB.
    const BROTLI_LARGE: &str = "111c920000103b19655a72fc35d914bd402392c8b20e30eef6491850c68554da8460600303";

    const ALL: [(Coding, &str); 13] = [
        (Coding::Gzip, GZIP),
        (Coding::Gzip, GZIP_FULL),
        (Coding::Deflate, DEFLATE),
        (Coding::Deflate, DEFLATE_PYTHON),
        (Coding::Brotli, BROTLI),
        (Coding::Brotli, BROTLI_WIDEST),
        (Coding::Zstd, ZSTD),
        (Coding::Zstd, ZSTD_PYTHON),
        (Coding::Lz4, LZ4),
        (Coding::Lz4, LZ4_PYTHON),
        (Coding::Blocks, BLOCK_LZ4),
        (Coding::Blocks, BLOCK_ZSTD),
        (Coding::Blocks, BLOCK_NONE),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn rows() -> Vec<u8> {
        (0..12).flat_map(|row| format!("row\t{row}\n").into_bytes()).collect()
    }

    fn decoded(coding: Coding, body: &[u8], piece: usize, most: usize) -> Result<Vec<u8>, Broken> {
        let mut decoder = Decoder::new(coding);
        let mut text = BytesMut::new();
        for piece in body.chunks(piece) {
            let mut input = Bytes::copy_from_slice(piece);
            loop {
                let before = text.len();
                let paused = decoder.decode(&mut input, &mut text, most)?;
                assert!(text.len() - before <= most);
                match paused {
                    Paused::Hungry => break assert!(input.is_empty()),
                    Paused::Full => assert_eq!(text.len() - before, most),
                }
            }
        }
        decoder.finish().map(|()| text.to_vec())
    }

    fn whole(coding: Coding, body: &[u8]) -> Result<Vec<u8>, Broken> {
        decoded(coding, body, usize::MAX, usize::MAX)
    }

    #[test]
    fn a_block_of_ours_is_read_as_it_was_written() {
        for text in ["", "Code: 62.", &"row ".repeat(5000)] {
            let (mut packed, mut read) = (super::block(Bytes::copy_from_slice(text.as_bytes())), BytesMut::new());
            let mut decoder = Decoder::new(Coding::Blocks);
            assert_eq!(decoder.decode(&mut packed, &mut read, usize::MAX).unwrap(), Paused::Hungry);
            decoder.finish().unwrap();
            assert_eq!(read, text.as_bytes());
        }
    }

    #[test]
    fn codings_are_known_by_their_one_name() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd, Coding::Lz4] {
            assert_eq!(Coding::named(coding.name()), Some(coding));
            assert_eq!(Coding::named(&coding.name().to_uppercase()), Some(coding));
        }
        for token in ["", "x-gzip", "gz", "brotli", "zst", "identity", "auto", "gzip, gzip", " gzip", "compressed blocks", "xz", "snappy"] {
            assert_eq!(Coding::named(token), None, "{token}");
        }
    }

    #[test]
    fn every_coding_is_undone_in_any_pieces() {
        for (coding, body) in ALL {
            for piece in [1, 2, 7, usize::MAX] {
                for most in [1, 3, 37, 74, usize::MAX] {
                    assert_eq!(decoded(coding, &bytes(body), piece, most), Ok(rows()), "{coding:?} by {piece}, {most} a time");
                }
            }
        }
    }

    #[test]
    fn one_follows_another_except_in_brotli() {
        let blocks: Vec<u8> = [BLOCK_ZSTD, BLOCK_NONE, BLOCK_LZ4].iter().flat_map(|block| bytes(block)).collect();
        for (piece, most) in [(1, 1), (5, 100), (usize::MAX, usize::MAX)] {
            assert_eq!(decoded(Coding::Blocks, &blocks, piece, most), Ok(rows().repeat(3)));
            for (coding, body) in ALL {
                let result = decoded(coding, &bytes(body).repeat(3), piece, most);
                let expected = if coding == Coding::Brotli { Err(Broken::Behind(coding)) } else { Ok(rows().repeat(3)) };
                assert_eq!(result, expected, "{coding:?}");
            }
        }
    }

    #[test]
    fn a_skippable_frame_is_skipped() {
        let frame = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
        for (coding, body) in [(Coding::Zstd, ZSTD), (Coding::Lz4, LZ4)] {
            let body = [&frame[..], &bytes(body)[..], &frame[..]].concat();
            assert_eq!(decoded(coding, &body, 1, 1), Ok(rows()));
            assert_eq!(whole(coding, &body), Ok(rows()));
            assert_eq!(whole(coding, &body[..body.len() - 1]), Err(Broken::Cut(coding)));
        }
    }

    #[test]
    fn no_cut_body_looks_whole() {
        for (coding, body) in ALL {
            let body = bytes(body);
            for cut in 0..body.len() {
                for piece in [1, usize::MAX] {
                    let expected = if cut == 0 && coding == Coding::Blocks { Ok(Vec::new()) } else { Err(Broken::Cut(coding)) };
                    assert_eq!(decoded(coding, &body[..cut], piece, 16), expected, "{coding:?} cut at {cut}");
                }
                let second = [&body[..], &body[..cut]].concat();
                assert!(cut == 0 || whole(coding, &second).is_err(), "{coding:?}, the second cut at {cut}");
            }
        }
    }

    #[test]
    fn a_body_is_not_whole_before_all_of_it_was_taken_out() {
        for (coding, body) in ALL {
            let mut decoder = Decoder::new(coding);
            let mut input = Bytes::from(bytes(body));
            let mut text = BytesMut::new();
            assert_eq!(decoder.decode(&mut input, &mut text, 73), Ok(Paused::Full));
            assert_eq!(decoder.finish(), Err(Broken::Cut(coding)), "{coding:?}");
            while decoder.decode(&mut input, &mut text, 1) != Ok(Paused::Hungry) {}
            assert_eq!((decoder.finish(), text.to_vec()), (Ok(()), rows()));
        }
    }

    #[test]
    fn a_changed_byte_is_found_where_the_coding_has_a_checksum() {
        // Brotli has none, and ClickHouse's frames of LZ4 are written without.
        for (coding, body) in ALL.into_iter().filter(|(coding, body)| *coding != Coding::Brotli && *body != LZ4) {
            let body = bytes(body);
            for at in 0..body.len() {
                let mut changed = body.clone();
                changed[at] ^= 0x10;
                let text = whole(coding, &changed);
                assert!(text.is_err() || text == Ok(rows()), "{coding:?} changed at {at}");
            }
        }
    }

    #[test]
    fn nothing_else_may_stand_behind() {
        for (coding, body) in ALL {
            for junk in [&b"\0"[..], b"\n", b"garbage", &[0; 600]] {
                let body = [&bytes(body)[..], junk].concat();
                for (piece, most) in [(1, 1), (usize::MAX, usize::MAX)] {
                    assert!(decoded(coding, &body, piece, most).is_err(), "{coding:?} with {junk:?} behind");
                }
            }
        }
        assert_eq!(whole(Coding::Gzip, &[&bytes(GZIP)[..], b"garbage"].concat()), Err(Broken::Malformed(Coding::Gzip)));
        assert_eq!(whole(Coding::Brotli, &[&bytes(BROTLI)[..], b"\n"].concat()), Err(Broken::Behind(Coding::Brotli)));
    }

    #[test]
    fn plain_text_and_other_codings_are_refused() {
        for (coding, own) in ALL {
            for (_, other) in ALL.into_iter().filter(|(other, _)| *other != coding) {
                assert!(whole(coding, &bytes(other)).is_err(), "{coding:?} takes {other}, not only {own}");
            }
            assert!(whole(coding, b"SELECT 1 FROM numbers(10) WHERE number % 2 = 0").is_err());
        }
        let bare = bytes("2bca2fe734e02a02928660d2084c1a83491330690a26cdc0a43998b4009396105d50cd865c00");
        assert_eq!(whole(Coding::Deflate, &bare), Err(Broken::Malformed(Coding::Deflate)));
        let with_a_dictionary = bytes("78f90740019d2b0292066012c2360293c660d2044c9a82493330690e262dc0a425441754b3211700ff6413d5");
        assert_eq!(whole(Coding::Deflate, &with_a_dictionary), Err(Broken::Malformed(Coding::Deflate)));
    }

    #[test]
    fn what_is_broken_stays_broken() {
        for (coding, body) in ALL {
            let mut decoder = Decoder::new(coding);
            let mut text = BytesMut::new();
            let broken = decoder.decode(&mut Bytes::from_static(&[0xa5; 64]), &mut text, usize::MAX).unwrap_err();
            let again = decoder.decode(&mut Bytes::from(bytes(body)), &mut text, usize::MAX);
            assert_eq!((again, decoder.finish(), text.len()), (Err(broken), Err(broken), 0), "{coding:?}");
        }
    }

    /// Takes 64 KiB a time out of what would be far more, and gives up.
    fn defuse(coding: Coding, bomb: Vec<u8>) {
        let size = bomb.len();
        let (mut decoder, mut input, mut text) = (Decoder::new(coding), Bytes::from(bomb), BytesMut::new());
        for _step in 0..200 {
            assert_eq!(decoder.decode(&mut input, &mut text, 64 * 1024), Ok(Paused::Full));
            assert_eq!(text.len(), 64 * 1024);
            assert!(text.capacity() <= 256 * 1024, "{coding:?} holds {}", text.capacity());
            text.clear();
        }
        assert!(size * 200 < 200 * 64 * 1024, "{size} bytes are no bomb");
        assert_eq!(decoder.finish(), Err(Broken::Cut(coding)));
    }

    #[test]
    fn a_bomb_gives_no_more_than_is_asked_for() {
        // ClickHouse's answer to SELECT repeat('x', 1000000) FROM numbers(100).
        let x = "cfffff7f0020f0e2b14072effff9ffff0f0004401c1680eefd3fffffff01800088c302d0bdffe7ffff3f001000715800baf7\
            fffcffff070002200e0b40f7fe3fffc1eb014000c46101e862d703";
        defuse(Coding::Brotli, bytes(x));
        // One byte a block, 128 KiB each.
        let blocks = [0x02, 0x00, 0x10, b'x'].repeat(1000);
        defuse(Coding::Zstd, [&bytes("28b52ffd0068")[..], &blocks[..]].concat());
        // As zlib begins on a million zeros: matches of 258 bytes, two bits each.
        defuse(Coding::Deflate, [&bytes("78daedc101010000008220ffaf6e48400100")[..], &[0; 60_000]].concat());
    }

    #[test]
    fn windows_are_bounded() {
        let frame = |window: u8| [&bytes("28b52ffd00")[..], &[window], &bytes("1100006869")[..]].concat();
        for piece in [1, usize::MAX] {
            assert_eq!(decoded(Coding::Zstd, &frame(13 << 3), piece, usize::MAX), Ok(b"hi".to_vec()));
            assert_eq!(decoded(Coding::Zstd, &frame(13 << 3 | 1), piece, usize::MAX), Err(Broken::Window));
            assert_eq!(decoded(Coding::Zstd, &frame(0xff), piece, usize::MAX), Err(Broken::Window));
            assert_eq!(decoded(Coding::Brotli, &bytes(BROTLI_LARGE), piece, usize::MAX), Err(Broken::Malformed(Coding::Brotli)));
        }
    }

    fn block(codec: u8, packed: &[u8], raw: u32) -> Vec<u8> {
        let size = u32::try_from(packed.len() + BLOCK_HEADER).unwrap();
        let checked = [&[codec][..], &size.to_le_bytes(), &raw.to_le_bytes(), packed].concat();
        let checksum = cityhash_rs::cityhash_102_128(&checked).rotate_left(64).to_le_bytes();
        [&checksum[..], &checked].concat()
    }

    #[test]
    fn checksums_are_those_of_clickhouse_at_every_length() {
        // Of SELECT repeat('x', length) in blocks of codec NONE.
        for (length, checksum) in [
            (1, "631dbbfa9e65eca03c16fab321738d92"),
            (6, "41f19355797fccb63ecfe453425f720a"),
            (7, "c84df3f6cb23759c6ca4063e6cbda422"),
            (8, "b81816944d9364d3d445f8132f433d12"),
            (9, "72e18b9e6f5a12b1dfc735772b41581c"),
            (55, "26cd12003508387a168a8cefb76dba13"),
            (118, "ed52f10eb25215de747af0a3a4b89875"),
            (119, "3f40a6e0ab49c7f014530004ea2d6f53"),
            (120, "8417b32f0e3ead2254b1cca8c8912fa7"),
            (150, "a9bb885893d8a26862b9ffea5beecf36"),
            (247, "e18f6a84a74c57c4c7b7c2c8f3a3f943"),
            (248, "23a911f92107ae25c37a5def1399ec7a"),
            (300, "f0b96931a3575824717013bacd563429"),
            (1000, "e7892cf55724b742c1ac66fd528eff63"),
            (100000, "0d90cd7877fde0e116de6d9511d5e57a"),
        ] {
            let own = block(0x02, &vec![b'x'; length], u32::try_from(length).unwrap());
            assert_eq!(own[..BLOCK_CHECKSUM], bytes(checksum), "{length}");
            assert_eq!(whole(Coding::Blocks, &own), Ok(vec![b'x'; length]));
        }
    }

    #[test]
    fn a_block_is_refused_by_its_header_before_memory_is_taken() {
        for (header, broken) in [
            ("8209000000ffffffff", Broken::Large),
            ("82ffffffff01000000", Broken::Large),
            ("820100000201000000", Broken::Large),
            ("900900000001000002", Broken::Large),
            ("820800000001000000", Broken::Malformed(Coding::Blocks)),
            ("920a00000001000000", Broken::Codec(0x92)),
        ] {
            let mut decoder = Decoder::new(Coding::Blocks);
            let mut input = Bytes::from([&[0; BLOCK_CHECKSUM][..], &bytes(header)].concat());
            assert_eq!(decoder.decode(&mut input, &mut BytesMut::new(), usize::MAX), Err(broken), "{header}");
            let Codec::Blocks(blocks) = decoder.codec else { panic!("no blocks") };
            assert!(blocks.arrived.capacity() < 64 && blocks.text.capacity() == 0);
        }
    }

    #[test]
    fn a_long_block_takes_memory_as_it_comes() {
        let mut decoder = Decoder::new(Coding::Blocks);
        let mut input = Bytes::from([&[0; BLOCK_CHECKSUM][..], &bytes("820000000200000002"), &[1; 75]].concat());
        assert_eq!(decoder.decode(&mut input, &mut BytesMut::new(), usize::MAX), Ok(Paused::Hungry));
        let Codec::Blocks(blocks) = decoder.codec else { panic!("no blocks") };
        assert!(blocks.arrived.len() == 100 && blocks.arrived.capacity() < 256 && blocks.text.capacity() == 0);
    }

    #[test]
    fn a_block_must_be_as_long_as_it_says() {
        let malformed = Err(Broken::Malformed(Coding::Blocks));
        for (codec, body) in [(0x02, BLOCK_NONE), (0x82, BLOCK_LZ4), (0x90, BLOCK_ZSTD)] {
            let packed = bytes(body).split_off(BLOCK_CHECKSUM + BLOCK_HEADER);
            assert_eq!(whole(Coding::Blocks, &block(codec, &packed, 74)), Ok(rows()));
            for raw in [0, 1, 73, 75, 1000, 32 * 1024 * 1024] {
                assert_eq!(whole(Coding::Blocks, &block(codec, &packed, raw)), malformed, "{codec:#x} of {raw}");
            }
            assert_eq!(whole(Coding::Blocks, &block(codec, &packed[..packed.len() - 1], 74)), malformed);
        }
        let mut wrong = bytes(BLOCK_LZ4);
        wrong[0] ^= 1;
        assert_eq!(whole(Coding::Blocks, &wrong), Err(Broken::Checksum));
        assert_eq!(whole(Coding::Blocks, &block(0x02, b"", 0).repeat(2)), Ok(Vec::new()));
    }

    #[test]
    fn a_decoder_goes_with_its_request_between_threads() {
        fn sent<T: Send>() {}
        sent::<Decoder>();
    }
}

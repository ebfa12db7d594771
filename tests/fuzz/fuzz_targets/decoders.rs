//! Codings are undone alike in whatever pieces a body comes and however little is taken out at a time; what is broken stays
//! broken; no more comes out than was asked for, and nothing stands still.
#![no_main]

use bytes::{Bytes, BytesMut};
use keyhouse::statement::{Coding, fuzzing::Undoing};
use keyhouse_fuzz::bodies::{self, CODINGS, Cut};
use libfuzzer_sys::{Corpus, fuzz_target};

/// A bomb is not unpacked beyond this.
const ENOUGH: usize = 192 * 1024;

// An input is the coding and how much is made right in it, how it is cut, how much is taken at a time, and the body.
fuzz_target!(|input: &[u8]| -> Corpus {
    let [coding, cut, most, body @ ..] = input else { return Corpus::Reject };
    let (coding, made) = (CODINGS[usize::from(*coding) % 6], *coding >= 128);
    let body = if made { made_right(coding, body) } else { body.to_vec() };
    let whole = undone(coding, Cut::Whole, usize::MAX, &body);
    for (cut, most) in [(Cut::Bytes, usize::MAX), (Cut::By(*cut), usize::from(*most) * 16 + 1), (Cut::Whole, usize::from(*most) + 1)] {
        let cut_up = undone(coding, cut, most, &body);
        let (first, second) = (&whole.0, &cut_up.0);
        let shorter = first.len().min(second.len());
        assert!(first[..shorter] == second[..shorter], "{coding:?} cut {cut:?}, {most} at a time: other bytes");
        // A frame of Zstandard whose length is a lie is found to be one only where all of it is there at once.
        if coding != Coding::Zstd || (whole.1.is_ok() && cut_up.1.is_ok()) {
            assert_eq!(whole.1, cut_up.1, "{coding:?} cut {cut:?}, {most} at a time");
        }
        assert!(whole.1.is_err() || cut_up.1.is_err() || first.len() == second.len(), "{coding:?} cut {cut:?}, {most} at a time");
    }
    Corpus::Keep
});

/// What a random change hits too often to get further: checksums of blocks.
fn made_right(coding: Coding, body: &[u8]) -> Vec<u8> {
    match (coding, body) {
        (Coding::Blocks, [codec, low, high, packed @ ..]) => {
            let raw = usize::from(u16::from_le_bytes([*low, *high]));
            // Two, so that one follows another.
            bodies::block(*codec, raw, packed).repeat(2)
        }
        // The text is what was mutated.
        _ => bodies::coded(coding, body),
    }
}

/// What came out, and how it ended: whole (true) or too long to go on.
fn undone(coding: Coding, cut: Cut, most: usize, body: &[u8]) -> (Vec<u8>, Result<bool, String>) {
    let mut undoing = Undoing::new(coding);
    let mut text = BytesMut::new();
    let mut all = Vec::new();
    for mut piece in cut.pieces(body) {
        loop {
            let most = most.min(ENOUGH);
            text.clear();
            let paused = undoing.decode(&mut piece, &mut text, most);
            assert!(text.len() <= most, "more than was asked for");
            all.extend_from_slice(&text);
            match paused {
                Ok(true) => assert_eq!(text.len(), most, "full, and is not"),
                Ok(false) => break assert!(piece.is_empty(), "hungry, and something is left"),
                Err(broken) => {
                    stays(&mut undoing, &broken);
                    return (all, Err(broken));
                }
            }
            if all.len() >= ENOUGH {
                all.truncate(ENOUGH);
                return (all, Ok(false));
            }
        }
    }
    if all.len() >= ENOUGH {
        all.truncate(ENOUGH);
        return (all, Ok(false));
    }
    let end = undoing.finish();
    if let Err(broken) = &end
        && undoing.decode(&mut Bytes::new(), &mut text, 1).is_err()
    {
        stays(&mut undoing, broken);
    }
    (all, end.map(|()| true))
}

fn stays(undoing: &mut Undoing, broken: &String) {
    let mut text = BytesMut::new();
    assert_eq!(undoing.decode(&mut Bytes::from_static(b"\x1f\x8b"), &mut text, 10).as_ref(), Err(broken), "what was broken is not");
    assert_eq!((undoing.finish().as_ref(), text.len()), (Err(broken), 0), "what was broken is not");
}

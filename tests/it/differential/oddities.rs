//! Tokens changed as texts, in their segments and in their JSON: what no library writes.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD as BASE64},
};

use super::made::{ALGORITHMS, Made, Provider, Sample};
use crate::{generated::Random, support::token::Token};

pub(super) fn samples(provider: &Provider, random: &mut Random) -> Vec<Sample> {
    let mut samples: Vec<Sample> = ALGORITHMS.iter().flat_map(|algorithm| structures(&provider.token(algorithm).make())).collect();
    samples.extend((0..800).map(|_| changed_text(provider, random)));
    samples.extend(spelled(provider));
    samples.extend((0..1500).map(|_| changed_json(provider, random)));
    samples
}

/// Other arrangements of the same three segments.
fn structures(token: &str) -> Vec<Sample> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut texts = vec![
        format!("{claims}.{header}.{signature}"),
        format!("{header}.{signature}.{claims}"),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!(".{claims}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{token}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}{signature}"),
        format!("{header}.{claims}{claims}.{signature}"),
        format!("{header}.{claims},{signature}"),
        format!("Bearer {token}"),
        token.to_uppercase(),
        token.replace('.', "\u{ff0e}"),
        token.replacen('.', "%2E", 1),
        format!("{{\"payload\":\"{claims}\",\"protected\":\"{header}\",\"signature\":\"{signature}\"}}"),
    ];
    for odd in [" ", "\n", "\r\n", "\t", "\0", "=", "==", "A", "%3D", "\u{200b}", "é"] {
        texts.extend([format!("{odd}{token}"), format!("{token}{odd}"), format!("{header}{odd}.{claims}.{signature}")]);
        texts.extend([format!("{header}.{claims}{odd}.{signature}"), format!("{header}.{odd}{claims}.{signature}")]);
    }
    for engine in [BASE64_URL_SAFE, BASE64_STANDARD] {
        let other = |segment: &str| engine.encode(BASE64.decode(segment).unwrap());
        texts.extend([
            format!("{}.{claims}.{signature}", other(header)),
            format!("{header}.{}.{signature}", other(claims)),
            format!("{header}.{claims}.{}", other(signature)),
        ]);
    }
    for segment in [header, claims, signature].into_iter().filter(|segment| segment.len() % 4 != 0) {
        texts.push(token.replace(segment, &with_trailing_bits(segment)));
    }
    texts.into_iter().filter(|text| text != token).map(|text| Sample::new(Made::Wrong, "another structure", text)).collect()
}

/// The same bytes, for a reader that does not look at the bits behind the last one.
fn with_trailing_bits(segment: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = segment.split_at(segment.len() - 1);
    let at = ALPHABET.find(last).unwrap();
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

/// One change anywhere in the text of a good token: whatever it is, the text is no longer the signed one.
fn changed_text(provider: &Provider, random: &mut Random) -> Sample {
    let token = provider.any(random).make();
    loop {
        let changed = String::from_utf8(changed(token.as_bytes(), &["A", "_", "-", ".", "=", "a", "9"], random)).unwrap();
        if changed != token {
            return Sample::new(Made::Wrong, "a changed text", changed);
        }
    }
}

/// A byte sequence with one thing changed: some bytes gone, doubled, moved, or replaced by one of these pieces.
fn changed(bytes: &[u8], pieces: &[&str], random: &mut Random) -> Vec<u8> {
    let from = random.below(bytes.len());
    let to = (from + random.below(4)).min(bytes.len());
    let piece = random.of(pieces).as_bytes();
    let (before, taken, after) = (&bytes[..from], &bytes[from..to], &bytes[to..]);
    match random.below(6) {
        0 => [before, after].concat(),
        1 => [before, taken, taken, after].concat(),
        2 => [before, piece, taken, after].concat(),
        3 => bytes[..from].to_vec(),
        4 => [after, taken, before].concat(),
        _ => [before, piece, after].concat(),
    }
}

/// The texts of header and claims.
fn jsons(token: &Token) -> [String; 2] {
    let unsigned = token.unsigned();
    let (header, claims) = unsigned.split_once('.').unwrap();
    [header, claims].map(|segment| String::from_utf8(BASE64.decode(segment).unwrap()).unwrap())
}

/// The same claim again, its name spelled with an escape.
pub(super) fn escaped_again(provider: &Provider, name: &str) -> Token {
    let token = provider.token("ES256").claim("odd", 1);
    let [_, claims] = jsons(&token);
    let (first, rest) = name.split_at(1);
    token.raw_claims(claims.replacen('{', &format!("{{\"\\u{:04x}{rest}\":1,", first.as_bytes()[0]), 1))
}

pub(super) fn with_nested_twice(provider: &Provider) -> String {
    let [_, claims] = jsons(&provider.token("ES256"));
    claims.replacen('{', r#"{"a":[{"b":1,"b":1}],"#, 1)
}

/// JSON as nobody writes it: what is still JSON means the same, and the rest is no token.
fn spelled(provider: &Provider) -> Vec<Sample> {
    let token = provider.token("ES256");
    let [header, claims] = jsons(&token);
    let right: [fn(&str) -> String; 5] = [
        |json| format!(" \t\r\n{json}\n"),
        |json| json.replace(':', " : ").replace("https : //", "https://"),
        |json| json.replace("\"a", "\"\\u0061"),
        |json| json.replace(',', "\n, "),
        |json| json.replace('/', "\\/"),
    ];
    let wrong: [fn(&str) -> Vec<u8>; 20] = [
        |json| format!("\u{feff}{json}").into_bytes(),
        |json| format!("{json}{json}").into_bytes(),
        |json| format!("{json}\0").into_bytes(),
        |json| format!("{json},").into_bytes(),
        |json| format!("[{json}]").into_bytes(),
        |json| format!("/* */{json}").into_bytes(),
        |json| format!("{json}//").into_bytes(),
        |json| format!("\u{a0}{json}").into_bytes(),
        |json| format!("\u{b}{json}").into_bytes(),
        |json| json.replace('}', ",}").into_bytes(),
        |json| json.replace('"', "'").into_bytes(),
        |json| json.replacen('{', "{odd:1,", 1).into_bytes(),
        |json| json.replacen('{', "{\"odd\":NaN,", 1).into_bytes(),
        |json| json.replacen('{', "{\"odd\":01,", 1).into_bytes(),
        |json| json.replacen('{', "{\"odd\":+1,", 1).into_bytes(),
        |json| json.replacen('{', "{\"odd\":\"a\nb\",", 1).into_bytes(),
        |json| json.replacen('{', "{\"odd\":\"\\x41\",", 1).into_bytes(),
        |json| [b"{\"odd\":\"\xff\",", &json.as_bytes()[1..]].concat(),
        |json| json.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        |_| Vec::new(),
    ];
    let odd: [fn(&str) -> String; 8] = [
        |json| json.replacen('{', "{\"odd\":\"\\ud800\",", 1),
        |json| json.replacen('{', "{\"odd\":1e999,", 1),
        |json| json.replacen('{', "{\"odd\":-0,", 1),
        |json| json.replacen('{', "{\"odd\":123456789012345678901234567890,", 1),
        |json| json.replacen('{', "{\"\":\"\",\"__proto__\":{\"aud\":\"other\"},", 1),
        |json| json.replacen('{', &format!("{{\"odd\":{}{},", "[".repeat(15), "]".repeat(15)), 1),
        |json| json.replacen('{', &format!("{{\"odd\":{}{},", "[".repeat(40), "]".repeat(40)), 1),
        |json| json.replacen('{', &format!("{{\"odd\":{}{},", "[".repeat(500), "]".repeat(500)), 1),
    ];
    let sample = |made, index: usize, json: Vec<u8>, in_header: bool| {
        let token = if in_header { token.clone().raw_header(json) } else { token.clone().raw_claims(json) };
        Sample::new(made, format!("spelling {index} of {made:?}"), token.make())
    };
    let mut samples = Vec::new();
    for (json, in_header) in [(&header, true), (&claims, false)] {
        samples.extend(right.iter().enumerate().map(|(index, spell)| sample(Made::Right, index, spell(json).into_bytes(), in_header)));
        samples.extend(wrong.iter().enumerate().map(|(index, spell)| sample(Made::Wrong, index, spell(json), in_header)));
        samples.extend(odd.iter().enumerate().map(|(index, spell)| sample(Made::Odd, index, spell(json).into_bytes(), in_header)));
    }
    samples
}

/// Pieces of JSON that a change puts in.
const PIECES: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "0",
    "1",
    "9",
    "-",
    ".",
    "e9",
    "null",
    "true",
    "\\u0000",
    "\\ud83d",
    "\u{0}",
    "\u{feff}",
    " ",
    "\"aud\":",
    "\"crit\":[],",
    "\"exp\":9,",
];

/// One to three changes of the JSON of a good token, which is signed then.
fn changed_json(provider: &Provider, random: &mut Random) -> Sample {
    let token = provider.any(random);
    let [header, claims] = jsons(&token);
    let in_header = random.below(3) == 0;
    let mut json = if in_header { header } else { claims }.into_bytes();
    for _ in 0..=random.below(3) {
        if !json.is_empty() {
            json = changed(&json, &PIECES, random);
        }
    }
    let what = format!("changed JSON {:?}", String::from_utf8_lossy(&json));
    let token = if in_header { token.raw_header(json) } else { token.raw_claims(json) };
    Sample::new(Made::Odd, what, token.make())
}

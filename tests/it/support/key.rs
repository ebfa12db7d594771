//! Keys that sign tokens, and the key sets that publish them.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

pub struct Key {
    pub kid: String,
    /// What its key set says it is for, and what it signs with unless told otherwise.
    pub alg: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(rsa::KeyPair),
    /// Kept as written, because one key is read differently for each form of its signatures.
    Ec(Vec<u8>, Vec<u8>),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Key {
    /// The RSA key of this process: making one takes longer than most tests.
    pub fn rs256() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Key>> = LazyLock::new(|| Key::fresh("RS256"));
        Arc::clone(&SHARED)
    }

    /// A new key for `RS256`, `ES256`, `ES384` or `Ed25519`, with a `kid` that no other key has.
    pub fn fresh(alg: &'static str) -> Arc<Self> {
        let pair = match alg {
            "RS256" => Pair::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap()),
            "ES256" => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            "Ed25519" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            other => panic!("no key is made for {other}"),
        };
        Self::named(alg, pair)
    }

    /// A shared secret, as forgers of `HS256` use one: often the bytes of a public key.
    pub fn secret(bytes: &[u8]) -> Arc<Self> {
        Self::named("HS256", Pair::Secret(bytes.to_vec()))
    }

    fn named(alg: &'static str, pair: Pair) -> Arc<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let kid = format!("{alg}-{}", MADE.fetch_add(1, Ordering::Relaxed));
        Arc::new(Self { kid, alg, pair })
    }

    /// Signs as `alg` would with a key of this kind; `ES256-DER` and `ES384-DER` are forms that no token may have.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => sign_rsa(pair, alg, message),
            Pair::Ec(pair, _) => {
                let pair = EcdsaKeyPair::from_pkcs8(ec_form(alg), pair).unwrap();
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Secret(bytes) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// The public half as a member of a key set; a secret shows itself, as careless issuers do.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let [n, e] = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
            Pair::Ec(_, point) => {
                let (x, y) = point[1..].split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(pair.public_key())}),
            Pair::Secret(bytes) => json!({"kty": "oct", "k": BASE64.encode(bytes)}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg);
        jwk["use"] = json!("sig");
        jwk
    }

    /// What a forger takes for the secret of `HS256`: the public key as every library writes it (SubjectPublicKeyInfo).
    pub fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ec(_, point) => point.clone(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Secret(bytes) => bytes.clone(),
        }
    }
}

/// A key set of these keys, as text.
pub fn key_set(keys: &[Arc<Key>]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn ec(form: &'static EcdsaSigningAlgorithm) -> Pair {
    let pair = EcdsaKeyPair::generate(form).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    Pair::Ec(pair.to_pkcs8v1().unwrap().as_ref().to_vec(), point)
}

fn ec_form(alg: &str) -> &'static EcdsaSigningAlgorithm {
    match alg {
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        "ES256-DER" => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        "ES384-DER" => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        other => panic!("an elliptic key does not sign as {other}"),
    }
}

fn sign_rsa(pair: &rsa::KeyPair, alg: &str, message: &[u8]) -> Vec<u8> {
    let form: &'static dyn RsaEncoding = match alg {
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        "PS384" => &signature::RSA_PSS_SHA384,
        "PS512" => &signature::RSA_PSS_SHA512,
        other => panic!("an RSA key does not sign as {other}"),
    };
    let mut signed = vec![0; pair.public_modulus_len()];
    pair.sign(form, &SystemRandom::new(), message, &mut signed).unwrap();
    signed
}

/// Modulus and exponent out of an RSAPublicKey: a sequence of two integers, without their leading zeros.
fn rsa_numbers(der: &[u8]) -> [&[u8]; 2] {
    let (sequence, _) = der_value(der);
    let (n, rest) = der_value(sequence);
    let (e, _) = der_value(rest);
    [n, e].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (der[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
        }
    };
    der[start..].split_at(length)
}

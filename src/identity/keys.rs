//! Keys of a provider: read one by one so that an odd member does not cost the others (RFC 7517), parsed once.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::token::Parsed;
use crate::digest::sha256;
use crate::refusal::{Reason, Refusal};

/// Most keys of one set.
const MOST_KEYS: usize = 64;

/// RSA moduli that are safe (NIST SP 800-131A) and not absurd.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Most keys that are tried for a token without `kid`.
const MOST_TRIED: usize = 4;

/// A signature algorithm that Keyhouse verifies (RFC 7518 3, RFC 8037, RFC 9864). `none` and the HMACs are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

impl Algorithm {
    /// All, with their JOSE names; Ed25519 is EdDSA's new name.
    const NAMES: [(&str, Algorithm); 10] = [
        ("RS256", Rs256),
        ("RS384", Rs384),
        ("RS512", Rs512),
        ("PS256", Ps256),
        ("PS384", Ps384),
        ("PS512", Ps512),
        ("ES256", Es256),
        ("ES384", Es384),
        ("EdDSA", EdDsa),
        ("Ed25519", EdDsa),
    ];

    /// By its exact name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Every algorithm, as the default list.
    pub(super) fn all() -> Vec<Self> {
        Self::NAMES.iter().map(|(_, algorithm)| *algorithm).collect()
    }

    /// Every name, for messages.
    pub(super) fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            EdDsa => &signature::ED25519,
        }
    }
}

/// A key by its own bytes: the same key in the next set is the same key.
pub(super) type KeyId = [u8; 32];

struct Key {
    id: KeyId,
    kid: Option<String>,
    /// Whose tokens it signs, where the provider says so (Entra's extension).
    issuer: Option<String>,
    /// The algorithm that the provider says it is for.
    only: Option<Algorithm>,
    /// The algorithms that fit its type, each ready to verify.
    ready: Vec<(Algorithm, ParsedPublicKey)>,
}

/// The signing keys of one provider.
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a JWK set. Members that are no signing keys are left out, each with a reason for the log.
    ///
    /// # Errors
    /// A sentence where nothing usable is left.
    pub(super) fn read(json: &[u8]) -> Result<(Self, Vec<String>), String> {
        let set: Value = serde_json::from_slice(json).map_err(|error| format!("the key set is not JSON ({error})"))?;
        let members = set.get("keys").and_then(Value::as_array).ok_or("the key set has no list `keys`")?;
        let mut keys = Vec::new();
        let mut left_out = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let name = member.get("kid").and_then(Value::as_str).map_or_else(|| format!("number {index}"), |kid| format!("{kid:?}"));
            if keys.len() == MOST_KEYS {
                left_out.push(format!("key {name} and what follows: the set has more than {MOST_KEYS}"));
                break;
            }
            match key(member) {
                Ok(key) => keys.push(key),
                Err(why) => left_out.push(format!("key {name}: {why}")),
            }
        }
        if keys.is_empty() {
            return Err(format!("the key set has no usable signing key ({})", left_out.join("; ")));
        }
        Ok((Self(keys), left_out))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What each key is good for, by the variants' names.
    #[cfg(keyhouse_fuzz)]
    pub(super) fn algorithms(&self) -> Vec<Vec<String>> {
        let names = |key: &Key| key.ready.iter().map(|(algorithm, _)| format!("{algorithm:?}")).collect();
        self.0.iter().map(names).collect()
    }

    /// Whether a token that names this key can be judged with the set.
    pub(super) fn has_kid(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.0.iter().any(|key| key.kid.as_deref() == Some(kid)))
    }

    /// Whether the key is still there.
    pub(super) fn has(&self, id: &KeyId) -> bool {
        self.0.iter().any(|key| key.id == *id)
    }

    /// Whether the key signs for an issuer that is made from its own template like this.
    pub(super) fn signs_for(&self, id: &KeyId, is: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|key| key.id == *id && key.issuer.as_deref().is_some_and(&is))
    }

    /// Verifies the signature, and says by which key.
    pub(super) fn verify(&self, parsed: &Parsed<'_>, algorithm: Algorithm, provider: &str) -> Result<KeyId, Refusal> {
        let candidates = self.candidates(parsed.kid(), algorithm, provider)?;
        for (id, key) in candidates {
            if key.verify_sig(parsed.signed.as_bytes(), &parsed.signature).is_ok() {
                return Ok(id);
            }
        }
        Err(bad_signature(provider))
    }

    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm, provider: &str) -> Result<Vec<(KeyId, &ParsedPublicKey)>, Refusal> {
        let named: Vec<&Key> = self.0.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid).collect();
        let of_type: Vec<&Key> = named.iter().filter(|key| key.ready.iter().any(|(fits, _)| *fits == algorithm)).copied().collect();
        let fitting: Vec<&Key> = of_type.iter().filter(|key| key.only.is_none_or(|only| only == algorithm)).copied().collect();
        let refusal = |reason, says: String| Err(Refusal::new(reason, says));
        if named.is_empty() || (kid.is_none() && fitting.is_empty()) {
            return refusal(
                Reason::UnknownKey,
                format!(
                    "Provider {provider} has no signing key that fits the token's `kid`. Get a new token; the provider may have changed its keys."
                ),
            );
        }
        if of_type.is_empty() {
            return refusal(
                Reason::KeyTypeMismatch,
                format!("The token's algorithm does not fit the type of the key that it names at provider {provider}."),
            );
        }
        if fitting.is_empty() {
            return refusal(Reason::KeyAlgMismatch, format!("The key that the token names at provider {provider} is for another algorithm."));
        }
        if kid.is_none() && fitting.len() > MOST_TRIED {
            return refusal(
                Reason::AmbiguousKey,
                format!("The token names no key (`kid`), and provider {provider} has {} that fit; at most {MOST_TRIED} are tried.", fitting.len()),
            );
        }
        Ok(fitting.into_iter().flat_map(|key| key.ready.iter().filter(|(fits, _)| *fits == algorithm).map(|(_, parsed)| (key.id, parsed))).collect())
    }
}

/// The refusal of a signature that does not fit.
pub(super) fn bad_signature(provider: &str) -> Refusal {
    Refusal::new(Reason::BadSignature, format!("The token's signature does not fit it by the keys of provider {provider}. Get a new token."))
}

fn key(member: &Value) -> Result<Key, String> {
    let text = |name: &str| member.get(name).and_then(Value::as_str);
    // Before anything else about it, because this is the one that an operator must read.
    if text("kty") == Some("oct") {
        return Err("is a shared secret that the provider publishes to everybody; have it removed".to_owned());
    }
    if text("use").is_some_and(|used_for| used_for != "sig") {
        return Err("is not for signatures (`use`)".to_owned());
    }
    let operations = member.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return Err("is not for verifying (`key_ops`)".to_owned());
    }
    let kid = match member.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err("has a `kid` that is no string".to_owned()),
    };
    let only = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::named(name).ok_or_else(|| format!("is for the algorithm {name:?}, which Keyhouse does not verify"))?),
    };
    let bytes = |name: &str| {
        let text = text(name).ok_or_else(|| format!("has no `{name}`"))?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| format!("has a `{name}` that is not base64url ({error})"))
    };
    let (algorithms, public): (&[Algorithm], Vec<u8>) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => {
            let components = PublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
            // The library looks at the size only when it verifies.
            let bits = components.n.iter().skip_while(|byte| **byte == 0).count() * 8;
            if !(RSA_BITS.contains(&bits)) {
                return Err(format!("is an RSA key of about {bits} bits; 2048 to 8192 are taken"));
            }
            let der: PublicKeyX509Der<'_> = components.as_der().map_err(|error| format!("is no RSA key ({error})"))?;
            (&[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512], der.as_ref().to_vec())
        }
        (Some("EC"), Some(curve @ ("P-256" | "P-384"))) => {
            // SEC 1 2.3.3: the uncompressed point.
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            (if curve == "P-256" { &[Es256] } else { &[Es384] }, point)
        }
        (Some("OKP"), Some("Ed25519")) => (&[EdDsa], bytes("x")?),
        (kty, crv) => return Err(format!("is of the type {kty:?} {crv:?}, which Keyhouse does not verify")),
    };
    let ready = algorithms
        .iter()
        .map(|algorithm| Ok((*algorithm, ParsedPublicKey::new(algorithm.verification(), &public)?)))
        .collect::<Result<Vec<_>, aws_lc_rs::error::KeyRejected>>()
        .map_err(|error| format!("is refused ({error})"))?;
    Ok(Key { id: sha256(&public), kid, issuer: text("issuer").map(str::to_owned), only, ready })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn one_odd_key_does_not_cost_the_others() {
        let set = serde_json::json!({"keys": [
            {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "too small"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": 7},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "enc"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "good", "alg": "Ed25519"},
            "nothing",
        ]});
        let (set, left_out) = KeySet::read(set.to_string().as_bytes()).unwrap();
        assert_eq!((set.len(), left_out.len()), (1, 5), "{left_out:?}");
        assert!(set.has_kid(Some("good")) && !set.has_kid(Some("a")) && set.has_kid(None));
    }

    #[test]
    fn a_set_without_a_usable_key_is_no_set() {
        for text in ["", "<html>", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
            assert!(KeySet::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_exact_names_of_public_key_algorithms_are_known() {
        for name in ["none", "None", "HS256", "rs256", "ES512", "RSA-OAEP", ""] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
        assert_eq!(Algorithm::named("Ed25519"), Algorithm::named("EdDSA"));
    }
}

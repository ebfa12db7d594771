//! JSON of tokens: an object, nothing in it twice, not deeper than it has to be (RFC 7519 4, RFC 8725 2.4).

use std::cell::RefCell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

/// Deepest nesting of a claim.
const DEPTH: u8 = 16;

/// Why it is no object that can be believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not JSON, not an object, or too deep.
    Malformed,
    /// This member stands there twice.
    Twice(String),
}

/// Reads an object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Flaw> {
    // Once for all of it, or every string would be looked at by itself.
    let text = str::from_utf8(bytes).map_err(|_error| Flaw::Malformed)?;
    let twice = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Strict { depth: DEPTH, twice: &twice }.deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    match (read, twice.into_inner()) {
        (Ok(Value::Object(object)), _) => Ok(object),
        (_, Some(name)) => Err(Flaw::Twice(name)),
        (_, None) => Err(Flaw::Malformed),
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    twice: &'a RefCell<Option<String>>,
}

impl<'a> Strict<'a> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            match object.entry(name) {
                Entry::Vacant(place) => place.insert(value),
                Entry::Occupied(place) => {
                    self.twice.replace(Some(place.key().clone()));
                    return Err(A::Error::custom("twice"));
                }
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_twice_at_any_depth() {
        assert_eq!(object(br#"{"aud":"a","aud":"b"}"#), Err(Flaw::Twice("aud".into())));
        assert_eq!(object(br#"{"a":[{"g":1,"g":2}]}"#), Err(Flaw::Twice("g".into())));
        assert_eq!(object(br#"{"a\u0075d":1,"aud":2}"#), Err(Flaw::Twice("aud".into())));
        assert!(object(br#"{"a":{"x":1},"b":{"x":1}}"#).is_ok());
    }

    #[test]
    fn what_is_not_one_flat_enough_object_is_malformed() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for text in ["", "[]", "1", "null", "{}x", "{\"a\":1}{}", "\u{feff}{}", "{\"a\":}", &deep, &"[".repeat(1_000_000)] {
            assert_eq!(object(text.as_bytes()), Err(Flaw::Malformed));
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(Flaw::Malformed));
    }
}

//! Where a connection and a request come from, when proxies that the config trusts stand before Keyhouse. Nobody else is
//! believed about it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The bytes of a PROXY header that say how many follow (section 2.2 of its specification).
const FIXED: usize = 16;

/// Most bytes that may follow: addresses, and what load balancers add (their certificates' names, an endpoint's id).
const LONGEST: usize = 4096;

/// Reads a PROXY header, version 2, and not one byte more. Gives the address that it tells, or nothing where the proxy speaks
/// for itself (its health checks).
pub(super) async fn proxy_header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, String> {
    let mut bytes = vec![0; FIXED];
    let broken = |error: std::io::Error| format!("it breaks off ({error})");
    stream.read_exact(&mut bytes).await.map_err(broken)?;
    if !bytes.starts_with(ppp::v2::PROTOCOL_PREFIX) {
        return Err("it begins with something else".to_owned());
    }
    let length = bytes.last_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    if length > LONGEST {
        return Err(format!("it is {length} bytes long, more than {LONGEST}"));
    }
    bytes.resize(FIXED + length, 0);
    if let Some(rest) = bytes.get_mut(FIXED..) {
        stream.read_exact(rest).await.map_err(broken)?;
    }
    told(&bytes)
}

/// What a whole PROXY header tells.
pub(super) fn told(bytes: &[u8]) -> Result<Option<SocketAddr>, String> {
    let header = Header::try_from(bytes).map_err(|error| error.to_string())?;
    match (header.command, header.addresses) {
        (Command::Local, _) => Ok(None),
        (Command::Proxy, Addresses::IPv4(pair)) => Ok(Some(SocketAddr::from((pair.source_address, pair.source_port)))),
        (Command::Proxy, Addresses::IPv6(pair)) => Ok(Some(SocketAddr::from((pair.source_address, pair.source_port)))),
        (Command::Proxy, Addresses::Unix(_) | Addresses::Unspecified) => Err("it tells no IP address".to_owned()),
    }
}

/// An `X-Forwarded-For` of a trusted proxy that is no list of addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where a request comes from: the last address of `X-Forwarded-For` that is no trusted proxy's, read from the end, because
/// what stands before it the caller may have written.
pub(super) fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<IpAddr, Malformed> {
    let mut from = peer.to_canonical();
    if trusted.is_empty() || !network::hold(trusted, from) {
        return Ok(from);
    }
    for line in headers.get_all(FORWARDED_FOR).into_iter().collect::<Vec<_>>().into_iter().rev() {
        let line = line.to_str().map_err(|_not_ascii| Malformed)?;
        for item in line.rsplit(',') {
            from = address(item.trim()).ok_or(Malformed)?.to_canonical();
            if !network::hold(trusted, from) {
                return Ok(from);
            }
        }
    }
    Ok(from)
}

/// An address, which some proxies write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use http::HeaderValue;
    use ppp::v2::{Builder, Protocol, Version};

    use super::*;

    fn trusted() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
    }

    fn from(peer: &str, lines: &[&'static str]) -> Result<String, Malformed> {
        let headers = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line))).collect();
        forwarded(peer.parse().unwrap(), &headers, &trusted()).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_about_who_came_to_them() {
        for (peer, lines, expected) in [
            ("192.0.2.1", vec!["203.0.113.9"], Ok("192.0.2.1")),
            ("10.1.1.1", vec![], Ok("10.1.1.1")),
            ("10.1.1.1", vec!["203.0.113.9"], Ok("203.0.113.9")),
            ("::ffff:10.1.1.1", vec!["203.0.113.9"], Ok("203.0.113.9")),
            ("10.1.1.1", vec!["1.2.3.4, 203.0.113.9, 10.2.2.2"], Ok("203.0.113.9")),
            ("10.1.1.1", vec!["1.2.3.4", "203.0.113.9,10.2.2.2"], Ok("203.0.113.9")),
            ("10.1.1.1", vec!["10.3.3.3, 10.2.2.2"], Ok("10.3.3.3")),
            ("10.1.1.1", vec!["203.0.113.9:4711"], Ok("203.0.113.9")),
            ("fd00::1", vec!["[2001:db8::1]:4711"], Ok("2001:db8::1")),
            ("fd00::1", vec!["[2001:db8::1]"], Ok("2001:db8::1")),
            ("10.1.1.1", vec!["nonsense, 203.0.113.9"], Ok("203.0.113.9")),
            ("10.1.1.1", vec!["203.0.113.9, nonsense"], Err(Malformed)),
            ("10.1.1.1", vec!["203.0.113.9, "], Err(Malformed)),
            ("10.1.1.1", vec![""], Err(Malformed)),
            ("10.1.1.1", vec!["unknown"], Err(Malformed)),
        ] {
            assert_eq!(from(peer, &lines), expected.map(str::to_owned), "{peer} {lines:?}");
        }
    }

    #[tokio::test]
    async fn a_proxy_header_is_read_whole_and_nothing_of_what_follows() {
        let of = |command, source: &str| {
            let pair = (source.parse::<SocketAddr>().unwrap(), source.parse::<SocketAddr>().unwrap());
            Builder::with_addresses(Version::Two | command, Protocol::Stream, pair).write_tlv(4_u8, b"id").unwrap().build().unwrap()
        };
        for source in ["203.0.113.9:1", "[2001:db8::1]:2"] {
            let bytes = [of(Command::Proxy, source), b"GET /".to_vec()].concat();
            let mut stream = bytes.as_slice();
            assert_eq!(proxy_header(&mut stream).await, Ok(Some(source.parse().unwrap())));
            assert_eq!(stream, b"GET /");
        }
        assert_eq!(proxy_header(&mut of(Command::Local, "1.2.3.4:1").as_slice()).await, Ok(None));
        let mut long = of(Command::Proxy, "1.2.3.4:1");
        long[14..16].copy_from_slice(&[0xff, 0xff]);
        let unix = [&of(Command::Proxy, "1.2.3.4:1")[..13], &[0x31, 0, 216], &[0; 216]].concat();
        for bytes in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), vec![], long, unix] {
            assert!(proxy_header(&mut bytes.as_slice()).await.is_err(), "{bytes:?}");
        }
    }
}

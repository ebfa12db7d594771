//! What proxies say of an address: a PROXY header is read to its own end and tells what its bytes say, and no line of
//! X-Forwarded-For moves an address that no trusted proxy vouches for.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use keyhouse::listen::fuzzing::{forwarded, proxy_header};
use libfuzzer_sys::fuzz_target;

/// The bytes of a header that say how many follow.
const FIXED: usize = 16;

fuzz_target!(|input: &[u8]| {
    if let Ok((told, taken)) = proxy_header(input) {
        let length = usize::from(u16::from_be_bytes([input[14], input[15]]));
        assert_eq!(taken, FIXED + length, "not to its own end");
        assert!(input.starts_with(b"\r\n\r\n\0\r\nQUIT\n") && input[12] >> 4 == 2, "another version");
        match (input[12] & 15, input[13] >> 4, told) {
            (0, _, None) => {}
            (1, 1, Some(told)) => {
                assert_eq!((told.ip(), told.port()), (IpAddr::from(octets::<4>(input, 16)), u16::from_be_bytes(octets(input, 24))));
            }
            (1, 2, Some(told)) => {
                assert_eq!((told.ip(), told.port()), (IpAddr::from(octets::<16>(input, 16)), u16::from_be_bytes(octets(input, 48))));
            }
            other => panic!("{other:?} was believed"),
        }
    }
    lines(input);
});

fn octets<const N: usize>(input: &[u8], at: usize) -> [u8; N] {
    input[at..at + N].try_into().expect("as many")
}

/// The same bytes as lines of X-Forwarded-For.
fn lines(input: &[u8]) {
    let name = HeaderName::from_static("x-forwarded-for");
    let headers: HeaderMap = input.split(|byte| *byte == b'\n').filter_map(|line| Some((name.clone(), HeaderValue::from_bytes(line).ok()?))).collect();
    let trusted = ["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
    let [stranger, proxy] = [IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))];
    assert_eq!(forwarded(stranger, &headers, &trusted), Some(stranger), "a stranger was believed");
    assert_eq!(forwarded(proxy, &headers, &[]), Some(proxy), "nobody is trusted");
    let Some(from) = forwarded(proxy, &headers, &trusted) else { return };
    // It is the proxy's own, or stands in a line.
    let text = headers.get_all(&name).iter().filter_map(|line| line.to_str().ok()).collect::<Vec<_>>().join(",");
    let written = |item: &str| {
        let bare = item.trim().trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok().or_else(|| item.trim().parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
        address.is_some_and(|address| address.to_canonical() == from)
    };
    assert!(from == proxy || text.split(',').any(written), "{from} stands nowhere in {text:?}");
}

//! The planner of the hosts file, held to the laws of the random tests.
//!
//! The first byte says: `--prune`, and whether the rest is text as it is or a token a byte. Then four bytes of members.

#![no_main]

#[path = "../laws/mod.rs"]
mod laws;
#[path = "../oracle/mod.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::{Input, Registry};

/// Few numbers and few addresses, so that they meet.
const NUMBERS: [&str; 4] = ["1", "2", "10", "99999"];
const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2", "127.0.0.1", "127.0.0.5", "::1"];

#[rustfmt::skip]
const TOKENS: [&[u8]; 40] = [
    b"\n", b"\r\n", b" ", b"\t", b"\x0b", b"\x0c", b"\r", b"\0", b"#", b"1",
    b"zoov1", b"zoov2", b"zoov10", b"zoov99999", b"zoov3", b"ZOOV1", b"zOOv2", b" zoov1", b" zoov2", b"zoov",
    b"zoov01", b"zoov100000", b"zoov1.internal", b"web", b"localhost", b"\xff", b"\xc2\xa0", b"\n10.0.0.1 ", b"\n10.0.0.2\t", b"\n10.0.0.9 ",
    b"10.0.0.3", b"2001:db8::1", b"2001:DB8:0::0001", b"::ffff:10.0.0.1", b"\n127.0.0.1 ", b"127.0.0.5", b"\n::1 ", b"::ffff:127.0.0.1", b"fe80::1%eth0", b"10.0.1",
];

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_at_checked(5) else { return };
    let mut registry = Registry::new();
    for byte in head[1..].iter().map(|byte| usize::from(*byte)).filter(|byte| byte & 0x80 == 0) {
        registry.insert(format!("zoov{}", NUMBERS[byte & 3]), ADDRESSES[byte >> 2 & 7].parse().unwrap());
    }
    let token = |byte: &u8| TOKENS[usize::from(*byte) % TOKENS.len()];
    let text = if head[0] & 2 == 0 { rest.to_vec() } else { rest.iter().flat_map(token).copied().collect() };
    // The oracle is naive, and looks each name up in each line.
    if !registry.is_empty() && text.len() < 4096 {
        laws::all(&Input { text, registry, prune: head[0] & 1 == 1 });
    }
});

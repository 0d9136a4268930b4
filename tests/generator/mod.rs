//! Hostile hosts files, and registries that have to do with them.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::select;

pub use crate::oracle::Input;

/// Few numbers and few addresses, so that they meet: right lines, duplicates and shared addresses are common.
const NUMBERS: [&str; 6] = ["1", "2", "3", "4", "10", "99999"];

const WANTED: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"];

/// Other spellings of wanted addresses, and addresses that are nobody's or answer in two families.
const OTHERS: [&str; 9] = [
    "10.0.0.9",
    "2001:DB8:0::0001",
    "2001:db8::0.0.0.2",
    "::ffff:10.0.0.1",
    "::FFFF:0a00:2",
    "fe80::1",
    "ff02::1",
    "0.0.0.0",
    "::",
];

const LOOPBACK: [&str; 5] = ["127.0.0.1", "127.0.1.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"];

const NO_ADDRESS: [&[u8]; 11] = [
    b"fe80::1%eth0",
    b"10.0.0.01",
    b"10.0.1",
    b"1.2.3.4.5",
    b"10.0.0.1/24",
    b"0x0a.0.0.1",
    b":::1",
    b"10.0.0.1\xff",
    b"10.0.0.1\xc2\xa0",
    b"zoov1",
    b"localhost",
];

const FOREIGN: [&[u8]; 8] = [b"web", b"WEB", b"db.internal", b"localhost", b"h\xf6st", b"\xff\xfe", b"\xc3\xbc", b"z"];

const NEAR_MISSES: [&[u8]; 9] = [
    b"zoov",
    b"zoov0",
    b"zoov01",
    b"xzoov1",
    b"zoov1.internal",
    b"zoov1.",
    b"zoov1x",
    b"zoov100000",
    b"zoov4294967297",
];

const SPACE: [&[u8]; 9] = [b" ", b" ", b" ", b"\t", b"\t\t", b" \t ", b"\r", b"\x0b", b"\x0c"];

const TAIL: [&[u8]; 12] = [
    b"",
    b"",
    b"",
    b"",
    b" ",
    b"\t\x0c",
    b"# zoov1",
    b" # 10.0.0.1 zoov2 caf\xe9",
    b"#",
    b"\0",
    b" \0 zoov1 web",
    b"\0#\0",
];

/// Pieces that are thrown together without any order.
const SOUP: [&[u8]; 18] = [
    b"10.0.0.1",
    b"::1",
    b"zoov1",
    b"zoov",
    b"web",
    b" ",
    b" ",
    b"\t",
    b"\r",
    b"\x0b",
    b"\x0c",
    b"\0",
    b"#",
    b"\n",
    b"1",
    b"\xff",
    b"\xc2\xa0",
    b"\xef\xbb\xbf",
];

pub fn input() -> impl Strategy<Value = Input> {
    let address = prop_oneof![10 => select(&WANTED[..]), 1 => select(vec!["127.0.0.1", "127.0.0.5", "::1"])];
    let address = address.prop_map(|address| address.parse::<IpAddr>().unwrap());
    let name = select(&NUMBERS[..]).prop_map(|number| format!("zoov{number}"));
    let registry = prop::collection::btree_map(name, address, 1..5);
    (text(), registry, any::<bool>()).prop_map(|(text, registry, prune)| Input { text, registry, prune })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(line(), 1..13), 0..3).prop_map(|(lines, ending)| {
        let mut text = lines.concat();
        if ending == 0 && text.ends_with(b"\n") {
            text.pop();
        }
        text
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        300 => entry(),
        20 => select(&TAIL[..]).prop_map(<[u8]>::to_vec),
        20 => prop::collection::vec(select(&SOUP[..]), 0..10).prop_map(|pieces| pieces.concat()),
        20 => prop::collection::vec(any::<u8>(), 0..20),
        1 => entry().prop_map(|entry| [entry, b" web".repeat(16_500), b" zoov1".to_vec()].concat()),
    ];
    (pieces, select(vec!["\n", "\n", "\r\n"])).prop_map(|(pieces, ending)| [&pieces, ending.as_bytes()].concat())
}

fn entry() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![
        10 => select(&WANTED[..]).prop_map(str::as_bytes),
        4 => select(&OTHERS[..]).prop_map(str::as_bytes),
        4 => select(&LOOPBACK[..]).prop_map(str::as_bytes),
        2 => select(&NO_ADDRESS[..]),
    ];
    let name = prop_oneof![
        8 => owned(),
        4 => select(&FOREIGN[..]).prop_map(<[u8]>::to_vec),
        2 => select(&NEAR_MISSES[..]).prop_map(<[u8]>::to_vec),
    ];
    let space = || select(&SPACE[..]);
    let name = (space(), name).prop_map(|(space, name)| [space, &name].concat());
    let names = prop::collection::vec(name, 0..5).prop_map(|names| names.concat());
    let indent = prop_oneof![8 => Just(&b""[..]), 1 => space()];
    (indent, address, names, select(&TAIL[..]))
        .prop_map(|(indent, address, names, tail)| [indent, address, &names, tail].concat())
}

/// An owned name, in any mixture of cases.
fn owned() -> impl Strategy<Value = Vec<u8>> {
    let cases = prop_oneof![3 => Just(0_u8), 1 => 0..16_u8];
    (select(&NUMBERS[..]), cases).prop_map(|(number, cases)| {
        let mut name = format!("zoov{number}").into_bytes();
        for (index, letter) in name[..4].iter_mut().enumerate() {
            if cases >> index & 1 == 1 {
                letter.make_ascii_uppercase();
            }
        }
        name
    })
}

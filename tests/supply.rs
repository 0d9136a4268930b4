//! What the program is made of. `tests/deny.toml` says which licences and sources it may come from.

mod fixture;

use std::collections::BTreeSet;
use std::process::Command;

use fixture::tool;

#[test]
fn no_more_than_a_hundred_crates() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--edges=normal", "--prefix=none", "--format={p}"]);
    let tree = tool(tree.current_dir(env!("CARGO_MANIFEST_DIR")));
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert!(crates.iter().any(|name| name.starts_with("ureq ")), "{tree}");
    println!("{} crates", crates.len());
    assert!(crates.len() <= 100, "{}: {crates:?}", crates.len());
}

#[test]
fn no_unsafe_code_of_our_own() {
    // forbid cannot be lifted further in, as deny could; the fuzz targets and tests are not the program.
    let manifest = include_str!("../Cargo.toml");
    let lints = manifest.split("\n[lints.rust]\n").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(lints.lines().any(|line| line == "unsafe_code = \"forbid\""), "{lints}");
}

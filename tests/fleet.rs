//! What README shows of a fleet is what the example prints and draws.

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

/// What the example prints, which cargo builds before it runs the tests.
fn fleet(arguments: &[&str]) -> String {
    let example = Path::new(env!("CARGO_BIN_EXE_zk-hosts")).parent().unwrap().join("examples/fleet");
    let done = Command::new(example).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn readme_shows_what_small_fleets_ask() {
    for line in fleet(&["1000", "10000", "100000"]).lines() {
        assert!(README.contains(&format!("\n{line}\n")), "{line}");
    }
}

/// Half a minute without optimisation.
#[cfg(feature = "system")]
#[test]
fn readme_shows_the_table_and_the_plot() {
    let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleet.svg");
    let table = fleet(&["--svg", svg.to_str().unwrap()]);
    assert!(README.contains(&table), "{table}");
    assert_eq!(std::fs::read_to_string(svg).unwrap(), include_str!("../examples/fleet.svg"));
}

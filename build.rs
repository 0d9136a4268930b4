//! Links the unwinder, which Rust's library names but a program that aborts on a panic does not use, into the program.
//!
//! `libgcc_s.so.1` would be loaded, relocated and initialized once a pass: a tenth of the processor time of all of it.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

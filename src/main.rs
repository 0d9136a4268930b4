//! `zk-hosts`: parse, run, print the error once, exit.

#![warn(clippy::unwrap_used)]

use std::io::Write;
use std::process::ExitCode;

use zk_hosts::cli::{self, Command};
use zk_hosts::console::{self, Console};
use zk_hosts::failure::Failure;
use zk_hosts::{register, sync, unregister};

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(error) => return explain(&error),
    };
    let common = command.common();
    let console = Console { verbose: common.verbose, quiet: common.quiet };
    let done = match &command {
        Command::Sync(options) => sync::run(options, console),
        Command::Register(options) => register::run(options, console),
        Command::Unregister(options) => unregister::run(options, console),
    };
    match done {
        Ok(code) => code.into(),
        Err(error) => {
            console::error(&error);
            error.downcast_ref::<Failure>().map_or(1, |failure| failure.code()).into()
        }
    }
}

/// Help and version go to stdout; a wrong call is said without what a URL in it may hide.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let _ = std::io::stderr().write_all(console::redacted(&error.render().to_string()).as_bytes());
    Failure::Usage.code().into()
}

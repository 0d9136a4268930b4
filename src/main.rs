//! `zk-hosts`: parse, run, print the error once, exit.

#![warn(clippy::unwrap_used)]

use std::io::Write;
use std::process::ExitCode;

use zk_hosts::cli::{self, Command};
use zk_hosts::console::{self, Console};
use zk_hosts::failure::Failure;
use zk_hosts::sync;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let Command::Sync(options) = cli.command;
    let console = Console { verbose: options.common.verbose, quiet: options.common.quiet };
    match sync::run(&options, console) {
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

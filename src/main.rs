//! `zk-hosts`: parse, run, print the error once, exit.

#![warn(clippy::unwrap_used)]

use std::io::Write;
use std::process::ExitCode;

use zk_hosts::cli::{self, Command, Output};
use zk_hosts::console::{self, Console};
use zk_hosts::failure::Failure;
use zk_hosts::{metrics, register, status, sync, unregister};

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(error) => return explain(&error),
    };
    let common = command.common();
    let console = Console { verbose: common.verbose, quiet: common.quiet };
    let mut report = command.report();
    let done = match &command {
        Command::Sync(options) => sync::run(options, console, &mut report),
        Command::Register(options) => register::run(options, console, &mut report),
        Command::Unregister(options) => unregister::run(options, console, &mut report),
        Command::Status(options) => status::run(options, console, &mut report),
    };
    report.end(&done);
    match common.output {
        Output::Text => console.result(&report.text()),
        Output::Json => console::stdout(&report.json()),
    }
    if let Err(error) = &done {
        console::error(error);
    }
    if let Some(path) = command.metrics_file()
        && let Err(error) = metrics::write(path, &report)
    {
        console.warn(format!("write the metrics to {}: {error}", path.display()));
    }
    report.exit_code.into()
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

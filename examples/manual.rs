//! The man pages and the completions of bash, zsh and fish, from what the program itself knows of its command line:
//! `cargo run --example manual -- DIR`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Where a page has its date: that of this text would be another at each build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give the folder to write to")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;

    let mut program = zk_hosts::cli::commands().disable_help_subcommand(true);
    program.build();
    page(&folder, program.clone(), None)?;
    for command in program.get_subcommands() {
        page(&folder, command.clone(), Some(&program))?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = clap_complete::generate_to(shell, &mut program, "zk-hosts", &folder)?;
        // In bash a hyphen in the name keeps the options of commands from being completed: clap issue 6421.
        let text = fs::read_to_string(&file)?.replace("zk__subcmd__hosts", "zk__hosts");
        fs::write(file, text)?;
    }
    Ok(())
}

/// Writes the page of the program, or that of a command of this program.
fn page(folder: &Path, mut command: clap::Command, program: Option<&clap::Command>) -> Result<(), Box<dyn Error>> {
    let usage = command.render_usage().to_string();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let others = match program {
        Some(_) => vec!["zk-hosts(1)".to_owned()],
        None => command.get_subcommands().map(|command| format!("zk-hosts-{}(1)", command.get_name())).collect(),
    };
    let name = command.get_display_name().unwrap_or("zk-hosts").to_uppercase();
    let man = Man::new(command).title(name).date(VERSION).source("zk-hosts").manual("zk-hosts manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis(&usage).to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    if program.is_some() {
        man.render_options_section(&mut text)?;
    } else {
        man.render_subcommands_section(&mut text)?;
    }
    sections(&after, &others).to_writer(&mut text)?;
    fs::write(folder.join(man.get_filename()), text)?;
    Ok(())
}

/// How it is called, in the words of --help.
fn synopsis(usage: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(usage.trim_start_matches("Usage: "))]);
    roff
}

/// What --help says after the options, the exit codes and a note on the environment; and where there is more.
fn sections(after: &str, others: &[String]) -> Roff {
    let mut roff = Roff::new();
    let (codes, note) = after.split_once("\n\n").unwrap_or((after, ""));
    roff.control("SH", ["EXIT STATUS"]);
    for line in codes.lines().skip(1) {
        let (code, meaning) = line.trim().split_once(' ').unwrap_or((line, ""));
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning.trim())]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(note)]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(others.join(", "))]);
    roff
}

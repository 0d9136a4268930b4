//! What `--help` says stands alone: each option with its default or that it is required, its unit, and its variable.

mod fixture;

use fixture::{run, zk_hosts};

const COMMANDS: [&str; 4] = ["sync", "register", "unregister", "status"];

/// What makes no sense in a crontab has no variable.
const FLAGS_ONLY: [&str; 13] = [
    "--id",
    "--claim",
    "--size",
    "--ip",
    "--interface",
    "--force",
    "--unsafe-store",
    "--dry-run",
    "--probe",
    "--allow-loopback",
    "-v",
    "-q",
    "--help",
];

/// Each option of a command: its name, what stands for its value, and all that is said of it.
fn options(command: &str) -> Vec<(String, String, String)> {
    let help = run(zk_hosts().args([command, "--help"])).stdout;
    let options = help.split("Options:\n").nth(1).unwrap().split("\nExit codes:").next().unwrap();
    let mut found: Vec<(String, String, String)> = Vec::new();
    for line in options.lines() {
        let head = line.strip_prefix("      ").or_else(|| line.strip_prefix("  ")).unwrap_or(line);
        if head.starts_with('-') {
            let head = head.trim_start_matches("-h, ");
            let (name, value) = head.split_once(' ').unwrap_or((head, ""));
            found.push((name.to_owned(), value.to_owned(), String::new()));
        } else {
            let said = &mut found.last_mut().unwrap().2;
            *said = format!("{said} {}", line.trim());
        }
    }
    assert!(found.len() > 8, "{help}");
    found
}

#[test]
fn every_option_says_its_default_or_that_it_is_required() {
    for command in COMMANDS {
        for (name, _, said) in options(command) {
            let says = said.contains("[default: ") || said.contains("[required]");
            assert!(says || name == "--help", "{command} {name}:{said}");
        }
    }
}

#[test]
fn every_option_says_its_variable() {
    for command in COMMANDS {
        for (name, _, said) in options(command) {
            let variable = format!("[env: ZK_HOSTS_{}]", name.trim_start_matches('-').to_uppercase().replace('-', "_"));
            assert_eq!(said.contains(&variable), !FLAGS_ONLY.contains(&name.as_str()), "{command} {name}:{said}");
            assert_eq!(said.contains("[env: "), said.contains(&variable), "{command} {name}:{said}");
        }
    }
}

#[test]
fn every_number_says_what_it_may_be() {
    for command in COMMANDS {
        for (name, value, said) in options(command) {
            let what = match value.as_str() {
                "<DUR>" => "500ms, 20s, 2m, at most 1440m",
                "<PORT>" => "1 to 65535",
                "<N>" if name == "--changed-exit-code" => "0 to 63",
                "<N>" => "1 to 99999",
                _ => continue,
            };
            assert!(said.contains(what), "{command} {name}:{said}");
        }
    }
}

#[test]
fn every_help_tells_the_exit_codes() {
    for command in COMMANDS {
        let help = run(zk_hosts().args([command, "--help"])).stdout;
        let codes: Vec<&str> =
            help.split("Exit codes:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty()).collect();
        let codes: Vec<&str> = codes.iter().map(|line| line.split_whitespace().next().unwrap()).collect();
        for code in ["0", "64", "65", "66", "69", "74", "77", "78"] {
            assert!(codes.contains(&code), "{command}: {code}");
        }
        assert_eq!(codes.contains(&"2"), matches!(command, "sync" | "status"), "{command}");
        assert_eq!(codes.contains(&"75"), command != "status", "{command}");
    }
    let main = run(zk_hosts().arg("--help")).stdout;
    assert!(main.contains("Exit codes:\n") && main.contains("  78  "), "{main}");
}

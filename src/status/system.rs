//! PURE: what the system's own files say about the hosts file.

/// The service that is asked for host names before `files`, by the text of nsswitch.conf. None where `files` is first, and
/// where the text does not say, because `files` is the C library's own first.
#[must_use]
pub fn asked_before_files(nsswitch: &str) -> Option<&str> {
    let line = nsswitch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"))?;
    let first = line.split('#').next()?.split_whitespace().next()?;
    (first != "files").then_some(first)
}

/// Whether cloud-init writes the hosts file anew at each boot, by the text of one of its files. None where it does not say.
/// With `localhost` it keeps the file, and sees to the host's own name on 127.0.1.1 only.
#[must_use]
pub fn manages_hosts(cloud_config: &str) -> Option<bool> {
    let value = cloud_config.lines().rev().find_map(|line| line.strip_prefix("manage_etc_hosts:"))?;
    let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    Some(matches!(value.as_str(), "true" | "yes" | "on" | "template"))
}

/// Whether a ZooKeeper of this version keeps the addresses of its peers for ever.
#[must_use]
pub fn never_resolves_again(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', ',']).map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    (major, minor, patch) < (3, 4, 7) || ((3, 5, 0)..(3, 5, 4)).contains(&(major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_first() {
        let table = [
            ("", None),
            ("passwd: files\n", None),
            ("hosts: files dns\n", None),
            ("# hosts: dns\nhosts:          files mdns4_minimal [NOTFOUND=return] dns\n", None),
            ("hosts:\tdns files\n", Some("dns")),
            ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n", Some("mymachines")),
            ("hosts: # nothing\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(asked_before_files(text), expected, "{text}");
        }
    }

    #[test]
    fn whether_cloud_init_writes_the_hosts_file() {
        let table = [
            ("", None),
            ("preserve_hostname: true\n", None),
            ("manage_etc_hosts: true\n", Some(true)),
            ("manage_etc_hosts: localhost\n", Some(false)),
            ("manage_etc_hosts: yes\r\n", Some(true)),
            ("manage_etc_hosts: \"template\" # old\n", Some(true)),
            ("manage_etc_hosts: False\n", Some(false)),
            ("manage_etc_hosts: 'no'\n", Some(false)),
            ("manage_etc_hosts:\n", Some(false)),
            ("  manage_etc_hosts: true\n#manage_etc_hosts: true\n", None),
            ("manage_etc_hosts: true\nmanage_etc_hosts: false\n", Some(false)),
        ];
        for (text, expected) in table {
            assert_eq!(manages_hosts(text), expected, "{text}");
        }
    }

    #[test]
    fn which_zookeepers_are_too_old() {
        for old in ["3.3.6", "3.4.6-1569965", "3.4.0", "3.5.0-alpha", "3.5.3-beta-8ce24f9"] {
            assert!(never_resolves_again(old), "{old}");
        }
        for new in
            ["3.4.7", "3.4.14-4c25d48", "3.5.4-beta", "3.5.10", "3.6.0", "3.8.0-5a02a05", "4.0.0", "", "3.5", "x.y.z"]
        {
            assert!(!never_resolves_again(new), "{new}");
        }
    }
}

//! PURE: what `zk-hosts status` shows a person.

use std::fmt;

use super::{Probe, Row, Status};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(summary) = &self.summary {
            writeln!(f, "{summary}")?;
        }
        let mut lines = vec![["NAME", "REGISTRY", "AGE", "HOSTS FILE", "ZOOKEEPER"].map(str::to_owned)];
        lines.extend(self.members.iter().map(cells));
        if self.members.iter().all(|row| row.probe.is_none()) {
            for line in &mut lines {
                line[4].clear();
            }
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).collect();
        for (index, line) in lines.iter().enumerate().filter(|_| lines.len() > 1) {
            let padded = |column: usize| format!("{:1$}", line[column], widths[column]);
            let in_step = index.checked_sub(1).and_then(|index| self.members.get(index)).map(|row| row.in_step);
            let hosts_file = self.coloured(&padded(3), in_step);
            let text = [padded(0), padded(1), padded(2), hosts_file, padded(4)].join("  ");
            writeln!(f, "{}", text.trim_end())?;
        }
        for warning in &self.warnings {
            writeln!(f, "\nwarning: {}\n         {}", warning.message, warning.way_out)?;
        }
        Ok(())
    }
}

impl Status {
    fn coloured(&self, text: &str, in_step: Option<bool>) -> String {
        match in_step.filter(|_| self.colours) {
            Some(true) => format!("\x1b[32m{text}\x1b[0m"),
            Some(false) => format!("\x1b[31m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

fn cells(row: &Row) -> [String; 5] {
    let addresses: Vec<String> = row.hosts_file.iter().map(ToString::to_string).collect();
    let hosts_file = match (row.address, addresses.is_empty()) {
        _ if !row.is_compared => addresses.join(", "),
        (Some(_), _) if row.in_step => "in step".to_owned(),
        (Some(_), true) => "missing".to_owned(),
        (Some(_), false) => addresses.join(", "),
        (None, _) => format!("{} (kept)", addresses.join(", ")),
    };
    let registry = row.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let age = row.age_seconds.map_or_else(|| "-".to_owned(), age);
    let zookeeper = row.probe.as_ref().map(zookeeper).unwrap_or_default();
    [row.name.clone(), registry, age, hosts_file, zookeeper]
}

fn zookeeper(probe: &Probe) -> String {
    let Some(latency) = probe.latency_ms else {
        return "no answer".to_owned();
    };
    let mode = probe.mode.as_deref().unwrap_or("serves nobody");
    let version = probe.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{mode}{version}, {latency:.1} ms")
}

/// A length of time as one reads it.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

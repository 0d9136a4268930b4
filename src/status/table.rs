//! PURE: what `zk-hosts status` shows a person.

use std::fmt;

use super::{Probe, Row, Status};

/// What a terminal shows that nobody has made wider.
const WIDTH: usize = 80;

/// What stands before the warnings' first lines; the others stand under it.
const WARNING: &str = "warning: ";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(summary) = &self.summary {
            writeln!(f, "{summary}")?;
        }
        if !self.members.is_empty() {
            self.table(f)?;
        }
        for warning in &self.warnings {
            let (message, way_out) = (wrapped(&warning.message), wrapped(warning.way_out));
            writeln!(f, "\n{WARNING}{message}\n{:2$}{}", "", way_out, WARNING.len())?;
        }
        Ok(())
    }
}

impl Status {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_probed = self.members.iter().any(|row| row.probe.is_some());
        let zookeeper = if is_probed { "ZOOKEEPER" } else { "" };
        let mut lines = vec![["NAME", "REGISTRY", "AGE", "HOSTS FILE", zookeeper].map(Cell::plain).to_vec()];
        lines.extend(self.members.iter().flat_map(lines_of));
        if widths(&lines).iter().map(|width| width + 2).sum::<usize>() > WIDTH + 2 {
            lines = lines.iter().flat_map(|line| folded(line)).collect();
        }
        let widths = widths(&lines);
        for line in &lines {
            let padded = |(cell, width): (&Cell, &usize)| {
                format!("{}{:2$}", self.coloured(cell), "", width - cell.text.chars().count())
            };
            let cells: Vec<String> = line.iter().zip(&widths).map(padded).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    fn coloured(&self, cell: &Cell) -> String {
        match cell.in_step.filter(|_| self.colours) {
            Some(true) => format!("\x1b[32m{}\x1b[0m", cell.text),
            Some(false) => format!("\x1b[31m{}\x1b[0m", cell.text),
            None => cell.text.clone(),
        }
    }
}

#[derive(Clone, Default)]
struct Cell {
    text: String,
    in_step: Option<bool>,
}

impl Cell {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), in_step: None }
    }
}

/// A member's lines: each further address that the hosts file has stands on one of its own.
fn lines_of(row: &Row) -> Vec<Vec<Cell>> {
    let registry = row.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let age = row.age_seconds.map_or_else(|| "-".to_owned(), age);
    let zookeeper = row.probe.as_ref().map(zookeeper).unwrap_or_default();
    let line = |(index, text)| {
        let first = |text: &String| if index == 0 { Cell::plain(text) } else { Cell::default() };
        let hosts_file = Cell { text, in_step: row.in_step };
        vec![first(&row.name), first(&registry), first(&age), hosts_file, first(&zookeeper)]
    };
    hosts_file(row).into_iter().enumerate().map(line).collect()
}

/// What the hosts file says, at least a line of it.
fn hosts_file(row: &Row) -> Vec<String> {
    let addresses: Vec<String> = row.hosts_file.iter().map(ToString::to_string).collect();
    match (row.in_step, row.address) {
        (None, Some(_)) => vec!["unknown".to_owned()],
        (Some(true), Some(_)) => vec!["in step".to_owned()],
        (Some(false), Some(_)) if addresses.is_empty() => vec!["missing".to_owned()],
        (Some(_), None) => addresses.iter().map(|address| format!("{address} (kept)")).collect(),
        _ => addresses,
    }
}

/// A line that is too long, as two; the first of them only where it says something.
fn folded(line: &[Cell]) -> Vec<Vec<Cell>> {
    let (first, second) = line.split_at(3);
    let second = [&[Cell::default()], second].concat();
    if first.iter().all(|cell| cell.text.is_empty()) { vec![second] } else { vec![first.to_vec(), second] }
}

fn widths(lines: &[Vec<Cell>]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in lines {
        widths.resize(line.len(), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    widths
}

/// Text in lines of the terminal's width, of which the first begins where the others do: under the warning's first word.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| WARNING.len() + line.len() + 1 + word.len() <= WIDTH) {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:1$}", "", WARNING.len()))
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

//! What a fleet asks of its store in one minute: N hosts whose crons fire together, with clocks that are not quite in
//! step, against a store that serves 5,500 requests a second and refuses the rest. The splay and the pauses between
//! attempts are the program's own code. The same seed, the same table:
//!
//! `cargo run --release --example fleet -- [--splay SECONDS] [--svg PATH] [HOSTS...]`

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use zk_hosts::splay;
use zk_hosts::store::retry;

/// What S3 serves under one prefix of keys.
const SERVED_A_SECOND: u32 = 5_500;

/// From the call to its answer, a refusal too.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// The default of `sync --timeout`, and what another attempt needs of it.
const TIMEOUT: Duration = Duration::from_secs(20);
const LEAST: Duration = Duration::from_millis(500);

/// S3's price of a GET in us-east-1, and how many a host sends in a month of 730 hours.
const DOLLARS: f64 = 0.0004 / 1000.0;
const PASSES_A_MONTH: f64 = 730.0 * 60.0;

#[derive(Parser)]
struct Options {
    /// The splay that is set beside none
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    splay: u64,

    /// Write the plot there
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,

    /// How many hosts the fleets have
    #[arg(default_values_t = [1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])]
    hosts: Vec<u32>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let splay = Duration::from_secs(options.splay);
    let rows: Vec<Row> = options.hosts.iter().map(|&hosts| Row::simulated(hosts, splay)).collect();
    print!("{}", table(&rows, options.splay));
    if let Some(path) = options.svg {
        fs::write(&path, plot(&rows, options.splay)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// One fleet, without a splay and with it.
struct Row {
    hosts: u32,
    together: Minute,
    spread: Minute,
}

impl Row {
    fn simulated(hosts: u32, splay: Duration) -> Self {
        Self { hosts, together: Minute::simulated(hosts, Duration::ZERO), spread: Minute::simulated(hosts, splay) }
    }
}

/// What the store saw in a minute, and how many passes ended without an answer.
#[derive(Default)]
struct Minute {
    seconds: Vec<u32>,
    requests: u32,
    refused: u32,
    missed: u32,
}

/// A request on its way: when it reaches the store, whose it is, until when its pass may try, and how often it failed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    at: Duration,
    host: u32,
    deadline: Duration,
    failed: u32,
}

impl Minute {
    fn simulated(hosts: u32, splay: Duration) -> Self {
        let mut random = Random(u64::from(hosts));
        let mut ticks: Vec<Vec<Request>> = Vec::new();
        let send = |ticks: &mut Vec<Vec<Request>>, request: Request| {
            let tick = usize::try_from(request.at.as_nanos() / ROUND_TRIP.as_nanos()).expect("a minute is short");
            ticks.resize_with(ticks.len().max(tick + 1), Vec::new);
            ticks[tick].push(request);
        };
        for host in 0..hosts {
            send(&mut ticks, first(host, splay, &mut random));
        }
        let mut minute = Self::default();
        // A request that is sent again is a round trip later at the least: in a tick to come.
        let mut now = 0;
        while now < ticks.len() {
            let mut tick = std::mem::take(&mut ticks[now]);
            tick.sort_unstable();
            for request in tick {
                if minute.serves(request.at) {
                    continue;
                }
                let failed = request.failed + 1;
                let at = request.at + ROUND_TRIP + retry::pause(failed, None, random.next());
                if at + LEAST < request.deadline {
                    send(&mut ticks, Request { at, failed, ..request });
                } else {
                    minute.missed += 1;
                }
            }
            now += 1;
        }
        minute
    }

    /// The store serves the first requests of each second.
    fn serves(&mut self, at: Duration) -> bool {
        let second = usize::try_from(at.as_secs()).expect("a minute has few seconds");
        self.seconds.resize(self.seconds.len().max(second + 1), 0);
        self.seconds[second] += 1;
        self.requests += 1;
        let served = self.seconds[second] <= SERVED_A_SECOND;
        self.refused += u32::from(!served);
        served
    }

    fn peak(&self) -> u32 {
        self.seconds.iter().copied().max().unwrap_or_default()
    }
}

/// The first request of a host's pass. The minute begins at 10 s: some clocks are ahead.
fn first(host: u32, splay: Duration, random: &mut Random) -> Request {
    // cron sleeps whole seconds, so it wakes at its own fraction of the minute's first one. Clocks are kept within 50 ms,
    // but one in a hundred is left alone and up to 5 s off.
    let clock = if random.below(100) == 0 { random.below(10_000) } else { 4_950 + random.below(100) };
    let woken = Duration::from_millis(5_000 + clock + random.below(1_000));
    let machine_id = format!("{:016x}{:016x}", random.next(), random.next());
    let name = format!("ip-10-{}-{}-{}", host >> 16, (host >> 8) & 255, host & 255);
    let start = woken + splay::delay(splay, machine_id.as_bytes(), name.as_bytes());
    Request { at: start, host, deadline: start + TIMEOUT, failed: 0 }
}

/// `SplitMix64`: the same numbers at each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn table(rows: &[Row], splay: u64) -> String {
    let mut text = format!(
        "| hosts | no splay: peak second | refused | miss the minute | splay {splay} s: peak second | refused | miss the minute | $ a month |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for row in rows {
        let minute = |minute: &Minute| {
            let refused = share(minute.refused, minute.requests);
            format!("{} | {refused} | {}", grouped(minute.peak()), share(minute.missed, row.hosts))
        };
        let dollars = f64::from(row.hosts) * PASSES_A_MONTH * DOLLARS;
        let (hosts, together, spread) = (grouped(row.hosts), minute(&row.together), minute(&row.spread));
        let _ = writeln!(text, "| {hosts} | {together} | {spread} | {dollars:.2} |");
    }
    text
}

fn share(part: u32, whole: u32) -> String {
    match 100.0 * f64::from(part) / f64::from(whole) {
        0.0 => "none".to_owned(),
        share => format!("{share:.1} %"),
    }
}

/// A number with commas between its thousands.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Requests at the peak second over the number of hosts, both axes logarithmic.
fn plot(rows: &[Row], splay: u64) -> String {
    let x = |hosts: u32| 80.0 + 170.0 * (f64::from(hosts).log10() - 3.0);
    let y = |requests: u32| 330.0 - 60.0 * (f64::from(requests).log10() - 1.5);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 400\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"720\" height=\"400\" fill=\"#fff\"/>\n",
    );
    let mut line = |text: String| svg.extend([&text, "\n"]);
    let label = |x: f64, y: f64, anchor: &str, text: &str| {
        format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222">{text}</text>"##)
    };
    let rule = |from: (f64, f64), to: (f64, f64), style: &str| {
        format!(r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" {style}/>"#, from.0, from.1, to.0, to.1)
    };
    line(label(80.0, 24.0, "start", "Requests at the peak second, and hosts that miss the minute"));
    for power in 2..=6 {
        let requests = 10_u32.pow(power);
        line(rule((80.0, y(requests)), (620.0, y(requests)), r##"stroke="#ddd""##));
        line(label(72.0, y(requests) + 4.0, "end", &grouped(requests)));
    }
    for power in 3..=6 {
        let hosts = 10_u32.pow(power);
        line(rule((x(hosts), 40.0), (x(hosts), 330.0), r##"stroke="#ddd""##));
        line(label(x(hosts), 350.0, "middle", &grouped(hosts)));
    }
    line(label(350.0, 376.0, "middle", "hosts"));
    let limit = y(SERVED_A_SECOND);
    line(rule((80.0, limit), (620.0, limit), r##"stroke="#222" stroke-dasharray="6 4""##));
    line(label(616.0, limit - 6.0, "end", "what the store serves"));
    let together = rows.iter().map(|row| (row.hosts, &row.together)).collect();
    let spread = rows.iter().map(|row| (row.hosts, &row.spread)).collect();
    let curves: [(_, _, Vec<(u32, &Minute)>); 2] =
        [("#c0392b", "no splay".to_owned(), together), ("#2471a3", format!("splay {splay} s"), spread)];
    for (colour, name, fleets) in curves {
        let places: Vec<(f64, f64)> = fleets.iter().map(|(hosts, minute)| (x(*hosts), y(minute.peak()))).collect();
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        line(format!(r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, points.join(" ")));
        for ((hosts, minute), (x, y)) in fleets.iter().zip(&places) {
            line(format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#));
            if minute.missed > 0 {
                line(label(x - 6.0, y - 9.0, "end", &share(minute.missed, *hosts)));
            }
        }
        if let Some((x, y)) = places.last() {
            line(label(x + 10.0, y + 4.0, "start", &name));
        }
    }
    svg + "</svg>\n"
}

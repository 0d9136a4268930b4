//! Whether a member is alive, and whether it serves.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::claim::Liveness;

/// Long enough for a lost packet to be sent again once.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// How many members are looked at side by side.
const SIDE_BY_SIDE: usize = 32;

/// What a look at a member found.
#[derive(Debug)]
pub struct Look {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it is alive, where that was asked.
    pub liveness: Option<Liveness>,
    /// Whether it serves as leader or follower.
    pub serves: bool,
}

/// Looks at members side by side, and at those with true for a sign of life too, within `left`.
#[must_use]
pub fn look(members: &[(IpAddr, bool)], probe_port: u16, client_port: u16, left: Duration) -> Vec<Look> {
    side_by_side(members, left, |(ip, is_asked), left| {
        let serves = srvr(*ip, client_port, left()).is_some_and(|answer| answer.serves());
        let liveness = || if serves { Liveness::Alive } else { probe(*ip, probe_port, left()) };
        Look { ip: *ip, liveness: is_asked.then(liveness), serves }
    })
}

/// Asks servers by `srvr`, side by side, within `left`. None where one does not answer.
#[must_use]
pub fn ask(members: &[IpAddr], client_port: u16, left: Duration) -> Vec<(IpAddr, Option<Answer>)> {
    side_by_side(members, left, |ip, left| (*ip, srvr(*ip, client_port, left())))
}

/// What each task comes to; each is told what is left.
fn side_by_side<T: Sync, R: Send>(
    tasks: &[T],
    left: Duration,
    run: impl Fn(&T, &dyn Fn() -> Duration) -> R + Sync,
) -> Vec<R> {
    let until = Instant::now() + left;
    let run = |task: &T| run(task, &|| until.saturating_duration_since(Instant::now()));
    let together = |tasks: &[T]| -> Vec<R> {
        thread::scope(|scope| {
            let run = &run;
            let start = |task| {
                // Past the deadline nothing is asked; and a thread cannot always be made.
                if Instant::now() >= until {
                    return Err(run(task));
                }
                thread::Builder::new().spawn_scoped(scope, move || run(task)).map_err(|_| run(task))
            };
            let started: Vec<_> = tasks.iter().map(start).collect();
            started.into_iter().filter_map(|task| task.map_or_else(Some, |thread| thread.join().ok())).collect()
        })
    };
    tasks.chunks(SIDE_BY_SIDE).flat_map(together).collect()
}

/// Tries a TCP connection, for as long as an answer may take, or as is left.
#[must_use]
pub fn probe(address: IpAddr, port: u16, left: Duration) -> Liveness {
    let timeout = left.min(TIMEOUT);
    if timeout.is_zero() {
        return Liveness::Unknown;
    }
    let Err(error) = TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout) else {
        return Liveness::Alive;
    };
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Liveness::Refused,
        ErrorKind::TimedOut if timeout < TIMEOUT => Liveness::Unknown,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Liveness::Silent,
        _ => Liveness::Unknown,
    }
}

/// What a ZooKeeper answers to `srvr`.
#[derive(Debug)]
pub struct Answer {
    /// leader, follower, observer or standalone; None where it serves nobody.
    pub mode: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// From the connection's start to the answer's end.
    pub latency: Duration,
}

impl Answer {
    /// Reads the answer's text, which is some 200 bytes.
    fn read(text: &str, latency: Duration) -> Self {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let plain = |text: &str| text.chars().filter(char::is_ascii_graphic).take(40).collect();
        let version = value("Zookeeper version:").and_then(|version| version.split(['-', ',']).next()).map(plain);
        Self { mode: value("Mode:").map(plain), version, latency }
    }

    /// Whether it is in a quorum: one that is an observer or alone is not.
    fn serves(&self) -> bool {
        matches!(self.mode.as_deref(), Some("leader" | "follower"))
    }
}

/// Asks by `srvr`. None where nothing answers in time, as where a frozen process leaves the kernel to accept.
fn srvr(address: IpAddr, port: u16, left: Duration) -> Option<Answer> {
    let began = Instant::now();
    let text = exchange(address, port, began + left.min(TIMEOUT)).ok().filter(|text| !text.is_empty())?;
    Some(Answer::read(&text, began.elapsed()))
}

fn exchange(address: IpAddr, port: u16, until: Instant) -> io::Result<String> {
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(b"srvr")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while answer.len() < 8 * buffer.len() {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn alive_refused_and_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let probe = |left| probe("127.0.0.1".parse().unwrap(), port, left);
        assert_eq!(probe(TIMEOUT), Liveness::Alive);
        assert_eq!(probe(Duration::ZERO), Liveness::Unknown);
        drop(listener);
        assert_eq!(probe(TIMEOUT), Liveness::Refused);
    }

    #[test]
    fn who_serves() {
        let answers = [
            ("Zookeeper version: 3.8.0\nLatency min/avg/max: 0/0.0/0\nMode: leader\nNode count: 5\n", true),
            ("Mode: follower\r\n", true),
            ("Zookeeper version: 3.8.0\nMode: observer\n", false),
            ("Mode: standalone\n", false),
            ("This ZooKeeper instance is not currently serving requests\n", false),
            ("srvr is not executed because it is not in the whitelist.\n", false),
            ("Mode: leaderless\n", false),
            ("", false),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (answer, expected) in answers {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut word = [0; 4];
                    stream.read_exact(&mut word).unwrap();
                    assert_eq!(&word, b"srvr");
                    stream.write_all(answer.as_bytes()).unwrap();
                });
                let found = srvr(address.ip(), address.port(), Duration::from_secs(60));
                assert_eq!(found.is_some_and(|answer| answer.serves()), expected, "{answer}");
            });
        }
        // The kernel accepts for one that does not.
        assert!(srvr(address.ip(), address.port(), Duration::from_millis(100)).is_none());
        drop(listener);
        assert!(srvr(address.ip(), address.port(), TIMEOUT).is_none());
    }
}

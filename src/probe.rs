//! Whether a member is alive, and whether it serves.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a lost packet to be sent again once.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// What a connection tells of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It accepts connections.
    Alive,
    /// Its host is there and refuses them.
    Refused,
    /// Nothing answers, or nothing leads there.
    Silent,
    /// It could not be tried, or not for long enough.
    Unknown,
}

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
    let until = Instant::now() + left;
    let left = || until.saturating_duration_since(Instant::now());
    let one = |(ip, is_asked): (IpAddr, bool)| Look {
        ip,
        liveness: is_asked.then(|| probe(ip, probe_port, left())),
        serves: serves(ip, client_port, left()),
    };
    let together = |members: &[(IpAddr, bool)]| -> Vec<Look> {
        thread::scope(|scope| {
            let looks: Vec<_> = members.iter().map(|member| scope.spawn(move || one(*member))).collect();
            looks.into_iter().filter_map(|look| look.join().ok()).collect()
        })
    };
    members.chunks(SIDE_BY_SIDE).flat_map(together).collect()
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

/// Whether a ZooKeeper answers `srvr` there as a leader or a follower: one that accepts and stays silent, that is in no
/// quorum, or that is an observer or alone, does not.
fn serves(address: IpAddr, port: u16, left: Duration) -> bool {
    srvr(address, port, left.min(TIMEOUT)).is_ok_and(|answer| is_leader_or_follower(&answer))
}

fn srvr(address: IpAddr, port: u16, timeout: Duration) -> io::Result<String> {
    let until = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(b"srvr")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    // It closes at the end of some 200 bytes.
    while answer.len() < 8 * buffer.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_leader_or_follower(answer: &str) -> bool {
    answer.lines().any(|line| matches!(line.trim_end(), "Mode: leader" | "Mode: follower"))
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
                assert_eq!(serves(address.ip(), address.port(), Duration::from_secs(60)), expected, "{answer}");
            });
        }
        // The kernel accepts for one that does not.
        assert!(!serves(address.ip(), address.port(), Duration::from_millis(100)));
        drop(listener);
        assert!(!serves(address.ip(), address.port(), TIMEOUT));
    }
}

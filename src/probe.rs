//! Whether a member is alive.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough for a lost packet to be sent again once.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// What a connection tells of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It accepts connections.
    Alive,
    /// It refuses them, or nothing answers.
    Dead,
    /// There was no time to wait for an answer.
    Unknown,
}

/// Tries a TCP connection, for as long as an answer may take, or as is left.
#[must_use]
pub fn probe(address: IpAddr, port: u16, left: Duration) -> Liveness {
    let timeout = left.min(TIMEOUT);
    if timeout.is_zero() {
        return Liveness::Unknown;
    }
    match TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout) {
        Ok(_) => Liveness::Alive,
        Err(error) if error.kind() == io::ErrorKind::TimedOut && timeout < TIMEOUT => Liveness::Unknown,
        Err(_) => Liveness::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn alive_dead_and_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let probe = |left| probe("127.0.0.1".parse().unwrap(), port, left);
        assert_eq!(probe(TIMEOUT), Liveness::Alive);
        assert_eq!(probe(Duration::ZERO), Liveness::Unknown);
        drop(listener);
        assert_eq!(probe(TIMEOUT), Liveness::Dead);
    }
}

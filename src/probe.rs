//! Whether a member is alive.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough for a lost packet to be sent again once.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// Whether this address accepts a TCP connection on the port.
#[must_use]
pub fn accepts(address: IpAddr, port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::new(address, port), TIMEOUT).is_ok()
}

//! Servers that answer what they should not.

mod content;
pub mod server;
pub mod table;
mod transport;

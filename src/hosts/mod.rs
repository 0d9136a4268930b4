//! PURE: the bytes of a hosts file and the addresses that its owned names should have, in; new bytes and the changes, out.

mod diff;
mod entry;
mod name;
mod plan;

pub use diff::unified;
pub use entry::{is_loopback, lines_with};
pub use name::{Number, Prefix};
pub use plan::{Change, Edit, Plan, What, addresses, plan};

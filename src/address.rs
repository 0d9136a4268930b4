//! The address that this host publishes: the one that was given, or the only one that can be meant. Never a guess.

use std::net::IpAddr;

use anyhow::Result;
use nix::ifaddrs::getifaddrs;

use crate::failure::Failure;
use crate::imds;
use crate::registry::{Member, unusable};
use crate::store::Client;

/// Finds the address by `--ip`, by `--interface`, or by the metadata service of EC2.
///
/// # Errors
/// 78 where there is none, or more than one; 69 and 77 where the metadata service does not give it.
pub fn find(ip: Option<IpAddr>, interface: Option<&str>, allow_loopback: bool, client: &Client) -> Result<Member> {
    let member = match (ip, interface) {
        (Some(ip), _) => Member { ip, instance_id: None },
        (None, Some(interface)) => Member { ip: of_interface(interface)?, instance_id: None },
        (None, None) => of_instance(client)?,
    };
    match unusable(member.ip, allow_loopback) {
        Some(kind) => Err(Failure::NoAddress.because(format!("publish {}: it is {kind}", member.ip))),
        None => Ok(member),
    }
}

fn of_interface(name: &str) -> Result<IpAddr> {
    let failed =
        |cause: String| Failure::NoAddress.because(format!("find the address of the interface {name}: {cause}"));
    let all = getifaddrs().map_err(|error| failed(error.to_string()))?;
    let mut found: Vec<IpAddr> = all
        .filter(|interface| interface.interface_name == name)
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|address| unusable(*address, false).is_none())
        .collect();
    found.dedup();
    match found[..] {
        [address] => Ok(address),
        [] => Err(failed("it has no global address".to_owned())),
        _ => Err(failed(format!("it has several, {found:?}: name one by --ip"))),
    }
}

fn of_instance(client: &Client) -> Result<Member> {
    let address = match imds::get(client, "local-ipv4")? {
        Some(address) => Some(address),
        None => imds::get(client, "ipv6")?,
    };
    let none =
        || Failure::NoAddress.because("find this host's address: no --ip, no --interface, no EC2 metadata service");
    let address = address.ok_or_else(none)?;
    let ip = address.parse().map_err(|_| Failure::NoAddress.because("the metadata service gives no address"))?;
    Ok(Member { ip, instance_id: imds::get(client, "instance-id")? })
}

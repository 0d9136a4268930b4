//! The floor that a pass is measured beside: the same request by rustls and ring, or in clear, and nothing else.
//!
//! `bare http|https HOST:PORT TARGET CA_FILE`

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, scheme, server, target, ca_file] = arguments.as_slice() else {
        anyhow::bail!("give http|https HOST:PORT TARGET CA_FILE");
    };
    let mut socket = TcpStream::connect(server)?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: {server}\r\nuser-agent: bare\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    let answer = if scheme == "https" {
        let host = server.split(':').next().unwrap_or_default().to_owned();
        let mut connection = ClientConnection::new(Arc::new(trusting(ca_file)?), ServerName::try_from(host)?)?;
        ask(Stream::new(&mut connection, &mut socket), &request)?
    } else {
        ask(socket, &request)?
    };
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn trusting(ca_file: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).context("read the CA file")? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(ring::default_provider().into());
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

fn ask(mut server: impl Read + Write, request: &str) -> Result<Vec<u8>> {
    server.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

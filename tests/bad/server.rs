//! A server on loopback that does to each connection what a script says, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fixture::{Bench, shell};

/// What happens on a connection once the request has come, step by step; then it is closed.
pub type Answer = Vec<Step>;

#[derive(Clone)]
pub enum Step {
    /// These bytes are sent.
    Send(Vec<u8>),
    /// These are sent one by one, each a while after the other, over and over.
    Drip(Vec<u8>),
    /// These are sent over and over, as fast as they are taken.
    Endless(Vec<u8>),
    /// Nothing comes, and the connection stays.
    Silence,
    /// The connection is reset.
    Reset,
}

/// How the server is reached.
#[derive(Clone, Copy)]
pub enum Wire {
    /// By an http:// URL.
    Http,
    /// As an S3 endpoint that was set by hand.
    S3,
    /// By an https:// URL, with the certificate of this name.
    Tls(&'static str),
    /// By an https:// URL, though the script is what goes over the wire.
    NoTls,
    /// By a port that nobody listens on.
    Nobody,
}

pub struct Server {
    /// What `--registry` takes.
    pub registry: String,
    port: u16,
}

/// Serves the answers in turn, the last one for ever.
pub fn serve(wire: &Wire, answers: Vec<Answer>, certificates: &Bench) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let registry = match wire {
        Wire::Http | Wire::Nobody => format!("http://127.0.0.1:{port}/bucket/zk.json?X-Amz-Signature=5ec2e7"),
        Wire::S3 => "s3://bucket/zk.json".to_owned(),
        Wire::Tls(_) | Wire::NoTls => format!("https://localhost:{port}/bucket/zk.json?X-Amz-Signature=5ec2e7"),
    };
    let tls = match wire {
        Wire::Tls(name) => Some(tls(certificates, name)),
        _ => None,
    };
    if !matches!(wire, Wire::Nobody) {
        let is_raw = matches!(wire, Wire::NoTls);
        thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                let answer = answers[count.min(answers.len() - 1)].clone();
                let tls = tls.clone();
                // Where the client has had enough, that is all.
                thread::spawn(move || connection(stream?, tls, is_raw, &answer));
            }
        });
    }
    Server { registry, port }
}

impl Server {
    /// What an S3 client needs to know.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKID5ec2e7".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "5ec2e7".to_owned()),
        ]
    }
}

fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, is_raw: bool, answer: &Answer) -> io::Result<()> {
    match tls {
        None => follow(stream, is_raw, answer),
        Some(tls) => {
            let session = ServerConnection::new(tls).map_err(io::Error::other)?;
            follow(StreamOwned::new(session, stream), is_raw, answer)
        }
    }
}

fn follow(mut stream: impl Read + Write, is_raw: bool, answer: &Answer) -> io::Result<()> {
    // The kernel resets a connection that is closed with something unread. Of a client's hello the first byte will do too.
    let whole = !is_raw && !answer.iter().any(|step| matches!(step, Step::Reset));
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
        if !whole || head.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    for step in answer {
        match step {
            Step::Send(bytes) => stream.write_all(bytes)?,
            Step::Drip(bytes) => {
                for byte in bytes.iter().cycle() {
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Step::Endless(bytes) => loop {
                stream.write_all(bytes)?;
            },
            Step::Silence => {
                stream.flush()?;
                while stream.read(&mut byte)? > 0 {}
            }
            Step::Reset => break,
        }
    }
    stream.flush()
}

fn tls(certificates: &Bench, name: &str) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificates.path(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{}.key", key_of(name)))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(chain.map(Result::unwrap).collect(), key).unwrap())
}

fn key_of(name: &str) -> &str {
    if name == "ca" { "ca" } else { "server" }
}

/// `ca.pem`, which is trusted, and certificates of one key, of which only `good.pem` is.
pub fn certificates() -> Bench {
    let bench = Bench::new();
    shell(
        &bench.folder,
        "exec 2>/dev/null
         new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
         $new -x509 -days 30 -subj /CN=test-ca -keyout ca.key -out ca.pem
         $new -x509 -days 30 -subj /CN=other-ca -keyout other-ca.key -out other-ca.pem
         $new -subj /CN=localhost -keyout server.key -out server.csr
         name='subjectAltName=DNS:localhost,IP:127.0.0.1'
         signed() { # NAME CA EXTENSION...
             out=$1 ca=$2; shift 2; printf '%s\\n' \"$@\" > extensions
             $at openssl x509 -req -in server.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 30 \\
                 $how -extfile extensions -out $out.pem
         }
         at= how=
         signed good ca \"$name\"
         signed wrong-name ca subjectAltName=DNS:other.example
         signed no-name ca basicConstraints=CA:FALSE
         signed for-clients ca \"$name\" extendedKeyUsage=clientAuth
         signed an-authority ca \"$name\" basicConstraints=critical,CA:TRUE
         signed unknown-ca other-ca \"$name\"
         how=-sha1; signed sha1 ca \"$name\"; how=
         at='faketime 2020-01-01'; signed expired ca \"$name\"
         at='faketime 2035-01-01'; signed early ca \"$name\"; at=
         $new -subj /CN=middle -keyout middle.key -out middle.csr
         echo basicConstraints=critical,CA:TRUE > extensions
         openssl x509 -req -in middle.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \\
             -extfile extensions -out middle.pem
         signed no-chain middle \"$name\"
         openssl req -x509 -key server.key -days 30 -subj /CN=localhost -addext \"$name\" -out self-signed.pem",
    );
    bench
}

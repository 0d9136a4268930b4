//! Why a call failed: one value for each way out.

use std::fmt::{self, Display};

/// The root of each error. Its text is the way out, so that an error's chain reads: operation, object, cause, way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call itself is wrong.
    Usage,
    /// The registry's content is not valid.
    Refused,
    /// Something answered that is not the registry.
    NotARegistry,
    /// The object, or the file, does not exist.
    NoObject,
    /// The bucket does not exist.
    NoBucket,
    /// The network, or the store's address, did not answer.
    Unreachable,
    /// No trusted connection could be made.
    Tls,
    /// The store answered that it cannot serve now.
    StoreFault,
    /// The hosts file could not be read or written.
    HostsFile,
    /// Another process holds the lock.
    Locked,
    /// Another program keeps on writing the hosts file.
    Changing,
    /// The store refuses these credentials or this object.
    Denied,
    /// The URL or the credentials have expired.
    Expired,
    /// This machine's clock and the store's are too far apart.
    ClockOff,
    /// The keys and the store's do not agree.
    BadSignature,
    /// The system does not let this user do it.
    NotPermitted,
    /// No credentials were found anywhere.
    NoCredentials,
    /// Credentials were found and cannot be used.
    BadCredentials,
    /// No region is known.
    NoRegion,
    /// The bucket is in another region.
    WrongRegion,
    /// Another setting cannot be used.
    BadSetting,
    /// The CA file holds nothing usable.
    BadCaFile,
    /// The store gave an answer that no retry will better.
    UnexpectedAnswer,
}

impl Failure {
    /// The exit code, after sysexits.h.
    #[must_use]
    pub fn code(self) -> u8 {
        self.code_and_way_out().0
    }

    #[rustfmt::skip]
    fn code_and_way_out(self) -> (u8, &'static str) {
        match self {
            Self::Usage => (64, "see zk-hosts sync --help"),
            Self::Refused => (65, "nothing of it was applied; correct the registry and upload it again"),
            Self::NotARegistry => (65, "check the URL, and whether a proxy or a login page answers in the store's place"),
            Self::NoObject => (66, "check the key in --registry, or upload the registry"),
            Self::NoBucket => (66, "check the bucket in --registry, and AWS_ENDPOINT_URL where one is set"),
            Self::Unreachable => (69, "check the network, DNS, HTTPS_PROXY and NO_PROXY; the next pass tries again"),
            Self::Tls => (69, "check --ca-file (AWS_CA_BUNDLE, SSL_CERT_FILE), the endpoint's name and this machine's clock"),
            Self::StoreFault => (69, "the next pass tries again"),
            Self::HostsFile => (74, "check --hosts-file and the file system it is on"),
            Self::Locked => (75, "the next pass tries again; fuser -v on that file shows who holds it"),
            Self::Changing => (75, "the next pass tries again; look for the program that keeps on writing it"),
            Self::Denied => (77, "allow s3:GetObject on it, and s3:ListBucket on the bucket, without which a missing object is 403 too"),
            Self::Expired => (77, "make a new presigned URL, or renew the credentials; check this machine's clock"),
            Self::ClockOff => (77, "set this machine's clock (chronyc tracking, timedatectl)"),
            Self::BadSignature => (77, "check the access key, the secret key and the session token"),
            Self::NotPermitted => (77, "run it as root; where root is refused, look for an immutable file (lsattr)"),
            Self::NoCredentials => (78, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give a presigned https:// URL"),
            Self::BadCredentials => (78, "complete it, or remove it so that the next source is used"),
            Self::NoRegion => (78, "set AWS_REGION to the bucket's region (for a store that is not AWS any will do, such as us-east-1)"),
            Self::WrongRegion => (78, "set AWS_REGION to the bucket's region"),
            Self::BadSetting => (78, "correct the setting"),
            Self::BadCaFile => (78, "give a PEM file with at least one certificate of an authority"),
            Self::UnexpectedAnswer => (78, "check the registry's URL and the endpoint"),
        }
    }

    /// An error of this kind with what happened.
    pub fn because(self, cause: impl Display + Send + Sync + 'static) -> anyhow::Error {
        anyhow::Error::new(self).context(cause)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code_and_way_out().1)
    }
}

impl std::error::Error for Failure {}

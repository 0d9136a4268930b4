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
    /// The object was deleted.
    Deleted,
    /// The bucket does not exist.
    NoBucket,
    /// The network, or the store's address, did not answer.
    Unreachable,
    /// No trusted connection could be made.
    Tls,
    /// The store answered that it cannot serve now.
    StoreFault,
    /// The hosts file, the myid file or a registry in a file could not be read or written.
    HostsFile,
    /// Another process holds the lock.
    Locked,
    /// The name belongs to a host that is alive.
    HolderAlive,
    /// No slot can be had.
    NoSlot,
    /// Too few of the other members serve.
    NoQuorum,
    /// Other writers came first each time.
    Collided,
    /// Another program keeps on writing the hosts file.
    Changing,
    /// The store refuses these credentials or this object.
    Denied,
    /// The store does not let these credentials write the object.
    WriteDenied,
    /// The store does not let these credentials write the object that tests it.
    TestDenied,
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
    /// A source of credentials does not give them to this host.
    CredentialsDenied,
    /// The metadata service refuses this host.
    MetadataDenied,
    /// The metadata service does not answer.
    MetadataSilent,
    /// The metadata service answers what it should not.
    MetadataOdd,
    /// No region is known.
    NoRegion,
    /// The bucket is in another region.
    WrongRegion,
    /// Another setting cannot be used.
    BadSetting,
    /// The store ignores the condition of a write.
    UnsafeStore,
    /// The host's own address is not known.
    NoAddress,
    /// The CA file holds nothing usable.
    BadCaFile,
    /// The store gave an answer that no retry will better.
    UnexpectedAnswer,
}

impl Failure {
    /// The exit code, after sysexits.h.
    #[must_use]
    pub fn code(self) -> u8 {
        self.parts().0
    }

    /// What scripts know it by.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.parts().1
    }

    /// Whether it may pass by itself shortly after boot, when a role and its rights become known.
    #[must_use]
    pub fn is_about_rights(self) -> bool {
        self.code() == 77 && !matches!(self, Self::NotPermitted)
    }

    #[rustfmt::skip]
    fn parts(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Usage => (64, "usage", "see zk-hosts --help"),
            Self::Refused => (65, "refused", "nothing of it was applied; correct the registry and upload it again"),
            Self::NotARegistry => (65, "not_a_registry", "check the URL, and whether a proxy or a login page answers in the store's place"),
            Self::NoObject => (66, "no_object", "check the key in --registry, or upload the registry"),
            Self::Deleted => (66, "deleted", "it was deleted: restore its last version, or let zk-hosts register --force begin a new one"),
            Self::NoBucket => (66, "no_bucket", "check the bucket in --registry, and AWS_ENDPOINT_URL where one is set"),
            Self::Unreachable => (69, "unreachable", "check the network, DNS, HTTPS_PROXY and NO_PROXY"),
            Self::Tls => (69, "tls", "check --ca-file (AWS_CA_BUNDLE, SSL_CERT_FILE), the endpoint's name, this machine's clock, and whether a proxy answers in its place"),
            Self::StoreFault => (69, "store_fault", "try again later, as the next pass does"),
            Self::HostsFile => (74, "hosts_file", "check the path and the file system it is on"),
            Self::Locked => (75, "locked", "try again later; fuser -v on that file shows who holds it"),
            Self::HolderAlive => (75, "holder_alive", "stop ZooKeeper there first, or this machine where it was replaced; --force replaces the holder"),
            Self::NoSlot => (75, "no_slot", "unregister a machine that is gone, stop one that is too many, or give a --timeout longer than the silence that is waited for"),
            Self::NoQuorum => (75, "no_quorum", "replace one machine at a time: bring the others back first, or this one's disk; --force where the data is lost anyway"),
            Self::Collided => (75, "collided", "try again, with a longer --timeout"),
            Self::Changing => (75, "changing", "the next pass tries again; look for the program that keeps on writing it"),
            Self::Denied => (77, "denied", "allow s3:GetObject on it, and s3:ListBucket on the bucket, without which a missing object is 403 too"),
            Self::WriteDenied => (77, "write_denied", "allow s3:PutObject on it"),
            Self::TestDenied => (77, "test_denied", "allow s3:PutObject on KEY.probe, by which a store that is not AWS is tested"),
            Self::Expired => (77, "expired", "make a new presigned URL, or renew the credentials; check this machine's clock"),
            Self::ClockOff => (77, "clock_off", "set this machine's clock (chronyc tracking, timedatectl)"),
            Self::BadSignature => (77, "bad_signature", "check the access key, the secret key and the session token"),
            Self::NotPermitted => (77, "not_permitted", "run it as root; where root is refused, look for an immutable file (lsattr)"),
            Self::NoCredentials => (78, "no_credentials", "give the instance a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give a presigned https:// URL"),
            Self::BadCredentials => (78, "bad_credentials", "complete it, or remove it so that the next source is used"),
            Self::CredentialsDenied => (77, "credentials_denied", "check the role, its trust policy and the token"),
            Self::MetadataDenied => (77, "metadata_denied", "enable the instance's metadata service, with a hop limit of 2 for containers"),
            Self::MetadataSilent => (69, "metadata_silent", "check that it is enabled, with a hop limit of 2 for containers; or give what it was asked for"),
            Self::MetadataOdd => (78, "metadata_odd", "check AWS_EC2_METADATA_SERVICE_ENDPOINT; or give what it was asked for"),
            Self::NoRegion => (78, "no_region", "set AWS_REGION to the bucket's region (for a store that is not AWS any will do, such as us-east-1)"),
            Self::WrongRegion => (78, "wrong_region", "set AWS_REGION to the bucket's region"),
            Self::BadSetting => (78, "bad_setting", "correct the setting"),
            Self::UnsafeStore => (78, "unsafe_store", "use a store that keeps If-Match; --unsafe-store writes all the same, one writer at a time"),
            Self::NoAddress => (78, "no_address", "give --ip ADDR or --interface NAME"),
            Self::BadCaFile => (78, "bad_ca_file", "give a PEM file with at least one certificate of an authority"),
            Self::UnexpectedAnswer => (78, "unexpected_answer", "check the URL and the endpoint that were asked"),
        }
    }

    /// An error of this kind with what happened.
    pub fn because(self, cause: impl Display + Send + Sync + 'static) -> anyhow::Error {
        anyhow::Error::new(self).context(cause)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.parts().2)
    }
}

impl std::error::Error for Failure {}

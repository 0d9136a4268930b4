//! The profile of AWS's two files that this call uses.

use anyhow::Result;
use rusty_s3::Credentials;

use super::aws_files::{Section, read, sections};
use super::{complete, process};
use crate::failure::Failure;
use crate::store::{Client, setting};

/// Ways to credentials that need what the AWS CLI knows.
const WAYS_OF_THE_CLI: [&str; 3] = ["role_arn", "sso_session", "sso_start_url"];

/// The settings of the profile that this call uses.
pub struct Profile {
    name: String,
    /// Its section of the config file.
    config: Section,
    /// Its section of the credentials file, whose keys win as a whole.
    credentials: Section,
    /// The section `[services ...]` that it names.
    services: Section,
}

impl Profile {
    /// Loads `AWS_PROFILE`, else the profile `default`, from `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, else
    /// from the home directory. A file that does not exist is an empty one.
    ///
    /// # Errors
    /// 78 where a file cannot be read, or where `AWS_PROFILE` names a profile that is in neither.
    pub fn load() -> Result<Self> {
        let config = read("AWS_CONFIG_FILE", "config")?;
        let credentials = read("AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let named = setting(["AWS_PROFILE"])?;
        Self::from_files(named.as_deref(), &config, &credentials).ok_or_else(|| {
            let name = named.unwrap_or_default();
            Failure::BadCredentials.because(format!("AWS_PROFILE: the profile {name:?} is in neither of AWS's files"))
        })
    }

    /// The profile of this name, else `default`, by the texts of the two files. None where a named one is in neither.
    #[must_use]
    pub fn from_files(named: Option<&str>, config: &str, credentials: &str) -> Option<Self> {
        let (mut config, mut credentials) = (sections(config), sections(credentials));
        let name = named.unwrap_or("default");
        let own = config.remove(&format!("profile {name}"));
        let own = own.or_else(|| if name == "default" { config.remove(name) } else { None });
        let keys = credentials.remove(name);
        if named.is_some() && own.is_none() && keys.is_none() {
            return None;
        }
        let own = own.unwrap_or_default();
        let services = own.get("services").and_then(|services| config.remove(&format!("services {services}")));
        Some(Self {
            name: name.to_owned(),
            config: own,
            credentials: keys.unwrap_or_default(),
            services: services.unwrap_or_default(),
        })
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        self.get("region")
    }

    /// The endpoint that it sets for a service (`s3`, `sts`), else for all.
    #[must_use]
    pub fn endpoint(&self, service: &str) -> Option<String> {
        self.services.get(&format!("{service}.endpoint_url")).cloned().or_else(|| self.get("endpoint_url"))
    }

    /// Its static keys, else what its `credential_process` gives.
    ///
    /// # Errors
    /// 78 where they are half set, the process fails, or where it names a way that only the AWS CLI knows.
    pub fn credentials(&self, client: &Client) -> Result<Option<Credentials>> {
        let name = &self.name;
        if let Some(way) = WAYS_OF_THE_CLI.into_iter().find(|way| self.get(way).is_some()) {
            let cause = format!(
                "the profile {name:?} has {way}, which the AWS CLI can follow: in a profile of its own set \
                 credential_process = aws configure export-credentials --profile {name} --format process"
            );
            return Err(Failure::BadCredentials.because(cause));
        }
        match self.static_keys()? {
            Some(keys) => Ok(Some(keys)),
            None => self.get("credential_process").map(|command| process::run(&command, client)).transpose(),
        }
    }

    /// Its static keys: of the credentials file, else of the config file.
    ///
    /// # Errors
    /// 78 where they are half set.
    pub fn static_keys(&self) -> Result<Option<Credentials>> {
        let has_keys =
            ["aws_access_key_id", "aws_secret_access_key"].iter().any(|key| self.credentials.contains_key(*key));
        let section = if has_keys { &self.credentials } else { &self.config };
        let value = |key: &str| section.get(key).cloned();
        complete(
            &format!("the profile {:?}", self.name),
            ["aws_access_key_id", "aws_secret_access_key"],
            value("aws_access_key_id"),
            value("aws_secret_access_key"),
            value("aws_session_token"),
        )
    }

    fn get(&self, key: &str) -> Option<String> {
        self.credentials.get(key).or_else(|| self.config.get(key)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
# a comment
[default]
region = eu-west-1   # where it is
[profile  ops]
Region=us-east-2
endpoint_url = https://all.example
services = local
[profile \"two words\"]
region = ap-south-1
[services local]
dynamodb =
  endpoint_url = http://localhost:1
s3 =
  endpoint_url = http://localhost:8333
";
    const CREDENTIALS: &str = "
[default]
aws_access_key_id = AKID
aws_secret_access_key = a+/=b
[ops]
aws_access_key_id=OPS
aws_secret_access_key=s ; rotated
aws_session_token=t
[half]
aws_access_key_id = AKID
";

    fn load(name: Option<&str>) -> Option<Profile> {
        Profile::from_files(name, CONFIG, CREDENTIALS)
    }

    #[test]
    fn the_default_profile() {
        let profile = load(None).unwrap();
        assert_eq!(profile.region().as_deref(), Some("eu-west-1"));
        assert_eq!(profile.endpoint("s3"), None);
        let keys = profile.static_keys().unwrap().unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("AKID", "a+/=b", None));
    }

    #[test]
    fn a_named_profile_with_services() {
        let profile = load(Some("ops")).unwrap();
        assert_eq!(profile.region().as_deref(), Some("us-east-2"));
        assert_eq!(profile.endpoint("s3").as_deref(), Some("http://localhost:8333"));
        let keys = profile.static_keys().unwrap().unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("OPS", "s", Some("t")));
        assert_eq!(load(Some("two words")).unwrap().region().as_deref(), Some("ap-south-1"));
    }

    #[test]
    fn what_is_missing() {
        assert!(load(Some("nobody")).is_none());
        assert!(load(Some("half")).unwrap().static_keys().is_err());
        assert!(Profile::from_files(None, "", "").unwrap().static_keys().unwrap().is_none());
        // A section of the services is no profile.
        assert!(load(Some("local")).is_none());
    }

    #[test]
    fn the_keys_of_the_credentials_file_win_as_a_whole() {
        let config = "[default]\naws_access_key_id=C\naws_secret_access_key=c\naws_session_token=old\n";
        let credentials = "[default]\naws_access_key_id=K\naws_secret_access_key=k\n";
        let keys = Profile::from_files(None, config, credentials).unwrap().static_keys().unwrap().unwrap();
        assert_eq!((keys.key(), keys.secret(), keys.token()), ("K", "k", None));
        let keys = Profile::from_files(None, config, "").unwrap().static_keys().unwrap().unwrap();
        assert_eq!((keys.key(), keys.token()), ("C", Some("old")));
    }

    #[test]
    fn ways_of_the_cli_are_named_with_the_way_out() {
        let client = Client::new(std::time::Duration::from_secs(5), None);
        for way in WAYS_OF_THE_CLI {
            let profile = Profile::from_files(None, &format!("[default]\n{way} = x\n"), "").unwrap();
            let error = format!("{:#}", profile.credentials(&client).err().unwrap());
            assert!(
                error.contains(way) && error.contains("credential_process = aws configure export-credentials"),
                "{error}"
            );
        }
    }
}

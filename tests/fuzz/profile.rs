//! AWS's two files. Up to the first NUL the text is the config file, and what follows the credentials file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zk_hosts::credentials::Profile;
use zk_hosts::credentials::aws_files::sections;

const NAMES: [Option<&str>; 2] = [None, Some("ops")];
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];

/// What a profile gives, or how its keys are half set.
type Told = Option<(Option<String>, [Option<String>; 2], Result<Option<[String; 3]>, String>)>;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (config, credentials) = text.split_once('\0').unwrap_or((&text, ""));
    for name in NAMES {
        let told = told(name, config, credentials);
        keys_are_whole(name, config, credentials, &told);
        layout_does_not_matter(name, config, credentials, &told);
        the_last_counts(name, config, credentials);
    }
});

fn told(name: Option<&str>, config: &str, credentials: &str) -> Told {
    let profile = Profile::from_files(name, config, credentials)?;
    let keys = profile.static_keys().map_err(|error| format!("{error:#}"));
    let keys = keys
        .map(|keys| keys.map(|keys| [keys.key(), keys.secret(), keys.token().unwrap_or_default()].map(str::to_owned)));
    Some((profile.region(), [profile.endpoint("s3"), profile.endpoint("sts")], keys))
}

/// All keys come from one file and none is empty; half of them is an error, which tells nothing of their values.
fn keys_are_whole(name: Option<&str>, config: &str, credentials: &str, told: &Told) {
    let profile = name.unwrap_or("default");
    let credentials = sections(credentials).remove(profile).unwrap_or_default();
    let mut config = sections(config);
    let own = config.remove(&format!("profile {profile}"));
    let own = own.or_else(|| if name.is_none() { config.remove("default") } else { None }).unwrap_or_default();
    let has_keys = KEYS[..2].iter().any(|key| credentials.contains_key(*key));
    let from = if has_keys { credentials } else { own };
    match told {
        None => assert!(name.is_some() && from.is_empty()),
        Some((.., Ok(Some(keys)))) => {
            assert!(!keys[0].is_empty() && !keys[1].is_empty());
            let held = KEYS.map(|key| from.get(key).cloned().unwrap_or_default());
            assert_eq!(*keys, held);
        }
        Some((.., Ok(None))) => assert!(KEYS.iter().all(|key| !from.contains_key(*key))),
        Some((.., Err(said))) => {
            let missing = KEYS[..2].iter().find(|key| !from.contains_key(**key)).unwrap();
            let half = format!("the profile {profile:?} is half set: {missing} is missing: ");
            assert!(said.starts_with(&half) && said.len() < half.len() + 80, "{said}");
        }
    }
}

/// Comments, blank lines, trailing white space, line endings and sections of other names say nothing.
fn layout_does_not_matter(name: Option<&str>, config: &str, credentials: &str, expected: &Told) {
    let again = |text: &str| -> String {
        let lines = text.lines().map(|line| format!("# region = x\n\n#s3 =\n; s3 =\n{line} \t\r\n"));
        lines.collect::<String>() + "[profile zz]\nregion = zz\n[services zz]\ns3 =\n endpoint_url = zz\n"
    };
    // A section that this adds may be one that the profile names.
    if !config.contains("zz") && !credentials.contains("zz") {
        assert_eq!(told(name, &again(config), &again(credentials)), *expected);
    }
}

/// Of two equal keys the last counts, in the section of any spelling.
fn the_last_counts(name: Option<&str>, config: &str, credentials: &str) {
    let section = name.unwrap_or("default");
    let more =
        format!("{credentials}\n[ {section:?} ] # x\nREGION=eu-west-1 ; x\n{} = a\n{} = b = c\n", KEYS[0], KEYS[1]);
    let (region, _, keys) = told(name, config, &more).unwrap();
    assert_eq!(region.as_deref(), Some("eu-west-1"));
    let keys = keys.unwrap().unwrap();
    assert_eq!(keys[..2], ["a", "b = c"]);
}

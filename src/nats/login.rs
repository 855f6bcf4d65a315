//! Who we are to the broker: the files and the address that say so, read before we connect.

use std::{fs, path::Path};

use async_nats::ConnectOptions;
use nkeys::{KeyPair, KeyPairType};

use crate::{
    failure::Failure,
    settings::{self, servers::Login},
};

/// Adds how to log in.
///
/// # Errors
/// [`Failure::Configuration`] with the file, what is wrong with it, and its setting.
pub(super) fn add(
    options: ConnectOptions,
    nats: &settings::Nats,
) -> Result<ConnectOptions, Failure> {
    // The library does not read it from the address.
    let options = match nats.servers.login() {
        None => options,
        Some(Login::Token(token)) => options.token(token),
        Some(Login::User { name, password }) => options.user_and_password(name, password),
    };
    let options = match &nats.nkey_file {
        None => options,
        Some(file) => options.nkey(seed(file)?),
    };
    match &nats.credentials_file {
        None => Ok(options),
        Some(file) => credentials(options, file),
    }
}

/// The user's seed in `file`.
fn seed(file: &Path) -> Result<String, Failure> {
    let wrong = |what: &str| wrong(file, what, "nats.nkey_file");
    let text = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let seed = text.trim();
    match KeyPair::from_seed(seed).map(|pair| pair.key_pair_type()) {
        Ok(KeyPairType::User) => Ok(seed.to_owned()),
        // What the file holds instead may be a secret all the same.
        _ => Err(wrong("expected the seed of a user's nkey: SU and 56 more letters, nothing else")),
    }
}

fn credentials(options: ConnectOptions, file: &Path) -> Result<ConnectOptions, Failure> {
    let wrong = |what: &str| wrong(file, what, "nats.credentials_file");
    let text = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    options
        .credentials(&text)
        .map_err(|_| wrong("expected credentials: a user's JWT and the seed of its nkey"))
}

fn wrong(file: &Path, what: &str, setting: &str) -> Failure {
    Failure::Configuration(format!("{}: {what} ({setting})", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_seed_is_read_whatever_space_surrounds_it() {
        let seed_of_user = KeyPair::new_user().seed().unwrap();
        let (_folder, file) = file(&format!("\n{seed_of_user}\r\n"));
        assert_eq!(seed(&file), Ok(seed_of_user));
    }

    #[test]
    fn what_is_no_users_seed_is_refused_without_repeating_it() {
        let account = KeyPair::new_account().seed().unwrap();
        let user = KeyPair::new_user();
        let mistyped = user.seed().unwrap().replace('A', "B");
        for text in ["", "é", &account, &user.public_key(), &mistyped, "s3cret s3cret"] {
            let (_folder, file) = file(text);
            let told = seed(&file).unwrap_err().to_string();
            assert!(told.contains("SU and 56") && told.contains("nats.nkey_file"), "{told}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
    }

    #[test]
    fn credentials_without_a_jwt_are_refused_without_repeating_them() {
        let user = KeyPair::new_user().seed().unwrap();
        let (_folder, file) = file(&user);
        let told = credentials(ConnectOptions::new(), &file).unwrap_err().to_string();
        assert!(told.contains("a user's JWT") && told.contains("nats.credentials_file"), "{told}");
        assert!(!told.contains(&user), "{told}");
    }

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, text).unwrap();
        (folder, file)
    }
}

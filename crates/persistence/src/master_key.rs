//! The master key, and secrets sealed under it (XChaCha20-Poly1305).
//!
//! A sealed value names its key and is bound to its table, row and column, so that a value
//! copied to another row doesn't open. Nonces of 24 bytes are drawn at random.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// 32 bytes that secrets in the database are encrypted with.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    /// Draws a new key.
    pub fn generate() -> Self {
        Self::from_bytes(rand::random())
    }

    /// Reads the key kept in a file, or makes one there, readable by its owner alone.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let key = Self::generate();
        match key.write_new(path) {
            Ok(()) => Ok(key),
            // Another process was first: its key it is.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load_or_create(path),
            Err(error) => Err(MasterKeyError::file(path, error)),
        }
    }

    /// Reads the key kept in a file, if it is there.
    pub fn load(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(MasterKeyError::file(path, error)),
        };
        text.trim()
            .parse()
            .map(Some)
            .map_err(|_| MasterKeyError::MalformedFile {
                path: path.display().to_string(),
            })
    }

    /// Writes the key's file whole or not at all, and never over another.
    fn write_new(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let unfinished = folder.join(format!(".master-key-{:016x}", rand::random::<u64>()));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished)?;
            writeln!(file, "{}", *self.expose())?;
            file.sync_all()?;
            fs::hard_link(&unfinished, path)
        })();
        fs::remove_file(&unfinished).ok();
        written?;
        File::open(folder)?.sync_all()
    }

    /// Names the key without giving it away: the beginning of its hash.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key in its text form.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.key))
    }

    /// Encrypts a value for one place in the database.
    pub(crate) fn seal(&self, place: &SealedPlace, plain: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = self
            .cipher()
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: place.associated_data().as_bytes(),
                },
            )
            .expect("encrypting some bytes in memory fails only beyond 256 GiB");
        format!("{}:{}", self.id, STANDARD.encode([&nonce[..], &sealed[..]].concat()))
    }

    /// Decrypts a value of one place; `None` when it is damaged, moved, or another key's.
    pub(crate) fn open(&self, place: &SealedPlace, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (id, bytes) = sealed.split_once(':')?;
        if id != self.id {
            return None;
        }
        let bytes = STANDARD.decode(bytes).ok()?;
        let (nonce, bytes) = bytes.split_at_checked(NONCE_BYTES)?;
        let aad = place.associated_data();
        let payload = Payload {
            msg: bytes,
            aad: aad.as_bytes(),
        };
        self.cipher()
            .decrypt(&XNonce::try_from(nonce).ok()?, payload)
            .ok()
            .map(Zeroizing::new)
    }

    /// The id of the key that a value was sealed under.
    pub(crate) fn id_of_sealed(sealed: &str) -> &str {
        sealed.split_once(':').map_or("?", |(id, _)| id)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    fn from_bytes(key: [u8; 32]) -> Self {
        let hash = Sha256::digest(key);
        let id = format!("{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]);
        Self {
            id,
            key: Zeroizing::new(key),
        }
    }
}

/// Base64 of 32 bytes, as `openssl rand -base64 32` prints it.
impl FromStr for MasterKey {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| MasterKeyError::Malformed)?);
        Ok(Self::from_bytes(
            bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?,
        ))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Not 32 bytes in base64.
    #[error("a master key is 32 bytes in base64, e.g. from: openssl rand -base64 32")]
    Malformed,
    /// The key's file holds something else.
    #[error("the file {path} doesn't hold a master key: 32 bytes in base64, e.g. from: openssl rand -base64 32")]
    MalformedFile {
        /// Which file.
        path: String,
    },
    /// The key's file can't be read or made.
    #[error("the master key's file {path} can't be read or created")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl MasterKeyError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            source,
        }
    }
}

/// The table, row and column that a sealed value belongs to.
#[derive(Debug)]
pub(crate) struct SealedPlace {
    pub(crate) table: &'static str,
    pub(crate) row: Uuid,
    pub(crate) column: &'static str,
}

impl SealedPlace {
    fn associated_data(&self) -> String {
        format!("{}/{}/{}", self.table, self.row, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row: u128) -> SealedPlace {
        SealedPlace {
            table: "destinations",
            row: Uuid::from_u128(row),
            column: "sealed_secret",
        }
    }

    #[test]
    fn sealed_value_opens_only_in_its_place_and_under_its_key() {
        let key = MasterKey::generate();
        let sealed = key.seal(&place(1), b"whsec_secret");
        assert_eq!(key.open(&place(1), &sealed).expect("opens").as_slice(), b"whsec_secret");
        assert!(key.open(&place(2), &sealed).is_none(), "another row");
        assert!(MasterKey::generate().open(&place(1), &sealed).is_none(), "another key");
        let mut damaged = sealed.clone().into_bytes();
        let last = damaged.len() - 5;
        damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
        assert!(
            key.open(&place(1), &String::from_utf8(damaged).expect("ascii"))
                .is_none(),
            "damaged"
        );
        for nonsense in ["", "x", ":", &format!("{}:", key.id()), &format!("{}:AAAA", key.id())] {
            assert!(key.open(&place(1), nonsense).is_none(), "{nonsense:?}");
        }
    }

    #[test]
    fn sealing_twice_gives_different_texts_without_the_plain_one() {
        let key = MasterKey::generate();
        let (first, second) = (
            key.seal(&place(1), b"whsec_secret"),
            key.seal(&place(1), b"whsec_secret"),
        );
        assert_ne!(first, second);
        assert!(!first.contains("whsec"));
        assert!(first.starts_with(key.id()));
    }

    #[test]
    fn master_key_file_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/master.key");
        let made = MasterKey::load_or_create(&path).expect("made");
        let read = MasterKey::load_or_create(&path).expect("read");
        assert_eq!(made.id(), read.id());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains(&*made.expose()));
        let files = fs::read_dir(folder.path().join("deep")).expect("listed").count();
        assert_eq!(files, 1, "nothing unfinished stays");
        fs::write(&path, "nonsense").expect("written");
        let error = MasterKey::load_or_create(&path).expect_err("no key").to_string();
        assert!(error.contains("deep/master.key"), "{error}");
        assert!(MasterKey::generate().write_new(&path).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "nonsense", "never replaced");
    }

    #[test]
    fn malformed_master_key_is_refused() {
        for text in ["", "short", "AAAA", "not base64 at all!"] {
            assert!(
                matches!(text.parse::<MasterKey>(), Err(MasterKeyError::Malformed)),
                "{text:?}"
            );
        }
    }
}

//! Standard Webhooks signatures with a key pair (`v1a`, Ed25519): the receiver holds no secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _};
use zeroize::Zeroizing;

use crate::signature::{KeyError, SignatureHeaders, VerifyError, check_timestamp, decode};
use crate::time::Timestamp;

pub(crate) const SIGNING_PREFIX: &str = "whsk_";
const VERIFYING_PREFIX: &str = "whpk_";
const VERSION: &str = "v1a,";

/// The sender's key. Read from `whsk_` and base64 of the seed followed by the public key.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Draws a new key.
    pub fn generate() -> Self {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The key's text, `whsk_…`.
    pub fn expose(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.0.to_keypair_bytes());
        Zeroizing::new(format!("{SIGNING_PREFIX}{}", STANDARD.encode(&bytes[..])))
    }

    /// Signs a webhook: the value of its header `webhook-signature`.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let signature = self.0.sign(&content(id, &unix_seconds.to_string(), body));
        format!("{VERSION}{}", STANDARD.encode(signature.to_bytes()))
    }

    /// The key that receivers verify with.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text.strip_prefix(SIGNING_PREFIX).ok_or(KeyError::Kind)?)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| KeyError::Length)?;
        ed25519_dalek::SigningKey::from_keypair_bytes(bytes)
            .map(Self)
            .map_err(|_| KeyError::Kind)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The receiver's key. Written as `whpk_` and base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Verifies a webhook, by the same rules as [`verify`](crate::verify).
    pub fn verify(&self, headers: &SignatureHeaders<'_>, body: &[u8], now: Timestamp) -> Result<(), VerifyError> {
        check_timestamp(headers.timestamp, now)?;
        let content = content(headers.id, headers.timestamp, body);
        let mut given = headers.signature.split(' ').filter_map(|signature| {
            let bytes = STANDARD.decode(signature.strip_prefix(VERSION)?).ok()?;
            Signature::from_slice(&bytes).ok()
        });
        let fits = given.any(|signature| self.0.verify_strict(&content, &signature).is_ok());
        if fits { Ok(()) } else { Err(VerifyError::NoMatch) }
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text.strip_prefix(VERIFYING_PREFIX).ok_or(KeyError::Kind)?)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| KeyError::Length)?;
        ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| KeyError::Kind)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERIFYING_PREFIX}{}", STANDARD.encode(self.0.to_bytes()))
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECONDS: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str =
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

    #[test]
    fn published_vector_is_signed_and_verified() {
        let key = KEY.parse::<SigningKey>().expect("a key");
        assert_eq!(key.sign(ID, SECONDS, BODY), SIGNATURE);
        assert_eq!(*key.expose(), KEY);
        assert_eq!(key.verifying_key().to_string(), PUBLIC);
        let public = PUBLIC.parse::<VerifyingKey>().expect("a key");
        let now = Timestamp::from_millis(SECONDS * 1_000);
        let timestamp = SECONDS.to_string();
        let headers = SignatureHeaders {
            id: ID,
            timestamp: &timestamp,
            signature: SIGNATURE,
        };
        assert_eq!(public.verify(&headers, BODY, now), Ok(()));
        assert_eq!(public.verify(&headers, b"{}", now), Err(VerifyError::NoMatch));
        let symmetric = SignatureHeaders {
            signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ..headers
        };
        assert_eq!(public.verify(&symmetric, BODY, now), Err(VerifyError::NoMatch));
        let late = now.after(std::time::Duration::from_secs(301));
        assert_eq!(public.verify(&headers, BODY, late), Err(VerifyError::TooOld));
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        assert_eq!(PUBLIC.parse::<SigningKey>().map(|_| ()), Err(KeyError::Kind));
        assert_eq!(KEY.parse::<VerifyingKey>(), Err(KeyError::Kind));
        assert_eq!("whpk_AAAA".parse::<VerifyingKey>(), Err(KeyError::Length));
        let torn = KEY.replace("Kvg==", "Kvw==");
        assert_eq!(
            torn.parse::<SigningKey>().map(|_| ()),
            Err(KeyError::Kind),
            "public key of another seed"
        );
    }
}

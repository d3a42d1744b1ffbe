//! Standard Webhooks signatures with a shared secret (`v1`, HMAC-SHA256), made and verified.
//!
//! The specification: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//! What is signed is `{webhook-id}.{webhook-timestamp}.{body}`, the very bytes that are sent.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::time::Timestamp;

/// How far a webhook's timestamp may be from the receiver's clock: what the reference libraries allow.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";
/// The specification asks for 24 to 64 bytes. Keys of 18 are about in published examples, so a receiver takes them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const GENERATED_BYTES: usize = 32;

/// A secret that sender and receiver share. Written as `whsec_` and base64.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    /// Draws a new secret of 256 bits.
    pub fn generate() -> Self {
        Self(Zeroizing::new(rand::random::<[u8; GENERATED_BYTES]>().to_vec()))
    }

    /// The secret's text, `whsec_…`.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(&*self.0)))
    }

    /// Signs a webhook: the value of its header `webhook-signature`.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let timestamp = unix_seconds.to_string();
        format!("{VERSION}{}", STANDARD.encode(self.mac(id, &timestamp, body)))
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl FromStr for SigningSecret {
    type Err = KeyError;

    /// Takes the secret with or without its prefix, as the reference libraries do.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text.strip_prefix(PREFIX).unwrap_or(text))?;
        if KEY_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(KeyError::Length)
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64.
    #[error("must be its prefix and base64")]
    NotBase64,
    /// Too short or too long.
    #[error("has the wrong length")]
    Length,
    /// Another kind of key, or its parts don't belong together.
    #[error("isn't a key of this kind")]
    Kind,
}

/// The three headers of a webhook.
#[derive(Debug, Clone, Copy)]
pub struct SignatureHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`: one or several, separated by spaces.
    pub signature: &'a str,
}

/// Why a webhook must not be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The timestamp isn't whole seconds since 1970.
    #[error("webhook-timestamp isn't a number of seconds")]
    MalformedTimestamp,
    /// Sent long ago: perhaps repeated by somebody else.
    #[error("webhook-timestamp is more than five minutes old")]
    TooOld,
    /// Sent in the future: the clocks differ.
    #[error("webhook-timestamp is more than five minutes ahead of this clock")]
    TooNew,
    /// No signature is one of these keys'.
    #[error("no signature in webhook-signature fits")]
    NoMatch,
}

/// Verifies a webhook: one of its signatures must be made with one of the secrets (two of them while a secret is
/// being replaced), over these very bytes, within [`TOLERANCE`] of now.
pub fn verify(
    secrets: &[SigningSecret],
    headers: &SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    check_timestamp(headers.timestamp, now)?;
    let expected = secrets
        .iter()
        .map(|secret| secret.mac(headers.id, headers.timestamp, body))
        .collect::<Vec<_>>();
    let given = headers
        .signature
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix(VERSION)?).ok());
    for given in given {
        if expected.iter().any(|expected| expected[..].ct_eq(&given).into()) {
            return Ok(());
        }
    }
    Err(VerifyError::NoMatch)
}

pub(crate) fn check_timestamp(text: &str, now: Timestamp) -> Result<(), VerifyError> {
    let sent = text.parse::<i64>().map_err(|_| VerifyError::MalformedTimestamp)?;
    let age = now.as_seconds().saturating_sub(sent);
    let tolerance = i64::try_from(TOLERANCE.as_secs()).unwrap_or(i64::MAX);
    match age {
        age if age > tolerance => Err(VerifyError::TooOld),
        age if age < -tolerance => Err(VerifyError::TooNew),
        _ => Ok(()),
    }
}

pub(crate) fn decode(base64: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    STANDARD
        .decode(base64)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vectors: the reference libraries' tests and a vendor's manual.
    const VECTORS: [(&str, &str, i64, &str, &str); 3] = [
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            r#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn published_vectors_are_signed_and_verified() {
        for (secret, id, seconds, body, signature) in VECTORS {
            let secret = secret.parse::<SigningSecret>().expect("a secret");
            assert_eq!(secret.sign(id, seconds, body.as_bytes()), signature);
            let headers = SignatureHeaders {
                id,
                timestamp: &seconds.to_string(),
                signature,
            };
            assert_eq!(verify(&[secret], &headers, body.as_bytes(), at(seconds)), Ok(()));
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn a_wrong_webhook_is_refused_with_its_reason() {
        let (secret, id, seconds, body, signature) = VECTORS[1];
        let secret = secret.parse::<SigningSecret>().expect("a secret");
        let timestamp = seconds.to_string();
        let later = (seconds + 1).to_string();
        let third = format!("v1,AAAA v2,{} {signature}", &signature[3..]);
        let v2 = signature.replace("v1", "v2");
        let good = SignatureHeaders {
            id,
            timestamp: &timestamp,
            signature,
        };
        let cases = [
            (good, body, 0, Ok(())),
            (good, body, 300, Ok(())),
            (good, body, -300, Ok(())),
            (good, body, 301, Err(VerifyError::TooOld)),
            (good, body, -301, Err(VerifyError::TooNew)),
            (
                SignatureHeaders {
                    signature: &third,
                    ..good
                },
                body,
                0,
                Ok(()),
            ),
            (
                SignatureHeaders {
                    id: "msg_other",
                    ..good
                },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (
                SignatureHeaders {
                    timestamp: &later,
                    ..good
                },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (
                SignatureHeaders {
                    timestamp: "soon",
                    ..good
                },
                body,
                0,
                Err(VerifyError::MalformedTimestamp),
            ),
            (
                SignatureHeaders { timestamp: "", ..good },
                body,
                0,
                Err(VerifyError::MalformedTimestamp),
            ),
            (
                SignatureHeaders { signature: "", ..good },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (
                SignatureHeaders {
                    signature: "v1,",
                    ..good
                },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (
                SignatureHeaders {
                    signature: &signature[..11],
                    ..good
                },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (
                SignatureHeaders { signature: &v2, ..good },
                body,
                0,
                Err(VerifyError::NoMatch),
            ),
            (good, r#"{"test": 2432232315}"#, 0, Err(VerifyError::NoMatch)),
        ];
        for (headers, body, age, expected) in cases {
            let verified = verify(
                std::slice::from_ref(&secret),
                &headers,
                body.as_bytes(),
                at(seconds + age),
            );
            assert_eq!(verified, expected, "{headers:?} {body} {age}");
        }
        assert_eq!(
            verify(&[], &good, body.as_bytes(), at(seconds)),
            Err(VerifyError::NoMatch)
        );
        let both = [SigningSecret::generate(), secret];
        assert_eq!(
            verify(&both, &good, body.as_bytes(), at(seconds)),
            Ok(()),
            "the old secret, while it is replaced"
        );
    }

    #[test]
    fn empty_and_odd_secrets_are_refused() {
        for (text, error) in [
            ("", KeyError::Length),
            ("whsec_", KeyError::Length),
            ("whsec_AAAA", KeyError::Length),
            ("whsec_not base64", KeyError::NotBase64),
            ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=", KeyError::NotBase64),
        ] {
            assert_eq!(text.parse::<SigningSecret>().map(|_| ()), Err(error), "{text:?}");
        }
        let secret = SigningSecret::generate();
        assert_eq!(
            secret.expose().parse::<SigningSecret>().expect("its own text").0,
            secret.0
        );
        assert!(!format!("{secret:?}").contains(&secret.expose()[6..12]));
    }

    proptest::proptest! {
        #[test]
        fn the_reference_library_accepts_our_signatures(id in "[a-z0-9_-]{1,40}", body in "\\PC{0,300}") {
            let secret = SigningSecret::generate();
            // That library reads the machine's clock.
            let now = crate::time::Clock::now(&crate::time::SystemClock);
            let mut headers = std::collections::HashMap::new();
            headers.insert("webhook-id".to_owned(), id.clone());
            headers.insert("webhook-timestamp".to_owned(), now.as_seconds().to_string());
            headers.insert("webhook-signature".to_owned(), secret.sign(&id, now.as_seconds(), body.as_bytes()));
            let oracle = standardwebhooks::Webhook::new(&secret.expose()).expect("a secret it takes");
            let map = headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
            oracle.verify(body.as_bytes(), &map.collect::<http::HeaderMap>()).expect("accepted");
        }
    }
}

//! The URL that a webhook is sent to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// What browsers and servers can be trusted to carry.
const MAX_CHARACTERS: usize = 2_048;

/// The URL a webhook is sent to: absolute, http or https, without credentials and fragment, at most 2,048
/// characters. Whether its address may be reached is asked by the egress guard at every attempt, not here.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// The parsed URL.
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// The URL's normalised text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL without its query, which often holds a token: fit for a log.
    pub fn redacted(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.into()
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        let text = text.trim();
        let length = text.chars().count();
        if length > MAX_CHARACTERS {
            return Err(WebhookUrlError::TooLong { length });
        }
        let url = Url::parse(text).map_err(WebhookUrlError::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(WebhookUrlError::Scheme {
                scheme: url.scheme().to_owned(),
            });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::HasCredentials);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::HasFragment);
        }
        // What is kept is its written form, in which a letter beyond ASCII has up to twelve characters.
        let length = url.as_str().len();
        if length > MAX_CHARACTERS {
            return Err(WebhookUrlError::TooLong { length });
        }
        Ok(Self(url))
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({})", self.redacted())
    }
}

impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for WebhookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Why a text is no webhook URL. Shown to whoever typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    /// Too long.
    #[error("must be at most {MAX_CHARACTERS} characters long, not {length}")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// Not an absolute URL.
    #[error("must be a URL, e.g. https://example.com/leads ({0})")]
    NotAUrl(url::ParseError),
    /// Another scheme.
    #[error("must begin with https:// (or http://, where that is allowed), not {scheme}:")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A user name or a password.
    #[error("must not hold a user name or password")]
    HasCredentials,
    /// Something after `#`.
    #[error("must not have a fragment (what follows #): it is never sent")]
    HasFragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_url_is_absolute_and_bare() {
        let url = "HTTPS://Hooks.Example.com/a b?token=secret"
            .parse::<WebhookUrl>()
            .expect("a URL");
        assert_eq!(url.as_str(), "https://hooks.example.com/a%20b?token=secret");
        assert!(!format!("{url:?}").contains("secret"));
        let long = format!("https://example.com/{}", "a".repeat(2_029));
        // Nine characters each, as they are kept.
        let encoded = format!("https://example.com/{}", "汉".repeat(230));
        let cases = [
            (&*long, "must be at most 2048 characters long, not 2049"),
            (
                "example.com/hook",
                "must be a URL, e.g. https://example.com/leads (relative URL without a base)",
            ),
            (
                "ftp://example.com",
                "must begin with https:// (or http://, where that is allowed), not ftp:",
            ),
            ("https://user@example.com", "must not hold a user name or password"),
            ("https://:pass@example.com", "must not hold a user name or password"),
            (
                "https://example.com/#top",
                "must not have a fragment (what follows #): it is never sent",
            ),
            (&*encoded, "must be at most 2048 characters long, not 2090"),
            ("https://", "must be a URL, e.g. https://example.com/leads (empty host)"),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<WebhookUrl>().expect_err(text).to_string(), error);
        }
    }
}

//! Email addresses of visitors.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress as Parser, Options};

/// RFC 5321, section 4.5.3.1.3, less the angle brackets; counted in bytes.
const MAX_BYTES: usize = 254;

/// An address that mail can be sent to over the internet: with a domain that has a dot, and without a display name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// As it was typed, less surrounding white space.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = EmailAddressError;

    fn from_str(text: &str) -> Result<Self, EmailAddressError> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(EmailAddressError::TooLong);
        }
        let options = Options::default()
            .with_required_tld()
            .without_domain_literal()
            .without_display_text();
        Parser::parse_with_options(text, options).map_err(|_| EmailAddressError::Malformed)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no email address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailAddressError {
    /// Longer than any mail server takes.
    #[error("must be at most {MAX_BYTES} bytes long")]
    TooLong,
    /// Not an address.
    #[error("must be an email address, e.g. john@example.com")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deliverable_addresses_pass() {
        for good in [
            "john@example.com",
            " john@example.com ",
            "o'neil+web@mail.example.co.uk",
            "jörg@exämple.de",
            "\"a b\"@example.com",
        ] {
            assert_eq!(good.parse::<EmailAddress>().expect(good).as_str(), good.trim());
        }
        for bad in [
            "",
            "john",
            "john@",
            "@example.com",
            "a@b",
            "a@[127.0.0.1]",
            "John <john@example.com>",
            "a b@example.com",
            "a@example.com\nb",
            "a@b..com",
        ] {
            assert_eq!(
                bad.parse::<EmailAddress>(),
                Err(EmailAddressError::Malformed),
                "{bad:?}"
            );
        }
        let long = format!("{}@example.com", "a".repeat(250));
        assert_eq!(long.parse::<EmailAddress>(), Err(EmailAddressError::TooLong));
    }
}

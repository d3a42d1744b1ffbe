//! Where a web page comes from, as browsers say it (RFC 6454): scheme, host and port.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use url::{Host, Url};

/// A web page's origin, written as browsers write it in the header `Origin`, e.g. `https://www.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebOrigin(String);

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebOriginError {
    /// It isn't a scheme, a host and perhaps a port.
    #[error("must be an origin: https:// and a host, with a port if it isn't 443, e.g. https://www.example.com")]
    NotAnOrigin,
    /// No host of the web has such a name. It would be read as more than a host where origins are listed, as in a Content-Security-Policy.
    #[error("must name a host of letters, digits, dots, hyphens and underscores alone, without wildcards")]
    NotAHost,
    /// It has more.
    #[error("must end after the host or port: an origin has no path, query or user name")]
    TooMuch,
    /// Anybody between could write such a page.
    #[error("must begin with https:// (http:// only for this machine: localhost, 127.0.0.1 or [::1])")]
    Insecure,
}

impl WebOrigin {
    /// As browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = WebOriginError;

    fn from_str(text: &str) -> Result<Self, WebOriginError> {
        let url = text.parse::<Url>().map_err(|_| WebOriginError::NotAnOrigin)?;
        let is_here = match url.host() {
            None => return Err(WebOriginError::NotAnOrigin),
            Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err(WebOriginError::Insecure),
            _ => return Err(WebOriginError::NotAnOrigin),
        }
        // URLs allow far more in a host: `;` and `,`, which end something in a header, and the star of wildcards.
        let is_plain = |domain: &str| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            domain.bytes().all(is_plain)
        };
        if url.domain().is_some_and(|domain| !is_plain(domain)) {
            return Err(WebOriginError::NotAHost);
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !is_bare || !url.username().is_empty() || url.password().is_some() {
            return Err(WebOriginError::TooMuch);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for WebOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, origin) in [
            ("https://www.example.com", "https://www.example.com"),
            ("https://WWW.Example.com/", "https://www.example.com"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://our_shop-1.example", "https://our_shop-1.example"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:5500", "http://127.0.0.1:5500"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            let parsed = text
                .parse::<WebOrigin>()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.as_str(), origin);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_reason() {
        use WebOriginError::{Insecure, NotAHost, NotAnOrigin, TooMuch};
        for (text, error) in [
            ("", NotAnOrigin),
            ("*", NotAnOrigin),
            ("null", NotAnOrigin),
            ("example.com", NotAnOrigin),
            ("https://", NotAnOrigin),
            ("https://*.example.com", NotAHost),
            ("https://a.example;sandbox", NotAHost),
            ("https://a.example,b.example", NotAHost),
            ("https://a.example%3Bsandbox", NotAHost),
            ("https://'self'", NotAHost),
            ("https://a\"b.example", NotAHost),
            ("http://;.localhost", NotAHost),
            ("ftp://example.com", NotAnOrigin),
            ("file:///page.html", NotAnOrigin),
            ("http://example.com", Insecure),
            ("http://localhost.example.com", Insecure),
            ("https://example.com/contact", TooMuch),
            ("https://example.com?a", TooMuch),
            ("https://example.com#a", TooMuch),
            ("https://user@example.com", TooMuch),
        ] {
            assert_eq!(text.parse::<WebOrigin>(), Err(error), "{text}");
        }
    }
}

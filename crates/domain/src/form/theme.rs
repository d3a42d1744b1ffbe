//! How a lead form looks.

use serde::Serialize;
use serde_json::Value;

use crate::faults::Faults;
use crate::fields::Fields;
use crate::named::named;
use crate::text::TextRule;

const RADIUS_MAX: u32 = 32;

/// How a form looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormTheme {
    /// The colour of the button and of what is marked, `#rrggbb`.
    pub accent: String,
    /// How round corners are, in pixels, at most 32.
    pub radius: u32,
    /// Light, dark, or as the visitor's system is.
    pub scheme: FormScheme,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormScheme {
    /// As the visitor's system is.
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

named!(FormScheme { Auto = "auto", Light = "light", Dark = "dark" });

impl Default for FormTheme {
    fn default() -> Self {
        Self {
            accent: "#1d4ed8".to_owned(),
            radius: 6,
            scheme: FormScheme::Auto,
        }
    }
}

impl FormTheme {
    pub(super) fn from_json_at(value: &Value, pointer: &str) -> Result<Self, Faults> {
        let mut theme = Self::default();
        let mut fields = Fields::at(value, pointer)?;
        if let Some(accent) = fields.optional_text("accent", TextRule::line(20)) {
            let is_colour = accent
                .strip_prefix('#')
                .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            if is_colour {
                theme.accent = accent.to_ascii_lowercase();
            } else {
                fields.fault("accent", "must be a colour as #rrggbb, e.g. #1d4ed8");
            }
        }
        theme.radius = fields.optional_number("radius", 0..=RADIUS_MAX).unwrap_or(theme.radius);
        theme.scheme = fields.parsed("scheme").unwrap_or(theme.scheme);
        fields.finish()?;
        Ok(theme)
    }

    /// What can be read on the accent: white or black, whichever differs more (WCAG 2.2, relative luminance).
    pub fn on_accent(&self) -> &'static str {
        let channel = |at: usize| {
            let digits = self.accent.get(at..at + 2).unwrap_or("00");
            let value = f64::from(u8::from_str_radix(digits, 16).unwrap_or(0)) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
        // Where the contrasts with white, 1.05 / (l + 0.05), and with black, (l + 0.05) / 0.05, are equal.
        if luminance > 0.179 { "#000000" } else { "#ffffff" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_on_the_accent_can_be_read() {
        for (accent, on) in [
            ("#1d4ed8", "#ffffff"),
            ("#000000", "#ffffff"),
            ("#ffffff", "#000000"),
            ("#ffd400", "#000000"),
            ("#0a7f5a", "#ffffff"),
        ] {
            let theme = FormTheme {
                accent: accent.to_owned(),
                ..FormTheme::default()
            };
            assert_eq!(theme.on_accent(), on, "{accent}");
        }
    }
}

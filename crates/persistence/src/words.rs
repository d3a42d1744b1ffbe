//! Words as they are searched for: without case, accents and punctuation.
//!
//! Leads and what is searched for go through the same function, so that both databases find the same. What this makes of a text must stay as
//! it is: a lead's words are removed from the index by making them again.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longer words are cut.
const WORD_CHARACTERS: usize = 40;
/// Words of a lead that are searchable; its longest message has about as many.
const WORDS: usize = 2_000;

/// The words of some texts, each once.
pub(crate) fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        let mut word = String::new();
        let mut length = 0;
        let folded = text.nfkd().filter(|character| !is_combining_mark(*character));
        for character in folded.flat_map(char::to_lowercase).chain([' ']) {
            if character.is_alphanumeric() {
                if length < WORD_CHARACTERS {
                    word.push(character);
                }
                length += 1;
            } else if !word.is_empty() {
                if words.len() < WORDS {
                    words.insert(std::mem::take(&mut word));
                }
                word.clear();
                length = 0;
            }
        }
    }
    words
}

/// What somebody searches for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// A lead has a word that begins so, for each of these.
    pub(crate) words: BTreeSet<String>,
    /// Its email begins so, in lower case.
    emails: Vec<String>,
}

impl Wanted {
    pub(crate) fn of(text: &str) -> Self {
        let emails = text.split_whitespace().filter(|term| term.contains('@'));
        let emails = emails.map(|term| term.trim_matches(['"', '\'', ',', ';', '<', '>']).to_lowercase());
        Self {
            words: words([text]),
            emails: emails.collect(),
        }
    }

    /// The same, with no more than so many letters of each word: more leads are meant. `None` if no word has more.
    pub(crate) fn shortened(&self, letters: usize) -> Option<Self> {
        let words = self.words.iter().map(|word| word.chars().take(letters).collect());
        let words = words.collect::<BTreeSet<String>>();
        let emails = self.emails.clone();
        (words != self.words).then_some(Self { words, emails })
    }

    /// Whether a lead is meant that has these texts.
    pub(crate) fn is_in(&self, email: &str, words: &BTreeSet<String>) -> bool {
        let has = |begin: &String| {
            let mut behind = words.range::<String, _>(begin..);
            behind.next().is_some_and(|word| word.starts_with(begin.as_str()))
        };
        !self.words.is_empty() && self.words.iter().all(has) && {
            let email = email.to_lowercase();
            self.emails.iter().all(|begin| email.starts_with(begin.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        words([text]).into_iter().collect()
    }

    #[test]
    fn words_have_no_case_no_accents_and_no_punctuation() {
        for (text, expected) in [
            ("", &[][..]),
            ("!\"'*()--", &[]),
            ("Anna MÜLLER", &["anna", "muller"]),
            // Decomposed.
            ("Mu\u{308}ller", &["muller"]),
            ("o'neil+crm@Example.co.uk", &["co", "crm", "example", "neil", "o", "uk"]),
            ("+49 (30) 12-34", &["12", "30", "34", "49"]),
            ("ﬁne Ⅷ", &["fine", "viii"]),
            ("日本語 text", &["text", "日本語"]),
            ("a\0b", &["a", "b"]),
        ] {
            assert_eq!(list(text), expected, "{text}");
        }
        assert_eq!(list(&"x".repeat(100)), ["x".repeat(WORD_CHARACTERS)]);
        let many = (0..5_000)
            .map(|number| format!("w{number}"))
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(list(&many).len(), WORDS);
    }

    /// What is in databases: should this fail when a library of characters is renewed, words of leads that are in the index can't be removed any
    /// more, and a migration must make the index anew.
    #[test]
    fn words_that_were_made_once_are_made_for_ever() {
        for (text, expected) in [
            ("Straße İstanbul ŒUVRE Ångström", "angstrom istanbul straße œuvre"),
            (
                "naïve café façade Ñandú Łódź Đorđe Øre",
                "cafe facade naive nandu łodz øre đorđe",
            ),
            ("Ελλάδα ΟΔΟΣ Ώρα", "ελλαδα οδοσ ωρα"),
            ("Ёлка Йод Україна", "елка иод украіна"),
            ("שָׁלוֹם مُحَمَّد", "שלום محمد"),
            ("हिन्दी ไทย தமிழ்", "हनद ไทย தமழ"),
            (
                "한국어 ｶﾀｶﾅ ガ ｈｅｌｌｏ １２３",
                "123 hello カ カタカナ \u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165}",
            ),
            ("x² ½ ① № ™ ㎏ ﷺ", "1 2 kg no tm x2 صلى الله عليه وسلم"),
            ("٣٤٥ ১২৩", "১২৩ ٣٤٥"),
            ("👩‍💻 ok_ko a.b-c/d", "a b c d ko ok"),
            ("Ǆungla ẞ ŉ ſ ﬀ", "dzungla ff s ß ʼn"),
            ("\u{1E900}\u{10400} \u{2160}\u{24B6}", "ia \u{1E922}\u{10428}"),
        ] {
            let expected = expected.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(words([text]), expected, "{text}");
        }
    }

    #[test]
    fn a_lead_is_meant_if_it_has_words_that_begin_so() {
        let of_lead = words(["Anna Müller", "anna.m@example.com", "I need a quote"]);
        for (text, is_meant) in [
            ("ann", true),
            ("muel", false),
            ("mul anna", true),
            ("anna quote", true),
            ("quotes", false),
            ("anna.m@example.com", true),
            ("ANNA.M@", true),
            ("m@example.com", false),
            ("!!", false),
        ] {
            let wanted = Wanted::of(text);
            assert_eq!(wanted.is_in("Anna.M@example.com", &of_lead), is_meant, "{text}");
        }
    }
}

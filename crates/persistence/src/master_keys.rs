//! The master key in use and, while it takes another's place, that other one.
//!
//! Either opens what it sealed; only the one in use seals. A sealed value names its key, so neither is tried in vain.

use zeroize::Zeroizing;

use crate::master_key::{MasterKey, SealedPlace};

/// What secrets are sealed and opened with. `Debug` shows the keys' ids.
#[derive(Debug, Clone)]
pub(crate) struct MasterKeys {
    current: MasterKey,
    previous: Option<MasterKey>,
}

/// A value that is to be sealed under the key in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resealed {
    /// It is already.
    Before,
    /// The same, as it is sealed under the key in use.
    Now(String),
    /// Neither key opens it: it is damaged, moved, or a third key's.
    Unreadable,
}

impl MasterKeys {
    pub(crate) const fn new(current: MasterKey, previous: Option<MasterKey>) -> Self {
        Self { current, previous }
    }

    /// Whether another key's place is being taken.
    pub(crate) const fn are_two(&self) -> bool {
        self.previous.is_some()
    }

    /// Whether two keys were given that can't be told apart.
    pub(crate) fn are_alike(&self) -> bool {
        self.previous
            .as_ref()
            .is_some_and(|previous| previous.id() == self.current.id())
    }

    /// Names the keys without giving them away.
    pub(crate) fn ids(&self) -> String {
        let previous = self.previous.as_ref();
        previous.map_or_else(
            || self.current.id().to_owned(),
            |previous| format!("{} or {}", self.current.id(), previous.id()),
        )
    }

    /// Names the key in use without giving it away.
    pub(crate) fn current_id(&self) -> &str {
        self.current.id()
    }

    /// Encrypts a value for one place in the database.
    pub(crate) fn seal(&self, place: &SealedPlace, plain: &[u8]) -> String {
        self.current.seal(place, plain)
    }

    /// Decrypts a value of one place; `None` when it is damaged, moved, or a third key's.
    pub(crate) fn open(&self, place: &SealedPlace, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let previous = || self.previous.as_ref()?.open(place, sealed);
        self.current.open(place, sealed).or_else(previous)
    }

    /// Whether a value names the key in use as its own.
    pub(crate) fn is_current(&self, sealed: &str) -> bool {
        MasterKey::id_of_sealed(sealed) == self.current.id()
    }

    /// Seals a value of one place under the key in use.
    pub(crate) fn reseal(&self, place: &SealedPlace, sealed: &str) -> Resealed {
        if self.is_current(sealed) {
            return Resealed::Before;
        }
        let plain = self.open(place, sealed);
        plain.map_or(Resealed::Unreadable, |plain| Resealed::Now(self.seal(place, &plain)))
    }
}

/// A key that takes no other's place.
impl From<MasterKey> for MasterKeys {
    fn from(key: MasterKey) -> Self {
        Self::new(key, None)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const PLACE: SealedPlace = SealedPlace {
        table: "destinations",
        row: Uuid::nil(),
        column: "sealed_secret",
    };

    #[test]
    fn either_key_opens_and_only_the_one_in_use_seals() {
        let [old, new, third] = [(); 3].map(|()| MasterKey::generate());
        let both = MasterKeys::new(new.clone(), Some(old.clone()));
        let by_old = old.seal(&PLACE, b"secret");
        assert_eq!(both.open(&PLACE, &by_old).expect("it opens").as_slice(), b"secret");
        let by_both = both.seal(&PLACE, b"secret");
        assert!(new.open(&PLACE, &by_both).is_some() && old.open(&PLACE, &by_both).is_none());
        assert_eq!(both.open(&PLACE, &by_both).expect("it opens").as_slice(), b"secret");
        assert!(both.open(&PLACE, &third.seal(&PLACE, b"secret")).is_none());
        assert!(MasterKeys::from(new.clone()).open(&PLACE, &by_old).is_none());

        let Resealed::Now(anew) = both.reseal(&PLACE, &by_old) else {
            panic!("it is sealed anew");
        };
        assert_eq!(new.open(&PLACE, &anew).expect("it opens").as_slice(), b"secret");
        assert_eq!(both.reseal(&PLACE, &anew), Resealed::Before);
        for unreadable in ["", "x:y", &by_old[..30], &third.seal(&PLACE, b"secret")] {
            assert_eq!(both.reseal(&PLACE, unreadable), Resealed::Unreadable, "{unreadable:?}");
        }
        let shown = format!("{both:?} {}", both.ids());
        assert!(
            [old, new]
                .iter()
                .all(|key| !shown.contains(&**key.expose()) && shown.contains(key.id()))
        );
    }
}

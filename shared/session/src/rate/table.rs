//! Rate limits by key, in bounded memory.

use std::collections::BTreeMap;
use std::mem;

use amphi_shared_wire::Micros;

use super::RateLimit;

/// One [`RateLimit`] for each of many keys (addresses, people). Two generations: when the younger one is full it becomes
/// the older one, and what was not used since then is forgotten. So at least `keys_max / 2` of the keys used last are
/// remembered, at most `keys_max`, and each step costs the same.
///
/// A key that is forgotten starts anew with its whole burst: a crowd of fresh addresses is let in, not everyone kept out.
#[derive(Debug)]
pub struct RateTable<K> {
    limit: RateLimit,
    keys_max: usize,
    young: BTreeMap<K, RateLimit>,
    old: BTreeMap<K, RateLimit>,
    forgotten: u64,
}

impl<K: Ord> RateTable<K> {
    /// An empty table in which every key has `limit`. `keys_max` is at least 2.
    pub fn new(limit: RateLimit, keys_max: usize) -> Self {
        Self { limit, keys_max, young: BTreeMap::new(), old: BTreeMap::new(), forgotten: 0 }
    }

    /// Takes one event of `key`; when there are too many, says after how long one more is welcome.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&mut self, now: Micros, key: K) -> Result<(), Micros> {
        if let Some(limit) = self.young.get_mut(&key) {
            return limit.check(now);
        }
        if self.young.len() >= self.keys_max / 2 {
            self.forgotten += self.old.len() as u64;
            self.old = mem::take(&mut self.young);
        }
        let mut limit = self.old.remove(&key).unwrap_or(self.limit);
        let checked = limit.check(now);
        self.young.insert(key, limit);
        checked
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// True when no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that were forgotten for lack of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

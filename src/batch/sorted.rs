//! A map in the order of its keys, made for keys that mostly come in order.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

/// So many holes may stand in the line, and as many more as there are keys.
const HOLES: usize = 64;

/// What comes behind all others stands in a line, where it costs next to nothing; what comes out of
/// turn goes into a tree. A request without a priority, of a simulator that asks in turn, is of the
/// first kind from its arrival to its end.
#[derive(Debug)]
pub(super) struct Sorted<K, V> {
    /// Who left from between others leaves a hole; both ends are taken.
    line: VecDeque<(K, Option<V>)>,
    holes: usize,
    strays: BTreeMap<K, V>,
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    pub fn new() -> Self {
        Self { line: VecDeque::new(), holes: 0, strays: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.line.len() - self.holes + self.strays.len()
    }

    /// `key` is a new one.
    pub fn insert(&mut self, key: K, value: V) {
        match self.line.back() {
            Some((last, _)) if *last > key => {
                self.strays.insert(key, value);
            }
            _ => self.line.push_back((key, Some(value))),
        }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        match self.find(key) {
            Some(at) => self.line[at].1.as_ref(),
            None => self.strays.get(key),
        }
    }

    pub fn first(&self) -> Option<(&K, &V)> {
        let line = self.line.front().and_then(|(key, value)| Some((key, value.as_ref()?)));
        let stray = self.strays.first_key_value();
        [line, stray].into_iter().flatten().min_by_key(|(key, _)| *key)
    }

    pub fn last_key(&self) -> Option<&K> {
        let line = self.line.back().map(|(key, _)| key);
        line.max(self.strays.last_key_value().map(|(key, _)| key))
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let stray = self.strays.first_key_value().map(|(key, _)| key);
        match (self.line.front(), stray) {
            (Some((key, _)), stray) if stray.is_none_or(|stray| key < stray) => {
                let (key, value) = self.line.pop_front()?;
                self.trim();
                Some((key, value?))
            }
            _ => self.strays.pop_first(),
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Some(at) = self.find(key) else { return self.strays.remove(key) };
        let removed = self.line[at].1.take();
        self.holes += usize::from(removed.is_some());
        self.trim();
        removed
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        let mut line = self.line.iter().filter(|(_, value)| value.is_some()).peekable();
        let mut strays = self.strays.keys().peekable();
        std::iter::from_fn(move || match (line.peek(), strays.peek()) {
            (Some((key, _)), Some(stray)) if *stray < key => strays.next(),
            (None, _) => strays.next(),
            _ => line.next().map(|(key, _)| key),
        })
    }

    fn find(&self, key: &K) -> Option<usize> {
        // Whoever leaves is mostly the first.
        let at = match self.line.front() {
            Some((first, _)) if first == key => 0,
            _ => self.line.binary_search_by(|(other, _)| other.cmp(key)).ok()?,
        };
        self.line[at].1.is_some().then_some(at)
    }

    fn trim(&mut self) {
        let free = |end: Option<&(K, Option<V>)>| end.is_some_and(|(_, value)| value.is_none());
        while free(self.line.front()) {
            self.line.pop_front();
            self.holes -= 1;
        }
        while free(self.line.back()) {
            self.line.pop_back();
            self.holes -= 1;
        }
        if self.holes > HOLES + self.line.len() / 2 {
            self.line.retain(|(_, value)| value.is_some());
            self.holes = 0;
        }
    }

    /// All of it, in order; nothing stays.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let mut all = mem::replace(self, Self::new());
        std::iter::from_fn(move || all.pop_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// Whatever comes and goes, it gives what a tree would.
        #[test]
        fn it_is_a_map_in_the_order_of_its_keys(steps in vec((0..4u8, 0..400u16), 0..600)) {
            let (mut sorted, mut tree) = (Sorted::new(), BTreeMap::new());
            for (step, key) in steps {
                match step {
                    0 | 1 if !tree.contains_key(&key) => {
                        sorted.insert(key, key + 1);
                        tree.insert(key, key + 1);
                    }
                    2 => prop_assert_eq!(sorted.remove(&key), tree.remove(&key)),
                    _ => prop_assert_eq!(sorted.pop_first(), tree.pop_first()),
                }
                prop_assert_eq!(sorted.len(), tree.len());
                prop_assert_eq!(sorted.first(), tree.first_key_value());
                prop_assert_eq!(sorted.last_key(), tree.last_key_value().map(|(key, _)| key));
                prop_assert_eq!(sorted.get(&key), tree.get(&key));
                prop_assert!(sorted.keys().eq(tree.keys()));
            }
            prop_assert!(sorted.drain().eq(tree));
        }
    }

    #[test]
    fn who_stays_for_long_does_not_make_the_line_grow() {
        let mut sorted = Sorted::new();
        (0..2).for_each(|key| sorted.insert(key, ()));
        for key in 2..100_000 {
            sorted.insert(key, ());
            sorted.remove(&(key - 1));
        }
        assert_eq!(sorted.len(), 2);
        assert!(sorted.line.len() < 4 * HOLES, "{}", sorted.line.len());
    }
}

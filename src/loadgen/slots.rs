//! Which reply belongs to which request.
//!
//! A broker looks up each new reply subject anew, so a connection has few of them and uses them
//! again. One whose request was given up gets another generation, by which an answer that comes too
//! late is told from the answer to the next request.

use std::time::Duration;

/// Where a reply goes: the last two tokens of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub slot: usize,
    pub generation: u32,
}

pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
    limit: usize,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// From when the time of the request that is open counts, and when it was sent.
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When it was to be sent.
    pub due: Duration,
    pub sent: Duration,
}

impl Slots {
    /// For so many open requests.
    pub fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), limit }
    }

    /// `None`: so many are open that no more may be.
    pub fn open(&mut self, asked: Asked) -> Option<Token> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.limit => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return None,
        };
        self.slots[slot].asked = Some(asked);
        Some(Token { slot, generation: self.slots[slot].generation })
    }

    /// The request that is answered; `None` if it was given up, or never asked.
    pub fn close(&mut self, token: Token) -> Option<Asked> {
        let slot = self.slots.get_mut(token.slot)?;
        let asked = slot.asked.filter(|_| slot.generation == token.generation)?;
        slot.asked = None;
        self.free.push(token.slot);
        Some(asked)
    }

    /// Gives up all requests that were sent before that moment.
    pub fn give_up(&mut self, before: Duration) -> Vec<Asked> {
        let mut given_up = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some(asked) = slot.asked.take_if(|asked| asked.sent < before) {
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(number);
                given_up.push(asked);
            }
        }
        given_up
    }

    pub fn outstanding(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Asked {
        Asked { due: Duration::from_millis(ms), sent: Duration::from_millis(ms) }
    }

    #[test]
    fn a_token_is_used_again_once_it_is_answered() {
        let mut slots = Slots::new(2);
        let first = slots.open(at(1)).unwrap();
        assert_eq!(slots.close(first), Some(at(1)));
        assert_eq!(slots.open(at(2)), Some(first));
        assert_eq!(slots.outstanding(), 1);
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
        let mut slots = Slots::new(1);
        let first = slots.open(at(1)).unwrap();
        assert_eq!(slots.give_up(Duration::from_millis(2)), [at(1)]);
        let second = slots.open(at(3)).unwrap();
        assert_eq!((second.slot, slots.close(first)), (first.slot, None));
        assert_eq!(slots.close(second), Some(at(3)));
    }

    #[test]
    fn an_answer_counts_once_and_one_to_nothing_does_not() {
        let mut slots = Slots::new(1);
        let token = slots.open(at(1)).unwrap();
        slots.close(token);
        assert_eq!(slots.close(token), None);
        assert_eq!(slots.close(Token { slot: 9, generation: 0 }), None);
    }

    #[test]
    fn no_more_are_open_than_the_limit_allows() {
        let mut slots = Slots::new(1);
        let token = slots.open(at(1)).unwrap();
        assert_eq!(slots.open(at(2)), None);
        slots.close(token);
        assert!(slots.open(at(3)).is_some());
    }
}

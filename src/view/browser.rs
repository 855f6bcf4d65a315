//! What the person at the keyboard has chosen: order, filter, selection.

use super::{
    Moment,
    column::Column,
    member::Member,
    pool::{Id, Pool},
};

/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Characters of a filter.
const LONGEST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Character(char),
    /// Ctrl-C.
    Interrupt,
}

#[derive(Clone, Debug)]
pub struct Browser {
    pub column: Column,
    pub reversed: bool,
    pub filter: String,
    /// Keys go to the filter.
    pub is_typing: bool,
    pub detail: bool,
    /// A worker, not a row: it stays selected when the order changes.
    selected: Option<Id>,
}

impl Default for Browser {
    fn default() -> Self {
        Self {
            column: Column::Worker,
            reversed: false,
            filter: String::new(),
            is_typing: false,
            detail: false,
            selected: None,
        }
    }
}

impl Browser {
    /// The workers that pass the filter, in the chosen order; equal ones by model and name.
    pub fn rows<'a>(&self, pool: &'a Pool, now: Moment) -> Vec<&'a Member> {
        let mut rows: Vec<_> = pool.workers().filter(|worker| self.shows(worker, now)).collect();
        rows.sort_by(|a, b| self.column.compare(a, b, self.reversed, now));
        rows
    }

    /// Which row is selected: the first one, before anybody has chosen.
    pub fn selected(&self, rows: &[&Member]) -> Option<usize> {
        let is_it = |worker: &&Member| Some(worker.id()) == self.selected;
        (!rows.is_empty()).then(|| rows.iter().position(is_it).unwrap_or(0))
    }

    /// A key was pressed. `true` means: leave.
    pub fn press(&mut self, key: Key, pool: &Pool, now: Moment) -> bool {
        match key {
            Key::Interrupt => return true,
            Key::Up => self.step(pool, now, |row| row.saturating_sub(1)),
            Key::Down => self.step(pool, now, |row| row + 1),
            Key::PageUp => self.step(pool, now, |row| row.saturating_sub(PAGE)),
            Key::PageDown => self.step(pool, now, |row| row + PAGE),
            Key::Home => self.step(pool, now, |_| 0),
            Key::End => self.step(pool, now, |_| usize::MAX),
            Key::Escape => self.clear(),
            Key::Enter if self.is_typing => self.is_typing = false,
            Key::Enter => self.toggle_detail(pool, now),
            Key::Backspace if self.is_typing => drop(self.filter.pop()),
            Key::Backspace => {}
            Key::Character(character) if self.is_typing => self.add_to_filter(character),
            Key::Character(command) => return self.command(command, pool, now),
        }
        false
    }

    fn command(&mut self, command: char, pool: &Pool, now: Moment) -> bool {
        match command {
            'q' => return true,
            'j' => self.step(pool, now, |row| row + 1),
            'k' => self.step(pool, now, |row| row.saturating_sub(1)),
            ' ' => self.toggle_detail(pool, now),
            's' => (self.column, self.reversed) = (next(self.column), false),
            'r' => self.reversed = !self.reversed,
            '/' => self.is_typing = true,
            _ => {}
        }
        false
    }

    fn step(&mut self, pool: &Pool, now: Moment, to: impl Fn(usize) -> usize) {
        let rows = self.rows(pool, now);
        let row = self.selected(&rows).map(|row| to(row).min(rows.len() - 1));
        self.selected = row.map(|row| rows[row].id());
    }

    /// Whom the pane shows must not change with the order.
    fn toggle_detail(&mut self, pool: &Pool, now: Moment) {
        self.step(pool, now, |row| row);
        self.detail = !self.detail;
    }

    /// The filter first, then the pane.
    fn clear(&mut self) {
        if self.is_typing || !self.filter.is_empty() {
            self.is_typing = false;
            self.filter.clear();
        } else {
            self.detail = false;
        }
    }

    fn add_to_filter(&mut self, character: char) {
        if self.filter.chars().count() < LONGEST {
            self.filter.push(character);
        }
    }

    fn shows(&self, worker: &Member, now: Moment) -> bool {
        let filter = self.filter.to_lowercase();
        let health = &worker.health;
        [&health.worker, &health.model, &health.host]
            .into_iter()
            .any(|text| text.to_lowercase().contains(&filter))
            || worker.standing(now).name().contains(&filter)
    }
}

fn next(column: Column) -> Column {
    let at = Column::ALL.iter().position(|other| *other == column).unwrap_or(0);
    Column::ALL[(at + 1) % Column::ALL.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        said,
        wire::{Health, State},
    };

    const NOW: Moment = Duration::ZERO;

    fn pool() -> Pool {
        let mut pool = Pool::default();
        let ready = State::Ready;
        for (name, host, state, rate) in [
            ("a", "sim-1", ready, 10.0),
            ("b", "sim-2", State::Saturated, 30.0),
            ("c", "sim-2", ready, 20.0),
        ] {
            let health = Health { host: host.into(), state, rate, ..said::health(name) };
            pool.hear_health(&said::health_body(&health), NOW);
        }
        pool
    }

    fn names(browser: &Browser, pool: &Pool) -> Vec<String> {
        browser.rows(pool, NOW).iter().map(|worker| worker.health.worker.clone()).collect()
    }

    fn selected(browser: &Browser, pool: &Pool) -> Option<String> {
        let rows = browser.rows(pool, NOW);
        browser.selected(&rows).map(|row| rows[row].health.worker.clone())
    }

    fn press(browser: &mut Browser, pool: &Pool, keys: &[Key]) {
        for key in keys {
            assert!(!browser.press(*key, pool, NOW), "{key:?}");
        }
    }

    fn write(browser: &mut Browser, pool: &Pool, text: &str) {
        let keys: Vec<_> = text.chars().map(Key::Character).collect();
        press(browser, pool, &keys);
    }

    #[test]
    fn arrows_and_letters_move_within_the_table() {
        let (mut browser, pool) = (Browser::default(), pool());
        assert_eq!(selected(&browser, &pool).as_deref(), Some("a"));
        for (key, expected) in [
            (Key::Up, "a"),
            (Key::Down, "b"),
            (Key::Character('j'), "c"),
            (Key::Down, "c"),
            (Key::Character('k'), "b"),
            (Key::Home, "a"),
            (Key::End, "c"),
            (Key::PageUp, "a"),
            (Key::PageDown, "c"),
        ] {
            press(&mut browser, &pool, &[key]);
            assert_eq!(selected(&browser, &pool).as_deref(), Some(expected), "{key:?}");
        }
    }

    #[test]
    fn the_selection_stays_with_its_worker_when_the_order_changes() {
        let (mut browser, pool) = (Browser::default(), pool());
        press(&mut browser, &pool, &[Key::Down]);
        while browser.column != Column::Rate {
            write(&mut browser, &pool, "s");
        }
        assert_eq!(names(&browser, &pool), ["b", "c", "a"]);
        assert_eq!(selected(&browser, &pool).as_deref(), Some("b"));
        write(&mut browser, &pool, "r");
        assert_eq!(names(&browser, &pool), ["a", "c", "b"]);
        assert_eq!(selected(&browser, &pool).as_deref(), Some("b"));
    }

    #[test]
    fn sorting_goes_through_all_columns_and_begins_again() {
        let (mut browser, pool) = (Browser::default(), pool());
        let mut seen = vec![browser.column];
        write(&mut browser, &pool, "s");
        while browser.column != seen[0] {
            seen.push(browser.column);
            write(&mut browser, &pool, "s");
        }
        assert_eq!(seen.len(), Column::ALL.len());
    }

    #[test]
    fn a_filter_finds_worker_model_host_and_state() {
        let pool = pool();
        for (filter, expected) in [
            ("/SIM-2", vec!["b", "c"]),
            ("/satur", vec!["b"]),
            ("/lane", vec!["a", "b", "c"]),
            ("/c", vec!["c"]),
            ("/jkqrs", vec![]),
        ] {
            let mut browser = Browser::default();
            write(&mut browser, &pool, filter);
            assert_eq!(names(&browser, &pool), expected, "{filter}");
        }
    }

    #[test]
    fn escape_clears_the_filter_and_then_the_pane() {
        let (mut browser, pool) = (Browser::default(), pool());
        press(&mut browser, &pool, &[Key::Enter]);
        write(&mut browser, &pool, "/bx");
        press(&mut browser, &pool, &[Key::Backspace, Key::Enter]);
        assert_eq!((browser.is_typing, browser.filter.as_str()), (false, "b"));
        press(&mut browser, &pool, &[Key::Escape]);
        assert_eq!((browser.filter.as_str(), browser.detail), ("", true));
        press(&mut browser, &pool, &[Key::Escape]);
        assert!(!browser.detail);
    }

    #[test]
    fn q_leaves_unless_it_is_typed_and_interrupt_always() {
        let (mut browser, pool) = (Browser::default(), pool());
        assert!(browser.clone().press(Key::Character('q'), &pool, NOW));
        write(&mut browser, &pool, "/q");
        assert!(browser.press(Key::Interrupt, &pool, NOW));
    }

    #[test]
    fn every_key_is_harmless_in_an_empty_pool() {
        let (mut browser, pool) = (Browser::default(), Pool::default());
        use Key::{Backspace, Down, End, Enter, Escape, Home, PageDown, PageUp, Up};
        let keys = [Up, Down, PageUp, PageDown, Home, End, Enter, Backspace, Escape];
        press(&mut browser, &pool, &keys);
        write(&mut browser, &pool, "jk srx");
        assert_eq!(selected(&browser, &pool), None);
    }
}

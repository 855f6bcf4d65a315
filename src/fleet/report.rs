//! What a program that drives in our place reports, an object of JSON on each line.

use std::time::Duration;

use serde::Deserialize;

use super::score::{Episodes, Score};

/// A line that can't be read is shown up to here.
const SHOWN: usize = 200;

/// One line.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Report {
    /// One more of its processes drives.
    Started,
    /// An action came.
    Reply {
        round_trip_us: u64,
        batch_rows: Option<u64>,
        /// The next step was due already.
        #[serde(default)]
        late: bool,
    },
    /// An error came, or nothing.
    Error { code: String },
    /// An environment came to its end.
    Episode {
        #[serde(rename = "return")]
        total: f64,
        length: u64,
        crashed: bool,
    },
}

/// What has been reported so far.
#[derive(Default)]
pub struct Reports {
    pub score: Score,
    pub episodes: Episodes,
    /// Processes that drive.
    pub driving: usize,
    /// Lines that could not be read.
    pub unread: u64,
}

impl Reports {
    /// Takes a line.
    ///
    /// # Errors
    /// It is no report; the text shows it, and why.
    pub fn read(&mut self, line: &[u8]) -> Result<(), String> {
        match serde_json::from_slice(line) {
            Ok(report) => {
                self.take(report);
                Ok(())
            }
            Err(error) => {
                self.unread += 1;
                let line = String::from_utf8_lossy(line);
                let shown: String = line.chars().take(SHOWN).collect();
                Err(format!("{shown:?}: {error}"))
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Started => self.driving += 1,
            Report::Reply { round_trip_us, batch_rows, late } => {
                self.score.asked();
                self.score.told(Duration::from_micros(round_trip_us), batch_rows);
                if late {
                    self.score.late();
                }
            }
            Report::Error { code } => {
                self.score.asked();
                self.score.failed(code);
            }
            Report::Episode { total, length, crashed } => {
                self.episodes.add(total, length, crashed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::score::Outcome;

    #[test]
    fn reports_are_counted() {
        let mut reports = Reports::default();
        for line in [
            r#"{"event": "started", "process": 0}"#,
            r#"{"event": "reply", "process": 0, "round_trip_us": 812, "batch_rows": 3, "late": true}"#,
            r#"{"event": "reply", "round_trip_us": 400, "batch_rows": null}"#,
            r#"{"process": 0, "code": "overloaded", "event": "error"}"#,
            r#"{"event": "episode", "return": 20.5, "length": 30, "crashed": true}"#,
        ] {
            reports.read(line.as_bytes()).unwrap();
        }
        assert_eq!((reports.driving, reports.unread), (1, 0));
        assert_eq!((reports.episodes.count, reports.episodes.crashed), (1, 1));
        let summary = reports.score.summary(1, None, Outcome::Episodes(reports.episodes));
        assert_eq!((summary.requests, summary.replies, summary.late), (3, 2, 1));
        assert_eq!((summary.errors_by_code["overloaded"], summary.unanswered), (1, 0));
        assert_eq!((summary.round_trip_us.max, summary.batch_rows_mean), (812, Some(3.0)));
    }

    #[test]
    fn what_is_no_report_is_shown_counted_and_changes_nothing_else() {
        let mut reports = Reports::default();
        let long = "x".repeat(5000);
        for (line, told) in [
            ("Hello from a library", "\"Hello from a library\": expected"),
            ("", "\"\": EOF"),
            (r#"{"event": "landed"}"#, "unknown variant `landed`"),
            (r#"{"event": "reply"}"#, "missing field `round_trip_us`"),
            (r#"{"event": "reply", "round_trip_us": -1}"#, "expected u64"),
            (&long, "x\": expected"),
        ] {
            let why = reports.read(line.as_bytes()).unwrap_err();
            assert!(why.contains(told) && why.len() < 400, "{why}");
        }
        assert!(reports.read(b"\xff\xfe").is_err(), "not even text");
        assert_eq!((reports.unread, reports.driving), (7, 0));
        let summary = reports.score.summary(1, None, Outcome::LeftRoad(0));
        assert_eq!(summary.requests, 0);
    }
}

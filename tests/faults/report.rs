//! What came of a fault, for people and for programs.

use std::{fmt::Write, time::Duration};

use serde::Serialize;

use crate::common::oracle::Verdict;

#[derive(Serialize)]
pub struct Report {
    pub fault: &'static str,
    pub promise: String,
    /// `None`: it could not be tried here.
    pub kept: Option<bool>,
    pub verdict: Verdict,
    /// The longest that it took until requests were served again.
    pub recovery_ms: Option<f64>,
    /// What was measured besides, or what broke the promise.
    pub notes: Vec<String>,
}

impl Report {
    /// A promise that is kept so far.
    pub fn new(fault: &'static str, promise: &str, verdict: Verdict) -> Self {
        let (promise, notes) = (promise.to_owned(), verdict.mistakes.clone());
        Self { fault, promise, kept: Some(true), verdict, recovery_ms: None, notes }
    }

    /// It could not be tried.
    pub fn skipped(fault: &'static str, promise: &str, why: &str) -> Self {
        let report = Self::new(fault, promise, Verdict::default());
        Self { kept: None, ..report }.note(format!("not run: {why}"))
    }

    /// It ended before there was anything to judge.
    pub fn failed(fault: &'static str, why: String) -> Self {
        let report = Self::new(fault, "", Verdict::default());
        Self { kept: Some(false), ..report }.note(why)
    }

    /// Part of the promise.
    pub fn hold(mut self, holds: bool, what: impl Into<String>) -> Self {
        if !holds {
            self.kept = Some(false);
            self.notes.push(format!("BROKEN: {}", what.into()));
        }
        self
    }

    /// No answer was another's, or one too many.
    pub fn sound(self) -> Self {
        let holds = self.verdict.is_sound();
        let what = format!("{} wrong, {} twice", self.verdict.wrong, self.verdict.twice);
        self.hold(holds, what)
    }

    pub fn all_answered(self) -> Self {
        let unanswered = self.verdict.unanswered;
        self.hold(unanswered == 0, format!("{unanswered} unanswered"))
    }

    pub fn recovered(self, longest: Duration, limit: Duration) -> Self {
        let what = format!("recovered after {longest:.2?}, not within {limit:?}");
        let recovery_ms = Some(longest.as_secs_f64() * 1e3);
        Self { recovery_ms, ..self }.hold(longest <= limit, what)
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn word(&self) -> &'static str {
        match self.kept {
            Some(true) => "kept",
            Some(false) => "BROKEN",
            None => "not run",
        }
    }
}

/// A table for people.
pub fn table(reports: &[Report]) -> String {
    let head = ["fault", "sent", "ok", "errors", "503", "unans.", "wrong", "twice", "recovery", ""];
    let mut rows = vec![head.map(String::from)];
    rows.extend(reports.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(table, "{line}").expect("a text takes all");
    }
    for report in reports {
        writeln!(table, "\n{}: {}", report.fault, report.promise).expect("a text takes all");
        for note in &report.notes {
            writeln!(table, "    {note}").expect("a text takes all");
        }
    }
    table
}

fn cells(report: &Report) -> [String; 10] {
    let verdict = &report.verdict;
    let errors = verdict.errors.iter().map(|(code, count)| format!("{code} {count}"));
    let errors = errors.collect::<Vec<_>>().join(", ");
    let count = |count: u64| count.to_string();
    [
        report.fault.to_owned(),
        count(verdict.sent),
        count(verdict.ok),
        if errors.is_empty() { "0".into() } else { errors },
        count(verdict.no_responders),
        count(verdict.unanswered),
        count(verdict.wrong),
        count(verdict.twice),
        report.recovery_ms.map_or("-".into(), |ms| format!("{ms:.0} ms")),
        report.word().to_owned(),
    ]
}

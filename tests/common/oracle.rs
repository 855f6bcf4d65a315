//! What was asked, what came back, and whether that is right: each request has one right action,
//! and gets one answer.

use std::{collections::BTreeMap, time::Duration};

use carla_rl::wire::Code;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::echo;

/// So many mistakes are kept in words.
const TOLD: usize = 5;

/// What came back for a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Action {
        id: u32,
        action: [f32; 2],
    },
    Error(Code),
    /// The broker's word that there is no worker.
    NoResponders,
    Unreadable(String),
}

/// The requests of one connection; the first has the number 0.
pub struct Oracle {
    connection: u32,
    asked: Vec<Asked>,
    /// All before it are answered, or given up.
    oldest: usize,
    given_up: u64,
    answered: u64,
    verdict: Verdict,
}

struct Asked {
    sent: Duration,
    is_good: bool,
    answered: bool,
}

/// What became of all requests.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub sent: u64,
    pub ok: u64,
    pub errors: BTreeMap<&'static str, u64>,
    pub no_responders: u64,
    pub unanswered: u64,
    /// Answers that are not those of their request.
    pub wrong: u64,
    /// Answers to a request that had one.
    pub twice: u64,
    /// The first mistakes, in words.
    pub mistakes: Vec<String>,
    /// When the last request was sent that nobody answered, since the load began.
    #[serde(skip)]
    pub last_unanswered: Option<Duration>,
    /// How long actions took, in µs.
    #[serde(skip)]
    pub served: Histogram<u64>,
    /// How long errors took, in µs.
    #[serde(skip)]
    pub refused: Histogram<u64>,
}

impl Oracle {
    pub fn new(connection: u32) -> Self {
        let verdict = Verdict::default();
        Self { connection, asked: vec![], oldest: 0, given_up: 0, answered: 0, verdict }
    }

    /// The id of this connection's request number `n`.
    pub fn id(&self, n: usize) -> u32 {
        (self.connection << 26) | u32::try_from(n).expect("fewer requests than that")
    }

    /// The number of the next request.
    pub fn next(&self) -> usize {
        self.asked.len()
    }

    /// The next request is sent. Only a good one may get an action.
    pub fn asked(&mut self, sent: Duration, is_good: bool) {
        self.asked.push(Asked { sent, is_good, answered: false });
    }

    /// Requests that may still be answered.
    pub fn open(&self) -> u64 {
        self.asked.len() as u64 - self.answered - self.given_up
    }

    /// No longer waits for what was sent before that moment. An answer that comes yet counts.
    pub fn give_up(&mut self, before: Duration) {
        while self.asked.get(self.oldest).is_some_and(|asked| asked.answered || asked.sent < before)
        {
            self.given_up += u64::from(!self.asked[self.oldest].answered);
            self.oldest += 1;
        }
    }

    /// An answer to request number `n` came. When the request was sent, if it is a first action.
    pub fn hear(&mut self, n: usize, answer: Answer, now: Duration) -> Option<Duration> {
        let id = self.id(n);
        let Some(asked) = self.asked.get_mut(n) else {
            self.wrong(format!("{answer:?} for number {n}, which was not asked"));
            return None;
        };
        let (sent, is_good) = (asked.sent, asked.is_good);
        if std::mem::replace(&mut asked.answered, true) {
            self.verdict.twice += 1;
            self.tell(format!("{answer:?} as a further answer to {id}"));
            return None;
        }
        self.given_up -= u64::from(n < self.oldest);
        self.answered += 1;
        self.judge(id, is_good, answer, now.saturating_sub(sent)).then_some(sent)
    }

    /// Whether it is the right action.
    fn judge(&mut self, id: u32, is_good: bool, answer: Answer, took: Duration) -> bool {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match answer {
            Answer::Action { id: named, action }
                if is_good && named == id && action == echo::action(id) =>
            {
                self.verdict.ok += 1;
                self.verdict.served.saturating_record(took);
                return true;
            }
            Answer::Error(code) if is_good != blames_the_client(code) || is_nobodys(code) => {
                *self.verdict.errors.entry(code.name()).or_default() += 1;
                self.verdict.refused.saturating_record(took);
            }
            Answer::NoResponders => self.verdict.no_responders += 1,
            answer => self.wrong(format!("{answer:?} for {id}, good: {is_good}")),
        }
        false
    }

    fn wrong(&mut self, what: String) {
        self.verdict.wrong += 1;
        self.tell(what);
    }

    fn tell(&mut self, what: String) {
        if self.verdict.mistakes.len() < TOLD {
            self.verdict.mistakes.push(what);
        }
    }

    /// Nothing more is heard.
    pub fn close(mut self) -> Verdict {
        let unanswered = self.asked.iter().filter(|asked| !asked.answered);
        self.verdict.last_unanswered = unanswered.clone().map(|asked| asked.sent).max();
        self.verdict.unanswered = unanswered.count() as u64;
        self.verdict.sent = self.asked.len() as u64;
        self.verdict
    }
}

/// Errors that only a bad request may get.
fn blames_the_client(code: Code) -> bool {
    use Code::{InvalidDtype, InvalidShape, InvalidValue, Malformed, TooLarge, Unsupported};
    matches!(code, Malformed | InvalidShape | InvalidDtype | InvalidValue | TooLarge | Unsupported)
}

/// Errors that any request may get of a worker that is about to end.
fn is_nobodys(code: Code) -> bool {
    matches!(code, Code::Draining | Code::Internal)
}

impl Default for Verdict {
    fn default() -> Self {
        // A minute in µs, to three digits.
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("sound bounds");
        Self {
            sent: 0,
            ok: 0,
            errors: BTreeMap::new(),
            no_responders: 0,
            unanswered: 0,
            wrong: 0,
            twice: 0,
            mistakes: vec![],
            last_unanswered: None,
            served: histogram(),
            refused: histogram(),
        }
    }
}

impl Verdict {
    pub fn add(&mut self, other: Verdict) {
        self.sent += other.sent;
        self.ok += other.ok;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.no_responders += other.no_responders;
        self.unanswered += other.unanswered;
        self.wrong += other.wrong;
        self.twice += other.twice;
        self.mistakes.extend(other.mistakes);
        self.mistakes.truncate(TOLD);
        self.last_unanswered = self.last_unanswered.max(other.last_unanswered);
        self.served.add(other.served).expect("the same bounds");
        self.refused.add(other.refused).expect("the same bounds");
    }

    /// Whether no answer was another's or one too many.
    pub fn is_sound(&self) -> bool {
        self.wrong == 0 && self.twice == 0
    }

    pub fn error(&self, code: Code) -> u64 {
        self.errors.get(code.name()).copied().unwrap_or_default()
    }
}

//! What a request's headers say of when it is to be served, and for whom.

use std::{sync::Arc, time::Duration};

use super::{
    Code, WireError,
    subjects::{DEADLINE_HEADER, ENV_ID_HEADER, PRIORITY_HEADER},
};

/// The lowest priority; 0 is the highest.
pub const LOWEST_PRIORITY: u8 = 9;
/// The priority of requests that name none.
pub const DEFAULT_PRIORITY: u8 = 5;
/// A longer budget counts as this one.
const LONGEST_BUDGET: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of an `Env-Id`.
const LONGEST_ENV_ID: usize = 128;

/// When a request is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// `Deadline-Ms`: how long the sender will wait from now on. Zero: no longer.
    pub budget: Option<Duration>,
    /// `Priority`: 0 to [`LOWEST_PRIORITY`].
    pub priority: u8,
    /// `Env-Id`: which simulator asks.
    pub env_id: Option<Arc<str>>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { budget: None, priority: DEFAULT_PRIORITY, env_id: None }
    }
}

impl Schedule {
    /// Reads the headers that `value` finds by name.
    ///
    /// # Errors
    /// [`Code::Malformed`] for what is no number, [`Code::InvalidValue`] for what is out of range,
    /// with the header's name as field.
    pub fn read<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, WireError> {
        Ok(Self {
            budget: value(DEADLINE_HEADER).map(budget).transpose()?,
            priority: value(PRIORITY_HEADER).map_or(Ok(DEFAULT_PRIORITY), priority)?,
            env_id: value(ENV_ID_HEADER).map(env_id).transpose()?,
        })
    }
}

/// Milliseconds, whole or not. What is negative has been used up on the way.
fn budget(text: &str) -> Result<Duration, WireError> {
    let ms: Option<f64> = text.trim().parse().ok().filter(|ms: &f64| ms.is_finite());
    let Some(ms) = ms else {
        return Err(WireError::new(Code::Malformed, "the deadline is no number")
            .field(DEADLINE_HEADER)
            .expected("milliseconds left, like 50 or 12.5")
            .got(shown(text)));
    };
    let budget = Duration::try_from_secs_f64(ms.max(0.0) / 1e3).unwrap_or(LONGEST_BUDGET);
    Ok(budget.min(LONGEST_BUDGET))
}

fn priority(text: &str) -> Result<u8, WireError> {
    let number: Result<i64, _> = text.trim().parse();
    let (code, message) = match number {
        Ok(number) => match u8::try_from(number).ok().filter(|n| *n <= LOWEST_PRIORITY) {
            Some(priority) => return Ok(priority),
            None => (Code::InvalidValue, "there is no such priority"),
        },
        Err(_) => (Code::Malformed, "the priority is no integer"),
    };
    Err(WireError::new(code, message)
        .field(PRIORITY_HEADER)
        .expected(format!("0 (first) to {LOWEST_PRIORITY} (last)"))
        .got(shown(text)))
}

fn env_id(text: &str) -> Result<Arc<str>, WireError> {
    let id = text.trim();
    if (1..=LONGEST_ENV_ID).contains(&id.len()) {
        return Ok(id.into());
    }
    Err(WireError::new(Code::InvalidValue, "this can't name a simulator")
        .field(ENV_ID_HEADER)
        .expected(format!("1 to {LONGEST_ENV_ID} bytes"))
        .got(format!("{} bytes", id.len())))
}

/// The beginning of a value, which may be as long as its sender likes.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Result<Schedule, WireError> {
        Schedule::read(|name| {
            headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        })
    }

    #[test]
    fn without_headers_there_is_no_deadline_no_name_and_the_middle_priority() {
        assert_eq!(
            read(&[]),
            Ok(Schedule { budget: None, priority: DEFAULT_PRIORITY, env_id: None })
        );
    }

    #[test]
    fn a_budget_is_milliseconds_whole_or_not() {
        let budget = |text| read(&[("Deadline-Ms", text)]).unwrap().budget;
        assert_eq!(budget("50"), Some(Duration::from_millis(50)));
        assert_eq!(budget(" 12.5 "), Some(Duration::from_micros(12_500)));
    }

    #[test]
    fn a_budget_that_is_used_up_is_zero_and_an_absurd_one_a_day() {
        let budget = |text| read(&[("Deadline-Ms", text)]).unwrap().budget;
        assert_eq!(budget("0"), Some(Duration::ZERO));
        assert_eq!(budget("-3"), Some(Duration::ZERO));
        assert_eq!(budget("1e300"), Some(LONGEST_BUDGET));
        assert_eq!(budget("99999999999"), Some(LONGEST_BUDGET));
    }

    #[test]
    fn a_priority_is_a_digit() {
        let priority = |text| read(&[("Priority", text)]).map(|schedule| schedule.priority);
        assert_eq!((priority("0"), priority("9")), (Ok(0), Ok(9)));
    }

    #[test]
    fn what_can_not_be_read_is_refused_with_the_headers_name() {
        for (name, text, code) in [
            ("Deadline-Ms", "soon", Code::Malformed),
            ("Deadline-Ms", "", Code::Malformed),
            ("Deadline-Ms", "NaN", Code::Malformed),
            ("Deadline-Ms", "inf", Code::Malformed),
            ("Priority", "high", Code::Malformed),
            ("Priority", "1.5", Code::Malformed),
            ("Priority", "10", Code::InvalidValue),
            ("Priority", "-1", Code::InvalidValue),
            ("Priority", "300", Code::InvalidValue),
            ("Env-Id", "", Code::InvalidValue),
            ("Env-Id", " ", Code::InvalidValue),
        ] {
            let error = read(&[(name, text)]).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (code, Some(name)), "{text}");
        }
    }

    #[test]
    fn a_simulators_name_is_bounded_and_so_is_what_an_error_repeats() {
        let long: &'static str = "x".repeat(129).leak();
        assert!(read(&[("Env-Id", &long[..128])]).is_ok());
        assert!(read(&[("Env-Id", long)]).unwrap_err().got.unwrap().len() < 20);
        assert!(read(&[("Priority", long)]).unwrap_err().got.unwrap().len() <= 32);
    }
}

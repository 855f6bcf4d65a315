//! Two runs beside each other.
//!
//! Of what goes over a broker the ratios to the bare echo are compared: a slower machine, or a
//! busier one, slows both. What needs no broker has nothing beside it, so its time is compared as it is.

use serde::{Deserialize, Serialize};

use super::{
    results::{Measured, Model, Results, SCHEMA},
    table,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is worse by more than this share is worse.
    pub threshold: f64,
    /// What else is not the same, a sentence each.
    pub differences: Vec<String>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub figure: String,
    /// Absent where a run has not measured it.
    pub old: Option<f64>,
    pub new: Option<f64>,
    pub ratio: Option<f64>,
    pub worse: bool,
}

/// A figure of one run.
struct Figure {
    name: String,
    value: f64,
    /// Whether more is better.
    more: bool,
}

/// The results in a file that `--json` or `--report` wrote.
///
/// # Errors
/// A sentence: it is none, or of another version.
pub fn read(text: &str) -> Result<Results, String> {
    #[derive(Deserialize)]
    struct Version {
        carla_rl_bench: Option<u32>,
    }
    let expected = format!("expected what carla-rl bench --json prints, form {SCHEMA}");
    let version: Version = serde_json::from_str(text)
        .map_err(|error| format!("{expected}, got no object: {error}"))?;
    match version.carla_rl_bench {
        Some(SCHEMA) => serde_json::from_str(text).map_err(|error| format!("{expected}: {error}")),
        Some(other) => Err(format!("{expected}, got form {other}: measure it anew")),
        None => Err(format!("{expected}, got something else")),
    }
}

impl Comparison {
    pub fn of(old: &Results, new: &Results, threshold: f64) -> Self {
        let differences = differences(old, new);
        let (old, new) = (figures(old), figures(new));
        let line = |name: &str| {
            let find = |figures: &[Figure]| {
                figures.iter().find(|figure| figure.name == name).map(|f| (f.value, f.more))
            };
            line(name, find(&old), find(&new), threshold)
        };
        let gone = old.iter().filter(|figure| !new.iter().any(|other| other.name == figure.name));
        let names = new.iter().chain(gone).map(|figure| figure.name.as_str());
        Self { threshold, differences, lines: names.map(line).collect() }
    }

    pub fn worse(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.worse)
    }

    /// Whether any figure is in both runs.
    pub fn has_common(&self) -> bool {
        self.lines.iter().any(|line| line.ratio.is_some())
    }
}

fn differences(old: &Results, new: &Results) -> Vec<String> {
    let model = |results: &Results| {
        let Model { name, version, weights, device, precision } = &results.model;
        format!("{name} {version} ({weights}), {device} {precision}")
    };
    let machine = |results: &Results| {
        format!("{}, {} processors", results.machine.cpu, results.machine.processors)
    };
    let build = |results: &Results| if results.machine.release { "release" } else { "debug" };
    let all = [
        ("model", model(old), model(new)),
        ("machine", machine(old), machine(new)),
        ("build", build(old).into(), build(new).into()),
    ];
    let others = all.into_iter().filter(|(_, old, new)| old != new);
    others.map(|(what, old, new)| format!("Another {what} then: {old}; now: {new}.")).collect()
}

fn line(name: &str, old: Option<(f64, bool)>, new: Option<(f64, bool)>, threshold: f64) -> Line {
    let both = old.zip(new).filter(|((old, _), _)| *old > 0.0);
    let ratio = both.map(|((old, _), (new, _))| (new / old * 1000.0).round() / 1000.0);
    let worse = both.is_some_and(|((old, more), (new, _))| match more {
        true => new < old * (1.0 - threshold),
        false => new > old * (1.0 + threshold),
    });
    let figure = name.to_owned();
    Line { figure, old: old.map(|f| f.0), new: new.map(|f| f.0), ratio, worse }
}

fn figures(results: &Results) -> Vec<Figure> {
    let layers = [("forward", &results.forward), ("worker in process", &results.in_process)];
    let passes = layers.into_iter().flat_map(|(layer, passes)| {
        passes.iter().flatten().map(move |pass| Figure {
            name: format!("{layer}, batch of {}, P50 µs", pass.batch_rows),
            value: pass.latency.p50,
            more: false,
        })
    });
    // The rates of a sweep are others in each run.
    let cells = results.end_to_end.iter().flat_map(|end_to_end| &end_to_end.cells);
    passes.chain(cells.filter_map(against_echo)).collect()
}

/// Under an open loop both answer all that is asked, so there it is the time that tells.
fn against_echo(cell: &Measured) -> Option<Figure> {
    let name = table::name(cell);
    match cell.arrivals.rate() {
        None => cell.ratio.per_s.map(|value| Figure {
            name: format!("{name}, requests/s of echo"),
            value,
            more: true,
        }),
        Some(_) => cell.ratio.p50.map(|value| Figure {
            name: format!("{name}, P50 to echo"),
            value,
            more: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::sample;

    fn judged(old: f64, new: f64, more: bool) -> bool {
        line("x", Some((old, more)), Some((new, more)), 0.1).worse
    }

    #[test]
    fn worse_is_slower_or_less_by_more_than_the_threshold() {
        assert!(judged(100.0, 111.0, false) && judged(100.0, 89.0, true));
        assert!(!judged(100.0, 109.0, false) && !judged(100.0, 91.0, true));
        assert!(!judged(100.0, 50.0, false) && !judged(100.0, 200.0, true));
    }

    #[test]
    fn the_same_run_is_not_worse_than_itself_and_a_slower_one_is() {
        let (old, mut new) = (sample::results(), sample::results());
        let same = Comparison::of(&old, &new, 0.1);
        assert_eq!((same.worse().count(), same.lines.len(), same.has_common()), (0, 3, true));
        assert!(same.differences.is_empty());
        new.forward.as_mut().unwrap()[0].latency.p50 *= 2.0;
        new.end_to_end.as_mut().unwrap().cells[0].ratio.per_s = Some(0.1);
        new.machine.processors = 64;
        let slower = Comparison::of(&old, &new, 0.1);
        let worse: Vec<_> = slower.worse().map(|line| line.figure.as_str()).collect();
        assert_eq!(worse, ["forward, batch of 1, P50 µs", "64x1, requests/s of echo"]);
        assert!(slower.differences[0].contains("now: CPU, 64 processors"), "{slower:?}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let results = sample::results();
        assert_eq!(read(&serde_json::json!(results).to_string()), Ok(results));
    }

    #[test]
    fn an_open_loop_is_compared_by_its_time() {
        let lines = Comparison::of(&sample::results(), &sample::results(), 0.1).lines;
        assert_eq!(lines[2].figure, "64x1, poisson 500/s, P50 to echo");
    }

    #[test]
    fn what_only_one_run_has_is_shown_and_is_not_worse() {
        let alone = line("x", Some((1.0, true)), None, 0.1);
        assert_eq!(
            (alone.old, alone.new, alone.ratio, alone.worse),
            (Some(1.0), None, None, false)
        );
    }

    #[test]
    fn another_form_or_something_else_is_told_apart() {
        for (text, told) in [
            ("{\"carla_rl_bench\":99}", "got form 99"),
            ("{\"sent\":3}", "got something else"),
            ("nothing", "got no object"),
            ("{\"carla_rl_bench\":1}", "missing field"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told) && error.contains("bench --json"), "{error}");
        }
    }
}

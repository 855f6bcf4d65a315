//! What holds for any bytes that a stranger may send, one function for each kind of them. Whatever
//! they are given, they end soon, in bounded memory, and without a panic.

use std::path::Path;

use carla_rl::{
    artifact::{Card, Golden, import},
    policy::{
        NeuralPolicy, PolicySpec, Weights,
        device::Precision,
        spec::{Activation, Head, NetworkSpec, Postprocess},
    },
    settings::{Settings, key},
    wire::{
        Code, DType, Request, Schedule, Space, StateForm, TraceContext, WireError, space::Bound,
    },
};

const MAX_ROWS: usize = 16;
const STATE: StateForm = StateForm { weights: 0x9d19_14cf, size: 3 };
const MASK: usize = 4;

/// A request's body: a typed error, or finite rows of the space's size.
pub fn request(body: &[u8]) {
    for space in spaces() {
        let mut request = match Request::read(body) {
            Ok(request) => request,
            Err(rejection) => return assert_told(&rejection.error),
        };
        let features = ["speed".to_string(), "steering".to_string(), "sensors".to_string()];
        match request.rows(&space, Some(&features), MAX_ROWS) {
            Err(error) => assert_told(&error),
            Ok(rows) => {
                assert!((1..=MAX_ROWS).contains(&rows.count));
                assert_eq!(rows.values.len(), rows.count * space.size());
                assert_eq!(rows.values.first_not_finite(), None);
                match request.memory(Some(STATE), rows.count) {
                    Err(error) => assert_told(&error),
                    Ok(states) => {
                        assert!(
                            states.is_none_or(|states| states.len() == rows.count * STATE.size)
                        );
                    }
                }
                match request.mask(Some(MASK), &rows) {
                    Err(error) => assert_told(&error),
                    Ok(mask) => assert!(mask.is_none_or(|mask| mask.len() == rows.count * MASK)),
                }
            }
        }
    }
}

/// One of each kind; the first is that of named features.
fn spaces() -> [Space; 6] {
    let boxed = |dtype, shape: &[usize], high| Space::Box {
        dtype,
        shape: shape.to_vec(),
        low: Bound::Uniform(0.0),
        high: Bound::Uniform(high),
    };
    [
        boxed(DType::F4, &[4], 100.0),
        boxed(DType::F8, &[2, 2], 1.0),
        boxed(DType::U1, &[3, 4, 4], 255.0),
        Space::Discrete { n: 5, start: -2 },
        Space::MultiBinary { shape: vec![3] },
        Space::Dict {
            spaces: vec![
                ("camera".into(), boxed(DType::U1, &[1, 2, 2], 255.0)),
                ("gears".into(), Space::MultiDiscrete { nvec: vec![2, 3] }),
            ],
        },
    ]
}

fn assert_told(error: &WireError) {
    assert!(!error.message.is_empty());
    // What a parser says may be long; a body that is repeated must not be.
    let told = error.to_string();
    assert!(told.len() < 4096, "{} bytes", told.len());
    assert_ne!(error.code, Code::Internal);
}

/// A line for each header: `Deadline-Ms`, `Priority`, `Env-Id`, `traceparent`.
pub fn headers(lines: &[u8]) {
    let Ok(text) = str::from_utf8(lines) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let names = ["Deadline-Ms", "Priority", "Env-Id"];
    let value = |name: &str| {
        let at = names.iter().position(|known| *known == name)?;
        lines.get(at).copied().filter(|line| *line != "-")
    };
    match Schedule::read(value) {
        Ok(schedule) => {
            assert!(schedule.budget.is_none_or(|budget| budget.as_secs() <= 86_400));
            assert!(schedule.priority <= 9);
            assert!(schedule.env_id.is_none_or(|id| (1..=128).contains(&id.len())));
        }
        Err(error) => {
            assert_told(&error);
            assert!(error.field.is_some_and(|field| names.contains(&field.as_str())));
        }
    }
    let trace: Option<TraceContext> = lines.get(3).and_then(|line| line.parse().ok());
    if let Some(trace) = trace {
        assert_ne!((trace.trace_id, trace.span_id), ([0; 16], [0; 8]));
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }
}

/// A model card: a sentence, or a card that says the same when it is written and read again.
pub fn card(yaml: &[u8]) {
    let Ok(text) = str::from_utf8(yaml) else { return };
    let file = Path::new("model_card.yaml");
    match Card::parse(text, file) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(card) => {
            let written = card.to_yaml().expect("what was read can be written");
            let again = Card::parse(&written, file);
            assert_eq!(again.expect("what was written can be read"), card);
        }
    }
}

/// Safetensors, as weights and as golden outputs of a small policy.
pub fn weights(bytes: &[u8]) {
    let spec = small();
    if let Ok(weights) = Weights::parse(bytes) {
        // Most have other tensors: what counts is that a load ends with an error then.
        let _ = NeuralPolicy::load(&spec, weights, &candle_core::Device::Cpu, Precision::F32);
    }
    if let Err(error) = Golden::parse(bytes, &spec) {
        assert!(!error.to_string().is_empty());
    }
}

/// Two numbers in, one of two actions out.
fn small() -> PolicySpec {
    PolicySpec {
        observation_space: Space::Box {
            dtype: DType::F4,
            shape: vec![2],
            low: Bound::Uniform(-1.0),
            high: Bound::Uniform(1.0),
        },
        action_space: Space::Discrete { n: 2, start: 0 },
        normalize: None,
        network: NetworkSpec::mlp(Activation::Tanh, vec![3], None),
        head: Head::Categorical { masked: false },
        postprocess: Postprocess::Clip,
    }
}

/// A checkpoint of another program: a pickle, an archive, tensors. A sentence, or a sound policy.
pub fn checkpoint(bytes: &[u8]) {
    match import::of_bytes(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(imported) => {
            assert_eq!(imported.spec.check(), Ok(()));
            assert!(imported.parameters() <= bytes.len() * 1024);
        }
    }
}

/// A file of settings: all that is wrong in it, or a value for each key.
pub fn settings(yaml: &[u8]) {
    let Ok(text) = str::from_utf8(yaml) else { return };
    match Settings::check_text("settings", text) {
        Err(problems) => assert!(!problems.to_string().is_empty()),
        Ok(loaded) => assert_eq!(loaded.values.len(), key::all().count()),
    }
}

/// A function of this file.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("request", request),
    ("headers", headers),
    ("card", card),
    ("weights", weights),
    ("checkpoint", checkpoint),
    ("settings", settings),
];

//! `carla-rl artifacts create`: train the example policy and write its artifact.

use std::{collections::BTreeMap, io::Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::artifacts::{configuration, written};
use crate::{
    artifact::{Card, Draft, create, store},
    cli::CreateArgs,
    failure::Failure,
    fleet::{
        DEMO_ROAD_SEED, Road, World,
        exchange::ACTIONS,
        observation::{DIM, FEATURES, MAX_SPEED},
        rays::RANGE,
    },
    imitation::{Options, Progress, Trained, train},
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Normalize, Postprocess},
    },
    wire::{DType, Observations, Space, space::Bound},
};

/// Golden observations: so many vehicles, each looked at so many times, so far apart.
const GOLDEN_VEHICLES: usize = 16;
const GOLDEN_LOOKS: usize = 16;
const GOLDEN_SECONDS: f64 = 2.0;

/// # Errors
/// The version is there already, or the folder can't be written.
pub fn run(arguments: &CreateArgs, out: &mut impl Write) -> Result<(), Failure> {
    let folder = arguments.artifacts.join(store::EXAMPLE).join(arguments.version.to_string());
    if folder.exists() {
        // Said before the training, not after it.
        return Err(Failure::Configuration(format!(
            "{}: is there already; versions are never overwritten (--version, --artifacts)",
            folder.display()
        )));
    }
    let trained = train_with_bar(arguments.seed)?;
    let summary = (trained.samples, trained.held_out_loss);
    let artifact =
        create(&arguments.artifacts, draft(arguments, trained)).map_err(configuration)?;
    let (samples, held_out_loss) = summary;
    if arguments.json {
        let object = json!({
            "name": artifact.card.name,
            "version": artifact.card.version,
            "path": artifact.folder,
            "weights": artifact.weights(),
            "seed": arguments.seed,
            "samples": samples,
            "held_out_loss": held_out_loss,
        });
        return written(writeln!(out, "{object:#}"));
    }
    written(writeln!(
        out,
        "{}: {} {} ({}), {samples} samples, held-out loss {held_out_loss:.3}",
        artifact.folder.display(),
        artifact.card.name,
        artifact.card.version,
        artifact.weights()
    ))
}

fn train_with_bar(seed: u64) -> Result<Trained, Failure> {
    let bar = ProgressBar::no_length();
    let style =
        ProgressStyle::with_template("training {wide_bar} {pos}/{len} steps, {msg}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let options = Options { seed, ..Options::default() };
    let trained = train(&options, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    trained.map_err(|error| Failure::Defect(format!("the training failed: {error}")))
}

/// Where there is no terminal for a bar, a line for each tenth.
fn show(bar: &ProgressBar, Progress { step, steps, loss }: Progress) {
    if bar.is_hidden() {
        if step * 10 / steps > (step - 1) * 10 / steps {
            eprintln!("training {}0 %, loss {loss:.4}", step * 10 / steps);
        }
        return;
    }
    bar.set_length(steps as u64);
    bar.set_position(step as u64);
    bar.set_message(format!("loss {loss:.4}"));
}

fn draft(arguments: &CreateArgs, trained: Trained) -> Draft {
    let provenance = [
        ("program", concat!("carla-rl ", env!("CARGO_PKG_VERSION")).to_string()),
        ("command", format!("carla-rl artifacts create --seed {}", arguments.seed)),
        ("teacher", "pure pursuit and a speed controller that brakes before curves".to_string()),
        ("samples", trained.samples.to_string()),
        ("held_out_loss", format!("{:.4}", trained.held_out_loss)),
    ];
    let card = Card {
        schema: Card::SCHEMA,
        name: store::EXAMPLE.into(),
        version: arguments.version.clone(),
        description: "Keeps a vehicle on a road with curves and brakes before them. Observation: \
            speed (km/h), steering (share of full lock, left positive), 19 distances to the road's \
            edge (m, from 90 degrees right to 90 degrees left). Action: throttle, brake, steer \
            (left positive)."
            .into(),
        algorithm: "DAgger".into(),
        observation_features: Some(FEATURES.map(String::from).to_vec()),
        action_names: Some(ACTIONS.map(String::from).to_vec()),
        policy: spec(trained.hidden),
        provenance: provenance.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        files: BTreeMap::new(),
    };
    Draft { card, tensors: trained.tensors, observations: golden_observations() }
}

fn spec(hidden: Vec<usize>) -> PolicySpec {
    let range = f64::from(RANGE as f32);
    let bounds = |first: [f64; 2], rest| Bound::Each([&first[..], &[rest; DIM - 2]].concat());
    PolicySpec {
        observation_space: Space::Box {
            dtype: DType::F4,
            shape: vec![DIM],
            low: bounds([0.0, -1.0], 0.0),
            high: bounds([f64::from(MAX_SPEED), 1.0], range),
        },
        action_space: Space::Box {
            dtype: DType::F4,
            shape: vec![ACTIONS.len()],
            low: Bound::Each(vec![0.0, 0.0, -1.0]),
            high: Bound::Uniform(1.0),
        },
        normalize: Some(Normalize { epsilon: 1e-8, clip: 10.0, keys: None, clip_inputs: false }),
        network: NetworkSpec::mlp(Activation::Tanh, hidden, None),
        head: Head::DiagonalGaussian { squash: false, log_std: None },
        postprocess: Postprocess::Clip,
    }
}

/// What vehicles see on the demonstration road while their teacher drives.
fn golden_observations() -> Observations {
    let mut world = World::new(Road::generate(DEMO_ROAD_SEED), GOLDEN_VEHICLES, 0);
    let mut rows = Vec::with_capacity(GOLDEN_LOOKS * GOLDEN_VEHICLES * DIM);
    for _ in 0..GOLDEN_LOOKS {
        for i in 0..GOLDEN_VEHICLES {
            let mut row = [0.0; DIM];
            world.observe(i).write_to(&mut row);
            rows.extend(row);
        }
        for _ in 0..(GOLDEN_SECONDS / 0.05) as usize {
            let controls: Vec<_> = (0..GOLDEN_VEHICLES).map(|i| world.teacher(i)).collect();
            world.step(&controls, 0.05);
        }
    }
    Observations::F32(rows)
}

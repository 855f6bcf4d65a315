//! The committed example drives, and it is the training that makes it.

use carla_rl::{
    artifact::{Artifact, Draft, create},
    fleet::{Controls, DEMO_ROAD_SEED, Road, World, observation::DIM},
    imitation,
    policy::{
        Actions, Input, Mode, Output, Policy,
        device::{Device, Precision},
    },
    wire::{Observations, Wants},
};

use crate::support::example;

const VEHICLES: usize = 64;
const HZ: f64 = 20.0;
const SECONDS: f64 = 60.0;

/// Drives 64 vehicles with different starts for a minute; how many left the road.
fn left_road(policy: &mut dyn Policy, road_seed: u64, start_seed: u64) -> usize {
    let mut world = World::new(Road::generate(road_seed), VEHICLES, start_seed);
    for _ in 0..(HZ * SECONDS) as usize {
        let mut rows = vec![0.0; VEHICLES * DIM];
        for (i, row) in rows.chunks_exact_mut(DIM).enumerate() {
            world.observe(i).write_to(row);
        }
        let input = Input::new(
            Observations::F32(rows),
            vec![Mode::Deterministic; VEHICLES],
            Wants::default(),
        );
        let mut output = Output::default();
        policy.forward(&input, &mut output).unwrap();
        let Actions::F32(actions) = output.action else {
            panic!("the example's actions are a box")
        };
        let (controls, _) = actions.as_chunks::<3>();
        let controls: Vec<_> = controls
            .iter()
            .map(|[throttle, brake, steer]| Controls {
                throttle: *throttle,
                brake: *brake,
                steer: *steer,
            })
            .collect();
        world.step(&controls, 1.0 / HZ);
    }
    world.left_road()
}

#[test]
fn no_vehicle_leaves_the_road_with_the_example_and_most_do_with_an_untrained_policy() {
    let artifact = Artifact::open(&example()).unwrap();
    let mut trained = artifact.verify(Device::Cpu, Precision::F32).unwrap().policy;
    for start_seed in [7, 8] {
        assert_eq!(left_road(&mut trained, DEMO_ROAD_SEED, start_seed), 0);
    }

    let root = tempfile::tempdir().unwrap();
    let draft = Draft {
        card: artifact.card.clone(),
        tensors: imitation::untrained(1).unwrap().tensors,
        observations: Observations::F32(vec![1.0; DIM]),
    };
    let untrained = create(root.path(), draft).unwrap();
    let mut untrained = untrained.verify(Device::Cpu, Precision::F32).unwrap().policy;
    assert!(left_road(&mut untrained, DEMO_ROAD_SEED, 7) > VEHICLES / 2);
}

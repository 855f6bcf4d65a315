//! The policy that a card describes: a network and a head, over the rows of a batch.

use std::ops::Range;

use candle_core::{Result, bail};

use super::{
    Input, Output, Policy, PolicySpec,
    device::{self, Place, Precision},
    head::{ActionHead, Given},
    matrix::{Buffers, Host},
    network::Network,
    threads::{Lane, Lanes, Threads},
    weights::Weights,
};

/// Rows that go through the network together on the CPU: enough for every weight that is read to be
/// of use, and few enough for what they become on the way to stay in the cache.
const SHARE: usize = 48;

pub struct NeuralPolicy {
    model: Model,
    lanes: Lanes,
}

/// What all threads use.
struct Model {
    spec: PolicySpec,
    /// Rows that are computed together.
    share: usize,
    network: Network,
    head: ActionHead,
}

impl NeuralPolicy {
    /// Builds the network of a checked spec and fills it; docs/artifacts.md lists the tensors. It
    /// computes on the thread that it is called on.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape, or not finite.
    pub fn load(
        spec: &PolicySpec,
        mut weights: Weights,
        device: &candle_core::Device,
        precision: Precision,
    ) -> Result<Self> {
        let place = Place { device: device.clone(), precision };
        let (network, head) = Network::load(spec, &mut weights, &place)?;
        let share = if place.is_cpu() { SHARE } else { usize::MAX };
        let model = Model { spec: spec.clone(), share, network, head };
        Ok(Self { model, lanes: Lanes::one() })
    }

    /// Spreads the rows of a batch over so many threads from now on. A row's bits don't depend on
    /// it. On other devices than the CPU it changes nothing.
    ///
    /// # Errors
    /// What the system says that gives no thread.
    pub fn spread(&mut self, threads: Threads) -> std::result::Result<(), String> {
        if self.model.is_on_cpu() {
            let flops = self.model.spec.row_flops();
            self.lanes = Lanes::spread(threads, flops)?;
        }
        Ok(())
    }
}

impl Policy for NeuralPolicy {
    fn spec(&self) -> &PolicySpec {
        &self.model.spec
    }

    /// A GPU's stream belongs to one thread.
    fn runs_inline(&self) -> bool {
        self.model.is_on_cpu()
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> Result<()> {
        let rows = input.modes.len();
        if rows == 0 {
            bail!("a batch without rows");
        }
        let model = &self.model;
        let compute = |lane: &mut Lane, rows: Range<usize>, output: &mut Output| {
            device::scoped(|| model.run(input, rows, &mut lane.buffers, output))
        };
        model.renew(input, output);
        self.lanes.run(rows, output, |output| model.renew(input, output), compute)
    }
}

impl Model {
    fn is_on_cpu(&self) -> bool {
        self.share != usize::MAX
    }

    /// Makes room for what is wanted, and there.
    fn renew(&self, input: &Input, output: &mut Output) {
        let (own, mut wants) = (self.spec.wants(), input.wants);
        wants.value &= own.value;
        wants.log_prob &= own.log_prob;
        wants.probs &= own.probs;
        wants.q_values &= own.q_values;
        output.renew(wants, self.spec.state_size().is_some());
    }

    /// Puts these rows behind those that the output holds.
    fn run(
        &self,
        input: &Input,
        rows: Range<usize>,
        buffers: &mut Buffers,
        output: &mut Output,
    ) -> Result<()> {
        let mut first = rows.start;
        while first < rows.end {
            let last = rows.end.min(first.saturating_add(self.share));
            self.share(input, first..last, buffers, output)?;
            first = last;
        }
        Ok(())
    }

    fn share(
        &self,
        input: &Input,
        rows: Range<usize>,
        buffers: &mut Buffers,
        output: &mut Output,
    ) -> Result<()> {
        let before = output.sound.len();
        output.sound.resize(before + rows.len(), true);
        let sound = &mut output.sound[before..];
        let computed = self.network.compute(input, rows.clone(), sound, buffers)?;
        let more = computed.more.as_ref().map_or(&[][..], Host::values);
        let masks = input.masks.as_deref().map(|masks| {
            let size = masks.len() / input.modes.len();
            &masks[rows.start * size..rows.end * size]
        });
        let given = Given {
            outputs: computed.outputs.values(),
            more,
            masks,
            raw_actions: input.raw_actions.as_ref(),
            first: rows.start,
            modes: &input.modes[rows.clone()],
        };
        self.head.decide(&given, output);
        for computed in [&computed.value, &computed.state].into_iter().flatten() {
            output.check(rows.len(), computed.values());
        }
        keep(&mut output.value, computed.value.as_ref());
        keep(&mut output.state, computed.state.as_ref());
        computed.give_back(buffers);
        Ok(())
    }
}

fn keep(field: &mut Option<Vec<f32>>, computed: Option<&Host>) {
    if let (Some(field), Some(computed)) = (field, computed) {
        field.extend_from_slice(computed.values());
    }
}

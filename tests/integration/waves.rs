//! Weights with numbers from a formula.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use carla_rl::{
    policy::{
        PolicySpec,
        spec::{Head, IMAGE, ImageNetwork, Lstm, ValueMemory},
    },
    wire::Space,
};

/// The weights that the spec asks for. Their numbers are waves that start at 100 for each layer,
/// at 50 more for its biases; at 1000 more for the value branch, and for each further part.
pub fn tensors(spec: &PolicySpec) -> HashMap<String, Tensor> {
    let network = &spec.network;
    let mut made = Made::default();
    let mut width = made.features("features", 2000, spec);
    if network.separate_value_features && network.value.is_some() {
        made.features("value_features", 3000, spec);
    }
    if let Some(lstm) = &network.lstm {
        width = made.memory(lstm, network.value.is_some(), width);
    }
    width = made.hidden("shared", 6000, width, &network.shared);
    if network.batch_renorm.is_some() {
        made.norms(width, &network.policy);
    }
    let latent = made.hidden("policy", 0, width, &network.policy);
    made.linear("action", 100 * network.policy.len(), (latent, spec.head_size()));
    if let Some(widths) = &network.value {
        let width = made.hidden("value", 1000, width, widths);
        made.linear("value", 1000 + 100 * widths.len(), (width, 1));
    }
    made.head(spec, latent);
    made.statistics(spec);
    made.tensors
}

/// Tensors so far.
#[derive(Default)]
struct Made {
    tensors: HashMap<String, Tensor>,
}

impl Made {
    fn wave(&mut self, name: String, start: usize, shape: &[usize]) {
        self.tensors.insert(name, wave(start, shape));
    }

    /// Between 0.5 and 2.5.
    fn positive(&mut self, name: String, start: usize, size: usize) {
        self.tensors.insert(name, (wave(start, &[size]) + 1.5).unwrap());
    }

    fn linear(&mut self, name: &str, start: usize, (inputs, outputs): (usize, usize)) {
        self.wave(format!("{name}.weight"), start, &[outputs, inputs]);
        self.wave(format!("{name}.bias"), start + 50, &[outputs]);
    }

    /// Hidden layers; how wide the last is.
    fn hidden(&mut self, name: &str, start: usize, inputs: usize, widths: &[usize]) -> usize {
        let mut width = inputs;
        for (i, outputs) in widths.iter().enumerate() {
            self.linear(&format!("{name}.{i}"), start + 100 * i, (width, *outputs));
            width = *outputs;
        }
        width
    }

    /// Image networks; the columns of all features.
    fn features(&mut self, name: &str, start: usize, spec: &PolicySpec) -> usize {
        let mut columns = 0;
        for (key, space) in spec.observation_space.pieces() {
            let name = key.map_or(name.to_string(), |key| format!("{name}.{key}"));
            columns += match spec.network.features.images.get(key.unwrap_or(IMAGE)) {
                Some(network) => self.image(&name, start, (space, network)),
                None => encoded(space),
            };
        }
        columns
    }

    fn image(
        &mut self,
        name: &str,
        start: usize,
        (space, network): (&Space, &ImageNetwork),
    ) -> usize {
        let mut from: [usize; 3] = space.shape().try_into().unwrap();
        let shapes = network.shapes(from).unwrap();
        for (i, (convolution, to)) in network.convolutions.iter().zip(&shapes).enumerate() {
            let (name, start) = (format!("{name}.conv.{i}"), start + 100 * i);
            let shape = [to[0], from[0], convolution.kernel, convolution.kernel];
            self.wave(format!("{name}.weight"), start, &shape);
            self.wave(format!("{name}.bias"), start + 50, &to[..1]);
            from = *to;
        }
        let sizes = (from.iter().product(), network.width);
        self.linear(&format!("{name}.linear"), start + 100 * shapes.len(), sizes);
        network.width
    }

    fn memory(&mut self, lstm: &Lstm, has_value: bool, inputs: usize) -> usize {
        self.lstm("lstm", 4000, (inputs, lstm));
        match lstm.value {
            ValueMemory::Own if has_value => self.lstm("value_lstm", 5000, (inputs, lstm)),
            ValueMemory::Linear if has_value => {
                self.linear("value_linear", 5000, (inputs, lstm.size));
            }
            _ => {}
        }
        lstm.size
    }

    fn lstm(&mut self, name: &str, start: usize, (mut inputs, lstm): (usize, &Lstm)) {
        for l in 0..lstm.layers {
            let start = start + 200 * l;
            self.linear(&format!("{name}.{l}.input"), start, (inputs, 4 * lstm.size));
            self.linear(&format!("{name}.{l}.hidden"), start + 100, (lstm.size, 4 * lstm.size));
            inputs = lstm.size;
        }
    }

    /// Before each layer of the action's branch, and behind the last hidden one.
    fn norms(&mut self, inputs: usize, widths: &[usize]) {
        for (i, width) in std::iter::once(&inputs).chain(widths).enumerate() {
            let (name, start) = (format!("policy_norm.{i}"), 7000 + 200 * i);
            self.wave(format!("{name}.mean"), start, &[*width]);
            self.positive(format!("{name}.var"), start + 50, *width);
            self.wave(format!("{name}.scale"), start + 100, &[*width]);
            self.wave(format!("{name}.bias"), start + 150, &[*width]);
        }
    }

    fn head(&mut self, spec: &PolicySpec, latent: usize) {
        let size = spec.head_size();
        match &spec.head {
            Head::DiagonalGaussian { log_std: None, .. } => {
                self.wave("log_std".into(), 800, &[size]);
            }
            Head::DiagonalGaussian { .. } => self.linear("log_std", 800, (latent, size)),
            Head::Gsde { .. } => self.wave("log_std".into(), 800, &[latent, size]),
            _ => {}
        }
    }

    fn statistics(&mut self, spec: &PolicySpec) {
        let Some(normalize) = &spec.normalize else { return };
        let applies = |key: Option<&str>| match (&normalize.keys, key) {
            (Some(keys), Some(key)) => keys.iter().any(|known| known == key),
            _ => true,
        };
        for (key, space) in spec.observation_space.pieces() {
            if applies(key) {
                let name = key.map_or("observation".into(), |key| format!("observation.{key}"));
                self.wave(format!("{name}.mean"), 700, &[space.size()]);
                self.positive(format!("{name}.var"), 750, space.size());
            }
        }
    }
}

/// Columns of a space that is flattened; discrete ones are one-hot.
fn encoded(space: &Space) -> usize {
    match space {
        Space::Discrete { n, .. } => *n as usize,
        Space::MultiDiscrete { nvec } => nvec.iter().sum::<u64>() as usize,
        space => space.size(),
    }
}

/// `sin(start)`, `sin(start + 1)`, …, rounded to three digits so that every mathematics library
/// makes the same numbers of it.
pub fn wave(start: usize, shape: &[usize]) -> Tensor {
    Tensor::from_vec(wave_values(start, shape.iter().product()), shape, &Device::Cpu).unwrap()
}

pub fn wave_values(start: usize, count: usize) -> Vec<f32> {
    let at = |k: usize| ((1000.0 * (k as f64).sin()).round() / 1000.0) as f32;
    (start..start + count).map(at).collect()
}

//! The network that is taught: a multilayer perceptron with tanh.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor, Var};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Gain of the last layer's first weights: small, as Andrychowicz et al. (2020), "What Matters In
/// On-Policy Reinforcement Learning?", advise, so that all actions start near their mean.
const ACTION_GAIN: f64 = 0.01;

/// Rows of observations, normalised, to rows of actions: tanh after each hidden layer, none at the
/// end. All weights are f32 of shape (out, in), as PyTorch's.
pub struct Network {
    hidden: Vec<Linear>,
    action: Linear,
}

struct Linear {
    weight: Var,
    bias: Var,
}

impl Network {
    /// A network whose weights come from `rng`, that at first answers about `actions` to all.
    pub fn new(
        inputs: usize,
        hidden: &[usize],
        actions: &[f32],
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let mut width = inputs;
        let mut layers = Vec::new();
        for &out in hidden {
            layers.push(Linear::new(width, vec![0.0; out], 1.0, rng)?);
            width = out;
        }
        let action = Linear::new(width, actions.to_vec(), ACTION_GAIN, rng)?;
        Ok(Self { hidden: layers, action })
    }

    /// (rows, inputs) f32 to (rows, actions) f32.
    pub fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let mut x = rows.clone();
        for layer in &self.hidden {
            x = layer.forward(&x)?.tanh()?;
        }
        self.action.forward(&x)
    }

    /// All that training changes.
    pub fn variables(&self) -> Vec<Var> {
        let layers = self.hidden.iter().chain([&self.action]);
        layers.flat_map(|layer| [layer.weight.clone(), layer.bias.clone()]).collect()
    }

    /// Copies of the weights by name: `policy.<i>.weight`, `policy.<i>.bias` for hidden layer `i`,
    /// `action.weight` and `action.bias`.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let names = (0..self.hidden.len()).map(|i| format!("policy.{i}"));
        let names = names.chain(["action".to_owned()]);
        let mut tensors = HashMap::new();
        for (name, layer) in names.zip(self.hidden.iter().chain([&self.action])) {
            tensors.insert(format!("{name}.weight"), layer.weight.copy()?);
            tensors.insert(format!("{name}.bias"), layer.bias.copy()?);
        }
        Ok(tensors)
    }
}

impl Linear {
    /// Normal weights of variance `gain² / inputs`: LeCun et al. (1998), "Efficient BackProp".
    fn new(inputs: usize, bias: Vec<f32>, gain: f64, rng: &mut impl Rng) -> Result<Self> {
        let deviation = gain / (inputs as f64).sqrt();
        let weight: Vec<f32> = (0..inputs * bias.len())
            .map(|_| {
                let normal: f64 = StandardNormal.sample(rng);
                (normal * deviation) as f32
            })
            .collect();
        let shape = (bias.len(), inputs);
        Ok(Self {
            weight: Var::from_vec(weight, shape, &Device::Cpu)?,
            bias: Var::from_vec(bias, shape.0, &Device::Cpu)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// Rows of one length as an f32 tensor of shape (rows, `width`).
pub fn tensor(rows: Vec<f32>, width: usize) -> Result<Tensor> {
    let count = rows.len() / width;
    Tensor::from_vec(rows, (count, width), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_new_network_answers_about_the_given_actions_to_everything() {
        let network = Network::new(5, &[64, 64], &[0.5, -0.25], &mut rng()).unwrap();
        let rows = tensor((0..50).map(|i| (i as f32).sin() * 3.0).collect(), 5).unwrap();
        for row in network.forward(&rows).unwrap().to_vec2::<f32>().unwrap() {
            assert!((row[0] - 0.5).abs() < 0.1 && (row[1] + 0.25).abs() < 0.1, "{row:?}");
        }
    }

    #[test]
    fn the_named_tensors_give_what_the_network_gives() {
        let network = Network::new(2, &[3], &[0.5], &mut rng()).unwrap();
        let x = [0.3_f32, -0.7];
        let named = |name: &str| {
            let tensor = network.tensors().unwrap()[name].clone();
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (w, b) = (named("policy.0.weight"), named("policy.0.bias"));
        let hidden = w.chunks(2).zip(b).map(|(w, b)| (w[0] * x[0] + w[1] * x[1] + b).tanh());
        let by_hand = hidden.zip(named("action.weight")).map(|(h, w)| h * w).sum::<f32>() + 0.5;
        let row = network.forward(&tensor(x.to_vec(), 2).unwrap()).unwrap();
        assert!((row.to_vec2::<f32>().unwrap()[0][0] - by_hand).abs() < 1e-6);
    }

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }
}

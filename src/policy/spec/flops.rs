//! What a row costs.

use super::{IMAGE, ImageNetwork, PolicySpec};
use crate::wire::Space;

impl PolicySpec {
    /// Floating-point operations of the network's products for one row, its value included: two for
    /// each weight and each place where it counts.
    pub fn row_flops(&self) -> u64 {
        let network = &self.network;
        let (mut width, mut products) = (0, 0);
        for (key, space) in self.observation_space.pieces() {
            let (columns, own) = match network.features.images.get(key.unwrap_or(IMAGE)) {
                Some(image) => (image.width, image_products(space, image)),
                None => (encoded(space), 0),
            };
            width += columns;
            products += own;
        }
        if network.value.is_some() && network.separate_value_features {
            products *= 2;
        }
        if let Some(lstm) = &network.lstm {
            let networks = self.state_size().unwrap_or(0) / (2 * lstm.size * lstm.layers);
            let inputs = (width + lstm.size) + (lstm.layers - 1) * 2 * lstm.size;
            products += networks * 4 * lstm.size * inputs;
            width = lstm.size;
        }
        let shared = layers(width, &network.shared);
        width = *network.shared.last().unwrap_or(&width);
        products += shared + branch(width, &network.policy, self.head_size());
        if let Some(value) = &network.value {
            products += shared + branch(width, value, 1);
        }
        2 * products as u64
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

/// Of a checked spec: an image that is none would cost nothing.
fn image_products(space: &Space, network: &ImageNetwork) -> usize {
    let Ok(mut from) = <[usize; 3]>::try_from(space.shape()) else { return 0 };
    let mut products = 0;
    for (convolution, to) in
        network.convolutions.iter().zip(network.shapes(from).unwrap_or_default())
    {
        let window = convolution.kernel * convolution.kernel * from[0];
        products += to.iter().product::<usize>() * window;
        from = to;
    }
    products + from.iter().product::<usize>() * network.width
}

fn layers(mut inputs: usize, widths: &[usize]) -> usize {
    let mut products = 0;
    for width in widths {
        products += inputs * width;
        inputs = *width;
    }
    products
}

fn branch(inputs: usize, widths: &[usize], outputs: usize) -> usize {
    layers(inputs, widths) + widths.last().unwrap_or(&inputs) * outputs
}

#[cfg(test)]
mod tests {
    use super::super::{Activation, Head, Lstm, NetworkSpec, Postprocess, ValueMemory};
    use super::*;
    use crate::wire::{DType, space::Bound};

    fn boxed(shape: &[usize], dtype: DType) -> Space {
        let (low, high) = (Bound::Uniform(0.0), Bound::Uniform(255.0));
        Space::Box { dtype, shape: shape.to_vec(), low, high }
    }

    fn flops(observation_space: Space, network: NetworkSpec) -> u64 {
        let action_space = boxed(&[2], DType::F4);
        let head = Head::DiagonalGaussian { squash: false, log_std: None };
        let (normalize, postprocess) = (None, Postprocess::Clip);
        PolicySpec { observation_space, action_space, normalize, network, head, postprocess }
            .row_flops()
    }

    #[test]
    fn every_layer_counts_where_it_is_used() {
        let numbers = || boxed(&[64], DType::F4);
        let mlp = NetworkSpec::mlp(Activation::Tanh, vec![256, 256], None);
        assert_eq!(flops(numbers(), mlp), 2 * (64 * 256 + 256 * 256 + 256 * 2));
        let lstm = Some(Lstm { size: 256, layers: 2, value: ValueMemory::Own });
        let recurrent =
            NetworkSpec { lstm, ..NetworkSpec::mlp(Activation::Tanh, vec![], Some(vec![])) };
        let products = 2 * 1024 * (64 + 256 + 256 + 256) + 256 * 2 + 256;
        assert_eq!(flops(numbers(), recurrent), 2 * products);
        let convolutions = vec![crate::policy::spec::Convolution {
            channels: 8,
            kernel: 3,
            stride: 1,
            padding: 0,
        }];
        let mut convolved = NetworkSpec::mlp(Activation::Relu, vec![], None);
        convolved.features.images.insert(IMAGE.into(), ImageNetwork { convolutions, width: 10 });
        let products = 8 * 4 * 4 * 9 * 3 + 8 * 4 * 4 * 10 + 10 * 2;
        assert_eq!(flops(boxed(&[3, 6, 6], DType::U1), convolved), 2 * products);
    }
}

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

//! Convolutions over images, as in the networks for Atari games (Mnih et al. 2015).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{
    device::{Place, Precision},
    linear::{Linear, contiguous},
    product::{Operand, Packed},
    spec::{Activation, Convolution, ImageNetwork},
    weights::Weights,
};

/// From images to features: convolutions and a fully connected layer, a ReLU behind each.
pub struct ImageLayers {
    image: [usize; 3],
    convolutions: Vec<Conv>,
    flat: usize,
    last: Linear,
}

/// One convolution over images of a fixed size.
struct Conv {
    window: Window,
    kernel: Kernel,
}

enum Kernel {
    Cpu { packed: Packed, precision: Precision },
    Device { weight: Tensor, bias: Tensor },
}

/// Where a convolution looks. Shapes are (channels, height, width).
#[derive(Clone, Copy)]
struct Window {
    from: [usize; 3],
    to: [usize; 3],
    convolution: Convolution,
}

impl ImageLayers {
    /// Takes `<name>.conv.<i>.weight` of shape (channels out, channels in, kernel, kernel),
    /// `<name>.conv.<i>.bias`, `<name>.linear.weight` and `<name>.linear.bias`.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite; a kernel does not fit the image.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        image: [usize; 3],
        network: &ImageNetwork,
        place: &Place,
    ) -> Result<Self> {
        let shapes = network.shapes(image).map_err(candle_core::Error::msg)?;
        let mut convolutions = Vec::with_capacity(shapes.len());
        let mut from = image;
        for (i, (convolution, to)) in network.convolutions.iter().zip(shapes).enumerate() {
            let window = Window { from, to, convolution: *convolution };
            convolutions.push(Conv::load(weights, &format!("{name}.conv.{i}"), window, place)?);
            from = to;
        }
        let flat = from.iter().product();
        let last = Linear::load(weights, &format!("{name}.linear"), (flat, network.width), place)?;
        Ok(Self { image, convolutions, flat, last })
    }

    /// From (rows, channels * height * width) to (rows, width).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let [channels, height, width] = self.image;
        let mut x = x.reshape((rows, channels, height, width))?;
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?;
        }
        self.last.forward(&x.reshape((rows, self.flat))?, Activation::Relu)
    }
}

impl Conv {
    fn load(weights: &mut Weights, name: &str, window: Window, place: &Place) -> Result<Self> {
        let (size, inputs, outputs) = (window.convolution.kernel, window.from[0], window.to[0]);
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs, size, size])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        let kernel = if place.is_cpu() {
            let packed = Packed::new(&place.values(&weight)?, &place.values(&bias)?);
            Kernel::Cpu { packed, precision: place.precision }
        } else {
            let bias = place.put(&bias)?.reshape((1, outputs, 1, 1))?;
            Kernel::Device { weight: place.put(&weight)?, bias }
        };
        Ok(Self { window, kernel })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.kernel {
            Kernel::Cpu { packed, precision } => {
                x.apply_op1_no_bwd(&Convolve { window: self.window, packed, precision: *precision })
            }
            Kernel::Device { weight, bias } => {
                let Convolution { padding, stride, .. } = self.window.convolution;
                let x = x.conv2d(weight, padding, stride, 1, 1)?.broadcast_add(bias)?;
                Activation::Relu.forward(&x)
            }
        }
    }
}

/// A convolution as a product: each pixel of the result is a row, what its window shows the inputs.
struct Convolve<'a> {
    window: Window,
    packed: &'a Packed,
    precision: Precision,
}

impl CustomOp1 for Convolve<'_> {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let images = contiguous(storage, layout)?;
        let [channels, height, width] = self.window.to;
        let rows = layout.shape().dim(0)?;
        let mut y = vec![0.0; rows * channels * height * width];
        let sizes = (self.window.from.iter().product(), channels * height * width);
        for (image, y) in images.chunks_exact(sizes.0).zip(y.chunks_exact_mut(sizes.1)) {
            self.one(image, y);
        }
        Ok((CpuStorage::F32(y), (rows, channels, height, width).into()))
    }
}

impl Convolve<'_> {
    /// One image at a time: its windows are rows enough.
    fn one(&self, image: &[f32], y: &mut [f32]) {
        let padded;
        let windows = match self.window.convolution.padding {
            0 => Windows { image, window: self.window },
            padding => {
                let window = self.window.padded();
                padded = pad(image, self.window.from, padding);
                Windows { image: &padded, window }
            }
        };
        let pixels = self.packed.multiply(&windows);
        let channels = self.window.to[0];
        let area = y.len() / channels;
        for (pixel, values) in pixels.chunks_exact(channels).enumerate() {
            for (channel, value) in values.iter().enumerate() {
                let value = Activation::Relu.of(self.precision.round(*value));
                y[channel * area + pixel] = value;
            }
        }
    }
}

impl Window {
    /// The same over an image that has its border already.
    fn padded(self) -> Self {
        let [channels, height, width] = self.from;
        let border = 2 * self.convolution.padding;
        Self { from: [channels, height + border, width + border], ..self }
    }
}

/// The image with a border of zeros.
fn pad(image: &[f32], [channels, height, width]: [usize; 3], padding: usize) -> Vec<f32> {
    let (high, wide) = (height + 2 * padding, width + 2 * padding);
    let mut padded = vec![0.0; channels * high * wide];
    for (line, values) in image.chunks_exact(width).enumerate() {
        let (channel, y) = (line / height, line % height);
        let at = (channel * high + y + padding) * wide + padding;
        padded[at..at + width].copy_from_slice(values);
    }
    padded
}

/// What the window shows at each pixel of the result, in the order (channel, line, column).
struct Windows<'a> {
    image: &'a [f32],
    window: Window,
}

impl Operand for Windows<'_> {
    fn rows(&self) -> usize {
        let [_, height, width] = self.window.to;
        height * width
    }

    fn gather(&self, first: usize, rows: usize, block: &mut Vec<f32>) {
        let Window { from: [channels, height, width], to: [.., wide], convolution } = self.window;
        let Convolution { kernel, stride, .. } = convolution;
        let corner = |pixel: usize| (pixel / wide * width + pixel % wide) * stride;
        let corners: Vec<usize> = (first..first + rows).map(corner).collect();
        block.clear();
        for line in (0..channels).flat_map(|c| (0..kernel).map(move |y| c * height + y)) {
            for offset in line * width..line * width + kernel {
                block.extend(corners.iter().map(|corner| self.image[corner + offset]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny::wave;
    use candle_core::Device;

    #[test]
    fn convolutions_agree_with_candle_over_odd_shapes_strides_and_borders() {
        for (image, channels, kernel, stride, padding) in [
            ([1, 1, 1], 1, 1, 1, 0),
            ([3, 9, 7], 5, 3, 2, 0),
            ([2, 8, 11], 33, 3, 1, 1),
            ([4, 20, 20], 8, 8, 4, 2),
        ] {
            let convolution = Convolution { channels, kernel, stride, padding };
            let to = convolution.shape(image).unwrap();
            let window = Window { from: image, to, convolution };
            let weight = wave(10, &[channels, image[0], kernel, kernel]);
            let bias = wave(50, &[channels]);
            let flat =
                |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
            let packed = Packed::new(&flat(&weight), &flat(&bias));
            let cpu = Conv { window, kernel: Kernel::Cpu { packed, precision: Precision::F32 } };
            let bias = bias.reshape((1, channels, 1, 1)).unwrap();
            let device = Conv { window, kernel: Kernel::Device { weight, bias } };
            let x = wave(900, &[3, image[0], image[1], image[2]]).to_device(&Device::Cpu).unwrap();
            let (got, expected) = (cpu.forward(&x).unwrap(), device.forward(&x).unwrap());
            assert_eq!(got.dims(), expected.dims());
            for (got, expected) in flat(&got).iter().zip(flat(&expected)) {
                assert!((got - expected).abs() <= 2e-5, "{convolution:?}: {got} {expected}");
            }
        }
    }
}

//! Convolutions over images, as in the networks for Atari games (Mnih et al. 2015).
//!
//! On the CPU with the channels last: what a window shows of one line of the image then lies side by
//! side, so a convolution is a product whose rows are windows, and nothing is copied for it.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{
    device::{Place, Precision},
    linear::{Linear, contiguous},
    product::{Packed, Rows},
    spec::{Activation, Convolution, ImageNetwork},
    weights::Weights,
};

/// From images to features: convolutions and a fully connected layer, a ReLU behind each.
pub struct ImageLayers {
    image: [usize; 3],
    convolutions: Vec<Conv>,
    flat: usize,
    last: Linear,
    channels_last: bool,
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
        let weight = weights.take(&format!("{name}.linear.weight"), &[network.width, flat])?;
        let bias = weights.take(&format!("{name}.linear.bias"), &[network.width])?;
        let channels_last = place.is_cpu();
        let weight = if channels_last { reorder(&weight, from)? } else { weight };
        let last = Linear::new(&weight, &bias, place)?;
        Ok(Self { image, convolutions, flat, last, channels_last })
    }

    /// From (rows, channels * height * width) to (rows, width).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let [channels, height, width] = self.image;
        let mut x = x.reshape((rows, channels, height, width))?;
        if self.channels_last {
            x = x.permute((0, 2, 3, 1))?.contiguous()?;
        }
        for convolution in &self.convolutions {
            x = convolution.forward(&x)?;
        }
        self.last.forward(&x.reshape((rows, self.flat))?, Activation::Relu)
    }
}

/// The same weights for images with their channels last.
fn reorder(weight: &Tensor, [channels, height, width]: [usize; 3]) -> Result<Tensor> {
    let (outputs, flat) = weight.dims2()?;
    let weight = weight.reshape((outputs, channels, height, width))?;
    weight.permute((0, 2, 3, 1))?.contiguous()?.reshape((outputs, flat))
}

impl Conv {
    fn load(weights: &mut Weights, name: &str, window: Window, place: &Place) -> Result<Self> {
        let (size, inputs, outputs) = (window.convolution.kernel, window.from[0], window.to[0]);
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs, size, size])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        Self::new(&weight, &bias, window, place)
    }

    fn new(weight: &Tensor, bias: &Tensor, window: Window, place: &Place) -> Result<Self> {
        let kernel = if place.is_cpu() {
            let weight = weight.permute((0, 2, 3, 1))?.contiguous()?;
            let (weight, bias) = (place.values(&weight)?, place.values(bias)?);
            let packed = Packed::of_segments(&weight, &bias, &window.segments());
            Kernel::Cpu { packed, precision: place.precision }
        } else {
            let bias = place.put(bias)?.reshape((1, window.to[0], 1, 1))?;
            Kernel::Device { weight: place.put(weight)?, bias }
        };
        Ok(Self { window, kernel })
    }

    /// Images have the shape (rows, height, width, channels) on the CPU, (rows, channels, height,
    /// width) elsewhere.
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
        let rows = layout.shape().dim(0)?;
        let [channels, height, width] = self.window.to;
        let mut y = vec![0.0; rows * height * width * channels];
        match self.window.convolution.padding {
            0 => self.multiply(images, &mut y),
            padding => self.multiply(&pad(images, self.window.from, padding), &mut y),
        }
        self.precision.round_all(&mut y);
        Activation::Relu.apply(&mut y);
        Ok((CpuStorage::F32(y), (rows, height, width, channels).into()))
    }
}

impl Convolve<'_> {
    /// The windows of all images, which have their border.
    fn multiply(&self, images: &[f32], y: &mut [f32]) {
        let (window, [_, height, width]) = (self.window, self.window.to);
        let (size, area) = (window.size(), height * width);
        let start = |row: usize| row / area * size + window.corner(row % area);
        let count = y.len() / self.packed.outputs();
        self.packed.multiply(&Rows { values: images, count, start }, y);
    }
}

impl Window {
    /// Elements of a line of the image with its border.
    fn line(&self) -> usize {
        let [channels, _, width] = self.from;
        (width + 2 * self.convolution.padding) * channels
    }

    /// Elements of the image with its border.
    fn size(&self) -> usize {
        (self.from[1] + 2 * self.convolution.padding) * self.line()
    }

    /// Where the window of this pixel of the result begins.
    fn corner(&self, pixel: usize) -> usize {
        let (y, x) = (pixel / self.to[2], pixel % self.to[2]);
        self.convolution.stride * (y * self.line() + x * self.from[0])
    }

    /// Where each line of the window lies, and its elements.
    fn segments(&self) -> Vec<(usize, usize)> {
        let kernel = self.convolution.kernel;
        (0..kernel).map(|y| (y * self.line(), kernel * self.from[0])).collect()
    }
}

/// The images with a border of zeros.
fn pad(images: &[f32], [channels, height, width]: [usize; 3], padding: usize) -> Vec<f32> {
    let (high, wide) = (height + 2 * padding, width + 2 * padding);
    let lines = images.chunks_exact(width * channels);
    let mut padded = vec![0.0; lines.len() / height * high * wide * channels];
    for (line, values) in lines.enumerate() {
        let (image, y) = (line / height, line % height);
        let at = ((image * high + y + padding) * wide + padding) * channels;
        padded[at..at + values.len()].copy_from_slice(values);
    }
    padded
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
            let place = Place { device: Device::Cpu, precision: Precision::F32 };
            let cpu = Conv::new(&weight, &bias, window, &place).unwrap();
            let bias = bias.reshape((1, channels, 1, 1)).unwrap();
            let device = Conv { window, kernel: Kernel::Device { weight, bias } };
            let x = wave(900, &[3, image[0], image[1], image[2]]);
            let channels_last = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
            let got = cpu.forward(&channels_last).unwrap().permute((0, 3, 1, 2)).unwrap();
            let expected = device.forward(&x).unwrap();
            assert_eq!(got.dims(), expected.dims());
            for (got, expected) in flat(&got).iter().zip(flat(&expected)) {
                assert!((got - expected).abs() <= 2e-5, "{convolution:?}: {got} {expected}");
            }
        }
    }
}

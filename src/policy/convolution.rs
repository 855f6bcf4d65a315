//! Convolutions over images, as in the networks for Atari games (Mnih et al. 2015).
//!
//! On the CPU with the channels last: what a window shows of one line of the image then lies side by
//! side, so a convolution is a product whose rows are windows, and nothing is copied for it.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::{
    device::{Place, Precision},
    epilogue::Epilogue,
    linear::Linear,
    matrix::{Buffers, Host, Matrix},
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
    /// Whether images have their channels last, and go through the convolutions one by one.
    on_host: bool,
}

/// One convolution over images of a fixed size.
struct Conv {
    window: Window,
    kernel: Kernel,
}

enum Kernel {
    Host { packed: Packed, precision: Precision },
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
        let on_host = place.is_cpu();
        let weight = if on_host { reorder(&weight, from)? } else { weight };
        let last = Linear::new(&weight, &bias, place)?;
        Ok(Self { image, convolutions, flat, last, on_host })
    }

    /// From images, of which `images` gives those of some of `rows` rows, to (rows, width). Each image
    /// is (height, width, channels) on the CPU, (channels, height, width) elsewhere.
    ///
    /// # Errors
    /// What the device or `images` reports.
    pub fn forward(
        &self,
        rows: usize,
        mut images: impl FnMut(Range<usize>, &mut Buffers) -> Result<Matrix>,
        buffers: &mut Buffers,
    ) -> Result<Matrix> {
        let flat = match self.on_host {
            // One by one, so that an image stays in the cache from its first layer to its last.
            true => {
                let mut flat = buffers.take(rows, self.flat);
                for row in 0..rows {
                    let image = images(row..row + 1, buffers)?;
                    let image = self.convolve(image, buffers)?;
                    flat.row_mut(row).copy_from_slice(image.host()?.values());
                    buffers.give(image);
                }
                Matrix::Host(flat)
            }
            false => {
                let x = images(0..rows, buffers)?;
                let [channels, height, width] = self.image;
                let x = x.device()?.reshape(((), channels, height, width))?;
                let x = self.convolve(Matrix::Device(x), buffers)?;
                Matrix::Device(x.device()?.flatten_from(1)?)
            }
        };
        let features = self.last.forward(&flat, Activation::Relu, buffers)?;
        buffers.give(flat);
        Ok(features)
    }

    fn convolve(&self, mut x: Matrix, buffers: &mut Buffers) -> Result<Matrix> {
        for convolution in &self.convolutions {
            let y = convolution.forward(&x, buffers)?;
            buffers.give(std::mem::replace(&mut x, y));
        }
        Ok(x)
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
            Kernel::Host { packed, precision: place.precision }
        } else {
            let bias = place.put(bias)?.reshape((1, window.to[0], 1, 1))?;
            Kernel::Device { weight: place.put(weight)?, bias }
        };
        Ok(Self { window, kernel })
    }

    /// On the CPU from and to (rows, height * width * channels), elsewhere (rows, channels, height,
    /// width).
    fn forward(&self, x: &Matrix, buffers: &mut Buffers) -> Result<Matrix> {
        match &self.kernel {
            Kernel::Host { packed, precision } => {
                let (x, size) = (x.host()?, self.window.image_size());
                if x.columns() != size {
                    bail!("a convolution of images of {size} was given {}", x.columns());
                }
                let epilogue = Epilogue { precision: *precision, activation: Activation::Relu };
                let mut y = buffers.take(x.rows(), self.window.to.iter().product());
                match self.window.convolution.padding {
                    0 => self.window.multiply(packed, x, epilogue, &mut y),
                    _ => {
                        let padded = self.window.pad(x, buffers);
                        self.window.multiply(packed, &padded, epilogue, &mut y);
                        buffers.give_host(padded);
                    }
                }
                Ok(Matrix::Host(y))
            }
            Kernel::Device { weight, bias } => {
                let Convolution { padding, stride, .. } = self.window.convolution;
                let y = x.device()?.conv2d(weight, padding, stride, 1, 1)?;
                Activation::Relu.forward(&y.broadcast_add(bias)?).map(Matrix::Device)
            }
        }
    }
}

impl Window {
    /// The convolution of images that have their border, as a product: each pixel of the result is a
    /// row, what its window shows the inputs.
    fn multiply(&self, packed: &Packed, images: &Host, epilogue: Epilogue, y: &mut Host) {
        let (area, size) = (self.to[1] * self.to[2], images.columns());
        let start = |row: usize| row / area * size + self.corner(row % area);
        let rows = Rows { values: images.values(), count: images.rows() * area, start };
        packed.multiply(&rows, epilogue, y.values_mut());
    }

    /// Elements of the image without a border.
    fn image_size(&self) -> usize {
        self.from.iter().product()
    }

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

    /// The images with a border of zeros.
    fn pad(&self, images: &Host, buffers: &mut Buffers) -> Host {
        let ([channels, _, width], padding) = (self.from, self.convolution.padding);
        let mut padded = buffers.take(images.rows(), self.size());
        padded.values_mut().fill(0.0);
        for row in 0..images.rows() {
            let lines = images.row(row).chunks_exact(width * channels);
            let below = padded.row_mut(row)[padding * self.line()..].chunks_exact_mut(self.line());
            for (line, padded) in lines.zip(below) {
                padded[padding * channels..][..line.len()].copy_from_slice(line);
            }
        }
        padded
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
            let place = Place { device: Device::Cpu, precision: Precision::F32 };
            let cpu = Conv::new(&weight, &bias, window, &place).unwrap();
            let bias = bias.reshape((1, channels, 1, 1)).unwrap();
            let device = Conv { window, kernel: Kernel::Device { weight, bias } };
            let x = wave(900, &[3, image[0], image[1], image[2]]);
            let mut buffers = Buffers::default();
            let mut host = buffers.take(3, image.iter().product());
            host.values_mut().copy_from_slice(&flat(&x.permute((0, 2, 3, 1)).unwrap()));
            let got = cpu.forward(&Matrix::Host(host), &mut buffers).unwrap();
            let expected = device.forward(&Matrix::Device(x), &mut buffers).unwrap();
            let expected = expected.device().unwrap().permute((0, 2, 3, 1)).unwrap();
            assert_eq!(got.host().unwrap().values().len(), expected.elem_count());
            for (got, expected) in got.host().unwrap().values().iter().zip(flat(&expected)) {
                assert!((got - expected).abs() <= 2e-5, "{convolution:?}: {got} {expected}");
            }
        }
    }
}

//! The numbers of observations, as they go from a request into a batch.

use std::ops::Range;

use super::{dtype::DType, space::Space};

/// Row-major values of one or more observations, in the space's own precision: what the
/// simulator's environment would hand to the policy. A dict's spaces stand side by side in a row,
/// in the policy's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Observations {
    U8(Vec<u8>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Observations {
    /// Empty, of the type in which observations of `space` are kept.
    pub fn empty(space: &Space) -> Self {
        match space {
            Space::Box { dtype: DType::U1, .. } => Observations::U8(Vec::new()),
            space if needs_f64(space) => Observations::F64(Vec::new()),
            _ => Observations::F32(Vec::new()),
        }
    }

    /// The numbers, in the type in which observations of `space` are kept.
    pub fn of(space: &Space, values: Vec<f64>) -> Self {
        match Self::empty(space) {
            Observations::F64(_) => Observations::F64(values),
            mut kept => {
                let all = 0..values.len();
                kept.extend(&Observations::F64(values), all);
                kept
            }
        }
    }

    /// Appends elements `range` of `other`.
    pub fn extend(&mut self, other: &Observations, range: Range<usize>) {
        match (self, other) {
            (Observations::U8(to), Observations::U8(from)) => to.extend_from_slice(&from[range]),
            (Observations::F32(to), Observations::F32(from)) => to.extend_from_slice(&from[range]),
            (Observations::F64(to), Observations::F64(from)) => to.extend_from_slice(&from[range]),
            (Observations::U8(to), from) => to.extend(range.map(|at| from.number(at) as u8)),
            (Observations::F32(to), from) => to.extend(range.map(|at| from.number(at) as f32)),
            (Observations::F64(to), from) => to.extend(range.map(|at| from.number(at))),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Observations::U8(values) => values.len(),
            Observations::F32(values) => values.len(),
            Observations::F64(values) => values.len(),
        }
    }

    /// Keeps the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Observations::U8(values) => values.truncate(len),
            Observations::F32(values) => values.truncate(len),
            Observations::F64(values) => values.truncate(len),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Images of the shape (height, width, channels) become (channels, height, width).
    pub fn channels_first(&self, [height, width, channels]: [usize; 3]) -> Self {
        let area = height * width;
        match self {
            Observations::U8(values) => Observations::U8(transposed(values, area, channels)),
            Observations::F32(values) => Observations::F32(transposed(values, area, channels)),
            Observations::F64(values) => Observations::F64(transposed(values, area, channels)),
        }
    }

    /// The first number that is none as far as a network knows: it computes in f32, so what does
    /// not fit one is as good as infinite.
    pub fn first_not_finite(&self) -> Option<(usize, f64)> {
        let at = match self {
            Observations::U8(_) => None,
            Observations::F32(values) => values.iter().position(|x| !x.is_finite()),
            Observations::F64(values) => values.iter().position(|x| !(*x as f32).is_finite()),
        }?;
        Some((at, self.number(at)))
    }

    pub(super) fn number(&self, at: usize) -> f64 {
        match self {
            Observations::U8(values) => f64::from(values[at]),
            Observations::F32(values) => f64::from(values[at]),
            Observations::F64(values) => values[at],
        }
    }
}

/// Whether f32 would round the space's numbers.
fn needs_f64(space: &Space) -> bool {
    match space {
        Space::Box { dtype, .. } => matches!(dtype, DType::F8 | DType::I4 | DType::I8),
        Space::Dict { spaces } => spaces.iter().any(|(_, space)| needs_f64(space)),
        _ => false,
    }
}

/// From (pixels, channels) to (channels, pixels), image by image.
fn transposed<T: Copy>(values: &[T], area: usize, channels: usize) -> Vec<T> {
    let mut turned = Vec::with_capacity(values.len());
    for image in values.chunks_exact((area * channels).max(1)) {
        for channel in 0..channels {
            turned.extend(image.iter().skip(channel).step_by(channels));
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_first_in_every_image() {
        // Two images of 1 x 2 pixels in three channels.
        let images = Observations::U8((0..12).collect());
        let turned = images.channels_first([1, 2, 3]);
        assert_eq!(turned, Observations::U8(vec![0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]));
    }
}

//! Which element of a buffer is which element of an array: offset, shape and strides.

use super::error::{ImportError, Result};

/// As in numpy and PyTorch.
const MAX_AXES: usize = 64;

/// Checked against the buffer, so that every position lies inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    /// The product of the shape.
    pub elements: usize,
}

/// In which order a dense buffer holds the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last axis runs fastest.
    C,
    /// The first axis runs fastest.
    Fortran,
}

impl Layout {
    /// A view on a buffer of `buffer` elements. Strides may be 0, so an array may claim any number
    /// of elements over a small buffer: at most `limit` are let through.
    ///
    /// # Errors
    /// A position outside of the buffer, or more elements than that.
    pub fn strided(
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        buffer: usize,
        limit: usize,
    ) -> Result<Self> {
        if strides.len() != shape.len() {
            let (axes, strides) = (shape.len(), strides.len());
            return Err(ImportError::new(format!("{strides} strides for {axes} axes")));
        }
        let elements = count(&shape, limit)?;
        let layout = Self { shape, strides, offset, elements };
        match elements == 0 || layout.last().is_some_and(|last| last < buffer) {
            true => Ok(layout),
            false => Err(ImportError::new(format!(
                "elements outside of its {buffer}: offset {offset}, shape {:?}, strides {:?}",
                layout.shape, layout.strides
            ))),
        }
    }

    /// An array that is all of a buffer of `buffer` elements.
    ///
    /// # Errors
    /// The shape is of another number of elements, or of more than `limit`.
    pub fn dense(shape: Vec<usize>, order: Order, buffer: usize, limit: usize) -> Result<Self> {
        let elements = count(&shape, limit)?;
        if elements != buffer {
            return Err(ImportError::new(format!(
                "{buffer} elements for the shape {shape:?}, which has {elements}"
            )));
        }
        let strides = dense_strides(&shape, order);
        Ok(Self { shape, strides, offset: 0, elements })
    }

    /// Where in the buffer the elements lie, in C order of the array.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        (0..self.elements).map(|index| self.position(index))
    }

    fn position(&self, index: usize) -> usize {
        let axes = self.shape.iter().zip(&self.strides).rev();
        let step = |(position, index): (usize, usize), (size, stride): (&usize, &usize)| {
            (position + index % size * stride, index / size)
        };
        axes.fold((self.offset, index), step).0
    }

    /// The highest position, where it can be counted.
    fn last(&self) -> Option<usize> {
        let mut axes = self.shape.iter().zip(&self.strides);
        axes.try_fold(self.offset, |last, (size, stride)| {
            last.checked_add(size.checked_sub(1)?.checked_mul(*stride)?)
        })
    }
}

/// The number of elements, at most `limit`. Axes of size 0 don't excuse the others: their product
/// is taken by others, who may not check it.
fn count(shape: &[usize], limit: usize) -> Result<usize> {
    if shape.len() > MAX_AXES {
        return Err(ImportError::new(format!("{} axes, the limit is {MAX_AXES}", shape.len())));
    }
    let sizes = shape.iter().map(|size| (*size).max(1));
    let elements = sizes.into_iter().try_fold(1, usize::checked_mul);
    match elements.filter(|elements| *elements <= limit) {
        Some(elements) if !shape.contains(&0) => Ok(elements),
        Some(_) => Ok(0),
        None => Err(ImportError::new(format!(
            "the shape {shape:?} has more elements than the limit of {limit}"
        ))),
    }
}

/// For a shape whose product was counted.
fn dense_strides(shape: &[usize], order: Order) -> Vec<usize> {
    let running = |stride: &mut usize, size: &usize| {
        let this = *stride;
        *stride = stride.saturating_mul(*size);
        Some(this)
    };
    match order {
        Order::Fortran => shape.iter().scan(1, running).collect(),
        Order::C => {
            let mut strides: Vec<_> = shape.iter().rev().scan(1, running).collect();
            strides.reverse();
            strides
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(layout: Result<Layout>) -> Vec<usize> {
        layout.unwrap().positions().collect()
    }

    #[test]
    fn dense_arrays_are_read_in_both_orders() {
        let c = Layout::dense(vec![2, 3], Order::C, 6, 100);
        assert_eq!(positions(c), [0, 1, 2, 3, 4, 5]);
        let fortran = Layout::dense(vec![2, 3], Order::Fortran, 6, 100);
        assert_eq!(positions(fortran), [0, 2, 4, 1, 3, 5]);
        assert_eq!(positions(Layout::dense(vec![], Order::C, 1, 100)), [0]);
        assert_eq!(positions(Layout::dense(vec![3, 0], Order::C, 0, 100)), [0; 0]);
    }

    #[test]
    fn views_are_read() {
        let transposed = Layout::strided(vec![3, 2], vec![1, 3], 0, 6, 100);
        assert_eq!(positions(transposed), [0, 3, 1, 4, 2, 5]);
        let expanded = Layout::strided(vec![2, 2], vec![0, 1], 4, 6, 100);
        assert_eq!(positions(expanded), [4, 5, 4, 5]);
    }

    #[test]
    fn no_position_leaves_the_buffer() {
        let wrong: [(Vec<usize>, Vec<usize>, usize); 5] = [
            (vec![7], vec![1], 0),
            (vec![6], vec![1], 1),
            (vec![2], vec![usize::MAX], 3),
            (vec![2, 2], vec![usize::MAX, usize::MAX], 0),
            (vec![1], vec![1], usize::MAX),
        ];
        for (shape, strides, offset) in wrong {
            let error = Layout::strided(shape.clone(), strides, offset, 6, 100).unwrap_err();
            assert!(error.to_string().contains("outside"), "{shape:?}: {error}");
        }
    }

    #[test]
    fn a_claim_of_many_elements_is_an_error_before_any_is_read() {
        for shape in [vec![1_000_000_000], vec![usize::MAX, usize::MAX], vec![0, usize::MAX, 2]] {
            let strides = vec![0; shape.len()];
            let error = Layout::strided(shape, strides, 0, 1, 1 << 20).unwrap_err();
            assert!(error.to_string().contains("limit"), "{error}");
        }
        assert!(Layout::strided(vec![1; 65], vec![1; 65], 0, 1, 100).is_err());
    }
}

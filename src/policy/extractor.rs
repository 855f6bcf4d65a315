//! Features of an observation: images through their networks, the rest as it is.

use candle_core::Result;

use super::{
    PolicySpec,
    convolution::ImageLayers,
    device::Place,
    matrix::{Buffers, Joined, Matrix},
    source::Source,
    spec::IMAGE,
    weights::Weights,
};
use crate::wire::Space;

pub struct Extractor {
    /// One for each piece of the observation; `None`: flattened.
    pieces: Vec<Option<ImageLayers>>,
    width: usize,
}

impl Extractor {
    /// Takes the tensors of the image networks: `<name>.…` of a box, `<name>.<key>.…` of a dict.
    /// `widths` are those of the encoded pieces.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        spec: &PolicySpec,
        widths: &[usize],
        place: &Place,
    ) -> Result<Self> {
        let mut pieces = Vec::with_capacity(widths.len());
        let mut width = 0;
        for ((key, space), flat) in spec.observation_space.pieces().into_iter().zip(widths) {
            let layers = load_image(weights, name, spec, (key, space), place)?;
            width += layers.as_ref().map_or(*flat, |(_, width)| *width);
            pieces.push(layers.map(|(layers, _)| layers));
        }
        Ok(Self { pieces, width })
    }

    /// Columns of the features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// From the pieces of all rows to (rows, width).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, source: &mut Source, buffers: &mut Buffers) -> Result<Matrix> {
        let first = self.piece(0, source, buffers)?;
        if self.pieces.len() == 1 {
            return Ok(first);
        }
        let mut joined = Joined::like(&first, self.width, buffers);
        joined.push(&first)?;
        buffers.give(first);
        for piece in 1..self.pieces.len() {
            let next = self.piece(piece, source, buffers)?;
            joined.push(&next)?;
            buffers.give(next);
        }
        joined.finish()
    }

    fn piece(&self, piece: usize, source: &mut Source, buffers: &mut Buffers) -> Result<Matrix> {
        match &self.pieces[piece] {
            Some(layers) => {
                let rows = source.rows();
                layers.forward(rows, |some, buffers| source.piece(piece, some, buffers), buffers)
            }
            None => source.piece(piece, 0..source.rows(), buffers),
        }
    }
}

fn load_image(
    weights: &mut Weights,
    name: &str,
    spec: &PolicySpec,
    (key, space): (Option<&str>, &Space),
    place: &Place,
) -> Result<Option<(ImageLayers, usize)>> {
    let Some(network) = spec.network.features.images.get(key.unwrap_or(IMAGE)) else {
        return Ok(None);
    };
    let name = key.map_or(name.to_owned(), |key| format!("{name}.{key}"));
    let shape = space.shape();
    let image = <[usize; 3]>::try_from(shape)
        .map_err(|shape| candle_core::Error::msg(format!("an image of shape {shape:?}")))?;
    let layers = ImageLayers::load(weights, &name, image, network, place)?;
    Ok(Some((layers, network.width)))
}

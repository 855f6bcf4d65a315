//! Features of an observation: images through their networks, the rest as it is.

use candle_core::{Result, Tensor};

use super::{PolicySpec, convolution::ImageLayers, device::Place, spec::IMAGE, weights::Weights};
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

    /// From the encoded pieces, each (rows, its width), to (rows, width).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, encoded: &[Tensor]) -> Result<Tensor> {
        let features = self.pieces.iter().zip(encoded).map(|(layers, piece)| match layers {
            Some(layers) => layers.forward(piece),
            None => Ok(piece.clone()),
        });
        let features: Vec<Tensor> = features.collect::<Result<_>>()?;
        match &features[..] {
            [only] => Ok(only.clone()),
            several => Tensor::cat(several, 1),
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

//! A model that sees an image, a gear and three numbers.

use carla_rl::{
    artifact::Draft,
    policy::{
        PolicySpec,
        spec::{
            Activation, Convolution, Features, Head, ImageNetwork, LogStdRange, NetworkSpec,
            Normalize, Postprocess,
        },
    },
    wire::{
        DType, Observations, Space,
        space::Bound,
        view::{TensorView, Values},
    },
};

use crate::{
    support::{Native, Obs},
    tiny,
};

/// Channels, height and width of the image.
pub const IMAGE: [usize; 3] = [3, 6, 5];

/// The model `tiny-dict`, version 0.1.0. The order of its spaces is not that of the alphabet.
pub fn draft() -> Draft {
    let (low, high) = (Bound::Uniform(0.0), Bound::Uniform(255.0));
    let spaces = [
        ("view", Space::Box { dtype: DType::U1, shape: IMAGE.to_vec(), low, high }),
        ("gear", Space::Discrete { n: 5, start: -1 }),
        ("at", tiny::boxed(3, (-100.0, 100.0))),
    ];
    let convolution = |kernel| Convolution { channels: 4, kernel, stride: 1, padding: 0 };
    let view = ImageNetwork { convolutions: vec![convolution(3), convolution(2)], width: 6 };
    let images = [("view".to_string(), view)].into();
    let keys = Some(vec!["at".to_string()]);
    let spec = PolicySpec {
        observation_space: Space::Dict {
            spaces: spaces.map(|(name, space)| (name.to_string(), space)).to_vec(),
        },
        action_space: tiny::boxed(2, (-1000.0, 1000.0)),
        normalize: Some(Normalize { epsilon: 1e-8, clip: 10.0, keys, clip_inputs: false }),
        network: NetworkSpec {
            features: Features { scale_images: true, images },
            separate_value_features: true,
            ..NetworkSpec::mlp(Activation::Relu, vec![8], Some(vec![8]))
        },
        head: Head::DiagonalGaussian {
            squash: false,
            log_std: Some(LogStdRange { low: -5.0, high: 2.0 }),
        },
        postprocess: Postprocess::Clip,
    };
    let golden = (0..8).flat_map(|i| Seen::number(i).numbers()).collect();
    Draft { observations: Observations::F32(golden), ..tiny::draft_of("tiny-dict", spec) }
}

/// One observation.
pub struct Seen {
    pub view: Vec<u8>,
    pub gear: i64,
    pub at: Vec<f32>,
}

impl Seen {
    pub fn number(i: usize) -> Self {
        let pixels: usize = IMAGE.iter().product();
        Self {
            view: (0..pixels).map(|at| ((at * 83 + i * 41) % 256) as u8).collect(),
            gear: (i % 5) as i64 - 1,
            at: tiny::wave_values(900 + 3 * i, 3),
        }
    }

    /// In the policy's order.
    pub fn tensors(&self) -> [(&str, TensorView<'_>); 3] {
        let tensor = |shape: &[usize], values| TensorView::new(shape, values);
        [
            ("view", tensor(&IMAGE, Values::U1(&self.view))),
            ("gear", tensor(&[], Values::I8(std::slice::from_ref(&self.gear)))),
            ("at", tensor(&[3], Values::F4(&self.at))),
        ]
    }

    pub fn request(&self) -> Native<'_> {
        Native::of(Obs::Dict(self.tensors().into()))
    }

    /// Channels last.
    pub fn turned(&self) -> Vec<u8> {
        let area = IMAGE[1] * IMAGE[2];
        let pixel = |at: usize| self.view.iter().skip(at).step_by(area).copied();
        (0..area).flat_map(pixel).collect()
    }

    fn numbers(&self) -> Vec<f32> {
        let view = self.view.iter().map(|x| f32::from(*x));
        view.chain([self.gear as f32]).chain(self.at.iter().copied()).collect()
    }
}

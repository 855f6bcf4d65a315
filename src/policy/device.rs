//! Where the network runs, and in which precision.

use std::{fmt, str::FromStr};

use candle_core::{DType, Tensor};

use super::message;

/// Where layers are loaded to.
#[derive(Clone, Debug)]
pub struct Place {
    pub device: candle_core::Device,
    pub precision: Precision,
}

/// A device as settings name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The first of CUDA, Metal and CPU that this build and machine have.
    Auto,
    Cpu,
    Metal,
    /// The GPU with this ordinal.
    Cuda(usize),
}

/// The number format of weights and activations. Observations, statistics and the action's
/// post-processing stay in f32 or f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
    BF16,
}

impl Place {
    pub fn is_cpu(&self) -> bool {
        self.device.is_cpu()
    }

    /// The type of tensors there. On the CPU they are f32, and rounded where the precision is less.
    pub fn dtype(&self) -> DType {
        if self.is_cpu() { DType::F32 } else { self.precision.dtype() }
    }

    /// The tensor there, in its precision.
    ///
    /// # Errors
    /// What the device reports.
    pub fn put(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        let rounded = tensor.to_dtype(self.precision.dtype())?;
        rounded.to_dtype(self.dtype())?.to_device(&self.device)
    }

    /// The tensor's elements in its precision, in C order.
    ///
    /// # Errors
    /// What the device reports.
    pub fn values(&self, tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
        let rounded = tensor.to_dtype(self.precision.dtype())?;
        rounded.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

impl Device {
    /// Opens the device for one thread that owns it.
    ///
    /// # Errors
    /// A sentence that names the cargo feature this build lacks, or what the driver said.
    pub fn open(self) -> Result<candle_core::Device, String> {
        match self {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Metal => open_metal(),
            Device::Cuda(ordinal) => open_cuda(ordinal),
            Device::Auto => {
                let accelerator = open_cuda(0).or_else(|_| open_metal());
                Ok(accelerator.unwrap_or(candle_core::Device::Cpu))
            }
        }
    }
}

/// `cpu`, `metal` or `cuda:N`, as [`Device`] would name it.
pub fn name(device: &candle_core::Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

/// A stream of its own: candle's default one is not ordered between threads, and the policy is
/// loaded on another thread than the one that runs it.
fn open_cuda(ordinal: usize) -> Result<candle_core::Device, String> {
    if !cfg!(feature = "cuda") {
        return Err(lacks("CUDA", "cuda"));
    }
    candle_core::Device::new_cuda_with_stream(ordinal)
        .map_err(|error| format!("cuda:{ordinal} can't be opened: {}", message(&error)))
}

/// candle panics where there is no Metal device, and so would a worker on a headless machine.
fn open_metal() -> Result<candle_core::Device, String> {
    if !cfg!(feature = "metal") {
        return Err(lacks("Metal", "metal"));
    }
    match std::panic::catch_unwind(|| candle_core::Device::new_metal(0)) {
        Ok(opened) => opened.map_err(|error| format!("metal can't be opened: {}", message(&error))),
        Err(_) => Err("metal can't be opened: this machine has no Metal device".into()),
    }
}

fn lacks(device: &str, feature: &str) -> String {
    format!(
        "this build has no {device}: build it with `cargo build --release --features {feature}`, or set model.device to cpu"
    )
}

/// Runs `forward` so that what Metal allocates on the way is released at its end: a thread
/// without a run loop has no autorelease pool of its own, and memory would grow.
pub fn scoped<T>(forward: impl FnOnce() -> T) -> T {
    #[cfg(all(target_os = "macos", feature = "metal"))]
    return objc2::rc::autoreleasepool(|_| forward());
    #[cfg(not(all(target_os = "macos", feature = "metal")))]
    forward()
}

impl Precision {
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::BF16 => DType::BF16,
        }
    }

    /// The nearest number that it has.
    pub fn round(self, x: f32) -> f32 {
        match self {
            Precision::F32 => x,
            Precision::F16 => half::f16::from_f32(x).to_f32(),
            Precision::BF16 => half::bf16::from_f32(x).to_f32(),
        }
    }

    /// The same for all of them.
    pub fn round_all(self, values: &mut [f32]) {
        if self != Precision::F32 {
            values.iter_mut().for_each(|x| *x = self.round(*x));
        }
    }

    /// The largest finite number.
    pub fn largest(self) -> f32 {
        match self {
            Precision::F32 => f32::MAX,
            Precision::F16 => half::f16::MAX.to_f32(),
            Precision::BF16 => half::bf16::MAX.to_f32(),
        }
    }

    /// How far an output may be from its f32 reference: `tolerance * (1 + |reference|)`. Generous
    /// against rounding (2^-24, 2^-11, 2^-8, through a few layers), narrow against wrong weights.
    pub fn tolerance(self) -> f64 {
        match self {
            Precision::F32 => 1e-4,
            Precision::F16 => 1e-2,
            Precision::BF16 => 8e-2,
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Digits alone: the standard parser also takes a sign.
        let ordinal = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        };
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "metal" | "mps" => Ok(Device::Metal),
            "cuda" => Ok(Device::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(ordinal)
                .map(Device::Cuda)
                .ok_or_else(|| "auto, cpu, metal (or mps), cuda or cuda:N".into()),
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "float32" | "f32" => Ok(Precision::F32),
            "float16" | "f16" => Ok(Precision::F16),
            "bfloat16" | "bf16" => Ok(Precision::BF16),
            _ => Err("float32 (or f32), float16 (or f16), bfloat16 (or bf16)".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Metal => f.write_str("metal"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "float32",
            Precision::F16 => "float16",
            Precision::BF16 => "bfloat16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_mps_means_metal() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("mps", Device::Metal),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(device), "{text}");
        }
        for wrong in ["gpu", "CPU", "cuda:", "cuda:+1", "cuda:x", ""] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_device_that_is_not_in_the_build_names_the_feature() {
        for (device, feature) in [(Device::Cuda(0), "cuda"), (Device::Metal, "metal")] {
            let error = device.open().unwrap_err();
            assert!(error.contains(&format!("--features {feature}")), "{error}");
        }
        assert!(matches!(Device::Auto.open(), Ok(candle_core::Device::Cpu)));
    }
}

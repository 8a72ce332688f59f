//! Decodes JPEG and PNG pictures into tensors that models take. Knows no model.
//!
//! Input `image`: one encoded picture. Outputs: `tensor`, the pixels; `size`, width and height of the upright picture
//! before it was resized and padded; `ratio`, how many pixels of the tensor make one of the picture, horizontally and
//! vertically, so that a place in the tensor divided by it is a place in the picture. Padding is added on the right and
//! at the bottom, so it moves nothing. Transparency is dropped.

use inferwit_plugin::{
    Datatype, Diagnostic, Failure, Inputs, Layout, Outputs, Processor, Request, ResizeOptions, Signature, Tensor,
    TensorError, TensorSpec, export,
};

mod config;
mod decode;
mod jpeg;
mod png;
mod upright;

pub use config::Config;

/// The processor under one configuration.
#[derive(Debug)]
pub struct ImageProcessor {
    config: Config,
}

impl Processor for ImageProcessor {
    type Config = Config;

    fn open(config: Config) -> Result<Self, Vec<Diagnostic>> {
        let diagnostics = config.diagnose();
        if diagnostics.is_empty() { Ok(Self { config }) } else { Err(diagnostics) }
    }

    fn signature(&self) -> Signature {
        let (width, height) =
            self.config.fixed_size().map_or((-1, -1), |(width, height)| (width.into(), height.into()));
        let channels = self.config.colour.channels().into();
        let shape = match self.config.layout {
            config::Layout::Nchw => [1, channels, height, width],
            config::Layout::Nhwc => [1, height, width, channels],
        };
        Signature {
            inputs: vec![TensorSpec::new("image", Datatype::Bytes, &[1])],
            outputs: vec![
                TensorSpec::new("tensor", self.config.datatype.datatype(), &shape),
                TensorSpec::new("size", Datatype::Uint32, &[2]),
                TensorSpec::new("ratio", Datatype::Fp32, &[2]),
            ],
        }
    }

    fn process(&self, mut inputs: Inputs, _request: &Request) -> Result<Outputs, Failure> {
        let picture = decode::decode(&inputs.take("image")?, &self.config)?;
        let (width, height) = picture.upright_size();
        if width.min(height) < self.config.min_side {
            return Err(Failure::unprocessable(format!(
                "the picture is {width} x {height}, and its smaller side must have {} pixels or more",
                self.config.min_side
            )));
        }
        let too_large = |error| match error {
            TensorError::Exhausted => {
                Failure::unprocessable(format!("a picture of {width} x {height} needs more memory than there is"))
            }
            error => Failure::from(error),
        };
        let (tensor, ratio) = self.arrange(picture).map_err(too_large)?;
        Ok(Outputs::new()
            .with("tensor", tensor)
            .with("size", Tensor::from_slice(&[2], &[width, height])?)
            .with("ratio", Tensor::from_slice(&[2], &ratio)?))
    }
}

impl ImageProcessor {
    /// From upright pixels to what the model takes. Bytes stay in the host, and stay bytes for as long as they can.
    fn arrange(&self, picture: decode::Picture) -> Result<(Tensor, [f32; 2]), TensorError> {
        let (width, height) = picture.upright_size();
        let mut pixels = upright::upright(picture)?;
        let (new_width, new_height) = self.config.resized(width, height);
        if (new_width, new_height) != (width, height) {
            pixels = pixels.resize(ResizeOptions {
                width: new_width,
                height: new_height,
                layout: Layout::Nhwc,
                filter: self.config.filter.filter(),
                antialias: true,
            })?;
        }
        let multiple = self.config.multiple_of;
        let right = new_width.next_multiple_of(multiple) - new_width;
        let bottom = new_height.next_multiple_of(multiple) - new_height;
        if (right, bottom) != (0, 0) {
            pixels = pixels.pad(&[0; 4], &[0, bottom.into(), right.into(), 0], self.config.fill.into())?;
        }
        if self.config.layout == config::Layout::Nchw {
            pixels = pixels.transpose(&[0, 3, 1, 2])?;
        }
        let ratio = [ratio(new_width, width), ratio(new_height, height)];
        let (scale, bias) = self.config.affine();
        let identity = scale.iter().all(|&scale| scale == 1.0) && bias.iter().all(|&bias| bias == 0.0);
        let tensor = match self.config.datatype {
            config::PixelType::Uint8 => pixels,
            config::PixelType::Fp32 if identity => pixels.cast(Datatype::Fp32)?,
            config::PixelType::Fp32 => pixels.affine(&scale, &bias, self.config.channel_axis(), Datatype::Fp32)?,
        };
        Ok((tensor, ratio))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a ratio needs no more digits than its tensor has")]
fn ratio(new: u32, old: u32) -> f32 {
    (f64::from(new) / f64::from(old)) as f32
}

export! { processor: ImageProcessor, name: "image" }

#[cfg(test)]
mod tests;

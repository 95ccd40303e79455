//! Draws the card into planes of YUV 4:2:0 (BT.709, studio range).
//!
//! What stands still is drawn once. Each frame redraws the strip, the digits, the band that scrolls and the hand that
//! goes around once a second.

use ffmpeg_next::frame;

use super::{font, strip};

/// Colour as luma, blue and red difference.
type Colour = [u8; 3];

const BLACK: Colour = [16, 128, 128];
const WHITE: Colour = [235, 128, 128];
const GREY: Colour = [60, 128, 128];
/// 75 % colour bars: white, yellow, cyan, green, magenta, red, blue.
const BARS: [Colour; 7] = [
    [180, 128, 128],
    [168, 44, 136],
    [145, 147, 44],
    [133, 63, 52],
    [63, 193, 204],
    [51, 109, 212],
    [28, 212, 120],
];

struct Plane {
    bytes: Vec<u8>,
    width: usize,
    /// How many pixels of the picture one byte stands for, in each direction.
    scale: usize,
}

impl Plane {
    /// Fills a rectangle given in pixels of the picture; what lies outside is left out.
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, value: u8) {
        let right = ((x + width) / self.scale).min(self.width);
        let left = (x / self.scale).min(right);
        for row in self
            .bytes
            .chunks_exact_mut(self.width)
            .take((y + height) / self.scale)
            .skip(y / self.scale)
        {
            row[left..right].fill(value);
        }
    }
}

/// The card as it is being drawn.
pub(super) struct Canvas {
    planes: [Plane; 3],
    width: usize,
    height: usize,
    /// One period of the scrolling band, twice as wide as the picture: rows of luma.
    texture: Vec<u8>,
}

impl Canvas {
    /// `width` and `height` in pixels, both even.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let plane = |scale: usize| Plane {
            bytes: vec![0; width / scale * (height / scale)],
            width: width / scale,
            scale,
        };
        let mut canvas = Self {
            planes: [plane(1), plane(2), plane(2)],
            width,
            height,
            texture: Vec::new(),
        };
        canvas.fill(0, 0, width, height, GREY);
        let bar = (width / BARS.len()) & !1;
        for (index, colour) in BARS.into_iter().enumerate() {
            let last = index + 1 == BARS.len();
            let wide = if last { width - index * bar } else { bar };
            canvas.fill(
                index * bar,
                canvas.row(13),
                wide,
                canvas.row(17) - canvas.row(13),
                colour,
            );
        }
        canvas.text("MESHLIVE", 18, 1, WHITE);
        canvas.texture = texture(width, canvas.band().1);
        canvas
    }

    /// Where the picture's `part`th twenty-fourth begins, even.
    fn row(&self, part: usize) -> usize {
        (self.height * part / strip::HEIGHT_PARTS) & !1
    }

    /// First row and height of the scrolling band.
    fn band(&self) -> (usize, usize) {
        (self.row(22), self.height - self.row(22))
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        for (plane, value) in self.planes.iter_mut().zip(colour) {
            plane.fill(x, y, width, height, value);
        }
    }

    /// Writes `text` in the middle of a line that begins at the `part`th twenty-fourth; `size` 2 is twice as large.
    fn text(&mut self, text: &str, part: usize, size: usize, colour: Colour) {
        let dot = (self.width / 160 * size).max(1);
        let pitch = (font::WIDTH + 1) * dot;
        let left = self.width.saturating_sub(text.len() * pitch) / 2;
        for (index, letter) in text.chars().enumerate() {
            for (row, dots) in font::glyph(letter).into_iter().enumerate() {
                for column in
                    (0..font::WIDTH).filter(|column| dots >> (font::WIDTH - 1 - column) & 1 == 1)
                {
                    let (x, y) = (
                        left + index * pitch + column * dot,
                        self.row(part) + row * dot,
                    );
                    // Digits are luma only: the ground under them is grey.
                    self.planes[0].fill(x, y, dot, dot, colour[0]);
                }
            }
        }
    }

    /// Draws frame `number`, which is shown at `time` (microseconds since the Unix epoch).
    pub(super) fn draw(&mut self, number: u64, time: u64) {
        self.draw_strip(time / 1000);
        let top = self.row(3);
        self.fill(0, top, self.width, self.row(13) - top, GREY);
        let (date, clock) = written(time / 1000);
        self.text(&date, 3, 1, WHITE);
        self.text(&clock, 6, 2, WHITE);
        self.draw_sweep(time);
        self.scroll(number);
    }

    fn draw_strip(&mut self, millis: u64) {
        let bits = strip::encode(millis);
        let height = self.height / strip::HEIGHT_PARTS;
        for index in 0..strip::COLUMNS * strip::ROWS {
            let (column, row) = (index % strip::COLUMNS, index / strip::COLUMNS);
            let colour = if bits >> (63 - index) & 1 == 1 {
                WHITE
            } else {
                BLACK
            };
            let width = self.width / strip::COLUMNS;
            self.planes[0].fill(column * width, row * height, width, height, colour[0]);
        }
        let (width, height) = (self.width, strip::ROWS * height + 2);
        for plane in &mut self.planes[1..] {
            plane.fill(0, 0, width, height, 128);
        }
    }

    /// A bar that grows over each second, white while the beep sounds.
    fn draw_sweep(&mut self, time: u64) {
        let part = (time % 1_000_000) as usize;
        let colour = if part < 100_000 { WHITE } else { BARS[2] };
        let (top, height) = (self.row(12), self.row(13) - self.row(12));
        self.fill(0, top, (self.width * part / 1_000_000) & !1, height, colour);
    }

    /// Moves the band by four pixels a frame.
    fn scroll(&mut self, number: u64) {
        let (top, height) = self.band();
        let width = self.width;
        let offset = (number as usize * 4) % width;
        let rows = self.planes[0]
            .bytes
            .chunks_exact_mut(width)
            .skip(top)
            .take(height);
        for (row, texture) in rows.zip(self.texture.chunks_exact(2 * width)) {
            row.copy_from_slice(&texture[offset..offset + width]);
        }
    }

    /// Copies the card into a frame of the same size.
    pub(super) fn copy_to(&self, target: &mut frame::Video) {
        for (index, plane) in self.planes.iter().enumerate() {
            let stride = target.stride(index);
            let rows = target.data_mut(index).chunks_mut(stride);
            for (row, source) in rows.zip(plane.bytes.chunks_exact(plane.width)) {
                row[..plane.width].copy_from_slice(source);
            }
        }
    }
}

/// Ripples that meet themselves after `width` pixels, two periods wide.
fn texture(width: usize, height: usize) -> Vec<u8> {
    let wave = |at: usize, period: usize| {
        let angle = std::f32::consts::TAU * (at % period) as f32 / period as f32;
        angle.sin()
    };
    let across: Vec<f32> = (0..2 * width)
        .map(|x| wave(x, width) + wave(x * 7, width) + wave(x * 23, width))
        .collect();
    (0..height)
        .flat_map(|y| {
            let down = wave(y, height.max(1));
            across
                .iter()
                .map(move |x| (126.0 + 30.0 * x + 18.0 * down) as u8)
        })
        .collect()
}

/// Date and time of day (UTC) of milliseconds since the Unix epoch.
fn written(millis: u64) -> (String, String) {
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    // Days to civil date over eras of 400 years that begin on 1 March of year 0.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1_000 % 60, rest % 1_000);
    (
        format!("{year:04}-{month:02}-{date:02} UTC"),
        format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(written(0), ("1970-01-01 UTC".into(), "00:00:00.000".into()));
        assert_eq!(
            written(1_709_251_199_999),
            ("2024-02-29 UTC".into(), "23:59:59.999".into())
        );
        assert_eq!(
            written(1_795_336_872_345),
            ("2026-11-22 UTC".into(), "08:41:12.345".into())
        );
    }

    #[test]
    fn the_strip_can_be_read_from_the_canvas_at_every_size() {
        for (width, height) in [(320, 240), (640, 360), (1280, 720), (1920, 1080)] {
            let mut canvas = Canvas::new(width, height);
            canvas.draw(7, 1_795_336_872_345_678);
            let luma = &canvas.planes[0].bytes;
            assert_eq!(
                strip::read(luma, width, width, height),
                Some(1_795_336_872_345),
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn the_picture_moves() {
        let mut canvas = Canvas::new(640, 360);
        canvas.draw(1, 1_000_000);
        let band = canvas.band().0 * 640;
        let before = canvas.planes[0].bytes[band..].to_vec();
        canvas.draw(2, 1_000_000);
        assert_ne!(before, canvas.planes[0].bytes[band..]);
    }
}

//! Real photos: baseline JPEGs (ITU-T T.81) with EXIF, painted from a seed. Every seed gives other bytes.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the numbers are pixels, table entries and lengths of tiny texts"
)]

use jiff::civil::DateTime;
use std::f32::consts::PI;

/// A photo as a camera would write it.
#[derive(Clone, Copy, Debug)]
pub struct Photo {
    pub seed: u64,
    pub width: u16,
    pub height: u16,
    /// Goes into EXIF as the time of capture.
    pub taken: DateTime,
}

impl Photo {
    /// A small one, quick to paint in an unoptimised build.
    pub fn small(seed: u64, taken: DateTime) -> Self {
        Self {
            seed,
            width: 96,
            height: 64,
            taken,
        }
    }

    /// The file.
    pub fn jpeg(&self) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        segment(&mut file, 0xe1, &self.exif());
        for (id, table) in [(0_u8, &LUMA_QUANTISERS), (1, &CHROMA_QUANTISERS)] {
            let zigzag = ZIGZAG.iter().map(|at| table[*at]);
            segment(
                &mut file,
                0xdb,
                &[id].into_iter().chain(zigzag).collect::<Vec<_>>(),
            );
        }
        let [h1, h2] = self.height.to_be_bytes();
        let [w1, w2] = self.width.to_be_bytes();
        let frame = [8, h1, h2, w1, w2, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1];
        segment(&mut file, 0xc0, &frame);
        for (id, table) in [
            (0x00_u8, &LUMA_DC),
            (0x10, &LUMA_AC),
            (0x01, &CHROMA_DC),
            (0x11, &CHROMA_AC),
        ] {
            let mut body = vec![id];
            body.extend(table.counts);
            body.extend(table.values);
            segment(&mut file, 0xc4, &body);
        }
        segment(&mut file, 0xda, &[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        file.extend(self.scan());
        file.extend([0xff, 0xd9]);
        file
    }

    /// TIFF inside APP1: make, model and orientation, and the time of capture in the EXIF directory.
    fn exif(&self) -> Vec<u8> {
        let make = b"Nestwarden\0";
        let model = b"Test camera\0";
        let taken = self.taken.strftime("%Y:%m:%d %H:%M:%S\0").to_string();
        let first_dir = 8_u32;
        let data = first_dir + 2 + 4 * 12 + 4;
        let model_at = data + make.len() as u32;
        let exif_dir = model_at + model.len() as u32 + 1;
        let taken_at = exif_dir + 2 + 12 + 4;
        let mut tiff = b"MM\0\x2a".to_vec();
        tiff.extend(first_dir.to_be_bytes());
        tiff.extend(4_u16.to_be_bytes());
        entry(&mut tiff, 0x010f, 2, make.len() as u32, data);
        entry(&mut tiff, 0x0110, 2, model.len() as u32, model_at);
        entry(&mut tiff, 0x0112, 3, 1, 1 << 16);
        entry(&mut tiff, 0x8769, 4, 1, exif_dir);
        tiff.extend(0_u32.to_be_bytes());
        tiff.extend(make);
        tiff.extend(model);
        tiff.push(0);
        tiff.extend(1_u16.to_be_bytes());
        entry(&mut tiff, 0x9003, 2, taken.len() as u32, taken_at);
        tiff.extend(0_u32.to_be_bytes());
        tiff.extend(taken.bytes());
        [b"Exif\0\0".as_slice(), &tiff].concat()
    }

    fn scan(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        let mut before = [0_i32; 3];
        for top in (0..self.height).step_by(8) {
            for left in (0..self.width).step_by(8) {
                for (channel, previous) in before.iter_mut().enumerate() {
                    let luma = channel == 0;
                    let (quantisers, dc, ac) = if luma {
                        (&LUMA_QUANTISERS, &LUMA_DC, &LUMA_AC)
                    } else {
                        (&CHROMA_QUANTISERS, &CHROMA_DC, &CHROMA_AC)
                    };
                    let block = self.block(left, top, channel);
                    let coefficients = transform(&block, quantisers);
                    encode(&mut bits, &coefficients, previous, dc, ac);
                }
            }
        }
        bits.finish()
    }

    fn block(&self, left: u16, top: u16, channel: usize) -> [f32; 64] {
        std::array::from_fn(|at| {
            let x = (left + (at % 8) as u16).min(self.width - 1);
            let y = (top + (at / 8) as u16).min(self.height - 1);
            let [red, green, blue] = self.colour(x, y);
            match channel {
                0 => 0.299 * red + 0.587 * green + 0.114 * blue - 128.0,
                1 => -0.168_736 * red - 0.331_264 * green + 0.5 * blue,
                _ => 0.5 * red - 0.418_688 * green - 0.081_312 * blue,
            }
        })
    }

    /// A sky, a meadow, a sun whose place the seed decides, and grain.
    fn colour(&self, x: u16, y: u16) -> [f32; 3] {
        let grain =
            f32::from((mix(self.seed ^ (u64::from(x) << 20) ^ (u64::from(y) << 40)) % 24) as u16);
        let sun_x = mix(self.seed) % u64::from(self.width);
        let sun_y = mix(self.seed ^ 1) % u64::from(self.height / 2 + 1);
        let near = x.abs_diff(sun_x as u16) < self.width / 12
            && y.abs_diff(sun_y as u16) < self.width / 12;
        let depth = f32::from(y) / f32::from(self.height);
        if near {
            [230.0 + grain, 200.0 + grain, 60.0 + grain]
        } else if depth < 0.6 {
            [90.0 + grain, 140.0 + 80.0 * depth + grain, 210.0 + grain]
        } else {
            [60.0 + grain, 190.0 - 90.0 * depth + grain, 50.0 + grain]
        }
    }
}

fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX);
    file.extend([0xff, marker]);
    file.extend(length.to_be_bytes());
    file.extend(body);
}

fn entry(tiff: &mut Vec<u8>, tag: u16, kind: u16, count: u32, value: u32) {
    tiff.extend(tag.to_be_bytes());
    tiff.extend(kind.to_be_bytes());
    tiff.extend(count.to_be_bytes());
    tiff.extend(value.to_be_bytes());
}

/// SplitMix64.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The discrete cosine transform of a block, quantised, in zigzag order.
fn transform(block: &[f32; 64], quantisers: &[u8; 64]) -> [i32; 64] {
    let cosine: [[f32; 8]; 8] = std::array::from_fn(|u| {
        let scale = if u == 0 { (0.125_f32).sqrt() } else { 0.5 };
        std::array::from_fn(|x| scale * ((2 * x + 1) as f32 * u as f32 * PI / 16.0).cos())
    });
    let rows: [f32; 64] = std::array::from_fn(|at| {
        let (y, u) = (at / 8, at % 8);
        (0..8).map(|x| block[y * 8 + x] * cosine[u][x]).sum()
    });
    ZIGZAG.map(|at| {
        let (v, u) = (at / 8, at % 8);
        let value: f32 = (0..8).map(|y| rows[y * 8 + u] * cosine[v][y]).sum();
        (value / f32::from(quantisers[at])).round() as i32
    })
}

fn encode(bits: &mut Bits, block: &[i32; 64], previous: &mut i32, dc: &Huffman, ac: &Huffman) {
    let difference = block[0] - *previous;
    *previous = block[0];
    let size = size_of(difference);
    bits.code(dc, size);
    bits.value(difference, size);
    let mut zeros = 0_u8;
    for value in &block[1..] {
        if *value == 0 {
            zeros += 1;
            continue;
        }
        while zeros > 15 {
            bits.code(ac, 0xf0);
            zeros -= 16;
        }
        let size = size_of(*value);
        bits.code(ac, zeros << 4 | size);
        bits.value(*value, size);
        zeros = 0;
    }
    if zeros > 0 {
        bits.code(ac, 0);
    }
}

fn size_of(value: i32) -> u8 {
    (32 - value.unsigned_abs().leading_zeros()) as u8
}

#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u8,
}

impl Bits {
    fn push(&mut self, value: u32, length: u8) {
        for at in (0..length).rev() {
            self.held = self.held << 1 | (value >> at & 1);
            self.count += 1;
            if self.count == 8 {
                let byte = self.held as u8;
                self.out.push(byte);
                if byte == 0xff {
                    self.out.push(0);
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn code(&mut self, table: &Huffman, symbol: u8) {
        let (code, length) = table.code_of(symbol);
        self.push(code, length);
    }

    fn value(&mut self, value: i32, size: u8) {
        let coded = if value < 0 { value - 1 } else { value };
        self.push(coded.cast_unsigned(), size);
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.push(1, 1);
        }
        self.out
    }
}

struct Huffman {
    counts: [u8; 16],
    values: &'static [u8],
}

impl Huffman {
    /// Canonical: codes of one length follow one another, and each length begins where the one before ended, doubled.
    fn code_of(&self, symbol: u8) -> (u32, u8) {
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u8..).zip(self.counts) {
            let of_length = &self.values[index..index + usize::from(count)];
            if let Some(at) = of_length.iter().position(|value| *value == symbol) {
                return (code + at as u32, length);
            }
            index += usize::from(count);
            code = (code + u32::from(count)) << 1;
        }
        (0, 0)
    }
}

const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

// The tables of T.81, annex K.
const LUMA_QUANTISERS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
    92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA_QUANTISERS: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];
const LUMA_DC: Huffman = Huffman {
    counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    values: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const CHROMA_DC: Huffman = Huffman {
    counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    values: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const LUMA_AC: Huffman = Huffman {
    counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    values: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61,
        0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52,
        0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25,
        0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45,
        0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64,
        0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
        0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
        0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3,
        0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,
        0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};
const CHROMA_AC: Huffman = Huffman {
    counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
    values: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61,
        0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33,
        0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18,
        0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44,
        0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
        0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
        0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
        0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca,
        0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
        0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;

    #[test]
    fn every_seed_paints_another_photo_with_the_markers_of_a_jpeg() {
        let taken = datetime(2026, 9, 1, 10, 30, 0, 0);
        let one = Photo::small(1, taken).jpeg();
        let two = Photo::small(2, taken).jpeg();
        assert_ne!(one, two);
        assert_eq!(&one[..4], &[0xff, 0xd8, 0xff, 0xe1]);
        assert_eq!(&one[one.len() - 2..], &[0xff, 0xd9]);
        assert!(one.windows(19).any(|w| w == b"2026:09:01 10:30:00"));
    }
}

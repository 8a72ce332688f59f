//! A new input from known ones: bytes and lines changed, moved and repeated, words put in, two inputs spliced.

use crate::random::Random;

#[cfg(test)]
mod tests;

/// So many changes are made at once, at most.
const CHANGES_MAX: usize = 8;
/// A piece that is copied or taken out has at most so many bytes, but for lines.
const PIECE_MAX: usize = 64;
/// Numbers at which code changes its mind.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

pub struct Mutator<'a> {
    pub random: Random,
    /// Put in whole.
    pub words: &'a [Vec<u8>],
    pub bytes_max: usize,
}

impl Mutator<'_> {
    /// Changes `input`; pieces come from `other` too.
    pub fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let changes = 1 + self.random.below(CHANGES_MAX).min(self.random.below(CHANGES_MAX));
        for _ in 0..changes {
            self.change_once(input, other);
        }
        input.truncate(self.bytes_max);
    }

    fn change_once(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        match self.random.below(14) {
            0 => self.flip(input),
            1 => self.set(input),
            2 => self.set_number(input),
            3 => self.remove(input),
            4 => self.insert_bytes(input),
            5 | 6 => self.insert_word(input),
            7 => self.copy(input),
            8 => self.splice(input, other),
            9 => self.change_digits(input),
            10 => self.remove_line(input),
            11 => self.copy_line(input, other),
            12 => self.replace_word(input),
            _ => self.swap_lines(input),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        let place = self.random.below(input.len());
        let bit = self.random.below(8);
        if let Some(byte) = input.get_mut(place) {
            *byte ^= 1 << bit;
        }
    }

    fn set(&mut self, input: &mut [u8]) {
        let place = self.random.below(input.len());
        let value = self.random.word() as u8;
        if let Some(byte) = input.get_mut(place) {
            *byte = value;
        }
    }

    fn set_number(&mut self, input: &mut [u8]) {
        let edge = self.random.pick(&EDGES).copied().unwrap_or_default();
        let near = edge.wrapping_add(self.random.below(5) as u64).wrapping_sub(2);
        let width = 1 << self.random.below(4);
        let place = self.random.below(input.len());
        for (byte, value) in input.iter_mut().skip(place).take(width).zip(near.to_le_bytes()) {
            *byte = value;
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let begin = self.random.below(bytes.len());
        let length = 1 + self.random.below(PIECE_MAX).min(self.random.below(PIECE_MAX));
        begin..(begin + length).min(bytes.len())
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let piece = self.piece(input);
        input.drain(piece);
    }

    fn insert_bytes(&mut self, input: &mut Vec<u8>) {
        let place = self.random.below(input.len() + 1);
        let bytes = self.random.word().to_le_bytes();
        let count = 1 + self.random.below(4);
        input.splice(place..place, bytes[..count].iter().copied());
    }

    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let place = self.random.below(input.len() + 1);
        let words = self.words;
        if let Some(word) = self.random.pick(words) {
            input.splice(place..place, word.iter().copied());
        }
    }

    /// One run of letters, or one sign, becomes a word.
    fn replace_word(&mut self, input: &mut Vec<u8>) {
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        let begin = self.random.below(input.len());
        let letters = input.iter().skip(begin).take_while(|byte| is_letter(byte)).count();
        let words = self.words;
        if let (Some(word), false) = (self.random.pick(words), input.is_empty()) {
            input.splice(begin..begin + letters.max(1), word.iter().copied());
        }
    }

    fn copy(&mut self, input: &mut Vec<u8>) {
        let piece = self.piece(input);
        let bytes = input[piece].to_vec();
        let times = 1 + self.random.below(4);
        let place = self.random.below(input.len() + 1);
        input.splice(place..place, bytes.repeat(times));
    }

    /// The beginning of one and the end of the other, or a piece of the other in the midst of the one.
    fn splice(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let place = self.random.below(input.len() + 1);
        if self.random.below(2) == 0 {
            input.truncate(place);
            input.extend_from_slice(&other[self.random.below(other.len())..]);
        } else {
            let piece = self.piece(other);
            input.splice(place..place, other[piece].iter().copied());
        }
    }

    /// A number as it is written in a text.
    fn change_digits(&mut self, input: &mut Vec<u8>) {
        let from = self.random.below(input.len());
        let Some(begin) = (from..input.len()).find(|&at| input[at].is_ascii_digit()) else { return };
        let length = input[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let edge = self.random.pick(&EDGES).copied().unwrap_or_default();
        let number = match self.random.below(3) {
            0 => edge,
            1 => self.random.below(10) as u64,
            _ => edge.wrapping_add(self.random.below(3) as u64).wrapping_sub(1),
        };
        input.splice(begin..begin + length, number.to_string().into_bytes());
    }

    fn line(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let at = self.random.below(bytes.len());
        let begin = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
        let end = bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| at + end + 1);
        begin..end
    }

    fn remove_line(&mut self, input: &mut Vec<u8>) {
        let line = self.line(input);
        input.drain(line);
    }

    fn copy_line(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let line = match self.random.below(2) {
            0 => input[self.line(input)].to_vec(),
            _ => other[self.line(other)].to_vec(),
        };
        let place = self.line(input).start;
        input.splice(place..place, line);
    }

    fn swap_lines(&mut self, input: &mut Vec<u8>) {
        let line = self.line(input);
        let bytes: Vec<u8> = input.drain(line).collect();
        let place = self.line(input).start;
        input.splice(place..place, bytes);
    }
}

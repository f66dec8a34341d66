//! Plays seeds, and whatever once broke, on any compiler: without libFuzzer, the same inputs in the same order each time.
//!
//! Beside each file as it is come mutations of it, so that the ordinary tests look a little beyond what is written down.

use std::path::{Path, PathBuf};

/// Puts every file of a target, and so many mutations of each, through its check.
///
/// # Panics
/// If a check does, with the input that did it; or if there are no seeds, since then nothing would have been checked.
pub(crate) fn replay(target: &str, mutations: usize, check: fn(&[u8])) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut files = files_in(&home.join("seeds").join(target));
    assert!(!files.is_empty(), "no seeds for {target} in {}", home.display());
    files.extend(files_in(&home.join("regressions").join(target)));
    let inputs: Vec<(PathBuf, Vec<u8>)> = files
        .into_iter()
        .map(|file| {
            let bytes = std::fs::read(&file).unwrap();
            (file, bytes)
        })
        .collect();
    for (at, (file, bytes)) in inputs.iter().enumerate() {
        held(file, bytes, check);
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (at as u64 + 1));
        for _ in 0..mutations {
            let other = &inputs[dice.below(inputs.len())].1;
            held(file, &mutated(bytes, other, &mut dice), check);
        }
    }
}

/// The files of a folder, if there is one, in the order of their names, so that dice fall the same on every machine.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != ".gitkeep"));
    files.sort();
    files
}

fn held(file: &Path, bytes: &[u8], check: fn(&[u8])) {
    if std::panic::catch_unwind(|| check(bytes)).is_err() {
        panic!("broken by {}, or a mutation of it:\n\"{}\"", file.display(), bytes.escape_ascii());
    }
}

/// One to four small changes: what libFuzzer does, without its sight of what they reach.
fn mutated(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let upto = at + dice.below((bytes.len() - at).min(16) + 1);
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            2 => bytes.insert(at, dice.below(256) as u8),
            3 => drop(bytes.drain(at..upto)),
            4 => bytes[at..upto].fill([0, 1, 0x7f, 0x80, 0xff][dice.below(5)]),
            5 => bytes.truncate(at),
            6 => {
                let again = bytes[at..upto].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, again);
            }
            7 => bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]),
            _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add([1, 0xff][dice.below(2)]),
            _ => {}
        }
    }
    bytes
}

/// Random numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 29)) % end.max(1) as u64) as usize
    }
}

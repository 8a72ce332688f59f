//! Which edges of the instrumented code a run took, and how often. Knows no input.
//!
//! The compiler gives each edge a byte that counts up; all bytes of a program lie behind each other.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Called by instrumented code before `main`, for each of its parts with the same region.
#[expect(unsafe_code, reason = "the name that instrumented code calls")]
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    START.store(start, Ordering::Relaxed);
    LENGTH.store(stop.addr().wrapping_sub(start.addr()), Ordering::Relaxed);
}

/// An edge and how often it was taken, roughly: 1, 2, 3, and then by powers of two.
pub type Feature = u32;

/// What can be told apart of one edge.
const CLASSES: u32 = 8;

/// The program was built with counters.
pub fn is_there() -> bool {
    LENGTH.load(Ordering::Relaxed) > 0
}

/// Counts from nothing again.
pub fn clear() {
    counters().fill(0);
}

/// Adds what the run since `clear` took.
pub fn take(features: &mut Vec<Feature>) {
    features.clear();
    let counters = counters();
    let (chunks, rest) = counters.as_chunks::<8>();
    let mut edge = 0;
    for chunk in chunks {
        // Most are zero.
        if u64::from_ne_bytes(*chunk) != 0 {
            add(chunk, edge, features);
        }
        edge += 8;
    }
    add(rest, edge, features);
}

fn add(counters: &[u8], first: u32, features: &mut Vec<Feature>) {
    for (edge, &count) in (first..).zip(counters) {
        if let Some(class) = class(count) {
            features.push(edge * CLASSES + class);
        }
    }
}

fn class(count: u8) -> Option<u32> {
    Some(match count {
        0 => return None,
        1..=3 => u32::from(count) - 1,
        4..=7 => 3,
        8..=15 => 4,
        16..=31 => 5,
        32..=127 => 6,
        _ => 7,
    })
}

fn counters() -> &'static mut [u8] {
    let length = LENGTH.load(Ordering::Relaxed);
    if length == 0 {
        return &mut [];
    }
    #[expect(unsafe_code, reason = "the counters lie where the compiler put them")]
    // SAFETY: the region is a section of this program, writable and of this length. Counts that other threads add while
    // it is read are lost or seen, which is all the same; the only other thread looks at a clock.
    unsafe {
        std::slice::from_raw_parts_mut(START.load(Ordering::Relaxed), length)
    }
}

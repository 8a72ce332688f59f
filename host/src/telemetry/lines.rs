//! Lines written to a file by a thread of their own: bounded in the queue and on the disk. Knows nothing of what they say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

/// Lines that may wait, and what they may hold in memory.
const QUEUE_LINES_MAX: usize = 1024;
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Makes a line, without its end, when its turn comes.
pub type MakeLine = Box<dyn FnOnce() -> String + Send>;

/// A file of lines, beside it the one before: `PATH.1`. Dropping it writes what waits.
pub struct LineWriter {
    sender: Option<SyncSender<(usize, MakeLine)>>,
    waiting_bytes: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl LineWriter {
    /// Opens the file, or makes it; file and predecessor together hold `bytes_max` at most.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread be started.
    pub fn start(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let mut pages = Pages::open(path, bytes_max / 2)?;
        let (sender, receiver) = mpsc::sync_channel(QUEUE_LINES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&waiting_bytes);
        let write = move || write_all(&receiver, &waiting, &mut pages);
        let thread = thread::Builder::new().name("lines".to_owned()).spawn(write)?;
        Ok(Self { sender: Some(sender), waiting_bytes, thread: Some(thread) })
    }

    /// Hands over a line that holds `bytes` of memory until it is made; `false` if too much waits already. Never waits.
    pub fn send(&self, bytes: usize, line: MakeLine) -> bool {
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_sent = before < QUEUE_BYTES_MAX
            && self.sender.as_ref().is_some_and(|sender| sender.try_send((bytes, line)).is_ok());
        if !is_sent {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_sent
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already.
            drop(thread.join());
        }
    }
}

fn write_all(receiver: &Receiver<(usize, MakeLine)>, waiting: &AtomicUsize, pages: &mut Pages) {
    let mut is_failing = false;
    while let Ok((bytes, line)) = receiver.recv() {
        let written = pages.write(&line());
        waiting.fetch_sub(bytes, Ordering::Relaxed);
        match written {
            Ok(()) => is_failing = false,
            // Once, not for each line of a full disk.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(path = %pages.path.display(), %error, "lines cannot be written and are lost");
            }
            Err(_) => {}
        }
    }
}

/// The file that is written now, and how full it is.
struct Pages {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Pages {
    fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, bytes_max })
    }

    /// A line that is larger than a whole file is left out.
    fn write(&mut self, line: &str) -> io::Result<()> {
        let size = line.len() as u64 + 1;
        if size > self.bytes_max {
            return Err(io::Error::other("a line is larger than the file may be"));
        }
        if self.bytes + size > self.bytes_max {
            let mut before = self.path.clone().into_os_string();
            before.push(".1");
            fs::rename(&self.path, before)?;
            *self = Self::open(&self.path, self.bytes_max)?;
        }
        // One write, so that a line of another process does not come in between.
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.bytes += size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_one_before_hold_the_newest_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, "0000000\n").unwrap();
        let writer = LineWriter::start(&path, 40).unwrap();
        for number in 1..8 {
            assert!(writer.send(8, Box::new(move || format!("{number:07}"))));
        }
        assert!(writer.send(100, Box::new(|| "far too long for a file".to_owned())));
        drop(writer);
        assert_eq!(fs::read_to_string(&path).unwrap(), "0000006\n0000007\n");
        assert_eq!(fs::read_to_string(folder.path().join("lines.1")).unwrap(), "0000004\n0000005\n");
    }

    #[test]
    fn a_line_is_lost_rather_than_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let writer = LineWriter::start(&folder.path().join("lines"), 1 << 20).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let hold = move || {
            // Ends when the test lets go of the other end.
            let _ended = wait.recv();
            String::new()
        };
        assert!(writer.send(QUEUE_BYTES_MAX, Box::new(hold)));
        assert!(!writer.send(1, Box::new(String::new)));
        drop(go);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LineWriter::start(&folder.path().join("none/lines"), 100).is_err());
    }
}

//! A log file that is rotated by its size. `carla-rl.log` is always the current one,
//! `carla-rl.log.1` the newest old one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::PathBuf,
};

/// Appends lines to a file, and begins it anew before it would exceed its size. A line is never
/// split over two files, and one that is larger than a file gets one of its own.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    file: File,
    /// Bytes in the file, or since the last attempt to rotate it.
    bytes: u64,
}

impl Rotating {
    /// Goes on with the file if it is there. Of the old ones, `keep` stay.
    ///
    /// # Errors
    /// The file or its folder can't be made or opened.
    pub fn open(path: PathBuf, max_bytes: u64, keep: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        let rotating = Self { path, max_bytes, keep, file, bytes };
        rotating.remove_surplus();
        Ok(rotating)
    }

    /// An earlier run may have kept more.
    fn remove_surplus(&self) {
        let mut number = self.keep + 1;
        while fs::remove_file(self.old(number)).is_ok() {
            number += 1;
        }
    }

    /// If it fails, lines go on into the file as it is, and the next attempt comes when as much
    /// has been written again.
    fn rotate(&mut self) {
        self.bytes = 0;
        match self.shift().and_then(|()| append(&self.path)) {
            Ok(file) => self.file = file,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "the log file can't be rotated, and grows on");
            }
        }
    }

    /// Makes room for the newest old file. Only the files before the first gap move, so that
    /// attempts that fail half-way don't push the older ones out.
    fn shift(&self) -> io::Result<()> {
        let gap = (1..self.keep).find(|number| !self.old(*number).exists()).unwrap_or(self.keep);
        for number in (1..gap).rev() {
            fs::rename(self.old(number), self.old(number + 1))?;
        }
        match fs::rename(&self.path, self.old(1)) {
            // Somebody took it away: there is nothing to keep.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn old(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Takes one whole line, as the thread behind the log lines hands them over.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let added = line.len() as u64;
        if self.bytes > 0 && self.bytes + added > self.max_bytes {
            self.rotate();
        }
        self.bytes += added;
        self.file.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn no_line_is_lost_or_split_and_the_order_stays() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut log(&folder, 100), 0..50);
        let mut files = names(&folder);
        assert_eq!(files.len(), 13, "{files:?}");
        // By age: the current one has the shortest name, and numbers grow with age.
        files.sort_by_key(|name| (name.len(), name.clone()));
        let read = files.iter().rev().map(|name| read(&folder, name)).collect::<String>();
        assert_eq!(read, (0..50).map(line).collect::<String>());
    }

    #[test]
    fn the_current_file_keeps_its_name_and_the_newest_old_one_is_the_first() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut log(&folder, 3), 0..10);
        assert_eq!(read(&folder, "a.log"), line(8) + &line(9));
        assert_eq!(read(&folder, "a.log.1"), (4..8).map(line).collect::<String>());
        assert_eq!(read(&folder, "a.log.2"), (0..4).map(line).collect::<String>());
    }

    #[test]
    fn no_more_old_files_stay_than_wanted_even_if_an_earlier_run_kept_more() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut log(&folder, 6), 0..50);
        assert_eq!(names(&folder).len(), 7);
        write(&mut log(&folder, 2), 50..60);
        assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.2"]);
    }

    #[test]
    fn a_restart_goes_on_with_the_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..6 {
            write(&mut log(&folder, 3), i..i + 1);
        }
        assert_eq!(read(&folder, "a.log.1"), (0..4).map(line).collect::<String>());
        assert_eq!(read(&folder, "a.log"), line(4) + &line(5));
    }

    #[test]
    fn a_rename_that_fails_loses_no_line_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing can be renamed to the name of a folder that is not empty.
        let obstacle = folder.path().join("a.log.1");
        fs::create_dir_all(obstacle.join("full")).unwrap();
        let mut log = log(&folder, 1);
        write(&mut log, 0..10);
        assert_eq!(read(&folder, "a.log"), (0..10).map(line).collect::<String>());
        fs::remove_dir_all(obstacle).unwrap();
        write(&mut log, 10..13);
        assert_eq!(read(&folder, "a.log.1"), (0..12).map(line).collect::<String>());
        assert_eq!(read(&folder, "a.log"), line(12));
    }

    #[test]
    fn a_gap_among_the_old_files_is_filled_before_any_of_them_moves() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut log(&folder, 3), 0..12);
        fs::remove_file(folder.path().join("a.log.1")).unwrap();
        write(&mut log(&folder, 3), 12..13);
        assert_eq!(read(&folder, "a.log.1"), (8..12).map(line).collect::<String>());
        assert_eq!(read(&folder, "a.log.2"), (0..4).map(line).collect::<String>());
    }

    #[test]
    fn a_line_larger_than_a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder, 3);
        let long = format!("{}\n", "x".repeat(500));
        for text in ["short\n", &long, "short\n"] {
            log.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(read(&folder, "a.log.1"), long);
        assert_eq!(read(&folder, "a.log"), "short\n");
    }

    /// Of files that hold four lines.
    fn log(folder: &TempDir, keep: usize) -> Rotating {
        Rotating::open(folder.path().join("a.log"), 4 * line(0).len() as u64, keep).unwrap()
    }

    fn write(log: &mut Rotating, numbers: std::ops::Range<usize>) {
        for number in numbers {
            log.write_all(line(number).as_bytes()).unwrap();
        }
    }

    fn line(number: usize) -> String {
        format!("line {number:3}\n")
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = folder.path().read_dir().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(folder: &TempDir, name: &str) -> String {
        fs::read_to_string(folder.path().join(name)).unwrap()
    }
}

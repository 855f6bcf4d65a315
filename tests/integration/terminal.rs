//! A program in a terminal of the test's own.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::support::until;

/// Ends the second screen, on which a live view draws, and shows the first one as it was.
pub const LEAVE: &str = "\x1b[?1049l";

pub struct Terminal {
    keys: File,
    inner: File,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Runs `command` in a terminal of 120 by 24 characters.
    pub fn run(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let inner = OpenOptions::new().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&inner, Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let of = || Stdio::from(inner.try_clone().unwrap());
        let child = command.stdin(of()).stdout(of()).stderr(of()).spawn().unwrap();
        let keys = File::from(master);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let (mut shown, seen) = (keys.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(size @ 1..) = shown.read(&mut piece) {
                seen.lock().unwrap().extend_from_slice(&piece[..size]);
            }
        });
        Self { keys, inner, screen, child }
    }

    /// Waits until the program has written `text`.
    pub async fn shows(&self, text: &str) {
        until(text, || self.written().contains(text)).await;
    }

    /// Everything written so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    pub fn forget(&self) {
        self.screen.lock().unwrap().clear();
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the program's end.
    pub async fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the program ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap()
    }

    /// Whether what is typed is shown and waits for the end of its line, as before the program.
    pub fn is_as_before(&self) -> bool {
        let modes = tcgetattr(&self.inner).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

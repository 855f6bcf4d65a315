//! A TCP proxy that does to connections what networks do.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What happens to connections from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Those that are there are reset; new ones pass.
    Reset,
    /// Those that are there hear no more, but may go on speaking; new ones pass.
    HalfClose,
    /// Nothing passes, and nobody is told.
    BlackHole,
    /// Half a kilobyte in a millisecond, in each direction.
    Slow,
    /// Some bytes come to the client that nobody sent, once; new connections pass.
    Garbage,
}

pub struct Proxy {
    pub port: u16,
    fault: watch::Sender<Fault>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// # Errors
    /// There is no free port.
    pub async fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (fault, faults) = watch::channel(Fault::None);
        let accepting = tokio::spawn(accept(listener, to, faults));
        Ok(Self { port, fault, accepting })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, faults: watch::Receiver<Fault>) {
    while let Ok((client, _)) = listener.accept().await {
        if let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await {
            let mut faults = faults.clone();
            faults.mark_unchanged();
            tokio::spawn(Link { client, server, faults }.run());
        }
    }
}

/// One connection, to both sides.
struct Link {
    client: TcpStream,
    server: TcpStream,
    faults: watch::Receiver<Fault>,
}

impl Link {
    async fn run(mut self) {
        // An end of either side is the end of the other.
        let _ = self.pass().await;
    }

    async fn pass(&mut self) -> io::Result<()> {
        let (mut asked, mut told) = ([0; 1 << 14], [0; 1 << 14]);
        loop {
            let fault = *self.faults.borrow();
            let room = if fault == Fault::Slow { 512 } else { asked.len() };
            tokio::select! {
                changed = self.faults.changed() => {
                    changed.map_err(io::Error::other)?;
                    self.strike().await?;
                }
                bytes = self.client.read(&mut asked[..room]), if fault != Fault::BlackHole => {
                    forward(&mut self.server, &asked[..bytes?], fault).await?;
                }
                bytes = self.server.read(&mut told[..room]), if fault != Fault::BlackHole => {
                    forward(&mut self.client, &told[..bytes?], fault).await?;
                }
            }
        }
    }

    /// What the new fault does to this connection at once.
    async fn strike(&mut self) -> io::Result<()> {
        let fault = *self.faults.borrow_and_update();
        match fault {
            Fault::Reset => {
                self.client.set_zero_linger()?;
                self.server.set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Fault::HalfClose => self.client.shutdown().await,
            Fault::Garbage => self.client.write_all(b"\r\nMSG \xff\x00 1 x\r\n").await,
            Fault::None | Fault::BlackHole | Fault::Slow => Ok(()),
        }
    }
}

async fn forward(to: &mut TcpStream, bytes: &[u8], fault: Fault) -> io::Result<()> {
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if fault == Fault::Slow {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    to.write_all(bytes).await
}

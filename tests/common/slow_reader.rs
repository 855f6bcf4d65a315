//! A client that asks and asks, and reads no answer.

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpSocket, time::sleep};

use super::{echo, message};

/// What makes a broker end such a client within seconds.
pub const IMPATIENT: &str = "max_pending: 4194304\nwrite_deadline: \"1s\"\n";

/// How many requests the broker at that port took before it ended the connection.
///
/// # Errors
/// There is no broker.
pub async fn ask(port: u16) -> io::Result<u64> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    // Not even the server's first word is read.
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nSUB slow 1\r\n").await?;
    let body = message::good(1);
    let mut request = format!("PUB {} slow {}\r\n", echo::INFER, body.len()).into_bytes();
    request.extend(body.iter().chain(b"\r\n"));
    let burst = request.repeat(100);
    let mut asked = 0;
    while stream.write_all(&burst).await.is_ok() {
        asked += 100;
        // A queue that overflows would be another fault.
        sleep(Duration::from_millis(5)).await;
    }
    Ok(asked)
}

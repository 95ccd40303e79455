//! The client of `tests/bench/reloads.mjs`: holds many blocked playlist reloads open and says when they are answered.
//!
//! `reloads ADDRESS PATH COUNT ROUNDS`; a line a round: milliseconds from the first answer (none can come before the
//! part) to the last.

use std::{env, error::Error, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().collect();
    let [_, address, path, count, rounds] = &args[..] else {
        return Err("give ADDRESS PATH COUNT ROUNDS".into());
    };
    let mut sockets = Vec::new();
    for _ in 0..count.parse::<usize>()? {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    println!("connected");
    for _ in 0..rounds.parse::<usize>()? {
        let text = get(&mut sockets[0], path).await?;
        let hint = text
            .split("PRELOAD-HINT:TYPE=PART,URI=\"")
            .nth(1)
            .and_then(|rest| rest.split(".m4s").next())
            .and_then(|uri| uri.rsplit('/').next())
            .and_then(|name| name.split_once('.'))
            .ok_or("the playlist hints at no part")?;
        // Two parts behind the hinted one: all requests are out before it is there.
        let part = hint.1.parse::<u32>()? + 2;
        let wanted = format!("{path}?_HLS_msn={}&_HLS_part={part}", hint.0);
        let asked = Instant::now();
        let mut waiting = Vec::new();
        for mut socket in sockets.drain(..) {
            let wanted = wanted.clone();
            waiting.push(tokio::spawn(async move {
                let text = get(&mut socket, &wanted).await?;
                let at = Instant::now();
                if !text.starts_with("HTTP/1.1 200") {
                    return Err(Failure::from(text));
                }
                Ok((socket, at))
            }));
        }
        let mut answers = Vec::new();
        for one in waiting {
            let (socket, at) = one.await??;
            sockets.push(socket);
            answers.push(at);
        }
        let first = answers.iter().min().ok_or("no answers")?;
        let last = answers.iter().max().ok_or("no answers")?;
        println!(
            "held {} ms, spread {:.1} ms",
            first.duration_since(asked).as_millis(),
            last.duration_since(*first).as_secs_f64() * 1000.0
        );
    }
    Ok(())
}

/// One request over a connection that is kept; the whole answer.
async fn get(socket: &mut TcpStream, path: &str) -> Result<String, Failure> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(16 * 1024);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err("the gateway closed a connection".into());
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("an answer without length")?
            .parse::<usize>()?;
        if body.len() >= length {
            return Ok(text.into_owned());
        }
    }
}

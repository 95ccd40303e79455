//! The fetching gateway of `tests/interop`: it has nothing, and takes from other IPFS nodes what it is told to.
//!
//! `fetch DATA-FOLDER`: prints `ready URL …` as `meshlive-gateway serve` does; then for each line `ADDRESS CID` of its
//! input fetches that DAG from the peer at this multiaddr, and prints what came of it as one line of JSON. It serves what
//! it has until its input ends.

use std::{env, error::Error, path::Path};

use meshlive_gateway::{
    Gateway,
    config::{
        Config,
        value::{Address, Beside},
    },
    swarm::Place,
};
use meshlive_protocol::key::SigningKey;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().collect();
    let [_, folder] = &args[..] else {
        return Err("give DATA-FOLDER".into());
    };
    let gateway = Gateway::start(config(Path::new(folder))).await?;
    println!("{}", gateway.ready());
    let place = Place {
        stream: SigningKey::generate().name(),
        rendition: "fetched".into(),
        start: 0,
    };
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (address, cid) = line.split_once(' ').ok_or("a line is ADDRESS CID")?;
        let fetched = gateway.fetch(address.parse()?, cid.parse()?, &place).await;
        let said = match fetched {
            Ok(fetched) => serde_json::json!({
                "blocks": fetched.blocks, "new": fetched.new, "bytes": fetched.bytes,
            }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        println!("{said}");
    }
    gateway.shutdown().await;
    Ok(())
}

/// No streams, free ports of loopback.
fn config(folder: &Path) -> Config {
    let mut config = Config {
        data: folder.into(),
        inputs: Vec::new(),
        ..Config::default()
    };
    config.listen.http = Address::loopback(0);
    config.listen.rtmp = Address::OFF;
    for beside in [&mut config.listen.p2p_tcp, &mut config.listen.p2p_quic] {
        *beside = Beside::Port(0);
    }
    config
}

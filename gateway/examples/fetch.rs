//! The fetching gateway of `tests/interop`: it has nothing, and takes from other IPFS nodes what it is told to.
//!
//! `fetch DATA-FOLDER`: prints `ready URL …` as `meshlive-gateway serve` does; then does what each line of its input says,
//! and prints what came of it as one line of JSON. It serves what it has until its input ends.
//!
//! - `fetch ADDRESS CID`: that DAG from the peer at this multiaddr
//! - `publish CID [NAME]`: an IPNS record for it, of a new name, or a newer one of a name that it made
//! - `follow NAME`: this stream's IPNS record is wanted, and told to others
//! - `find NAME`: a stream's IPNS record, from peers

use std::{collections::HashMap, env, error::Error, path::Path, time::Duration};

use meshlive_gateway::{
    Gateway,
    config::{
        Config,
        value::{Address, Beside},
    },
    names,
    swarm::Place,
};
use meshlive_protocol::{key::SigningKey, name::StreamName};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    time::sleep,
};

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
    let mut keys = HashMap::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<_> = line.split(' ').collect();
        let said = match words[..] {
            ["fetch", address, cid] => {
                let fetched = gateway.fetch(address.parse()?, cid.parse()?, &place).await;
                match fetched {
                    Ok(fetched) => json!({
                        "blocks": fetched.blocks, "new": fetched.new, "bytes": fetched.bytes,
                    }),
                    Err(error) => json!({ "error": error.to_string() }),
                }
            }
            ["publish", cid, ref name @ ..] => {
                let key = match name {
                    [name] => keys.remove(*name).ok_or("that name was not made here")?,
                    _ => SigningKey::generate(),
                };
                let names = gateway.streams().names();
                let record = names.publish(&key, &cid.parse()?, names::now());
                let name = key.name().to_string();
                keys.insert(name.clone(), key);
                json!({ "name": name, "record": hex(&record) })
            }
            ["follow", name] => {
                gateway.streams().names().follow(&name.parse()?);
                json!({})
            }
            ["find", name] => {
                let record = find(&gateway, &name.parse()?).await?;
                json!({ "record": record.map(|record| hex(&record)) })
            }
            _ => return Err(format!("{line:?} is nothing that can be done").into()),
        };
        println!("{said}");
    }
    gateway.shutdown().await;
    Ok(())
}

/// Asks until somebody has it; a few seconds.
async fn find(gateway: &Gateway, name: &StreamName) -> Result<Option<Vec<u8>>, Failure> {
    for _ in 0..20 {
        gateway.look_for(name).await?;
        sleep(Duration::from_millis(250)).await;
        if let Some((record, _)) = gateway.streams().names().get(name, names::now()) {
            return Ok(Some(record.to_vec()));
        }
    }
    Ok(None)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

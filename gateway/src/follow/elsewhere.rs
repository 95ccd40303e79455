//! Where else a stream is that is followed here: at the gateways where it is followed, and at other mirrors that these name.
//! Viewers are told, and go on there when this gateway is gone.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use meshlive_protocol::name::StreamName;
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};

use super::{gateways::Gateway, http, search::peer_at};
use crate::{
    publish::{MAX_ELSEWHERE, Stream, is_origin},
    swarm::{Met, Reach, doors},
};

/// How often gateways are asked for who else follows the stream there.
const EVERY: Duration = Duration::from_secs(5);
/// Bytes of what one says of a stream.
const MAX_OBJECT: usize = 64 << 10;

/// What is read of `GET /api/v1/streams/{stream}`.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    mirrors: Vec<String>,
}

/// One stream's.
pub(super) struct Elsewhere {
    stream: Arc<Stream>,
    gateways: watch::Receiver<Vec<Gateway>>,
    /// Where this gateway itself is.
    reach: watch::Receiver<Reach>,
    /// What each gateway said last; also of one that is gone, whose other mirrors are not.
    said: BTreeMap<SocketAddr, Vec<String>>,
    /// Other mirrors, for whoever fetches what was missed; `None` before they are known.
    mirrors: watch::Sender<Option<Vec<Met>>>,
    /// The URLs by which they were asked who they are.
    asked: Vec<String>,
}

impl Elsewhere {
    pub(super) fn new(
        stream: Arc<Stream>,
        gateways: watch::Receiver<Vec<Gateway>>,
        reach: watch::Receiver<Reach>,
        mirrors: watch::Sender<Option<Vec<Met>>>,
    ) -> Self {
        Self {
            stream,
            gateways,
            reach,
            said: BTreeMap::new(),
            mirrors,
            asked: Vec::new(),
        }
    }

    /// Until `stop`.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            // An error means that the gateway is gone: the same.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&mut self) {
        loop {
            let gateways = self.gateways.borrow_and_update().clone();
            for gateway in &gateways {
                let Some(http) = gateway.http else { continue };
                match ask(http, self.stream.name()).await {
                    Ok(mirrors) => drop(self.said.insert(http, mirrors)),
                    Err(error) => {
                        tracing::debug!(stream = %self.stream.name(), %http, %error, "a gateway says nothing of its mirrors");
                    }
                }
            }
            self.said.retain(|http, _| {
                gateways.is_empty() || gateways.iter().any(|one| one.http == Some(*http))
            });
            let doors = gateways.iter().filter_map(|one| one.door.clone());
            let own = self.reach.borrow().doors();
            let own: Vec<_> = own.iter().filter_map(doors::url).collect();
            if !gateways.is_empty() {
                let said = self.said.values();
                self.stream
                    .is_followed_at(all(doors.collect(), said.flatten(), &own));
                self.meet(&own).await;
            }
            // A gateway that comes, or says where its HTTP is, is asked at once.
            tokio::select! {
                () = sleep(EVERY) => {}
                changed = self.gateways.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Learns who other mirrors are, each time that these are others.
    async fn meet(&mut self, own: &[String]) {
        let urls = all(Vec::new(), self.said.values().flatten(), own);
        let known = self.mirrors.borrow().is_some();
        if self.said.is_empty() || known && urls == self.asked {
            return;
        }
        let place = |url: &String| url.strip_prefix("http://")?.parse().ok();
        let places: Vec<SocketAddr> = urls.iter().filter_map(place).collect();
        let mut met = Vec::new();
        for http in &places {
            met.extend(peer_at(*http).await);
        }
        if met.len() == places.len() {
            self.asked = urls;
        }
        self.mirrors.send_replace(Some(met));
    }
}

/// The gateways themselves and who they name, each once, but for this one.
fn all<'a>(
    mut all: Vec<String>,
    said: impl Iterator<Item = &'a String>,
    own: &[String],
) -> Vec<String> {
    for url in said {
        if !all.contains(url) && !own.contains(url) {
            all.push(url.clone());
        }
    }
    all.truncate(MAX_ELSEWHERE);
    all
}

async fn ask(http: SocketAddr, stream: &StreamName) -> std::io::Result<Vec<String>> {
    let body = http::get(http, &format!("/api/v1/streams/{stream}"), MAX_OBJECT).await?;
    let Object { mut mirrors } = serde_json::from_slice(&body)?;
    mirrors.truncate(MAX_ELSEWHERE);
    mirrors.retain(|url| is_origin(url));
    Ok(mirrors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_are_named_come_behind_the_gateways_and_this_one_is_none_of_them() {
        let url = |n: usize| format!("http://10.0.0.{n}:8080");
        let said: Vec<String> = [2, 3, 1, 3].map(url).into();
        assert_eq!(all(vec![url(1)], said.iter(), &[url(2)]), [url(1), url(3)]);
        let many: Vec<String> = (1..100).map(url).collect();
        assert_eq!(all(Vec::new(), many.iter(), &[]).len(), MAX_ELSEWHERE);
    }
}

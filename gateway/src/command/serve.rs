//! `serve`: settings from the file, then from the flags, then the gateway until it is told to end.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use meshlive_gateway::Gateway;
use meshlive_gateway::config::{
    Config, Nonsense,
    value::{Address, Beside},
};

use super::{Failure, place::Place};

/// Each flag overrides the setting of the same meaning. Values are checked here and not by clap, so that a
/// wrong one is named like a wrong setting.
#[derive(Args, Default)]
pub(super) struct Flags {
    #[command(flatten)]
    place: Place,
    /// URL under which viewers reach this gateway, where it is not the address
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Page, playlists, parts, API: IP:PORT; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Publishers over RTMP (OBS, ffmpeg): IP:PORT or off
    #[arg(long, value_name = "ADDR")]
    rtmp: Option<String>,
    /// Publishers over SRT: IP:PORT or off
    #[arg(long, value_name = "ADDR")]
    srt: Option<String>,
    /// Other gateways over TCP: IP:PORT, PORT (at the IP of --http) or off
    #[arg(long, value_name = "ADDR")]
    p2p_tcp: Option<String>,
    /// Other gateways over QUIC: IP:PORT, PORT or off
    #[arg(long, value_name = "ADDR")]
    p2p_quic: Option<String>,
    /// Viewers' peers over WebRTC: IP:PORT, PORT or off
    #[arg(long, value_name = "ADDR")]
    p2p_webrtc: Option<String>,
    /// STUN for viewers: IP:PORT, PORT or off
    #[arg(long, value_name = "ADDR")]
    stun: Option<String>,
    /// testcard, a file or URL that FFmpeg reads, or v4l2:/dev/video0; each may carry ?name=ALIAS&title=...&loop=1.
    /// May be given several times; replaces the inputs of the configuration
    #[arg(long, value_name = "SPEC")]
    input: Vec<String>,
    /// Mirror a stream of another gateway: NAME@MULTIADDR, such as k51…@/ip4/192.0.2.1/tcp/4101; more gateways behind
    /// commas; may carry ?name=ALIAS&title=TITLE. May be given several times; without --input, no test card is shown
    #[arg(long, value_name = "SPEC")]
    follow: Vec<String>,
}

impl Flags {
    /// The configuration these flags ask for, checked.
    pub(super) fn settings(&self) -> Result<Config, Failure> {
        let mut config = self.place.settings()?;
        if let Some(url) = &self.public_url {
            config.public_url.clone_from(url);
        }
        if !self.input.is_empty() {
            config.inputs.clone_from(&self.input);
        }
        if !self.follow.is_empty() {
            config.mirror.follow.clone_from(&self.follow);
            if self.input.is_empty() && config.inputs == Config::default().inputs {
                config.inputs.clear();
            }
        }
        let listen = &mut config.listen;
        for (name, flag, setting) in [
            ("--http", &self.http, &mut listen.http),
            ("--rtmp", &self.rtmp, &mut listen.rtmp),
            ("--srt", &self.srt, &mut listen.srt),
        ] {
            if let Some(text) = flag {
                *setting = text.parse::<Address>().map_err(|_| {
                    Nonsense::new(name, text, "give IP:PORT such as 127.0.0.1:8080, or off")
                })?;
            }
        }
        for (name, flag, setting) in [
            ("--p2p-tcp", &self.p2p_tcp, &mut listen.p2p_tcp),
            ("--p2p-quic", &self.p2p_quic, &mut listen.p2p_quic),
            ("--p2p-webrtc", &self.p2p_webrtc, &mut listen.p2p_webrtc),
            ("--stun", &self.stun, &mut listen.stun),
        ] {
            if let Some(text) = flag {
                *setting = text.parse::<Beside>().map_err(|_| {
                    let remedy = "give IP:PORT such as 127.0.0.1:4101, a port, or off";
                    Nonsense::new(name, text, remedy)
                })?;
            }
        }
        config.check()?;
        Ok(config)
    }
}

/// What is logged unless RUST_LOG says otherwise. Libraries tell each step of each connection, and warn of what browsers
/// do by rights.
const LOG: &str = "warn,meshlive_gateway=info,str0m=error,is=error,dimpl=error,sctp_proto=off,libp2p_kad=error,libp2p_gossipsub=off";

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let config = flags.settings()?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
        let gateway = tokio::select! {
            gateway = Gateway::start(config) => gateway.map_err(|error| failed(&error))?,
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        };
        super::print(&format!("{}\n", gateway.ready()))?;
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        tracing::info!("ending");
        gateway.shutdown().await;
        Ok(())
    })
}

//! `doctor`: what works on this machine and what does not, each with its remedy. It changes nothing.

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ffmpeg_next as ffmpeg;

use meshlive_gateway::config::Config;

use super::{Failure, place::Place, print};

/// 2026-01-01: no gateway of this version runs before.
const RELEASED: Duration = Duration::from_secs(1_767_225_600);
/// With less the store drops what it has just pinned.
const LEAST_FREE_BYTES: u64 = 1 << 30;
/// FFmpeg 5.1.
const LEAST_LIBAVCODEC: (u32, u32) = (59, 37);

/// One line of the report.
enum Finding {
    Well(String),
    /// Something that only some need.
    Lacks(String),
    /// Something without which the gateway does not run as configured.
    Broken(String),
}
use Finding::{Broken, Lacks, Well};

/// Prints the report; fails if anything is broken.
pub(super) fn run(place: &Place) -> Result<(), Failure> {
    let config = place.settings()?;
    let mut findings = Vec::new();
    codecs(&config, &mut findings);
    ports(&config, &mut findings);
    data_folder(&config.data, &mut findings);
    findings.push(clock(SystemTime::now()));
    findings.push(processors());
    cameras(Path::new("/dev"), &mut findings);

    let mut report = String::new();
    for finding in &findings {
        let (mark, text) = match finding {
            Well(text) => ("ok     ", text),
            Lacks(text) => ("without", text),
            Broken(text) => ("BROKEN ", text),
        };
        writeln!(report, "{mark} {text}").expect("strings take all");
    }
    print(&report)?;
    match findings.iter().filter(|f| matches!(f, Broken(_))).count() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} of {} checks found something broken",
            findings.len()
        ))),
    }
}

fn codecs(config: &Config, findings: &mut Vec<Finding>) {
    if let Err(error) = ffmpeg::init() {
        findings.push(Broken(format!(
            "FFmpeg does not start: {error}; install it anew"
        )));
        return;
    }
    let version = ffmpeg::codec::version();
    let version = (version >> 16, version >> 8 & 0xff);
    let shown = format!("FFmpeg's libavcodec {}.{}", version.0, version.1);
    findings.push(if version >= LEAST_LIBAVCODEC {
        Well(shown)
    } else {
        Broken(format!(
            "{shown}: install FFmpeg 5.1 (libavcodec 59.37) or newer"
        ))
    });

    let encoder = &config.ingest.encoder;
    for (name, what) in [(encoder.as_str(), "H.264 (ingest.encoder)"), ("aac", "AAC")] {
        findings.push(match ffmpeg::encoder::find_by_name(name) {
            Some(_) => Well(format!("encodes {what} with {name}")),
            None => Broken(format!(
                "no encoder {name} for {what}: install an FFmpeg that has it, or set another encoder (libx264)"
            )),
        });
    }
    use ffmpeg::codec::Id;
    for (id, name, needed) in [
        (Id::H264, "H.264", true),
        (Id::AAC, "AAC", true),
        (Id::HEVC, "HEVC", false),
        (Id::AV1, "AV1", false),
        (Id::OPUS, "Opus", false),
    ] {
        findings.push(match ffmpeg::decoder::find(id) {
            Some(_) => Well(format!("decodes {name}")),
            None => {
                let text = format!(
                    "no decoder for {name}: what comes in that way cannot be transcoded; install a fuller FFmpeg"
                );
                if needed { Broken(text) } else { Lacks(text) }
            }
        });
    }
    findings.push(
        if ffmpeg::format::configuration().contains("--enable-libsrt") {
            Well("takes SRT".into())
        } else {
            Lacks("no SRT: install an FFmpeg built with libsrt, or publish over RTMP".into())
        },
    );
}

fn ports(config: &Config, findings: &mut Vec<Finding>) {
    let listen = &config.listen;
    for (setting, address, tcp) in [
        ("listen.http", listen.http, true),
        ("listen.rtmp", listen.rtmp, true),
        ("listen.srt", listen.srt, false),
    ] {
        if let Some(address) = address.0 {
            findings.push(port(setting, address, tcp));
        }
    }
}

fn port(setting: &str, address: SocketAddr, tcp: bool) -> Finding {
    let bound = if tcp {
        TcpListener::bind(address).map(drop)
    } else {
        UdpSocket::bind(address).map(drop)
    };
    match bound {
        Ok(()) => Well(format!("can listen on {address} ({setting})")),
        Err(error) => Broken(format!(
            "cannot listen on {address} ({setting}): {error}; end what uses it (a running gateway?) or set another"
        )),
    }
}

fn data_folder(data: &Path, findings: &mut Vec<Finding>) {
    let Some(there) = data.ancestors().find(|folder| folder.exists()) else {
        findings.push(Broken(format!(
            "no folder above {}: set data",
            data.display()
        )));
        return;
    };
    let probe = there.join(format!(".meshlive-doctor-{}", std::process::id()));
    let written = fs::write(&probe, b"probe").and_then(|()| fs::remove_file(&probe));
    findings.push(match written {
        Ok(()) => Well(format!("can write to {}", there.display())),
        Err(error) => Broken(format!(
            "cannot write to {}: {error}; change its owner or set data",
            there.display()
        )),
    });
    findings.push(match rustix::fs::statvfs(there) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let shown = format!(
                "{:.1} GiB free for {}",
                free as f64 / f64::from(1 << 30),
                data.display()
            );
            if free >= LEAST_FREE_BYTES {
                Well(shown)
            } else {
                Lacks(format!(
                    "{shown}: little is kept; free some or set data to a larger disk"
                ))
            }
        }
        Err(error) => Broken(format!(
            "no free space known for {}: {error}",
            there.display()
        )),
    });
}

fn clock(now: SystemTime) -> Finding {
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) if since >= RELEASED => Well("the clock is plausible".into()),
        _ => Lacks(
            "the clock is years behind: streams play, but carry a wrong date; set it (timedatectl) before starting"
                .into(),
        ),
    }
}

fn processors() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Well(format!("{count} processors to encode with"))
}

fn cameras(dev: &Path, findings: &mut Vec<Finding>) {
    let mut cameras: Vec<_> = fs::read_dir(dev)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("video"))
        })
        .collect();
    cameras.sort();
    if cameras.is_empty() {
        findings.push(Lacks(
            "no camera: plug one in to use --input v4l2:/dev/video0".into(),
        ));
    }
    for path in cameras {
        let opened = fs::OpenOptions::new().read(true).write(true).open(&path);
        findings.push(match opened {
            Ok(_) => Well(format!("can open {}", path.display())),
            Err(error) => Lacks(format!(
                "cannot open {}: {error}; add this user to the group video",
                path.display()
            )),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(finding: &Finding) -> (char, &str) {
        match finding {
            Well(text) => ('+', text),
            Lacks(text) => ('-', text),
            Broken(text) => ('!', text),
        }
    }

    #[test]
    fn a_taken_port_is_broken_and_a_free_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let (mark, said) = (port("listen.http", address, true), address.to_string());
        assert_eq!(text(&mark).0, '!');
        assert!(text(&mark).1.contains(&said) && text(&mark).1.contains("listen.http"));
        drop(taken);
        assert_eq!(text(&port("listen.http", address, true)).0, '+');
    }

    #[test]
    fn a_data_folder_is_judged_by_the_nearest_one_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let mut findings = Vec::new();
        data_folder(&folder.path().join("not/yet"), &mut findings);
        assert_eq!(text(&findings[0]).0, '+');
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );

        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        findings.clear();
        data_folder(&file, &mut findings);
        assert_eq!(text(&findings[0]).0, '!');
    }

    #[test]
    fn a_clock_at_the_epoch_is_noticed() {
        assert_eq!(text(&clock(UNIX_EPOCH + Duration::from_secs(60))).0, '-');
        assert_eq!(text(&clock(UNIX_EPOCH + RELEASED)).0, '+');
    }

    #[test]
    fn cameras_are_found_by_their_device_names() {
        let dev = tempfile::tempdir().unwrap();
        let mut findings = Vec::new();
        cameras(dev.path(), &mut findings);
        assert_eq!((findings.len(), text(&findings[0]).0), (1, '-'));
        fs::write(dev.path().join("video3"), b"").unwrap();
        fs::write(dev.path().join("null"), b"").unwrap();
        findings.clear();
        cameras(dev.path(), &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(text(&findings[0]).1.contains("video3"));
    }
}

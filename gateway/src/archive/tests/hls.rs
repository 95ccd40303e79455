//! Directories of HLS that FFmpeg wrote, taken in; and what is refused, by name.

use std::{fs, process::Command};

use super::*;
use crate::archive::take_hls::Imported;

/// Made by FFmpeg in a folder: 12 s over the end of an hour, in segments of 2 s.
fn made(folder: &Path, options: &str) {
    let mut command = Command::new("ffmpeg");
    command
        .current_dir(folder)
        .args(["-v", "error", "-y", "-f", "lavfi"]);
    command.args([
        "-i",
        "testsrc2=s=320x180:r=25:d=12",
        "-f",
        "lavfi",
        "-i",
        "sine=r=48000:d=12",
    ]);
    let coded = "-c:v libx264 -preset ultrafast -g 50 -sc_threshold 0 -pix_fmt yuv420p -c:a aac";
    command.args(coded.split(' ')).args(options.split(' '));
    let done = command.output().expect("ffmpeg is installed: deploy/setup");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

const FMP4: &str = "-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4";
/// Ten seconds before 11:00.
const BEGIN: u64 = TEN + HOUR - 10 * SECOND;

fn take(archive: &Archive, path: &Path, at: Option<u64>) -> io::Result<Imported> {
    let mut bytes = 0;
    let taken = archive.take_hls(path, at, &mut |more| bytes += more)?;
    assert!(bytes > 10_000, "{bytes}");
    Ok(taken)
}

/// Why it is refused; the list is as before.
fn refused(path: &Path, at: Option<u64>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), TEN - 24 * HOUR);
    let archive = run.air().archive();
    let error = take(&archive, path, at).unwrap_err();
    assert!(archive.catalogue().hours().is_empty());
    error.to_string()
}

#[test]
fn what_ffmpeg_wrote_becomes_hours_fragmented_mp4_and_mpeg_ts_alike() {
    for options in [
        format!("{FMP4} -master_pl_name master.m3u8 v.m3u8"),
        "-f hls -hls_time 2 -hls_playlist_type vod v.m3u8".to_owned(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::start(folder.path(), TEN - 24 * HOUR);
        let hls = tempfile::tempdir().unwrap();
        made(hls.path(), &options);
        let archive = run.air().archive();
        let taken = take(&archive, hls.path(), Some(BEGIN)).unwrap();
        let hours: Vec<_> = taken.hours.iter().map(|(hour, _)| *hour).collect();
        assert_eq!(hours, [TEN / HOUR, TEN / HOUR + 1], "{taken:?}");
        let catalogue = archive.catalogue();
        let lengths: Vec<u64> = catalogue
            .hours()
            .values()
            .map(|hour| hour.duration)
            .collect();
        let whole: u64 = lengths.iter().sum();
        assert!(whole.abs_diff(12 * SECOND) < SECOND / 5, "{lengths:?}");
        let first = read::hour(&run.store, taken.hours[0].1).unwrap();
        let start = first.segments().next().unwrap().start;
        assert!(start.abs_diff(BEGIN) < SECOND / 5, "{start}");
        assert!(
            first.renditions[0].codecs.starts_with("avc1."),
            "{:?}",
            first.renditions
        );
        let (mut blocks, mut faults) = (0, Vec::new());
        let root = catalogue.root().unwrap().cid;
        walk(
            &run.store,
            root,
            "",
            &mut Default::default(),
            &mut |_, block| {
                blocks += 1;
                faults.extend(block.err());
                Ok(())
            },
        )
        .unwrap();
        assert!(faults.is_empty() && blocks > 60, "{blocks} {faults:?}");
        // Once is enough.
        let again = take(&archive, hls.path(), Some(BEGIN)).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(
            again
                .to_string()
                .contains("2026-11-22T10 is in the archive"),
            "{again}"
        );
        assert_eq!(archive.catalogue(), catalogue);
    }
}

#[test]
fn it_may_say_itself_when_it_was() {
    let hls = tempfile::tempdir().unwrap();
    made(hls.path(), &format!("{FMP4} v.m3u8"));
    let playlist = hls.path().join("v.m3u8");
    let plain = fs::read_to_string(&playlist).unwrap();
    let dated = plain.replacen(
        "#EXTINF",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.500+0000\n#EXTINF",
        1,
    );
    fs::write(&playlist, &dated).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(folder.path(), TEN - 24 * HOUR);
    let taken = take(&run.air().archive(), &playlist, None).unwrap();
    let hour = read::hour(&run.store, taken.hours[0].1).unwrap();
    let start = hour.segments().next().unwrap().start;
    assert!(start.abs_diff(TEN + SECOND / 2) < SECOND / 5, "{start}");

    // A second time that does not fit.
    let at = dated.rfind("#EXTINF").unwrap();
    let jump = format!(
        "{}#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00Z\n{}",
        &dated[..at],
        &dated[at..]
    );
    fs::write(&playlist, jump).unwrap();
    assert!(refused(&playlist, None).contains("its time jumps"));
}

#[test]
fn what_cannot_be_taken_is_named_and_the_list_stays_as_it_is() {
    let hls = tempfile::tempdir().unwrap();
    made(hls.path(), &format!("{FMP4} v.m3u8"));
    let (path, playlist) = (hls.path(), hls.path().join("v.m3u8"));
    let good = fs::read_to_string(&playlist).unwrap();
    assert!(refused(path, None).contains("give --at"));
    let at = Some(BEGIN);
    for (from, to, why) in [
        ("#EXT-X-ENDLIST", "", "no EXT-X-ENDLIST"),
        ("v3.m4s", "v33.m4s", "v33.m4s is missing"),
        ("v3.m4s", "../v3.m4s", "does not lie in this directory"),
        ("v3.m4s", "/etc/passwd", "does not lie in this directory"),
        (
            "v3.m4s",
            "http://127.0.0.1/v3.m4s",
            "does not lie in this directory",
        ),
        ("init.mp4", "other.mp4", "other.mp4 is missing"),
        ("#EXTINF:2", "#EXTINF:x", "is no length"),
        ("#EXTM3U", "#EXTM3", "is no HLS playlist"),
        (
            "#EXTINF",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXTINF",
            "is encrypted",
        ),
        ("#EXTINF", "#EXT-X-GAP\n#EXTINF", "has a gap"),
    ] {
        assert!(good.contains(from), "{good}");
        fs::write(&playlist, good.replacen(from, to, 1)).unwrap();
        let said = refused(path, at);
        assert!(
            said.contains(why) && said.contains("v.m3u8"),
            "{said}, not {why}"
        );
    }
    fs::write(&playlist, &good).unwrap();
    // Two of them, and none says which is meant.
    fs::write(path.join("w.m3u8"), &good).unwrap();
    assert!(refused(path, at).contains("several playlists"));
    fs::remove_file(path.join("w.m3u8")).unwrap();
    // What is no media: it is there, and nothing can be read of it.
    for name in [
        "init.mp4", "v0.m4s", "v1.m4s", "v2.m4s", "v3.m4s", "v4.m4s", "v5.m4s",
    ] {
        fs::write(path.join(name), [7; 5000]).unwrap();
    }
    assert!(
        refused(path, at).contains("cannot be read"),
        "{}",
        refused(path, at)
    );
    fs::write(path.join("v2.m4s"), []).unwrap();
    assert!(refused(path, at).contains("v2.m4s is empty"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path(), at).contains("no playlist"));
}

#[test]
fn a_segment_that_is_cut_short_is_no_hour_with_a_hole() {
    let hls = tempfile::tempdir().unwrap();
    made(hls.path(), &format!("{FMP4} v.m3u8"));
    for name in ["v2.m4s", "v3.m4s", "v4.m4s"] {
        let file = hls.path().join(name);
        fs::write(&file, &fs::read(&file).unwrap()[..200]).unwrap();
    }
    let said = refused(hls.path(), Some(BEGIN));
    assert!(
        said.contains("can be read") || said.contains("cannot be read"),
        "{said}"
    );
}

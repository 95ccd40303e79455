//! What other software makes of the bytes.

use std::{fs, process::Command};

use super::sample::*;
use crate::package::Packaged;

#[test]
fn ffprobe_decodes_every_frame_of_every_segment() {
    let (format, samples) = real(6);
    let out = run(&mut packager(format), &samples);
    let folder = std::env::temp_dir().join(format!("meshlive-package-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let Some(Packaged::Renditions { renditions, .. }) = out.first() else {
        panic!("{out:?}")
    };
    let whole = folder.join("whole.mp4");
    for (index, rendition) in renditions.iter().enumerate() {
        let mut bytes = rendition.init.to_vec();
        for p in &out {
            if let Packaged::Parts { parts, .. } = p {
                bytes.extend_from_slice(&parts[index].data);
            }
        }
        fs::write(&whole, bytes).unwrap();
        let probe = Command::new("ffprobe")
            .args(
                "-v error -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0"
                    .split(' '),
            )
            .arg(&whole)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&probe.stderr), "", "no complaint");
        // What the sound has beyond the end of the picture is in no part.
        let count = |track| {
            samples
                .iter()
                .filter(|s| s.track == track && micros(s) < 6_000_000)
                .count()
        };
        let expected = match index {
            0 => format!("h264,{}\naac,{}\n", count(VIDEO), count(AUDIO)),
            _ => format!("aac,{}\n", count(AUDIO)),
        };
        assert_eq!(String::from_utf8_lossy(&probe.stdout), expected);
    }
    fs::remove_dir_all(folder).unwrap();
}

//! Places of parts as the page knows them: by key, a text that is the same for the same place.

use meshlive_protocol::{manifest::Manifest, message::Place};

/// `<rendition index>/<msn>.<part>`.
pub fn format_key(place: Place) -> String {
    format!("{}/{}.{}", place.rendition, place.msn, place.part)
}

/// What [`format_key`] made; `None` for any other text.
pub fn parse_key(key: &str) -> Option<Place> {
    let (rendition, numbers) = key.split_once('/')?;
    let (msn, part) = numbers.split_once('.')?;
    let place = Place {
        msn: msn.parse().ok()?,
        part: part.parse().ok()?,
        rendition: rendition.parse().ok()?,
    };
    (format_key(place) == key).then_some(place)
}

/// The id of the rendition of this index.
pub fn rendition_id(manifest: Option<&Manifest>, index: u8) -> Option<&str> {
    let entry = manifest?.renditions().get(usize::from(index))?;
    Some(&entry.rendition.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_place_and_nothing_else_does() {
        let place = Place {
            msn: u64::MAX,
            part: 7,
            rendition: 15,
        };
        assert_eq!(parse_key(&format_key(place)), Some(place));
        for key in [
            "", "1", "1/2", "1/2.", "01/2.3", "1/+2.3", "1/2.3 ", "256/1.1", "-1/2.3",
        ] {
            assert_eq!(parse_key(key), None, "{key}");
        }
    }
}

//! Recordings as a feed (RSS 2.0, <https://www.rssboard.org/rss-specification>): an item for each hour that is held, the
//! newest first. `/api/v1/streams/{stream}/archive` says the same as JSON.

use std::fmt::Write;

use axum::{
    extract::State as FromState,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use meshlive_protocol::{
    archive::{HOUR, HourEntry, Labels, day_name, hour_name},
    time::civil_date,
};

use super::{
    State, archive::archive_of, body, content::ascii, error::At, error::Refusal, listing::escaped,
    range,
};
use crate::{metrics::Kind, swarm::Door};

/// Items of a feed: more than a week of hours.
const MOST: usize = 200;
/// Longest name of a host that is repeated.
const MAX_HOST_BYTES: usize = 255;

/// `GET /s/{stream}/archive/feed.xml`
pub(super) async fn feed(
    FromState(state): FromState<State>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let archive = archive_of(&state, &name)?;
    let live = state.live(&name)?;
    let held = archive.held();
    let catalogue = archive.catalogue();
    let hours = catalogue.hours().iter().rev();
    let hours = hours
        .filter(|(hour, _)| held.contains(hour))
        .take(MOST)
        .map(|(hour, entry)| (*hour, *entry));
    let labels = archive.labels();
    let title = match live.stream.title() {
        title if title.is_empty() => live.stream.alias().to_owned(),
        title => title,
    };
    // Links of a feed are whole.
    let public = state.swarm.as_ref().map(Door::public_url);
    let base = base(&public.unwrap_or_default(), &headers);
    let text = rss(&base, live.stream.text(), &title, hours, &labels);
    let etag = format!("\"{}\"", meshlive_protocol::dag::cid_of(text.as_bytes()));
    let mut answer = if range::is_known(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(body::memory(&state.metrics, Kind::Other, text.into()))
    };
    let out = answer.headers_mut();
    let media_type = HeaderValue::from_static("application/rss+xml; charset=utf-8");
    out.insert(header::CONTENT_TYPE, media_type);
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(header::ETAG, ascii(etag));
    out.insert(header::VARY, HeaderValue::from_static("host"));
    Ok(answer)
}

/// Where this gateway is: as its operator says, or else by the name that the reader knows it by.
fn base(public_url: &str, headers: &HeaderMap) -> String {
    match public_url.trim_end_matches('/') {
        "" => format!("http://{}", host(headers)),
        url => escaped(url),
    }
}

/// What the request calls this gateway; nothing else than a host and a port gets into a feed.
fn host(headers: &HeaderMap) -> &str {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let fits = |host: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        host.len() <= MAX_HOST_BYTES && host.bytes().all(plain)
    };
    host.filter(fits).unwrap_or("localhost")
}

fn rss(
    base: &str,
    stream: &str,
    title: &str,
    hours: impl Iterator<Item = (u64, HourEntry)>,
    labels: &Labels,
) -> String {
    let title = escaped(title);
    let page = format!("{base}/s/{stream}/archive");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\">\n<channel>\n\
         <title>{title}</title>\n<link>{page}</link>\n\
         <description>Recordings of {title}, hour by hour</description>\n\
         <atom:link href=\"{page}/feed.xml\" rel=\"self\" type=\"application/rss+xml\"/>\n"
    );
    for (hour, entry) in hours {
        let (day, time) = (day_name(hour / 24), hour_name(hour));
        let (from, cid) = (hour * 3600, entry.link.cid);
        let name = match labels.titles.get(&hour) {
            Some(name) => format!("{}, ", escaped(name)),
            None => String::new(),
        };
        let mut chapters = String::new();
        for (at, chapter) in labels.within(&(hour * HOUR..(hour + 1) * HOUR)) {
            let (minute, chapter) = (at % HOUR / 60_000_000, escaped(chapter));
            write!(chapters, "; {time}:{minute:02} {chapter}")
                .expect("a String takes all that is written to it");
        }
        let minutes = entry.duration.div_ceil(60_000_000);
        let movie = format!(
            "{base}/api/v1/streams/{stream}/archive/recording.mp4?from={from}&amp;to={}",
            from + 3600
        );
        // The length of an enclosure is 0 where it is not known: a HEAD of its URL says it.
        writeln!(
            out,
            "<item>\n<title>{name}{title}, {day} {time}:00 UTC</title>\n<link>{page}#t={from}</link>\n\
             <guid isPermaLink=\"false\">ipfs://{cid}</guid>\n<pubDate>{}</pubDate>\n\
             <description>{minutes} minutes; ipfs://{cid}{chapters}</description>\n\
             <enclosure url=\"{movie}\" length=\"0\" type=\"video/mp4\"/>\n</item>",
            date(hour)
        )
        .expect("a String takes all that is written to it");
    }
    out.push_str("</channel>\n</rss>\n");
    out
}

/// When an hour (counted from 1970) begins, as RFC 822 has it: `Sun, 22 Nov 2026 10:00:00 GMT`.
fn date(hour: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = hour / 24;
    let (year, month, of_month) = civil_date(day);
    let (name, month) = (DAYS[(day % 7) as usize], MONTHS[month as usize - 1]);
    format!(
        "{name}, {of_month:02} {month} {year:04} {:02}:00:00 GMT",
        hour % 24
    )
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::{archive::Link, dag};

    use super::*;

    #[test]
    fn dates_and_items() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(1_795_341_600 / 3600), "Sun, 22 Nov 2026 10:00:00 GMT");
        let link = Link {
            cid: dag::cid_of(b"x"),
            bytes: 1,
        };
        let duration = 60_000_001;
        let hours = [(498_706, HourEntry { link, duration })];
        let mut labels = Labels::default();
        labels.titles.insert(498_706, "1 < 2".into());
        let at = 1_795_341_600_000_000 + 300_000_000;
        labels.chapters.insert(at, "Questions".into());
        let text = rss(
            "http://node",
            "k51",
            "a <b> & c",
            hours.into_iter(),
            &labels,
        );
        assert!(
            text.contains("<title>1 &lt; 2, a &lt;b&gt; &amp; c, 2026-11-22 10:00 UTC</title>"),
            "{text}"
        );
        assert!(
            text.contains("from=1795341600&amp;to=1795345200\""),
            "{text}"
        );
        assert!(
            text.contains(&format!("2 minutes; ipfs://{}; 10:05 Questions<", link.cid)),
            "{text}"
        );
    }

    #[test]
    fn hosts_that_are_none_are_not_repeated() {
        let host_of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(text).unwrap());
            host(&headers).to_owned()
        };
        assert_eq!(host_of("node.mesh:8080"), "node.mesh:8080");
        assert_eq!(host_of("[fd00::1]:80"), "[fd00::1]:80");
        assert_eq!(host_of("x/\"><script>"), "localhost");
        assert_eq!(host_of(&"x".repeat(256)), "localhost");
    }

    #[test]
    fn behind_a_proxy_links_begin_with_the_operators_url() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("10.0.0.1:8080"));
        assert_eq!(base("", &headers), "http://10.0.0.1:8080");
        assert_eq!(base("https://tv.mesh/", &headers), "https://tv.mesh");
    }
}

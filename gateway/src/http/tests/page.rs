//! The page, built or not.

use super::Bench;

#[tokio::test]
async fn the_page_is_served_with_its_policy_or_says_how_to_build_it() {
    let bench = Bench::new();
    let built = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../www/dist/index.html"
    ))
    .exists();
    for uri in ["/", "/s/cam", "/s/never-heard-of"] {
        let (status, headers, body) = bench.ask("GET", uri, &[]).await;
        assert_eq!(headers["content-type"], "text/html; charset=utf-8", "{uri}");
        if !built {
            assert_eq!(status, 503);
            assert!(String::from_utf8(body).unwrap().contains("./deploy/build"));
            continue;
        }
        assert_eq!(status, 200, "{uri}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'self'")
                && policy.contains("script-src 'self' 'wasm-unsafe-eval'")
        );
        assert!(
            !policy.contains("script-src 'self' 'unsafe-inline'")
                && policy.contains("connect-src 'self' http: https: ws: wss:")
        );
        assert_eq!(
            (
                &headers["cache-control"],
                &headers["x-content-type-options"]
            ),
            (&"no-cache".parse().unwrap(), &"nosniff".parse().unwrap())
        );
        let tag = headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(
            bench.ask("GET", uri, &[("if-none-match", &tag)]).await.0,
            304
        );
        let (_, packed, small) = bench.ask("GET", uri, &[("accept-encoding", "gzip")]).await;
        assert_eq!(packed["content-encoding"], "gzip");
        assert!(small.len() < body.len() && packed["etag"] != *tag);
        // What the page names is there, for ever, in every form.
        for asset in String::from_utf8(body)
            .unwrap()
            .split(['"', '\''])
            .filter(|text| text.starts_with("/assets/"))
        {
            let (status, headers, _) = bench
                .ask("GET", asset, &[("accept-encoding", "br, gzip")])
                .await;
            assert_eq!(
                (status.as_u16(), headers["cache-control"].to_str().unwrap()),
                (200, "public, max-age=29030400, immutable"),
                "{asset}"
            );
            assert_eq!(headers["content-encoding"], "br", "{asset}");
        }
    }
    let (status, headers, _) = bench.ask("GET", "/embed.js", &[]).await;
    assert_eq!(status, if built { 200 } else { 404 });
    assert!(
        headers["cache-control"]
            .to_str()
            .unwrap()
            .starts_with("no-")
    );
    // The compressed forms have no names of their own, and nothing beside the page is in it.
    for uri in [
        "/embed.js.gz",
        "/index.html.br",
        "/assets/../embed.js",
        "/assets/none.js",
        "/assets/none.rs",
    ] {
        assert_eq!(bench.get(uri).await.0, 404, "{uri}");
    }
}
